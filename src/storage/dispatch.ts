/**
 * The one seam through which every kernel call passes: `run.gemm(...)`.
 *
 * `run` is the kernel table of the active heap. Whoever wants to see or change what is executed (a recorder, a
 * profiler, derivative checks in float64) puts another table or another heap in its place; ops never know.
 */
import type { Kernels } from '../kernels/table.ts';
import { defaultHeap, type Heap, type KernelSet } from './heap.ts';

export let heap: Heap = defaultHeap();
export let run: Kernels = heap.run;

/** Makes `other` the active heap while `body` runs. Storages of one heap mean nothing to another. */
export function withHeap<Result>(other: Heap, body: () => Result): Result {
  const before = heap;
  heap = other;
  run = other.run;
  try {
    return body();
  } finally {
    heap = before;
    run = before.run;
  }
}

/** Passes every kernel call of `body` through `table`, a stand-in for the active one. */
export function withKernels<Result>(table: Kernels, body: () => Result): Result {
  const before = run;
  run = table;
  try {
    return body();
  } finally {
    run = before;
  }
}

/** Which kernels compute: what results and checkpoints are marked with. */
export const kernelSet = (): KernelSet => heap.kernelSet;

/** Bytes of kernel memory handed out at present. */
export const memoryInUse = (): number => heap.bytesInUse;

/** Sets how many bytes of kernel memory may be used (default: 3.5 GiB); what does not fit becomes ordinary arrays. */
export function setMemoryLimit(bytes: number): void {
  if (!(bytes >= 0)) throw new Error(`setMemoryLimit: a limit is a number of bytes of at least 0, not ${bytes}.`);
  heap.setLimit(bytes);
}

/**
 * From tensors to addresses: the last step before a kernel call.
 *
 * A kernel takes an operand as contiguous, with strides of its own, or packed first. `contiguous` is the one place that
 * decides: it returns the tensor itself or a packed copy. Whoever calls `address` has asked it before, or passes the
 * strides on.
 */
import { settle } from '../storage/context.ts';
import { heap, run } from '../storage/dispatch.ts';
import { locate, newStorage, wrote } from '../storage/storage.ts';
import { contiguousLayout, type Layout } from './layout.ts';
import { Tensor } from './tensor.ts';

/** A new tensor of a contiguous layout in the current region, its numbers not yet written: what ops write into. */
export function allocate(layout: Layout): Tensor {
  return new Tensor(newStorage(layout.size), layout, 0);
}

export function allocateShape(shape: readonly number[]): Tensor {
  return allocate(contiguousLayout(shape));
}

/** A new tensor that looks like x: its layout if that is contiguous, else the same shape in row-major order. */
export function allocateLike(x: Tensor): Tensor {
  return allocate(x.layout.contiguous ? x.layout : contiguousLayout(x.layout.shape));
}

/** Where the first element stands, in elements from the start of the memory. Staged if need be. */
export function address(x: Tensor): number {
  return locate(x.storage) + x.offset;
}

/** The tensor itself if its elements stand in a row, else a packed copy. */
export function contiguous(x: Tensor): Tensor {
  return x.layout.contiguous ? x : packed(x);
}

/** A contiguous copy in the current region. */
export function packed(x: Tensor): Tensor {
  const out = allocateLike(x);
  copyElements(x, out, 0);
  return out;
}

/** out (+)= x, elementwise, two tensors of one shape and any strides. Does not count as a write: see `writing`. */
export function copyElements(x: Tensor, out: Tensor, accumulate: 0 | 1): void {
  const from = address(x);
  const to = address(out);
  if (x.layout.contiguous && out.layout.contiguous && accumulate === 0) return run.copy(from, to, x.size);
  const dims = mergedAxes(x.layout, out.layout);
  copyAxes(from, to, dims, accumulate);
}

/** One axis of a strided copy. */
interface CopyAxis {
  size: number;
  from: number;
  to: number;
}

/** Axes of size above 1, neighbours joined where both sides walk through them in one stride. */
function mergedAxes(x: Layout, out: Layout): CopyAxis[] {
  const axes: CopyAxis[] = [];
  for (let i = 0; i < x.shape.length; i++) {
    const size = x.shape[i]!;
    if (size === 0) return [{ size: 0, from: 0, to: 0 }];
    if (size === 1) continue;
    const from = x.strides[i]!;
    const to = out.strides[i]!;
    const last = axes.at(-1);
    if (last !== undefined && last.from === from * size && last.to === to * size) {
      last.size *= size;
      last.from = from;
      last.to = to;
    } else axes.push({ size, from, to });
  }
  return axes;
}

function copyAxes(from: number, to: number, axes: readonly CopyAxis[], accumulate: 0 | 1): void {
  if (axes.length > 4) {
    const [first, ...rest] = axes as [CopyAxis, ...CopyAxis[]];
    for (let i = 0; i < first.size; i++) copyAxes(from + i * first.from, to + i * first.to, rest, accumulate);
    return;
  }
  const axis = (i: number): CopyAxis => axes[axes.length - 4 + i] ?? { size: 1, from: 0, to: 0 };
  const [a, b, c, d] = [axis(0), axis(1), axis(2), axis(3)];
  run.copyStrided(
    from,
    a.from,
    b.from,
    c.from,
    d.from,
    to,
    a.to,
    b.to,
    c.to,
    d.to,
    a.size,
    b.size,
    c.size,
    d.size,
    accumulate,
  );
}

/** To be called after kernels wrote in place: counts the write, so that whoever saved the old numbers notices. */
export function wroteTo(x: Tensor): void {
  wrote(x.storage);
}

/**
 * Calls `body` with the numbers of a contiguous tensor where they stand, no copy made. The view is good only inside the
 * call: do not keep it, and compute no tensors meanwhile. It is for reading; with `write: true` it may be written, which
 * counts as an in-place write.
 *
 *     const largest = withData(x, (view) => view.reduce((a, b) => Math.max(a, b)));
 */
export function withData<Result>(
  x: Tensor,
  body: (view: Float32Array) => Result,
  { write = false }: { readonly write?: boolean } = {},
): Result {
  if (!x.layout.contiguous)
    throw new Error('withData: the elements of this view do not stand in a row. Copy it first: x.contiguous().');
  const start = address(x);
  const { floats } = heap;
  try {
    return body(floats.subarray(start, start + x.size) as Float32Array);
  } finally {
    if (write) wroteTo(x);
    settle();
  }
}

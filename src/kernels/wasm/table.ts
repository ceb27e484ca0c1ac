/**
 * The kernel table of a WebAssembly memory: emitted kernels where they exist, reference kernels on the same memory for
 * the rest. A family is emitted when the first of its kernels is called; until then its places hold stubs.
 */
import { referenceKernels } from '../reference/table.ts';
import type { KernelName, Kernels, Memory } from '../table.ts';
import { WasmModule } from './assembler.ts';
import { batchNormalizationFamilies } from './batch-normalization.ts';
import { convolutionFamily } from './convolution.ts';
import { elementwiseFamilies } from './elementwise.ts';
import type { Environment, Family } from './family.ts';
import { functionFamilies } from './functions.ts';
import { gemmFamily } from './gemm.ts';
import { indexingFamily } from './indexing.ts';
import { v128 } from './instructions.ts';
import { movementFamilies } from './movement.ts';
import { normalizationFamilies } from './normalization.ts';
import { optimizerFamilies } from './optimizer.ts';
import { poolFamily } from './pool.ts';
import { reduceFamilies } from './reduce.ts';
import { softmaxFamilies } from './softmax.ts';
import { solveFamily } from './solve.ts';
import { squaredErrorFamilies } from './squared-error.ts';

const families: readonly Family[] = [
  gemmFamily,
  solveFamily,
  convolutionFamily,
  poolFamily,
  indexingFamily,
  ...elementwiseFamilies,
  ...functionFamilies,
  ...movementFamilies,
  ...reduceFamilies,
  ...softmaxFamilies,
  ...normalizationFamilies,
  ...batchNormalizationFamilies,
  ...squaredErrorFamilies,
  ...optimizerFamilies,
];

type AnyKernel = (...args: number[]) => void;

export function wasmKernels(memory: Memory, room: Omit<Environment, 'kernel'>): Kernels {
  const table = referenceKernels(memory) as Record<string, AnyKernel>;
  const emitters = new Map<string, () => void>();
  const environment: Environment = {
    ...room,
    kernel: <Name extends KernelName>(name: Name) => {
      emitters.get(name)?.();
      return table[name] as Kernels[Name];
    },
  };
  for (const family of families) {
    const emit = () => {
      for (const name of family.names) emitters.delete(name);
      Object.assign(table, family.emit(environment));
    };
    for (const name of family.names) {
      emitters.set(name, emit);
      table[name] = (...args) => {
        emitters.get(name)?.();
        table[name]!(...args);
      };
    }
  }
  return table as Kernels;
}

/**
 * Whether WebAssembly with SIMD is there and may be compiled: tried on a module of one function. A custom section, which means
 * nothing, makes it longer than any of ours, since there are pages that may compile short modules only (Chromium before 114).
 */
export function supportsWasm(): boolean {
  if (typeof WebAssembly !== 'object') return false;
  const probe = new WasmModule();
  probe.define('probe', { p: 'i32' }, ({ p }, code) => code.store(p, v128.load(p)));
  const code = probe.encode();
  const padded = new Uint8Array(code.length + 3 + 16383);
  padded.set(code);
  padded.set([0x00, 0xff, 0x7f], code.length); // custom, 16383 bytes; the first of these: a name of no letters
  try {
    return new WebAssembly.Module(padded) instanceof WebAssembly.Module;
  } catch {
    return false;
  }
}

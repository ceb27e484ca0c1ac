/** All reference kernels, bound to the memory they work on. */
import type { Kernels, Memory, ReferenceKernels } from '../table.ts';
import { batchNormalization } from './batch-normalization.ts';
import { convolution } from './convolution.ts';
import { elementwise } from './elementwise.ts';
import { gemm } from './gemm.ts';
import { indexing } from './indexing.ts';
import { movement } from './movement.ts';
import { normalization } from './normalization.ts';
import { optimizer } from './optimizer.ts';
import { pool } from './pool.ts';
import { reduce } from './reduce.ts';
import { softmax } from './softmax.ts';
import { solve } from './solve.ts';
import { squaredError } from './squared-error.ts';

const reference: ReferenceKernels = {
  ...elementwise,
  ...reduce,
  ...movement,
  ...softmax,
  ...normalization,
  ...batchNormalization,
  ...squaredError,
  ...gemm,
  ...solve,
  ...convolution,
  ...pool,
  ...indexing,
  ...optimizer,
};

export function referenceKernels(memory: Memory): Kernels {
  const bound: Record<string, (...args: number[]) => void> = {};
  for (const [name, kernel] of Object.entries(reference))
    bound[name] = (...args) => (kernel as (memory: Memory, ...args: number[]) => void)(memory, ...args);
  return bound as Kernels;
}

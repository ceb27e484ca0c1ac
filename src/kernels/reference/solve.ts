/**
 * The Cholesky factor of a symmetric matrix, and solving with a triangular one, each number in plain order.
 */
import type { ReferenceKernels } from '../table.ts';

export const solve = {
  cholesky({ floats }, a, out, n) {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        let rest = floats[a + i * n + j]!;
        for (let k = 0; k < j; k++) rest -= floats[out + i * n + k]! * floats[out + j * n + k]!;
        if (j < i) floats[out + i * n + j] = rest / floats[out + j * n + j]!;
        else floats[out + i * n + i] = rest > 0 ? Math.sqrt(rest) : rest;
      }
      floats.fill(0, out + i * n + i + 1, out + (i + 1) * n);
    }
  },

  triangularSolve({ floats }, l, b, out, n, columns, transposed) {
    for (let step = 0; step < n; step++) {
      const i = transposed ? n - 1 - step : step;
      for (let column = 0; column < columns; column++) {
        let rest = floats[b + i * columns + column]!;
        for (let solved = 0; solved < step; solved++) {
          const j = transposed ? n - 1 - solved : solved;
          rest -= floats[transposed ? l + j * n + i : l + i * n + j]! * floats[out + j * columns + column]!;
        }
        floats[out + i * columns + column] = rest / floats[l + i * n + i]!;
      }
    }
  },
} satisfies Pick<ReferenceKernels, 'cholesky' | 'triangularSolve'>;

/**
 * Matrix product: the definition of the gemm kernel, and what serves where Wasm is refused.
 *
 * The loops run i, p, j: the row of c stays in cache and is the running sum, and the inner loop walks rows of b and c. One
 * term is added at a time, p ascending, starting from what c holds (accumulate), from the bias, or from 0. Nothing is
 * skipped: 0 * NaN is NaN.
 */
import type { ReferenceKernels } from '../table.ts';

export const gemm = {
  gemm(memory, a, aRow, aColumn, b, bRow, bColumn, c, cRow, m, n, k, accumulate, bias, relu) {
    const { floats } = memory;
    for (let i = 0; i < m; i++) {
      const row = c + i * cRow;
      if (!accumulate) {
        if (bias) floats.copyWithin(row, bias, bias + n);
        else floats.fill(0, row, row + n);
      }
      for (let p = 0; p < k; p++) {
        const scale = floats[a + i * aRow + p * aColumn]!;
        for (let j = 0, from = b + p * bRow; j < n; j++, from += bColumn) floats[row + j]! += scale * floats[from]!;
      }
      // `x < 0` rather than Math.max: NaN stays NaN, and -0 stays -0.
      if (relu) for (let j = row; j < row + n; j++) if (floats[j]! < 0) floats[j] = 0;
    }
  },
} satisfies Pick<ReferenceKernels, 'gemm'>;

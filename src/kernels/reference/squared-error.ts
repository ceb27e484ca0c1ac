/** The squared error of two arrays as one number, and its backward pass. */
import type { ReferenceKernels } from '../table.ts';

export const squaredError = {
  squaredError({ floats }, a, b, out, n, scale) {
    let total = 0;
    for (let i = 0; i < n; i++) total += (floats[a + i]! - floats[b + i]!) ** 2;
    floats[out] = scale * total;
  },

  squaredErrorSlope({ floats }, g, a, b, out, n, scale, accumulate) {
    const factor = 2 * scale * floats[g]!;
    for (let i = 0; i < n; i++) {
      const slope = factor * (floats[a + i]! - floats[b + i]!);
      floats[out + i] = accumulate ? floats[out + i]! + slope : slope;
    }
  },
} satisfies Pick<ReferenceKernels, 'squaredError' | 'squaredErrorSlope'>;

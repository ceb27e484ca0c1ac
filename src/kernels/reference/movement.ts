/** Kernels that move numbers and do not change them. */
import type { ReferenceKernels } from '../table.ts';

export const movement = {
  fill({ floats }, out, n, value) {
    floats.fill(value, out, out + n);
  },

  copy({ floats }, x, out, n) {
    floats.copyWithin(out, x, x + n);
  },

  copyStrided({ floats }, x, a0, a1, a2, a3, out, b0, b1, b2, b3, d0, d1, d2, d3, accumulate) {
    for (let i0 = 0; i0 < d0; i0++)
      for (let i1 = 0; i1 < d1; i1++)
        for (let i2 = 0; i2 < d2; i2++) {
          let from = x + i0 * a0 + i1 * a1 + i2 * a2;
          let to = out + i0 * b0 + i1 * b1 + i2 * b2;
          for (let i3 = 0; i3 < d3; i3++) {
            floats[to] = accumulate ? floats[to]! + floats[from]! : floats[from]!;
            from += a3;
            to += b3;
          }
        }
  },
} satisfies Pick<ReferenceKernels, 'fill' | 'copy' | 'copyStrided'>;

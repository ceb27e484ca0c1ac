/**
 * Counting the multiply-adds of matrix products, convolutions and triangular systems while something runs, at the seam through which every
 * kernel call passes. Elementwise work is not counted: it is a hundredth of it or less in the networks compared here.
 */

import type { Kernels } from '../../../src/kernels/table.ts';
import { run, withKernels } from '../../../src/storage/dispatch.ts';

type CountedName = 'gemm' | 'conv2d' | 'conv2dInputSlope' | 'conv2dWeightSlope' | 'cholesky' | 'triangularSolve';

/** Every output number of a product is a sum of k terms. */
const ofGemm = (...args: Parameters<Kernels['gemm']>): number => args[8] * args[9] * args[10];

/**
 * The three kernels of a convolution have the same sizes at the end of their arguments, and do the same work: each output
 * number of the forward pass is a sum over a window of its group's channels.
 */
function ofConvolution(sizes: readonly number[]): number {
  const [images, channels, , , outChannels, kernelHeight, kernelWidth, outHeight, outWidth] = sizes as SizesHead;
  const groups = sizes[15] as number;
  return images * outChannels * outHeight * outWidth * (channels / groups) * kernelHeight * kernelWidth;
}
type SizesHead = [number, number, number, number, number, number, number, number, number];

/** What `body` returns, and the multiply-adds of all products that it made. */
export function countMultiplyAdds<Result>(body: () => Result): { result: Result; multiplyAdds: number } {
  let multiplyAdds = 0;
  const inner = run;
  const counting: Pick<Kernels, CountedName> = {
    gemm(...args) {
      multiplyAdds += ofGemm(...args);
      inner.gemm(...args);
    },
    conv2d(...args) {
      const [, , , , ...sizes] = args;
      multiplyAdds += ofConvolution(sizes);
      inner.conv2d(...args);
    },
    conv2dInputSlope(...args) {
      const [, , , , ...sizes] = args;
      multiplyAdds += ofConvolution(sizes);
      inner.conv2dInputSlope(...args);
    },
    conv2dWeightSlope(...args) {
      const [, , , , ...sizes] = args;
      multiplyAdds += ofConvolution(sizes);
      inner.conv2dWeightSlope(...args);
    },
    cholesky(a, out, n) {
      multiplyAdds += (n * n * n - n) / 6; // column j: n - j sums of j terms
      inner.cholesky(a, out, n);
    },
    triangularSolve(l, b, out, n, columns, transposed) {
      multiplyAdds += (columns * n * (n - 1)) / 2;
      inner.triangularSolve(l, b, out, n, columns, transposed);
    },
  };
  // Inherits the other kernels rather than copying them: the table puts emitted kernels in the place of its stubs.
  const table: Kernels = Object.assign(Object.create(inner) as Kernels, counting);
  return { result: withKernels(table, body), multiplyAdds };
}

/** Matrix products in every layout: squares, sizes of training, odd ones, batches. */

import { type Matrix, randomMatrix, uniformNumbers } from './numbers.ts';
import type { RowOf } from './row.ts';

/** Which operand of a product is stored transposed: none, the second (b is [n, k]) or the first (a is [k, m]). */
export type Layout = 'NN' | 'NT' | 'TN';

/** A product of an [m, k] and a [k, n] matrix, or of `batch` independent ones when `batch` is not null. */
export interface Product {
  readonly kind: 'product';
  readonly layout: Layout;
  readonly batch: number | null;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

const layouts: readonly Layout[] = ['NN', 'NT', 'TN'];

function product(
  layout: Layout,
  m: number,
  k: number,
  n: number,
  name: string,
  batch: number | null = null,
): RowOf<Product> {
  const flops = 2 * (batch ?? 1) * m * k * n;
  const task: Product = { kind: 'product', layout, batch, m, k, n };
  return { suite: 'matmul', name, unit: 'GFLOP/s', workPerCall: flops / 1e9, task };
}

export const productRows: readonly RowOf<Product>[] = [
  ...[64, 127, 256, 512, 1024].flatMap((size) =>
    layouts.map((layout) => product(layout, size, size, size, `${layout} ${size}`)),
  ),
  product('NN', 64, 784, 10, 'NN 64x784x10'),
  product('NN', 64, 784, 128, 'NN 64x784x128'),
  product('NN', 1, 768, 768, 'NN 1x768x768'),
  product('NN', 128, 64, 128, 'NN batched 8x128x64x128', 8),
];

/** Both operands as they are stored: already transposed where the layout says so. */
export function productData({ layout, batch, m, k, n }: Product): { a: Matrix; b: Matrix } {
  const uniform = uniformNumbers(1);
  const batchShape = batch === null ? [] : [batch];
  return {
    a: randomMatrix(layout === 'TN' ? [...batchShape, k, m] : [...batchShape, m, k], 1, uniform),
    b: randomMatrix(layout === 'NT' ? [...batchShape, n, k] : [...batchShape, k, n], 1, uniform),
  };
}

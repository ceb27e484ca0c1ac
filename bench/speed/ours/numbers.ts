/** From the rows' numbers to tensors. */

import { buffer, type Tensor, tensor } from '../../../src/index.ts';
import type { Matrix } from '../rows/numbers.ts';

/** As a user makes one: an ordinary array. */
export function toTensor({ data, shape }: Matrix): Tensor {
  return tensor(data, shape);
}

/** In Wasm memory for good, where the peers keep theirs. */
export function toBuffer(matrix: Matrix): Tensor {
  return buffer(toTensor(matrix));
}

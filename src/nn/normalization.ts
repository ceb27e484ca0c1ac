/** Layer normalization as a layer. */

import { parameter } from '../autograd/leaf.ts';
import { layerNorm, normalizedSizes } from '../ops/normalization.ts';
import { ones, zeros } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';

export interface LayerNormOptions {
  /** What is added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
  /** Whether there is a weight (and a bias) to learn; true unless given. */
  readonly affine?: boolean | undefined;
  /** Whether there is a bias beside the weight; true unless given. */
  readonly bias?: boolean | undefined;
}

/**
 * The last axes of x, of sizes normalizedShape, at mean 0 and variance 1, times a weight that starts at 1, plus a bias that
 * starts at 0: x [..., ...normalizedShape], result of the same shape.
 *
 *     const layer = new LayerNorm(256);
 *     layer.forward(randn([64, 256])).shape; // [64, 256]
 *
 * Ba, Kiros and Hinton, "Layer normalization" (2016).
 */
export class LayerNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  /** normalizedShape */
  readonly weight: Tensor | null;
  /** normalizedShape */
  readonly bias: Tensor | null;

  constructor(normalizedShape: number | readonly number[], options: LayerNormOptions = {}) {
    super();
    const { eps = 1e-5, affine = true, bias = true } = options;
    this.normalizedShape = normalizedSizes('LayerNorm', normalizedShape);
    if (!(typeof eps === 'number' && eps >= 0))
      throw new RangeError(`LayerNorm: eps must be a number of at least 0, but it is ${String(eps)}.`);
    this.eps = eps;
    this.weight = affine ? parameter(ones(this.normalizedShape)) : null;
    this.bias = affine && bias ? parameter(zeros(this.normalizedShape)) : null;
  }

  override forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, this.weight, this.bias, this.eps);
  }
}

/** The fully connected layer. */

import { parameter } from '../autograd/leaf.ts';
import { linear } from '../ops/matmul.ts';
import type { Generator } from '../random/generator.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkCount } from './check.ts';
import { kaimingUniform, symmetricUniform } from './init.ts';
import { Module } from './module.ts';

export interface LinearOptions {
  /** Whether a bias is added; true unless given. */
  readonly bias?: boolean | undefined;
  /** Where the initial weights come from; the default generator unless given. */
  readonly generator?: Generator | undefined;
}

/**
 * y = x W^T + b for x [..., inFeatures], y [..., outFeatures].
 * Weights and bias start as U(+-1 / sqrt(inFeatures)), as in PyTorch.
 *
 *     const layer = new Linear(784, 256);
 *     layer.forward(zeros([64, 784])).shape; // [64, 256]
 */
export class Linear extends Module {
  /** [outFeatures, inFeatures] */
  readonly weight: Tensor;
  /** [outFeatures] */
  readonly bias: Tensor | null;

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    checkCount('Linear', 'inFeatures', inFeatures);
    checkCount('Linear', 'outFeatures', outFeatures);
    const { bias = true, generator } = options;
    this.weight = parameter(kaimingUniform([outFeatures, inFeatures], { a: Math.sqrt(5), generator }));
    this.bias = bias ? parameter(symmetricUniform([outFeatures], 1 / Math.sqrt(inFeatures), generator)) : null;
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}

/** The convolution layer for images. */

import { parameter } from '../autograd/leaf.ts';
import { type ConvolutionOptions, conv2d, type Pair, toPair } from '../ops/convolution.ts';
import type { Generator } from '../random/generator.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkCount } from './check.ts';
import { kaimingUniform, symmetricUniform } from './init.ts';
import { Module } from './module.ts';

export interface Conv2dOptions extends ConvolutionOptions {
  /** Whether a bias is added; true unless given. */
  readonly bias?: boolean | undefined;
  /** Where the initial weights come from; the default generator unless given. */
  readonly generator?: Generator | undefined;
}

/**
 * Convolution of images x [N, inChannels, H, W] to [N, outChannels, H', W'], where
 * H' = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
 * Weights and bias start as U(+-1 / sqrt(fanIn)), fanIn = inChannels / groups * kernel size, as in PyTorch.
 *
 *     const layer = new Conv2d(3, 16, 3, { padding: 1 });
 *     layer.forward(zeros([8, 3, 32, 32])).shape; // [8, 16, 32, 32]
 */
export class Conv2d extends Module {
  /** [outChannels, inChannels / groups, kernel height, kernel width] */
  readonly weight: Tensor;
  /** [outChannels] */
  readonly bias: Tensor | null;
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number] | 'same';
  readonly dilation: readonly [number, number];
  readonly groups: number;

  constructor(inChannels: number, outChannels: number, kernelSize: Pair, options: Conv2dOptions = {}) {
    super();
    const { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true, generator } = options;
    checkCount('Conv2d', 'inChannels', inChannels);
    checkCount('Conv2d', 'outChannels', outChannels);
    checkCount('Conv2d', 'groups', groups);
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new RangeError(
        `Conv2d: groups must divide both channel counts, but ${groups} does not divide ${inChannels} and ${outChannels}.`,
      );
    }
    const kernel = toPair('Conv2d', 'kernelSize', kernelSize, 1);
    this.stride = toPair('Conv2d', 'stride', stride, 1);
    this.padding = padding === 'same' ? padding : toPair('Conv2d', 'padding', padding, 0);
    this.dilation = toPair('Conv2d', 'dilation', dilation, 1);
    this.groups = groups;
    const shape = [outChannels, inChannels / groups, ...kernel];
    const fanIn = (inChannels / groups) * kernel[0] * kernel[1];
    this.weight = parameter(kaimingUniform(shape, { a: Math.sqrt(5), generator }));
    this.bias = bias ? parameter(symmetricUniform([outChannels], 1 / Math.sqrt(fanIn), generator)) : null;
  }

  override forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this);
  }
}

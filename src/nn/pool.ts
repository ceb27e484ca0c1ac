/** Pooling layers for images: a window's maximum or its mean. */

import { type Pair, toPair } from '../ops/convolution.ts';
import { avgPool2d, maxPool2d, type PoolOptions } from '../ops/pool.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';

/** Stride and padding, as the ops have them. */
export type PoolLayerOptions = Omit<PoolOptions, 'kernelSize'>;

/** What both poolings are made with, checked. */
abstract class Pool2d extends Module {
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];

  constructor(layer: string, kernelSize: Pair, { stride = kernelSize, padding = 0 }: PoolLayerOptions) {
    super();
    this.kernelSize = toPair(layer, 'kernelSize', kernelSize, 1);
    this.stride = toPair(layer, 'stride', stride, 1);
    this.padding = toPair(layer, 'padding', padding, 0);
    if (this.padding[0] * 2 > this.kernelSize[0] || this.padding[1] * 2 > this.kernelSize[1]) {
      throw new RangeError(
        `${layer}: the padding [${this.padding.join(', ')}] must be at most half of the window [${this.kernelSize.join(', ')}].`,
      );
    }
  }
}

/**
 * The maximum of each window of x [N, C, H, W]; padding never wins. Out: [N, C, H', W'] with
 * H' = floor((H + 2 padding - kernel) / stride) + 1.
 *
 *     new MaxPool2d(2).forward(zeros([8, 16, 32, 32])).shape; // [8, 16, 16, 16]
 */
export class MaxPool2d extends Pool2d {
  constructor(kernelSize: Pair, options: PoolLayerOptions = {}) {
    super('MaxPool2d', kernelSize, options);
  }

  override forward(x: Tensor): Tensor {
    return maxPool2d(x, this);
  }
}

/** The mean of each window of x [N, C, H, W]; padding counts as zeros. Sizes as in MaxPool2d. */
export class AvgPool2d extends Pool2d {
  constructor(kernelSize: Pair, options: PoolLayerOptions = {}) {
    super('AvgPool2d', kernelSize, options);
  }

  override forward(x: Tensor): Tensor {
    return avgPool2d(x, this);
  }
}

/** Normalization as layers: over the last axes of each example, or over a batch. */

import { parameter } from '../autograd/leaf.ts';
import { batchNorm } from '../ops/batch-normalization.ts';
import { add_ } from '../ops/inplace.ts';
import { layerNorm, normalizedSizes } from '../ops/normalization.ts';
import { buffer, ones, zeros } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkCount } from './check.ts';
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

export interface BatchNormOptions {
  /** What is added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
  /**
   * How far a batch moves the running statistics, from 0 to 1: running = (1 - momentum) running + momentum batch; 0.1 unless given.
   * null: by 1 / (number of batches so far), so that they are the plain mean over all batches.
   */
  readonly momentum?: number | null | undefined;
  /** Whether there are a weight and a bias to learn; true unless given. */
  readonly affine?: boolean | undefined;
  /** Whether there are running statistics; true unless given. Without them a batch is normalized by its own in use, too. */
  readonly trackRunningStats?: boolean | undefined;
}

/** What x may be: as a sentence says it, and how many axes it has. */
interface Form {
  readonly name: string;
  readonly shapes: string;
  readonly axes: readonly number[];
}

/** What batch normalization of any number of axes is; see BatchNorm1d. */
abstract class BatchNorm extends Module {
  readonly numFeatures: number;
  readonly eps: number;
  readonly momentum: number | null;
  /** [numFeatures] */
  readonly weight: Tensor | null;
  /** [numFeatures] */
  readonly bias: Tensor | null;
  /** [numFeatures], from 0; a buffer */
  readonly runningMean: Tensor | null;
  /** [numFeatures], from 1, of unbiased variances; a buffer */
  readonly runningVar: Tensor | null;
  /** [], batches seen in training, from 0, and exact up to 2^24; a buffer */
  readonly numBatchesTracked: Tensor | null;

  readonly #form: Form;

  protected constructor(form: Form, numFeatures: number, options: BatchNormOptions) {
    super();
    const { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true } = options;
    const { name } = form;
    checkCount(name, 'numFeatures', numFeatures);
    if (!(typeof eps === 'number' && eps >= 0))
      throw new RangeError(`${name}: eps must be a number of at least 0, but it is ${String(eps)}.`);
    if (momentum !== null && !(typeof momentum === 'number' && momentum >= 0 && momentum <= 1))
      throw new RangeError(`${name}: momentum must be a number from 0 to 1, or null, but it is ${String(momentum)}.`);
    this.#form = form;
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? parameter(ones([numFeatures])) : null;
    this.bias = affine ? parameter(zeros([numFeatures])) : null;
    this.runningMean = trackRunningStats ? buffer(zeros([numFeatures])) : null;
    this.runningVar = trackRunningStats ? buffer(ones([numFeatures])) : null;
    this.numBatchesTracked = trackRunningStats ? buffer(zeros([])) : null;
  }

  override forward(x: Tensor): Tensor {
    const { weight, bias, eps, momentum, runningMean, runningVar, numBatchesTracked, numFeatures } = this;
    const { name, shapes, axes } = this.#form;
    if (!axes.includes(x.ndim) || x.shape[1] !== numFeatures)
      throw new Error(`${name}: x ${showShape(x.shape)} must be ${shapes} with C = ${numFeatures}, its numFeatures.`);
    if (runningMean === null || runningVar === null || numBatchesTracked === null)
      return batchNorm(x, { weight, bias, eps });
    const running = { mean: runningMean, variance: runningVar };
    if (!this.training) return batchNorm(x, { weight, bias, eps, running, training: false });
    const share = momentum ?? 1 / (numBatchesTracked.item() + 1);
    const out = batchNorm(x, { weight, bias, eps, running, momentum: share });
    if (x.size > 0) add_(numBatchesTracked, 1);
    return out;
  }
}

/**
 * Batch normalization of features: x [N, C] or [N, C, L], result of the same shape. In training each channel is at mean 0 and
 * variance 1 over the batch, and running statistics follow; in use (after eval()) it is they that scale, so that an example's output
 * does not depend on the others. Then comes a weight that starts at 1, plus a bias that starts at 0.
 *
 * The running statistics are buffers: they are in stateDict() and in checkpoints. A batch without numbers changes nothing; one with a
 * single number a channel has no variance, and is an error in training.
 *
 *     const layer = new BatchNorm1d(2);
 *     layer.forward(tensor([[0, 10], [20, 30]])).toArray().flat().map(Math.round); // [-1, -1, 1, 1]
 *     layer.runningMean.toArray(); // [1, 2]
 *     layer.eval().forward(zeros([1, 2])).shape; // [1, 2]
 *
 * Ioffe and Szegedy, "Batch normalization" (2015). Options, buffers and updates are as in PyTorch.
 */
export class BatchNorm1d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super({ name: 'BatchNorm1d', shapes: '[N, C] or [N, C, L]', axes: [2, 3] }, numFeatures, options);
  }
}

/**
 * Batch normalization of images, x [N, C, H, W]: a channel is at mean 0 and variance 1 over the batch and all its places. Otherwise
 * as BatchNorm1d.
 *
 *     const block = new Sequential(new Conv2d(3, 8, 3), new BatchNorm2d(8), new ReLU());
 *     block.forward(randn([4, 3, 6, 6])).shape; // [4, 8, 4, 4]
 */
export class BatchNorm2d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super({ name: 'BatchNorm2d', shapes: '[N, C, H, W]', axes: [4] }, numFeatures, options);
  }
}

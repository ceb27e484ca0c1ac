/** Dropout. */

import { mul } from '../ops/binary.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { tensor } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';

/**
 * In training, sets each number to 0 with probability p and divides the others by 1 - p, so that the mean stays; in use
 * (after eval()) it passes its input on. Srivastava et al., "Dropout" (JMLR 2014).
 *
 *     const layer = new Dropout(0.5, { generator: new Generator(7) });
 */
export class Dropout extends Module {
  /** The probability of a 0. */
  readonly p: number;
  /** Where the coins come from. Its state belongs to a checkpoint beside the weights. */
  readonly generator: Generator;

  constructor(p = 0.5, options: { readonly generator?: Generator | undefined } = {}) {
    super();
    if (!(p >= 0 && p <= 1)) throw new RangeError(`Dropout: p must be a probability from 0 to 1, but it is ${p}.`);
    this.p = p;
    this.generator = options.generator ?? defaultGenerator;
  }

  override forward(x: Tensor): Tensor {
    if (!this.training || this.p === 0) return x;
    const mask = new Float32Array(x.size);
    if (this.p < 1) this.generator.fillBernoulli(mask, 1 - this.p, 1 / (1 - this.p));
    return mul(x, tensor(mask, x.shape));
  }
}

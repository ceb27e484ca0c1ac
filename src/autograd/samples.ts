/** Where the sample inputs of ops come from: small tensors drawn by a seeded generator. */
import type { Generator } from '../random/generator.ts';
import { tensor } from '../tensor/create.ts';
import { sizeOf } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';

export class Draw {
  private readonly generator: Generator;

  constructor(generator: Generator) {
    this.generator = generator;
  }

  private fill(shape: readonly number[], next: () => number): Tensor {
    return tensor(Array.from({ length: sizeOf(shape) }, next), shape);
  }

  /** Standard normal. */
  normal(shape: readonly number[], scale = 1): Tensor {
    return this.fill(shape, () => scale * this.generator.normal());
  }

  /** Uniform in [low, high). */
  uniform(shape: readonly number[], low: number, high: number): Tensor {
    return this.fill(shape, () => low + (high - low) * this.generator.uniform());
  }

  /** Of either sign and at least 0.2 from 0, where many functions have a kink or a pole. */
  awayFromZero(shape: readonly number[]): Tensor {
    return this.fill(shape, () => (this.generator.uniform() < 0.5 ? -1 : 1) * (0.2 + 1.5 * this.generator.uniform()));
  }

  /** Different by at least 0.1 from each other: no ties, not even after a small step. */
  distinct(shape: readonly number[]): Tensor {
    const order = this.generator.permutation(sizeOf(shape));
    let next = 0;
    return this.fill(shape, () => 0.15 * (order[next++]! - order.length / 2) + 0.02 * this.generator.uniform());
  }
}

/** Tensors of random numbers. */

import { defaultGenerator, type Generator } from '../random/generator.ts';
import { tensor } from './create.ts';
import { checkShape, sizeOf } from './layout.ts';
import type { Tensor } from './tensor.ts';

/** Where the numbers come from; without a generator, from the default one (see manualSeed). */
export interface RandomOptions {
  readonly generator?: Generator | undefined;
}

function arrayFor(name: string, shape: readonly number[]): Float32Array {
  checkShape(name, shape);
  return new Float32Array(sizeOf(shape));
}

/**
 * A tensor of this shape with numbers from [0, 1), all equally likely (multiples of 2^-24).
 *
 *     rand([2, 3], { generator: new Generator(7) });
 */
export function rand(shape: readonly number[], options: RandomOptions = {}): Tensor {
  const data = arrayFor('rand', shape);
  (options.generator ?? defaultGenerator).fillUniform(data);
  return tensor(data, shape);
}

/**
 * A tensor of this shape with numbers from the standard normal distribution.
 *
 *     randn([2, 3], { generator: new Generator(7) });
 */
export function randn(shape: readonly number[], options: RandomOptions = {}): Tensor {
  const data = arrayFor('randn', shape);
  (options.generator ?? defaultGenerator).fillNormal(data);
  return tensor(data, shape);
}

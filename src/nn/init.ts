/**
 * Initial values of weights.
 *
 * Each function returns a new tensor without gradient, so a layer writes `parameter(kaimingUniform([out, in]))`, and
 * `noGrad(() => layer.weight.copy_(xavierNormal(layer.weight.shape)))` starts a layer anew.
 * A weight is [out, in, ...kernel]; its fan-in is in * kernel size, its fan-out is out * kernel size: how many numbers
 * a unit's input sums up, and how many sums a number goes into.
 */

import { defaultGenerator, type Generator } from '../random/generator.ts';
import { tensor } from '../tensor/create.ts';
import { showShape, sizeOf } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** What follows a layer, as far as its effect on the variance is known. */
export type Nonlinearity = 'linear' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu';

/**
 * The factor on the standard deviation that keeps a signal's size through a nonlinearity, by PyTorch's table.
 * `slope` is leakyRelu's slope below 0.
 */
export function calculateGain(nonlinearity: Nonlinearity, slope = 0.01): number {
  switch (nonlinearity) {
    case 'linear':
    case 'sigmoid':
      return 1;
    case 'tanh':
      return 5 / 3;
    case 'relu':
      return Math.SQRT2;
    case 'leakyRelu':
      return Math.sqrt(2 / (1 + slope * slope));
    case 'selu':
      return 3 / 4;
    default:
      throw new RangeError(
        `calculateGain: there is no gain for ${String(nonlinearity satisfies never)}. Use linear, sigmoid, tanh, relu, leakyRelu or selu.`,
      );
  }
}

/** Fan-in and fan-out of a weight [out, in, ...kernel]; fewer than two axes, or an empty one, is an error. */
export function calculateFans(shape: readonly number[]): { fanIn: number; fanOut: number } {
  const [out, input, ...kernel] = shape;
  if (out === undefined || input === undefined || shape.some((length) => !Number.isInteger(length) || length < 1)) {
    throw new RangeError(
      `init: a weight needs the shape [out, in, ...kernel] with sizes from 1 up, but it is ${showShape(shape)}.`,
    );
  }
  const kernelSize = sizeOf(kernel);
  return { fanIn: input * kernelSize, fanOut: out * kernelSize };
}

/** Numbers from -bound to bound, equally likely. */
export function symmetricUniform(shape: readonly number[], bound: number, generator = defaultGenerator): Tensor {
  const data = new Float32Array(sizeOf(shape));
  generator.fillUniform(data, -bound, bound);
  return tensor(data, shape);
}

function centredNormal(shape: readonly number[], std: number, generator = defaultGenerator): Tensor {
  const data = new Float32Array(sizeOf(shape));
  generator.fillNormal(data, 0, std);
  return tensor(data, shape);
}

export interface XavierOptions {
  /** Factor on the standard deviation, see calculateGain; 1 unless given. */
  readonly gain?: number | undefined;
  readonly generator?: Generator | undefined;
}

function xavierStd(shape: readonly number[], gain: number): number {
  if (!Number.isFinite(gain)) throw new RangeError(`init: the gain must be a finite number, but it is ${gain}.`);
  const { fanIn, fanOut } = calculateFans(shape);
  return gain * Math.sqrt(2 / (fanIn + fanOut));
}

/**
 * U(-a, a) with a = gain sqrt(6 / (fanIn + fanOut)): keeps the size of signals going forward and of gradients going back.
 * Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
 */
export function xavierUniform(shape: readonly number[], { gain = 1, generator }: XavierOptions = {}): Tensor {
  return symmetricUniform(shape, Math.sqrt(3) * xavierStd(shape, gain), generator);
}

/** N(0, std^2) with std = gain sqrt(2 / (fanIn + fanOut)); see xavierUniform. */
export function xavierNormal(shape: readonly number[], { gain = 1, generator }: XavierOptions = {}): Tensor {
  return centredNormal(shape, xavierStd(shape, gain), generator);
}

export interface KaimingOptions {
  /** leakyRelu's slope below 0. As in PyTorch it is 0 unless given, and then leakyRelu's gain is relu's. */
  readonly a?: number | undefined;
  /** 'fanIn' (unless given) keeps the size of signals going forward, 'fanOut' that of gradients going back. */
  readonly mode?: 'fanIn' | 'fanOut' | undefined;
  /** What follows the layer; leakyRelu unless given. */
  readonly nonlinearity?: Nonlinearity | undefined;
  readonly generator?: Generator | undefined;
}

function kaimingStd(shape: readonly number[], options: KaimingOptions): number {
  const { a = 0, mode = 'fanIn', nonlinearity = 'leakyRelu' } = options;
  if (mode !== 'fanIn' && mode !== 'fanOut') {
    throw new RangeError(`init: mode must be 'fanIn' or 'fanOut', but it is ${String(mode)}.`);
  }
  if (!Number.isFinite(a)) throw new RangeError(`init: the slope a must be a finite number, but it is ${a}.`);
  return calculateGain(nonlinearity, a) / Math.sqrt(calculateFans(shape)[mode]);
}

/**
 * U(-b, b) with b = gain sqrt(3 / fan).
 * He, Zhang, Ren and Sun, "Delving deep into rectifiers" (2015). With a = sqrt(5) it is U(+-1 / sqrt(fanIn)), the
 * default of Linear and Conv2d here and in PyTorch.
 *
 *     const weight = parameter(kaimingUniform([256, 784], { nonlinearity: 'relu' }));
 */
export function kaimingUniform(shape: readonly number[], options: KaimingOptions = {}): Tensor {
  return symmetricUniform(shape, Math.sqrt(3) * kaimingStd(shape, options), options.generator);
}

/** N(0, std^2) with std = gain / sqrt(fan); see kaimingUniform. */
export function kaimingNormal(shape: readonly number[], options: KaimingOptions = {}): Tensor {
  return centredNormal(shape, kaimingStd(shape, options), options.generator);
}

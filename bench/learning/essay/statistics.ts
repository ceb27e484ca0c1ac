/** Numbers about numbers: angles, means with their intervals, slopes. All in double precision. */

import type { Tensor } from '../../../src/index.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import { interval } from '../interval.ts';

/** The entries of a tensor, row-major, as a copy in double precision. */
export const doubles = (x: Tensor): Float64Array => Float64Array.from(numbersOf(x));

/** The cosine of the angle between two runs of numbers; NaN where one of them is 0 throughout. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! * a[i]!;
    bb += b[i]! * b[i]!;
  }
  return ab / Math.sqrt(aa * bb);
}

/** The largest |found - expected|, in parts of the largest |expected|. */
export function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [error, scale] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    error = Math.max(error, Math.abs(found[i]! - expected[i]!));
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return error / scale;
}

/** A mean over seeds, and half the width of its interval of 95 %: the mean lies within mean - half and mean + half. */
export interface Estimate {
  readonly mean: number;
  /** By Student's t; 0 where there is only one seed, and nothing is known. */
  readonly half: number;
  readonly values: readonly number[];
}

export function estimate(values: readonly number[]): Estimate {
  const found = interval(values);
  if (found === null) throw new Error('estimate: there are no values.');
  const { mean, high } = found;
  return { mean, half: high === null ? 0 : high - mean, values };
}

/** The slope of the line of least squares through (0, y0), (1, y1), ... */
export function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  let [up, over] = [0, 0];
  for (const [i, value] of values.entries()) {
    up += (i - middle) * value;
    over += (i - middle) ** 2;
  }
  return up / over;
}

export const median = (values: readonly number[]): number => {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
};

/** Numbers about numbers: angles, means with their intervals, slopes. All in double precision. */

import type { Tensor } from '../../../src/index.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';

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

/** Student's t at 97.5 %, by degrees of freedom from 1. */
const STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228] as const;

export function estimate(values: readonly number[]): Estimate {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n < 2) return { mean, half: 0, values };
  const t = STUDENT[n - 2];
  if (t === undefined) throw new Error(`estimate: from 1 to ${STUDENT.length + 1} values, not ${n}.`);
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  return { mean, half: t * Math.sqrt(square / n), values };
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

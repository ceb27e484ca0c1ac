/** Numbers about numbers: angles, means with their intervals, slopes, singular values. All in double precision. */

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

/**
 * The singular values of a matrix given by its columns, largest first: one-sided Jacobi (Hestenes 1958). Pairs of columns are
 * turned until all are orthogonal; their lengths are then the singular values. The columns are overwritten.
 */
export function singularValues(columns: readonly Float64Array[]): number[] {
  // What is smaller than rounding leaves of the whole matrix is 0: no angles are to be had from it.
  const least = 1e-15 * columns.reduce((sum, column) => sum + column.reduce((part, x) => part + x * x, 0), 0);
  for (let sweep = 0, turned = true; turned; sweep++) {
    if (sweep === 60) throw new Error('singularValues: 60 sweeps were not enough. Are all numbers finite?');
    turned = false;
    for (let p = 0; p < columns.length; p++)
      for (let q = p + 1; q < columns.length; q++) if (orthogonalize(columns[p]!, columns[q]!, least)) turned = true;
  }
  return columns.map((column) => Math.sqrt(column.reduce((sum, x) => sum + x * x, 0))).sort((a, b) => b - a);
}

/** Turns two columns in their plane so that they are orthogonal; false where they are already. */
function orthogonalize(a: Float64Array, b: Float64Array, least: number): boolean {
  let [aa, bb, ab] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    aa += a[i]! * a[i]!;
    bb += b[i]! * b[i]!;
    ab += a[i]! * b[i]!;
  }
  if (!(Math.abs(ab) > Math.max(least, 1e-12 * Math.sqrt(aa * bb)))) return false;
  const zeta = (bb - aa) / (2 * ab);
  const tangent = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const cos = 1 / Math.sqrt(1 + tangent * tangent);
  const sin = cos * tangent;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    a[i] = cos * x - sin * y;
    b[i] = sin * x + cos * y;
  }
  return true;
}

/**
 * The effective rank: exp of the entropy of the singular values as shares of their sum. From 1 (all on one line) to the number
 * of columns. Roy and Vetterli, "The effective rank" (2007); 0 for a matrix of zeros.
 */
export function effectiveRank(singular: readonly number[]): number {
  const total = singular.reduce((sum, value) => sum + value, 0);
  if (total === 0) return 0;
  const entropy = singular.reduce((sum, value) => {
    const share = value / total;
    return share === 0 ? sum : sum - share * Math.log(share);
  }, 0);
  return Math.exp(entropy);
}

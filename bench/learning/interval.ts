/** Means over seeds with their intervals. */

import jStat from 'jstat';

/** A mean over seeds; it lies between low and high with a confidence of 95 % (Student's t), both null where there is one seed. */
export interface Interval {
  readonly mean: number;
  readonly low: number | null;
  readonly high: number | null;
}

/** Null where there is nothing to take the mean of, or a number was not finite: a run that diverged has no mean. */
export function interval(values: readonly (number | null)[]): Interval | null {
  const n = values.length;
  if (n === 0 || values.some((value) => value === null)) return null;
  const numbers = values as readonly number[];
  const mean = numbers.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { mean, low: null, high: null };
  const variance = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const half = student(n - 1) * Math.sqrt(variance / n);
  return { mean, low: mean - half, high: mean + half };
}

/** Student's t at 97.5 %. */
const student = (freedom: number): number => jStat.studentt.inv(0.975, freedom);

export const average = (values: readonly (number | null)[]): number | null => interval(values)?.mean ?? null;

/** '0.584 ± 0.031', or what there is of it. */
export function showInterval(value: Interval | null): string {
  if (value === null) return 'not finite';
  const mean = value.mean.toFixed(3);
  return value.high === null ? mean : `${mean} ± ${(value.high - value.mean).toFixed(3)}`;
}

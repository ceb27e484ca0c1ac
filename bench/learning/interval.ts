/** Means over seeds with their intervals. */

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

/** Student's t at 97.5 %, by degrees of freedom from 1. */
const STUDENT = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
] as const;

/** Beyond the table, the first terms of its expansion about the normal quantile (Abramowitz and Stegun 26.7.5), right to 0.001. */
const student = (freedom: number): number => {
  const z = 1.959964;
  return (
    STUDENT[freedom - 1] ?? z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2)
  );
};

export const average = (values: readonly (number | null)[]): number | null => interval(values)?.mean ?? null;

/** '0.584 ± 0.031', or what there is of it. */
export function showInterval(value: Interval | null): string {
  if (value === null) return 'not finite';
  const mean = value.mean.toFixed(3);
  return value.high === null ? mean : `${mean} ± ${(value.high - value.mean).toFixed(3)}`;
}

/** What many runs come to: means over seeds with their intervals, for the table and the plots. */

import { table } from '../table.ts';
import type { Run } from './run.ts';

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

/** Runs by algorithm, in the order in which algorithms come first. */
export function byAlgorithm(runs: readonly Run[]): Map<string, Run[]> {
  const groups = new Map<string, Run[]>();
  for (const run of runs) groups.set(run.algorithm, [...(groups.get(run.algorithm) ?? []), run]);
  return groups;
}

export type Curve = 'bins' | 'dead' | 'rank';

/** The interval over runs at each bin. */
export const curveOf = (runs: readonly Run[], curve: Curve): (Interval | null)[] =>
  Array.from({ length: runs[0]?.[curve].length ?? 0 }, (_, bin) =>
    interval(runs.map((run) => run[curve][bin] ?? null)),
  );

/** A line an algorithm: the first and the last tenth of the stream (at least a bin), and how the network stands at the end. */
export function plasticityRows(runs: readonly Run[]): string[][] {
  const [first] = runs;
  if (first === undefined) return [];
  const tenth = Math.max(1, Math.round(first.bins.length / 10));
  const over = (of: readonly Run[], pick: (run: Run) => readonly (number | null)[]): string =>
    show(interval(of.map((run) => average(pick(run)))));
  return [
    [
      'algorithm',
      'seeds',
      `${first.metric}, first ${tenth * first.binSize} steps`,
      'last',
      'dead at the end',
      'rank',
      'steps/s',
    ],
    ...[...byAlgorithm(runs)].map(([name, of]) => [
      name,
      String(of.length),
      over(of, ({ bins }) => bins.slice(0, tenth)),
      over(of, ({ bins }) => bins.slice(-tenth)),
      over(of, ({ dead }) => dead.slice(-1)),
      over(of, ({ rank }) => rank.slice(-1)),
      average(of.map(({ steps, seconds }) => steps / seconds))?.toFixed(0) ?? '',
    ]),
  ];
}

export const plasticityTable = (runs: readonly Run[]): string =>
  runs.length === 0 ? 'No runs.\n' : table(plasticityRows(runs));

const average = (values: readonly (number | null)[]): number | null => interval(values)?.mean ?? null;

/** '0.584 ± 0.031', or what there is of it. */
function show(value: Interval | null): string {
  if (value === null) return 'not finite';
  const mean = value.mean.toFixed(3);
  return value.high === null ? mean : `${mean} ± ${(value.high - value.mean).toFixed(3)}`;
}

/** What many runs come to: means over seeds with their intervals, for the table and the plots. */

import { average, type Interval, interval, showInterval } from '../interval.ts';
import { table } from '../table.ts';
import type { Condition, Run } from './run.ts';

/** Runs by algorithm, in the order in which algorithms come first. */
export function byAlgorithm(runs: readonly Run[]): Map<string, Run[]> {
  const groups = new Map<string, Run[]>();
  for (const run of runs) groups.set(run.algorithm, [...(groups.get(run.algorithm) ?? []), run]);
  return groups;
}

export type Curve = 'bins' | Condition;

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
    showInterval(interval(of.map((run) => average(pick(run)))));
  return [
    [
      'algorithm',
      'seeds',
      `${first.metric}, first ${tenth * first.binSize} steps`,
      'last',
      'dead at the end',
      'rank',
      'mean |w|',
      'steps/s',
    ],
    ...[...byAlgorithm(runs)].map(([name, of]) => [
      name,
      String(of.length),
      over(of, ({ bins }) => bins.slice(0, tenth)),
      over(of, ({ bins }) => bins.slice(-tenth)),
      // A network without hidden units has none that could die.
      ...(of.every(({ dead }) => dead.at(-1) === null)
        ? ['-', '-']
        : [over(of, ({ dead }) => dead.slice(-1)), over(of, ({ rank }) => rank.slice(-1))]),
      over(of, ({ magnitude }) => magnitude.slice(-1)),
      average(of.map(({ steps, seconds }) => steps / seconds))?.toFixed(0) ?? '',
    ]),
  ];
}

export const plasticityTable = (runs: readonly Run[]): string =>
  runs.length === 0 ? 'No runs.\n' : table(plasticityRows(runs));

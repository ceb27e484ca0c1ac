/** What many runs come to: means over seeds with their intervals, for the table and the plots. */

import { average, type Interval, interval } from '../interval.ts';
import { settingsText } from '../page.ts';
import { COMBINATIONS } from './combinations.ts';
import type { Run } from './run.ts';

/** The runs of a combination with one set of strengths, one for each seed. */
export interface Group {
  readonly name: string;
  /** At least one. */
  readonly runs: readonly Run[];
}

/** By combination, in the order of tables. */
export const groupsOf = (runs: readonly Run[]): Group[] =>
  COMBINATIONS.map(({ name }) => ({ name, runs: runs.filter(({ combination }) => combination === name) })).filter(
    (group) => group.runs.length > 0,
  );

/** What a run comes to in numbers. */
export const MEASURES = {
  average: (run: Run) => run.average,
  forgetting: (run: Run) => run.forgetting,
  early: (run: Run) => run.plasticity?.early ?? null,
  late: (run: Run) => run.plasticity?.late ?? null,
  /** The mean of what is known at the end and of what is reached on a new context late in the stream: strengths were chosen by it. */
  both: (run: Run) => (run.plasticity === null ? null : (run.average + run.plasticity.late) / 2),
} as const satisfies Readonly<Record<string, (run: Run) => number | null>>;

export type Measure = keyof typeof MEASURES;

export const measured = (runs: readonly Run[], measure: Measure): Interval | null =>
  interval(runs.map(MEASURES[measure]));

/** A line for each combination, in percent. */
export function compositionRows(runs: readonly Run[]): string[][] {
  return [
    [
      'combination',
      'seeds',
      'all, at the end, %',
      'forgetting',
      'new, early, %',
      'new, late, %',
      'both, %',
      'dead, %',
      'replaced',
      's',
    ],
    ...groupsOf(runs).map(({ name, runs: of }) => [
      name,
      String(of.length),
      ...(['average', 'forgetting', 'early', 'late', 'both'] as const).map((measure) =>
        inPercent(measured(of, measure)),
      ),
      (100 * (average(of.map(({ dead }) => dead)) ?? 0)).toFixed(0),
      average(of.map(({ replaced }) => replaced))?.toFixed(0) ?? '-',
      average(of.map(({ seconds }) => seconds))?.toFixed(1) ?? '',
    ]),
  ];
}

/** A line for each set of strengths that was tried, the best of each combination first. */
export function tuningRows(runs: readonly Run[]): string[][] {
  const tried = groupsOf(runs).flatMap(({ runs: of }) =>
    [...of].sort((a, b) => (MEASURES.both(b) ?? 0) - (MEASURES.both(a) ?? 0)),
  );
  return [
    ['combination', 'strengths', 'all, at the end, %', 'new, late, %', 'both, %'],
    ...tried.map((run) => [
      run.combination,
      settingsText(run.settings),
      ...(['average', 'late', 'both'] as const).map((measure) => inPercent(measured([run], measure))),
    ]),
  ];
}

/** The interval over runs after each context. */
export function curveOf(runs: readonly Run[], curve: 'learned' | 'remembered'): (Interval | null)[] {
  return Array.from({ length: runs[0]?.[curve]?.length ?? 0 }, (_, context) =>
    interval(runs.map((run) => run[curve]?.[context] ?? null)),
  );
}

/** '98.8 ± 0.3', or what there is of it. */
export function inPercent(value: Interval | null): string {
  if (value === null) return '-';
  const middle = (100 * value.mean).toFixed(1);
  return value.high === null ? middle : `${middle} ± ${(100 * (value.high - value.mean)).toFixed(1)}`;
}

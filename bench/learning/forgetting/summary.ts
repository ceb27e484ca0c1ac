/** What many runs come to: means over seeds with their intervals, beside those of another implementation. */

import { average, type Interval, interval } from '../interval.ts';
import { SCENARIOS } from './method.ts';
import { METHODS } from './methods.ts';
import type { Reference, ReferenceRun } from './reference.ts';
import type { Run } from './run.ts';

/** The runs of a method in a scenario, one for each seed. */
export interface Cell {
  readonly scenario: string;
  readonly method: string;
  /** At least one. */
  readonly runs: readonly Run[];
}

/** By scenario and method, both in the order of tables. */
export function cellsOf(runs: readonly Run[]): Cell[] {
  return SCENARIOS.flatMap((scenario) =>
    METHODS.map(({ name }) => ({
      scenario,
      method: name,
      runs: runs.filter((run) => run.scenario === scenario && run.method === name),
    })).filter(({ runs }) => runs.length > 0),
  );
}

/** Runs of the reference that are to be compared with this cell. */
export const referenceOf = (reference: Reference, cell: Cell): readonly ReferenceRun[] =>
  reference.runs.filter(({ scenario, method }) => scenario === cell.scenario && method === cell.method);

/** A line for each cell. Accuracies, forgetting and transfers are in percent. */
export function forgettingRows(runs: readonly Run[], reference: Reference | null = null): string[][] {
  const cells = cellsOf(runs);
  const head = ['scenario', 'method', 'seeds', 'accuracy, %', 'forgetting', 'backward', 'forward', 's a run'];
  return [
    reference === null ? head : [...head, 'reference, %', 'its seeds', 'intervals meet'],
    ...cells.map((cell) => {
      const accuracy = interval(cell.runs.map((run) => run.average));
      const line = [
        cell.scenario,
        cell.method,
        String(cell.runs.length),
        inPercent(accuracy),
        ...(['forgetting', 'bwt', 'fwt'] as const).map((name) =>
          inPercent(interval(cell.runs.map((run) => run[name]))),
        ),
        average(cell.runs.map(({ seconds }) => seconds))?.toFixed(0) ?? '',
      ];
      return reference === null ? line : [...line, ...besides(accuracy, referenceOf(reference, cell))];
    }),
  ];
}

function besides(own: Interval | null, theirs: readonly ReferenceRun[]): string[] {
  if (theirs.length === 0) return ['-', '-', '-'];
  const accuracy = interval(theirs.map((run) => run.average));
  return [inPercent(accuracy), String(theirs.length), meeting(own, accuracy)];
}

/** Whether two intervals share a number. */
export function meeting(a: Interval | null, b: Interval | null): string {
  if (a === null || b === null) return '-';
  if (a.low === null || a.high === null || b.low === null || b.high === null) return 'one seed';
  return a.low <= b.high && b.low <= a.high ? 'yes' : 'no';
}

/** '98.77 ± 0.31', or what there is of it. */
function inPercent(value: Interval | null): string {
  if (value === null) return '-';
  const [mean, half] = [100 * value.mean, value.high === null ? null : 100 * (value.high - value.mean)];
  return half === null ? mean.toFixed(2) : `${mean.toFixed(2)} ± ${half.toFixed(2)}`;
}

/** The mean of the matrices of some runs, of one shape. */
export function meanMatrix(runs: readonly Run[]): number[][] {
  const [first] = runs;
  if (first === undefined) return [];
  return first.matrix.map((row, i) =>
    row.map((_, j) => runs.reduce((sum, { matrix }) => sum + (matrix[i]?.[j] ?? 0), 0) / runs.length),
  );
}

/** Seeds whose digits come in another order in the reference than in these runs. */
export function otherOrders(runs: readonly Run[], reference: Reference): number[] {
  const seeds = new Set(
    reference.runs.flatMap(({ seed, digits }) => {
      const own = runs.find((run) => run.seed === seed);
      const differs = own?.digits && digits !== null && JSON.stringify(own.digits) !== JSON.stringify(digits);
      return differs ? [seed] : [];
    }),
  );
  return [...seeds].sort((a, b) => a - b);
}

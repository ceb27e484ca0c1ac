/**
 * The curves as CSV: the published columns first, then what the published grid did not have. A row is a point; rows stand in the order of
 * the jobs' ids, and within a job in that of the grid, so the same grid has the same rows however it was run.
 */

import { readFileSync } from 'node:fs';
import type { Done } from '../jobs/folder.ts';
import { byId, type Job } from '../jobs/job.ts';
import { UserError } from '../user-error.ts';
import { placesOf, type RunSettings, thresholdsOf } from './grid.ts';
import type { Run } from './run.ts';

export const COLUMNS = [
  ...['Epoch', 'Measure', 'Aggregation Level', 'Threshold Value', 'Loss', 'Validation Loss'],
  ...['Task', 'Model', 'Seed', 'Comparison', 'Replacement', 'Direction', 'Achieved Fraction', 'Accuracy'],
] as const;

/** Columns that say which point of which grid a row is; the others are what came out. */
const KEYS = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11];

const shown = (value: number | null): string => (value === null ? '' : String(value));

/** All points of these jobs; a loss that is not finite is empty. */
export function csvOf(jobs: readonly Done[]): string {
  const lines = [...jobs].sort(byId).flatMap(({ result }) => {
    const { task, model, seed, curves } = result as unknown as Run;
    return curves.flatMap(({ epoch, measure, aggregation, comparison, replacement, direction, points }) =>
      points.map(({ threshold, fraction, loss, validationLoss, accuracy }) =>
        [
          ...[epoch, measure, aggregation, threshold, shown(loss), shown(validationLoss)],
          ...[task, model, seed, comparison, replacement, direction, fraction, accuracy],
        ].join(','),
      ),
    );
  });
  return [COLUMNS.join(','), ...lines, ''].join('\n');
}

/** Throws a UserError where a file is there that holds anything but rows of the grid of these jobs. */
export function checkSameGrid(option: string, path: string, jobs: readonly Job[]): void {
  const refuse = (reason: string): never => {
    throw new UserError(`${option} ${path}: ${reason} It is left as it is; name another file, or remove it.`);
  };
  const text = readIfThere(option, path);
  if (text === null || text === '') return;
  const [head, ...lines] = text.split(/\r?\n/);
  if (head !== COLUMNS.join(',')) refuse('this is no CSV of this experiment.');
  const keys = new Set(
    jobs.flatMap(({ settings }) => {
      const told = settings as unknown as RunSettings;
      return placesOf(told).flatMap(({ epoch, measure, aggregation, comparison, replacement, direction }) =>
        thresholdsOf(told).map((threshold) =>
          [
            ...[epoch, measure, aggregation, threshold],
            ...[told.task, told.model, told.seed, comparison, replacement, direction],
          ].join(','),
        ),
      );
    }),
  );
  const stranger = lines.findIndex((line) => {
    const fields = line.split(',');
    return line !== '' && !keys.has(KEYS.map((column) => fields[column]).join(','));
  });
  if (stranger >= 0) refuse(`it holds the results of another grid (line ${stranger + 2}).`);
}

/** The same for a JSON file with what it was made by. */
export function checkSameJson(option: string, path: string, jobs: readonly Job[]): void {
  const text = readIfThere(option, path);
  if (text === null || text === '') return;
  let found: unknown;
  try {
    found = (JSON.parse(text) as { jobs?: unknown } | null)?.jobs;
  } catch {
    found = undefined;
  }
  const known = new Set(jobs.map(({ id }) => id));
  if (!Array.isArray(found) || !found.every((id) => known.has(id)))
    throw new UserError(
      `${option} ${path}: it holds ${Array.isArray(found) ? 'the results of another grid' : 'something else'}. It is left as it is; name another file, or remove it.`,
    );
}

function readIfThere(option: string, path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new UserError(`${option} ${path}: the file that is there cannot be read.`);
  }
}

/**
 * The accuracies of another implementation, to be set beside ours: a JSON file {"code", "commit", "runs": [{"experiment", "scenario",
 * "method", "seed", "average_accuracy", "digits"}]}, of which `experiment` and `digits` may be missing. What is in the file is not trusted.
 */

import { readFileSync } from 'node:fs';
import { UserError } from '../user-error.ts';
import type { ProblemName } from './method.ts';
import type { Digits } from './orders.ts';

export interface ReferenceRun {
  readonly scenario: string;
  readonly method: string;
  readonly seed: number;
  /** Mean over contexts of the accuracy at the end. */
  readonly average: number;
  /** Which digits came in which context; null where it does not say. */
  readonly digits: Digits | null;
}

export interface Reference {
  /** Whose accuracies they are. */
  readonly name: string;
  readonly runs: readonly ReferenceRun[];
}

/** What the file calls the problems. */
const EXPERIMENTS: Readonly<Record<ProblemName, string>> = { split: 'splitMNIST', permuted: 'permMNIST' };

/** The runs of this problem in the file. */
export function readReference(option: string, path: string, problem: ProblemName): Reference {
  const refuse = (what: string): never => {
    throw new UserError(`${option} ${path}: ${what}.`);
  };
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) refuse('this is no JSON');
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    refuse(code === 'ENOENT' ? 'there is no such file' : `the file cannot be read (${code})`);
  }
  const { code, commit, runs } = asRecord(value);
  if (!Array.isArray(runs)) return refuse('it has no list "runs"');
  const read = runs.map((run: unknown, i) => {
    const { experiment, scenario, method, seed, average_accuracy: average, digits } = asRecord(run);
    const isShare = typeof average === 'number' && average >= 0 && average <= 1;
    if (typeof scenario !== 'string' || typeof method !== 'string' || typeof seed !== 'number' || !isShare)
      return refuse(
        `runs[${i}] must have the texts scenario and method, a number seed and an average_accuracy from 0 to 1`,
      );
    const known = digits === undefined || isDigits(digits);
    if (!known) return refuse(`runs[${i}].digits must be a list of lists of numbers`);
    return { experiment, run: { scenario, method, seed, average, digits: digits ?? null } as ReferenceRun };
  });
  return {
    name: [code, commit].filter((text) => typeof text === 'string').join(', commit ') || 'the reference',
    runs: read
      .filter(({ experiment }) => experiment === undefined || experiment === EXPERIMENTS[problem])
      .map(({ run }) => run),
  };
}

const asRecord = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const isDigits = (value: unknown): value is Digits =>
  Array.isArray(value) &&
  value.every((context) => Array.isArray(context) && context.every((digit) => typeof digit === 'number'));

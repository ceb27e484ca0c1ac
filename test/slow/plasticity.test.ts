/** Whole runs of slowly changing regression, beside those of the authors' published code (test/golden). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { algorithmOf } from '../../bench/learning/plasticity/algorithms.ts';
import { runOne } from '../../bench/learning/plasticity/run.ts';

interface Golden {
  readonly runs: readonly { readonly algorithm: string; readonly bins: readonly number[] }[];
}
const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, '../golden/regression-curves.json'), 'utf8'),
) as Golden;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The error over the second half of the stream, the mean over runs. */
const lateError = (runs: readonly { readonly bins: readonly (number | null)[] }[]): number =>
  mean(runs.flatMap(({ bins }) => bins.slice(25).map((bin) => bin ?? Number.NaN)));

async function late(algorithm: string): Promise<number> {
  const settings = algorithmOf(algorithm).settings.regression;
  const told = {
    problem: 'regression',
    algorithm,
    settings,
    steps: 1_000_000,
    binSize: 20_000,
    change: 'all',
    data: null,
  } as const;
  const runs = [];
  for (const seed of [1, 2, 3]) runs.push(await runOne({ ...told, seed }));
  return lateError(runs);
}

const published = (name: string): number => lateError(golden.runs.filter(({ algorithm }) => algorithm === name));

describe('slowly changing regression over a million steps', () => {
  it('is unlearned by backprop and not by continual backprop, to the published extent', async () => {
    const [backprop, continual] = [await late('backprop'), await late('continual-backprop')];
    // Three seeds each, whose streams are others than those published: their means agree within the spread of runs.
    const there = {
      backprop: published('backprop, SGD 0.01'),
      continual: published('continual backprop, SGD 0.01, replacement rate 1e-4'),
    };
    expect(Math.abs(backprop / there.backprop - 1)).toBeLessThan(0.3);
    expect(Math.abs(continual / there.continual - 1)).toBeLessThan(0.3);
  });
});

/** What a job computes, on data that take no time. */
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { csvOf } from '../../../../bench/learning/importance/csv.ts';
import type { RunSettings } from '../../../../bench/learning/importance/grid.ts';
import { Kept } from '../../../../bench/learning/importance/kept.ts';
import { type Run, runOne } from '../../../../bench/learning/importance/run.ts';
import { type Curve, ORACLE_LIMIT } from '../../../../bench/learning/importance/validation.ts';
import { JobCheckpoint } from '../../../../bench/learning/jobs/checkpoint.ts';
import { makeJob, type Plain, type Settings } from '../../../../bench/learning/jobs/job.ts';
import { measures } from '../../../../src/index.ts';
import { dataFolder, temporaryFolder } from '../folder.ts';

const settings = (told: Partial<RunSettings> = {}): RunSettings => ({
  ...{
    task: 'function',
    model: 'tiny',
    seed: 1,
    epochs: [0, 2],
    measures: ['magnitude', 'random', 'oracle', 'signFlips'],
  },
  groupings: [
    ['none', 'layer'],
    ['unit', 'model'],
  ],
  ...{ replacements: ['noise', 'zero'], thresholds: 5, heldOut: 100, measured: 50, trained: 40 },
  ...{ batch: 100, lr: 0.01, data: null },
  ...told,
});
const essence = (run: Run): string => JSON.stringify({ ...run, seconds: 0 });
const of = (run: Run, more: Partial<Curve>): Curve[] =>
  run.curves.filter((curve) => Object.entries(more).every(([name, value]) => curve[name as keyof Curve] === value));

describe('a run', () => {
  let run: Run;
  beforeAll(async () => {
    run = await runOne(settings());
  });

  it('has a curve for each place of the grid, in its order', () => {
    expect(run.curves).toHaveLength(2 * 4 * 2 * 2 * 2);
    expect(run.curves.map(({ epoch }) => epoch)).toEqual([...Array(32).fill(0), ...Array(32).fill(2)]);
    expect(run.curves[0]).toMatchObject({
      measure: 'magnitude',
      aggregation: 'none',
      comparison: 'layer',
      direction: 'least',
    });
    for (const { points } of run.curves) {
      expect(points.map(({ threshold }) => threshold)).toEqual([0, 0.25, 0.5, 0.75, 1]);
      expect(points.map(({ fraction }) => fraction).sort((a, b) => a - b)).toEqual(
        points.map(({ fraction }) => fraction),
      );
      expect([points[0]!.fraction, points.at(-1)!.fraction]).toEqual([0, 1]);
    }
    expect(run).toMatchObject({
      task: 'function',
      model: 'tiny',
      seed: 1,
      parameters: 2 * 16 + 16 + 16 + 1,
      examples: 100,
    });
  });

  it('begins all curves of an epoch at the same network, and ends those that replace the same weights alike', () => {
    for (const epoch of [0, 2]) {
      const own = of(run, { epoch });
      const first = own.map(({ points: [point] }) => JSON.stringify({ ...point, threshold: 0 }));
      expect(new Set(first).size).toBe(1);
      for (const [aggregation, replacement] of [
        ['none', 'noise'],
        ['none', 'zero'],
        ['unit', 'noise'],
        ['unit', 'zero'],
      ] as const)
        expect(
          new Set(of(run, { epoch, aggregation, replacement }).map(({ points }) => JSON.stringify(points.at(-1)))).size,
        ).toBe(1);
    }
    // It has learned.
    expect(of(run, { epoch: 2 })[0]!.points[0]!.validationLoss!).toBeLessThan(
      of(run, { epoch: 0 })[0]!.points[0]!.validationLoss!,
    );
    // Without any weight the outputs are one number, and nothing is explained.
    expect(of(run, { epoch: 2, replacement: 'zero' }).every(({ points }) => points.at(-1)!.accuracy < 0.01)).toBe(true);
  });

  it('differs by measure, direction and replacement between', () => {
    const middle = (more: Partial<Curve>) =>
      of(run, { epoch: 2, aggregation: 'none', ...more })[0]!.points[2]!.validationLoss;
    const some = [
      middle({ measure: 'magnitude', direction: 'least', replacement: 'zero' }),
      middle({ measure: 'magnitude', direction: 'most', replacement: 'zero' }),
      middle({ measure: 'magnitude', direction: 'least', replacement: 'noise' }),
      middle({ measure: 'random', direction: 'least', replacement: 'zero' }),
      middle({ measure: 'signFlips', direction: 'least', replacement: 'zero' }),
    ];
    expect(new Set(some).size).toBe(some.length);
    expect(some[0]!).toBeLessThan(some[1]!);
  });

  it('says how far each measure agrees with what really happens', () => {
    expect(run.agreement.map(({ epoch, measure, aggregation }) => `${epoch} ${measure} ${aggregation}`)).toEqual(
      [0, 2].flatMap((epoch) =>
        ['magnitude', 'random', 'signFlips'].flatMap((measure) =>
          ['none', 'unit'].map((by) => `${epoch} ${measure} ${by}`),
        ),
      ),
    );
    const tau = (epoch: number, name: string) =>
      run.agreement.find((one) => one.epoch === epoch && one.measure === name)!.tau;
    expect(tau(2, 'magnitude')!).toBeGreaterThan(0.2);
    expect(Math.abs(tau(2, 'random')!)).toBeLessThan(tau(2, 'magnitude')!);
    // Before any step no sign has changed: all are tied.
    expect(tau(0, 'signFlips')).toBe(null);
  });

  it('gives the same curves whichever measures are beside, and others with another seed', async () => {
    const alone = await runOne(
      settings({ measures: ['signFlips', 'random'], groupings: [['unit', 'model']], epochs: [2] }),
    );
    for (const measure of ['random', 'signFlips'])
      expect(of(alone, { measure })).toEqual(of(run, { measure, epoch: 2, aggregation: 'unit' }));
    const other = await runOne(settings({ measures: ['random'], seed: 2 }));
    expect(of(other, { measure: 'random' })).not.toEqual(of(run, { measure: 'random' }));
  });

  it('asks the oracle of the held-out examples, and other measures of the training data', async () => {
    const names = ['oracle', 'taylor'];
    const told = settings({ measures: names, groupings: [['none', 'layer']], replacements: ['zero'], epochs: [2] });
    const [some, fewer] = await Promise.all([runOne(told), runOne({ ...told, measured: 5 })]);
    expect(of(fewer, { measure: 'oracle' })).toEqual(of(some, { measure: 'oracle' }));
    expect(of(fewer, { measure: 'taylor' })).not.toEqual(of(some, { measure: 'taylor' }));
  });

  it('that is killed after every measure gives the rows of one that is not', async () => {
    class Killed extends JobCheckpoint {
      override get isDue(): boolean {
        return true;
      }
      override async save(parts: Parameters<JobCheckpoint['save']>[0]): Promise<void> {
        await super.save(parts);
        throw new Error('killed');
      }
    }
    const place = { job: 'a', path: join(temporaryFolder(), 'x') };
    let kills = 0;
    let pieces: Run | null = null;
    while (pieces === null)
      try {
        pieces = await runOne(settings(), undefined, new Killed(place, (word) => expect(word).toBe('')));
      } catch (error) {
        if (!(error instanceof Error && error.message === 'killed')) throw error;
        if (++kills > 20) throw new Error('It does not get on.');
      }
    expect(kills).toBe(8);
    expect(essence(pieces)).toBe(essence(run));
    const job = makeJob(['a'], settings() as unknown as Settings);
    expect(csvOf([{ ...job, result: pieces as unknown as Plain }])).toBe(
      csvOf([{ ...job, result: run as unknown as Plain }]),
    );
    expect(pieces.seconds.costs.map(({ measure }) => measure)).toEqual(run.seconds.costs.map(({ measure }) => measure));
  });

  it('tells how far it is, from 0 to 1', async () => {
    const seen: number[] = [];
    const now = performance.now.bind(performance);
    let leap = 0;
    performance.now = () => now() + 300 * leap++;
    try {
      await runOne(settings({ measures: ['random'], thresholds: 2 }), async (share) => void seen.push(share));
    } finally {
      performance.now = now;
    }
    expect(seen.length).toBeGreaterThan(5);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.every((share) => share >= 0 && share <= 1)).toBe(true);
  });
});

describe('what is kept of a run', () => {
  it('comes back into the same lists, in the place of what they held', () => {
    const state = new Kept({ some: [1, { a: null }], none: [] }).stateDict();
    const lists = { some: ['old'] as unknown[], none: ['old'] as unknown[] };
    const { some } = lists;
    new Kept(lists).loadStateDict(state);
    expect(lists).toEqual({ some: [1, { a: null }], none: [] });
    expect(lists.some).toBe(some);
  });
});

describe('a run on images', () => {
  const images = (told: Partial<RunSettings>) =>
    settings({
      ...{ task: 'mnist', data: dataFolder(), epochs: [2], heldOut: 50, batch: 20, replacements: ['noise'] },
      ...told,
    });

  it('has filters of convolutions, and says where the oracle would take too long', async () => {
    const run = await runOne(
      images({
        ...{ model: 'cnn', thresholds: 3, heldOut: 5, trained: 5, measures: ['magnitude', 'oracle'] },
        groupings: [
          ['filter', 'layer'],
          ['unit', 'layer'],
          ['none', 'layer'],
        ],
      }),
    );
    const weights = 16 * 9 + 32 * 16 * 9 + 10 * 32 * 2 * 3;
    expect(run.left).toEqual(
      [`oracle has no cells in cnn by none: ${weights + 58} removals are more than ${ORACLE_LIMIT}.`].concat([]),
    );
    expect(of(run, { measure: 'oracle' }).map(({ aggregation }) => aggregation)).toEqual([
      'filter',
      'filter',
      'unit',
      'unit',
    ]);
    expect(run.curves).toHaveLength(2 * 3 + 4);
    expect(run.agreement.map(({ aggregation }) => aggregation)).toEqual(['filter', 'unit']);
  });

  it('takes every measure that there is', { timeout: 20_000 }, async () => {
    const names = Object.keys(measures);
    const run = await runOne(
      images({ measures: names, groupings: [['unit', 'layer']], thresholds: 2, heldOut: 10, measured: 10 }),
    );
    expect(run.seconds.costs.map(({ measure }) => measure)).toEqual(names);
    expect(new Set(run.curves.map(({ measure }) => measure)).size).toBe(names.length);
    expect(run.agreement).toHaveLength(names.length - 1);
    // Accuracy counts right answers.
    expect((run.curves[0]!.points[0]!.accuracy * 10) % 1).toBeCloseTo(0, 9);
  });
});

/** Anchors in the order of a measure: what a job computes, on data that take no time. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AnchorSettings, anchorJobsOf } from '../../../../bench/learning/importance/anchors/grid.ts';
import { halvesOf, inMemory } from '../../../../bench/learning/importance/anchors/halves.ts';
import {
  LEVELS,
  levelsOf,
  meanPrecision,
  precisions,
  precisionsOf,
} from '../../../../bench/learning/importance/anchors/precision.ts';
import { type AnchorRun, runOne } from '../../../../bench/learning/importance/anchors/run.ts';
import type { Wanted } from '../../../../bench/learning/importance/grid.ts';
import { areaBetween } from '../../../../bench/learning/importance/ordering.ts';
import { runOne as removalOf } from '../../../../bench/learning/importance/run.ts';
import { type Examples, openTask, type Task } from '../../../../bench/learning/importance/tasks.ts';
import { JobCheckpoint } from '../../../../bench/learning/jobs/checkpoint.ts';
import { Generator, Linear, ReLU, rank, Sequential, tensor } from '../../../../src/index.ts';
import { numbersOf } from '../../../../src/tensor/tensor.ts';
import { idxFile, temporaryFolder } from '../folder.ts';

describe('two halves of a task', () => {
  const labels = Int32Array.of(4, 0, 3, 2, 1, 3, 0);
  const inputs = (rows: Int32Array): Float32Array => Float32Array.from(rows, (row) => 10 * row);
  const examples: Examples = { count: 7, labels, inputs };
  const task: Task = { shape: [1], outputs: 5, train: examples, heldOut: examples, targets: null };

  it('have the same columns for other classes, and no example twice; a last odd class is in neither', () => {
    const [first, second] = halvesOf(task, 5);
    expect([first.outputs, second.outputs]).toEqual([2, 2]);
    const all = Int32Array.of(0, 1, 2);
    expect([...first.train.labels]).toEqual([0, 1, 0]);
    expect([...first.train.inputs(all)]).toEqual([10, 40, 60]);
    expect([...second.train.labels]).toEqual([1, 0, 1]);
    expect([...second.train.inputs(all)]).toEqual([20, 30, 50]);
    expect([...second.heldOut.inputs(Int32Array.of(2, 0))]).toEqual([50, 20]);
  });

  it('in memory are the same, and are computed once', () => {
    let calls = 0;
    const counted = inMemory({
      ...examples,
      inputs(rows) {
        calls++;
        return inputs(rows);
      },
    });
    expect([...counted.inputs(Int32Array.of(6, 0, 6))]).toEqual([60, 0, 60]);
    counted.inputs(Int32Array.of(1));
    expect(calls).toBe(1);
    expect(inMemory({ count: 0, labels: new Int32Array(), inputs }).inputs(new Int32Array())).toHaveLength(0);
  });
});

describe('precisions by rank', () => {
  const model = new Sequential(new Linear(20, 20), new ReLU(), new Linear(20, 10));
  const importance = (spread: number) => {
    const generator = new Generator(1);
    const of = (shape: [number, number]) =>
      tensor(
        Array.from({ length: shape[0] }, () => Array.from({ length: shape[1] }, () => spread ** generator.normal())),
      );
    return new Map([
      ['0.weight', of([20, 20])],
      ['2.weight', of([10, 20])],
    ]);
  };
  const numbersOfName = (own: ReturnType<typeof precisions>, name: string): number[] => [...numbersOf(own.get(name)!)];

  it('rise with the importance, evenly in their logarithm over the wanted powers of ten', () => {
    const ladder = precisionsOf(2);
    expect(ladder).toHaveLength(LEVELS);
    for (let i = 1; i < LEVELS; i++) expect(Math.log10(ladder[i]! / ladder[i - 1]!)).toBeCloseTo(2 / LEVELS, 12);
    expect(ladder[0]! * ladder[LEVELS - 1]!).toBeCloseTo(10 ** -2, 12);
    const own = importance(3);
    const found = precisions(model, rank(model, own, { compare: 'layer' }), 2);
    for (const name of ['0.weight', '2.weight']) {
      const [w, p] = [numbersOf(own.get(name)!), numbersOfName(found, name)];
      const order = [...w.keys()].sort((a, b) => w[a]! - w[b]!);
      order.forEach((place, i) => {
        expect(p[place]).toBeCloseTo(ladder[Math.floor((LEVELS * i) / w.length)]!, 6);
      });
    }
  });

  it('are the same numbers whatever the measure and its ties; only who has which differs', () => {
    const sorted = (own: ReturnType<typeof precisions>, name: string) => numbersOfName(own, name).sort((a, b) => a - b);
    const tied = new Map(
      [...importance(3)].map(([name, { shape }]) => [name, tensor(Array(20 * shape[0]!).fill(1), shape)]),
    );
    for (const compare of ['layer', 'model'] as const) {
      const generator = new Generator(5);
      const [one, other, ties] = [importance(1.01), importance(100), tied].map((own) =>
        precisions(model, rank(model, own, { compare, generator }), 2),
      ) as [ReturnType<typeof precisions>, ReturnType<typeof precisions>, ReturnType<typeof precisions>];
      // The order of the first two is the same: so is everything.
      for (const name of ['0.weight', '2.weight']) expect(numbersOfName(one, name)).toEqual(numbersOfName(other, name));
      const all = (own: ReturnType<typeof precisions>) =>
        [...sorted(own, '0.weight'), ...sorted(own, '2.weight')].sort((a, b) => a - b);
      expect(all(ties)).toEqual(all(one));
      expect(numbersOfName(ties, '0.weight')).not.toEqual(numbersOfName(one, '0.weight'));
    }
  });

  it('of weights without a rank are the mean of all', () => {
    const found = precisions(model, rank(model, importance(3)), 2);
    expect(new Set(numbersOfName(found, '0.bias'))).toEqual(new Set([Math.fround(meanPrecision(2))]));
    // The integral of 10^(-2 (1 - q)).
    expect(meanPrecision(2)).toBeCloseTo(0.99 / (2 * Math.LN10), 4);
    // Units have a bias: it has the rank of its unit.
    const units = precisions(model, rank(model, importance(3), { by: 'unit' }), 2);
    const weights = numbersOfName(units, '0.weight');
    expect(numbersOfName(units, '0.bias')).toEqual(Array.from({ length: 20 }, (_, unit) => weights[20 * unit]));
    expect(new Set(weights).size).toBe(20);
  });

  it('follow every ranking: a weight is of the level at which it would go', () => {
    const ranking = rank(model, importance(3), { compare: 'row' });
    const levels = levelsOf(ranking);
    for (const t of [0.01, 0.35, 0.5, 0.99]) {
      const gone = new Set(ranking.removed(t));
      levels.forEach((level, place) => {
        expect(level < Math.round(t * LEVELS)).toBe(gone.has(place));
      });
    }
  });
});

const wanted: Omit<Wanted, 'data'> = {
  ...{ tasks: ['mnist'], models: ['tiny'], measures: ['random', 'magnitude', 'oracle'] },
  ...{ aggregations: ['none', 'unit'], comparison: ['layer'], replacement: ['noise', 'zero'], thresholds: 3 },
  ...{ epochs: [1, 6], seeds: 1, 'held-out': 100 },
};

describe('a job of anchors', () => {
  let told: AnchorSettings;
  let run: AnchorRun;
  const small = (more: Partial<AnchorSettings> = {}): AnchorSettings => ({
    ...{ ...told, batch: 10, lr: 0.01, strengths: [1000, 1, 1e-6] },
    ...more,
  });
  const data = mkdtempSync(join(tmpdir(), 'palimpsest-'));
  afterAll(() => rmSync(data, { recursive: true, force: true }));
  beforeAll(async () => {
    // What is one class of the first half is another one of the second: it cannot be learned without forgetting.
    const columnOf = (label: number): number => (label < 5 ? label : (label - 4) % 5);
    for (const [name, count] of [
      ['train', 200],
      ['t10k', 200],
    ] as const) {
      const generator = new Generator(count);
      const pixels = Uint8Array.from({ length: count * 96 }, (_, p) => {
        const bright = p % 12 === columnOf(Math.floor(p / 96) % 10);
        return 210 * generator.uniform() + (bright ? 45 : 0);
      });
      writeFileSync(join(data, `${name}-images-idx3-ubyte`), idxFile([count, 8, 12], pixels));
      const labels = Uint8Array.from({ length: count }, (_, i) => i % 10);
      writeFileSync(join(data, `${name}-labels-idx1-ubyte`), idxFile([count], labels));
    }
    const { jobs } = await anchorJobsOf({ ...wanted, data });
    told = { ...(jobs[0]!.settings as unknown as AnchorSettings), data };
    run = await runOne(small());
  });

  it('says all that its result depends on, beside its word', async () => {
    const { jobs, left } = await anchorJobsOf({
      ...{ ...wanted, tasks: ['embedded', 'function'], seeds: 2, data: null },
    });
    expect(jobs.map(({ id }) => id.replace(/_[0-9a-f]{10}$/, ''))).toEqual([
      'anchors_embedded_tiny_seed1',
      'anchors_embedded_tiny_seed2',
    ]);
    expect(jobs[1]!.settings).toEqual({
      ...{ experiment: 'anchors', task: 'embedded', model: 'tiny', seed: 2, epochs: [6], measures: wanted.measures },
      groupings: [
        ['none', 'layer'],
        ['unit', 'layer'],
      ],
      ...{ replacements: ['noise', 'zero'], thresholds: 3, heldOut: 100, measured: 1000, trained: 250 },
      ...{ batch: 64, lr: 0.001, data: null, decades: 2 },
      strengths: [1000, 300, 100, 30, 10, 3, 1, 0.3, 0.1, 0.03, 0.01],
    });
    expect(left).toEqual([
      'Anchors need two sets of at least two classes, and function has none: it has no cells there.',
    ]);
    await expect(anchorJobsOf({ ...wanted, tasks: ['embedded'], epochs: [0], data: null })).rejects.toThrow(
      'Nothing is left of this grid. Anchors hold what was learned: the last of --epochs must be 1 or more.',
    );
  });

  it('has every measure in every grouping at every strength, and its area in every replacement', () => {
    expect(run.anchored.map(({ measure, aggregation }) => `${measure} ${aggregation}`)).toEqual(
      wanted.measures.flatMap((measure) => [`${measure} none`, `${measure} unit`]),
    );
    for (const { trials } of [...run.anchored, { trials: run.equal }])
      expect(trials.map(({ strength }) => strength)).toEqual([1000, 1, 1e-6]);
    expect(
      run.removed.map(({ measure, aggregation, replacement }) => [measure, aggregation, replacement].join(' ')),
    ).toEqual(
      wanted.measures.flatMap((measure) =>
        ['none noise', 'none zero', 'unit noise', 'unit zero'].map((rest) => `${measure} ${rest}`),
      ),
    );
    expect(run).toMatchObject({
      task: 'mnist',
      model: 'tiny',
      seed: 1,
      epoch: 6,
      parameters: 96 * 16 + 16 + 16 * 5 + 5,
    });
    expect(run.examples).toEqual({ first: 100, second: 100 });
  });

  it('keeps all where the anchor is firm, and is as free as without where it is loose', () => {
    expect(run.before.first).toBeGreaterThan(0.9);
    expect(run.free.second).toBeGreaterThan(run.before.second + 0.3);
    expect(run.free.first).toBeLessThan(run.before.first - 0.2);
    for (const { trials } of run.anchored) {
      const [firm, middle, loose] = trials as [(typeof trials)[0], (typeof trials)[0], (typeof trials)[0]];
      expect(Math.abs(firm.first - run.before.first)).toBeLessThan(0.1);
      expect(firm.second).toBeLessThan(run.before.second + 0.15);
      expect([loose.first, loose.second]).toEqual([run.free.first, run.free.second]);
      expect(middle.first).not.toBe(firm.first);
    }
    // Who holds which matters.
    const of = (measure: string) => JSON.stringify(run.anchored.find((one) => one.measure === measure)!.trials);
    expect(of('magnitude')).not.toBe(of('random'));
  });

  it('has the areas of a removal of the first half alone', async () => {
    const [first] = halvesOf(await openTask('mnist', told.data), 10);
    expect(first.train.count).toBe(100);
    // The same network learns all ten classes here, so areas differ.
    const other = await removalOf(small());
    const [least, most] = other.curves.filter(({ measure }) => measure === 'magnitude');
    const magnitude = run.removed.find(({ measure }) => measure === 'magnitude')!;
    expect(magnitude.area).not.toBe(areaBetween(least!, most!).area);
    expect(magnitude.area).toBeGreaterThan(0.05);
    expect(magnitude.tau90).toBeGreaterThanOrEqual(0);
  });

  it('gives the same trials whichever measures are beside, and others with another seed', async () => {
    const alone = await runOne(
      small({ measures: ['magnitude'], groupings: [['none', 'layer']], replacements: ['noise'] }),
    );
    expect(alone.anchored).toEqual(
      run.anchored.filter(({ measure, aggregation }) => measure === 'magnitude' && aggregation === 'none'),
    );
    expect(alone.removed).toEqual(
      run.removed.filter(
        (one) => one.measure === 'magnitude' && one.aggregation === 'none' && one.replacement === 'noise',
      ),
    );
    expect([alone.before, alone.free, alone.equal]).toEqual([run.before, run.free, run.equal]);
    const other = await runOne(small({ measures: [], seed: 2 }));
    expect(other.equal).not.toEqual(run.equal);
  });

  it('has no anchors of an oracle that would take too long, and says so', async () => {
    const found = await runOne(
      small({ model: 'mlp', epochs: [1], measures: ['oracle'], groupings: [['none', 'layer']], strengths: [1] }),
    );
    expect([found.anchored, found.removed]).toEqual([[], []]);
    expect(found.left).toEqual([
      expect.stringMatching(/^oracle has no cells in mlp by none: \d+ removals are more than 2000\.$/),
    ]);
  });

  it('says so where nothing is learned: there is nothing to be matched', async () => {
    const found = await runOne(small({ measures: [], strengths: [1], lr: 1e-9 }));
    expect(found.left).toEqual([
      'tiny on mnist, seed 1, learns nothing of the second half even without an anchor: it is left out.',
    ]);
    expect(run.left).toEqual([]);
  });

  it('that is killed after every measure comes to the same', async () => {
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
    let pieces: AnchorRun | null = null;
    while (pieces === null)
      try {
        pieces = await runOne(small(), undefined, new Killed(place, (word) => expect(word).toBe('')));
      } catch (error) {
        if (!(error instanceof Error && error.message === 'killed')) throw error;
        if (++kills > 20) throw new Error('It does not get on.');
      }
    expect(kills).toBe(4);
    expect({ ...pieces, seconds: 0 }).toEqual({ ...run, seconds: 0 });
    expect(pieces.seconds.costs).toHaveLength(3);
  });

  it('tells how far it is, from 0 to 1', async () => {
    const seen: number[] = [];
    await runOne(small({ measures: ['random'], strengths: [1] }), async (share) => void seen.push(share));
    expect(seen.length).toBeGreaterThan(200);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.every((share) => share > 0 && share <= 1)).toBe(true);
    expect(seen.at(-1)).toBeGreaterThan(0.9);
  });
});

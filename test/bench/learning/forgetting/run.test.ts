import { describe, expect, it } from 'vitest';
import type { Contender } from '../../../../bench/learning/forgetting/method.ts';
import { METHODS, methodOf } from '../../../../bench/learning/forgetting/methods.ts';
import { digitsOf } from '../../../../bench/learning/forgetting/orders.ts';
import { mlp, openScenario } from '../../../../bench/learning/forgetting/problem.ts';
import { type RunSettings, runOne } from '../../../../bench/learning/forgetting/run.ts';
import { training } from '../../../../bench/learning/forgetting/train.ts';
import { evaluate } from '../../../../src/continual/evaluate.ts';
import { er } from '../../../../src/continual/replay/er.ts';
import type { Context } from '../../../../src/data/scenarios.ts';
import { Adam, crossEntropy, Generator } from '../../../../src/index.ts';
import { dataFolder, idxPair } from '../folder.ts';

const DIGITS = digitsOf('natural', 1);

/** Contexts of 40 images of 8 x 12 pixels. */
const tiny = (told: Partial<RunSettings> = {}): RunSettings => ({
  ...{ problem: 'split', scenario: 'class', method: 'none', settings: {}, seed: 1, digits: DIGITS, contexts: 5 },
  ...{ hidden: [24], lr: 0.01, batch: 16, iterations: 30, data: dataFolder() },
  ...told,
});

const timeless = async (told: Partial<RunSettings> = {}) => ({ ...(await runOne(tiny(told))), seconds: 0 });

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe('a run in the scenario class', () => {
  it('without a method knows the context that it learned last, and no other', async () => {
    const run = await runOne(tiny({ iterations: 80 }));
    expect(run.matrix).toHaveLength(5);
    run.matrix.forEach((row, i) => {
      row.forEach((accuracy, j) => {
        if (i === j) expect(accuracy).toBeGreaterThan(0.9);
        if (j > i) expect(accuracy).toBe(0);
      });
    });
    expect(mean(run.matrix[4]!.slice(0, 4))).toBeLessThan(0.2);
    expect(run.average).toBeCloseTo(mean(run.matrix[4]!), 12);
    const lost = [0, 1, 2, 3].map(
      (j) => Math.max(...run.matrix.slice(0, 4).map((row) => row[j]!)) - run.matrix[4]![j]!,
    );
    expect(run.forgetting).toBeCloseTo(mean(lost), 12);
    expect(run.bwt).toBeCloseTo(mean([0, 1, 2, 3].map((j) => run.matrix[4]![j]! - run.matrix[j]![j]!)), 12);
    expect(run.fwt).toBeCloseTo(mean([1, 2, 3, 4].map((j) => run.matrix[j - 1]![j]! - run.initial[j]!)), 12);
    expect(run.seconds).toBeGreaterThan(0);
  });

  it('gives the same bits for the same settings, and others for another seed', async () => {
    const run = await timeless({ method: 'er', settings: { perClass: 5 } });
    expect(await timeless({ method: 'er', settings: { perClass: 5 } })).toEqual(run);
    const other = await timeless({ method: 'er', settings: { perClass: 5 }, seed: 2 });
    expect(other.initial).not.toEqual(run.initial);
    expect(run).toMatchObject({
      problem: 'split',
      scenario: 'class',
      method: 'er',
      settings: { perClass: 5 },
      seed: 1,
    });
    expect(run).toMatchObject({ digits: DIGITS, contexts: 5, hidden: [24], lr: 0.01, batch: 16, iterations: 30 });
    expect(run).not.toHaveProperty('data');
  });

  it('learns all contexts at once in the course joint, for as many steps, and is asked once', async () => {
    const shares: number[] = [];
    const run = await runOne(tiny({ method: 'joint' }), async (done) => void shares.push(done));
    expect(run.matrix).toHaveLength(1);
    expect(Math.min(...run.matrix[0]!)).toBeGreaterThan(0.9);
    expect(run).toMatchObject({ forgetting: null, bwt: null, fwt: null });
    expect(shares.every((share) => share > 0 && share <= 1)).toBe(true);
  });
});

describe('the courses', () => {
  it('are steps of one Adam, whose moments go from context to context', async () => {
    const told = tiny({ iterations: 7 });
    const { contexts } = await openScenario(told);
    const root = new Generator(1);
    const [weights, order] = [root.fork(), root.fork()];
    const model = mlp([96, 24, 10], weights);
    const adam = new Adam(model.parameters(), { lr: 0.01 });
    const rightOn = ({ test }: Context): number => {
      const rows = [...test.labels.keys()];
      const answers = model.forward(test.inputs(rows)).argmax(1).toArray() as number[];
      return mean(answers.map((answer, row) => Number(answer === test.labels[row])));
    };
    const matrix = contexts.map((context) => {
      // 40 images are two batches of 16; the rest of a pass is dropped.
      for (let step = 0, rows: Int32Array = new Int32Array(0); step < 7; step++) {
        if (step % 2 === 0) rows = order.permutation(40);
        const batch = rows.slice(16 * (step % 2), 16 * (step % 2) + 16);
        const loss = crossEntropy(
          model.forward(context.train.inputs(batch)),
          batch.map((row) => context.train.labels[row]!),
        );
        adam.zeroGrad();
        loss.backward();
        adam.step();
      }
      return contexts.map(rightOn);
    });
    expect((await runOne(told)).matrix).toEqual(matrix);
  });

  it('call the hooks of methods around every context; what is for nothing at the very end is left out where it says so', async () => {
    const scenario = await openScenario(tiny());
    const heard = (endsLast?: false): string[] => {
      const words: string[] = [];
      const method = {
        name: 'ear',
        begin: ({ index }: Context) => void words.push(`begin ${index}`),
        stepped: () => void words.push('step'),
        end: ({ index }: Context) => void words.push(`end ${index}`),
      };
      const contender: Contender = {
        ...{ name: 'ear', about: '', scenarios: ['class'], course: 'sequence', settings: () => ({}) },
        ...(endsLast === false && { endsLast }),
        make: () => [method],
      };
      const { course, steps } = training({ ...tiny({ iterations: 2 }), scenario, contender });
      const events = [...course()];
      expect(events.filter((event) => event === 'step')).toHaveLength(steps);
      expect(events.filter((event) => event === 'ended')).toHaveLength(5);
      return words;
    };
    const all = [0, 1, 2, 3, 4].flatMap((k) => [`begin ${k}`, 'step', 'step', `end ${k}`]);
    expect(heard()).toEqual(all);
    expect(heard(false)).toEqual(all.slice(0, -1));
  });

  it('joint takes examples of every context in each step where they have heads of their own', async () => {
    const scenario = await openScenario(tiny({ scenario: 'task' }));
    const { course, steps, learner } = training({
      ...tiny({ iterations: 30 }),
      ...{ scenario, contender: methodOf('joint') },
    });
    expect(steps).toBe(150);
    expect([...course()].filter((event) => event === 'step')).toHaveLength(150);
    for (const context of scenario.contexts) expect(evaluate(learner, context)).toBeGreaterThan(0.9);
  });
});

describe('methods', () => {
  it('start from the same weights and see the same batches: the first context goes alike wherever they keep out of it', async () => {
    const rows = await Promise.all(
      ['none', 'er', 'a-gem', 'gem', 'lwf'].map(async (method) => {
        const { initial, matrix } = await runOne(
          tiny({ method, settings: methodOf(method).settings('split', 'class'), iterations: 12 }),
        );
        return { initial, first: matrix[0] };
      }),
    );
    for (const row of rows) expect(row).toEqual(rows[0]);
  });

  it('have one name each, settings for every problem, and run in each of their scenarios', {
    timeout: 60_000,
  }, async () => {
    expect(new Set(METHODS.map(({ name }) => name)).size).toBe(METHODS.length);
    expect(() => methodOf('magic')).toThrow("There is no method 'magic'.");
    for (const { name, scenarios, settings, course } of METHODS)
      for (const scenario of scenarios) {
        expect(Object.values(settings('permuted', scenario))).not.toContain(undefined);
        const run = await runOne(
          tiny({ method: name, scenario, settings: settings('split', scenario), iterations: 4 }),
        );
        expect(run.matrix).toHaveLength(course === 'joint' ? 1 : 5);
        expect(run.matrix.flat().every((accuracy) => accuracy >= 0 && accuracy <= 1)).toBe(true);
        expect(run.method).toBe(name);
      }
  });

  it('are made of those of the library, as their settings say', async () => {
    const scenario = await openScenario(tiny());
    const parts = { scenario, batch: 16, iterations: 3, generator: new Generator(1) };
    const names = METHODS.filter(({ course }) => course === 'sequence').map(({ name, make, settings }) => [
      name,
      make(parts, settings('split', 'task')).map((method) => method.name),
    ]);
    expect(Object.fromEntries(names)).toMatchObject({
      ...{ none: [], ewc: ['ewc'], 'online-ewc': ['onlineEwc'], si: ['si'], lwf: ['lwf'], er: ['er'] },
      ...{ 'a-gem': ['agem'], gem: ['gem'], 'der++': ['derpp'], hat: ['hat'], packnet: ['packnet'] },
    });
    // Of what is kept as many are drawn as a batch has.
    const accuraciesOf = (contender: Contender): number[] => {
      const plan = { ...tiny({ iterations: 4, settings: { perClass: 10 } }), scenario, contender };
      const { course, learner } = training(plan);
      for (const _ of course());
      return scenario.contexts.map((context) => evaluate(learner, context));
    };
    const kept = (batchSize: number): Contender => ({
      ...methodOf('er'),
      make: ({ generator }) => [er({ perClass: 10, batchSize, generator })],
    });
    expect(accuraciesOf(methodOf('er'))).toEqual(accuraciesOf(kept(16)));
    expect(accuraciesOf(kept(4))).not.toEqual(accuraciesOf(kept(16)));
  });

  it('separate has networks of their own, which nothing else touches', async () => {
    const { initial, matrix } = await runOne(tiny({ method: 'separate', scenario: 'task' }));
    matrix.forEach((row, i) => {
      row.forEach((accuracy, j) => {
        expect(accuracy).toBe(j > i ? initial[j] : matrix[j]![j]);
      });
    });
    expect(Math.min(...matrix[4]!)).toBeGreaterThan(0.9);
  });

  it('er remembers what none forgets', async () => {
    const [none, er] = await Promise.all([runOne(tiny()), runOne(tiny({ method: 'er', settings: { perClass: 10 } }))]);
    expect(er.average).toBeGreaterThan(none.average + 0.3);
    expect(er.forgetting).toBeLessThan(none.forgetting! - 0.3);
  });
});

describe('the scenarios', () => {
  it('have the digits in the order that they are told, in columns of the output', async () => {
    const data = dataFolder();
    const told = { ...tiny({ digits: digitsOf('reference', 1) }), data };
    const { contexts, outputs } = await openScenario(told);
    expect(outputs).toBe(10);
    expect(contexts.map(({ head }) => head)).toEqual(Array.from({ length: 5 }, () => [0, 10]));
    // The first context is of 4 and 6: bright columns 4 and 6 of 12.
    const { train } = contexts[0]!;
    const x = train.inputs([0, 1]).toArray() as number[][];
    const bright = x.map((pixels) => pixels.slice(0, 12).indexOf(1));
    expect(bright).toEqual([4, 6]);
    expect([...train.labels.slice(0, 2)]).toEqual([0, 1]);
    expect(Math.max(...x.flat())).toBe(1);
    const domain = await openScenario({ ...told, scenario: 'domain' });
    expect(domain.outputs).toBe(2);
    const task = await openScenario({ ...told, scenario: 'task' });
    expect(task.contexts.map(({ head }) => head[0])).toEqual([0, 2, 4, 6, 8]);
  });

  it('permuted has ten contexts of 32 x 32 pixels', async () => {
    const [train, test] = [idxPair(60, 12, 12), idxPair(20, 12, 12)];
    const data = dataFolder({
      ...{ 'train-images-idx3-ubyte': train.images, 'train-labels-idx1-ubyte': train.labels },
      ...{ 't10k-images-idx3-ubyte': test.images, 't10k-labels-idx1-ubyte': test.labels },
    });
    const told = { ...tiny({ problem: 'permuted', scenario: 'domain', digits: null, contexts: 10 }), data };
    const { contexts, inputShape, outputs } = await openScenario(told);
    expect([contexts.length, inputShape, outputs]).toEqual([10, [1024], 10]);
    const run = await runOne({ ...told, iterations: 2 });
    expect(run.matrix.map(({ length }) => length)).toEqual(Array.from({ length: 10 }, () => 10));
  });

  it('refuse batches that are larger than a context', async () => {
    await expect(runOne(tiny({ batch: 41 }))).rejects.toThrow(/context 0 has 40 training examples/);
  });
});

describe('the network', () => {
  it('has weights and biases within 1 / sqrt(inputs), and ReLU between its layers', () => {
    const model = mlp([100, 50, 50, 10], new Generator(1));
    expect([...model].map((layer) => layer.constructor.name)).toEqual(['Linear', 'ReLU', 'Linear', 'ReLU', 'Linear']);
    const largest = model
      .parameters()
      .map((p) => p.toFloat32Array().reduce((most, x) => Math.max(most, Math.abs(x)), 0));
    for (const [i, bound] of [0.1, 1 / Math.sqrt(50), 1 / Math.sqrt(50)].entries())
      for (const found of largest.slice(2 * i, 2 * i + 2)) {
        expect(found).toBeLessThanOrEqual(bound + 1e-7);
        expect(found).toBeGreaterThan(0.8 * bound);
      }
  });
});

describe('orders of digits', () => {
  it('are natural, or those of the published runs for their seeds, or drawn', () => {
    expect(digitsOf('natural', 3)).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
      [8, 9],
    ]);
    // numpy.random.seed(2); numpy.random.permutation(10) is 4 1 5 0 7 2 3 6 9 8: digit 3 is class 0, digit 1 class 1, and so on.
    const classes = [4, 1, 5, 0, 7, 2, 3, 6, 9, 8];
    expect(digitsOf('reference', 2).flat()).toEqual(classes.map((_, c) => classes.indexOf(c)));
    for (const seed of [1, 2, 3, 4, 5])
      expect([...digitsOf('reference', seed).flat()].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(digitsOf('reference', 4)).toEqual(digitsOf('reference', 4));
    expect(digitsOf('reference', 4)).not.toEqual(digitsOf('reference', 5));
  });
});

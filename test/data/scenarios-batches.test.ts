import { describe, expect, it } from 'vitest';
import { type Batch, type Context, type Scenario, type ScenarioKind, splitScenario } from '../../src/data/scenarios.ts';
import { contextBatches, joint, mixedBatches, scenarioStream } from '../../src/data/scenarios-batches.ts';
import { Generator } from '../../src/random/generator.ts';

/** Four classes, two a context; `counts` examples of each, of two numbers: the example's own and 100 times its class. */
function scenarioOf(kind: ScenarioKind, counts: readonly number[] = [5, 5, 5, 5], more = {}): Scenario {
  const labels = counts.flatMap((count, label) => Array.from({ length: count }, () => label));
  // Classes in turn rather than one after the other.
  const order = labels.map((_, i) => i).sort((a, b) => ((a * 7) % labels.length) - ((b * 7) % labels.length));
  const mixed = order.map((i) => labels[i]!);
  const part = (from: number) => ({ inputs: mixed.flatMap((label, i) => [from + i, 100 * label]), labels: mixed });
  return splitScenario({ train: part(0), test: part(50), shape: [2] }, { kind, ...more });
}

const namesOf = ({ x }: Batch) => (x.toArray() as number[][]).map(([name]) => name!);
const contextOf = (scenario: Scenario, index: number) => scenario.contexts[index] as Context;

describe('contextBatches', () => {
  const context = contextOf(scenarioOf('class'), 1);
  const options = { batchSize: 3, iterations: 7 };
  const drawn = (seed: number) => [...contextBatches(context, { ...options, generator: new Generator(seed) })];

  it('takes each example at most once a pass, in a new order each pass, and drops what is left over', () => {
    const names = drawn(1).map(namesOf);
    expect(names.map((batch) => batch.length)).toEqual([3, 3, 3, 3, 3, 3, 3]);
    const passes = [names.slice(0, 3), names.slice(3, 6)].map((pass) => pass.flat());
    for (const pass of passes) expect(new Set(pass).size).toBe(9);
    expect(passes[0]).not.toEqual(passes[1]);
    // Ten examples: which one is left over differs.
    const many = [...contextBatches(context, { ...options, iterations: 300, generator: new Generator(2) })];
    expect(new Set(many.flatMap(namesOf)).size).toBe(10);
  });

  it('gives inputs with their own labels, the head and the number of the context', () => {
    for (const { x, labels, head, context: number } of drawn(3)) {
      expect(x.shape).toEqual([3, 2]);
      expect([...labels]).toEqual((x.toArray() as number[][]).map(([, hundreds]) => hundreds! / 100));
      expect([head, number]).toEqual([[0, 4], 1]);
    }
  });

  it('is decided by the generator, from which each loop draws anew', () => {
    expect(drawn(4).map(namesOf)).toEqual(drawn(4).map(namesOf));
    expect(drawn(4).map(namesOf)).not.toEqual(drawn(5).map(namesOf));
    const twice = contextBatches(context, { ...options, generator: new Generator(4) });
    const first = [...twice].map(namesOf);
    expect([...twice].map(namesOf)).not.toEqual(first);
  });

  it('takes the whole context where a batch is as large, and nothing where no batches are asked for', () => {
    const [only] = [...contextBatches(context, { batchSize: 10, iterations: 1 })];
    const x = context.train.inputs([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(namesOf(only!).sort()).toEqual(namesOf({ ...only!, x }).sort());
    expect([...contextBatches(context, { batchSize: 10, iterations: 0 })]).toEqual([]);
  });

  it('says before the first batch that there are too few examples', () => {
    expect(() => contextBatches(context, { batchSize: 11, iterations: 1 })).toThrow(
      'contextBatches: context 1 has 10 training examples, too few for one batch of 11 (incomplete ones are dropped). Choose a smaller batchSize.',
    );
    expect(() => contextBatches(context, { batchSize: 0, iterations: 1 })).toThrow(
      /batchSize must be an integer from 1/,
    );
    expect(() => contextBatches(context, { batchSize: 1, iterations: 0.5 })).toThrow(/iterations must be an integer/);
  });
});

describe('joint', () => {
  it('is one context of all examples, each with the input and the label that it has in its own', () => {
    for (const kind of ['domain', 'class'] as const) {
      const scenario = scenarioOf(kind, [2, 3, 1, 4]);
      const all = joint(scenario);
      expect([all.index, all.kind, all.head]).toEqual([0, kind, kind === 'domain' ? [0, 2] : [0, 4]]);
      for (const part of ['train', 'test'] as const) {
        const own = scenario.contexts.flatMap((context) => {
          const { labels, inputs } = context[part];
          return (inputs(labels.map((_, i) => i)).toArray() as number[][]).map((x, i) => [x, labels[i]]);
        });
        expect(own.length).toBe(10);
        const { labels, inputs } = all[part];
        // Rows of both contexts in turn, some twice.
        const rows = [9, 0, 4, 5, 0, 8, 1, 7, 2, 6, 3];
        const x = inputs(rows).toArray() as number[][];
        expect(x.map((input, i) => [input, labels[rows[i]!]])).toEqual(rows.map((row) => own[row]));
        expect(labels.length).toBe(10);
      }
      expect(all.train.inputs([]).shape).toEqual([0, 2]);
      expect(() => all.train.inputs([10])).toThrow('joint: there is no example 10 in this context; it has 0 to 9.');
    }
  });

  it('has the widest head where heads grow', () => {
    expect(joint(scenarioOf('class', [1, 1, 1, 1], { activeClasses: 'seen' })).head).toEqual([0, 4]);
  });

  it('is refused where each context has a head of its own, and where there are none', () => {
    expect(() => joint(scenarioOf('task'))).toThrow(/share no batch\. Use mixedBatches\.$/);
    expect(() => joint({ ...scenarioOf('class'), contexts: [] })).toThrow('joint: the scenario has no contexts.');
  });
});

describe('mixedBatches', () => {
  it('gives each time a batch of every context, of ceil(batchSize / contexts) examples', () => {
    const steps = [...mixedBatches(scenarioOf('task'), { batchSize: 5, iterations: 6, generator: new Generator(1) })];
    expect(steps.length).toBe(6);
    for (const batches of steps) {
      expect(batches.map(({ context, head, labels }) => [context, head, labels.length])).toEqual([
        [0, [0, 2], 3],
        [1, [2, 4], 3],
      ]);
      for (const { labels, x } of batches)
        expect([...labels]).toEqual((x.toArray() as number[][]).map(([, hundreds]) => hundreds! / 100));
    }
    // Each context is passed through for itself.
    for (const context of [0, 1]) {
      const pass = steps.slice(0, 3).flatMap((batches) => namesOf(batches[context]!));
      expect(new Set(pass).size).toBe(9);
    }
  });

  it('says what is wrong before the first batch', () => {
    const options = { batchSize: 21, iterations: 1 };
    expect(() => mixedBatches(scenarioOf('task'), options)).toThrow(
      /context 0 has 10 training examples, too few for one batch of 11/,
    );
    expect(() => mixedBatches(scenarioOf('task'), { ...options, batchSize: 20 })).not.toThrow();
    expect(() => mixedBatches({ ...scenarioOf('task'), contexts: [] }, options)).toThrow(
      'the scenario has no contexts',
    );
    expect(() => mixedBatches(scenarioOf('task'), { ...options, batchSize: -1 })).toThrow(/batchSize must be/);
  });
});

describe('scenarioStream', () => {
  const contextsOf = (kind: ScenarioKind, options: Partial<Parameters<typeof scenarioStream>[1]>) => [
    ...scenarioStream(scenarioOf(kind), { batchSize: 2, iterations: 5, generator: new Generator(3), ...options }),
  ];

  it('gives each context its batches, one context after the other', () => {
    const seen = contextsOf('task', {});
    expect(seen.map(({ context }) => context)).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    for (const pass of [seen.slice(0, 5), seen.slice(5)]) expect(new Set(pass.flatMap(namesOf)).size).toBe(10);
    for (const { x, labels, head, context } of seen) {
      expect(head).toEqual([2 * context, 2 * context + 2]);
      expect([...labels]).toEqual((x.toArray() as number[][]).map(([, hundreds]) => hundreds! / 100));
    }
  });

  it('lets the next context take over gradually, only as far around the boundary as it is told', () => {
    const counts = new Float64Array(40);
    const runs = 200;
    for (let seed = 0; seed < runs; seed++)
      contextsOf('class', { iterations: 20, blend: 10, generator: new Generator(seed) }).forEach(({ context }, i) => {
        counts[i]! += context / runs;
      });
    expect([...counts.slice(0, 15)]).toEqual(new Array(15).fill(0));
    for (let i = 25; i < 40; i++) expect(counts[i]).toBeCloseTo(1, 10);
    // The chance is (i + 1/2) / 10; five standard deviations of a mean of 200 coins are 0.18 at most.
    for (let i = 0; i < 10; i++) expect(Math.abs(counts[15 + i]! - (i + 0.5) / 10)).toBeLessThan(0.18);
    const middle = counts.slice(15, 25).reduce((sum, count) => sum + count);
    expect(Math.abs(middle - 5)).toBeLessThan(0.5);
  });

  it('draws the same examples of a context whether contexts blend or not', () => {
    const namesIn = (batches: Batch[], wanted: number) =>
      batches.filter(({ context }) => context === wanted).flatMap(namesOf);
    const [apart, blended] = [contextsOf('class', {}), contextsOf('class', { blend: 5 })];
    const order = blended.map(({ context }) => context);
    expect(order).not.toEqual([...order].sort());
    for (const context of [0, 1]) {
      const [one, other] = [namesIn(apart, context), namesIn(blended, context)];
      const length = Math.min(one.length, other.length);
      expect(length).toBeGreaterThan(4);
      expect(other.slice(0, length)).toEqual(one.slice(0, length));
    }
  });

  it('is that context alone where there is one', () => {
    const scenario = scenarioOf('class', [5, 5], {});
    const seen = [...scenarioStream(scenario, { batchSize: 2, iterations: 4, blend: 4 })];
    expect(seen.map(({ context }) => context)).toEqual([0, 0, 0, 0]);
  });

  it('says what is wrong before the first batch', () => {
    const stream =
      (options: object, scenario = scenarioOf('class')) =>
      () =>
        scenarioStream(scenario, { batchSize: 2, iterations: 5, ...options });
    expect(stream({ blend: 6 })).toThrow('scenarioStream: blend must be an integer from 0 to 5, but it is 6.');
    expect(stream({ batchSize: 11 })).toThrow(/context 0 has 10 training examples/);
    expect(stream({}, { ...scenarioOf('class'), contexts: [] })).toThrow(
      'scenarioStream: the scenario has no contexts.',
    );
  });
});

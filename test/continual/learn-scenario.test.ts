import { describe, expect, it } from 'vitest';
import {
  Adam,
  ContinualLearner,
  evaluate,
  Generator,
  Linear,
  learnScenario,
  Sequential,
  splitScenario,
} from '../../src/index.ts';

const inputs = Array.from({ length: 24 }, (_, i) => [Math.floor(i / 6), i % 6]).flat();
const part = { inputs, labels: Array.from({ length: 24 }, (_, i) => Math.floor(i / 6)) };
const scenarioOf = (kind: 'task' | 'domain' | 'class', more = {}) =>
  splitScenario({ train: part, test: part, shape: [2] }, { kind, ...more });

function learnerOf(outputs: number, methods: ConstructorParameters<typeof ContinualLearner>[0]['methods'] = []) {
  const model = new Sequential(new Linear(2, outputs, { generator: new Generator(3) }));
  return new ContinualLearner({ model, optimizer: new Adam(model.parameters(), { lr: 0.05 }), methods });
}

describe('learnScenario', () => {
  it('learns each context in turn, and asks about all after each', () => {
    const log: string[] = [];
    const told: [number, readonly number[]][] = [];
    const watching = {
      name: 'watching',
      begin: ({ index }: { index: number }) => void log.push(`begin ${index}`),
      stepped: () => void log.push('step'),
      end: ({ index }: { index: number }) => void log.push(`end ${index}`),
    };
    const learner = learnerOf(4, [watching]);
    const scenario = scenarioOf('task');
    const matrix = learnScenario(learner, scenario, {
      ...{ batchSize: 4, iterations: 3, generator: new Generator(1) },
      learned: (context, row) => told.push([context, row]),
    });
    const course = (index: number) => [`begin ${index}`, 'step', 'step', 'step', `end ${index}`];
    expect(log).toEqual([...course(0), ...course(1)]);
    expect(matrix).toHaveLength(2);
    expect(told).toEqual([...matrix.entries()]);
    expect(matrix[1]).toEqual(scenario.contexts.map((context) => evaluate(learner, context)));
  });

  it('asks about contexts of the past in the head that has grown, and of the future in their own', () => {
    const learner = learnerOf(4);
    const { contexts, ...rest } = scenarioOf('class', { activeClasses: 'seen' });
    const heads: (readonly number[])[] = [];
    const asked = Object.assign(Object.create(learner) as ContinualLearner, {
      begin() {},
      learn: () => 0,
      end() {},
      predict(x: { shape: readonly number[] }, head: readonly [number, number]) {
        heads.push(head);
        return new Int32Array(x.shape[0]!);
      },
    });
    learnScenario(asked, { ...rest, contexts }, { batchSize: 4, iterations: 0 });
    expect(heads).toEqual([
      [0, 2],
      [0, 4],
      [0, 4],
      [0, 4],
    ]);
  });

  it('refuses what does not fit before the first context is learned', () => {
    let begun = 0;
    const learner = learnerOf(4, [{ name: 'counting', begin: () => void begun++ }]);
    expect(() => learnScenario(learner, scenarioOf('task'), { batchSize: 13, iterations: 1 })).toThrow(
      /context 0 has 12 training examples, too few for one batch of 13/,
    );
    expect(begun).toBe(0);
  });
});

describe('ContinualLearner', () => {
  it('refuses methods that were not made, and an optimizer of another model', () => {
    const model = new Sequential(new Linear(2, 4));
    const optimizer = new Adam(model.parameters());
    const given = (methods: unknown[]) => () => new ContinualLearner({ model, optimizer, methods: methods as never });
    function ewc() {}
    expect(given([ewc])).toThrow(
      'ContinualLearner: methods[0] is the function ewc. Give what it returns: ewc({ ... }).',
    );
    expect(given([{ name: 'a' }, null])).toThrow('ContinualLearner: methods[1] is no method but null.');
    expect(given([3])).toThrow('ContinualLearner: methods[0] is no method but number.');
    const other = new Adam(new Linear(2, 4).parameters());
    expect(() => new ContinualLearner({ model, optimizer: other })).toThrow(
      "ContinualLearner: the optimizer holds none of the model's parameters. Make it over model.parameters() of this model.",
    );
    // Some of them is enough: the others are held still on purpose.
    expect(() => new ContinualLearner({ model, optimizer: new Adam([model.parameters()[1]!]) })).not.toThrow();
  });
});

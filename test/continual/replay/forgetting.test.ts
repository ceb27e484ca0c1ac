/** The methods at work: on two small contexts, together, and over many steps. */
import { describe, expect, it } from 'vitest';
import { ContinualLearner } from '../../../src/continual/learner.ts';
import type { Method } from '../../../src/continual/method.ts';
import { agem } from '../../../src/continual/replay/agem.ts';
import { der, derpp } from '../../../src/continual/replay/der.ts';
import { er } from '../../../src/continual/replay/er.ts';
import { gem } from '../../../src/continual/replay/gem.ts';
import { lwf } from '../../../src/continual/replay/lwf.ts';
import { Adam } from '../../../src/optim/adam.ts';
import { Generator } from '../../../src/random/generator.ts';
import { memoryInUse } from '../../../src/storage/dispatch.ts';
import { accuracies, batchOf, network, rowsOf, twoContexts } from './toy.ts';

const generator = () => new Generator(1);
const batchSize = 32;
const methods: Record<string, () => Method> = {
  'er by class': () => er({ perClass: 20, batchSize, generator: generator() }),
  'er from a reservoir': () => er({ buffer: 'reservoir', capacity: 60, batchSize, generator: generator() }),
  der: () => der({ capacity: 60, batchSize, alpha: 1, generator: generator() }),
  derpp: () => derpp({ capacity: 60, batchSize, alpha: 0.5, beta: 0.5, generator: generator() }),
  lwf: () => lwf(),
  agem: () => agem({ perClass: 20, batchSize, generator: generator() }),
  gem: () => gem({ perContext: 64 }),
};

describe('of two contexts, the first is kept better than by training on', () => {
  // By how much at least, in accuracy on the first context.
  const gains: Record<string, Record<string, number>> = {
    task: { 'er by class': 0.1, 'er from a reservoir': 0.1, der: 0.08, derpp: 0.08, lwf: 0.1, agem: 0.1, gem: 0.08 },
    domain: { 'er by class': 0.6, 'er from a reservoir': 0.6, der: 0.6, derpp: 0.6, lwf: 0.3, agem: 0.4, gem: 0.6 },
    class: { 'er by class': 0.6, 'er from a reservoir': 0.6, der: 0.6, derpp: 0.6, lwf: 0.1, agem: 0.4, gem: 0.6 },
  };

  for (const kind of ['task', 'domain', 'class'] as const) {
    const plain = accuracies(kind, []);
    for (const [name, make] of Object.entries(methods))
      it(`by ${name} in the scenario ${kind}`, () => {
        const [first, second] = accuracies(kind, [make()]);
        expect(first - plain[0]).toBeGreaterThan(gains[kind]![name]!);
        expect(second).toBeGreaterThan(plain[1] - 0.15);
      });
  }

  it('and the same seeds give the same weights', () => {
    const run = () => {
      const model = network(2);
      const optimizer = new Adam(model.parameters(), { lr: 0.01 });
      const all = Object.values(methods).map((make) => make());
      train(new ContinualLearner({ model, optimizer, methods: all }), 10);
      return Object.values(model.stateDict()).map((one) => one.toArray());
    };
    expect(run()).toEqual(run());
  });
});

function train(learner: ContinualLearner, steps: number): void {
  const draw = new Generator(3);
  for (const one of twoContexts('domain')) {
    learner.begin(one);
    for (let i = 0; i < steps; i++) learner.learn(batchOf(one, rowsOf(200, 32, draw)));
    learner.end();
  }
}

describe('over many steps', () => {
  const together = ['all of them', ...Object.keys(methods)];
  for (const name of together) {
    it(`kernel memory does not grow with ${name}`, () => {
      const chosen = Object.entries(methods).filter(([one]) => one === name || name === 'all of them');
      const all = chosen.map(([, make]) => make());
      // Wide enough for its gradients to be worth a region of their own.
      const model = network(2, 400);
      const learner = new ContinualLearner({ model, optimizer: new Adam(model.parameters()), methods: all });
      const [first, second] = twoContexts('domain');
      const draw = new Generator(3);
      const step = (one = second!) => learner.learn(batchOf(one, rowsOf(200, 16, draw)));
      learner.begin(first!);
      for (let i = 0; i < 20; i++) step(first!);
      learner.end();
      learner.begin(second!);
      for (let i = 0; i < 40; i++) step();
      const peak = (steps: number): number => {
        let most = 0;
        for (let i = 0; i < steps; i++) {
          step();
          most = Math.max(most, memoryInUse());
        }
        return most;
      };
      const before = peak(20);
      expect(peak(100)).toBeLessThanOrEqual(before);
    });
  }
});

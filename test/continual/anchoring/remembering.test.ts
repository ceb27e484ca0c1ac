/** Two contexts, one after the other: what is left of the first. */
import { describe, expect, it } from 'vitest';
import { ewc } from '../../../src/continual/anchoring/ewc.ts';
import { mas } from '../../../src/continual/anchoring/mas.ts';
import { rwalk } from '../../../src/continual/anchoring/rwalk.ts';
import { si } from '../../../src/continual/anchoring/si.ts';
import { ContinualLearner } from '../../../src/continual/learner.ts';
import type { Method } from '../../../src/continual/method.ts';
import { Adam } from '../../../src/index.ts';
import { accuracy, blobs, learnAll, network } from './toys.ts';

/** Mean accuracies in the first and the second context after both, over three networks and tasks. */
function remembered(build: () => readonly Method[]): [first: number, second: number] {
  const sums: [number, number] = [0, 0];
  for (const seed of [1, 3, 5]) {
    const model = network(seed);
    const optimizer = new Adam(model.parameters(), { lr: 0.01 });
    const learner = new ContinualLearner({ model, optimizer, methods: build() });
    const contexts = [blobs(0, 20 + seed), blobs(1, 40 + seed)] as const;
    learnAll(learner, contexts, 120);
    for (const [i, context] of contexts.entries()) sums[i as 0 | 1] += accuracy(learner, context) / 3;
  }
  return sums;
}

describe('two contexts that share their outputs', () => {
  const [plain] = remembered(() => []);

  it('the first is forgotten in good part by plain training', () => {
    expect(plain).toBeLessThan(0.7);
  });

  it.each<[string, () => Method]>([
    ['ewc', () => ewc({ lambda: 100 })],
    ['ewc, implicit', () => ewc({ lambda: 100, step: 'implicit' })],
    ['online ewc', () => ewc({ lambda: 100, online: {} })],
    ['si', () => si({ strength: 10 })],
    ['mas', () => mas({ lambda: 0.1 })],
    ['rwalk', () => rwalk({ lambda: 1 })],
  ])('%s remembers it clearly better, and learns the second', (_, build) => {
    const [first, second] = remembered(() => [build()]);
    expect(first - plain).toBeGreaterThan(0.13);
    expect(second).toBeGreaterThan(0.89);
  });
});

/** Anchors, continual backprop and confidence in one learner: what one draws anew the others let go of, and less is forgotten. */
import { describe, expect, it } from 'vitest';
import '../../src/ops/methods.ts';
import { confidence } from '../../src/continual/confidence.ts';
import { ContinualLearner, headLoss } from '../../src/continual/learner.ts';
import { packnet } from '../../src/continual/masks/packnet.ts';
import type { Method } from '../../src/continual/method.ts';
import { continualBackprop } from '../../src/continual/plasticity-methods.ts';
import { ReLU } from '../../src/nn/activation.ts';
import { Sequential } from '../../src/nn/container.ts';
import { Linear } from '../../src/nn/linear.ts';
import { Adam } from '../../src/optim/adam.ts';
import { Generator } from '../../src/random/generator.ts';
import { type Anchor, anchor } from '../../src/state/anchor.ts';
import { onReset } from '../../src/state/reset.ts';
import { kept } from '../../src/state/side-state.ts';
import { tensor } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { accuracy, learnContext, learnSteps, toyContexts } from './toy-contexts.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const contexts = toyContexts({ contexts: 3, size: 6, seed: 4 });
const steps = 150;

/** Holds weights by the squared gradients of a context's examples, when it ends: anchors, and nothing else. */
function anchoring(strength: number): Method & { readonly anchors: Anchor[] } {
  const anchors: Anchor[] = [];
  return {
    name: 'anchoring',
    anchors,
    end({ train, head }, { parameters, output }) {
      const sums = new Map([...parameters.values()].map((w) => [w, new Float64Array(w.size)]));
      for (let row = 0; row < 32; row++) {
        for (const w of sums.keys()) w.grad = null;
        headLoss(output(train.inputs([row])), train.labels.slice(row, row + 1), head).backward();
        for (const [w, sum] of sums) for (const [i, g] of read(w.grad!).entries()) sum[i]! += (g * g) / 32;
      }
      for (const [w, sum] of sums) {
        const precision = tensor(
          Float32Array.from(sum, (f) => strength * f),
          w.shape,
        );
        anchors.push(anchor(w, { precision }));
      }
    },
  };
}

function network(methods: readonly Method[]) {
  const generator = new Generator(3);
  const [first, second] = [new Linear(6, 24, { generator }), new Linear(24, 24, { generator })];
  const model = new Sequential(first, new ReLU(), second, new ReLU(), new Linear(24, 6, { generator }));
  const learner = new ContinualLearner({ model, optimizer: new Adam(model.parameters(), { lr: 5e-3 }), methods });
  return { first, second, model, learner };
}

const backprop = (protect = 1) =>
  continualBackprop({
    rate: 2e-3,
    maturity: 20,
    protect,
    utility: 'adaptableContribution',
    generator: new Generator(9),
  });

/** Mean loss of accuracy on contexts of the past, after the last. */
function forgetting(learner: ContinualLearner): { lost: number; learned: number } {
  const first = contexts.map((context) => {
    learnContext(learner, context, steps);
    return accuracy(learner, context);
  });
  const lost = contexts.map((context, i) => first[i]! - accuracy(learner, context)).slice(0, -1);
  return { lost: (lost[0]! + lost[1]!) / 2, learned: Math.min(...first) };
}

describe('anchors, continual backprop and confidence in one learner', () => {
  it('stay finite, draw units anew, keep gates within 0 and 1, and forget less than none of them', () => {
    const [holding, resetting, guard] = [
      anchoring(400),
      backprop(),
      confidence({ every: 5, online: false, quantile: 0.7 }),
    ];
    const own = network([holding, resetting, guard]);
    const together = forgetting(own.learner);
    const alone = forgetting(network([]).learner);
    expect(resetting.replaced).toBeGreaterThan(5);
    expect(holding.anchors).toHaveLength(18);
    for (const w of own.model.parameters()) {
      expect(read(w).every(Number.isFinite)).toBe(true);
      expect(read(kept(w, 'selective.gate')!).every((gate) => gate >= 0 && gate <= 1)).toBe(true);
    }
    expect(alone.lost).toBeGreaterThan(0.1);
    expect(together.lost).toBeLessThan(0.5 * alone.lost);
    expect(together.learned).toBeGreaterThan(0.8);
  });

  it('let go of weights that are drawn anew: no anchor holds them, no gate freezes them', () => {
    const [holding, resetting, guard] = [anchoring(400), backprop(), confidence({ every: 5, online: false })];
    const own = network([holding, resetting, guard]);
    learnContext(own.learner, contexts[0]!, steps);
    const w = own.first.weight;
    const held = holding.anchors.find(({ parameter }) => parameter === w)!;
    const gates = () => read(kept(w, 'selective.gate')!);
    const shut = gates();
    let newborn = -1;
    const remove = onReset(w, (elements) => {
      newborn = elements[0]! / 6;
      const rowOf = (numbers: readonly number[]) => numbers.slice(6 * newborn, 6 * newborn + 6);
      expect(elements).toHaveLength(6);
      expect(rowOf(read(held.precision))).toEqual([0, 0, 0, 0, 0, 0]);
      expect(rowOf(read(held.at))).toEqual(rowOf(read(w)));
      expect(rowOf(gates())).toEqual([1, 1, 1, 1, 1, 1]);
      expect(Math.min(...rowOf(shut))).toBeLessThan(1);
    });
    own.learner.begin(contexts[1]!);
    for (let i = 0; i < 40 && newborn < 0; i++) learnSteps(own.learner, contexts[1]!, 10);
    remove();
    expect(newborn).toBeGreaterThanOrEqual(0);
    // Its outgoing weights are 0: they move at the first step, its incoming ones at the second.
    const before = read(w).slice(6 * newborn, 6 * newborn + 6);
    learnSteps(own.learner, contexts[1]!, 3);
    read(w)
      .slice(6 * newborn, 6 * newborn + 6)
      .forEach((one, i) => {
        expect(one).not.toBe(before[i]);
      });
  });

  it('replace units that are held less, where protection counts', () => {
    /** The mean mass of units that were replaced, over that of their layer. */
    const massReplaced = (protect: number) => {
      const holding = anchoring(400);
      const options = { rate: 4e-3, maturity: 20, utility: 'random', generator: new Generator(9) } as const;
      const own = network([holding, continualBackprop({ ...options, protect })]);
      learnContext(own.learner, contexts[0]!, 20);
      const precisions = (w: Tensor) => read(holding.anchors.find(({ parameter }) => parameter === w)!.precision);
      const total = (numbers: readonly number[]) => numbers.reduce((sum, p) => sum + p, 0);
      const [rows, columns] = [precisions(own.first.weight), precisions(own.second.weight)];
      const bias = precisions(own.first.bias!);
      const mass = bias.map(
        (p, u) => p + total(rows.slice(6 * u, 6 * u + 6)) + total(columns.filter((_, i) => i % 24 === u)),
      );
      const replaced = new Set<number>();
      const remove = onReset(own.first.weight, (elements) => void replaced.add(elements[0]! / 6));
      own.learner.begin(contexts[1]!);
      learnSteps(own.learner, contexts[1]!, 60);
      remove();
      expect(replaced.size).toBeGreaterThan(1);
      return total([...replaced].map((unit) => mass[unit]!)) / replaced.size / (total(mass) / 24);
    };
    expect(massReplaced(0)).toBeGreaterThan(0.5);
    expect(massReplaced(100)).toBeLessThan(0.2);
  });
});

it('PackNet beside continual backprop: newborn units learn, and contexts of the past stay', () => {
  const resetting = backprop(0);
  const packing = packnet({ prune: 0.6, steps });
  const own = network([packing, resetting]);
  learnContext(own.learner, contexts[0]!, steps);
  const owned = [...packing.ownersOf(own.first.weight)!].filter((owner) => owner === 0).length;
  const before = resetting.replaced;
  let unfrozen = 0;
  const remove = onReset(own.first.weight, (elements) => {
    const owners = packing.ownersOf(own.first.weight)!;
    for (const element of elements) if (owners[element] !== 0) unfrozen++;
  });
  learnContext(own.learner, contexts[1]!, steps);
  remove();
  expect(resetting.replaced).toBeGreaterThan(before);
  expect(unfrozen % 6).toBe(0);
  expect([...packing.ownersOf(own.first.weight)!].filter((owner) => owner === 0).length).toBeLessThanOrEqual(owned);
  expect(own.model.parameters().flatMap(read).every(Number.isFinite)).toBe(true);
});

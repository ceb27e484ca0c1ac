/** How far rules are from backpropagation: angles and norms of known cases, readings of targets, and that nothing changes. */
import { describe, expect, it } from 'vitest';
import {
  backward,
  buffer,
  crossEntropy,
  gradientRule,
  gradients,
  inboxOf,
  Linear,
  linear,
  manualSeed,
  mul,
  type NodeRule,
  parameter,
  ReLU,
  randn,
  Sequential,
  setRule,
  slope,
  spring,
  sum,
  type Tensor,
  target,
  tensor,
  withRules,
  zeros,
} from '../../src/index.ts';
import { compareUpdates, type UpdateComparison } from '../../src/rules/diagnostics.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';

/** A rule that sends these gradients instead. */
const instead = (...sent: (Tensor | null)[]): NodeRule => ({
  ...{ name: 'instead', accepts: 'gradient', surrogate: true },
  propagate: (visit) => visit.inputs.map((_, i) => (sent[i] ? slope(sent[i]) : null)),
});
/** w of two numbers, with the gradient [3, 4] of backpropagation, and another in force. */
function pair(sent: Tensor | null) {
  const w = parameter(tensor([1, 1]));
  return { w, loss: () => sum(setRule(mul(w, tensor([3, 4])), instead(sent))) };
}
const only = (list: readonly UpdateComparison[]): UpdateComparison => {
  expect(list).toHaveLength(1);
  return list[0]!;
};

describe('compareUpdates', () => {
  it('gives the angle to the direction of descent, and the ratio of the norms', () => {
    for (const [sent, angle, update] of [
      [[3, 4], 0, 5],
      [[6, 8], 0, 10],
      [[-3, -4], 180, 5],
      [[-8, 6], 90, 10],
      [[7, 1], 45, Math.hypot(7, 1)],
    ] as const) {
      const { w, loss } = pair(tensor(sent as unknown as number[]));
      const found = only(compareUpdates(loss, [['w', w]]));
      expect([found.name, found.gradient]).toEqual(['w', 5]);
      expect(found.angle!).toBeCloseTo(angle, 5);
      expect(found.update).toBeCloseTo(update, 6);
      expect(found.ratio!).toBeCloseTo(update / 5, 6);
    }
  });

  it('is exact for small angles, where an arc cosine is not', () => {
    const { w, loss } = pair(tensor([3 - 4e-4, 4 + 3e-4]));
    expect(only(compareUpdates(loss, [w])).angle!).toBeCloseTo((1e-4 * 180) / Math.PI, 6);
    const same = pair(tensor([3, 4]));
    expect(only(compareUpdates(same.loss, [same.w])).angle!).toBe(0);
  });

  it('has no angle where one of them is 0 or nothing came, and is never NaN', () => {
    for (const sent of [zeros([2]), null]) {
      const { w, loss } = pair(sent);
      expect(only(compareUpdates(loss, [w]))).toEqual({
        name: 'parameter 0',
        angle: null,
        ratio: 0,
        update: 0,
        gradient: 5,
      });
    }
    const w = parameter(tensor([1, 1]));
    const flat = () => sum(setRule(mul(w, 0), instead(tensor([1, 1]))));
    const update = Math.hypot(1, 1);
    expect(only(compareUpdates(flat, [w]))).toEqual({
      name: 'parameter 0',
      angle: null,
      ratio: null,
      update,
      gradient: 0,
    });
    const other = parameter(tensor([1]));
    expect(only(compareUpdates(flat, [other]))).toEqual({
      name: 'parameter 0',
      angle: null,
      ratio: null,
      update: 0,
      gradient: 0,
    });
  });

  it('does so for huge and tiny numbers', () => {
    for (const scale of [1e-35, 1e35]) {
      const w = parameter(tensor([1, 1]));
      const loss = () => sum(setRule(mul(w, tensor([3 * scale, 4 * scale])), instead(tensor([-8 * scale, 6 * scale]))));
      const found = only(compareUpdates(loss, [w]));
      expect(found.angle!).toBeCloseTo(90, 4);
      expect(found.ratio!).toBeCloseTo(2, 4);
    }
  });

  it('finds backpropagation at 0 degrees with ratio 1, and random feedback in between', () => {
    manualSeed(11);
    const model = new Sequential(new Linear(6, 20), new ReLU(), new Linear(20, 3));
    const x = randn([16, 6]);
    const labels = Array.from({ length: 16 }, (_, i) => i % 3);
    const loss = () => crossEntropy(model.forward(x), labels);
    for (const { angle, ratio } of compareUpdates(loss, model.namedParameters())) {
      expect(angle!).toBeLessThan(1e-3);
      expect(ratio!).toBeCloseTo(1, 5);
    }
    const B = buffer(randn([3, 20]));
    const feedback = gradientRule('feedback', (visit, g, i) => (i === 0 ? g.matmul(B) : visit.gradientFor(i, g)), {
      surrogate: true,
    });
    const logits = () => {
      const hidden = model.forward(x);
      return crossEntropy(setRule(hidden, feedback), labels);
    };
    const found = compareUpdates(logits, model.namedParameters());
    expect(found.map(({ name }) => name)).toEqual(['0.weight', '0.bias', '2.weight', '2.bias']);
    expect(found[0]!.angle!).toBeGreaterThan(10);
    expect(found[0]!.angle!).toBeLessThan(170);
    // The upper layer is not below the feedback: it learns as ever.
    for (const above of found.slice(2)) expect(above.angle!).toBeLessThan(1e-3);
  });

  it('reads targets as the step that they ask for; a compliance says how far a learning rate goes', () => {
    const w = parameter(tensor([1, 1]));
    const rule: NodeRule = {
      ...{ name: 'asks', accepts: 'gradient', surrogate: true },
      propagate: () => [spring(tensor([-3, -4]), 2), null],
    };
    const loss = () => sum(setRule(mul(w, tensor([3, 4])), rule));
    expect(only(compareUpdates(loss, [w]))).toMatchObject({ angle: 0, update: 5 });
    expect(only(compareUpdates(loss, [w], { compliance: Infinity })).update).toBeCloseTo(5, 6);
    expect(only(compareUpdates(loss, [w], { compliance: 0.5 })).update).toBeCloseTo((5 * 2) / (2 + 2), 6);
    expect(only(compareUpdates(loss, [w], { compliance: 0 }))).toMatchObject({ angle: null, update: 0 });
    const plain = pair(tensor([6, 8]));
    expect(only(compareUpdates(plain.loss, [plain.w], { compliance: 0.1 })).update).toBeCloseTo(1, 6);
    expect(() => compareUpdates(plain.loss, [plain.w], { compliance: Infinity })).toThrow(/Give a step size/);
    for (const compliance of [-1, Number.NaN])
      expect(() => compareUpdates(plain.loss, [plain.w], { compliance })).toThrow(
        /a compliance is a step size of at least 0/,
      );
  });

  it('takes targets as their penalty, or another loss to compare with', () => {
    const w = parameter(tensor([[1, 2]]));
    const x = tensor([[3, 4]]);
    const seeds = (precision?: number) =>
      target(linear(x, w), tensor([[20]]), precision === undefined ? {} : { precision });
    const found = only(compareUpdates(() => seeds(2), [w]));
    expect(found.angle!).toBe(0);
    expect(found.gradient).toBeCloseTo(2 * 9 * 5, 4);
    expect(() => compareUpdates(() => withRules({ linear: asked }, () => seeds()), [w])).toThrow(
      /precision nobody stated/,
    );
    const loss = () => sum(linear(x, w));
    const compared = only(compareUpdates(() => withRules({ linear: asked }, () => seeds()), [w], { loss }));
    expect([compared.angle, compared.gradient]).toEqual([180, 5]);
    expect(only(compareUpdates(seeds(2), [w], { loss: loss() })).angle).toBe(180);
  });
  const asked: NodeRule = {
    ...{ name: 'asked', accepts: 'target', surrogate: true },
    propagate: (visit) => [null, spring(visit.inputs[0]!.value, 1)],
  };

  it('changes no parameter, no .grad and no inbox, and leaves a given graph alive', () => {
    const { w, loss } = pair(tensor([1, 1]));
    backward(sum(mul(w, 7)));
    backward(target(w, zeros([2]), { precision: 2 }));
    const { slope: g, springs } = inboxOf(w)!;
    const graph = loss();
    for (let i = 0; i < 4; i++) compareUpdates(graph, [w]);
    expect([inboxOf(w)!.slope, inboxOf(w)!.springs]).toEqual([g, springs]);
    expect(inboxOf(w)!.springs).toBe(springs);
    expect([g!.toArray(), springs!.pull.toArray()]).toEqual([
      [7, 7],
      [-2, -2],
    ]);
    expect(w.toArray()).toEqual([1, 1]);
    expect(numbersOf(gradients(graph, [w])[0]!)).toEqual(numbersOf(tensor([1, 1])));
    expect(() => compareUpdates(() => mul(w, 2), [w])).toThrow(/gradients start from a single number/);
    expect(inboxOf(w)!.slope).toBe(g);
  });

  it('passes broadcasts and stiffness on to the rules, and takes leaves alone', () => {
    const w = parameter(tensor([1, 1]));
    const rule: NodeRule = {
      ...{ name: 'reads', accepts: 'target', surrogate: true },
      propagate: (visit) => [slope(visit.broadcast('g').add(visit.precision)), null],
    };
    const loss = () => sum(setRule(mul(w, tensor([3, 4])), rule));
    const found = only(compareUpdates(loss, [w], { broadcast: { g: tensor([1, 2]) }, stiffness: 2 }));
    expect(found.update).toBeCloseTo(5, 6);
    for (const wrong of [tensor([1]), mul(w, 2)])
      expect(() => compareUpdates(loss, [['wrong', wrong]])).toThrow(
        /compareUpdates: wrong is no leaf that requires a gradient/,
      );
  });
});

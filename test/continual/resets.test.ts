/** ReDo and resets of single weights, against steps worked out by hand. */
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { noGrad } from '../../src/autograd/modes.ts';
import '../../src/ops/methods.ts';
import { dormancyScores, ReDo } from '../../src/continual/redo.ts';
import { WeightReset } from '../../src/continual/weight-reset.ts';
import { ReLU } from '../../src/nn/activation.ts';
import { Sequential } from '../../src/nn/container.ts';
import { Linear } from '../../src/nn/linear.ts';
import { mul } from '../../src/ops/binary.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { reset } from '../../src/state/reset.ts';
import { ones, tensor, zeros } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const set = (x: Tensor, numbers: readonly number[]): Tensor => noGrad(() => x.copy_(tensor(numbers, x.shape)));

describe('ReDo', () => {
  /** Three units that do 1 and 3, 0.25 and 0, nothing. */
  function network() {
    const [first, last] = [new Linear(2, 3), new Linear(3, 1)];
    set(first.weight, [1, 3, 0.25, -1, -1, -1]);
    set(first.bias!, [0, 0, 0]);
    set(last.weight, [1, 2, 3]);
    set(last.bias!, [0.5]);
    return { first, last, model: new Sequential(first, new ReLU(), last) };
  }
  const x = tensor([
    [1, 0],
    [0, 1],
  ]);

  it('scores units by their mean size over that of the layer', () => {
    const { model } = network();
    const redo = new ReDo(model.forward(x));
    const [a, b, c] = dormancyScores(redo.layers[0]!, model.forward(x));
    const mean = (2 + 0.125 + 0) / 3;
    expect([a, b, c]).toEqual([2 / mean, 0.125 / mean, 0]);
    set((model.at(0) as Linear).weight, [-1, -1, -1, -1, -1, -1]);
    expect([...dormancyScores(redo.layers[0]!, model.forward(x))]).toEqual([0, 0, 0]);
  });

  it('replaces all that score at most the threshold, every so many steps; biases of the next layer stay', () => {
    const { model, first, last } = network();
    const options = { threshold: 0.125 / ((2 + 0.125) / 3), every: 3, initialization: () => [7, 8] };
    const redo = new ReDo(model.forward(x), options);
    expect([1, 2].map(() => redo.step(model.forward(x)))).toEqual([[], []]);
    expect(redo.step(model.forward(x))).toEqual([1, 2].map((unit) => ({ layer: 0, unit })));
    expect(read(first.weight)).toEqual([1, 3, 7, 8, 7, 8]);
    expect(read(last.weight)).toEqual([1, 0, 0]);
    expect(read(last.bias!)).toEqual([0.5]);
    expect(redo.steps).toBe(3);
    const fresh = network().model;
    const other = new ReDo(fresh.forward(x), options);
    other.loadStateDict({ ...redo.stateDict(), steps: 5 });
    expect(other.step(fresh.forward(x))).toHaveLength(2);
    expect(() => other.loadStateDict({ steps: -1 })).toThrow(
      'ReDo.loadStateDict: steps is an integer from 0 up, not -1.',
    );
    expect(other.stateDict()).toEqual({ steps: 6 });
  });

  it('replaces only silent units at threshold 0, and none that is awake', () => {
    const { model } = network();
    const redo = new ReDo(model.forward(x), { threshold: 0, every: 1, generator: new Generator(1) });
    expect(redo.step(model.forward(x))).toEqual([{ layer: 0, unit: 2 }]);
  });

  it('says before any training what is out of range', () => {
    const output = network().model.forward(x);
    expect(() => new ReDo(output, { threshold: -1 })).toThrow(/threshold is a share.*not -1/);
    expect(() => new ReDo(output, { every: 0.5 })).toThrow(/every is a number of steps.*not 0.5/);
    expect(() => new ReDo(output, { initialization: 'zeros' as 'default' })).toThrow(/ReDo: initialization is/);
    expect(() => new ReDo(new Linear(2, 1).forward(x))).toThrow(/no hidden units/);
  });
});

describe('resets of single weights', () => {
  const push = (w: Tensor, g: readonly number[]): void => {
    w.grad = null;
    mul(w, tensor(g, w.shape)).sum().backward();
  };
  const weights = () => parameter(tensor([1, -4, 2, 0.5], [2, 2]));

  it('draw anew those of least |g w| that are older than the maturity', () => {
    const w = weights();
    const resets = new WeightReset([w], { rate: 0.25, maturity: 1, decay: 0.5, draw: () => [9] });
    const counts = [
      [1, 1, 1, 4],
      [1, -1, 3, 4],
      [3, 1, 1, 2],
    ].map((g) => {
      push(w, g);
      return resets.step();
    });
    // |g w| is 1 4 2 2, then 1 4 6 2, so uses are 1, 4, (0.25 2 + 0.5 6) / 0.75, 2: the first goes, at the age of 2.
    expect(counts).toEqual([0, 1, 0]);
    expect(read(w)).toEqual([9, -4, 2, 0.5]);
    const { use, age } = resets.statistics(w);
    expect([...age]).toEqual([1, 3, 3, 3]);
    expect(use[0]).toBeCloseTo(27, 12);
    expect(use[2]).toBeCloseTo((0.125 * 2 + 0.25 * 6 + 0.5 * 2) / 0.875, 12);
  });

  it('add up fractions, and compare the young with the old by what they are of use since they were made', () => {
    const w = weights();
    const draw = (_: Tensor, count: number) => Array(count).fill(5);
    const resets = new WeightReset([w], { rate: 0.375, maturity: 1, decay: 0.9, draw });
    const counts = Array.from({ length: 6 }, () => {
      push(w, [1, 1, 1, 1]);
      return resets.step();
    });
    // Due are 1.5 of four mature ones, then 1.625, 1.75, 1.875 and 2 of three. At the fifth step -4 goes: the young 5 are of more
    // use, though less of that is in their running mean yet.
    expect(counts).toEqual([0, 1, 1, 1, 1, 2]);
    expect(read(w)).toEqual([5, 5, 5, 5]);
  });

  it('leave alone what has no gradient, and hear of resets by others', () => {
    const [w, still] = [weights(), weights()];
    const resets = new WeightReset([w, still], { rate: 1, maturity: 2 });
    for (let t = 0; t < 2; t++) {
      push(w, [1, 1, 1, 1]);
      resets.step();
    }
    reset(w, { columns: [0] }, 3);
    push(w, [1, 1, 1, 1]);
    expect(resets.step()).toBe(2);
    expect([...resets.statistics(w).age]).toEqual([1, 0, 1, 0]);
    expect([...resets.statistics(still).age]).toEqual([0, 0, 0, 0]);
    expect(read(still)).toEqual([1, -4, 2, 0.5]);
    resets.remove();
    reset(w, { columns: [0] }, 3);
    expect([...resets.statistics(w).age]).toEqual([1, 0, 1, 0]);
  });

  it('wait so many steps, and then do all that is due', () => {
    const w = weights();
    const resets = new WeightReset([w], {
      rate: 0.25,
      maturity: 1,
      every: 3,
      draw: (_, count) => Array(count).fill(9),
    });
    const counts = [1, 2, 3, 4, 5, 6].map(() => {
      push(w, [1, 1, 1, 1]);
      return resets.step();
    });
    // One each at steps 2 and 3, of four mature ones. Then 0.5, 1, 1 of two and four.
    expect(counts).toEqual([0, 0, 2, 0, 0, 2]);
  });

  it('take the least of many, of equals the first, as sorting all of them would', () => {
    const generator = new Generator(8);
    for (let round = 0; round < 60; round++) {
      const size = 1 + generator.integer(60);
      // Few values, so that there are ties; and what is no number comes first.
      const uses = Array.from({ length: size }, () => [Number.NaN, 0, 0, 1, 2, 3, Infinity][generator.integer(7)]!);
      const w = parameter(ones([size]));
      const drawn: number[] = [];
      const count = 1 + generator.integer(size);
      const resets = new WeightReset([w], {
        ...{ rate: Math.min(1, (count + 0.5) / size), maturity: 0, decay: 0 },
        draw: (_, n) => Array.from({ length: n }, (_, i) => -1 - i),
      });
      push(w, uses);
      const replaced = resets.step();
      expect(replaced).toBe(count);
      const order = uses.map((value, i) => [Number.isNaN(value) ? -Infinity : value, i] as const);
      order.sort(([a, i], [b, j]) => (a === b ? i - j : a - b));
      for (const [, i] of order.slice(0, replaced)) drawn.push(i);
      const now = read(w);
      expect(now.flatMap((value, i) => (value < 0 ? [i] : [])).sort((i, j) => now[j]! - now[i]!)).toEqual(drawn);
    }
  });

  it('go on from a state as if nothing had been between, and refuse that of other parameters', () => {
    const make = () => {
      const w = weights();
      return { w, resets: new WeightReset([w], { rate: 0.1, maturity: 1, every: 2, draw: () => [9] }) };
    };
    const steps = ({ w, resets }: ReturnType<typeof make>, gradients: readonly number[][]) =>
      gradients.map((g) => {
        push(w, g);
        return [resets.step(), ...read(w)];
      });
    const first = [
      [1, 2, 3, 4],
      [0, 1, 0, 9],
      [5, 1, 1, 0.5],
    ];
    const [one, other] = [make(), make()];
    steps(one, first);
    set(other.w, read(one.w));
    other.resets.loadStateDict(one.resets.stateDict());
    const rest = [...first, ...first, ...first];
    const expected = steps(one, rest);
    expect(expected.some(([count]) => count! > 0)).toBe(true);
    expect(steps(other, rest)).toEqual(expected);
    expect(other.resets.stateDict()).toEqual(one.resets.stateDict());
    const wide = new WeightReset([parameter(ones([5]))]);
    const before = wide.stateDict();
    expect(() => wide.loadStateDict(one.resets.stateDict())).toThrow(
      'WeightReset.loadStateDict: the state is not one of parameters of 5 weights.',
    );
    expect(() => wide.loadStateDict({ ...before, steps: undefined as never })).toThrow(/is not one of/);
    expect(() => wide.loadStateDict({ steps: 1, parameters: [] })).toThrow(/is not one of/);
    expect(wide.stateDict()).toEqual(before);
  });

  it('draw from the distribution of the layers, biases at 0, and tell the optimizer', () => {
    const [w, b] = [parameter(zeros([4, 16]).add(5)), parameter(zeros([4]).add(5))];
    const optimizer = new SGD([w, b], { lr: 0, momentum: 0.9 });
    const resets = new WeightReset([w, b], { rate: 1, maturity: 0, generator: new Generator(3) });
    w.sum().add(b.sum()).backward();
    optimizer.step();
    expect(resets.step()).toBe(68);
    expect(read(w).every((x) => x !== 0 && Math.abs(x) <= 0.25)).toBe(true);
    expect(new Set(read(w)).size).toBeGreaterThan(60);
    expect(read(b)).toEqual([0, 0, 0, 0]);
    const [slot] = optimizer.stateDict().groups[0]!.slots;
    expect(read(slot!.velocity as Tensor).every((v) => v === 0)).toBe(true);
  });

  it('say before any training what is out of range', () => {
    const w = weights();
    expect(() => new WeightReset([w], { rate: 2 })).toThrow(/rate is a fraction of weights, from 0 to 1, not 2/);
    expect(() => new WeightReset([w], { maturity: -1 })).toThrow(/maturity/);
    expect(() => new WeightReset([w], { decay: 1 })).toThrow(/decay/);
    expect(() => new WeightReset([w], { every: 0 })).toThrow(/every is a number of steps, an integer from 1 up, not 0/);
    expect(() => new WeightReset([mul(w, 2)])).toThrow(/WeightReset: a tensor of shape \[2, 2\] that is no parameter/);
    expect(() => new WeightReset([w]).statistics(weights())).toThrow(/none of those/);
  });
});

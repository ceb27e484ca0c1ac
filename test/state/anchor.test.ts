/** Anchors: a pull towards a value that joins once a step, as part of the gradient or as a spring. */
import { describe, expect, it } from 'vitest';
import { anchorPoint } from '../../bench/learning/anchors.ts';
import { parameter } from '../../src/autograd/leaf.ts';
import { noGrad } from '../../src/autograd/modes.ts';
import '../../src/ops/methods.ts';
import { mul } from '../../src/ops/binary.ts';
import { Adam, AdamW } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { type Anchor, anchor } from '../../src/state/anchor.ts';
import { ones, tensor, zeros } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const push = (w: Tensor, g: readonly number[]): void => mul(w, tensor(g, w.shape)).sum().backward();

const close = (found: Tensor, expected: readonly number[], digits = 6): void =>
  read(found).forEach((x, i) => {
    expect(x, `entry ${i}`).toBeCloseTo(expected[i]!, digits);
  });

describe('an explicit anchor', () => {
  it.each([
    ['SGD', (w: Tensor) => new SGD([w], { lr: 0.05, momentum: 0.9, weightDecay: 0.1 })],
    ['Adam', (w: Tensor) => new Adam([w], { lr: 0.05 })],
    ['AdamW', (w: Tensor) => new AdamW([w], { lr: 0.05, weightDecay: 0.1 })],
  ])('is the penalty in the loss, through the moments of %s', (_, build) => {
    const [anchored, penalized] = [parameter(tensor([1, -2])), parameter(tensor([1, -2]))];
    const [at, precision] = [tensor([0.5, 1]), tensor([3, 0.5])];
    anchor(anchored, { at, precision, step: 'explicit' });
    const [first, second] = [build(anchored), build(penalized)];
    for (let step = 0; step < 20; step++) {
      first.zeroGrad();
      second.zeroGrad();
      anchored.sub(3).square().sum().backward();
      const penalty = penalized.sub(at).square().mul(precision).sum().mul(0.5);
      penalized.sub(3).square().sum().add(penalty).backward();
      first.step();
      second.step();
      close(anchored, read(penalized), 5);
    }
  });
});

describe('an implicit anchor', () => {
  it('steps to the minimum of gradient, spring and stiffness', () => {
    const w = parameter(tensor([1, 2]));
    anchor(w, { at: tensor([3, 0]), precision: tensor([4, 1]) });
    push(w, [1, -1]);
    new SGD([w], { lr: 0.5 }).step();
    close(w, [1 + (4 * 2 - 1) / (2 + 4), 2 + (-2 + 1) / (2 + 1)]);
  });

  it('is what step means unless it is said', () => {
    expect(anchor(parameter(ones([1])), { precision: 1 }).step).toBe('implicit');
  });

  it.each([-3, -2, -1, 0, 1, 2, 3, 4, 5, 6])('comes to the optimum where lr lambda Omega is 1e%d', (decade) => {
    const { distance, optimum } = anchorPoint('SGD', 'implicit', 10 ** decade);
    // Below 0.01 loss and anchor are so weak that 200 steps do not get there: 0.99^200 is left of the way.
    expect(distance!).toBeLessThan(decade < -1 ? 0.011 : 1e-6 * Math.max(optimum, 1e-9));
    expect(anchorPoint('Adam', 'implicit', 10 ** decade).distance!).toBeLessThan(decade < -1 ? 0.02 : 1e-6);
  });

  it('holds where the explicit one diverges, above 2', () => {
    expect(anchorPoint('SGD', 'explicit', 1.9).distance!).toBeLessThan(1e-6);
    for (const strength of [2.1, 10, 1e6]) {
      expect(anchorPoint('SGD', 'explicit', strength).distance ?? Infinity).toBeGreaterThan(1e6);
      expect(anchorPoint('SGD', 'implicit', strength).distance!).toBeLessThan(1e-6);
    }
  });

  it('is no part of a momentum: with momentum mu the gradient counts 1 / (1 - mu) times against it, unless damped', () => {
    const settled = (dampening: number): number => {
      const w = parameter(ones([1]));
      anchor(w, { at: zeros([1]), precision: 3 });
      const optimizer = new SGD([w], { lr: 0.1, momentum: 0.75, dampening });
      for (let i = 0; i < 300; i++) {
        optimizer.zeroGrad();
        w.sub(1).square().sum().mul(0.5).backward();
        optimizer.step();
      }
      return w.item();
    };
    expect(settled(0)).toBeCloseTo(4 / (4 + 3), 5);
    expect(settled(0.75)).toBeCloseTo(1 / (1 + 3), 5);
  });
});

describe('an anchor', () => {
  it.each(['implicit', 'explicit'] as const)(
    'joins once a step, however many backward calls came before: %s',
    (step) => {
      const [once, twice] = [parameter(tensor([2])), parameter(tensor([2]))];
      for (const w of [once, twice]) anchor(w, { at: zeros([1]), precision: 3, step });
      push(once, [1]);
      push(twice, [0.25]);
      push(twice, [0.75]);
      new SGD([once, twice], { lr: 0.1 }).step();
      expect(twice.item()).toBe(once.item());
      expect(once.item()).toBeCloseTo(step === 'explicit' ? 2 - 0.1 * (1 + 6) : 2 + (-6 - 1) / (10 + 3), 6);
    },
  );

  it('stands where the parameter stood when it was set: later writes do not move it', () => {
    const w = parameter(tensor([2]));
    const given = tensor([5]).requiresGrad_();
    const here = anchor(w, { precision: 1 });
    const there = anchor(w, { at: given, precision: 1 });
    noGrad(() => {
      w.copy_(7);
      given.copy_(9);
    });
    expect([here.at.item(), there.at.item()]).toEqual([2, 5]);
  });

  it('adds to others, and is gone when it is removed', () => {
    const w = parameter(tensor([0]));
    const both = [1, 4].map((at) => anchor(w, { at: tensor([at]), precision: at === 1 ? 2 : 1 }));
    const optimizer = new SGD([w], { lr: Infinity });
    optimizer.step();
    expect(w.item()).toBeCloseTo(2, 6);
    both[0]!.remove();
    optimizer.step();
    expect(w.item()).toBeCloseTo(4, 6);
    both[1]!.remove();
    both[1]!.remove();
    w.grad = tensor([0]);
    optimizer.step();
    expect(w.item()).toBeCloseTo(4, 6);
  });

  it('tells its penalty, also with a precision that is broadcast', () => {
    const w = parameter(
      tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    );
    const of = (precision: number | Tensor): Anchor => anchor(w, { at: ones([2, 3]), precision });
    expect(of(2).penalty()).toBe(0 + 1 + 4 + 9 + 16 + 25);
    expect(of(tensor([1, 10, 100])).penalty()).toBe((0 + 10 + 400 + 9 + 160 + 2500) / 2);
    expect(of(tensor([[1], [10]])).penalty()).toBe((0 + 1 + 4 + 90 + 160 + 250) / 2);
    expect(
      of(
        tensor([
          [1, 10, 100],
          [2, 20, 200],
        ]),
      ).penalty(),
    ).toBe((0 + 10 + 400 + 18 + 320 + 5000) / 2);
    expect(anchor(w, { precision: 5 }).penalty()).toBe(0);
    const stack = parameter(tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]));
    const middle = anchor(stack, { at: zeros([2, 2, 2]), precision: tensor([1, 10, 100, 1000], [2, 1, 2]) });
    expect(middle.penalty()).toBe((1 + 40 + 9 + 160 + 2500 + 36000 + 4900 + 64000) / 2);
    const last = anchor(stack, { at: zeros([2, 2, 2]), precision: tensor([1, 10, 100, 1000], [2, 2]) });
    expect(last.penalty()).toBe((1 + 40 + 900 + 16000 + 25 + 360 + 4900 + 64000) / 2);
  });

  it('refuses what it cannot hold to', () => {
    const w = parameter(ones([2]));
    for (const precision of [-1, NaN, Infinity, tensor([1, -1])])
      expect(() => anchor(w, { precision })).toThrow(/anchor: precision .* must be finite numbers from 0 up/);
    expect(() => anchor(w, { precision: ones([3]) })).toThrow(/\[3\]/);
    expect(() => anchor(w, { precision: ones([2, 2]) })).toThrow(/precision of shape \[2, 2\] does not broadcast/);
    expect(() => anchor(w, { at: ones([3]), precision: 1 })).toThrow(/'at' has shape \[3\], the parameter \[2\]/);
    expect(() => anchor(w, { precision: 1, step: 'both' as 'implicit' })).toThrow(/step is 'implicit' or 'explicit'/);
    expect(() => anchor(w.mul(2), { precision: 1 })).toThrow(/anchor: .* is no parameter/);
    expect(() => anchor(ones([2]), { precision: 1 })).toThrow(/anchor: .* is no parameter/);
    const optimizer = new SGD([w], { lr: 1 });
    optimizer.step();
    expect(read(w)).toEqual([1, 1]);
  });
});

it('an anchor without a precision is told what to say', () => {
  const w = parameter(ones([2]));
  expect(() => anchor(w, {} as never)).toThrow(/say how firmly/);
  expect(() => anchor(w, undefined as never)).toThrow(/say how firmly/);
});

/** Targets through softmax: shares that are reached, the mean that stays, margins, rows that are asked nothing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../../src/autograd/check.ts';
import {
  backward,
  inboxOf,
  logSoftmax,
  mean,
  relu,
  seed,
  setRule,
  softmax,
  spring,
  type Tensor,
  target,
  tensor,
  withRules,
  zeros,
} from '../../../src/index.ts';
import { targetSoftmax } from '../../../src/rules/target/softmax.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import { anySeed, drawer, expectNear, fixedSeed, leaf } from '../springs/laws.ts';

const rules = { softmax: targetSoftmax(), logSoftmax: targetSoftmax() };

function asked(op: (x: Tensor) => Tensor, x: Tensor, wanted: Tensor, precision: number | Tensor = 1) {
  const v = leaf(x);
  const y = withRules(rules, () => op(v));
  backward(target(y, wanted, { precision }));
  const step = inboxOf(v)!.step();
  return { step, after: op(v.detach().add(step)), inbox: inboxOf(v)! };
}

describe('targetSoftmax', () => {
  it('reaches shares that can be reached, and leaves the mean where it is', () => {
    fc.assert(
      fc.property(anySeed, (start) => {
        inFloat64(() => {
          const draw = drawer(start);
          const [x, wanted] = [draw([3, 4], -3, 3), softmax(draw([3, 4]))];
          const { step, after } = asked(softmax, x, wanted);
          expectNear(after, wanted, 1e-12);
          expectNear(mean(step, 1), zeros([3]), 1e-12);
        });
      }),
      fixedSeed,
    );
  });

  it('goes for the nearest shares, but not below the margin, nor further from 0 than they are', () => {
    const x = tensor([
      [0, 0, 0],
      [0, 0, -20],
    ]);
    const { after } = asked(
      softmax,
      x,
      tensor([
        [2, 0, 0],
        [0, 1, 0],
      ]),
    );
    const [a, b, c, d, e, f] = numbersOf(after) as unknown as number[];
    for (const [found, expected] of [
      [a, 1 / 1.002],
      [b, 0.001 / 1.002],
      [c, 0.001 / 1.002],
      [d, 0.001 / 1.001],
    ])
      expect(found).toBeCloseTo(expected!, 6);
    expect(e).toBeCloseTo(1 / 1.001, 6);
    expect(f! / numbersOf(softmax(x))[5]!).toBeCloseTo(1 / 1.001, 2);
  });

  it('along any axis, of shares that float32 cannot hold, of rows of one, of nothing', () => {
    const x = drawer(4)([4, 3]);
    const wanted = softmax(drawer(5)([4, 3]), 0);
    expectNear(asked((v) => softmax(v, 0), x, wanted).after, wanted, 1e-6);
    const { step } = asked(softmax, tensor([[0, 0, -500]]), tensor([[0.25, 0.75, 0]]));
    expect(numbersOf(step).every(Number.isFinite)).toBe(true);
    expect(asked(softmax, tensor([[5]]), tensor([[0.3]])).step.toArray()).toEqual([[0]]);
    expect(asked(softmax, zeros([0, 3]), zeros([0, 3])).step.shape).toEqual([0, 3]);
    expect(asked(softmax, zeros([2, 0]), zeros([2, 0])).step.shape).toEqual([2, 0]);
  });

  it('asks rows that are right for exactly nothing', () => {
    const x = drawer(7)([2, 5], -9, 9);
    const y = softmax(x);
    const wanted = tensor([...numbersOf(y).slice(0, 5), 1, 0, 0, 0, 0], [2, 5]);
    const rows = asked(softmax, x, wanted).step.toArray() as number[][];
    expect(rows[0]).toEqual([0, 0, 0, 0, 0]);
    expect(rows[1]!.some((d) => d !== 0)).toBe(true);
  });

  it('logSoftmax: the same, with logarithms for shares', () => {
    inFloat64(() => {
      const [x, wish] = [drawer(8)([3, 4]), drawer(9)([3, 4])];
      const { step, after } = asked(logSoftmax, x, wish);
      expectNear(after, logSoftmax(wish), 1e-12);
      expectNear(mean(step, 1), zeros([3]), 1e-12);
    });
  });

  it('passes precisions on, hard ones too', () => {
    const p = tensor([[0, 1, 2]]);
    expect(
      asked(softmax, tensor([[1, 2, 3]]), tensor([[1, 0, 0]]), p)
        .inbox.precision()
        .toArray(),
    ).toEqual([[0, 1, 2]]);
    const v = leaf(tensor([[1, 2]]));
    const y = setRule(softmax(v), targetSoftmax());
    backward(seed(y, spring(tensor([[0.1, -0.1]]), Infinity)));
    expect(inboxOf(v)!.springs!.hard!.mask.toArray()).toEqual([[1, 1]]);
  });

  it('is a surrogate, for these two ops, with a margin between 0 and 0.5', () => {
    expect(targetSoftmax().surrogate).toBe(true);
    const y = setRule(relu(leaf(tensor([[1, 2]]))), targetSoftmax());
    expect(() => backward(target(y, tensor([[1, 1]]), { precision: 1 }))).toThrow(
      'targetSoftmax: at relu, but it is a rule of softmax and logSoftmax.',
    );
    expect(() => targetSoftmax({ margin: 0 })).toThrow(
      'targetSoftmax: margin is a share above 0 and below 0.5, not 0.',
    );
  });
});

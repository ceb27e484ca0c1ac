/** Softmax, its logarithm and logsumexp: far out, with infinities, along any axis, of nothing. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, inUsedMemory, noTensors, slope, untyped } from './numbers.ts';

const { tensor, zeros, softmax, logSoftmax, logsumexp } = p;
const inf = Infinity;
const e = Math.E;

describe('softmax and logSoftmax', () => {
  it('take logits of any size', () => {
    expectClose(softmax(tensor([1e4, -1e4, 1e4])), [0.5, 0, 0.5]);
    expectClose(softmax(tensor([-1e4, -1e4 + 1])), [1 / (1 + e), e / (1 + e)]);
    expectClose(logSoftmax(tensor([1e4, -1e4])), [0, -2e4]);
    expectClose(logSoftmax(tensor([1e30, 0])), [0, -1e30]);
  });

  it('give -Infinity no share, and leave its gradient finite', () => {
    expectClose(softmax(tensor([0, -inf, 0])), [0.5, 0, 0.5]);
    expectClose(logSoftmax(tensor([0, -inf, 0])), [-Math.LN2, -inf, -Math.LN2]);
    expectClose(
      slope((x) => softmax(x).mul(tensor([1, 2, 3])), [0, -inf, 0]),
      [-0.5, 0, 0.5],
    );
    expectClose(
      slope((x) => logSoftmax(x).slice([[0, 1]]), [0, -inf, 0]),
      [0.5, 0, -0.5],
    );
  });

  it('are NaN where all is -Infinity, or something is Infinity or NaN, in that row only', () => {
    const x = tensor([
      [-inf, -inf],
      [0, inf],
      [NaN, 0],
      [0, 0],
    ]);
    const rows = (softmax(x).toArray() as number[][]).map((row) => row.some(Number.isNaN));
    expect(rows).toEqual([true, true, true, false]);
    expectClose(softmax(x.slice([3])), [0.5, 0.5]);
  });

  it('do not change when all logits shift', () => {
    const x = tensor([0.5, -1, 2, 3, -4]);
    expectClose(softmax(x.add(100)), softmax(x), 1e-5);
    expectClose(
      slope((y) => softmax(y), [0.5, -1, 2]),
      [0, 0, 0],
    );
  });

  it('work along any axis', () => {
    const x = p.arange(24).mul(0.3).sin().reshape([2, 3, 4]).detach();
    for (const dim of [0, 1, 2, -1, -2, -3]) {
      expectClose(softmax(x, dim).sum(dim), p.ones(softmax(x, dim).sum(dim).shape));
      expectClose(logSoftmax(x, dim).exp(), softmax(x, dim));
      expectClose(x.exp().div(x.exp().sum(dim, true)), softmax(x, dim));
      expect(softmax(x, dim).shape).toEqual([2, 3, 4]);
    }
  });

  it('of one number is 1, of nothing nothing', () => {
    expect(softmax(tensor([7])).toArray()).toEqual([1]);
    expect(logSoftmax(tensor([7])).toArray()).toEqual([0]);
    for (const f of [softmax, logSoftmax]) {
      expect(f(zeros([0, 3])).shape).toEqual([0, 3]);
      expect(f(zeros([3, 0])).shape).toEqual([3, 0]);
      expectClose(
        slope((x) => f(x), [[], []]),
        [[], []],
      );
    }
  });

  it('say what is wrong', () => {
    for (const [name, f] of [
      ['softmax', softmax],
      ['logSoftmax', logSoftmax],
    ] as const) {
      expectRefused([
        [`${name}: axis 2 does not exist in shape [2, 3]; its axes are -2 to 1.`, () => f(zeros([2, 3]), 2)],
        [`${name}: axis -1 does not exist in shape [], which has none.`, () => f(tensor(1))],
        [`${name}: axis x does not exist in shape [2]; its axes are -1 to 0.`, () => untyped(f)(zeros([2]), 'x')],
      ]);
      for (const value of noTensors)
        expect(() => untyped(f)(value)).toThrow(new RegExp(`^${name}: expected a tensor, not `));
    }
  });
});

describe('logsumexp', () => {
  it('takes numbers of any size', () => {
    expectClose(logsumexp(tensor([1e4, 1e4])), 1e4 + Math.LN2);
    expectClose(logsumexp(tensor([-1e4, -1e4])), -1e4 + Math.LN2);
    expectClose(logsumexp(tensor([0, -inf])), 0);
    expectClose(logsumexp(tensor([0, inf])), inf);
    expectClose(logsumexp(tensor([0, NaN])), NaN);
  });

  it('of -Infinity alone, and of nothing, is -Infinity', () => {
    expectClose(logsumexp(tensor([-inf, -inf])), -inf);
    inUsedMemory(() => expectClose(logsumexp(zeros([3, 0]), 1), [-inf, -inf, -inf]));
    expectClose(logsumexp(zeros([3, 0])), -inf);
    expect(logsumexp(zeros([3, 0]), 0).shape).toEqual([0]);
  });

  it('works over any axes, with the softmax as its gradient', () => {
    const x = p.arange(24).mul(0.7).cos().reshape([2, 3, 4]).detach();
    for (const axes of [0, 1, 2, [0, 1], [2, 0], [0, 1, 2]]) {
      expectClose(logsumexp(x, axes), x.exp().sum(axes).log());
      expectClose(logsumexp(x, axes, true), x.exp().sum(axes, true).log());
      expect(logsumexp(x, axes, true).shape).toEqual(x.sum(axes, true).shape);
      expectClose(
        slope((y) => logsumexp(y, axes), x.toArray()),
        x.exp().div(x.exp().sum(axes, true)),
      );
    }
    expectClose(logsumexp(tensor(3)), 3);
  });

  it('says what is wrong', () => {
    expectRefused([
      ['logsumexp: axis 2 does not exist in shape [2, 3]; its axes are -2 to 1.', () => logsumexp(zeros([2, 3]), 2)],
      ['logsumexp: axis 0 of shape [2, 3] is named twice.', () => logsumexp(zeros([2, 3]), [0, 0])],
    ]);
    for (const value of noTensors)
      expect(() => untyped(logsumexp)(value)).toThrow(/^logsumexp: expected a tensor, not /);
  });
});

/** Sum and expand: each the other's gradient. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, noTensors, slope, untyped } from './numbers.ts';

const { tensor, zeros, sum, expand } = p;

describe('sum', () => {
  it('of nothing is 0', () => {
    expect(sum(zeros([0])).toArray()).toBe(0);
    expect(sum(zeros([2, 0]), 1).toArray()).toEqual([0, 0]);
    expect(sum(zeros([2, 0]), 0).shape).toEqual([0]);
    expect(sum(zeros([0, 3, 0]), [0, 2]).toArray()).toEqual([0, 0, 0]);
    const empty = zeros([2, 0]).requiresGrad_();
    sum(empty).backward();
    expect(empty.grad!.shape).toEqual([2, 0]);
  });

  it('over any axes, in any order, of any shape', () => {
    const x = p.arange(120).reshape([2, 3, 4, 5]);
    const expected = (axes: number[]) => {
      const kept = [0, 1, 2, 3].filter((axis) => !axes.includes(axis));
      const sizes = kept.map((axis) => x.shape[axis]!);
      const out = new Array<number>(sizes.reduce((a, b) => a * b, 1)).fill(0);
      for (let i = 0; i < 120; i++) {
        const index = [Math.floor(i / 60), Math.floor(i / 20) % 3, Math.floor(i / 5) % 4, i % 5];
        out[kept.reduce((at, axis) => at * x.shape[axis]! + index[axis]!, 0)]! += i;
      }
      return out;
    };
    for (let mask = 0; mask < 16; mask++) {
      const axes = [3, 1, 2, 0].filter((axis) => mask & (1 << axis));
      expectClose(sum(x, axes), expected(axes));
      expectClose(
        sum(
          x,
          axes.map((axis) => axis - 4),
          true,
        ),
        expected(axes),
      );
      expect(sum(x, axes, true).shape).toEqual(x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)));
      // The gradient of a weighed sum is the weight, spread.
      const weight = p
        .arange(sum(x, axes).size)
        .add(1)
        .reshape(sum(x, axes, true).shape);
      expectClose(
        slope((y) => sum(y, axes, true).mul(weight), x.toArray()),
        expand(weight, x.shape),
      );
    }
  });

  it('is a tensor of its own, even over no axis', () => {
    const [scalar, row] = [tensor(3), tensor([1, 2])];
    sum(scalar).add_(1);
    sum(row, []).add_(1);
    expect([scalar.toArray(), row.toArray()]).toEqual([3, [1, 2]]);
  });

  it('NaN and infinity go through', () => {
    expectClose(
      sum(
        tensor([
          [1, NaN],
          [Infinity, 1],
        ]),
        1,
      ),
      [NaN, Infinity],
    );
    expectClose(sum(tensor([Infinity, -Infinity])), NaN);
  });

  it('says what is wrong', () => {
    const x = zeros([2, 3]);
    expectRefused([
      ['sum: axis 2 does not exist in shape [2, 3]; its axes are -2 to 1.', () => sum(x, 2)],
      ['sum: axis 1 of shape [2, 3] is named twice.', () => sum(x, [1, 1])],
      ['sum: dim is an axis or a list of axes, not true.', () => untyped(sum)(x, true)],
    ]);
    for (const value of noTensors) expect(() => untyped(sum)(value)).toThrow(/^sum: expected a tensor, not /);
  });
});

describe('expand', () => {
  it('repeats axes of size 1 and adds axes in front, without a copy', () => {
    const x = tensor([[1], [2]]);
    const wide = expand(x, [3, 2, 2]);
    expect(wide.toArray()).toEqual([
      [
        [1, 1],
        [2, 2],
      ],
      [
        [1, 1],
        [2, 2],
      ],
      [
        [1, 1],
        [2, 2],
      ],
    ]);
    expect(wide.storage).toBe(x.storage);
    expect(expand(x, [-1, 4]).shape).toEqual([2, 4]);
    expect(expand(tensor(7), [2]).toArray()).toEqual([7, 7]);
    expect(expand(tensor([1]), [0]).shape).toEqual([0]);
    expect(expand(zeros([0, 1]), [3, 0, 2]).shape).toEqual([3, 0, 2]);
  });

  it('sums the gradients of the repetitions', () => {
    const weight = tensor([
      [
        [1, 2],
        [3, 4],
      ],
      [
        [5, 6],
        [7, 8],
      ],
    ]);
    expectClose(
      slope((x) => expand(x, [2, 2, 2]).mul(weight), [[1], [2]]),
      [[14], [22]],
    );
    expectClose(
      slope((x) => expand(x, [0, 2]), [1, 2]),
      [0, 0],
    );
  });

  it('says what is wrong', () => {
    const rule = 'only axes of size 1 can be repeated.';
    expectRefused([
      [`expand: shape [2] does not broadcast to [3]: ${rule}`, () => expand(zeros([2]), [3])],
      [`expand: shape [2, 3] does not broadcast to [3]: ${rule}`, () => expand(zeros([2, 3]), [3])],
      [`expand: shape [0] does not broadcast to [3]: ${rule}`, () => expand(zeros([0]), [3])],
      ['expand: a shape holds whole numbers of at least 0, not [-1, 3].', () => expand(zeros([3]), [-1, 3])],
      ['expand: a shape holds whole numbers of at least 0, not [NaN].', () => expand(zeros([1]), [NaN])],
      ['expand: a shape is a list of sizes, [2, 3] say, not 3.', () => untyped(expand)(zeros([1]), 3)],
    ]);
    for (const value of noTensors)
      expect(() => untyped(expand)(value, [2])).toThrow(/^expand: expected a tensor, not /);
  });
});

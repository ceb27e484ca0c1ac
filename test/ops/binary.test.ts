/** Two operands: broadcasting, ties, NaN, comparisons, where. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, noTensors, slopes, untyped } from './numbers.ts';

const { tensor, zeros } = p;
const functions = p as unknown as Record<string, (a: p.Operand, b: p.Operand) => p.Tensor>;
const smooth: Record<string, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
};
const comparisons: Record<string, (a: number, b: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
};

describe('broadcasting', () => {
  it.each([
    [[0, 3], [3], [0, 3]],
    [[3], [0, 1], [0, 3]],
    [[1], [4, 2], [4, 2]],
    [[], [3], [3]],
    [[3], [], [3]],
    [[], [], []],
    [[1, 1], [3], [1, 3]],
    [[1, 1, 1], [], [1, 1, 1]],
    [[0], [1, 1], [1, 0]],
    [
      [5, 1],
      [1, 7],
      [5, 7],
    ],
    [
      [2, 1, 3, 1, 2],
      [4, 1, 5, 1],
      [2, 4, 3, 5, 2],
    ],
    [
      [3, 1, 2],
      [5, 2],
      [3, 5, 2],
    ],
    [
      [1, 0],
      [3, 1],
      [3, 0],
    ],
  ])('%j with %j gives %j, and gradients of the operands', (aShape, bShape, shape) => {
    const numbers = (own: number[], start: number) =>
      p
        .arange(own.reduce((x, y) => x * y, 1))
        .add(start)
        .reshape(own)
        .detach();
    const [a, b] = [numbers(aShape, 1).requiresGrad_(), numbers(bShape, 2.5).requiresGrad_()];
    const at = (x: p.Tensor, index: number[]) =>
      x.toFloat32Array()[
        index
          .slice(shape.length - x.ndim)
          .reduce(
            (sum, i, axis) =>
              x.shape[axis] === 1 ? sum : sum + i * x.shape.slice(axis + 1).reduce((u, v) => u * v, 1),
            0,
          )
      ]!;
    const indices = shape.reduce<number[][]>(
      (all, size) => all.flatMap((i) => Array.from({ length: size }, (_, j) => [...i, j])),
      [[]],
    );
    for (const [name, f] of Object.entries(smooth)) {
      const out = functions[name]!(a, b);
      expect(out.shape).toEqual(shape);
      expectClose(
        out,
        indices.map((i) => f(at(a, i), at(b, i))),
      );
      out.sum().backward();
      expect(a.grad!.shape).toEqual(aShape);
      expect(b.grad!.shape).toEqual(bShape);
      a.grad = b.grad = null;
    }
    // d(ab): every operand's gradient is the sum of its partners.
    a.mul(b).sum().backward();
    const partners = (x: p.Tensor, other: p.Tensor) => {
      const sums = new Map<number, number>();
      const own = x.toFloat32Array();
      for (const i of indices) sums.set(at(x, i), (sums.get(at(x, i)) ?? 0) + at(other, i));
      return Array.from(own, (value) => sums.get(value) ?? 0);
    };
    expectClose(a.grad!, partners(a, b), 1e-5);
    expectClose(b.grad!, partners(b, a), 1e-5);
  });

  it('refuses what does not fit, with both shapes', () => {
    const rule = 'Sizes must agree or be 1; reshape one of them.';
    expectRefused([
      [
        `add: shapes [2] and [3] do not broadcast: counted from the last axis, axis 1 has sizes 2 and 3. ${rule}`,
        () => p.add(zeros([2]), zeros([3])),
      ],
      [
        `mul: shapes [2, 3] and [3, 3] do not broadcast: counted from the last axis, axis 2 has sizes 2 and 3. ${rule}`,
        () => p.mul(zeros([2, 3]), zeros([3, 3])),
      ],
      [
        `div: shapes [0] and [3] do not broadcast: counted from the last axis, axis 1 has sizes 0 and 3. ${rule}`,
        () => p.div(zeros([0]), zeros([3])),
      ],
      [
        `where: shapes [2] and [3] do not broadcast: counted from the last axis, axis 1 has sizes 2 and 3. ${rule}`,
        () => p.where(zeros([2]), zeros([3]), 0),
      ],
    ]);
    for (const name of [...Object.keys(smooth), ...Object.keys(comparisons)])
      expect(() => functions[name]!(zeros([2]), zeros([3]))).toThrow(`${name}: shapes [2] and [3] do not broadcast`);
  });
});

describe('numbers and what is none', () => {
  it.each(Object.entries(smooth))('%s takes a number on either side', (name, f) => {
    expectClose(functions[name]!(tensor([1, 2]), 3), [f(1, 3), f(2, 3)]);
    expectClose(functions[name]!(3, tensor([1, 2])), [f(3, 1), f(3, 2)]);
    expectClose(functions[name]!(3, 2), f(3, 2));
  });

  it('a negative zero stays one', () => {
    expect(p.div(1, tensor(-0)).item()).toBe(-Infinity);
    expect(p.div(tensor(1), -0).item()).toBe(-Infinity);
    expect(p.div(tensor(1), 0).item()).toBe(Infinity);
  });

  it.each([...Object.keys(smooth), ...Object.keys(comparisons)])('%s refuses other things in words', (name) => {
    for (const value of noTensors)
      for (const args of [
        [value, tensor(1)],
        [tensor(1), value],
      ])
        expect(() => untyped(functions[name]!)(...args)).toThrow(
          new RegExp(`^${name}: expected a tensor or a number, not `),
        );
  });

  it('where refuses other things in words', () => {
    for (const value of noTensors)
      expect(() => untyped(p.where)(tensor(1), 1, value)).toThrow(/^where: expected a tensor or a number, not /);
  });
});

describe('ties, zeros and NaN', () => {
  it('maximum and minimum split a tie evenly', () => {
    for (const f of [p.maximum, p.minimum]) {
      const [a, b] = slopes((x, y) => f(x, y), [1, 2, 3], [3, 2, 1]);
      expectClose(a!, f === p.maximum ? [0, 0.5, 1] : [1, 0.5, 0]);
      expectClose(b!, f === p.maximum ? [1, 0.5, 0] : [0, 0.5, 1]);
    }
    expectClose(slopes((x) => p.maximum(x, 0), [0, -0, 1])[0]!, [0.5, 0.5, 1]);
  });

  it('maximum and minimum of NaN are NaN, on either side', () => {
    for (const f of [p.maximum, p.minimum]) {
      expectClose(f(tensor([NaN, 1, NaN]), tensor([1, NaN, NaN])), [NaN, NaN, NaN]);
      expectClose(f(NaN, tensor([1])), [NaN]);
    }
  });

  it('division by zero', () => {
    expectClose(p.div(tensor([1, -1, 0]), tensor([0, 0, 0])), [Infinity, -Infinity, NaN]);
    const [a, b] = slopes((x, y) => p.div(x, y), [6], [2]);
    expectClose([a!, b!], [0.5, -1.5]);
  });

  it('one tensor as both operands gets both gradients', () => {
    expectClose(slopes((x) => x.mul(x), [0, 3])[0]!, [0, 6]);
    expectClose(slopes((x) => x.sub(x), [3])[0]!, [0]);
    expectClose(slopes((x) => x.div(x), [3])[0]!, [0]);
    expectClose(slopes((x) => p.maximum(x, x), [3])[0]!, [1]);
  });
});

describe('comparisons', () => {
  const values = [-1, -0, 0, 2, Infinity, NaN];
  it.each(Object.entries(comparisons))('%s gives 1 where it holds and 0 elsewhere', (name, holds) => {
    const out = functions[name]!(tensor(values).reshape([6, 1]), tensor(values));
    expect(out.toArray()).toEqual(values.map((a) => values.map((b) => (holds(a, b) ? 1 : 0))));
  });

  it('have no derivative, and their results need none', () => {
    expect(tensor([1]).requiresGrad_().gt(0).requiresGrad).toBe(false);
  });
});

describe('where', () => {
  it('takes a where the condition is anything but 0', () => {
    expect(p.where(tensor([1, 0, -2, NaN, -0]), 7, tensor([1, 2, 3, 4, 5])).toArray()).toEqual([7, 2, 7, 7, 5]);
  });

  it('sends no gradient to what was not taken, not even a NaN', () => {
    const [a, b] = slopes((x, y) => p.where(x.gt(0), x.log(), y), [-1, 1], [5, 6]);
    expectClose(a!, [0, 1]);
    expectClose(b!, [1, 0]);
    expect(p.where(tensor([0, 1]), tensor([NaN, 1]), 2).toArray()).toEqual([2, 1]);
  });

  it('broadcasts all three', () => {
    const [condition, a, b] = [tensor([[1], [0]]), tensor([1, 2, 3]).requiresGrad_(), tensor(9).requiresGrad_()];
    const out = p.where(condition, a, b);
    expect(out.toArray()).toEqual([
      [1, 2, 3],
      [9, 9, 9],
    ]);
    out.sum().backward();
    expect([a.grad!.toArray(), b.grad!.toArray()]).toEqual([[1, 1, 1], 3]);
    expect(p.where(zeros([0, 3]), 1, zeros([3])).shape).toEqual([0, 3]);
  });
});

/** Making tensors: every form of data, copies, and what is refused. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { constant } from '../../src/tensor/create.ts';
import { expectRefused, untyped } from '../ops/numbers.ts';

const { tensor, zeros, ones, full, arange, eye, buffer } = p;

describe('tensor', () => {
  it('takes a number, nested arrays, flat data with a shape', () => {
    expect([tensor(3).shape, tensor(3).toArray()]).toEqual([[], 3]);
    expect(tensor(3, [1, 1]).toArray()).toEqual([[3]]);
    expect(
      tensor([
        [1, 2],
        [3, 4],
      ]).shape,
    ).toEqual([2, 2]);
    expect(tensor([[[1]], [[2]]]).shape).toEqual([2, 1, 1]);
    expect(tensor([1, 2, 3, 4], [2, 2]).toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(tensor([7], []).toArray()).toBe(7);
    expect(tensor(new Float32Array([1, 2])).toArray()).toEqual([1, 2]);
    expect(tensor(new Float64Array([1, 2]), [2, 1]).toArray()).toEqual([[1], [2]]);
    expect(tensor(Uint8Array.of(255, 0)).toArray()).toEqual([255, 0]);
    expect(tensor(Int32Array.of(-1)).toArray()).toEqual([-1]);
  });

  it('of nothing has its shape', () => {
    expect(tensor([]).shape).toEqual([0]);
    expect(tensor([[], []]).shape).toEqual([2, 0]);
    expect(tensor([], [0, 3]).shape).toEqual([0, 3]);
    expect(tensor(new Float32Array(0), [2, 0]).toArray()).toEqual([[], []]);
  });

  it('keeps NaN, infinities and -0, and rounds to float32', () => {
    expect(tensor([NaN, Infinity, -Infinity, -0, 0.1]).toArray()).toEqual([
      NaN,
      Infinity,
      -Infinity,
      -0,
      Math.fround(0.1),
    ]);
    expect(tensor(-0).item()).toBe(-0);
    expect(tensor(1e39).item()).toBe(Infinity);
  });

  it('copies data and shape', () => {
    const [data, shape, nested, one] = [new Float32Array([1, 2]), [2, 1], [[1], [2]], [1]];
    const made = [tensor(data, shape), tensor(nested), tensor([1, 2], shape), zeros(shape), tensor(5, one)];
    data.fill(9);
    shape[0] = 9;
    nested[0]![0] = 9;
    one[0] = 9;
    expect(made.map((x) => x.shape)).toEqual([[2, 1], [2, 1], [2, 1], [2, 1], [1]]);
    expect(made.map((x) => x.toArray())).toEqual([[[1], [2]], [[1], [2]], [[1], [2]], [[0], [0]], [5]]);
  });

  it('says what is wrong', () => {
    const wanted = 'expected a number, nested arrays or a typed array of numbers';
    expectRefused([
      [
        'tensor: nested arrays must be of equal length on every level: axis 1 has length 2 at first and 1 later.',
        () => tensor([[1, 2], [3]]),
      ],
      [
        'tensor: nested arrays must be of equal length on every level: axis 1 has length 1 at first and 2 later.',
        () => tensor([[1], [2, 3]]),
      ],
      [
        'tensor: nested arrays must be of equal length on every level: axis 1 has length 1 at first and the number 2 later.',
        () => tensor([[1], 2]),
      ],
      ['tensor: the nested arrays hold an array where a number was expected.', () => tensor([1, [2]])],
      ["tensor: the nested arrays hold 'x' where a number was expected.", () => untyped(tensor)([1, 'x'])],
      ['tensor: the nested arrays hold undefined where a number was expected.', () => untyped(tensor)([undefined])],
      ['tensor: the nested arrays hold null where a number was expected.', () => untyped(tensor)([[null]])],
      [
        'tensor: the nested arrays hold a tensor (copy one with detach()) where a number was expected.',
        () => untyped(tensor)([tensor(1)]),
      ],
      ['tensor: 3 numbers do not fill shape [2, 2], which holds 4.', () => tensor([1, 2, 3], [2, 2])],
      ['tensor: 3 numbers do not fill shape [2], which holds 2.', () => tensor(new Float32Array(3), [2])],
      ['tensor: one number does not fill shape [2]; use full(shape, value).', () => tensor(3, [2])],
      ['tensor: nested arrays have their own shape; give a shape with flat data only.', () => tensor([[1, 2]], [2])],
      ['tensor: a shape holds whole numbers of at least 0, not [-1, -1].', () => tensor(3, [-1, -1])],
      ['tensor: a shape holds whole numbers of at least 0, not [-2, -2].', () => tensor([1, 2, 3, 4], [-2, -2])],
      ['tensor: a shape holds whole numbers of at least 0, not [NaN].', () => tensor([1], [NaN])],
      ['tensor: a shape holds whole numbers of at least 0, not [0.5, 2].', () => tensor([1], [0.5, 2])],
      ['tensor: a shape is a list of sizes, [2, 3] say, not 4.', () => untyped(tensor)([1, 2, 3, 4], 4)],
      [`tensor: ${wanted}, not '12'.`, () => untyped(tensor)('12')],
      [`tensor: ${wanted}, not null.`, () => untyped(tensor)(null)],
      [`tensor: ${wanted}, not undefined.`, () => untyped(tensor)()],
      [`tensor: ${wanted}, not boolean.`, () => untyped(tensor)(true)],
      [`tensor: ${wanted}, not object.`, () => untyped(tensor)({ a: 1 })],
      [`tensor: ${wanted}, not a tensor (copy one with detach()).`, () => untyped(tensor)(tensor([1]))],
    ]);
  });
});

describe('full, zeros, ones, arange, eye', () => {
  it('fill their shape', () => {
    expect(zeros([2, 2]).toArray()).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(ones([]).toArray()).toBe(1);
    expect(full([3], -2.5).toArray()).toEqual([-2.5, -2.5, -2.5]);
    expect(full([0, 2], 1).shape).toEqual([0, 2]);
    expect(eye(3).toArray()).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    expect(eye(0).shape).toEqual([0, 0]);
  });

  it('count', () => {
    expect(arange(3).toArray()).toEqual([0, 1, 2]);
    expect(arange(0).shape).toEqual([0]);
    expect(arange(-3).shape).toEqual([0]);
    expect(arange(2, 5).toArray()).toEqual([2, 3, 4]);
    expect(arange(0, 1, 0.25).toArray()).toEqual([0, 0.25, 0.5, 0.75]);
    expect(arange(5, 0, -2).toArray()).toEqual([5, 3, 1]);
    expect(arange(2.5).toArray()).toEqual([0, 1, 2]);
  });

  it('say what is wrong', () => {
    expectRefused([
      ['zeros: a shape holds whole numbers of at least 0, not [-1].', () => zeros([-1])],
      ['ones: a shape holds whole numbers of at least 0, not [2, NaN].', () => ones([2, NaN])],
      ['full: a shape holds whole numbers of at least 0, not [1.5].', () => full([1.5], 0)],
      ['zeros: a shape is a list of sizes, [2, 3] say, not 3.', () => untyped(zeros)(3)],
      ['zeros: a shape is a list of sizes, [2, 3] say, not undefined.', () => untyped(zeros)()],
      ['zeros: a tensor of shape [100000, 100000] is too large.', () => zeros([1e5, 1e5])],
      ['full: the value is a number, not undefined.', () => untyped(full)([2])],
      ['eye: a shape holds whole numbers of at least 0, not [2.5, 2.5].', () => eye(2.5)],
      ['eye: a tensor of shape [100000, 100000] is too large.', () => eye(1e5)],
      ['arange: no list from 0 to 5 in steps of 0.', () => arange(0, 5, 0)],
      ['arange: no list from 0 to NaN in steps of 1.', () => arange(NaN)],
      ['arange: no list from 0 to Infinity in steps of 1.', () => arange(Infinity)],
      ['arange: a tensor of shape [1000000000000] is too large.', () => arange(1e12)],
    ]);
  });
});

describe('buffer and parameter', () => {
  it('copy, from any view', () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    const [kept, w] = [buffer(x.transpose()), p.parameter(x.slice([1]))];
    x.zero_();
    expect([kept.toArray(), w.toArray()]).toEqual([
      [
        [1, 3],
        [2, 4],
      ],
      [3, 4],
    ]);
    expect([kept.requiresGrad, w.requiresGrad]).toEqual([false, true]);
    expect(buffer(zeros([0, 2])).shape).toEqual([0, 2]);
    expect(buffer(tensor(5)).toArray()).toBe(5);
  });
});

describe('constants', () => {
  it('are made once for each number, and told apart by the sign of 0', () => {
    expect(constant(2.5)).toBe(constant(2.5));
    expect(constant(NaN)).toBe(constant(NaN));
    expect(1 / constant(-0).item()).toBe(-Infinity);
    expect(1 / constant(0).item()).toBe(Infinity);
  });

  it('are still themselves after a thousand others', () => {
    const kept = constant(0.125);
    for (let i = 0; i < 1000; i++) constant(i + 0.5);
    expect([kept.item(), constant(0.125).item()]).toEqual([0.125, 0.125]);
  });
});

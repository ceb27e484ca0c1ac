/** Reading by index: repeats, empty lists, every form of index, positions and ranges in the errors. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, noTensors, slope, untyped } from './numbers.ts';

const { tensor, zeros, arange, indexSelect, gather, oneHot } = p;

describe('indexSelect', () => {
  const x = arange(12).reshape([3, 4]);

  it('takes rows and columns, in any order, as often as asked', () => {
    expect(indexSelect(x, 0, [2, 0, 2]).toArray()).toEqual([
      [8, 9, 10, 11],
      [0, 1, 2, 3],
      [8, 9, 10, 11],
    ]);
    expect(indexSelect(x, -1, Int32Array.of(3)).toArray()).toEqual([[3], [7], [11]]);
    expect(indexSelect(x.transpose(), 0, [1]).toArray()).toEqual([[1, 5, 9]]);
    expect(indexSelect(x, 0, p.argmax(x, 0)).shape).toEqual([4, 4]);
    expect(indexSelect(x, 0, []).shape).toEqual([0, 4]);
    expect(indexSelect(zeros([0, 2]), 0, []).shape).toEqual([0, 2]);
    expect(indexSelect(zeros([2, 0]), 0, [1, 1, 1]).shape).toEqual([3, 0]);
  });

  it('adds the gradients of what was read twice', () => {
    const weight = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expectClose(
      slope(
        (y) => indexSelect(y, 0, [1, 1, 0]).mul(weight),
        [
          [0, 0],
          [0, 0],
          [0, 0],
        ],
      ),
      [
        [5, 6],
        [4, 6],
        [0, 0],
      ],
    );
    expectClose(
      slope(
        (y) => indexSelect(y, 1, [2, 2]).mul(tensor([[1, 10]])),
        [
          [0, 0, 0],
          [0, 0, 0],
        ],
      ),
      [
        [0, 0, 11],
        [0, 0, 11],
      ],
    );
    expectClose(
      slope((y) => indexSelect(y, 0, []), [1, 2]),
      [0, 0],
    );
  });
});

describe('gather', () => {
  it('takes one entry for each index', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(
      gather(x, 1, [
        [2, 0],
        [1, 1],
      ]).toArray(),
    ).toEqual([
      [3, 1],
      [5, 5],
    ]);
    expect(gather(x, 0, [[1, 0, 1]]).toArray()).toEqual([[4, 2, 6]]);
    expect(gather(x, 1, [[0, 0, 0, 0]]).toArray()).toEqual([[1, 1, 1, 1]]);
    expect(gather(x.flip(1), -1, [[0], [0]]).toArray()).toEqual([[3], [6]]);
    expect(gather(x, 1, [[], []]).shape).toEqual([2, 0]);
    expect(gather(x, 1, p.argmax(x, 1, true)).toArray()).toEqual([[3], [6]]);
    expect(gather(zeros([0, 3]), 1, new p.Indices([0, 1], new Int32Array(0))).shape).toEqual([0, 1]);
  });

  it('adds the gradients of what was read twice', () => {
    const weight = tensor([
      [1, 2],
      [3, 4],
    ]);
    expectClose(
      slope(
        (y) =>
          gather(y, 1, [
            [2, 2],
            [0, 1],
          ]).mul(weight),
        [
          [0, 0, 0],
          [0, 0, 0],
        ],
      ),
      [
        [0, 0, 3],
        [3, 4, 0],
      ],
    );
    // The index may be shorter along the other axes: what it does not reach gets 0.
    expectClose(
      slope(
        (y) => gather(y, 0, [[1, 1]]).mul(tensor([[5, 7]])),
        [
          [0, 0, 0],
          [0, 0, 0],
        ],
      ),
      [
        [0, 0, 0],
        [5, 7, 0],
      ],
    );
  });
});

describe('oneHot', () => {
  it('has one 1 in each row', () => {
    expect(oneHot([2, 0], 3).toArray()).toEqual([
      [0, 0, 1],
      [1, 0, 0],
    ]);
    expect(oneHot([[0], [1]], 2).toArray()).toEqual([[[1, 0]], [[0, 1]]]);
    expect(oneHot(p.argmax(tensor([1, 3, 2])), 3).toArray()).toEqual([0, 1, 0]);
    expect(oneHot([], 3).shape).toEqual([0, 3]);
    expect(oneHot([], 0).shape).toEqual([0, 0]);
  });

  it('says what is wrong', () => {
    expectRefused([
      ['oneHot: index 3 at position 1 is outside 0 to 2.', () => oneHot([0, 3], 3)],
      ['oneHot: index 0 at position 0, but there is nothing to index: that axis has size 0.', () => oneHot([0], 0)],
      ['oneHot: a shape holds whole numbers of at least 0, not [2.5].', () => oneHot([0], 2.5)],
      [
        'oneHot: indices are whole numbers in an array, an Int32Array or Indices, not object.',
        () => untyped(oneHot)(tensor([1]), 3),
      ],
    ]);
  });
});

describe('indices', () => {
  const x = zeros([3, 4]);

  it('name position and range where they are wrong', () => {
    const equal = 'indices are whole numbers in lists of equal length';
    expectRefused([
      ['indexSelect: index 3 at position 2 is outside 0 to 2.', () => indexSelect(x, 0, [0, 1, 3])],
      ['indexSelect: index -1 at position 0 is outside 0 to 3.', () => indexSelect(x, 1, [-1])],
      ['indexSelect: index 4294967296 at position 0 is outside 0 to 2.', () => indexSelect(x, 0, [2 ** 32])],
      [
        'gather: index 4 at position 3 is outside 0 to 3.',
        () =>
          gather(x, 1, [
            [0, 1],
            [2, 4],
          ]),
      ],
      [`indexSelect: ${equal}, not 1.5 at position 1.`, () => indexSelect(x, 0, [0, 1.5])],
      [`indexSelect: ${equal}, not undefined at position 0.`, () => untyped(indexSelect)(x, 0, [undefined])],
      [`indexSelect: ${equal}, not x at position 0.`, () => untyped(indexSelect)(x, 0, ['x'])],
      [`oneHot: ${equal}, and these differ in length.`, () => oneHot([[1, 2], [0, 1, 2], [0]], 4)],
      [`oneHot: ${equal}, and these differ in length.`, () => oneHot([[1], 2], 4)],
      [
        'indexSelect: indices are whole numbers in an array, an Int32Array or Indices, not null.',
        () => untyped(indexSelect)(x, 0, null),
      ],
      [
        'indexSelect: indices are whole numbers in an array, an Int32Array or Indices, not number.',
        () => untyped(indexSelect)(x, 0, 1),
      ],
      ['indexSelect: the index is a flat list, not of shape [1, 2].', () => indexSelect(x, 0, [[0, 1]])],
      ['indexSelect: axis 2 does not exist in shape [3, 4]; its axes are -2 to 1.', () => indexSelect(x, 2, [0])],
      [
        'gather: an index of shape [2] does not fit x of shape [3, 4]: as many axes, and no axis but 1 larger.',
        () => gather(x, 1, [0, 1]),
      ],
      [
        'gather: an index of shape [4, 1] does not fit x of shape [3, 4]: as many axes, and no axis but 1 larger.',
        () => gather(x, 1, [[0], [0], [0], [0]]),
      ],
      ['Indices: 1 numbers do not fill shape [2, 2].', () => new p.Indices([2, 2], Int32Array.of(1))],
    ]);
    for (const value of [...noTensors, 3]) {
      expect(() => untyped(indexSelect)(value, 0, [0])).toThrow(/^indexSelect: expected a tensor, not /);
      expect(() => untyped(gather)(value, 0, [0])).toThrow(/^gather: expected a tensor, not /);
    }
  });

  it('are not kept: what changes later changes no gradient', () => {
    for (const make of [(data: Int32Array) => data, (data: Int32Array) => new p.Indices([2], data)]) {
      const [data, more] = [Int32Array.of(0, 1), Int32Array.of(0, 1)];
      const y = zeros([3]).requiresGrad_();
      const out = indexSelect(y, 0, make(data)).add(gather(y, 0, make(more)));
      data.fill(2);
      more.fill(2);
      out.sum().backward();
      expect(y.grad!.toArray()).toEqual([2, 2, 0]);
    }
  });

  it('of argmax may be read and written as numbers', () => {
    const found = p.argmax(
      tensor([
        [1, 2],
        [4, 3],
      ]),
      1,
    );
    expect([found.toArray(), found.size, String(found)]).toEqual([[1, 0], 2, 'Indices([1,0], shape=[2])']);
    expect(found.data).toBeInstanceOf(Int32Array);
  });
});

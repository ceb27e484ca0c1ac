/** Reading numbers out: item, toArray, toFloat32Array, from every kind of storage and view. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectRefused } from '../ops/numbers.ts';

const { tensor, zeros, arange } = p;

describe('a tensor', () => {
  it('knows its shape, size and number of axes', () => {
    const x = zeros([2, 0, 3]);
    expect([x.shape, x.size, x.ndim]).toEqual([[2, 0, 3], 0, 3]);
    expect([tensor(1).shape, tensor(1).size, tensor(1).ndim]).toEqual([[], 1, 0]);
  });

  it('gives its one number, whatever its shape', () => {
    expect(tensor(3).item()).toBe(3);
    expect(tensor([[[3]]]).item()).toBe(3);
    expect(arange(9).slice([-2]).item()).toBe(7);
    expect(tensor([1, 2]).add(1).slice([1]).item()).toBe(3);
    expect(tensor(5).expand([1, 1]).item()).toBe(5);
    expectRefused([
      ['item: a tensor of shape [2] holds 2 numbers, not one. Use toArray().', () => tensor([1, 2]).item()],
      ['item: a tensor of shape [0, 3] holds 0 numbers, not one. Use toArray().', () => zeros([0, 3]).item()],
    ]);
  });

  it('gives nested arrays of its shape, from any view', () => {
    const views: [p.Tensor, unknown][] = [
      [
        arange(6).reshape([2, 3]),
        [
          [0, 1, 2],
          [3, 4, 5],
        ],
      ],
      [
        arange(6).reshape([2, 3]).transpose(),
        [
          [0, 3],
          [1, 4],
          [2, 5],
        ],
      ],
      [arange(6).slice([[4, null, -2]]), [4, 2, 0]],
      [
        arange(2).expand([2, 2]),
        [
          [0, 1],
          [0, 1],
        ],
      ],
      [zeros([2, 0]), [[], []]],
      [zeros([0, 2]), []],
      [tensor(4), 4],
    ];
    for (const [x, expected] of views) {
      expect(x.toArray()).toEqual(expected);
      expect(x.clone().toArray()).toEqual(expected);
      expect(Array.from(x.toFloat32Array())).toEqual([expected].flat(9));
      expect(x.detach().toArray()).toEqual(expected);
    }
  });

  it('gives copies: what is done to them changes no tensor', () => {
    for (const x of [tensor([1, 2]), tensor([0, 1]).add(1), p.buffer(tensor([1, 2]))]) {
      const numbers = x.toFloat32Array();
      expect(numbers).toBeInstanceOf(Float32Array);
      numbers.fill(9);
      (x.toArray() as number[])[0] = 9;
      x.detach().fill_(9);
      expect(x.toArray()).toEqual([1, 2]);
      const before = x.toFloat32Array();
      x.fill_(5);
      expect(Array.from(before)).toEqual([1, 2]);
    }
  });
});

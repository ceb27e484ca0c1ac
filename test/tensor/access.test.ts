/** withData: the numbers where they stand. And packing of views with many axes. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectRefused } from '../ops/numbers.ts';

const { tensor, arange, withData } = p;

describe('withData', () => {
  it.each<[string, () => p.Tensor]>([
    ['an ordinary array', () => arange(6)],
    ['an op output', () => arange(6).add(0)],
    ['a buffer', () => p.buffer(arange(6))],
    ['a part of an ordinary array', () => arange(9).slice([[0, 6]])],
  ])('reads and writes %s', (_, make) => {
    const x = make();
    expect(withData(x, (view) => Array.from(view))).toEqual([0, 1, 2, 3, 4, 5]);
    const write = (view: Float32Array): void => {
      view[1] = 10;
    };
    withData(x, write, { write: true });
    expect(x.toArray()).toEqual([0, 10, 2, 3, 4, 5]);
    expect(x.add(1).toArray()).toEqual([1, 11, 3, 4, 5, 6]);
    const part = x.slice([[2, 4]]);
    expect(withData(part, (view) => view.length)).toBe(2);
    withData(part, (view) => view.fill(7), { write: true });
    expect(x.toArray()).toEqual([0, 10, 7, 7, 4, 5]);
  });

  it('of nothing and of a scalar', () => {
    expect(withData(tensor([]), (view) => view.length)).toBe(0);
    expect(withData(tensor(3), (view) => view[0])).toBe(3);
  });

  it('does not count as a write when it only reads', () => {
    const [x, w] = [tensor([1, 2]), tensor([1, 1]).requiresGrad_()];
    const loss = x.mul(w).sum();
    expect(withData(x, (view) => view[1])).toBe(2);
    loss.backward();
    expect(w.grad!.toArray()).toEqual([1, 2]);
  });

  it('counts as a write, also when the callback throws', () => {
    const [x, w] = [tensor([1, 2]), tensor([1, 1]).requiresGrad_()];
    const loss = x.mul(w).sum();
    const fail = (view: Float32Array): void => {
      view[0] = 5;
      throw new Error('mine');
    };
    expect(() => withData(x, fail, { write: true })).toThrow('mine');
    expect(x.toArray()).toEqual([5, 2]);
    expect(() => loss.backward()).toThrow(/was changed in place/);
  });

  it('refuses what does not stand in a row', () => {
    expectRefused([
      [
        'withData: the elements of this view do not stand in a row. Copy it first: x.contiguous().',
        () => withData(arange(6).reshape([2, 3]).transpose(), () => 0),
      ],
    ]);
  });
});

describe('copies of views', () => {
  it('with seven axes that no two of can be joined', () => {
    const shape = [2, 2, 3, 2, 2, 2, 3];
    const x = arange(288).reshape(shape);
    const odd = x
      .permute([6, 4, 2, 0, 1, 3, 5])
      .flip([0, 3])
      .slice([null, [1, null, -1]]);
    expect(odd.clone().toArray()).toEqual(odd.toArray());
    const back = p.zeros(odd.shape);
    back.copy_(odd);
    expect(back.toArray()).toEqual(odd.toArray());
    const target = p.zeros(shape).permute([6, 4, 2, 0, 1, 3, 5]);
    target.copy_(odd);
    expect(target.toArray()).toEqual(odd.toArray());
  });
});

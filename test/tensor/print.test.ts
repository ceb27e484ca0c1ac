/** How tensors look. */
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';

const { tensor, zeros, ones, arange } = p;

describe('printing', () => {
  it('shows scalars, vectors, matrices, and gaps between the blocks of more axes', () => {
    expect(`${tensor(2.5)}`).toBe('Tensor(2.5)');
    expect(`${tensor([1, -2, 3.25])}`).toBe('Tensor([   1,   -2, 3.25], shape=[3])');
    expect(
      `${tensor([
        [1, 2],
        [3, 40],
      ])}`,
    ).toBe('Tensor([[ 1,  2],\n        [ 3, 40]], shape=[2, 2])');
    expect(`${arange(8).reshape([2, 2, 2])}`).toBe(
      'Tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]], shape=[2, 2, 2])',
    );
    expect(`${arange(2).reshape([2, 1, 1, 1])}`).toBe('Tensor([[[[0]]],\n\n\n        [[[1]]]], shape=[2, 1, 1, 1])');
    expect(
      `${tensor([
        [1, 2],
        [3, 4],
      ]).transpose()}`,
    ).toBe('Tensor([[1, 3],\n        [2, 4]], shape=[2, 2])');
  });

  it('shows NaN, infinities, -0, the very large and the very small', () => {
    expect(`${tensor([NaN, Infinity, -Infinity, -0])}`).toBe(
      'Tensor([      NaN,  Infinity, -Infinity,        -0], shape=[4])',
    );
    expect(`${tensor([1e30, -1e-30, 0])}`).toBe('Tensor([ 1.000e+30, -1.000e-30,          0], shape=[3])');
    expect(`${tensor(1e-45)}`).toBe('Tensor(1.401e-45)');
    expect(`${tensor([0.1, 1 / 3])}`).toBe('Tensor([    0.1, 0.33333], shape=[2])');
    expect(`${tensor(0.00025)}`).toBe('Tensor(0.00025)');
    expect(`${tensor(0.00001)}`).toBe('Tensor(1.000e-5)');
  });

  it('never shows digits that the number does not have', () => {
    expect(`${tensor(999999)}`).toBe('Tensor(999999)');
    expect(`${tensor(1234567)}`).toBe('Tensor(1.235e+6)');
    expect(`${tensor(12345.6)}`).toBe('Tensor(12346)');
    expect(`${tensor(123456.5)}`).toBe('Tensor(1.235e+5)');
  });

  it('shows nothing, with its shape', () => {
    expect(`${tensor([])}`).toBe('Tensor([], shape=[0])');
    expect(`${zeros([2, 0, 3])}`).toBe('Tensor([], shape=[2, 0, 3])');
  });

  it('shortens above 1000 numbers, to three at either end of each axis', () => {
    expect(`${ones([1000])}`).toBe(`Tensor([${new Array(1000).fill(1).join(', ')}], shape=[1000])`);
    expect(`${arange(1001)}`).toBe('Tensor([   0,    1,    2, ...,  998,  999, 1000], shape=[1001])');
    expect(`${zeros([100, 6, 2])}`.match(/0/g)!.length).toBe(3 * 2 * 6 * 2 + 2);
    expect(`${arange(2000).reshape([1000, 2])}`).toBe(
      [
        'Tensor([[   0,    1],',
        '        [   2,    3],',
        '        [   4,    5],',
        '        ...,',
        '        [1994, 1995],',
        '        [1996, 1997],',
        '        [1998, 1999]], shape=[1000, 2])',
      ].join('\n'),
    );
    // Axes of up to six are shown whole, however many there are.
    expect(`${zeros(new Array(17).fill(2))}`.match(/0/g)!.length).toBe(2 ** 17);
  });

  it('says how the tensor came to be', () => {
    const x = tensor([1, 2]).requiresGrad_();
    expect(`${x}`).toBe('Tensor([1, 2], shape=[2], requiresGrad)');
    expect(`${x.mul(2)}`).toBe('Tensor([2, 4], shape=[2], from mul)');
    expect(`${x.sum()}`).toBe('Tensor(3, from sum)');
    expect(`${x.detach()}`).toBe('Tensor([1, 2], shape=[2])');
    expect(`${p.noGrad(() => x.mul(2))}`).toBe('Tensor([2, 4], shape=[2])');
  });

  it('of numbers that were given back says so', () => {
    let gone: p.Tensor | undefined;
    p.scope(() => {
      gone = zeros([1000]).add(1);
    });
    expect(`${gone}`).toBe('Tensor(<GivenBackError>, shape=[1000])');
    expect(inspect(gone)).toBe(`${gone}`);
  });

  it('is what console.log shows', () => {
    for (const x of [
      tensor([
        [1, 2],
        [3, 4],
      ]),
      tensor(3).requiresGrad_(),
      tensor(3).add(1),
    ])
      expect(inspect(x)).toBe(`${x}`);
    expect(inspect({ x: tensor([1]) })).toBe('{ x: Tensor([1], shape=[1]) }');
  });

  it('is what a Jupyter kernel shows', () => {
    const x = tensor([1, 2]) as unknown as Record<symbol, () => Record<string, string>>;
    expect(x[Symbol.for('Jupyter.display')]!()).toEqual({ 'text/plain': 'Tensor([1, 2], shape=[2])' });
  });
});

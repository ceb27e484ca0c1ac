/** layerNorm against PyTorch's values, its derivatives, and edges. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkGradients, Draw, Generator, ones, tensor, transpose, zeros } from '../../src/index.ts';
import { layerNorm } from '../../src/ops/normalization.ts';
import { expectClose, expectRefused, flat, slopes, untyped } from './numbers.ts';

interface GoldenArray {
  shape: number[];
  data: number[];
  grad: number[];
}
interface GoldenCase {
  op: string;
  attrs: { normalized_shape: number[]; eps: number };
  inputs: Record<'x' | 'weight' | 'bias', GoldenArray>;
  output: GoldenArray;
  upstream: GoldenArray;
}
const { cases } = JSON.parse(readFileSync(join(import.meta.dirname, '../golden/ops.json'), 'utf8')) as {
  cases: GoldenCase[];
};

const draw = () => new Draw(new Generator(9));

describe('layerNorm', () => {
  const golden = cases.filter(({ op }) => op === 'layer_norm');
  it('has golden values', () => expect(golden.length).toBeGreaterThan(0));

  it.each(golden)("is PyTorch's, forward and backward: $attrs", ({ attrs, inputs, output, upstream }) => {
    const unpack = ({ data, shape }: GoldenArray) => tensor(data, shape);
    const [x, weight, bias] = [inputs.x, inputs.weight, inputs.bias].map((input) => unpack(input).requiresGrad_());
    const y = layerNorm(x!, attrs.normalized_shape, weight, bias, attrs.eps);
    expect(y.shape).toEqual(output.shape);
    expectClose(y, output.data, 2e-6);
    y.backward(unpack(upstream));
    expectClose(x!.grad!, inputs.x.grad, 1e-5);
    expectClose(weight!.grad!, inputs.weight.grad, 1e-5);
    expectClose(bias!.grad!, inputs.bias.grad, 1e-5);
  });

  it('has derivatives of first and second order, over several axes, with each choice of parameters', () => {
    const d = draw();
    const [x, weight, bias] = [d.normal([2, 2, 3]), d.normal([2, 3]), d.normal([2, 3])];
    checkGradients((a) => layerNorm(a, [2, 3]), [x]);
    checkGradients((a, b) => layerNorm(a, [2, 3], b), [x, weight]);
    checkGradients((a, c) => layerNorm(a, [2, 3], null, c), [x, bias]);
    checkGradients((a, b, c) => layerNorm(a, [2, 3], b, c, 0.1), [x, weight, bias]);
  });

  it('sends by its kernels what its rule says, from views and through several rows', () => {
    const d = draw();
    const [x, weight, bias] = [d.normal([5, 7]), d.normal([5]), d.normal([5])];
    const g = d.normal([7, 5]);
    slopes((a, b, c) => layerNorm(transpose(a), 5, b, c).mul(g), x.toArray(), weight.toArray(), bias.toArray());
    slopes((a, b) => layerNorm(transpose(a), 5, b).mul(g), x.toArray(), weight.toArray());
    slopes((a) => layerNorm(transpose(a), 5).mul(g), x.toArray());
  });

  it('takes a weight alone, a bias alone, both, or none', () => {
    const [x, weight, bias] = [tensor([[1, 3]]), tensor([2, 3]), tensor([10, 20])];
    const found = [layerNorm(x, 2, null, null, 0), layerNorm(x, 2, weight, null, 0), layerNorm(x, 2, null, bias, 0)];
    expect([...found, layerNorm(x, 2, weight, bias, 0)].map(flat)).toEqual([
      [-1, 1],
      [-2, 3],
      [9, 21],
      [8, 23],
    ]);
  });

  it('normalizes each part by itself: mean 0, variance 1', () => {
    const y = layerNorm(draw().normal([3, 4, 5], 3).add(2), [4, 5]);
    expectClose(y.mean([1, 2]), [0, 0, 0], 1e-6);
    expectClose(y.var([1, 2], { unbiased: false }), [1, 1, 1], 1e-5);
  });

  it('keeps the digits of numbers far from 0', () => {
    const x = [1000.25, 1000.5, 999.75, 999.5];
    expectClose(layerNorm(tensor(x), 4), layerNorm(tensor(x.map((value) => value - 1000)), 4), 1e-6);
  });

  it('gives 0 for equal numbers and for one number, and takes parts of size 0', () => {
    expect(layerNorm(tensor([[3, 3, 3]]), 3).toArray()).toEqual([[0, 0, 0]]);
    expect(layerNorm(tensor([[3], [4]]), 1).toArray()).toEqual([[0], [0]]);
    expect(layerNorm(zeros([0, 3]), 3).shape).toEqual([0, 3]);
    expect(layerNorm(zeros([2, 0]), 0).shape).toEqual([2, 0]);
    expect(
      slopes((x) => layerNorm(x, 3).mul(tensor([1, 2, 3])), [[3, 3, 3]])
        .flat(3)
        .every(Number.isFinite),
    ).toBe(true);
    expect(flat(layerNorm(tensor([1, Number.NaN]), 2))).toEqual([Number.NaN, Number.NaN]);
  });

  it('refuses shapes that do not fit', () => {
    const x = zeros([2, 3]);
    expectRefused([
      [
        'layerNorm: x [2, 3] does not end in normalizedShape [2]: it names the sizes of the last axes.',
        () => layerNorm(x, 2),
      ],
      [
        'layerNorm: x [2, 3] does not end in normalizedShape [1, 2, 3]: it names the sizes of the last axes.',
        () => layerNorm(x, [1, 2, 3]),
      ],
      ['layerNorm: weight [2] must have the shape that is normalized, [3].', () => layerNorm(x, 3, ones([2]))],
      [
        'layerNorm: bias [3, 1] must have the shape that is normalized, [3].',
        () => layerNorm(x, 3, null, ones([3, 1])),
      ],
      ['layerNorm: normalizedShape names at least one axis; [] names none.', () => layerNorm(x, [])],
      ['layerNorm: eps is a number of at least 0, not -1.', () => layerNorm(x, 3, null, null, -1)],
      ['layerNorm: expected a tensor, not an array. Make one with tensor(...).', () => untyped(layerNorm)([1], 1)],
    ]);
  });
});

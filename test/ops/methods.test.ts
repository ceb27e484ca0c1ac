/** Methods are the functions, with the tensor as the first argument. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose } from './numbers.ts';

const functions = p as unknown as Record<string, (...args: unknown[]) => p.Tensor>;
type Called = Record<string, (...args: unknown[]) => p.Tensor>;

describe('methods', () => {
  const x = p.tensor([
    [0.5, 1.5],
    [2.5, 0.25],
  ]);
  const method = (name: string, ...args: unknown[]) => (x as unknown as Called)[name]!(...args);

  it.each<[string, unknown[]]>([
    ...['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'eq', 'ne', 'lt', 'le', 'gt', 'ge', 'pow'].map(
      (name): [string, unknown[]] => [name, [p.tensor([0.5, 2])]],
    ),
    ...[
      'neg',
      'exp',
      'expm1',
      'log',
      'log1p',
      'sin',
      'cos',
      'sqrt',
      'rsqrt',
      'reciprocal',
      'abs',
      'square',
      'sign',
      'erf',
      'tanh',
    ].map((name): [string, unknown[]] => [name, []]),
    ...[
      'sigmoid',
      'logsigmoid',
      'softplus',
      'relu',
      'silu',
      'mish',
      'hardswish',
      'selu',
      'gelu',
      'leakyRelu',
      'elu',
      'clamp',
    ].map((name): [string, unknown[]] => [name, []]),
    ['gelu', [{ approximate: 'tanh' }]],
    ['leakyRelu', [0.5]],
    ['clamp', [1]],
    ['clamp', [undefined, 1]],
    [
      'matmul',
      [
        p.tensor([
          [1, 2],
          [3, 4],
        ]),
      ],
    ],
    ...['sum', 'mean', 'amax', 'amin', 'prod', 'norm', 'logsumexp', 'std'].flatMap((name): [string, unknown[]][] => [
      [name, []],
      [name, [1]],
    ]),
    ...['sum', 'mean', 'amax', 'amin', 'prod', 'norm', 'logsumexp'].flatMap((name): [string, unknown[]][] => [
      [name, [undefined, true]],
      [name, [0, true]],
    ]),
    ['std', [1, { unbiased: false, keepdim: true }]],
    ['argmax', [1]],
    ['argmin', []],
    ['softmax', [0]],
    ['logSoftmax', []],
    ['reshape', [[4]]],
    ['flatten', []],
    ['unsqueeze', [1]],
    ['squeeze', []],
    ['permute', [[1, 0]]],
    ['transpose', []],
    ['flip', [0]],
    ['slice', [[[0, 1]]]],
    ['pad', [[1, 0], 3]],
    ['expand', [[3, 2, 2]]],
    ['clone', []],
    ['indexSelect', [0, [1, 1]]],
    ['gather', [1, [[1], [0]]]],
  ])('%s %j', (name, args) => {
    const [found, expected] = [method(name, ...args), functions[name]!(x, ...args)];
    expect(found.shape).toEqual(expected.shape);
    expectClose(found, expected, 0);
  });

  it('var is variance, whose name JavaScript keeps for itself', () => {
    expectClose(x.var(1, { unbiased: false }), p.variance(x, 1, { unbiased: false }), 0);
  });

  it('contiguous gives the tensor itself where it can, and keeps the history where it copies', () => {
    expect(x.contiguous()).toBe(x);
    const leaf = x.detach().requiresGrad_();
    const copy = leaf.transpose().contiguous();
    expect(copy.toArray()).toEqual([
      [0.5, 2.5],
      [1.5, 0.25],
    ]);
    copy
      .mul(
        p.tensor([
          [1, 2],
          [3, 4],
        ]),
      )
      .sum()
      .backward();
    expect(leaf.grad!.toArray()).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });
});

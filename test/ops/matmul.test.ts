/** Matrix products: sizes 0 and odd, every combination of ranks, batches that broadcast, linear layers. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, inUsedMemory, noTensors, untyped } from './numbers.ts';

const { tensor, zeros, ones, matmul, linear } = p;

/** Small whole numbers, so that products are exact in any order. */
const whole = (shape: readonly number[], salt: number) =>
  tensor(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => ((i * 7 + salt * 3) % 11) - 5),
    shape,
  );

/** The product of two stacks of matrices, by its definition. */
function product(a: p.Tensor, b: p.Tensor): { shape: number[]; numbers: number[] } {
  const batch =
    a.shape.slice(0, -2).length >= b.shape.slice(0, -2).length ? [...a.shape.slice(0, -2)] : [...b.shape.slice(0, -2)];
  for (const own of [a, b])
    own.shape.slice(0, -2).forEach((size, i, all) => {
      const at = i + batch.length - all.length;
      if (batch[at] === 1) batch[at] = size;
    });
  const [m, k] = a.shape.slice(-2) as [number, number];
  const n = b.shape.at(-1)!;
  const [x, y] = [a.expand([...batch, m, k]).toFloat32Array(), b.expand([...batch, k, n]).toFloat32Array()];
  const count = batch.reduce((u, v) => u * v, 1);
  const numbers: number[] = [];
  for (let c = 0; c < count; c++)
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) sum += x[(c * m + i) * k + l]! * y[(c * k + l) * n + j]!;
        numbers.push(sum);
      }
  return { shape: [...batch, m, n], numbers };
}

/** Value and both gradients against the definition. */
function check(a: p.Tensor, b: p.Tensor): void {
  const expected = product(a, b);
  a.requiresGrad_();
  b.requiresGrad_();
  const out = matmul(a, b);
  expect(out.shape).toEqual(expected.shape);
  expectClose(out, expected.numbers);
  const g = whole(out.shape, 5);
  out.backward(g);
  const fold = (x: p.Tensor, shape: readonly number[]) => {
    const extra = x.ndim - shape.length;
    const axes = x.shape.flatMap((size, i) => (i < extra || (shape[i - extra] === 1 && size !== 1) ? [i] : []));
    return x.sum(axes, true).reshape(shape);
  };
  for (const [leaf, made] of [
    [a, product(g, b.detach().transpose())],
    [b, product(a.detach().transpose(), g)],
  ] as const)
    expectClose(leaf.grad!, fold(tensor(made.numbers, made.shape), leaf.shape));
}

describe('matmul', () => {
  it.each([0, 1, 2, 3, 5, 17])('sizes 0, 1 and odd, m = %i', (m) => {
    for (const k of [0, 1, 3, 16, 33])
      for (const n of [0, 1, 2, 7, 16, 19]) inUsedMemory(() => check(whole([m, k], 1), whole([k, n], 2)));
  });

  it('an inner size of 0 gives zeros, whatever stood in memory', () => {
    const product = (a: number[], b: number[]) => inUsedMemory(() => matmul(zeros(a), zeros(b)).toArray());
    expect(product([2, 0], [0, 3])).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(product([2, 1, 0], [0, 3])).toEqual([[[0, 0, 0]], [[0, 0, 0]]]);
    expect(product([2, 1, 0], [2, 0, 3])).toEqual([[[0, 0, 0]], [[0, 0, 0]]]);
    expect(matmul(zeros([0]), zeros([0])).toArray()).toBe(0);
    expect(linear(zeros([2, 0]), zeros([3, 0]), tensor([1, 2, 3])).toArray()).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(linear(zeros([2, 1, 0]), zeros([3, 0])).toArray()).toEqual([[[0, 0, 0]], [[0, 0, 0]]]);
  });

  it.each([
    [
      [2, 3, 4],
      [4, 5],
    ],
    [
      [3, 4],
      [2, 4, 5],
    ],
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
    [
      [2, 1, 3, 4],
      [5, 4, 2],
    ],
    [
      [1, 3, 4],
      [6, 4, 2],
    ],
    [
      [2, 3, 1, 1],
      [1, 3, 1, 2],
    ],
    [
      [0, 3, 4],
      [4, 5],
    ],
    [
      [0, 3, 4],
      [1, 4, 5],
    ],
    [
      [2, 0, 4],
      [4, 5],
    ],
    [
      [2, 3, 0],
      [2, 0, 5],
    ],
  ])('stacks %j x %j', (a, b) => inUsedMemory(() => check(whole(a, 1), whole(b, 2))));

  it('rows, columns and both', () => {
    const m = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(matmul(tensor([1, 2]), m).toArray()).toEqual([9, 12, 15]);
    expect(matmul(m, tensor([1, 0, -1])).toArray()).toEqual([-2, -2]);
    expect(matmul(tensor([1, 2]), tensor([3, 4])).toArray()).toBe(11);
    expect(matmul(tensor([1, 2]), zeros([4, 2, 3])).shape).toEqual([4, 3]);
    expect(matmul(zeros([4, 2, 3]), tensor([1, 2, 3])).shape).toEqual([4, 2]);
    const [v, w] = [tensor([1, 2]).requiresGrad_(), tensor([3, 4]).requiresGrad_()];
    matmul(v, w).backward();
    expect([v.grad!.toArray(), w.grad!.toArray()]).toEqual([
      [3, 4],
      [1, 2],
    ]);
  });

  it('NaN and infinity are not lost', () => {
    expectClose(matmul(tensor([[0, 1]]), tensor([[NaN], [2]])), [[NaN]]);
    expectClose(matmul(tensor([[0, 1]]), tensor([[Infinity], [2]])), [[NaN]]);
  });

  it('says what is wrong', () => {
    const rule = 'Sizes must agree or be 1; reshape one of them.';
    expectRefused([
      [
        'matmul: inner sizes differ: [64, 784] x [512, 10] (784 and 512). Transpose one operand, or check its layer.',
        () => matmul(zeros([64, 784]), zeros([512, 10])),
      ],
      [
        'matmul: inner sizes differ: [3] x [2, 3] (3 and 2). Transpose one operand, or check its layer.',
        () => matmul(zeros([3]), zeros([2, 3])),
      ],
      ['matmul: [] x [2, 2]: a scalar is no matrix. Use mul.', () => matmul(tensor(1), zeros([2, 2]))],
      [
        `matmul: [2, 3, 4] x [5, 4, 1], axes before the matrices: shapes [2] and [5] do not broadcast: counted from the last axis, axis 1 has sizes 2 and 5. ${rule}`,
        () => matmul(zeros([2, 3, 4]), zeros([5, 4, 1])),
      ],
    ]);
    for (const value of [...noTensors, 3]) {
      expect(() => untyped(matmul)(value, zeros([2, 2]))).toThrow(/^matmul: expected a tensor, not /);
      expect(() => untyped(matmul)(zeros([2, 2]), value)).toThrow(/^matmul: expected a tensor, not /);
    }
  });
});

describe('linear', () => {
  it('is x W^T + b for any leading axes, with its gradients', () => {
    for (const leading of [[], [1], [5], [2, 3], [0], [2, 0]]) {
      const [x, w, b] = [
        whole([...leading, 3], 1).requiresGrad_(),
        whole([4, 3], 2).requiresGrad_(),
        whole([4], 3).requiresGrad_(),
      ];
      const out = linear(x, w, b);
      const rows = x.detach().reshape([leading.reduce((u, v) => u * v, 1), 3]);
      expect(out.shape).toEqual([...leading, 4]);
      expectClose(out, matmul(rows, w.detach().transpose()).add(b.detach()));
      const g = whole(out.shape, 7);
      out.backward(g);
      const flat = g.reshape([rows.shape[0]!, 4]);
      expectClose(x.grad!, matmul(flat, w.detach()));
      expectClose(w.grad!, matmul(flat.transpose(), rows));
      expectClose(b.grad!, flat.sum(0));
    }
    expectClose(linear(ones([2, 3]), ones([1, 3])), [[3], [3]]);
    expectClose(linear(ones([2, 3]), ones([1, 3]), null), [[3], [3]]);
  });

  it('says what is wrong', () => {
    const rule = "the last axis of the input must have the size of the weight's second axis ([out, in]).";
    expectRefused([
      [`linear: input [2, 3] does not fit weight [3, 4]: ${rule}`, () => linear(zeros([2, 3]), zeros([3, 4]))],
      [`linear: input [] does not fit weight [3, 4]: ${rule}`, () => linear(tensor(1), zeros([3, 4]))],
      [`linear: input [3] does not fit weight [3]: ${rule}`, () => linear(zeros([3]), zeros([3]))],
      [
        'linear: bias [3] does not fit weight [4, 3]: one number for each of its 4 outputs.',
        () => linear(zeros([2, 3]), zeros([4, 3]), zeros([3])),
      ],
      [
        'linear: bias [1, 4] does not fit weight [4, 3]: one number for each of its 4 outputs.',
        () => linear(zeros([2, 3]), zeros([4, 3]), zeros([1, 4])),
      ],
    ]);
    for (const value of [...noTensors, 3]) {
      expect(() => untyped(linear)(value, zeros([2, 2]))).toThrow(/^linear: expected a tensor, not /);
      expect(() => untyped(linear)(zeros([2, 2]), value)).toThrow(/^linear: expected a tensor, not /);
    }
    expect(() => untyped(linear)(zeros([2, 2]), zeros([2, 2]), [1, 2])).toThrow(
      'linear: expected a tensor, not an array.',
    );
  });
});

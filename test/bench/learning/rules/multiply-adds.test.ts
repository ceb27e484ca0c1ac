import { describe, expect, it } from 'vitest';
import { makeTrainer } from '../../../../bench/learning/rules/configurations/backprop.ts';
import { countMultiplyAdds } from '../../../../bench/learning/rules/multiply-adds.ts';
import { conv2d, eye, Generator, matmul, ones, parameter, randn, relu } from '../../../../src/index.ts';
import { cholesky, triangularSolve } from '../../../../src/ops/solve.ts';
import { run } from '../../../../src/storage/dispatch.ts';

describe('countMultiplyAdds', () => {
  it('counts a training step of a small MLP as by hand', () => {
    const generator = new Generator(1);
    const trainer = makeTrainer([5, 4, 3], 0.1, generator);
    const images = randn([2, 5], { generator });
    const { result, multiplyAdds } = countMultiplyAdds(() => trainer.step(images, Int32Array.of(0, 2)));
    // Forward 5*4 + 4*3, the weights' gradients as much again, and the hidden layer's gradient 4*3: for 2 images.
    expect(multiplyAdds).toBe(2 * (20 + 12 + (20 + 12) + 12));
    expect([0, 1, 2]).toContain(result);
  });

  it('counts the three products of a convolution, by groups', () => {
    const x = parameter(ones([2, 4, 5, 6]));
    const weight = parameter(ones([6, 2, 3, 2]));
    const { multiplyAdds } = countMultiplyAdds(() => conv2d(x, weight, undefined, { groups: 2 }).sum().backward());
    const outputs = 2 * 6 * 3 * 5;
    expect(multiplyAdds).toBe(3 * outputs * (4 / 2) * 3 * 2);
  });

  it('counts matrix-vector products, and nothing elementwise', () => {
    expect(countMultiplyAdds(() => matmul(ones([7, 3]), ones([3]))).multiplyAdds).toBe(21);
    expect(
      countMultiplyAdds(() =>
        relu(ones([7, 3]))
          .mul(2)
          .sum(),
      ).multiplyAdds,
    ).toBe(0);
  });

  it('counts a factorization and a triangular system as by hand', () => {
    // Column j of the factor of a 3 x 3 matrix takes 3 - j sums of j terms; a system in it, 0 + 1 + 2 terms a column.
    expect(countMultiplyAdds(() => cholesky(eye(3))).multiplyAdds).toBe(0 * 3 + 1 * 2 + 2 * 1);
    expect(countMultiplyAdds(() => triangularSolve(eye(3), ones([3, 5]))).multiplyAdds).toBe(5 * (0 + 1 + 2));
  });

  it('leaves the kernels as they were, also when the body throws', () => {
    const before = run;
    expect(() =>
      countMultiplyAdds(() => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(run).toBe(before);
  });
});

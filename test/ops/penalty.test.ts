/** The quadratic penalty as one op: against its closed form, and its derivatives against differences. */
import { describe, expect, it } from 'vitest';
import { checkGradients, gradients, noGrad, parameter, randn, tensor, zeros } from '../../src/index.ts';
import { quadraticPenalty } from '../../src/ops/penalty.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const wave = (n: number, speed: number): number[] =>
  Array.from({ length: n }, (_, i) => Math.fround(Math.sin(speed * i)));

describe('quadraticPenalty', () => {
  // A tile holds 8192 numbers: none, one, a part, exactly one tile, and some with a rest.
  it.each([0, 1, 3, 8191, 8192, 8193, 20001])('of %d weights is 1/2 sum p (w - at)^2, its gradient p (w - at)', (n) => {
    const [w, at, p] = [wave(n, 0.7), wave(n, 1.3), wave(n, 2.1)];
    const leaf = parameter(tensor(w));
    const penalty = quadraticPenalty(leaf, tensor(at), tensor(p));
    const expected = w.reduce((sum, x, i) => sum + 0.5 * p[i]! * (x - at[i]!) ** 2, 0);
    expect(Math.abs(penalty.item() - expected)).toBeLessThan(1e-5 * (1 + n / 10));
    penalty.mul(3).backward();
    const wrong = read(leaf.grad as Tensor).filter((g, i) => !(Math.abs(g - 3 * p[i]! * (w[i]! - at[i]!)) < 1e-5));
    expect(leaf.grad?.size).toBe(n);
    expect(wrong).toEqual([]);
  });

  it('is exactly 0 where the weights are at their values, whatever the precision', () => {
    const w = randn([5]);
    expect(quadraticPenalty(w, w.clone(), tensor([1e10, 1, 0, -3, 1e30])).item()).toBe(0);
  });

  it('adds its gradient to one that is there, and gives the same recorded', () => {
    const w = parameter(tensor([1, 2]));
    const [at, p] = [tensor([0.5, 3]), tensor([4, -2])];
    w.sum()
      .add(quadraticPenalty(w, at, p))
      .backward();
    expect(read(w.grad as Tensor)).toEqual([3, 3]);
    quadraticPenalty(w, at, p).backward();
    expect(read(w.grad as Tensor)).toEqual([5, 5]);
    const [recorded] = gradients(quadraticPenalty(w, at, p), [w], { createGraph: true });
    expect(read(recorded as Tensor)).toEqual([2, 2]);
    const [second] = gradients((recorded as Tensor).sum(), [w]);
    expect(read(second as Tensor)).toEqual([4, -2]);
  });

  it('has first and second derivatives by all three inputs', () => {
    checkGradients(quadraticPenalty, [tensor([[0.3, -1]]), tensor([[0.7, 0.2]]), tensor([[1.5, -0.5]])]);
    checkGradients(
      (w, at, p) => quadraticPenalty(w, at, p),
      [
        tensor([
          [0.3, -1],
          [1, 2],
        ]),
        tensor([
          [0.1, 0.4],
          [0, -1],
        ]),
        tensor([[2], [3]]),
      ],
    );
  });

  it('takes a number or what broadcasts as precision, and operands with strides', () => {
    const w = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const at = zeros([2, 3]);
    expect(quadraticPenalty(w, at, 2).item()).toBe(91);
    expect(quadraticPenalty(w, at, tensor([1, 0, 0])).item()).toBe(8.5);
    const leaf = parameter(tensor([1, 2, 3, 4, 5, 6], [3, 2]));
    quadraticPenalty(leaf.transpose(0, 1), at, tensor([[1], [10]])).backward();
    expect(read(leaf.grad as Tensor)).toEqual([1, 20, 3, 40, 5, 60]);
    expect(quadraticPenalty(tensor(3), tensor(1), tensor(2)).item()).toBe(4);
  });

  it('stays finite where it is large, and lets NaN through', () => {
    const w = parameter(tensor([1e-3, -1]));
    const penalty = quadraticPenalty(w, zeros([2]), 1e10);
    expect(penalty.item() / 5e9).toBeCloseTo(1, 5);
    penalty.backward();
    expect(read(w.grad as Tensor)).toEqual([Math.fround(1e10 * Math.fround(1e-3)), -1e10]);
    expect(quadraticPenalty(tensor([Number.NaN]), zeros([1]), 1).item()).toBeNaN();
  });

  it('is refused a gradient when the weights were written since', () => {
    const w = parameter(tensor([1]));
    const penalty = quadraticPenalty(w, zeros([1]), 1);
    noGrad(() => w.fill_(2));
    expect(() => penalty.backward()).toThrow(/in place/);
  });

  it('says what does not fit', () => {
    expect(() => quadraticPenalty(zeros([2]), zeros([3]), 1)).toThrow('w has shape [2], at has [3]');
    expect(() => quadraticPenalty(zeros([2]), zeros([2]), zeros([2, 2]))).toThrow('precision of shape [2, 2] does not');
    expect(() => quadraticPenalty(zeros([2]), zeros([2]), zeros([3]))).toThrow(/quadraticPenalty: precision/);
    expect(() => quadraticPenalty([1] as unknown as Tensor, zeros([2]), 1)).toThrow(/quadraticPenalty/);
  });
});

/** Shrink and perturb, the pull to the initial weights, CReLU and UPGD, against steps worked out by hand. */
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { spring } from '../../src/autograd/message.ts';
import { Draw } from '../../src/autograd/samples.ts';
import '../../src/ops/methods.ts';
import { checkGradients } from '../../src/autograd/check.ts';
import { backward, seed } from '../../src/autograd/seeds.ts';
import { CReLU, crelu, l2Init, shrinkAndPerturb } from '../../src/continual/everyday.ts';
import { PublishedAdam } from '../../src/continual/published-adam.ts';
import { UPGD } from '../../src/continual/upgd.ts';
import { mul } from '../../src/ops/binary.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { plasticity } from '../../src/state/gate.ts';
import { reset } from '../../src/state/reset.ts';
import { tensor, zeros } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const push = (w: Tensor, g: readonly number[]): void => {
  w.grad = null;
  mul(w, tensor(g, w.shape)).sum().backward();
};
const close = (found: readonly number[], expected: readonly number[]): void => {
  expect(found.length).toBe(expected.length);
  found.forEach((x, i) => {
    expect(x).toBeCloseTo(expected[i]!, 5);
  });
};

describe('shrink and perturb', () => {
  it('scales, and adds noise of the size that was asked for', () => {
    const [w, v] = [parameter(zeros([4000]).add(2)), parameter(zeros([2, 3]).add(1))];
    shrinkAndPerturb([w, v], { shrink: 0.5, noise: 0.1, generator: new Generator(1) });
    const mean = read(w).reduce((a, b) => a + b) / 4000;
    const std = Math.sqrt(read(w).reduce((a, b) => a + (b - mean) ** 2, 0) / 4000);
    // Four standard errors.
    expect(Math.abs(mean - 1)).toBeLessThan((4 * 0.1) / Math.sqrt(4000));
    expect(Math.abs(std - 0.1)).toBeLessThan((4 * 0.1) / Math.sqrt(8000));
    expect(new Set(read(v)).size).toBe(6);
  });

  it('says what is out of range before it changes anything', () => {
    const w = parameter(tensor([1]));
    expect(() => shrinkAndPerturb([w], { shrink: 1.1 })).toThrow(/shrink is a factor from 0 to 1, not 1.1/);
    expect(() => shrinkAndPerturb([w], { noise: -1 })).toThrow(/noise is a standard deviation/);
    expect(() => shrinkAndPerturb([w, mul(w, 2)])).toThrow(/is no parameter/);
    expect(read(w)).toEqual([1]);
  });
});

describe('the pull to the initial weights', () => {
  it('is the gradient 2 strength (w - w0), and the step to the minimum where it is implicit', () => {
    // At first there is no pull. Then it is 0.5 (w - 3); implicit, the step w += r / (1 / lr + p).
    for (const [step, second] of [
      ['explicit', 4 - 0.5 * 0.5],
      ['implicit', 3.8 - 0.4 / (1 / 0.5 + 0.5)],
    ] as const) {
      const w = parameter(tensor([1]));
      const [pull] = l2Init([w], 0.25, step);
      // A weight that is reset is drawn to where it began.
      reset(w, { rows: [0] }, 3);
      const sgd = new SGD([w], { lr: 0.5 });
      push(w, [-2]);
      sgd.step();
      close(read(w), [step === 'explicit' ? 4 : 3 + 2 / (1 / 0.5 + 0.5)]);
      push(w, [0]);
      sgd.step();
      close(read(w), [second]);
      expect(pull!.penalty()).toBeCloseTo(0.25 * (second - 3) ** 2, 6);
      pull!.remove();
    }
    expect(() => l2Init([parameter(tensor([1]))], -1)).toThrow(/strength is a finite number/);
  });
});

describe('CReLU', () => {
  it('passes both halves on, each with its gradient', () => {
    const x = parameter(tensor([[1, -2, 0]]));
    expect(read(crelu(x)).map((y) => y + 0)).toEqual([1, 0, 0, 0, 2, 0]);
    mul(crelu(x), tensor([[1, 2, 3, 4, 5, 6]]))
      .sum()
      .backward();
    expect(read(x.grad!).slice(0, 2)).toEqual([1, -5]);
    expect(new CReLU().forward(zeros([2, 3, 4, 5])).shape).toEqual([2, 6, 4, 5]);
    expect(new CReLU(-1).forward(zeros([2, 3])).shape).toEqual([2, 6]);
    expect(() => new CReLU(0.5)).toThrow(/dim is the number of an axis/);
  });

  it('has the derivatives of differences', () => {
    checkGradients((a) => crelu(a!), [new Draw(new Generator(1)).awayFromZero([3, 4])]);
  });
});

describe('UPGD', () => {
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const start = [1, -2, 0.5];

  it('moves weights by what they are of use, over all parameters', () => {
    const [w, v] = [parameter(tensor(start)), parameter(tensor([4]))];
    const upgd = new UPGD([w, v], { lr: 0.1, decay: 0.5, sigma: 0, weightDecay: 0.2 });
    const slopes = [
      [-1, 2, 1, -1],
      [1, 1, -4, -2],
    ];
    const own = [...start, 4];
    const use = [0, 0, 0, 0];
    slopes.forEach((g, t) => {
      push(w, g.slice(0, 3));
      push(v, g.slice(3));
      upgd.step();
      own.forEach((x, i) => {
        use[i] = 0.5 * use[i]! - 0.5 * g[i]! * x;
      });
      const corrected = use.map((u) => u / (1 - 0.5 ** (t + 1)));
      const most = Math.max(...corrected);
      own.forEach((x, i) => {
        own[i] = x * (1 - 0.1 * 0.2) - 0.1 * g[i]! * (1 - sigmoid(corrected[i]! / most));
      });
      close([...read(w), ...read(v)], own);
    });
  });

  it('as published: the largest use is not corrected', () => {
    const w = parameter(tensor(start));
    push(w, [-1, 2, 1]);
    new UPGD([w], { lr: 0.1, decay: 0.75, sigma: 0 }, { published: true }).step();
    const corrected = [1, 4, -0.5];
    close(
      read(w),
      start.map((x, i) => x - 0.1 * [-1, 2, 1][i]! * (1 - sigmoid(corrected[i]! / (4 * 0.25)))),
    );
  });

  it('keeps the order where no weight is of use, and steps half where all is 0', () => {
    const w = parameter(tensor([1, 2]));
    push(w, [1, 2]);
    new UPGD([w], { lr: 0.1, sigma: 0 }).step();
    close(read(w), [1 - 0.1 * (1 - sigmoid(-1 / 4)), 2 - 0.2 * (1 - sigmoid(-1))]);
    const zero = parameter(tensor([0]));
    push(zero, [1]);
    new UPGD([zero], { lr: 0.1, sigma: 0 }).step();
    close(read(zero), [-0.05]);
  });

  it('shakes weights by noise of its size, the useless ones most', () => {
    const w = parameter(zeros([2, 2000]).add(1));
    const g = Array.from({ length: 4000 }, (_, i) => (i < 2000 ? -1e-6 : 1e-6));
    push(w, g);
    new UPGD([w], { lr: 1, sigma: 0.5 }, { generator: new Generator(2) }).step();
    const spread = (from: number) =>
      Math.sqrt(
        read(w)
          .slice(from, from + 2000)
          .reduce((sum, x) => sum + (x - 1) ** 2, 0) / 2000,
      );
    expect(Math.abs(spread(0) / (0.5 * (1 - sigmoid(1))) - 1)).toBeLessThan(0.1);
    expect(Math.abs(spread(2000) / (0.5 * (1 - sigmoid(-1))) - 1)).toBeLessThan(0.1);
  });

  it('forgets the use of weights that were reset', () => {
    const w = parameter(tensor(start));
    const upgd = new UPGD([w], { sigma: 0 });
    push(w, [-1, 2, 1]);
    upgd.step();
    reset(w, { index: [1] }, 0);
    const { use } = upgd.stateDict().groups[0]!.slots[0]!;
    expect(read(use as Tensor).map((u) => u !== 0)).toEqual([true, false, true]);
  });

  it('and PublishedAdam refuse what they do not hear, and options out of range', () => {
    const w = parameter(tensor(start));
    const remove = plasticity(w, 0.5);
    push(w, [1, 1, 1]);
    for (const optimizer of [new UPGD([w]), new PublishedAdam([w])])
      expect(() => optimizer.step()).toThrow(/has an anchor, plasticity or a target, which .* does not hear/);
    remove();
    w.grad = null;
    backward(seed(w, spring(tensor([1, 1, 1]), 2)));
    for (const optimizer of [new UPGD([w]), new PublishedAdam([w])])
      expect(() => optimizer.step()).toThrow(/does not hear/);
    expect(read(w)).toEqual(start);
    expect(() => new UPGD([w], { decay: 1 })).toThrow(/UPGD: decay/);
    expect(() => new UPGD([w], { sigma: -1 })).toThrow(/UPGD: sigma/);
    expect(() => new PublishedAdam([w], { betas: [1, 0.5] })).toThrow(/PublishedAdam: betas/);
  });

  it('PublishedAdam: the correction of the mean square multiplies the step, that of the mean is not made', () => {
    const w = parameter(tensor([1]));
    const optimizer = new PublishedAdam([w], { lr: 0.5, betas: [0.5, 0.75], eps: 0 });
    push(w, [2]);
    optimizer.step();
    // m = 1, v = 1
    close(read(w), [1 - 0.5 * 0.25]);
    push(w, [-1]);
    optimizer.step();
    // m = 0, v = 1
    close(read(w), [1 - 0.5 * 0.25]);
    push(w, [4]);
    optimizer.step();
    // m = 2, v = 0.75 + 4
    close(read(w), [1 - 0.5 * 0.25 - (0.5 * (1 - 0.75 ** 3) * 2) / Math.sqrt(4.75)]);
  });
});

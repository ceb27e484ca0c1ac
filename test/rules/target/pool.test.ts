/** Targets through max pools: the pooled value becomes the target, ties, overlaps, hard targets. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  amax,
  backward,
  inboxOf,
  maxPool2d,
  type PoolOptions,
  seed,
  spring,
  type Tensor,
  target,
  tensor,
  withRules,
  zeros,
} from '../../../src/index.ts';
import { targetMaxPool } from '../../../src/rules/target/pool.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import { anyForm, anySeed, drawer, expectNear, fixedSeed, leaf, precisions } from '../springs/laws.ts';

const pooled = (x: Tensor, options: PoolOptions) =>
  withRules({ maxPool2d: targetMaxPool() }, () => maxPool2d(x, options));

describe('targetMaxPool', () => {
  it('makes the pool give the target, up or down, wherever windows do not overlap', () => {
    fc.assert(
      fc.property(
        anySeed,
        anyForm,
        fc.constantFrom(2, 3),
        fc.constantFrom(0, 1),
        (start, form, kernelSize, padding) => {
          const draw = drawer(start);
          // Numbers from a short list: ties in most windows.
          const x = leaf(tensor(numbersOf(draw([2, 2, 6, 6], -4, 4)).map(Math.round), [2, 2, 6, 6]));
          const y = pooled(x.transpose(), { kernelSize, padding });
          const [d, p] = [draw(y.shape, -4, 4), precisions(draw, form, y.shape).add(0.1)];
          backward(seed(y, spring(d, p)));
          const after = maxPool2d(x.detach().add(inboxOf(x)!.step()).transpose(), { kernelSize, padding });
          expectNear(after, y.detach().add(d), 1e-6);
        },
      ),
      fixedSeed,
    );
  });

  it('asks the first of a tie when all rise, all of a tie when they fall, and nobody else', () => {
    const x = leaf(
      tensor([
        [
          [
            [5, 1, 5, 1],
            [5, 4, 5, 4],
          ],
        ],
      ]),
    );
    backward(target(pooled(x, { kernelSize: 2 }), tensor([[[[6, 3]]]]), { precision: 2 }));
    expect(inboxOf(x)!.step().toArray()).toEqual([
      [
        [
          [1, 0, -2, 0],
          [0, 0, -2, -1],
        ],
      ],
    ]);
    expect(inboxOf(x)!.precision().toArray()).toEqual([
      [
        [
          [2, 0, 2, 0],
          [0, 0, 2, 2],
        ],
      ],
    ]);
  });

  it('a target that is met asks the winner alone, to stay; one of precision 0 asks nobody', () => {
    const x = leaf(tensor([[[[1, 2, 3, 4]]]]));
    const y = pooled(x, { kernelSize: [1, 2] });
    backward(seed(y, spring(tensor([[[[0, -9]]]]), tensor([1, 0]))));
    expect(inboxOf(x)!.step().toArray()).toEqual([[[[0, 0, 0, 0]]]]);
    expect(inboxOf(x)!.precision().toArray()).toEqual([[[[0, 1, 0, 0]]]]);
  });

  it('windows that overlap weigh what they tell a shared number by its precision', () => {
    const x = leaf(tensor([[[[0, 4, 1]]]]));
    const y = pooled(x, { kernelSize: [1, 2], stride: 1 });
    backward(seed(y, spring(tensor([[[[-1, 2]]]]), tensor([3, 1]))));
    expect(inboxOf(x)!.precision().toArray()).toEqual([[[[0, 4, 0]]]]);
    expect(inboxOf(x)!.step().toArray()).toEqual([[[[0, -0.25, 0]]]]);
  });

  it('hard targets stay hard, beat soft ones, and must agree', () => {
    const ask = (targets: number[], precision: number[]) => {
      const x = leaf(tensor([[[[0, 4, 1]]]]));
      const y = pooled(x, { kernelSize: [1, 2], stride: 1 });
      backward(target(y, tensor([[[targets]]]), { precision: tensor(precision) }));
      return inboxOf(x)!;
    };
    expect(ask([2, 7], [Infinity, 1]).step().toArray()).toEqual([[[[0, -2, 0]]]]);
    expect(ask([0.5, 0.5], [Infinity, Infinity]).step().toArray()).toEqual([[[[0, -3.5, -0.5]]]]);
    expect(() => ask([2, 7], [Infinity, Infinity])).toThrow(
      'targetMaxPool: two windows that overlap have hard targets (of target) that differ for one number of the image (number 1 in row-major order).',
    );
  });

  it('no images, no targets', () => {
    const x = leaf(zeros([0, 1, 2, 2]));
    backward(target(pooled(x, { kernelSize: 2 }), zeros([0, 1, 1, 1]), { precision: 1 }));
    expect(inboxOf(x)!.step().shape).toEqual([0, 1, 2, 2]);
  });

  it('is a surrogate of maxPool2d alone; a precision that nobody stated stays so', () => {
    expect(targetMaxPool().surrogate).toBe(true);
    const x = leaf(tensor([1, 2]));
    const y = withRules({ amax: targetMaxPool() }, () => amax(x));
    expect(() => backward(target(y, tensor(1), { precision: 1 }))).toThrow(
      'targetMaxPool: at amax, but it is a rule of maxPool2d.',
    );
    const image = leaf(tensor([[[[1, 2]]]]));
    backward(target(pooled(image, { kernelSize: [1, 2] }), tensor([[[[5]]]])));
    expect(() => image.grad).toThrow('precision nobody stated');
  });
});

/** Targets through layer normalization and through weights that are a direction and a length. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../../src/autograd/check.ts';
import {
  backward,
  checkGradients,
  feasible,
  inboxOf,
  linear,
  norm,
  seed,
  slope,
  spring,
  type Tensor,
  target,
  tensor,
  withRules,
  zeros,
} from '../../../src/index.ts';
import { layerNorm } from '../../../src/ops/normalization.ts';
import { targetLinear } from '../../../src/rules/target/linear.ts';
import { targetLayerNorm, targetWeightNorm, weightNorm } from '../../../src/rules/target/normalization.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import { anyForm, anySeed, drawer, expectNear, fixedSeed, leaf, precisions } from '../springs/laws.ts';

const rules = { layerNorm: targetLayerNorm() };
const zerosIn = (x: Tensor) => Array.from(numbersOf(x)).every((d) => d === 0);

describe('targetLayerNorm', () => {
  it('turns a row to the nearest output there is, and keeps its mean and length', () => {
    fc.assert(
      fc.property(anySeed, fc.constantFrom(0, 1, 2), (start, parameters) => {
        inFloat64(() => {
          const draw = drawer(start);
          const x = leaf(draw([3, 4], -3, 3));
          const [g, b] = [draw([4], 0.3, 2), draw([4])];
          const f = (v: Tensor) => layerNorm(v, 4, parameters > 0 ? g : null, parameters > 1 ? b : null);
          const y = withRules(rules, () => f(x));
          const wanted = draw([3, 4], -3, 3);
          backward(target(y, wanted, { precision: 1 }));
          const d = inboxOf(x)!.step();
          expectNear(f(x.detach().add(d)), feasible(y, wanted).value, 1e-9);
          expectNear(d.sum(1), zeros([3]), 1e-10);
          expectNear(x.detach().add(d).var(1), x.detach().var(1), 1e-10);
        });
      }),
      fixedSeed,
    );
  });

  it('asks rows that are right, and rows with nowhere to turn, to stay where they are', () => {
    const x = leaf(
      tensor([
        [1, 2, 5],
        [4, 4, 4],
        [0, 1, 3],
      ]),
    );
    const y = withRules(rules, () => layerNorm(x, 3));
    const wanted = numbersOf(y).map((t, i) => (i < 3 ? t : i < 6 ? i : 7));
    backward(target(y, tensor(wanted, [3, 3]), { precision: 2 }));
    expect(zerosIn(inboxOf(x)!.step())).toBe(true);
    expect(inboxOf(x)!.precision().item()).toBe(2);
    const none = leaf(zeros([0, 3]));
    backward(
      target(
        withRules(rules, () => layerNorm(none, 3)),
        zeros([0, 3]),
        { precision: 1 },
      ),
    );
    expect(inboxOf(none)!.step().shape).toEqual([0, 3]);
  });

  it('leaves to weight and bias what no input can do: of one sample, exactly', () => {
    inFloat64(() => {
      for (const both of [true, false]) {
        const draw = drawer(5);
        const [x, g, b] = [leaf(draw([1, 4])), leaf(draw([4], 0.5, 2)), draw([4])];
        const bias = both ? leaf(b) : b;
        const y = withRules(rules, () => layerNorm(x, 4, g, bias));
        const wanted = draw([1, 4], -5, 5);
        backward(target(y, wanted, { precision: 3 }));
        const moved = (v: Tensor) => v.detach().add(v.node === null ? 0 : inboxOf(v)!.step());
        expectNear(layerNorm(moved(x), 4, moved(g), moved(bias)), wanted, 1e-9);
      }
    });
  });

  it('of a batch, weight and bias get the mean of what samples ask, by their precision', () => {
    const draw = drawer(6);
    const x = draw([3, 2]);
    const [g, b] = [leaf(tensor([1, 1])), leaf(zeros([2]))];
    const y = withRules(rules, () => layerNorm(x, 2, g, b));
    const [d, p] = [draw([3, 2]), tensor([[1], [0], [3]])];
    backward(seed(y, spring(d, p)));
    const n = y.detach();
    const each = d.div(n.square().add(1));
    const mean = (v: Tensor) => v.mul(p).sum(0).div(4);
    expectNear(inboxOf(b)!.step(), mean(each), 1e-6);
    expectNear(inboxOf(g)!.step(), mean(each.mul(n)), 1e-6);
    expect(numbersOf(inboxOf(b)!.precision())[0]).toBe(4);
  });

  it('hard targets stay hard, weights of 0 are passed over, and it is a surrogate of layerNorm alone', () => {
    const x = leaf(tensor([[1, 2, 5]]));
    const y = withRules(rules, () => layerNorm(x, 3, tensor([1, 0, 2])));
    backward(target(y, tensor([[2, 9, -1]]), { precision: Infinity }));
    expect(inboxOf(x)!.springs!.hard!.mask.toArray()).toEqual([[1, 1, 1]]);
    expect(numbersOf(inboxOf(x)!.step(1)).every(Number.isFinite)).toBe(true);
    expect(targetLayerNorm().surrogate).toBe(true);
    const z = withRules({ linear: targetLayerNorm() }, () => linear(x, zeros([1, 3])));
    expect(() => backward(target(z, zeros([1, 1]), { precision: 1 }))).toThrow('it was put at linear');
  });
});

describe('weightNorm', () => {
  it('has the directions and lengths it is given, and their gradients', () => {
    const draw = drawer(1);
    for (const shape of [
      [3, 4],
      [2, 3, 2, 2],
    ]) {
      const [v, s] = [draw(shape), draw([shape[0]!])];
      const w = weightNorm(v, s);
      expectNear(norm(w.reshape([shape[0]!, -1]), 1), s.abs(), 1e-6);
      expectNear(weightNorm(v.mul(7), s), w, 1e-6);
      checkGradients((a, b) => weightNorm(a, b), [v, s]);
    }
  });

  it('with lengths of 1 the mean signal never overshoots, whatever the directions', () => {
    fc.assert(
      fc.property(anySeed, (start) => {
        inFloat64(() => {
          const draw = drawer(start);
          // Nearly the same direction many times: the worst there is.
          const v = draw([1, 4]).add(draw([6, 4], -0.2, 0.2));
          const w = weightNorm(v, zeros([6]).add(1));
          const dy = draw([1, 6]);
          const movement = linear(linear(dy, w.transpose()).div(6), w);
          expect(movement.mul(dy.sub(movement)).sum().item()).toBeGreaterThan(-1e-12);
        });
      }),
      fixedSeed,
    );
  });

  it('a target becomes a rotation and a length which together reach it, and |v| stays', () => {
    fc.assert(
      fc.property(anySeed, anyForm, fc.constantFrom([3, 4], [2, 2, 1, 3]), (start, form, shape) => {
        inFloat64(() => {
          const draw = drawer(start);
          const [v, s] = [leaf(draw(shape)), leaf(draw([shape[0]!]))];
          const w = weightNorm(v, s, targetWeightNorm());
          const [wanted, p] = [draw(shape), precisions(draw, form, shape).add(0.5)];
          backward(target(w, wanted, { precision: p }));
          const [after, lengths] = [v.detach().add(inboxOf(v)!.step()), s.detach().add(inboxOf(s)!.step())];
          expectNear(weightNorm(after, lengths), wanted, 1e-10);
          const rows = (x: Tensor) => norm(x.reshape([shape[0]!, -1]), 1);
          expectNear(rows(after), rows(v.detach()), 1e-10);
        });
      }),
      fixedSeed,
    );
  });

  it('says how firmly by the slopes', () => {
    const [v, s] = [leaf(tensor([[3, 4]])), leaf(tensor([2]))];
    backward(seed(weightNorm(v, s, targetWeightNorm()), spring(tensor([[1, 1]]), tensor([[1, 2]]))));
    expectNear(inboxOf(s)!.precision(), tensor([(9 + 2 * 16) / 25]), 1e-6);
    expectNear(inboxOf(v)!.precision(), tensor([[4 / 25, 8 / 25]]), 1e-6);
  });

  it('lengths that are fixed stay; a target that is met, or 0, turns nothing; a length of 0 can be left', () => {
    const v = leaf(tensor([[3, 4]]));
    backward(target(weightNorm(v, tensor([2]), targetWeightNorm()), tensor([[-8, 6]]), { precision: 1 }));
    expectNear(inboxOf(v)!.step(), tensor([[-4 - 3, 3 - 4]]), 1e-6);
    const [u, s] = [
      leaf(
        tensor([
          [3, 4],
          [1, 0],
          [0, 2],
        ]),
      ),
      leaf(tensor([5, 2, 0])),
    ];
    backward(
      target(
        weightNorm(u, s, targetWeightNorm()),
        tensor([
          [3, 4],
          [0, 0],
          [6, 0],
        ]),
        { precision: 1 },
      ),
    );
    expectNear(
      inboxOf(u)!.step(),
      tensor([
        [0, 0],
        [0, 0],
        [2, -2],
      ]),
      1e-6,
    );
    expectNear(inboxOf(s)!.step(), tensor([0, -2, 6]), 1e-6);
  });

  it('a negative length stays negative: what is right is asked to stay, what nobody stated stays unstated', () => {
    const [v, s] = [leaf(tensor([[3, 4]])), leaf(tensor([-5]))];
    const w = weightNorm(v, s, targetWeightNorm());
    backward(target(w, tensor([[-6, -8]])));
    expectNear(inboxOf(v)!.step(), zeros([1, 2]), 1e-6);
    expectNear(inboxOf(s)!.step(), tensor([-5]), 1e-6);
    expect(() => v.grad).toThrow('precision nobody stated');
    expect(() => s.grad).toThrow('precision nobody stated');
  });

  it('under a linear layer of target propagation: one step with one sample fulfils the target', () => {
    const [v, s] = [leaf(drawer(1)([2, 3])), leaf(drawer(2)([2], 0.5, 1))];
    const x = drawer(3)([1, 3]);
    const y = withRules({ linear: targetLinear() }, () => linear(x, weightNorm(v, s, targetWeightNorm())));
    const wanted = tensor([[1, -2]]);
    backward(target(y, wanted));
    const w = weightNorm(v.detach().add(inboxOf(v)!.step()), s.detach().add(inboxOf(s)!.step()));
    expectNear(linear(x, w), wanted, 1e-5);
  });

  it('one rule may serve several weights; gradients are read under a stiffness', () => {
    const rule = targetWeightNorm();
    const [a, b] = [leaf(tensor([[1, 0]])), leaf(tensor([[0, 1]]))];
    const one = tensor([1]);
    const y = weightNorm(a, one, rule).add(weightNorm(b, one, rule));
    backward(seed(y, slope(tensor([[0, -1]]))), { stiffness: 1 });
    expectNear(inboxOf(a)!.step(), tensor([[Math.SQRT1_2 - 1, Math.SQRT1_2]]), 1e-6);
    expectNear(inboxOf(b)!.step(), tensor([[0, 0]]), 1e-6);
  });

  it('is marked as a surrogate, and refuses in sentences', () => {
    expect(targetWeightNorm().surrogate).toBe(true);
    const v = leaf(tensor([[1, 0]]));
    expect(() => weightNorm(v, tensor([1, 2]))).toThrow('weightNorm: direction [1, 2] and scale [2] do not fit');
    expect(() =>
      weightNorm(
        tensor([
          [1, 0],
          [0, 0],
        ]),
        tensor([1, 2]),
      ),
    ).toThrow('row 1 of direction [2, 2] is all zeros');
    expect(() =>
      backward(target(weightNorm(v, tensor([1]), targetWeightNorm()), tensor([[0, 1]]), { precision: Infinity })),
    ).toThrow('targetWeightNorm: a hard target (of target) arrived');
    const stray = withRules({ mul: targetWeightNorm(), square: targetWeightNorm() }, () => v.square());
    expect(() => backward(target(stray, tensor([[0, 1]]), { precision: 1 }))).toThrow('and for nothing else');
  });
});

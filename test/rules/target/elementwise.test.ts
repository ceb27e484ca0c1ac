/** Targets through invertible activations: pre-images of what can be produced, margins, saturated units, what asks nothing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../../src/autograd/check.ts';
import { apply } from '../../../src/autograd/define.ts';
import {
  backward,
  checkGradients,
  elu,
  feasible,
  inboxOf,
  leakyRelu,
  registeredOps,
  relu,
  seed,
  setRule,
  sigmoid,
  slope,
  spring,
  type Tensor,
  tanh,
  target,
  tensor,
  withRules,
} from '../../../src/index.ts';
import { invertibleOps, targetElementwise } from '../../../src/rules/target/elementwise.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import { anyForm, anySeed, drawer, expectNear, fixedSeed, leaf, precisions } from '../springs/laws.ts';

const attributes: Record<string, unknown> = { leakyRelu: { slope: 0.1 }, elu: { alpha: 0.7 } };
const bounds: Record<string, [low: number, high: number]> = {
  ...{ tanh: [-1, 1], sigmoid: [0, 1], logsigmoid: [-Infinity, 0], softplus: [0, Infinity], exp: [0, Infinity] },
  ...{ expm1: [-1, Infinity], leakyRelu: [-Infinity, Infinity], elu: [-0.7, Infinity] },
  selu: [-1.0507009873554805 * 1.6732632423543772, Infinity],
};

/** Asks op(x) to move by d, and gives what x is asked for, and what comes out after. */
function asked(op: string, x: Tensor, d: Tensor, options: object = {}, p: number | Tensor = 1) {
  const call = (v: Tensor) => apply(registeredOps().get(op)!, [v], attributes[op]);
  const v = leaf(x);
  const y = setRule(call(v), targetElementwise({ precision: 'same', ...options }));
  backward(seed(y, spring(d, p)));
  const step = inboxOf(v)!.step();
  return { y, step, after: call(v.detach().add(step)), inbox: inboxOf(v)! };
}

describe('the pre-image', () => {
  it('is known for these ops', () => expect([...invertibleOps].sort()).toEqual(Object.keys(bounds).sort()));

  for (const op of invertibleOps)
    it(`of ${op} gives the projected target, to rounding`, () => {
      fc.assert(
        fc.property(anySeed, fc.constantFrom(0.3, 3), fc.constantFrom(0.01, 0.2), (start, reach, margin) => {
          const check = (tolerance: number) => {
            const draw = drawer(start);
            const [x, d] = [draw([2, 5], -2, 2), draw([2, 5], -reach, reach)];
            const { y, after } = asked(op, x, d, { margin });
            const [low, high] = bounds[op]!;
            const nearest = numbersOf(feasible(y, y.add(d)).value);
            const values = numbersOf(y);
            const expected = nearest.map((t, i) =>
              Math.min(Math.max(t, Math.min(low + margin, values[i]!)), Math.max(high - margin, values[i]!)),
            );
            expectNear(after, tensor(expected, [2, 5]), tolerance);
          };
          inFloat64(() => check(1e-12));
          check(2e-6);
        }),
        fixedSeed,
      );
    });

  it('of tanh keeps away from 1 by the margin, and from its present place not at all', () => {
    // 20 gives 1 in float32: no further, and no infinity.
    const x = tensor([0, 3, 20, 20]);
    const { step } = asked('tanh', x, tensor([9, 9, 9, -0.5]));
    const found = numbersOf(step);
    expect(found[0]).toBeCloseTo(Math.atanh(0.99), 5);
    expect(found[1]).toBe(0);
    expect(found[2]).toBe(0);
    expect(found[3]).toBeCloseTo(Math.atanh(0.5) - 20, 5);
  });

  it('of a unit at its bound, asked beyond: exactly nothing, whatever rounding made of the bound', () => {
    for (const [op, low, high] of Object.entries(bounds).map(([name, ends]) => [name, ...ends] as const))
      for (const [x, d, bounded] of [
        [-300, -1, low],
        [80, 1, high],
      ] as const)
        if (Number.isFinite(bounded)) expect([op, asked(op, tensor([x]), tensor([d])).step.item()]).toEqual([op, 0]);
    // An ulp beyond what the bound is in float32 is no reason to go to infinity.
    for (let x = -25; x < -5; x += 0.25) {
      const { step } = asked('selu', tensor([x, x]), tensor([-1e-7, -1]));
      expect(numbersOf(step).every((s) => s === 0)).toBe(true);
    }
  });

  it('of large numbers does not overflow', () => {
    const { step } = asked('softplus', tensor([0, 200, -50]), tensor([300, 5, 2]));
    const [a, b, c] = numbersOf(step) as unknown as [number, number, number];
    expect(a).toBeCloseTo(300 + Math.log(2), 3);
    expect(b).toBeCloseTo(5, 3);
    expect(c).toBeCloseTo(Math.log(Math.expm1(2)) + 50, 3);
    expect(numbersOf(asked('exp', tensor([0, 2]), tensor([-9, -9])).after)[0]).toBeCloseTo(0.01, 6);
  });

  it('of a strided input, and of nothing', () => {
    const x = leaf(drawer(2)([3, 4]));
    const y = withRules({ sigmoid: targetElementwise() }, () => sigmoid(x.transpose()));
    backward(target(y, tensor(Array(12).fill(0.5), [4, 3]), { precision: 1 }));
    expectNear(x.detach().add(inboxOf(x)!.step()), tensor(Array(12).fill(0), [3, 4]), 1e-6);
    expect(asked('tanh', tensor([], [0, 3]), tensor([], [0, 3])).step.shape).toEqual([0, 3]);
  });
});

describe('how firmly', () => {
  it('as the output, in whatever form, or (unless told otherwise) by the slope', () => {
    fc.assert(
      fc.property(anySeed, anyForm, (start, form) => {
        const draw = drawer(start);
        const shape = [3, 4];
        const [x, d, p] = [draw(shape), draw(shape), precisions(draw, form, shape)];
        const { inbox } = asked('sigmoid', x, d, {}, p);
        expect(inbox.precision().toArray()).toEqual(p.toArray());
        const s = sigmoid(x);
        const sloped = asked('sigmoid', x, d, { precision: undefined }, p).inbox.precision();
        expectNear(sloped, p.mul(s.mul(s.neg().add(1)).square()).add(tensor(Array(12).fill(0), shape)), 1e-6);
      }),
      fixedSeed,
    );
  });

  it('small targets pull as their gradients do', () => {
    inFloat64(() => {
      const [x, d] = [drawer(1)([5]), drawer(2)([5], -1e-6, 1e-6)];
      const v = leaf(x);
      backward(seed(setRule(tanh(v), targetElementwise()), spring(d, 3)));
      const pull = d.mul(3).mul(tanh(x).square().neg().add(1));
      expectNear(inboxOf(v)!.springs!.pull.mul(1e6), pull.mul(1e6), 1e-5);
    });
  });

  it('a target that is met, or of precision 0, asks nothing', () => {
    const x = tensor([0.3, -4, 20, -20]);
    const met = asked('tanh', x, tensor([0, 0, 0, 0]), { margin: 0.3 });
    expect(met.step.toArray()).toEqual([0, 0, 0, 0]);
    const off = asked('tanh', x, tensor([1, 1, 1, 1]), {}, tensor([0, 1, 0, 0]));
    expect([off.step.toArray(), off.inbox.precision().toArray()].flat().filter((z) => z !== 0).length).toBe(2);
  });

  it('hard targets stay hard, and unstated ones unstated', () => {
    const x = leaf(tensor([0, 0]));
    const y = setRule(tanh(x), targetElementwise());
    // At 0 the slope of tanh is 1.
    backward(seed(y, spring(tensor([0.5, 0.5]), tensor([Infinity, 1]))));
    expect(inboxOf(x)!.springs!.hard!.mask.toArray()).toEqual([1, 0]);
    expectNear(inboxOf(x)!.step(1), tensor([Math.atanh(0.5), Math.atanh(0.5) / 2]), 1e-6);
    const z = leaf(tensor([0]));
    backward(seed(setRule(tanh(z), targetElementwise()), spring(tensor([0.5]))));
    expect(() => z.grad).toThrow('precision nobody stated');
  });

  it('a gradient is read as a target of 1 / step size', () => {
    const x = leaf(tensor([0]));
    const y = setRule(tanh(x), targetElementwise());
    backward(seed(y, slope(tensor([0.5]))), { stiffness: 2 });
    expectNear(inboxOf(x)!.step(), tensor([Math.atanh(-0.25)]), 1e-6);
    expect(inboxOf(x)!.precision().item()).toBe(2);
  });
});

describe('what it is and is not for', () => {
  it('is a surrogate, which checks of derivatives refuse', () => {
    expect(targetElementwise().surrogate).toBe(true);
    const f = (x: Tensor) => withRules({ tanh: targetElementwise() }, () => tanh(x));
    expect(() => checkGradients(f, [tensor([0.5])])).toThrow('targetElementwise at tanh ([1] to [1]) is a surrogate');
  });

  it('refuses, in a sentence, functions without inverse, and margins that leave nothing', () => {
    const through = (y: (x: Tensor) => Tensor) => () =>
      backward(target(setRule(y(leaf(tensor([1]))), targetElementwise()), tensor([2]), { precision: 1 }));
    expect(through(relu)).toThrow('targetElementwise: relu is none of the functions with an inverse (tanh, ');
    expect(through((x) => leakyRelu(x, 0))).toThrow('leakyRelu with negativeSlope 0 has no inverse.');
    expect(through((x) => elu(x, -1))).toThrow('elu with alpha -1 has no inverse.');
    for (const margin of [0, 0.5, -1, Number.NaN])
      expect(() => targetElementwise({ margin })).toThrow('margin is a number above 0 and below 0.5');
    expect(() => targetElementwise({ precision: 'mean' as 'same' })).toThrow(`'slope' or 'same', not "mean"`);
  });
});

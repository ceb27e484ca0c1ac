/**
 * Hard targets: which values they hold, in whole, in part, through views, in the middle; and what a block refuses.
 */
import { describe, expect, it } from 'vitest';
import {
  backward,
  expand,
  Linear,
  linear,
  matmul,
  noGrad,
  parameter,
  reshape,
  seed,
  sigmoid,
  spring,
  type Tensor,
  tanh,
  target,
  tensor,
  transpose,
  withRules,
  zeros,
} from '../../../src/index.ts';
import { predictiveCoding, prospectiveConfiguration } from '../../../src/rules/predictive/rule.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import { distance, gemmsIn, generatorOf, listener, matrix, normal, taken } from './nets.ts';

describe('hard targets', () => {
  it('hold the layer behind a reshape as they hold the layer', () => {
    const w = parameter(normal([4, 3], 60));
    const v = parameter(normal([2, 4], 61));
    const [x, t] = [normal([6, 3], 62), normal([6, 2], 63)];
    const { told, onEnergy } = listener();
    const places: [number, string][] = [];
    const precision = (place: number, op: string) => {
      places.push([place, op]);
      return 1;
    };
    const rules = () => predictiveCoding({ steps: 5, rate: 0.2, onEnergy, precision });
    const flat = withRules(rules(), () => linear(tanh(linear(x, w)), v));
    backward(target(flat, t, { precision: Infinity }));
    const expected = taken([w, v]);
    const stack = withRules(rules(), () => linear(tanh(linear(reshape(x, [2, 3, 3]), w)), v));
    backward(target(stack, reshape(t, [2, 3, 2]), { precision: Infinity }));
    expect(taken([w, v])).toEqual(expected);
    expect(told[0]).toEqual(told[1]);
    const values = [
      [0, 'linear'],
      [1, 'linear'],
    ];
    expect(places).toEqual([...values, ...values]);
  });

  it('make a value of a function in between: its error is what it misses', () => {
    const w = parameter(tensor([[0.5]]));
    const x = tensor([[2]]);
    const y = withRules(predictiveCoding({ steps: 300, rate: 0.3 }), () => sigmoid(linear(x, w)));
    backward(target(y, tensor([[0.9]]), { precision: Infinity }));
    // The least of 1/2 (a - 1)^2 + 1/2 (0.9 - sigmoid(a))^2, by bisection of its slope.
    let [low, high] = [1, 3];
    const s = (a: number) => 1 / (1 + Math.exp(-a));
    for (let i = 0; i < 60; i++) {
      const a = (low + high) / 2;
      if (a - 1 - (0.9 - s(a)) * s(a) * (1 - s(a)) > 0) high = a;
      else low = a;
    }
    expect(taken([w])[0]![0]).toBeCloseTo(-(low - 1) * 2, 4);
  });

  it('may hold some elements of a value, and leave others to themselves', () => {
    const w = parameter(normal([3, 2], 64));
    const x = normal([2, 2], 65);
    const [hard, other] = [
      tensor([
        [1, 0, 1],
        [0, 0, 1],
      ]),
      normal([2, 3], 66),
    ];
    for (const [mode, steps] of [
      ['strict', 3],
      ['fixed-prediction', 1],
    ] as const)
      for (const through of [(a: Tensor) => a, sigmoid]) {
        const y = withRules(predictiveCoding({ mode, steps }), () => through(linear(x, w)));
        const precision = tensor([
          [Infinity, 0, Infinity],
          [0, 0, Infinity],
        ]);
        backward(seed(y, spring(other, precision)));
        if (through !== sigmoid) {
          const e = noGrad(() => hard.mul(other));
          expect(distance(taken([w]), [numbersOf(noGrad(() => matmul(transpose(e), x).neg()))])).toBeLessThan(1e-6);
        } else {
          const g = matrix(tensor(taken([w])[0]!, [3, 2]));
          expect(g[1]).toEqual([0, 0]);
          expect(g[0]!.every((value) => value !== 0) && g[2]!.every((value) => value !== 0)).toBe(true);
        }
      }
  });

  it('let the rest of a held function be its own prediction', () => {
    // The second element is not held, and read by a layer above: only through it the target above is felt.
    const [w, v] = [parameter(normal([2, 2], 67)), parameter(normal([1, 2], 68))];
    const x = normal([1, 2], 69);
    const options = { tolerance: 1e-9, maxSteps: 3000 };
    const { told, onEnergy } = listener();
    const run = (w0: number) => {
      noGrad(() =>
        w.copy_(
          tensor([
            [0.3, -0.2],
            [w0, 0.4],
          ]),
        ),
      );
      const [h, y] = withRules(prospectiveConfiguration({ ...options, onEnergy }), () => {
        const h = tanh(linear(x, w));
        return [h, linear(h, v)] as const;
      });
      backward([
        seed(h, spring(tensor([[0.1, 5]]), tensor([[Infinity, 0]]))),
        target(y, tensor([[2]]), { precision: Infinity }),
      ]);
      return told.at(-1)!.at(-1)!;
    };
    run(0.7);
    const g = taken([w])[0]![2]!;
    const difference = (run(0.71) - run(0.69)) / 0.02;
    expect(g / difference).toBeCloseTo(1, 2);
  });

  it('at some elements leave the others what they are under a target of precision 0', () => {
    const [w, a, b] = [normal([2, 3], 80), normal([1, 2], 81), normal([1, 2], 82)].map(parameter) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const both = parameter(tensor([...matrix(a), ...matrix(b)]));
    const x = normal([1, 3], 83);
    const rules = () => predictiveCoding({ steps: 4, rate: 0.3 });
    const [one, two] = withRules(rules(), () => {
      const h = tanh(linear(x, w));
      return [linear(h, a), linear(h, b)] as const;
    });
    backward([target(one, tensor([[2]]), { precision: Infinity }), target(two, tensor([[7]]), { precision: 0 })]);
    const [dw, da, db] = taken([w, a, b]) as [Float32Array, Float32Array, Float32Array];
    const y = withRules(rules(), () => linear(tanh(linear(x, w)), both));
    backward(target(y, tensor([[2, 7]]), { precision: tensor([[Infinity, 0]]) }));
    expect(db.every((value) => value !== 0)).toBe(true);
    expect(distance(taken([w, both]), [dw, [...da, ...db]])).toBeLessThan(1e-6);
  });

  it('in the middle cut the block in two: what is below reaches for them, what is above starts from them', () => {
    const [below, above] = [
      new Linear(3, 4, { generator: generatorOf(84) }),
      new Linear(4, 2, { generator: generatorOf(88) }),
    ];
    const [x, held, t] = [normal([2, 3], 85), normal([2, 4], 86), normal([2, 2], 87)];
    const gemmsOf = (steps: number) => {
      const [h, y] = withRules(predictiveCoding({ steps }), () => {
        const h = below.forward(x);
        return [h, above.forward(tanh(h))] as const;
      });
      const wanted = [target(h, held, { precision: Infinity }), target(y, t, { precision: Infinity })];
      return gemmsIn(() => backward(wanted));
    };
    gemmsOf(3);
    const [gFirst, gSecond] = taken([below.weight, above.weight]);
    const expected = noGrad(() => {
      const activity = tanh(held);
      const error = t.sub(above.forward(activity));
      const missing = held.sub(below.forward(x));
      return [matmul(transpose(missing), x).neg(), matmul(transpose(error), activity).neg()].map(numbersOf);
    });
    expect(distance([gFirst!, gSecond!], expected)).toBeLessThan(1e-5);
    // Nothing can move, so sweeps cost nothing.
    expect(gemmsOf(9)).toBe(gemmsOf(3));
  });

  it('on a number that is repeated hold each copy', () => {
    const w = parameter(tensor([[0.5]]));
    const y = withRules(predictiveCoding({ steps: 200, rate: 0.2 }), () => expand(linear(tensor([[2]]), w), [3, 1]));
    backward(target(y, tensor([[2], [3], [6]]), { precision: Infinity }));
    // x lies between its prediction 1 and the copies.
    expect(taken([w])[0]![0]).toBeCloseTo(-((1 + 2 + 3 + 6) / 4 - 1) * 2, 4);
  });

  it('hold a view where the view is a value itself', () => {
    const w = parameter(tensor([[0.5]]));
    const rules = predictiveCoding({ steps: 200, rate: 0.2, free: ['linear', 'reshape'] });
    const y = withRules(rules, () => reshape(linear(tensor([[2]]), w), [1]));
    backward(target(y, tensor([2]), { precision: Infinity }));
    // Half of the way is the layer's error, half the view's.
    expect(taken([w])[0]![0]).toBeCloseTo(-0.5 * 2, 4);
  });

  it('on an empty batch ask nothing', () => {
    const w = parameter(normal([2, 2], 76));
    for (const rules of [
      predictiveCoding(),
      prospectiveConfiguration(),
      predictiveCoding({ mode: 'fixed-prediction' }),
    ]) {
      const y = withRules(rules, () => tanh(linear(zeros([0, 2]), w)));
      backward(target(y, zeros([0, 2]), { precision: Infinity }));
      expect(taken([w])[0]).toEqual(new Float32Array(4));
    }
  });

  it('that differ at one value are an error', () => {
    const w = parameter(normal([2, 2], 70));
    const y = withRules(predictiveCoding(), () => linear(normal([1, 2], 71), w));
    const z = withRules({}, () => reshape(y, [2]));
    expect(() =>
      backward([
        target(y, tensor([[1, 1]]), { precision: Infinity }),
        target(z, tensor([1, 2]), { precision: Infinity }),
      ]),
    ).toThrow(/hard targets that differ/);
  });
});

describe('what is refused', () => {
  it('is a block without anything free, and options without a meaning', () => {
    const w = parameter(normal([2, 2], 72));
    const y = withRules(predictiveCoding({ free: ['conv2d'] }), () => linear(normal([1, 2], 73), w));
    expect(() => y.sum().backward()).toThrow(/none of the ops in the block \(linear\) is free to relax.*conv2d/);
    const z = withRules(predictiveCoding({ precision: 0 }), () => linear(normal([1, 2], 73), w));
    expect(() => z.sum().backward()).toThrow(/a precision is a positive number; that of linear is 0/);
    expect(() => predictiveCoding({ steps: 0 })).toThrow(/steps is a whole number/);
    expect(() => predictiveCoding({ rate: Number.NaN })).toThrow(/rate is the positive step size/);
    expect(() => predictiveCoding({ mode: 'exact' as 'strict' })).toThrow(/mode is 'strict' or 'fixed-prediction'/);
    expect(() => predictiveCoding({ free: ['lineer'] })).toThrow(/no op named lineer/);
    expect(() => predictiveCoding({ mode: 'fixed-prediction', onEnergy: () => {} })).toThrow(/descend no energy/);
    expect(() => prospectiveConfiguration({ tolerance: 1 })).toThrow(/tolerance is a part/);
    expect(() => prospectiveConfiguration({ maxSteps: 1.5 })).toThrow(/maxSteps is a whole number/);
  });

  it('is a block whose weights were written since the forward pass', () => {
    const w = parameter(normal([2, 2], 77));
    const y = withRules(predictiveCoding(), () => linear(normal([1, 2], 78), w));
    noGrad(() => w.mul_(2));
    expect(() => y.sum().backward()).toThrow(/a value that linear read.*was changed in place since/);
  });

  it('is a derivative of what it sends, unless surrogates are allowed', () => {
    const w = parameter(normal([2, 2], 74));
    const y = () =>
      withRules(predictiveCoding(), () =>
        linear(normal([1, 2], 75), w)
          .square()
          .sum(),
      );
    expect(() => backward(y(), { createGraph: true })).toThrow(/predictiveCoding.*is a surrogate/);
    backward(y(), { createGraph: true, allowSurrogate: true });
    expect(taken([w])[0]!.some((g) => g !== 0)).toBe(true);
    // What is sent is no function of the weights: there is nothing behind it to differentiate.
    const [u, v] = [parameter(tensor([2, 3])), parameter(tensor([4, 5]))];
    const z = withRules(predictiveCoding(), () =>
      linear(normal([1, 2], 75), w)
        .mul(u.mul(v))
        .sum(),
    );
    backward(z, { createGraph: true, allowSurrogate: true });
    expect([u, v, w].map((leaf) => leaf.grad!.requiresGrad)).toEqual([false, false, false]);
  });
});

/** Elementwise functions at their awkward points: zeros, kinks, poles, far out, NaN and infinity, empty and scalar. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, noTensors, slope, slopes, untyped } from './numbers.ts';

const { tensor, zeros } = p;
const inf = Infinity;
const functions = p as unknown as Record<string, (x: p.Tensor) => p.Tensor>;
const names = [
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
  ],
  ...['tanh', 'sigmoid', 'logsigmoid', 'softplus', 'relu', 'silu', 'mish', 'hardswish', 'selu', 'gelu'],
  ...['leakyRelu', 'elu', 'clamp'],
];
const geluTanh = (x: p.Tensor) => p.gelu(x, { approximate: 'tanh' });

describe('kinks', () => {
  it('relu, abs and sign have derivative 0 at 0', () => {
    expectClose(slope(p.relu, [-1, 0, -0, 1]), [0, 0, 0, 1]);
    expectClose(slope(p.abs, [-2, 0, -0, 2]), [-1, 0, 0, 1]);
    expectClose(slope(p.sign, [-2, 0, 2]), [0, 0, 0]);
  });

  it('leakyRelu and elu take the left side at 0', () => {
    expectClose(
      slope((x) => p.leakyRelu(x, 0.25), [-1, 0, 1]),
      [0.25, 0.25, 1],
    );
    expectClose(
      slope((x) => p.elu(x, 0.5), [0, 1]),
      [0.5, 1],
    );
  });

  it('clamp has derivative 1 at its bounds and 0 outside', () => {
    expectClose(
      slope((x) => p.clamp(x, -1, 2), [-2, -1, 0, 2, 3]),
      [0, 1, 1, 1, 0],
    );
    expect(p.clamp(tensor([-5, 5]), -1).toArray()).toEqual([-1, 5]);
    expect(p.clamp(tensor([-5, 5]), undefined, 1).toArray()).toEqual([-5, 1]);
  });

  it('hardswish joins its pieces', () => {
    expectClose(p.hardswish(tensor([-4, -3, 0, 3, 4])), [0, 0, 0, 3, 4]);
    expectClose(slope(p.hardswish, [-4, 0, 4]), [0, 0.5, 1]);
  });
});

describe('powers', () => {
  it('x squared has derivative 0 at 0, however it is written', () => {
    for (const f of [
      p.square,
      (x: p.Tensor) => p.pow(x, 2),
      (x: p.Tensor) => x.mul(x),
      (x: p.Tensor) => p.pow(x, tensor(2)),
    ])
      expectClose(slope(f, [0, -3, 2]), [0, -6, 4]);
  });

  it('anything to the 0 is 1 and does not depend on the base', () => {
    const base = [0, -2, 3, inf, NaN];
    expect(p.pow(tensor(base), 0).toArray()).toEqual([1, 1, 1, 1, 1]);
    expect(p.pow(tensor(base), zeros([5])).toArray()).toEqual([1, 1, 1, 1, 1]);
    expectClose(
      slope((x) => p.pow(x, 0), base),
      [0, 0, 0, 0, 0],
    );
    expectClose(
      slope((x) => p.pow(x, zeros([4])), [0, -2, 3, NaN]),
      [0, 0, 0, 0],
    );
  });

  it('0 to a power: value, and gradients of base and exponent', () => {
    const exponents = [0, 1, 2, 0.5];
    expect(p.pow(tensor(0), tensor(exponents)).toArray()).toEqual([1, 0, 0, 0]);
    const [base, exponent] = slopes(p.pow, [0, 0, 0, 0], exponents);
    expectClose(base!, [0, 1, 0, inf]);
    expectClose(exponent!, [0, 0, 0, 0]);
    expectClose(
      slope((x) => p.pow(x, 1), [0]),
      [1],
    );
    expectClose(p.pow(tensor(0), -1), inf);
    expectClose(
      slope((e) => p.pow(0, e), [-1]),
      [-inf],
    );
  });

  it('negative bases: whole exponents are fine, others are NaN', () => {
    expectClose(p.pow(tensor([-2, -2, -2]), tensor([3, 2, -1])), [-8, 4, -0.5]);
    expectClose(p.pow(tensor([-2]), 0.5), [NaN]);
    expectClose(
      slope((x) => p.pow(x, 3), [-2]),
      [12],
    );
  });

  it('numbers on either side', () => {
    expectClose(p.pow(2, tensor([0, 1, 3])), [1, 2, 8]);
    expectClose(p.pow(2, 3), 8);
    expectClose(
      slope((e) => p.pow(2, e), [3]),
      [8 * Math.LN2],
    );
  });
});

describe('poles', () => {
  it('log at 0 and below', () => {
    expectClose(p.log(tensor([0, -0, -1, inf, 1])), [-inf, -inf, NaN, inf, 0]);
    expectClose(slope(p.log, [0, 2]), [inf, 0.5]);
    expectClose(p.log1p(tensor([-1, -2])), [-inf, NaN]);
  });

  it('sqrt and rsqrt at 0 and below', () => {
    expectClose(p.sqrt(tensor([0, 4, inf, -1])), [0, 2, inf, NaN]);
    expectClose(slope(p.sqrt, [0, 4]), [inf, 0.25]);
    expectClose(p.rsqrt(tensor([0, 4, inf, -1])), [inf, 0.5, 0, NaN]);
    expectClose(slope(p.rsqrt, [0, 4]), [-inf, -1 / 16]);
  });

  it('reciprocal at 0 keeps the sign of the zero', () => {
    expect(p.reciprocal(tensor([0, -0, inf])).toArray()).toEqual([inf, -inf, 0]);
    expectClose(slope(p.reciprocal, [0, 2]), [-inf, -0.25]);
  });
});

describe('near 0 and far out', () => {
  it('expm1 and log1p are exact near 0', () => {
    for (const x of [1e-10, -1e-10, 1e-6, 1e-38]) {
      expect(p.expm1(tensor(x)).item() / x).toBeCloseTo(1, 5);
      expect(p.log1p(tensor(x)).item() / x).toBeCloseTo(1, 5);
    }
    expectClose(slope(p.expm1, [0]), [1]);
    expectClose(slope(p.log1p, [0]), [1]);
  });

  it('what saturates does so without overflow, with derivative 0', () => {
    const far = [-1e4, 1e4, -inf, inf];
    expectClose(p.sigmoid(tensor(far)), [0, 1, 0, 1]);
    expectClose(slope(p.sigmoid, far), [0, 0, 0, 0]);
    expectClose(p.tanh(tensor(far)), [-1, 1, -1, 1]);
    expectClose(slope(p.tanh, far), [0, 0, 0, 0]);
    expectClose(p.erf(tensor(far)), [-1, 1, -1, 1]);
    expectClose(slope(p.erf, far), [0, 0, 0, 0]);
  });

  it('what grows linearly on one side is that line', () => {
    const far = [-1e4, 1e4];
    for (const [f, value, derivative] of [
      [p.softplus, [0, 1e4], [0, 1]],
      [p.logsigmoid, [-1e4, 0], [1, 0]],
      [p.silu, [0, 1e4], [0, 1]],
      [p.mish, [0, 1e4], [0, 1]],
      [p.gelu, [0, 1e4], [0, 1]],
      [geluTanh, [0, 1e4], [0, 1]],
      [p.elu, [-1, 1e4], [0, 1]],
      [p.hardswish, [0, 1e4], [0, 1]],
      [p.selu, [-1.0507009873554805 * 1.6732632423543772, 1.0507009873554805 * 1e4], [0, 1.0507009873554805]],
    ] as const) {
      expectClose(f(tensor(far)), [...value]);
      expectClose(slope(f, far), [...derivative]);
    }
    expectClose(p.softplus(tensor([-inf, inf])), [0, inf]);
    expectClose(p.logsigmoid(tensor([-inf, inf])), [-inf, 0]);
  });

  it('exp overflows to Infinity and underflows to 0', () => {
    expectClose(p.exp(tensor([-1e4, 1e4, 0])), [0, inf, 1]);
    expectClose(p.expm1(tensor([-1e4, 1e4])), [-1, inf]);
  });
});

describe('NaN', () => {
  it.each(names)('goes through %s', (name) => {
    if (name === 'sign') return expect(p.sign(tensor([NaN])).item()).toBeNaN();
    const [middle, ...others] = [1, 0, 2].map((i) => functions[name]!(tensor([0.5, NaN, 0.25])).toFloat32Array()[i]!);
    expect(middle).toBeNaN();
    for (const other of others) expect(other).not.toBeNaN();
  });
  it('goes through clamp with bounds', () => expect(p.clamp(tensor([NaN]), -1, 1).item()).toBeNaN());
  it('goes through geluTanh', () => expect(geluTanh(tensor([NaN])).item()).toBeNaN());
});

describe('shapes', () => {
  it.each(names)('%s of nothing, of a scalar, of odd sizes', (name) => {
    const f = functions[name]!;
    for (const shape of [[0], [2, 0, 3]]) {
      expect(f(zeros(shape)).shape).toEqual(shape);
      const leaf = zeros(shape).requiresGrad_();
      f(leaf).sum().backward();
      expect(leaf.grad!.shape).toEqual(shape);
    }
    const one = f(tensor(0.3));
    expect(one.shape).toEqual([]);
    // Each of 1 to 9 numbers, in lanes of four and in the rest, is what the scalar is.
    for (let n = 1; n < 10; n++) expectClose(f(p.full([n], 0.3)), p.full([n], one.item()));
  });

  it('numbers are operands', () => {
    expect(p.relu(-3).item()).toBe(0);
    expect(p.exp(0).item()).toBe(1);
    expect(p.leakyRelu(-1, 0.5).item()).toBe(-0.5);
  });
});

describe('what is no operand', () => {
  it.each(names)('%s says so', (name) => {
    for (const value of noTensors)
      expect(() => untyped(functions[name]!)(value)).toThrow(/^\w+: expected a tensor or a number, not .*\.$/);
  });

  it('options are checked', () => {
    const x = tensor([1, 2]);
    expectRefused([
      ["gelu: approximate is 'none' or 'tanh', not exact.", () => untyped(p.gelu)(x, { approximate: 'exact' })],
      ['clamp: min and max are numbers, the smaller first; 2 and 1 are not.', () => p.clamp(x, 2, 1)],
      ['clamp: min and max are numbers, the smaller first; NaN and 1 are not.', () => p.clamp(x, NaN, 1)],
      ['clamp: min and max are numbers, the smaller first; null and 1 are not.', () => untyped(p.clamp)(x, null, 1)],
      ['pow: expected a tensor or a number, not an array. Make one with tensor(...).', () => untyped(p.pow)([1], 2)],
      ['pow: expected a tensor or a number, not string. Make one with tensor(...).', () => untyped(p.pow)(x, 'x')],
    ]);
  });
});

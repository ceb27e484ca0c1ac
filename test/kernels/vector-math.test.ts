/** Vector functions: how far they are from the truth, what the docstrings say of it, special values, signs of zeros. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementwise } from '../../src/kernels/reference/elementwise.ts';
import { elementwiseFamilies } from '../../src/kernels/wasm/elementwise.ts';
import { functionFamilies } from '../../src/kernels/wasm/functions.ts';
import { denominator, numerator } from '../../src/kernels/wasm/vector-normal.ts';
import { fixedSeed } from './twin.ts';
import {
  bitsOf,
  documentedErrors,
  erfc,
  errorInUlps,
  type FunctionName,
  fromBits,
  nearQuarterTurns,
  numbersOfBinades,
  Runner,
  scaledErfc,
  truths,
  ulp,
  worstOf,
} from './vector-math-ulps.ts';

const runners = { wasm: new Runner('wasm'), reference: new Runner('reference') };
const emitted = (name: FunctionName, x: number) => runners.wasm.run(name, Float32Array.of(x))[0]!;
const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
const tiny = 2 ** -149;
const functions = Object.keys(truths) as FunctionName[];
const documented = documentedErrors(readFileSync(new URL('../../src/ops/elementwise.ts', import.meta.url), 'utf8'));

describe('the measure', () => {
  // Known answers, from a computation with 400 digits.
  it.each([
    [erfc, 0.5, 0.4795001221869535],
    [erfc, 1, 0.15729920705028513],
    [erfc, 2, 0.004677734981047266],
    [erfc, -3, 1.9999779095030015],
    [erfc, 5, 1.5374597944280349e-12],
    [erfc, 10, 2.088487583762545e-45],
    [truths.erf, 0.5, 0.5204998778130465],
    [truths.erf, -3, -0.9999779095030014],
    [truths.gelu, -4, -1.266849673324797e-4],
  ] as const)('has a truth of its own: %o(%d)', (f, x, expected) => {
    expect(Math.abs(f(x) / expected - 1)).toBeLessThan(1e-14);
  });

  it('agrees with the reference, which uses other formulas, to far below an ulp', () => {
    for (let x = -9; x <= 9; x += 0.0371) {
      const floats = Float64Array.of(0, x, 0);
      elementwise.erf({ floats, ints: floats }, 1, 2, 1, 0, 0);
      expect(Math.abs(floats[2]! - truths.erf(x))).toBeLessThan(4e-15);
    }
  });

  it('counts in the spacing of float32, which is fixed below 2^-126, and takes an infinity for 2^128', () => {
    expect([1, 1.99, -2, 2 ** -126, 2 ** -140, 0].map(ulp)).toEqual([2 ** -23, 2 ** -23, 2 ** -22, tiny, tiny, tiny]);
    expect(errorInUlps(1 + 2 ** -23, 1)).toBe(1);
    expect(errorInUlps(0, 2.5 * tiny)).toBe(2.5);
    expect(errorInUlps(infinity, 2 ** 128 - 3 * 2 ** 104)).toBe(3);
    expect(errorInUlps(infinity, 1e39)).toBe(0);
    for (const [computed, exact] of [
      [nan, 1],
      [1, nan],
      [infinity, -infinity],
      [infinity, -1e39],
      [1, infinity],
    ])
      expect(errorInUlps(computed!, exact!)).toBe(infinity);
  });
});

describe('vector functions', () => {
  it('are documented with their largest error, which is below 4 ulp', () => {
    const names = ['exp', 'log', 'tanh', 'sigmoid', 'erf', 'sin', 'cos', 'expm1', 'log1p', 'softplus', 'logsigmoid'];
    expect(Object.keys(documented).sort()).toEqual([...names, 'silu', 'selu', 'gelu'].sort());
    for (const { ulps } of Object.values(documented)) expect(ulps).toBeLessThan(4);
  });

  it.each(Object.entries(documented))('%s has the documented error where its docstring says', (name, { ulps, x }) => {
    const error = errorInUlps(emitted(name as FunctionName, x), truths[name as FunctionName](x));
    expect(Math.ceil(error * 100) / 100).toBe(ulps);
  });

  it.each(Object.entries(documented))('%s is nowhere further from the truth than documented', (name, { ulps }) => {
    const worst = worstOf(runners.wasm, name as FunctionName, numbersOfBinades(40, 1));
    expect(worst.ulps, `at ${worst.x}`).toBeLessThanOrEqual(ulps);
  });

  it.each(Object.keys(documented))(
    '%s of the reference set is the nearest float32, or its neighbour at a tie',
    (name) => {
      const worst = worstOf(runners.reference, name as FunctionName, numbersOfBinades(10, 2));
      expect(worst.ulps, `at ${worst.x}`).toBeLessThan(0.500001);
    },
  );

  it('sqrt is the nearest float32', () => {
    expect(worstOf(runners.wasm, 'sqrt', numbersOfBinades(20, 3)).ulps).toBeLessThanOrEqual(0.5);
  });

  it.each(['sin', 'cos'] as const)('%s keeps its digits beside multiples of pi / 2 up to 1e5', (name) => {
    const worst = worstOf(runners.wasm, name, nearQuarterTurns(1e5, 5));
    expect(worst.ulps, `at ${worst.x}`).toBeLessThan(4);
  });

  it.each(['sin', 'cos'] as const)('%s beyond 1e5 is that of the reference', (name) => {
    const x = Float32Array.of(100000.01, -123456.7, 1e10, -3e38, 2 ** 127, 1e30);
    expect([...runners.wasm.run(name, x)]).toEqual([...runners.reference.run(name, x)]);
  });

  // What the truth gives where it says nothing else; these are what a formula may get wrong.
  const edges = [0, -0, tiny, -tiny, 3 * tiny, -3 * tiny, 2 ** -126, -(2 ** -126), infinity, -infinity, nan];
  const plain = functions.filter((name) => !name.endsWith('Slope'));
  it.each(plain)(
    '%s is right at zeros (with their signs), subnormal numbers, infinities and NaN, in both sets',
    (name) => {
      for (const runner of Object.values(runners)) {
        runner.run(name, Float32Array.from(edges)).forEach((value, i) => {
          const exact = Math.fround(truths[name](edges[i]!));
          if (Number.isFinite(exact) && exact !== 0) expect(errorInUlps(value, exact)).toBeLessThanOrEqual(1);
          else expect([edges[i], value]).toEqual([edges[i], exact]);
        });
      }
    },
  );

  it('overflow and underflow where the exact results do', () => {
    const [last, next] = [88.72283172607422, 88.72283935546875];
    expect(bitsOf(next) - bitsOf(last)).toBe(1);
    for (const name of ['exp', 'expm1'] as const) {
      expect(emitted(name, last)).toBeLessThan(infinity);
      expect(emitted(name, next)).toBe(infinity);
    }
    // 2^-150 = e^-103.97208 lies half-way between 0 and the smallest subnormal number.
    const [least, gone] = [-103.97207641601562, -103.97208404541016];
    expect(bitsOf(gone) - bitsOf(least)).toBe(1);
    for (const name of ['exp', 'sigmoid', 'softplus'] as const) {
      expect(emitted(name, least)).toBe(tiny);
      expect(emitted(name, gone)).toBe(0);
    }
    expect(emitted('log', tiny)).toBe(Math.fround(Math.log(tiny)));
    expect(emitted('log1p', -1)).toBe(-infinity);
    expect(emitted('log1p', -1.0000001)).toBeNaN();
    expect([emitted('tanh', 3e38), emitted('erf', -3e38), emitted('sigmoid', -3e38)]).toEqual([1, -1, 0]);
    for (const name of ['silu', 'gelu', 'geluTanh'] as const)
      expect([emitted(name, 3e38), emitted(name, -3e38)]).toEqual([Math.fround(3e38), -0]);
  });

  it('exp rounds once where it gives subnormal numbers', () => {
    const from = bitsOf(-93);
    const x = fromBits(Uint32Array.from({ length: 4000 }, (_, i) => from + 359 * i));
    expect(x.at(-1)).toBeLessThan(-103.9);
    expect(worstOf(runners.wasm, 'exp', x).ulps).toBeLessThan(0.52);
  });

  it('gives the signs of zeros that the reference gives', () => {
    const anywhere = fc.oneof(fc.float(), fc.float({ min: -150, max: 150 }), fc.constantFrom(...edges));
    // sin and cos beyond the limit are the reference's; the others of a zero, or too near to it, are zeros with a sign.
    fc.assert(
      fc.property(fc.constantFrom(...plain), anywhere, (name, x) => {
        const [value, wanted] = [runners.wasm, runners.reference].map((set) => set.run(name, Float32Array.of(x))[0]!);
        if (value === 0 && wanted === 0) expect([name, x, value]).toEqual([name, x, wanted]);
      }),
      { ...fixedSeed, numRuns: 2000 },
    );
  });
});

describe('gradients of vector functions', () => {
  // They cross 0, and what is left of the terms there has lost its digits: the error is measured against 1/4, if not against more.
  it.each([
    ['geluSlope', 4],
    ['geluTanhSlope', 4],
    ['siluSlope', 4],
    ['sigmoidSlope', 4],
  ] as const)('%s is right to %d ulp of itself or of 1/4', (name, limit) => {
    const x = numbersOfBinades(40, 4).filter((v) => name !== 'sigmoidSlope' || (v >= 0 && v <= 1));
    const computed = runners.wasm.run(name, x);
    for (let i = 0; i < x.length; i++) {
      const exact = truths[name](x[i]!);
      const error = Math.abs(computed[i]! - exact) / ulp(Math.max(Math.abs(exact), 0.25));
      if (Number.isFinite(exact) && !(error <= limit)) expect([x[i], computed[i], exact, error]).toEqual([]);
    }
  });

  // The largest found among every 31st number of the tails, or more of them: 3.55 and 5.85.
  it.each([
    ['geluSlope', -12.9, -1.5, 4],
    ['siluSlope', -86, -1.5, 6.5],
  ] as const)('%s keeps its digits in the tail that falls to 0', (name, from, to, limit) => {
    const x = numbersOfBinades(2000, 5).filter((v) => v >= from && v <= to);
    expect(x.length).toBeGreaterThan(4000);
    const worst = worstOf(runners.wasm, name, x);
    expect(worst.ulps, `at ${worst.x}`).toBeLessThan(limit);
  });

  it.each(['geluSlope', 'geluTanhSlope', 'siluSlope'] as const)('%s has its limits far out, and 1/2 at 0', (name) => {
    expect([...runners.wasm.run(name, Float32Array.of(0, -0, 3e38, -3e38).map(Math.fround))].map(Math.abs)).toEqual([
      0.5, 0.5, 1, 0,
    ]);
  });

  it('geluTanh loses digits only where it is small', () => {
    const x = numbersOfBinades(400, 6);
    const computed = runners.wasm.run('geluTanh', x);
    for (let i = 0; i < x.length; i++) {
      const exact = truths.geluTanh(x[i]!);
      if (!Number.isFinite(exact)) continue;
      const error = errorInUlps(computed[i]!, exact);
      if (!(error < (x[i]! > -1.3 ? 4 : 200))) expect([x[i], computed[i], exact, error]).toEqual([]);
    }
  });
});

describe('the fit of the normal tail', () => {
  it('has coefficients of one sign, and is 1/2 at 0', () => {
    expect(Math.min(...numerator, ...denominator)).toBeGreaterThan(0);
    expect(Math.fround(numerator[0]!) / Math.fround(denominator[0]!)).toBe(0.5);
  });

  it('is right to 2^-26.5', () => {
    const valueAt = (coefficients: readonly number[], t: number) =>
      coefficients.reduceRight((sum, coefficient) => sum * t + Math.fround(coefficient), 0);
    for (let t = 0; t <= 15; t += 1 / 128) {
      const ratio = valueAt(numerator, t) / valueAt([...denominator, 1], t);
      expect(Math.abs(ratio / (scaledErfc(t * Math.SQRT1_2) / 2) - 1)).toBeLessThan(2 ** -26.5);
    }
  });
});

it('every measured function is an emitted kernel', () => {
  const names = [...elementwiseFamilies, ...functionFamilies].flatMap((family) => family.names);
  expect(names).toEqual(expect.arrayContaining(functions));
});

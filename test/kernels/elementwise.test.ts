/** Elementwise kernels: what the definitions promise, and that the emitted twins keep it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementwise } from '../../src/kernels/reference/elementwise.ts';
import {
  binaryNames,
  type KernelName,
  type ReferenceKernels,
  slopeNames,
  type UnaryName,
  unaryNames,
} from '../../src/kernels/table.ts';
import { elementwiseFamilies } from '../../src/kernels/wasm/elementwise.ts';
import { functionFamilies } from '../../src/kernels/wasm/functions.ts';
import { together } from './together.ts';
import { type Close, fixedSeed, Twins, within } from './twin.ts';

/** The result of a unary reference kernel on one double. */
function apply(name: UnaryName, x: number, p = 0, q = 0): number {
  const floats = Float64Array.of(0, x, 0);
  elementwise[name]({ floats, ints: floats }, 1, 2, 1, p, q);
  return floats[2]!;
}

describe('reference functions in double precision', () => {
  // Known answers, from a computation with 400 digits.
  it.each([
    ['erf', 0.5, 0.5204998778130465],
    ['erf', -3, -0.9999779095030014],
    ['gelu', -4, -1.266849673324797e-4],
    ['gelu', 1, 0.8413447460685429],
    ['geluTanh', 1, 0.8411919906082767],
    ['softplus', -40, 4.248354255291589e-18],
    ['softplus', 1000, 1000],
    ['logsigmoid', -1000, -1000],
    ['sigmoid', -700, 9.85967654375977e-305],
    ['mish', -2, -0.2525014826957088],
    ['selu', -1, -1.1113307378125628],
    ['expm1', 1e-10, 1.00000000005e-10],
    ['log1p', 1e-10, 9.9999999995e-11],
  ] as const)('%s(%d) is right to 1e-14', (name, x, expected) => {
    expect(Math.abs(apply(name, x) / expected - 1)).toBeLessThan(1e-14);
  });

  it('keeps NaN in every unary function', () => {
    for (const name of unaryNames) expect([name, apply(name, Number.NaN, 0.5, 1)]).toEqual([name, Number.NaN]);
  });

  it('has the agreed values at the kinks', () => {
    expect([apply('relu', -1), apply('relu', 0), apply('relu', 2)]).toEqual([0, 0, 2]);
    expect([apply('clamp', -3, -1, 2), apply('clamp', 0.5, -1, 2), apply('clamp', 9, -1, 2)]).toEqual([-1, 0.5, 2]);
    expect([apply('leakyRelu', -2, 0.25), apply('leakyRelu', 2, 0.25)]).toEqual([-0.5, 2]);
    expect([apply('elu', -800, 3), apply('elu', 2, 3)]).toEqual([-3, 2]);
    expect([apply('hardswish', -4), apply('hardswish', 1), apply('hardswish', 5)].map(Math.abs)).toEqual([0, 4 / 6, 5]);
  });

  it.each(slopeNames)('%s is the derivative of its function', (name) => {
    const readsOutput = ['reluSlope', 'tanhSlope', 'sigmoidSlope', 'expSlope'].includes(name);
    const f = name.slice(0, -'Slope'.length) as UnaryName;
    for (const x of [-5.3, -1.2, -0.4, 0.3, 0.9, 4.1]) {
      const floats = Float64Array.of(0, 3, readsOutput ? apply(f, x, 0.1) : x, 10);
      elementwise[name]({ floats, ints: floats }, 1, 2, 3, 1, 0.1, 0, 1);
      const difference = (apply(f, x + 1e-5, 0.1) - apply(f, x - 1e-5, 0.1)) / 2e-5;
      expect(floats[3]).toBeCloseTo(10 + 3 * difference, 8);
    }
  });
});

const tiny = 2 ** -149;
const specials = [
  0,
  -0,
  1,
  -1,
  3,
  -3,
  tiny,
  -tiny,
  1e-38,
  -1e-38,
  1e-20,
  20,
  -20,
  88.7,
  89,
  -87.5,
  -103,
  -104,
  3e38,
  -3e38,
];
const special = fc.constantFrom(...specials, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN);
const value = fc.oneof(special, fc.float({ min: -8, max: 8 }), fc.float());
const values = fc.array(value, { maxLength: 41 });
/** For products and sums of several roundings, where an intermediate overflow would tell the twins apart. */
const moderate = fc.oneof(fc.constantFrom(0, -0, 1, -1, Number.NaN), fc.float({ min: -8, max: 8 }));

/** How far two float32 numbers are apart, counted in float32 numbers. */
function ulpsBetween(a: number, b: number): number {
  const order = (x: number) => {
    const bits = new Int32Array(Float32Array.of(x).buffer)[0]!;
    return bits < 0 ? -(bits & 0x7fffffff) : bits;
  };
  return Object.is(a, b)
    ? 0
    : Number.isNaN(a) || Number.isNaN(b)
      ? Number.POSITIVE_INFINITY
      : Math.abs(order(a) - order(b));
}
const withinUlps =
  (limit: number): Close =>
  (emitted, reference) =>
    ulpsBetween(emitted, reference) <= limit;

/** What an emitted function may be off, where it is not the reference's bit for bit. */
const tolerances: Partial<Record<UnaryName, Close>> = {
  rsqrt: withinUlps(1),
  hardswish: withinUlps(2),
  scale: within(2e-7),
  exp: withinUlps(2),
  log: withinUlps(2),
  log1p: withinUlps(2),
  expm1: withinUlps(3),
  tanh: withinUlps(3),
  sigmoid: withinUlps(3),
  erf: withinUlps(3),
  sin: withinUlps(3),
  cos: withinUlps(3),
  softplus: withinUlps(3),
  logsigmoid: withinUlps(3),
  elu: withinUlps(3),
  selu: withinUlps(3),
  // Products of x and a factor whose argument was rounded: relative to x, not to the result.
  silu: within(1e-6),
  mish: within(1e-6),
  gelu: within(1e-6),
  geluTanh: within(1e-6),
};

const families = together([...elementwiseFamilies, ...functionFamilies]);

describe('emitted elementwise kernels', () => {
  const twins = new Twins(families);
  const emitted = <Name extends KernelName>(names: readonly Name[]) => names.filter((name) => twins.emitted[name]);

  it.each(emitted(unaryNames))('%s', (name) => {
    fc.assert(
      fc.property(values, fc.constantFrom(-0.5, 0.25, 2), fc.boolean(), (x, p, inPlace) => {
        twins.clear();
        const at = twins.floats(x);
        const out = inPlace ? at : twins.room(x.length);
        twins.compare(name, elementwise[name], [at, out, x.length, p, 3], tolerances[name]);
      }),
      fixedSeed,
    );
  });

  it.each(emitted(unaryNames))('%s over a dense range', (name) => {
    const x = Array.from({ length: 6000 }, (_, i) => (i % 2 ? 1 : -1) * 1.01 ** (i - 5500));
    const at = twins.clear().floats(x);
    twins.compare(name, elementwise[name], [at, twins.room(x.length), x.length, 0.25, 3], tolerances[name]);
  });

  it('gelu keeps its digits where it is nearly 0', () => {
    const x = Array.from({ length: 1000 }, (_, i) => -12 * (i / 1000));
    const relative: Close = (a, b) => Math.abs(a - b) <= 2e-6 * Math.abs(b);
    const args = [twins.clear().floats(x), twins.room(x.length), x.length, 0, 0] as const;
    twins.compare('gelu', elementwise.gelu, [...args], relative);
  });

  it.each(emitted(unaryNames))('%s of a number does not depend on where it stands', (name) => {
    fc.assert(
      fc.property(value, fc.integer({ min: 1, max: 15 }), (x, n) => {
        const from = twins.clear().floats(Array(n).fill(x));
        const single = twins.room(1);
        const out = twins.room(n);
        twins.emitted[name]!(from, single, 1, 0.5, 3);
        const repeat: ReferenceKernels[typeof name] = ({ floats }) => floats.fill(floats[single]!, out, out + n);
        twins.compare(name, repeat, [from, out, n, 0.5, 3]);
      }),
      fixedSeed,
    );
  });

  const pair = fc.tuple(moderate, moderate);
  it.each(emitted(slopeNames))('%s', (name) => {
    fc.assert(
      fc.property(
        fc.array(pair, { maxLength: 41 }),
        fc.constantFrom(0, 1),
        fc.boolean(),
        (pairs, accumulate, inPlace) => {
          twins.clear();
          const g = twins.floats(pairs.map(([g]) => g));
          const saved = twins.floats(pairs.map(([, saved]) => saved));
          const out = inPlace ? g : twins.room(pairs.length);
          twins.compare(name, elementwise[name], [g, saved, out, pairs.length, 0.25, 0, accumulate], within(1e-6));
        },
      ),
      fixedSeed,
    );
  });

  /** Strides (row, column) of an operand of [rows, columns]. */
  const layouts: ((columns: number) => [row: number, column: number])[] = [
    (columns) => [columns, 1],
    (columns) => [columns + 3, 1],
    () => [0, 1],
    () => [1, 0],
    () => [2, 0],
    () => [0, 0],
  ];
  const layout = fc.constantFrom(...layouts);
  const size = fc.oneof(fc.constantFrom(0, 1), fc.integer({ min: 0, max: 21 }));

  it.each(emitted(binaryNames))('%s with every broadcast', (name) => {
    fc.assert(
      fc.property(
        layout,
        layout,
        size,
        size,
        fc.array(value, { minLength: 16, maxLength: 16 }),
        (a, b, rows, columns, pool) => {
          twins.clear();
          const place = (strides: typeof a): [number, number, number] => {
            const [row, column] = strides(columns);
            const count = Math.max(0, (rows - 1) * row + (columns - 1) * column + 1);
            return [twins.floats(Array.from({ length: count }, (_, i) => pool[(i * i + row) % 16]!)), row, column];
          };
          twins.compare(name, elementwise[name], [...place(a), ...place(b), twins.room(rows * columns), rows, columns]);
        },
      ),
      fixedSeed,
    );
  });
});

describe('emitted where', () => {
  it('chooses like its reference', () => {
    const twins = new Twins(families);
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value, value), { maxLength: 41 }), (triples) => {
        twins.clear();
        const [condition, a, b] = [0, 1, 2].map((k) => twins.floats(triples.map((triple) => triple[k]!)));
        twins.compare('where', elementwise.where, [condition!, a!, b!, twins.room(triples.length), triples.length]);
      }),
      fixedSeed,
    );
  });
});

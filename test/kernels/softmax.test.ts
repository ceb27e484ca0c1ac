/** Softmax and the losses: what they mean, and that the emitted twins do the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { softmax } from '../../src/kernels/reference/softmax.ts';
import { squaredError } from '../../src/kernels/reference/squared-error.ts';
import { softmaxFamilies } from '../../src/kernels/wasm/softmax.ts';
import { squaredErrorFamilies } from '../../src/kernels/wasm/squared-error.ts';
import { together } from './together.ts';
import { fixedSeed, indices, realNumbers, Twins, wholeNumbers, within } from './twin.ts';

const memoryOf = (...values: number[]) => {
  const floats = Float64Array.from(values);
  return { floats, ints: floats };
};

describe('reference softmax', () => {
  // exp of log(1), log(2), log(5) are in the ratio 1 : 2 : 5; a shift of the row changes nothing.
  const shares = [1 / 8, 2 / 8, 5 / 8];
  const logits = [1, 2, 5].map((share) => Math.log(share) + 700);

  it('knows the shares, their logarithms and the sum', () => {
    const memory = memoryOf(...logits, 0, 0, 0);
    softmax.softmax(memory, 0, 3, 1, 3);
    shares.forEach((share, i) => {
      expect(memory.floats[3 + i]).toBeCloseTo(share, 12);
    });
    softmax.logSoftmax(memory, 0, 3, 1, 3);
    shares.forEach((share, i) => {
      expect(memory.floats[3 + i]).toBeCloseTo(Math.log(share), 12);
    });
    softmax.logSumExp(memory, 0, 3, 1, 3);
    expect(memory.floats[3]).toBeCloseTo(700 + Math.log(8), 12);
  });

  it('logSumExp keeps infinities', () => {
    const infinity = Number.POSITIVE_INFINITY;
    const memory = memoryOf(-infinity, -infinity, 1, infinity, 0, 0);
    softmax.logSumExp(memory, 0, 4, 2, 2);
    expect([...memory.floats.slice(4)]).toEqual([-infinity, infinity]);
  });

  it('crossEntropy is minus the log share of the label; smoothing mixes in all labels', () => {
    const memory = memoryOf(...logits, 2, 0, 0, 0, 0);
    softmax.crossEntropy(memory, 0, 3, 4, 5, 1, 3, 0);
    expect(memory.floats[4]).toBeCloseTo(-Math.log(5 / 8), 12);
    expect(memory.floats[5]).toBeCloseTo(1 / 8, 12);
    softmax.crossEntropy(memory, 0, 3, 4, 0, 1, 3, 0.3);
    const mean = -shares.reduce((sum, share) => sum + Math.log(share), 0) / 3;
    expect(memory.floats[4]).toBeCloseTo(0.7 * -Math.log(5 / 8) + 0.3 * mean, 12);
  });

  it('an impossible class costs nothing unless it is the label', () => {
    const memory = memoryOf(0, Number.NEGATIVE_INFINITY, 0, 0);
    softmax.crossEntropy(memory, 0, 2, 3, 0, 1, 2, 0);
    expect(memory.floats[3]).toBe(0);
  });

  /** Compares a slope kernel with differences of the function: sum_i g_i f_i(x + h e_j). */
  const differences = (f: (x: number[]) => number[], x: number[], g: number[]) =>
    x.map((_, j) => {
      const at = (h: number) => f(x.map((value, i) => value + (i === j ? h : 0)));
      return at(1e-6).reduce((sum, up, i) => sum + (g[i]! * (up - at(-1e-6)[i]!)) / 2e-6, 0);
    });
  const run = (kernel: 'softmax' | 'logSoftmax') => (x: number[]) => {
    const memory = memoryOf(...x, ...x);
    softmax[kernel](memory, 0, x.length, 1, x.length);
    return [...memory.floats.slice(x.length)];
  };

  it.each([
    ['softmax', 'softmaxSlope'],
    ['logSoftmax', 'logSoftmaxSlope'],
  ] as const)('%s has the slope %s', (name, slope) => {
    const [x, g] = [
      [0.3, -1, 0.8],
      [2, -1, 0.5],
    ];
    const memory = memoryOf(...g, ...run(name)(x), 1, 1, 1);
    softmax[slope](memory, 0, 3, 6, 1, 3, 1);
    differences(run(name), x, g).forEach((difference, i) => {
      expect(memory.floats[6 + i]).toBeCloseTo(1 + difference, 7);
    });
  });

  it('crossEntropy has the slope crossEntropySlope', () => {
    const x = [0.3, -1, 0.8];
    const loss = (logits: number[]) => {
      const memory = memoryOf(...logits, 1, 0);
      softmax.crossEntropy(memory, 0, 3, 4, 0, 1, 3, 0.2);
      return [memory.floats[4]!];
    };
    const memory = memoryOf(...run('softmax')(x), 1, 3, 0, 0, 0);
    softmax.crossEntropySlope(memory, 4, 0, 2, 0, 3, 5, 1, 3, 0.2, 0);
    differences(loss, x, [6]).forEach((difference, i) => {
      expect(memory.floats[5 + i]).toBeCloseTo(difference, 7);
    });
  });

  it('squaredError sums squares; its slope is twice the difference', () => {
    const memory = memoryOf(1, 2, 3, 1, 0, 6, 0, 0, 0, 0);
    squaredError.squaredError(memory, 0, 3, 6, 3, 0.5);
    expect(memory.floats[6]).toBe(6.5);
    squaredError.squaredErrorSlope(memory, 6, 0, 3, 7, 3, 0.5, 0);
    expect([...memory.floats.slice(7)]).toEqual([0, 13, -19.5]);
  });
});

describe('emitted softmax and losses', () => {
  const twins = new Twins(together([...softmaxFamilies, ...squaredErrorFamilies]));
  const sizes = fc.record({
    rows: fc.integer({ min: 0, max: 4 }),
    columns: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 60 })),
    seed: fc.integer(),
    // How wide the logits are spread: the shares are near to equal, or one takes all.
    spread: fc.constantFrom(1, 10, 200),
    accumulate: fc.constantFrom(0, 1),
    smoothing: fc.constantFrom(0, 0.1, 0.5),
    inPlace: fc.boolean(),
  });
  const close = within(2e-6);
  const logits = (count: number, seed: number, spread: number) => realNumbers(count, seed).map((x) => x * spread);

  it.each(['softmax', 'logSoftmax', 'logSumExp'] as const)('%s', (name) => {
    fc.assert(
      fc.property(sizes, ({ rows, columns, seed, spread, inPlace }) => {
        const x = twins.clear().floats(logits(rows * columns, seed, spread));
        const out = inPlace && name !== 'logSumExp' ? x : twins.room(rows * columns);
        twins.compare(name, softmax[name], [x, out, rows, columns], close);
      }),
      fixedSeed,
    );
  });

  it.each(['softmax', 'logSoftmax', 'logSumExp'] as const)('%s of rows with infinities and NaN', (name) => {
    const special = fc.constantFrom(0, 1, -2, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    const rare = fc.oneof(
      { weight: 5, arbitrary: fc.constant(Number.NEGATIVE_INFINITY) },
      { weight: 1, arbitrary: special },
    );
    const row = (length: number) =>
      fc.oneof(
        fc.array(special, { minLength: length, maxLength: length }),
        fc.array(rare, { minLength: length, maxLength: length }),
      );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 11 }).chain(row), (values) => {
        const x = twins.clear().floats(values);
        twins.compare(name, softmax[name], [x, twins.room(values.length), 1, values.length], close);
      }),
      fixedSeed,
    );
  });

  it.each([
    ['softmaxSlope', 'softmax'],
    ['logSoftmaxSlope', 'logSoftmax'],
  ] as const)('%s', (name, forward) => {
    fc.assert(
      fc.property(sizes, ({ rows, columns, seed, spread, accumulate, inPlace }) => {
        const y = twins.clear().floats(logits(rows * columns, seed, spread));
        twins.emitted[forward]!(y, y, rows, columns);
        const g = twins.floats(realNumbers(rows * columns, seed + 1));
        const out = inPlace ? g : twins.room(rows * columns);
        twins.compare(name, softmax[name], [g, y, out, rows, columns, accumulate], within(1e-5));
      }),
      fixedSeed,
    );
  });

  it('crossEntropy, with probabilities or without, in place or not', () => {
    fc.assert(
      fc.property(sizes, fc.boolean(), ({ rows, columns, seed, spread, smoothing, inPlace }, wanted) => {
        const x = twins.clear().floats(logits(rows * columns, seed, spread));
        const labels = twins.ints(indices(rows, seed + 1, columns));
        const losses = twins.room(rows);
        const probabilities = !wanted ? 0 : inPlace ? x : twins.room(rows * columns);
        const args = [x, labels, losses, probabilities, rows, columns, smoothing] as const;
        twins.compare('crossEntropy', softmax.crossEntropy, [...args], close);
      }),
      fixedSeed,
    );
  });

  it('crossEntropy of an impossible class', () => {
    const infinity = Number.NEGATIVE_INFINITY;
    const x = twins.clear().floats([0, infinity, 1, 2, 3, infinity, 0, 0, 0, 0]);
    const labels = twins.ints([0, 0]);
    twins.compare('crossEntropy', softmax.crossEntropy, [x, labels, twins.room(2), twins.room(10), 2, 5, 0], close);
    twins.compare('crossEntropy', softmax.crossEntropy, [x, labels, twins.room(2), twins.room(10), 2, 5, 0.1], close);
  });

  it('crossEntropySlope', () => {
    fc.assert(
      fc.property(sizes, fc.constantFrom(0, 1, 3), ({ rows, columns, seed, smoothing, accumulate, inPlace }, gStep) => {
        const probabilities = twins.clear().floats(realNumbers(rows * columns, seed).map(Math.abs));
        const labels = twins.ints(indices(rows, seed + 1, columns));
        const g = twins.floats(realNumbers(1 + rows * gStep, seed + 2));
        const out = inPlace ? probabilities : twins.room(rows * columns);
        const args = [g, gStep, 0.25, probabilities, labels, out, rows, columns, smoothing, accumulate] as const;
        twins.compare('crossEntropySlope', softmax.crossEntropySlope, [...args], within(1e-6));
      }),
      fixedSeed,
    );
  });

  it('a nearly certain label keeps the digits of its small slope', () => {
    const probabilities = twins.clear().floats([2 ** -22, 1 - 2 ** -22]);
    const args = [twins.floats([0.3]), 0, 0.7, probabilities, twins.ints([1]), twins.room(2), 1, 2, 0, 0] as const;
    const relative = (a: number, b: number) => Math.abs(a - b) <= 1e-6 * Math.abs(b);
    twins.compare('crossEntropySlope', softmax.crossEntropySlope, [...args], relative);
  });

  it('squaredError and its slope', () => {
    const n = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 10, max: 90 }));
    fc.assert(
      fc.property(n, fc.integer(), fc.constantFrom(0, 1), fc.boolean(), (n, seed, accumulate, inPlace) => {
        const a = twins.clear().floats(wholeNumbers(n, seed));
        const b = twins.floats(wholeNumbers(n, seed + 1));
        const out = twins.room(1);
        twins.compare('squaredError', squaredError.squaredError, [a, b, out, n, 0.5]);
        const slope = inPlace ? a : twins.room(n);
        const args = [out, a, b, slope, n, 0.5, accumulate] as const;
        twins.compare('squaredErrorSlope', squaredError.squaredErrorSlope, [...args]);
      }),
      fixedSeed,
    );
  });
});

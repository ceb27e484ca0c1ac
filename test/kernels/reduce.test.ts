/** Reductions over the middle axis: what they mean, and that the emitted twins do the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reduce } from '../../src/kernels/reference/reduce.ts';
import { reduceFamilies } from '../../src/kernels/wasm/reduce.ts';
import { together } from './together.ts';
import { fixedSeed, realNumbers, Twins, wholeNumbers, within } from './twin.ts';

describe('reference reductions', () => {
  /** x = [[1, 5], [4, 2]], the result over an axis of it behind. */
  const overAxis = (name: 'sum' | 'prod' | 'max' | 'min', axis: 0 | 1, accumulate = 0, x = [1, 5, 4, 2]) => {
    const floats = Float64Array.of(...x, 10, 20);
    const [outer, inner] = axis === 0 ? [1, 2] : [2, 1];
    reduce[name]({ floats, ints: floats }, 0, 4, outer, 2, inner, accumulate);
    return [...floats.slice(4)];
  };

  it('folds columns or rows', () => {
    expect([overAxis('sum', 0), overAxis('sum', 1)]).toEqual([
      [5, 7],
      [6, 6],
    ]);
    expect([overAxis('prod', 0), overAxis('prod', 1)]).toEqual([
      [4, 10],
      [5, 8],
    ]);
    expect([overAxis('max', 0), overAxis('max', 1)]).toEqual([
      [4, 5],
      [5, 4],
    ]);
    expect([overAxis('min', 0), overAxis('min', 1)]).toEqual([
      [1, 2],
      [1, 2],
    ]);
    expect(overAxis('sum', 0, 1)).toEqual([15, 27]);
  });

  it('lets NaN win', () => {
    expect(overAxis('max', 0, 0, [Number.NaN, 5, 4, 2])).toEqual([Number.NaN, 5]);
    expect(overAxis('min', 0, 0, [1, 5, Number.NaN, 2])).toEqual([Number.NaN, 2]);
  });

  it('gives the neutral value for an empty axis', () => {
    for (const [name, neutral] of [
      ['sum', 0],
      ['prod', 1],
      ['max', -Infinity],
      ['min', Infinity],
    ] as const) {
      const floats = Float64Array.of(9, 9);
      reduce[name]({ floats, ints: floats }, 0, 0, 1, 0, 2, 0);
      expect([...floats]).toEqual([neutral, neutral]);
    }
  });

  it('argmax and argmin take the first of equals, and NaN before all', () => {
    const positions = (name: 'argmax' | 'argmin', x: number[]) => {
      const memory = { floats: Float64Array.from(x), ints: new Int32Array(1) };
      reduce[name](memory, 0, 0, 1, x.length, 1);
      return memory.ints[0];
    };
    expect([positions('argmax', [1, 3, 3]), positions('argmin', [2, 1, 1])]).toEqual([1, 1]);
    expect([positions('argmax', [1, Number.NaN, 3, Number.NaN]), positions('argmin', [1, 2, Number.NaN])]).toEqual([
      1, 2,
    ]);
  });
});

describe('emitted reductions', () => {
  const twins = new Twins(together(reduceFamilies));
  const sizes = fc.record({
    outer: fc.integer({ min: 0, max: 4 }),
    n: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 6, max: 70 })),
    inner: fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 6, max: 40 })),
    seed: fc.integer(),
    accumulate: fc.constantFrom(0, 1),
  });

  it('sum is exact on whole numbers', () => {
    fc.assert(
      fc.property(sizes, ({ outer, n, inner, seed, accumulate }) => {
        const x = twins.clear().floats(wholeNumbers(outer * n * inner, seed));
        twins.compare('sum', reduce.sum, [x, twins.room(outer * inner), outer, n, inner, accumulate]);
      }),
      fixedSeed,
    );
  });

  it('sum of 100,000 numbers keeps six digits', () => {
    const big = new Twins(together(reduceFamilies));
    const x = big.floats(realNumbers(100_000, 1).map((value) => value + 1));
    big.compare('sum', reduce.sum, [x, big.room(1), 1, 100_000, 1, 0], within(1e-6));
    big.compare('sum', reduce.sum, [x, big.room(10), 1, 10_000, 10, 0], within(1e-6));
  });

  it('prod is exact on powers of two', () => {
    fc.assert(
      fc.property(sizes, ({ outer, n, inner, seed }) => {
        const x = twins
          .clear()
          .floats(wholeNumbers(outer * n * inner, seed).map((k) => (k < 0 ? -1 : 1) * 2 ** (k % 2)));
        twins.compare('prod', reduce.prod, [x, twins.room(outer * inner), outer, n, inner, 0]);
      }),
      fixedSeed,
    );
  });

  it.each(['max', 'min'] as const)('%s, with infinities and a NaN somewhere', (name) => {
    fc.assert(
      fc.property(sizes, fc.constantFrom(2, 30, 1000), ({ outer, n, inner, seed }, rarity) => {
        const values = wholeNumbers(outer * n * inner, seed);
        const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
        const x = twins.clear().floats(values.map((k, i) => ((i + k) % rarity === 1 ? odd[i % 3]! : k)));
        twins.compare(name, reduce[name], [x, twins.room(outer * inner), outer, n, inner, 0]);
      }),
      fixedSeed,
    );
  });
});

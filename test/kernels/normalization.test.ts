/** Layer normalization: what it means, and that the emitted twins do the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalization } from '../../src/kernels/reference/normalization.ts';
import { normalizationFamilies } from '../../src/kernels/wasm/normalization.ts';
import { together } from './together.ts';
import { fixedSeed, realNumbers, Twins, within } from './twin.ts';

const memoryOf = (...values: number[]) => {
  const floats = Float64Array.from(values);
  return { floats, ints: floats };
};

describe('reference layerNorm', () => {
  it('gives mean 0 and variance 1, weighed and shifted, and keeps mean and scale', () => {
    // Address 0 stands for no operand.
    const memory = memoryOf(0, 1, 3, 2, 3, 10, 20, 0, 0, 0, 0);
    normalization.layerNorm(memory, 1, 0, 0, 7, 9, 1, 2, 0);
    expect([...memory.floats.slice(7)]).toEqual([-1, 1, 2, 1]);
    normalization.layerNorm(memory, 1, 3, 0, 7, 0, 1, 2, 0);
    expect([...memory.floats.slice(7)]).toEqual([-2, 3, 2, 1]);
    normalization.layerNorm(memory, 1, 3, 5, 7, 0, 1, 2, 3);
    expect([...memory.floats.slice(7)]).toEqual([9, 21.5, 2, 1]);
    normalization.layerNorm(memory, 1, 0, 5, 7, 0, 1, 2, 0);
    expect([...memory.floats.slice(7)]).toEqual([9, 21, 2, 1]);
  });

  it('has the slopes of its differences', () => {
    const [x, weight, g] = [
      [0.3, -1, 0.8],
      [2, 0.5, -1],
      [1, -2, 0.7],
    ];
    const loss = (x: number[], weight: number[]) => {
      const memory = memoryOf(0, ...x, ...weight, 0, 0, 0);
      normalization.layerNorm(memory, 1, 4, 0, 7, 0, 1, 3, 0.1);
      return g.reduce((sum, slope, i) => sum + slope * memory.floats[7 + i]!, 0);
    };
    const moved = (x: number[], i: number, h: number) => x.with(i, x[i]! + h);
    const memory = memoryOf(0, ...x, ...weight, ...g, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0);
    normalization.layerNorm(memory, 1, 4, 0, 18, 10, 1, 3, 0.1);
    normalization.layerNormSlope(memory, 7, 1, 4, 10, 12, 1, 3, 1);
    normalization.layerNormWeightSlope(memory, 7, 1, 10, 15, 1, 3, 1);
    x.forEach((_, i) => {
      const ofX = (loss(moved(x, i, 1e-6), weight) - loss(moved(x, i, -1e-6), weight)) / 2e-6;
      const ofWeight = (loss(x, moved(weight, i, 1e-6)) - loss(x, moved(weight, i, -1e-6))) / 2e-6;
      expect(memory.floats[12 + i]).toBeCloseTo(1 + ofX, 7);
      expect(memory.floats[15 + i]).toBeCloseTo(1 + ofWeight, 7);
    });
  });
});

describe('emitted layerNorm', () => {
  const twins = new Twins(together(normalizationFamilies));
  const sizes = fc.record({
    rows: fc.integer({ min: 0, max: 4 }),
    columns: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 60 })),
    seed: fc.integer(),
    // Where the numbers lie, far from 0 compared with their spread or not.
    centre: fc.constantFrom(0, 1, 50),
    eps: fc.constantFrom(1e-5, 0.1),
    weighed: fc.boolean(),
    shifted: fc.boolean(),
    accumulate: fc.constantFrom(0, 1),
    inPlace: fc.boolean(),
  });
  type Sizes = typeof sizes extends fc.Arbitrary<infer T> ? T : never;

  function operands({ rows, columns, seed, centre, weighed, shifted }: Sizes) {
    const x = twins.clear().floats(realNumbers(rows * columns, seed).map((u) => centre + 2 * u));
    const weight = weighed ? twins.floats(realNumbers(columns, seed + 1)) : 0;
    const bias = shifted ? twins.floats(realNumbers(columns, seed + 2)) : 0;
    return { x, weight, bias, statistics: twins.room(2 * rows) };
  }

  it('layerNorm, with weight, bias and statistics or without', () => {
    fc.assert(
      fc.property(sizes, fc.boolean(), (case_, kept) => {
        const { rows, columns, centre, eps, inPlace } = case_;
        const { x, weight, bias, statistics } = operands(case_);
        const out = inPlace ? x : twins.room(rows * columns);
        const args = [x, weight, bias, out, kept ? statistics : 0, rows, columns, eps] as const;
        // A row of one number has nothing but rounding left, which 1 / sqrt(eps) = 316 enlarges.
        twins.compare('layerNorm', normalization.layerNorm, [...args], within(centre === 50 ? 5e-3 : 1e-4));
      }),
      fixedSeed,
    );
  });

  it.each(['x', 'weight'] as const)('the slope of %s', (of) => {
    fc.assert(
      fc.property(sizes, (case_) => {
        const { rows, columns, seed, eps, accumulate, inPlace } = case_;
        const { x, weight, statistics } = operands({ ...case_, centre: 1 });
        const g = twins.floats(realNumbers(rows * columns, seed + 3));
        const out = of === 'weight' ? twins.room(columns) : inPlace ? g : twins.room(rows * columns);
        twins.emitted.layerNorm!(x, 0, 0, twins.room(rows * columns), statistics, rows, columns, Math.max(eps, 1e-2));
        if (of === 'x') {
          const args = [g, x, weight, statistics, out, rows, columns, accumulate] as const;
          twins.compare('layerNormSlope', normalization.layerNormSlope, [...args], within(1e-4));
        } else {
          const args = [g, x, statistics, out, rows, columns, accumulate] as const;
          twins.compare('layerNormWeightSlope', normalization.layerNormWeightSlope, [...args], within(1e-5));
        }
      }),
      fixedSeed,
    );
  });
});

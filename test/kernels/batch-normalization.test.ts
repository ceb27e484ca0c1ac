/** Batch normalization: what it means, and that the emitted twins do the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchNormalization } from '../../src/kernels/reference/batch-normalization.ts';
import { batchNormalizationFamilies } from '../../src/kernels/wasm/batch-normalization.ts';
import { together } from './together.ts';
import { fixedSeed, realNumbers, Twins, within } from './twin.ts';

const memoryOf = (...values: number[]) => {
  const floats = Float64Array.from(values);
  return { floats, ints: floats };
};

describe('reference batch normalization', () => {
  // [2, 2, 2]: channel 0 holds 1, 3, 5, 7, channel 1 holds 2, 2, 2, 6.
  const x = [1, 3, 2, 2, 5, 7, 2, 6];

  it('finds mean and variance of each channel over all else', () => {
    const memory = memoryOf(0, ...x, 0, 0, 0, 0);
    batchNormalization.batchMoments(memory, 1, 9, 2, 2, 2);
    expect([...memory.floats.slice(9)]).toEqual([4, 3, 5, 3]);
  });

  it('finds 0 and 0 where there is nothing', () => {
    const memory = memoryOf(0, 7, 7, 7, 7);
    batchNormalization.batchMoments(memory, 1, 1, 0, 2, 5);
    expect([...memory.floats.slice(1)]).toEqual([0, 0, 0, 0]);
  });

  it('scales by the moments it is given, then weighs and shifts', () => {
    // mean 4, 3 at 9, variance 3, 0 at 11, weight 2, 3 at 13, bias 10, 20 at 15
    const memory = memoryOf(0, ...x, 4, 3, 3, 0, 2, 3, 10, 20, ...new Array<number>(8).fill(0));
    batchNormalization.batchNorm(memory, 1, 9, 11, 0, 0, 17, 2, 2, 2, 1);
    expect([...memory.floats.slice(17)]).toEqual([-1.5, -0.5, -1, -1, 0.5, 1.5, -1, 3]);
    batchNormalization.batchNorm(memory, 1, 9, 11, 13, 15, 17, 2, 2, 2, 1);
    expect([...memory.floats.slice(17)]).toEqual([7, 9, 17, 17, 11, 13, 17, 29]);
  });

  it.each([0, 1])('has the slopes of its differences (moments of the batch: %d)', (ofBatch) => {
    const [weight, g] = [
      [2, -0.5],
      [1, -2, 0.7, 0.3, 1.1, -0.4, 0.2, 2],
    ];
    const given = [3, 2.5, 4, 2];
    const loss = (x: number[], weight: number[]) => {
      const memory = memoryOf(0, ...x, ...given, ...weight, ...new Array<number>(8).fill(0));
      if (ofBatch) batchNormalization.batchMoments(memory, 1, 9, 2, 2, 2);
      batchNormalization.batchNorm(memory, 1, 9, 11, 13, 0, 15, 2, 2, 2, 0.1);
      return g.reduce((sum, slope, i) => sum + slope * memory.floats[15 + i]!, 0);
    };
    const moved = (x: number[], i: number, h: number) => x.with(i, x[i]! + h);
    const memory = memoryOf(0, ...x, ...given, ...weight, ...g, ...new Array<number>(10).fill(1));
    if (ofBatch) batchNormalization.batchMoments(memory, 1, 9, 2, 2, 2);
    batchNormalization.batchNormSlope(memory, 15, 1, 9, 11, 13, 23, 2, 2, 2, 0.1, ofBatch, 1);
    batchNormalization.batchNormWeightSlope(memory, 15, 1, 9, 11, 31, 2, 2, 2, 0.1, 1);
    x.forEach((_, i) => {
      const difference = (loss(moved(x, i, 1e-6), weight) - loss(moved(x, i, -1e-6), weight)) / 2e-6;
      expect(memory.floats[23 + i]).toBeCloseTo(1 + difference, 6);
    });
    weight.forEach((_, i) => {
      const difference = (loss(x, moved(weight, i, 1e-6)) - loss(x, moved(weight, i, -1e-6))) / 2e-6;
      expect(memory.floats[31 + i]).toBeCloseTo(1 + difference, 6);
    });
  });
});

describe('emitted batch normalization', () => {
  const twins = new Twins(together(batchNormalizationFamilies));
  const cases = fc.record({
    outer: fc.integer({ min: 0, max: 5 }),
    channels: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(17)),
    inner: fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 9 }), fc.integer({ min: 10, max: 40 })),
    seed: fc.integer(),
    // Where the numbers lie, far from 0 compared with their spread or not.
    centre: fc.constantFrom(0, 1, 50),
    eps: fc.constantFrom(1e-2, 0.1),
    weighed: fc.boolean(),
    shifted: fc.boolean(),
    ofBatch: fc.constantFrom(0, 1),
    accumulate: fc.constantFrom(0, 1),
    inPlace: fc.boolean(),
  });
  type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

  function operands({ outer, channels, inner, seed, centre, weighed, shifted }: Case) {
    const x = twins.clear().floats(realNumbers(outer * channels * inner, seed).map((u) => centre + 2 * u));
    const weight = weighed ? twins.floats(realNumbers(channels, seed + 1)) : 0;
    const bias = shifted ? twins.floats(realNumbers(channels, seed + 2)) : 0;
    return { x, weight, bias, moments: twins.room(2 * channels) };
  }

  it('the moments', () => {
    fc.assert(
      fc.property(cases, (drawn) => {
        const { x, moments } = operands(drawn);
        const args = [x, moments, drawn.outer, drawn.channels, drawn.inner] as const;
        twins.compare('batchMoments', batchNormalization.batchMoments, [...args], within(1e-5));
      }),
      fixedSeed,
    );
  });

  it('the output, with weight and bias or without', () => {
    fc.assert(
      fc.property(cases, (drawn) => {
        const { outer, channels, inner, eps, inPlace } = drawn;
        const { x, weight, bias, moments } = operands(drawn);
        const out = inPlace ? x : twins.room(outer * channels * inner);
        twins.emitted.batchMoments!(x, moments, outer, channels, inner);
        const args = [x, moments, moments + channels, weight, bias, out, outer, channels, inner, eps] as const;
        twins.compare('batchNorm', batchNormalization.batchNorm, [...args], within(1e-5));
      }),
      fixedSeed,
    );
  });

  it.each(['x', 'weight'] as const)('the slope of %s', (of) => {
    fc.assert(
      fc.property(cases, (drawn) => {
        const { outer, channels, inner, seed, eps, ofBatch, accumulate, inPlace } = drawn;
        const { x, weight, moments } = operands({ ...drawn, centre: drawn.centre === 50 ? 1 : drawn.centre });
        const size = outer * channels * inner;
        const g = twins.floats(realNumbers(size, seed + 3));
        const out = of === 'weight' ? twins.room(channels) : inPlace ? g : twins.room(size);
        twins.emitted.batchMoments!(x, moments, outer, channels, inner);
        const shape = [outer, channels, inner, eps] as const;
        const variance = moments + channels;
        if (of === 'x') {
          const args = [g, x, moments, variance, weight, out, ...shape, ofBatch, accumulate] as const;
          twins.compare('batchNormSlope', batchNormalization.batchNormSlope, [...args], within(1e-4));
        } else {
          const args = [g, x, moments, variance, out, ...shape, accumulate] as const;
          twins.compare('batchNormWeightSlope', batchNormalization.batchNormWeightSlope, [...args], within(1e-4));
        }
      }),
      fixedSeed,
    );
  });
});

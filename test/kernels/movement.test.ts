/** fill, copy and copyStrided: what they mean, and that the emitted twins do the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { movement } from '../../src/kernels/reference/movement.ts';
import type { Memory } from '../../src/kernels/table.ts';
import { movementFamilies } from '../../src/kernels/wasm/movement.ts';
import { together } from './together.ts';
import { fixedSeed, Twins, wholeNumbers } from './twin.ts';

describe('reference movement', () => {
  it('copyStrided transposes, flips, expands and, accumulating, sums', () => {
    const floats = Float64Array.of(1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0);
    const memory = { floats, ints: floats };
    movement.copyStrided(memory, 0, 0, 0, 1, 3, 6, 0, 0, 2, 1, 1, 1, 3, 2, 0);
    expect([...floats.slice(6)]).toEqual([1, 4, 2, 5, 3, 6]);
    movement.copyStrided(memory, 5, 0, 0, 0, -1, 6, 0, 0, 0, 1, 1, 1, 1, 6, 0);
    expect([...floats.slice(6)]).toEqual([6, 5, 4, 3, 2, 1]);
    movement.copyStrided(memory, 1, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 1, 1, 6, 0);
    expect([...floats.slice(6)]).toEqual([2, 2, 2, 2, 2, 2]);
    movement.copyStrided(memory, 0, 0, 0, 3, 1, 6, 0, 0, 0, 1, 1, 1, 2, 3, 1);
    expect([...floats.slice(6)]).toEqual([7, 9, 11, 2, 2, 2]);
  });
});

describe('emitted movement', () => {
  const twins = new Twins(together(movementFamilies));
  const length = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 50, max: 300 }));

  it('fill', () => {
    fc.assert(
      fc.property(length, fc.constantFrom(0, -0, 1, Number.NaN, 1e-40, -3.5), (n, value) => {
        twins.clear();
        twins.compare('fill', movement.fill, [twins.room(n), n, value], Object.is);
      }),
      fixedSeed,
    );
  });

  it('copy, between ranges that may overlap either way', () => {
    fc.assert(
      fc.property(length, fc.integer({ min: -80, max: 80 }), (n, distance) => {
        const room = twins.clear().room(n + 160);
        twins.compare('copy', movement.copy, [room + 80, room + 80 + distance, n]);
      }),
      fixedSeed,
    );
  });

  type Four = [number, number, number, number];

  /** Lays dimensions out from the innermost in `order`; a factor stretches (gaps), flips (-1) or repeats (0) a stride. */
  function strides(sizes: Four, order: readonly number[], factors: readonly number[]) {
    const result: Four = [0, 0, 0, 0];
    let [step, lowest, highest] = [1, 0, 0];
    for (const dimension of order) {
      const size = sizes[dimension]!;
      const stride = step * factors[dimension]!;
      result[dimension] = stride;
      const reach = Math.max(0, size - 1) * stride;
      lowest += Math.min(0, reach);
      highest += Math.max(0, reach);
      step *= Math.max(1, size * Math.abs(factors[dimension]!));
    }
    return { strides: result, offset: -lowest, room: highest - lowest + 1 };
  }

  const size = fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 6 }), fc.integer({ min: 7, max: 40 }));
  const sizes = fc.tuple(size, size, size, size).filter(([a, b, c, d]) => a * b * c * d < 5000) as fc.Arbitrary<Four>;
  const order = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });
  const factors = (values: number[]) => fc.array(fc.constantFrom(...values), { minLength: 4, maxLength: 4 });

  it('copyStrided, in any order of dimensions, with gaps, flips and repeats', () => {
    const layout = fc.tuple(sizes, order, factors([1, 1, 1, 2, -1, 0]), order, factors([1, 1, 1, 2, -1]));
    fc.assert(
      fc.property(
        layout,
        fc.constantFrom(0, 1),
        fc.integer(),
        ([sizes, fromOrder, stretch, toOrder, gaps], accumulate, seed) => {
          const from = strides(sizes, fromOrder, stretch);
          const to = strides(sizes, toOrder, gaps);
          const x = twins.clear().floats(wholeNumbers(from.room, seed)) + from.offset;
          const out = twins.room(to.room) + to.offset;
          const args = [x, ...from.strides, out, ...to.strides, ...sizes, accumulate] as const;
          twins.compare('copyStrided', movement.copyStrided, [...args]);
        },
      ),
      { ...fixedSeed, numRuns: 300 },
    );
  });

  it('copyStrided sums what meets in one place when it accumulates', () => {
    const layout = fc.tuple(sizes, order, order, factors([1, 1, 0]));
    fc.assert(
      fc.property(layout, fc.integer(), ([sizes, fromOrder, toOrder, repeats], seed) => {
        const from = strides(sizes, fromOrder, [1, 1, 1, 1]);
        const to = strides(sizes, toOrder, repeats);
        const x = twins.clear().floats(wholeNumbers(from.room, seed));
        const args = [x, ...from.strides, twins.room(to.room), ...to.strides, ...sizes, 1] as const;
        twins.compare('copyStrided', movement.copyStrided, [...args]);
      }),
      fixedSeed,
    );
  });

  it('moves bits: an integer that would be a NaN stays as it is', () => {
    const pattern = [-1, 0x7f800001, 5, -4194303, 7];
    const x = twins.clear().ints(pattern);
    const out = twins.intRoom(5);
    twins.compare('copy', ({ ints }) => ints.set(pattern, out), [x, out, 5]);
    const spread = ({ ints }: Memory) => {
      for (let i = 0; i < 3; i++) ints[out + 2 * i] = pattern[i]!;
    };
    twins.compare('copyStrided', spread, [x, 0, 0, 0, 1, out, 0, 0, 0, 2, 1, 1, 1, 3, 0]);
  });
});

/** Shape arithmetic: broadcasting, axes, and which reshapes strides can say. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  broadcastShapes,
  broadcastStrides,
  contiguousLayout,
  normalizeAxes,
  normalizeAxis,
  reducedShape,
  reshapedStrides,
  sizeOf,
  stridedLayout,
} from '../../src/tensor/layout.ts';

const fixedSeed = { seed: 20261120 };
/** Positions of all elements in row-major order. */
const positions = (shape: readonly number[], strides: readonly number[]) =>
  shape.reduce<number[]>(
    (all, size, axis) => all.flatMap((at) => Array.from({ length: size }, (_, i) => at + i * strides[axis]!)),
    [0],
  );

describe('layouts', () => {
  it('notice when strides are those of a row', () => {
    expect(contiguousLayout([2, 3]).strides).toEqual([3, 1]);
    expect(stridedLayout([2, 3], [3, 1]).contiguous).toBe(true);
    expect(stridedLayout([2, 3], [1, 2]).contiguous).toBe(false);
    expect(stridedLayout([3], [-1]).contiguous).toBe(false);
    expect(stridedLayout([2], [0]).contiguous).toBe(false);
    expect(stridedLayout([1, 3, 1], [77, 1, -5]).contiguous).toBe(true);
    expect(stridedLayout([0, 3], [5, 5]).contiguous).toBe(true);
    expect(stridedLayout([], []).contiguous).toBe(true);
  });

  it('broadcast as NumPy does', () => {
    expect(broadcastShapes('op', [2, 1, 4], [3, 1])).toEqual([2, 3, 4]);
    expect(broadcastShapes('op', [], [0])).toEqual([0]);
    expect(broadcastShapes('op', [1], [0])).toEqual([0]);
    expect(() => broadcastShapes('op', [2], [0])).toThrow('op: shapes [2] and [0] do not broadcast');
    expect(broadcastStrides([3, 1], [1, 1], [2, 3, 4])).toEqual([0, 1, 0]);
    expect(broadcastStrides([1], [7], [1])).toEqual([7]);
  });

  it('count axes from either end, once each, in rising order', () => {
    expect([normalizeAxis('op', -1, [2, 3]), normalizeAxis('op', 0, [2, 3])]).toEqual([1, 0]);
    expect(normalizeAxes('op', [-1, 0], [2, 3, 4])).toEqual([0, 2]);
    expect(normalizeAxes('op', undefined, [2, 3])).toEqual([0, 1]);
    expect(
      normalizeAxes(
        'op',
        Array.from({ length: 11 }, (_, i) => 10 - i),
        new Array(11).fill(1),
      ),
    ).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(reducedShape([2, 3, 4], [0, 2], false)).toEqual([3]);
    expect(reducedShape([2, 3, 4], [0, 2], true)).toEqual([1, 3, 1]);
  });
});

describe('reshapedStrides', () => {
  it('finds strides exactly where there are some', () => {
    const axis = fc.record({
      size: fc.integer({ min: 1, max: 6 }),
      stride: fc.integer({ min: -3, max: 12 }),
      joined: fc.boolean(),
    });
    let [found, none] = [0, 0];
    fc.assert(
      fc.property(
        fc.array(axis, { maxLength: 4 }),
        fc.array(fc.nat(100), { minLength: 6, maxLength: 6 }),
        (axes, seeds) => {
          // Strides of any kind, or those of an axis that continues the one behind it.
          const shape = axes.map(({ size }) => size);
          const strides: number[] = [];
          for (let i = axes.length - 1; i >= 0; i--)
            strides[i] = axes[i]!.joined && i < axes.length - 1 ? strides[i + 1]! * shape[i + 1]! : axes[i]!.stride;
          // Another shape of the same size: its divisors, one after another.
          const target: number[] = [];
          let rest = sizeOf(shape);
          for (const seed of seeds.slice(0, 3)) {
            const divisors = Array.from({ length: rest }, (_, i) => i + 1).filter((d) => rest % d === 0);
            target.push(divisors[seed % divisors.length]!);
            rest /= target.at(-1)!;
          }
          target.push(rest);
          const expected = positions(shape, strides);
          const behind = (i: number) => sizeOf(target.slice(i + 1));
          const affine = target.map((size, i) => (size === 1 ? 0 : expected[behind(i)]! - expected[0]!));
          const possible = positions(target, affine).every((at, i) => at === expected[i]);
          const got = reshapedStrides(stridedLayout(shape, strides), target);
          if (possible) {
            found++;
            expect(got).not.toBeNull();
            expect(positions(target, got!)).toEqual(expected);
          } else {
            none++;
            expect(got).toBeNull();
          }
        },
      ),
      { ...fixedSeed, numRuns: 3000 },
    );
    expect(Math.min(found, none)).toBeGreaterThan(500);
  });
});

/** Pools: what they mean, who wins a tie, and that the emitted twins agree with their references. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pool } from '../../src/kernels/reference/pool.ts';
import type { Memory } from '../../src/kernels/table.ts';
import { poolFamily } from '../../src/kernels/wasm/pool.ts';
import { fixedSeed, indices, Twins, wholeNumbers, within } from './twin.ts';

type Sizes = Parameters<typeof pool.avgPool2d> extends [Memory, number, number, ...infer Rest] ? Rest : never;

interface Shape {
  planes: number;
  image: [number, number];
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
  /** Outputs more or fewer than fit exactly: a window may reach past the padding, or lie wholly in it. */
  extra?: [number, number];
}

function sizesOf({ planes, image, kernel, stride, padding, extra = [0, 0] }: Shape) {
  const outputs = (axis: 0 | 1) =>
    Math.max(0, Math.floor((image[axis] + 2 * padding[axis] - kernel[axis]) / stride[axis]) + 1 + extra[axis]);
  const [outHeight, outWidth] = [outputs(0), outputs(1)];
  const sizes: Sizes = [planes, ...image, ...kernel, outHeight, outWidth, ...stride, ...padding];
  return { sizes, planeSize: image[0] * image[1], windows: outHeight * outWidth };
}

const halving = { planes: 1, kernel: [2, 2], stride: [2, 2], padding: [0, 0] } satisfies Partial<Shape>;

/** Maxima and winners of one plane. */
function maxPool(values: number[], shape: Shape) {
  const { sizes, windows } = sizesOf(shape);
  const memory = {
    floats: Float64Array.from([...values, ...new Array(windows).fill(9)]),
    ints: new Int32Array(windows).fill(9),
  };
  pool.maxPool2d(memory, 0, values.length, 0, ...sizes);
  return { maxima: [...memory.floats.slice(values.length)], winners: [...memory.ints] };
}

describe('reference pools', () => {
  it('maxPool2d finds the maximum of each window and where it stands', () => {
    const { maxima, winners } = maxPool([1, 2, 3, 4, 8, 7, 6, 5], { ...halving, image: [2, 4] });
    expect(maxima).toEqual([8, 6]);
    expect(winners).toEqual([4, 6]);
  });

  it('lets the first of equal maxima win, and the first NaN win over all', () => {
    expect(maxPool([5, 5, 5, 5], { ...halving, image: [2, 2] }).winners).toEqual([0]);
    expect(maxPool([1, 5, 5, 1], { ...halving, image: [2, 2] }).winners).toEqual([1]);
    const { maxima, winners } = maxPool([1, Number.NaN, Number.NaN, 9], { ...halving, image: [2, 2] });
    expect(maxima).toEqual([Number.NaN]);
    expect(winners).toEqual([1]);
  });

  it('never lets padding win, not even over -Infinity', () => {
    const low = Number.NEGATIVE_INFINITY;
    const shape: Shape = { ...halving, image: [1, 1], padding: [1, 1] };
    expect(maxPool([low], shape)).toEqual({ maxima: [low], winners: [0] });
    expect(maxPool([-3], { ...shape, stride: [3, 3], extra: [1, 1] }).winners).toEqual([0, -1, -1, -1]);
  });

  it('maxPool2dSlope sends each gradient to its winner; maxPool2dPick reads there', () => {
    const memory = { floats: Float64Array.of(10, 20, 5, 0, 0, 0, 0, 0, 9, 9, 9), ints: Int32Array.of(2, 2, -1) };
    pool.maxPool2dSlope(memory, 0, 0, 3, 1, 4, 3, 1);
    expect([...memory.floats.slice(3, 7)]).toEqual([0, 0, 30, 0]);
    pool.maxPool2dPick(memory, 3, 0, 8, 1, 4, 3);
    expect([...memory.floats.slice(8)]).toEqual([30, 30, 0]);
  });

  it('avgPool2d counts padding as zeros; avgPool2dSlope shares the gradient out again', () => {
    const { sizes } = sizesOf({ ...halving, image: [2, 2], padding: [1, 1] });
    const memory = { floats: Float64Array.of(4, 8, 12, 16, 9, 9, 9, 9, 9, 9, 9, 9), ints: new Int32Array() };
    pool.avgPool2d(memory, 0, 4, ...sizes);
    expect([...memory.floats.slice(4, 8)]).toEqual([1, 2, 3, 4]);
    pool.avgPool2dSlope(memory, 4, 8, 0, ...sizes);
    expect([...memory.floats.slice(8)]).toEqual([0.25, 0.5, 0.75, 1]);
  });
});

describe('emitted pools', () => {
  const twins = new Twins(poolFamily);
  const axes = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));
  const extra = fc.constantFrom<[number, number][]>([0, 0], [0, 0], [0, 1], [1, 0], [-1, 1], [1, -1]);
  const general = fc.record({
    planes: fc.integer({ min: 0, max: 4 }),
    image: axes(0, 14),
    kernel: axes(1, 4),
    stride: axes(1, 5),
    padding: axes(0, 2),
    extra,
  });
  /** The 2 x 2 pools that the emitted kernels take four windows at a time, and their neighbours that they may not. */
  const halvings = fc.record({
    planes: fc.integer({ min: 0, max: 4 }),
    image: axes(0, 40),
    kernel: fc.constant<[number, number]>([2, 2]),
    stride: fc.constantFrom<[number, number][]>([2, 2], [2, 2], [2, 2], [3, 2], [2, 3]),
    padding: fc.constantFrom<[number, number][]>([0, 0], [0, 0], [0, 0], [1, 0], [0, 1]),
    extra,
  });
  const shapes: fc.Arbitrary<Shape> = fc.oneof(general, halvings);

  /** Many ties, and what else a comparison can trip over. */
  const special = [0, -0, 1, 1, 2, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const awkward = (count: number, seed: number) => indices(count, seed, special.length).map((i) => special[i]!);

  it.each([
    ['whole numbers', wholeNumbers],
    ['ties, NaN and infinities', awkward],
  ])('maxPool2d and its winners equal the reference: %s', (_, numbers) => {
    fc.assert(
      fc.property(shapes, fc.integer(), (shape, seed) => {
        const { sizes, planeSize, windows } = sizesOf(shape);
        const count = shape.planes * windows;
        twins.clear();
        const x = twins.floats(numbers(shape.planes * planeSize, seed));
        twins.compare('maxPool2d', pool.maxPool2d, [x, twins.room(count), twins.intRoom(count), ...sizes]);
      }),
      { ...fixedSeed, numRuns: 300 },
    );
  });

  it('the gradient of maxPool2d and its adjoint equal the reference', () => {
    fc.assert(
      fc.property(axes(0, 4), axes(1, 30), fc.integer(), (counts, [planeSize, windows], seed) => {
        const planes = counts[0];
        twins.clear();
        const winners = twins.ints(indices(planes * windows, seed, planeSize + 1).map((i) => i - 1));
        const g = twins.floats(wholeNumbers(planes * windows, seed));
        const image = twins.floats(wholeNumbers(planes * planeSize, seed));
        const shape = [planes, planeSize, windows] as const;
        twins.compare('maxPool2dSlope', pool.maxPool2dSlope, [g, winners, image, ...shape, seed & 1]);
        twins.compare('maxPool2dPick', pool.maxPool2dPick, [image, winners, g, ...shape]);
      }),
      fixedSeed,
    );
  });

  it('avgPool2d and its gradient equal the reference', () => {
    fc.assert(
      fc.property(shapes, fc.integer(), (shape, seed) => {
        const { sizes, planeSize, windows } = sizesOf(shape);
        twins.clear();
        const x = twins.floats(wholeNumbers(shape.planes * planeSize, seed));
        const out = twins.floats(wholeNumbers(shape.planes * windows, seed));
        twins.compare('avgPool2dSlope', pool.avgPool2dSlope, [out, x, seed & 1, ...sizes], within(1e-6));
        twins.compare('avgPool2d', pool.avgPool2d, [x, out, ...sizes], within(1e-6));
      }),
      { ...fixedSeed, numRuns: 300 },
    );
  });
});

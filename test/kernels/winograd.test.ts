/**
 * Winograd's convolution: the emitted path is held to the reference convolution, which knows nothing of tiles. The
 * rule that picks the path is replaced by "always", so that small shapes take it too; a counter on gemm, which only the
 * ordinary path calls, shows which path was taken.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { convolution } from '../../src/kernels/reference/convolution.ts';
import type { Memory } from '../../src/kernels/table.ts';
import { convolutionFamily, convolutionFamilyWith } from '../../src/kernels/wasm/convolution.ts';
import type { Family } from '../../src/kernels/wasm/family.ts';
import { gemmFamily } from '../../src/kernels/wasm/gemm.ts';
import { fixedSeed, realNumbers, Twins, wholeNumbers } from './twin.ts';

type Sizes =
  Parameters<typeof convolution.conv2d> extends [Memory, number, number, number, number, ...infer Rest] ? Rest : never;

let products = 0;
const countedGemm: Family = {
  names: ['gemm'],
  emit(environment) {
    const { gemm } = gemmFamily.emit(environment);
    return {
      gemm: (...args) => {
        products++;
        gemm?.(...args);
      },
    };
  },
};
const options = { others: [countedGemm], room: 1 << 20 };
const tiled = new Twins(
  convolutionFamilyWith(() => true),
  options,
);
const ruled = new Twins(convolutionFamily, options);

interface Shape {
  images: number;
  groups: number;
  groupChannels: number;
  groupOutputs: number;
  image: readonly [number, number];
  padding: readonly [number, number];
  /** Outputs more or fewer than fit exactly: pixels past the padding count as 0 too. */
  extra?: readonly [number, number];
}

const one = { images: 1, groups: 1, groupChannels: 3, groupOutputs: 4 };

function sizesOf({ images, groups, groupChannels, groupOutputs, image, padding, extra = [0, 0] }: Shape) {
  const output = ([0, 1] as const).map((axis) => image[axis] + 2 * padding[axis] - 2 + extra[axis]) as [number, number];
  const [channels, outChannels] = [groups * groupChannels, groups * groupOutputs];
  const sizes: Sizes = [images, channels, ...image, outChannels, 3, 3, ...output, 1, 1, ...padding, 1, 1, groups];
  const pixels = images * channels * image[0] * image[1];
  const outputs = images * outChannels * output[0] * output[1];
  return { sizes, output, pixels, outputs, weights: outChannels * groupChannels * 9, channels, outChannels };
}

type Numbers = (count: number, seed: number) => number[];

/** Places operands: image, weight, bias, g, and results with old numbers in them. */
function place(twins: Twins, shape: Shape, seed: number, numbers: Numbers, spoil: (x: number[]) => void = () => {}) {
  const { sizes, pixels, outputs, weights, outChannels } = sizesOf(shape);
  twins.clear();
  const spoiled = (count: number, salt: number) => {
    const values = numbers(count, seed + salt);
    spoil(values);
    return twins.floats(values);
  };
  const [x, g] = [spoiled(pixels, 0), spoiled(outputs, 1)];
  const w = twins.floats(numbers(weights, seed + 2));
  const bias = twins.floats(numbers(outChannels, seed + 3));
  return { sizes, x, g, w, bias, out: twins.room(outputs), slope: twins.room(pixels) };
}

/** A reference kernel with sums in float64. */
const inDoubles =
  <Arguments extends number[]>(kernel: (memory: Memory, ...args: Arguments) => void) =>
  (memory: Memory, ...args: Arguments) => {
    const floats = Float64Array.from(memory.floats);
    kernel({ floats, ints: memory.ints }, ...args);
    memory.floats.set(floats);
  };

const axes = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));
const shapes: fc.Arbitrary<Shape> = fc
  .record({
    images: fc.integer({ min: 1, max: 4 }),
    groups: fc.constantFrom(1, 1, 2, 3),
    groupChannels: fc.integer({ min: 1, max: 6 }),
    groupOutputs: fc.integer({ min: 1, max: 6 }),
    image: fc.oneof(axes(1, 20), axes(1, 5)),
    padding: axes(0, 2),
    extra: fc.constantFrom<(readonly [number, number])[]>([0, 0], [0, 0], [0, 1], [1, 0], [-1, -1], [3, 0]),
  })
  .filter((shape) => Math.min(...sizesOf(shape).output) > 0);

describe('convolution by tiles', () => {
  it('equals the reference on whole numbers, bit for bit, in every geometry, and the product by columns is not asked', () => {
    products = 0;
    fc.assert(
      fc.property(shapes, fc.integer(), (shape, seed) => {
        const { sizes, x, g, w, bias, out, slope } = place(tiled, shape, seed, wholeNumbers);
        tiled.compare('conv2d', convolution.conv2d, [x, w, seed & 2 ? bias : 0, out, ...sizes]);
        tiled.compare('conv2dInputSlope', convolution.conv2dInputSlope, [g, w, slope, seed & 1, ...sizes]);
      }),
      { ...fixedSeed, numRuns: 300 },
    );
    expect(products).toBe(0);
  });

  it.each<[string, Shape]>([
    ['blocks that end in the midst of a row', { ...one, images: 2, image: [43, 41], padding: [1, 1] }],
    ['blocks of a single panel', { ...one, groupChannels: 70, groupOutputs: 61, image: [9, 11], padding: [1, 0] }],
    [
      'images that are added to a few at a time',
      { ...one, images: 5, groupChannels: 4, image: [81, 83], padding: [0, 2] },
    ],
  ])('equals the reference: %s', (_, shape) => {
    products = 0;
    for (const seed of [1, 2]) {
      const { sizes, x, g, w, bias, out, slope } = place(tiled, shape, seed, wholeNumbers);
      tiled.compare('conv2d', convolution.conv2d, [x, w, bias, out, ...sizes]);
      tiled.compare('conv2dInputSlope', convolution.conv2dInputSlope, [g, w, slope, seed & 1, ...sizes]);
    }
    expect(products).toBe(0);
  });

  it('writes nothing past a row or an image where tiles hang over, and reads zeros there', () => {
    // Every remainder of a row of tiles in fours, odd and even, alone and in a batch.
    for (let width = 1; width <= 17; width++)
      for (const height of [1, 2, 5]) {
        const shape = { ...one, images: 2, image: [height, width], padding: [1, 1] } as const;
        const { sizes, x, g, w, bias, out, slope } = place(tiled, shape, width, wholeNumbers);
        tiled.compare('conv2d', convolution.conv2d, [x, w, bias, out, ...sizes]);
        tiled.compare('conv2dInputSlope', convolution.conv2dInputSlope, [g, w, slope, width & 1, ...sizes]);
      }
  });

  it('is off by at most 1e-6 of the sum of |x| |w| on real numbers', () => {
    // Half the mean of that sum where the window lies inside: |x| and |w| are 1/2 on the average.
    const bound = (taps: number) => (emitted: number, exact: number) => Math.abs(emitted - exact) <= 1e-6 * (taps / 4);
    for (const [groupChannels, groupOutputs] of [
      [3, 8],
      [16, 32],
      [70, 5],
    ] as const) {
      const shape = { ...one, images: 2, groupChannels, groupOutputs, image: [13, 14], padding: [1, 1] } as const;
      const { sizes, x, g, w, bias, out, slope } = place(tiled, shape, 5, realNumbers);
      const [forward, gradient] = [inDoubles(convolution.conv2d), inDoubles(convolution.conv2dInputSlope)];
      tiled.compare('conv2d', forward, [x, w, bias, out, ...sizes], bound(9 * groupChannels));
      tiled.compare('conv2dInputSlope', gradient, [g, w, slope, 0, ...sizes], bound(9 * groupOutputs));
      tiled.compare('conv2dInputSlope', gradient, [g, w, slope, 1, ...sizes], bound(9 * groupOutputs));
    }
  });

  it('gives an image the same bits alone and anywhere in a batch', () => {
    const shape = { ...one, images: 7, groupChannels: 5, groupOutputs: 19, image: [15, 13], padding: [1, 0] } as const;
    const { sizes, x, g, w, bias, out, slope } = place(tiled, shape, 9, realNumbers);
    const [, ...rest] = sizes;
    const { pixels, outputs } = sizesOf({ ...shape, images: 1 });
    const [aloneOut, aloneSlope] = [tiled.room(outputs), tiled.room(pixels)];
    tiled.emitted.conv2d?.(x, w, bias, out, ...sizes);
    tiled.emitted.conv2dInputSlope?.(g, w, slope, 0, ...sizes);
    for (let n = 0; n < shape.images; n++) {
      const [image, output] = [n * pixels, n * outputs];
      const copyOut = ({ floats }: Memory) => floats.copyWithin(aloneOut, out + output, out + output + outputs);
      const copySlope = ({ floats }: Memory) => floats.copyWithin(aloneSlope, slope + image, slope + image + pixels);
      tiled.compare('conv2d', copyOut, [x + image, w, bias, aloneOut, 1, ...rest]);
      tiled.compare('conv2dInputSlope', copySlope, [g + output, w, aloneSlope, 0, 1, ...rest]);
    }
  });
});

describe('numbers that are not finite', () => {
  const odd = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];

  it('in image, output gradient or bias, give what the definition says, added or not', () => {
    fc.assert(
      fc.property(shapes, fc.integer(), fc.integer({ min: 1, max: 3 }), (shape, seed, count) => {
        const spoil = (values: number[]) => {
          const places = wholeNumbers(2 * count, seed + values.length);
          for (let i = 0; i < count; i++)
            values[Math.abs(places[2 * i]! * 7919 + seed) % values.length] = odd[Math.abs(places[2 * i + 1]!) % 3]!;
        };
        const { sizes, x, g, w, out, slope } = place(tiled, shape, seed, wholeNumbers, spoil);
        const bias = tiled.floats(Array.from({ length: sizes[4] }, (_, o) => (o === 1 ? odd[seed & 1]! : o)));
        tiled.compare('conv2d', convolution.conv2d, [x, w, seed & 2 ? bias : 0, out, ...sizes]);
        tiled.compare('conv2dInputSlope', convolution.conv2dInputSlope, [g, w, slope, seed & 1, ...sizes]);
      }),
      { ...fixedSeed, numRuns: 200 },
    );
  });

  it('in the weight do too', () => {
    // Without padding: the product by columns multiplies the border by them, which the reference does not walk.
    const shape = { ...one, images: 2, image: [6, 7], padding: [0, 0] } as const;
    const weights = wholeNumbers(sizesOf(shape).weights, 1);
    weights[4] = Number.NEGATIVE_INFINITY;
    const { sizes, x, g, out, slope } = place(tiled, shape, 3, wholeNumbers);
    const w = tiled.floats(weights);
    tiled.compare('conv2d', convolution.conv2d, [x, w, 0, out, ...sizes]);
    tiled.compare('conv2dInputSlope', convolution.conv2dInputSlope, [g, w, slope, 1, ...sizes]);
  });

  it('do not come from sums that the definition does not form', () => {
    // A filter that copies: the definition gives 3e38, sums of two pixels are infinite.
    const shape = { ...one, groupChannels: 1, groupOutputs: 1, image: [6, 6], padding: [1, 1] } as const;
    const { sizes, x, out, slope } = place(tiled, shape, 0, (count) => new Array(count).fill(3e38));
    const w = tiled.floats([0, 0, 0, 0, 1, 0, 0, 0, 0]);
    tiled.compare('conv2d', convolution.conv2d, [x, w, 0, out, ...sizes]);
    tiled.compare('conv2dInputSlope', convolution.conv2dInputSlope, [x, w, slope, 0, ...sizes]);
  });

  it('send only the images that hold them to the other path', () => {
    const shape = { ...one, images: 6, groupChannels: 2, image: [9, 9], padding: [1, 1] } as const;
    const { pixels } = sizesOf({ ...shape, images: 1 });
    const { sizes, x, w, out } = place(tiled, shape, 1, wholeNumbers);
    const values = wholeNumbers(6 * pixels, 1);
    values[2 * pixels] = values[5 * pixels - 1] = Number.NaN;
    const spoiled = tiled.floats(values);
    products = 0;
    tiled.compare('conv2d', convolution.conv2d, [spoiled, w, 0, out, ...sizes]);
    expect(products).toBe(2);
    // What was added to before stays out of it.
    const old = tiled.floats(new Array(6 * pixels).fill(Number.NaN));
    products = 0;
    tiled.compare('conv2dInputSlope', convolution.conv2dInputSlope, [x, w, old, 1, ...sizes]);
    expect(products).toBe(0);
  });
});

describe('the path of a convolution', () => {
  const byTiles = (overrides: Partial<Shape>, change: (sizes: Sizes) => void = () => {}) => {
    const shape = {
      ...one,
      groupChannels: 16,
      groupOutputs: 32,
      image: [14, 14],
      padding: [1, 1],
      ...overrides,
    } as const;
    const { sizes, x, g, w, out, slope } = place(ruled, shape, 1, wholeNumbers);
    change(sizes);
    products = 0;
    ruled.compare('conv2d', convolution.conv2d, [x, w, 0, out, ...sizes]);
    const forward = products === 0;
    products = 0;
    ruled.compare('conv2dInputSlope', convolution.conv2dInputSlope, [g, w, slope, 0, ...sizes]);
    return [forward, products === 0];
  };

  it('goes by tiles from three channels and images of 25 pixels on, whatever the batch', () => {
    expect(byTiles({})).toEqual([true, true]);
    expect(byTiles({ images: 4 })).toEqual([true, true]);
    expect(byTiles({ groupChannels: 3 })).toEqual([true, true]);
    expect(byTiles({ groupChannels: 2 })).toEqual([false, false]);
    expect(byTiles({ groupChannels: 1, groups: 8, groupOutputs: 1 })).toEqual([false, false]);
    expect(byTiles({ groupOutputs: 1 })).toEqual([true, true]);
    expect(byTiles({ image: [5, 5] })).toEqual([true, true]);
    expect(byTiles({ image: [4, 6] })).toEqual([false, false]);
    expect(byTiles({ image: [4, 6], images: 20 })).toEqual([false, false]);
  });

  it('goes by columns where the step is not 1, taps stand apart or the padding of the gradient would be negative', () => {
    const halved = (axis: 7 | 8) => (sizes: Sizes) => {
      sizes[axis + 2] = 2;
      sizes[axis] = 7;
    };
    expect(byTiles({}, halved(7))).toEqual([false, false]);
    expect(byTiles({}, halved(8))).toEqual([false, false]);
    const dilated = (axis: 13 | 14) => (sizes: Sizes) => {
      sizes[axis] = 2;
    };
    expect(byTiles({}, dilated(13))).toEqual([false, false]);
    expect(byTiles({}, dilated(14))).toEqual([false, false]);
    expect(byTiles({ padding: [3, 1] })).toEqual([true, false]);
    expect(byTiles({ padding: [1, 3] })).toEqual([true, false]);
  });

  it('leaves empty batches alone', () => {
    expect(() => byTiles({ images: 0 })).not.toThrow();
  });
});

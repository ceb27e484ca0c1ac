/** Convolution and its gradients: what they mean, that the gradients are adjoints, and that the emitted twins agree. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { convolution } from '../../src/kernels/reference/convolution.ts';
import type { Memory } from '../../src/kernels/table.ts';
import { convolutionFamily } from '../../src/kernels/wasm/convolution.ts';
import { gemmFamily } from '../../src/kernels/wasm/gemm.ts';
import { fixedSeed, realNumbers, Twins, wholeNumbers, within } from './twin.ts';

interface Shape {
  images: number;
  groupChannels: number;
  groupOutputs: number;
  groups: number;
  image: [number, number];
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
  dilation: [number, number];
  /** Outputs more or fewer than fit exactly: pixels past the padding count as 0 too. */
  extra?: [number, number];
}

type Sizes =
  Parameters<typeof convolution.conv2d> extends [Memory, number, number, number, number, ...infer Rest] ? Rest : never;

/** The argument list of the kernels, and the element counts of image, weight and output. */
function sizesOf({
  images,
  groupChannels,
  groupOutputs,
  groups,
  image,
  kernel,
  stride,
  padding,
  dilation,
  extra = [0, 0],
}: Shape) {
  const outputs = (axis: 0 | 1) => {
    const room = image[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1;
    return Math.max(0, Math.floor(room / stride[axis]) + 1 + extra[axis]);
  };
  const [channels, outChannels, outHeight, outWidth] = [
    groupChannels * groups,
    groupOutputs * groups,
    outputs(0),
    outputs(1),
  ];
  const sizes: Sizes = [
    ...([images, channels, ...image, outChannels, ...kernel, outHeight, outWidth] as const),
    ...([...stride, ...padding, ...dilation, groups] as const),
  ];
  return {
    sizes,
    pixels: images * channels * image[0] * image[1],
    weights: outChannels * groupChannels * kernel[0] * kernel[1],
    outputs: images * outChannels * outHeight * outWidth,
    outChannels,
  };
}

const single = { images: 1, groupChannels: 1, groupOutputs: 1, groups: 1 };
const unit = { stride: [1, 1], padding: [0, 0], dilation: [1, 1] } satisfies Partial<Shape>;
const memoryOf = (floats: number[]) => ({ floats: Float64Array.from(floats), ints: new Int32Array() });

describe('reference conv2d', () => {
  const image = [1, 2, 3, 4, 5, 6, 7, 8, 9];

  it('slides the kernel without turning it, and adds the bias', () => {
    const { sizes } = sizesOf({ ...single, ...unit, image: [3, 3], kernel: [2, 2] });
    const memory = memoryOf([0, ...image, 1, 0, 0, 10, 100, 9, 9, 9, 9]);
    convolution.conv2d(memory, 1, 10, 14, 15, ...sizes);
    expect([...memory.floats.slice(15)]).toEqual([151, 162, 184, 195]); // 1 + 10 * 5 + 100, ...
  });

  it('reads zeros from the padding, steps by the stride, spreads by the dilation', () => {
    const shape = { ...single, image: [3, 3], kernel: [2, 2] } satisfies Partial<Shape>;
    const padded = sizesOf({ ...shape, stride: [2, 2], padding: [1, 1], dilation: [1, 1] });
    const memory = memoryOf([0, ...image, 1, 1, 1, 1, 9, 9, 9, 9]);
    convolution.conv2d(memory, 1, 10, 0, 14, ...padded.sizes);
    expect([...memory.floats.slice(14)]).toEqual([1, 2 + 3, 4 + 7, 5 + 6 + 8 + 9]);
    const dilated = sizesOf({ ...shape, stride: [1, 1], padding: [0, 0], dilation: [2, 2] });
    convolution.conv2d(memory, 1, 10, 0, 14, ...dilated.sizes);
    expect(memory.floats[14]).toBe(1 + 3 + 7 + 9);
  });

  it('joins each group of channels with its own outputs only', () => {
    const { sizes } = sizesOf({ ...single, ...unit, groups: 2, groupChannels: 2, image: [1, 1], kernel: [1, 1] });
    const memory = memoryOf([0, 1, 2, 3, 4, 10, 100, 1000, 10000, 9, 9]);
    convolution.conv2d(memory, 1, 5, 0, 9, ...sizes);
    expect([...memory.floats.slice(9)]).toEqual([1 * 10 + 2 * 100, 3 * 1000 + 4 * 10000]);
  });
});

const axes = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));
const shapes: fc.Arbitrary<Shape> = fc.record({
  images: fc.integer({ min: 0, max: 3 }),
  groupChannels: fc.integer({ min: 0, max: 4 }),
  groupOutputs: fc.integer({ min: 0, max: 5 }),
  groups: fc.integer({ min: 1, max: 3 }),
  image: axes(0, 12),
  kernel: fc.oneof(axes(1, 4), fc.constant<[number, number]>([1, 1])),
  stride: fc.oneof(axes(1, 5), fc.constant<[number, number]>([1, 1])),
  padding: fc.oneof(axes(0, 3), fc.constant<[number, number]>([0, 0])),
  dilation: axes(1, 3),
  extra: fc.constantFrom<[number, number][]>([0, 0], [0, 0], [0, 0], [0, 1], [1, 0], [-1, -1]),
});

describe('reference gradients of conv2d', () => {
  // A linear map and its adjoint: <g, conv(x, w)> = <x'(g, w), x> = <w'(g, x), w>, exactly on whole numbers.
  it('are the adjoints of conv2d in its image and in its weight', () => {
    const dot = (floats: Float64Array, a: number, b: number, n: number) => {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += floats[a + i]! * floats[b + i]!;
      return sum;
    };
    fc.assert(
      fc.property(shapes, fc.integer(), (shape, seed) => {
        const { sizes, pixels, weights, outputs } = sizesOf(shape);
        const [x, w, g] = [1, 1 + pixels, 1 + pixels + weights];
        const [out, xSlope, wSlope] = [g + outputs, g + 2 * outputs, g + 2 * outputs + pixels];
        const memory = memoryOf(wholeNumbers(wSlope + weights, seed));
        convolution.conv2d(memory, x, w, 0, out, ...sizes);
        convolution.conv2dInputSlope(memory, g, w, xSlope, 0, ...sizes);
        convolution.conv2dWeightSlope(memory, g, x, wSlope, 0, ...sizes);
        const expected = dot(memory.floats, g, out, outputs);
        expect(dot(memory.floats, xSlope, x, pixels)).toBe(expected);
        expect(dot(memory.floats, wSlope, w, weights)).toBe(expected);
      }),
      fixedSeed,
    );
  });
});

describe('emitted convolution', () => {
  const twins = new Twins(convolutionFamily, { others: [gemmFamily] });

  function compareAll(shape: Shape, seed: number, numbers = wholeNumbers, tolerance = 0): void {
    const { sizes, pixels, weights, outputs, outChannels } = sizesOf(shape);
    const close = within(tolerance);
    twins.clear();
    const x = twins.floats(numbers(pixels, seed));
    const w = twins.floats(numbers(weights, seed + 1));
    const bias = twins.floats(numbers(outChannels, seed + 2));
    const g = twins.floats(numbers(outputs, seed + 3));
    const [out, xSlope, wSlope] = [twins.room(outputs), twins.room(pixels), twins.room(weights)];
    const accumulate = seed & 1;
    twins.compare('conv2dInputSlope', convolution.conv2dInputSlope, [g, w, xSlope, accumulate, ...sizes], close);
    twins.compare('conv2dWeightSlope', convolution.conv2dWeightSlope, [g, x, wSlope, accumulate, ...sizes], close);
    twins.compare('conv2d', convolution.conv2d, [x, w, accumulate ? bias : 0, out, ...sizes], close);
  }

  it('equals its reference on whole numbers, bit for bit, in every geometry', () => {
    fc.assert(
      fc.property(shapes, fc.integer(), (shape, seed) => compareAll(shape, seed)),
      { ...fixedSeed, numRuns: 500 },
    );
  });

  it('equals its reference on real numbers up to rounding', () => {
    fc.assert(
      fc.property(shapes, fc.integer(), (shape, seed) => compareAll(shape, seed, realNumbers, 1e-4)),
      fixedSeed,
    );
  });

  it.each<[string, Shape]>([
    [
      'columns in strips',
      { ...single, ...unit, groupChannels: 64, groupOutputs: 2, image: [20, 20], kernel: [3, 3], padding: [1, 1] },
    ],
    [
      'strips of a strided image',
      { ...single, ...unit, groupChannels: 40, groupOutputs: 3, image: [46, 43], kernel: [3, 3], stride: [2, 2] },
    ],
    ['1 x 1', { ...single, ...unit, images: 2, groupChannels: 20, groupOutputs: 18, image: [9, 7], kernel: [1, 1] }],
    ['depthwise', { ...single, ...unit, images: 2, groups: 12, image: [13, 11], kernel: [3, 3], padding: [1, 1] }],
  ])('equals its reference: %s', (_, shape) => {
    compareAll(shape, 2);
    compareAll(shape, 3);
  });
});

/** Convolution against its definition: sizes, groups, empty batches, the padding that keeps the size, refusals. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, inUsedMemory, noTensors, untyped } from './numbers.ts';

const { tensor, zeros, ones, conv2d } = p;

/** Small whole numbers, so that sums are exact in any order. */
const whole = (shape: readonly number[], salt: number) =>
  tensor(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => ((i * 7 + salt * 3) % 11) - 5),
    shape,
  );

const pair = (
  x: number | readonly [number, number] | 'same' | undefined,
  standard: number,
): readonly [number, number] =>
  x === undefined || x === 'same' ? [standard, standard] : typeof x === 'number' ? [x, x] : x;

/** The terms of every output, by the definition: visit(output, image, weight) with flat positions. */
function terms(
  x: readonly number[],
  w: readonly number[],
  out: readonly number[],
  options: p.ConvolutionOptions,
  visit: (o: number, i: number, k: number) => void,
): void {
  const [stride, padding, dilation] = [pair(options.stride, 1), pair(options.padding, 0), pair(options.dilation, 1)];
  const perGroup = w[0]! / (options.groups ?? 1);
  for (let n = 0; n < out[0]!; n++)
    for (let o = 0; o < out[1]!; o++)
      for (let i = 0; i < out[2]!; i++)
        for (let j = 0; j < out[3]!; j++)
          for (let c = 0; c < w[1]!; c++)
            for (let a = 0; a < w[2]!; a++)
              for (let b = 0; b < w[3]!; b++) {
                const row = i * stride[0] - padding[0] + a * dilation[0];
                const column = j * stride[1] - padding[1] + b * dilation[1];
                if (row < 0 || row >= x[2]! || column < 0 || column >= x[3]!) continue;
                const channel = Math.floor(o / perGroup) * w[1]! + c;
                visit(
                  ((n * out[1]! + o) * out[2]! + i) * out[3]! + j,
                  ((n * x[1]! + channel) * x[2]! + row) * x[3]! + column,
                  ((o * w[1]! + c) * w[2]! + a) * w[3]! + b,
                );
              }
}

describe('conv2d', () => {
  it.each<[number[], number[], p.ConvolutionOptions, number[]]>([
    [[1, 1, 1, 1], [1, 1, 1, 1], {}, [1, 1, 1, 1]],
    [[2, 3, 5, 7], [4, 3, 3, 2], {}, [2, 4, 3, 6]],
    [[2, 3, 5, 7], [4, 3, 3, 3], { padding: 1 }, [2, 4, 5, 7]],
    [[1, 2, 9, 5], [3, 2, 3, 3], { stride: [2, 3], padding: [1, 2] }, [1, 3, 5, 3]],
    [[1, 2, 7, 7], [2, 2, 3, 2], { dilation: [2, 3] }, [1, 2, 3, 4]],
    [[2, 4, 5, 5], [6, 2, 2, 2], { groups: 2 }, [2, 6, 4, 4]],
    [[2, 3, 4, 4], [3, 1, 3, 3], { groups: 3, padding: 1 }, [2, 3, 4, 4]],
    [[1, 1, 2, 2], [1, 1, 4, 4], { padding: 1 }, [1, 1, 1, 1]],
    [[0, 3, 5, 5], [2, 3, 3, 3], {}, [0, 2, 3, 3]],
    [[2, 3, 5, 5], [0, 3, 3, 3], {}, [2, 0, 3, 3]],
    [[2, 0, 5, 5], [2, 0, 3, 3], {}, [2, 2, 3, 3]],
    [[1, 2, 1, 9], [2, 2, 1, 3], { stride: 4 }, [1, 2, 1, 2]],
  ])('image %j, weight %j, %j', (image, filters, options, shape) => {
    inUsedMemory(() => {
      const [x, w] = [whole(image, 1).requiresGrad_(), whole(filters, 2).requiresGrad_()];
      const b = whole([filters[0]!], 4).requiresGrad_();
      const out = conv2d(x, w, b, options);
      expect(out.shape).toEqual(shape);
      const plane = shape[2]! * shape[3]!;
      const channel = (o: number) => Math.floor(o / plane) % shape[1]!;
      const [xs, ws, bs] = [x.toFloat32Array(), w.toFloat32Array(), b.toFloat32Array()];
      const value = Array.from({ length: out.size }, (_, o) => bs[channel(o)]!);
      const g = whole(shape, 5);
      const gs = g.toFloat32Array();
      const [xGrad, wGrad, bGrad] = [xs, ws, bs].map((numbers) => new Array<number>(numbers.length).fill(0)) as [
        number[],
        number[],
        number[],
      ];
      gs.forEach((value, o) => {
        bGrad[channel(o)]! += value;
      });
      terms(image, filters, shape, options, (o, i, k) => {
        value[o]! += xs[i]! * ws[k]!;
        xGrad[i]! += gs[o]! * ws[k]!;
        wGrad[k]! += gs[o]! * xs[i]!;
      });
      expectClose(out, value);
      out.backward(g);
      expectClose(x.grad!, xGrad);
      expectClose(w.grad!, wGrad);
      expectClose(b.grad!, bGrad);
    });
  });

  it("padding 'same' keeps the size", () => {
    expect(conv2d(zeros([1, 1, 5, 6]), zeros([2, 1, 3, 5]), null, { padding: 'same' }).shape).toEqual([1, 2, 5, 6]);
    expect(conv2d(zeros([1, 1, 5, 6]), zeros([2, 1, 3, 3]), null, { padding: 'same', dilation: 2 }).shape).toEqual([
      1, 2, 5, 6,
    ]);
  });

  it('needs no bias, and options may change afterwards', () => {
    const stride: [number, number] = [2, 2];
    const x = ones([1, 1, 4, 4]).requiresGrad_();
    const out = conv2d(x, ones([1, 1, 2, 2]), undefined, { stride });
    stride[0] = 1;
    out.sum().backward();
    expectClose(x.grad!, ones([1, 1, 4, 4]));
  });

  it('NaN stays where its window is', () => {
    const x = ones([1, 1, 1, 5]);
    x.slice([0, 0, 0, [0, 1]]).fill_(NaN);
    expectClose(conv2d(x, ones([1, 1, 1, 2])), [NaN, 2, 2, 2]);
  });

  it('says what is wrong', () => {
    const [x, w] = [zeros([2, 3, 5, 5]), zeros([4, 3, 3, 3])];
    const shapes = 'image [2, 3, 5, 5], weight [4, 3, 3, 3]';
    expectRefused([
      [
        'conv2d: image [3, 5, 5], weight [4, 3, 3, 3]: images are [N, C, H, W], weights [O, C / groups, kh, kw].',
        () => conv2d(zeros([3, 5, 5]), w),
      ],
      [
        'conv2d: image [2, 3, 5, 5], weight [4, 3, 3]: images are [N, C, H, W], weights [O, C / groups, kh, kw].',
        () => conv2d(x, zeros([4, 3, 3])),
      ],
      [
        'conv2d: image [2, 3, 5, 5], weight [4, 2, 3, 3], groups 1: the weight expects 2 channels, the image has 3.',
        () => conv2d(x, zeros([4, 2, 3, 3])),
      ],
      [
        'conv2d: image [2, 3, 5, 5], weight [3, 3, 3, 3], groups 3: the weight expects 9 channels, the image has 3.',
        () => conv2d(x, zeros([3, 3, 3, 3]), null, { groups: 3 }),
      ],
      [
        `conv2d: ${shapes}: groups (2) must divide the channels on both sides.`,
        () => conv2d(x, w, null, { groups: 2 }),
      ],
      [
        `conv2d: ${shapes}: groups (0) must divide the channels on both sides.`,
        () => conv2d(x, w, null, { groups: 0 }),
      ],
      [
        `conv2d: ${shapes}: groups (1.5) must divide the channels on both sides.`,
        () => conv2d(x, w, null, { groups: 1.5 }),
      ],
      [`conv2d: ${shapes}: bias [3] must hold 4 numbers, one a filter.`, () => conv2d(x, w, zeros([3]))],
      [`conv2d: ${shapes}: bias [4, 1] must hold 4 numbers, one a filter.`, () => conv2d(x, w, zeros([4, 1]))],
      [
        'conv2d: image [2, 3, 5, 5], weight [4, 3, 6, 3], padding [0, 0]: the filter is larger than the padded image.',
        () => conv2d(x, zeros([4, 3, 6, 3])),
      ],
      [
        `conv2d: ${shapes}, padding [0, 0]: the filter is larger than the padded image.`,
        () => conv2d(x, w, null, { dilation: 3 }),
      ],
      [
        'conv2d: stride is a whole number of at least 1, or two of them, not 0.',
        () => conv2d(x, w, null, { stride: 0 }),
      ],
      [
        'conv2d: stride is a whole number of at least 1, or two of them, not [1,2,3].',
        () => untyped(conv2d)(x, w, null, { stride: [1, 2, 3] }),
      ],
      [
        'conv2d: stride is a whole number of at least 1, or two of them, not null.',
        () => untyped(conv2d)(x, w, null, { stride: null }),
      ],
      [
        'conv2d: padding is a whole number of at least 0, or two of them, not -1.',
        () => conv2d(x, w, null, { padding: -1 }),
      ],
      [
        'conv2d: dilation is a whole number of at least 1, or two of them, not 0.5.',
        () => conv2d(x, w, null, { dilation: 0.5 }),
      ],
      [
        `conv2d: ${shapes}: padding 'same' wants stride 1 and odd filters; give the padding in numbers.`,
        () => conv2d(x, w, null, { padding: 'same', stride: 2 }),
      ],
      [
        "conv2d: image [2, 3, 5, 5], weight [4, 3, 2, 2]: padding 'same' wants stride 1 and odd filters; give the padding in numbers.",
        () => conv2d(x, zeros([4, 3, 2, 2]), null, { padding: 'same' }),
      ],
    ]);
    for (const value of [...noTensors, 3]) {
      expect(() => untyped(conv2d)(value, w)).toThrow(/^conv2d: expected a tensor, not /);
      expect(() => untyped(conv2d)(x, value)).toThrow(/^conv2d: expected a tensor, not /);
    }
    expect(() => untyped(conv2d)(x, w, [0])).toThrow(/^conv2d: expected a tensor, not an array/);
  });
});

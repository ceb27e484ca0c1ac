/**
 * 2-d convolution (cross-correlation, as in every deep-learning library) and its two gradients, over NCHW.
 *
 * A convolution is a set of triples: pixel, weight and output (n, o, oy, ox) meet where
 *   y = oy * strideY - padY + ky * dilationY,  x = ox * strideX - padX + kx * dilationX,
 * and channel c belongs to the group of o. The three kernels are one walk over these triples that differ in which of the
 * three is the sum: out += x * w, x' += g * w, w' += g * x. Pixels outside the image are not walked: they count as 0.
 */
import type { Memory, ReferenceKernels } from '../table.ts';

/** The sizes that end every convolution kernel's arguments, from `images` to `groups`. */
type Sizes =
  Parameters<ReferenceKernels['conv2d']> extends [Memory, number, number, number, number, ...infer Rest] ? Rest : never;

/** `count` triples along one output row: one weight, pixels `pixelStep` apart, neighbouring outputs. All as element offsets. */
type VisitRun = (pixel: number, weight: number, output: number, count: number, pixelStep: number) => void;

function forEachRun(sizes: Sizes, visit: VisitRun): void {
  const [images, channels, height, width, outChannels, kernelHeight, kernelWidth, outHeight, outWidth] = sizes;
  const [, , , , , , , , , strideY, strideX, padY, padX, dilationY, dilationX, groups] = sizes;
  const groupChannels = channels / groups;
  const groupOutputs = outChannels / groups;
  let weight = 0;
  for (let o = 0; o < outChannels; o++) {
    const firstChannel = Math.floor(o / groupOutputs) * groupChannels;
    for (let c = 0; c < groupChannels; c++) {
      for (let ky = 0; ky < kernelHeight; ky++) {
        for (let kx = 0; kx < kernelWidth; kx++, weight++) {
          // The outputs of a row whose pixel lies inside the image: 0 <= x < width.
          const shift = kx * dilationX - padX;
          const first = Math.max(0, Math.ceil(-shift / strideX));
          const count = Math.min(outWidth, Math.ceil((width - shift) / strideX)) - first;
          if (count <= 0) continue;
          for (let n = 0; n < images; n++) {
            const plane = (n * channels + firstChannel + c) * height;
            const outPlane = (n * outChannels + o) * outHeight;
            for (let oy = 0; oy < outHeight; oy++) {
              const y = oy * strideY - padY + ky * dilationY;
              if (y < 0 || y >= height) continue;
              const pixel = (plane + y) * width + first * strideX + shift;
              visit(pixel, weight, (outPlane + oy) * outWidth + first, count, strideX);
            }
          }
        }
      }
    }
  }
}

export const convolution = {
  conv2d({ floats }, x, weight, bias, out, ...sizes) {
    const [images, , , , outChannels, , , outHeight, outWidth] = sizes;
    const plane = outHeight * outWidth;
    for (let i = 0; i < images * outChannels; i++) {
      floats.fill(bias ? floats[bias + (i % outChannels)]! : 0, out + i * plane, out + (i + 1) * plane);
    }
    forEachRun(sizes, (pixel, tap, output, count, step) => {
      const w = floats[weight + tap]!;
      for (let i = 0; i < count; i++) floats[out + output + i]! += w * floats[x + pixel + i * step]!;
    });
  },

  conv2dInputSlope({ floats }, g, weight, out, accumulate, ...sizes) {
    const [images, channels, height, width] = sizes;
    if (!accumulate) floats.fill(0, out, out + images * channels * height * width);
    forEachRun(sizes, (pixel, tap, output, count, step) => {
      const w = floats[weight + tap]!;
      for (let i = 0; i < count; i++) floats[out + pixel + i * step]! += w * floats[g + output + i]!;
    });
  },

  conv2dWeightSlope({ floats }, g, x, out, accumulate, ...sizes) {
    const [, channels, , , outChannels, kernelHeight, kernelWidth] = sizes;
    const groups = sizes[15];
    if (!accumulate) floats.fill(0, out, out + outChannels * (channels / groups) * kernelHeight * kernelWidth);
    forEachRun(sizes, (pixel, tap, output, count, step) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += floats[g + output + i]! * floats[x + pixel + i * step]!;
      floats[out + tap]! += sum;
    });
  },
} satisfies Pick<ReferenceKernels, 'conv2d' | 'conv2dInputSlope' | 'conv2dWeightSlope'>;

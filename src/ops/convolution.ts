/**
 * Two-dimensional convolution (cross-correlation, as in every framework): images [N, C, H, W], weights
 * [O, C / groups, kh, kw].
 *
 * It is linear in the image and linear in the weight, so its two gradients are bilinear too, and the three ops are
 * each other's gradients: with y = C(x, w), the image's is I(g, w), the weight's W(g, x); the gradients of I and W lead
 * back to C, I and W. That is all that derivatives of any order need.
 */
import { rowwise } from '../autograd/apart.ts';
import { defineOp, type Op } from '../autograd/define.ts';
import { settle } from '../storage/context.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocateShape, contiguous } from '../tensor/access.ts';
import { showShape } from '../tensor/layout.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';
import { examplesOf, sum } from './sum.ts';

/** All sizes of one convolution: the attributes of a conv2d node. */
export interface ConvolutionGeometry {
  readonly image: readonly [images: number, channels: number, height: number, width: number];
  readonly weight: readonly [outChannels: number, groupChannels: number, kernelHeight: number, kernelWidth: number];
  readonly output: readonly [images: number, outChannels: number, height: number, width: number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

type Sizes = [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];

const sizesOf = ({ image, weight, output, stride, padding, dilation, groups }: ConvolutionGeometry): Sizes => [
  ...image,
  weight[0],
  weight[2],
  weight[3],
  output[2],
  output[3],
  ...stride,
  ...padding,
  ...dilation,
  groups,
];

const sampleGeometry: ConvolutionGeometry = {
  image: [2, 4, 5, 4],
  weight: [6, 2, 3, 2],
  output: [2, 6, 3, 4],
  stride: [2, 1],
  padding: [1, 1],
  dilation: [1, 2],
  groups: 2,
};

/** C: [image, weight] or [image, weight, bias] -> output */
const forwardOp: Op<readonly Tensor[], ConvolutionGeometry> = defineOp({
  name: 'conv2d',
  inputs: ['image', 'weight', 'bias?'],
  forward: (inputs, geometry) => {
    const [image, weight] = [contiguous(inputs[0]!), contiguous(inputs[1]!)];
    const bias = inputs[2] === undefined ? 0 : address(contiguous(inputs[2]));
    const out = allocateShape(geometry.output);
    run.conv2d(address(image), address(weight), bias, address(out), ...sizesOf(geometry));
    return out;
  },
  gradient: ({ inputs, attributes }, g, index) => {
    if (index === 0) return imageOp(g, inputs[1]!, attributes);
    return index === 1 ? weightOp(g, inputs[0]!, attributes) : sum(g, [0, 2, 3]);
  },
  perExample: {
    apart: (node, index, count) => index === 0 && rowwise().apart!(node, index, count),
    gradients: ({ inputs, attributes }, g, index, part) => {
      if (index === 0 || attributes.output[0] % part.count !== 0) return null;
      const slopes = examplesOf(g, part);
      return index === 1 ? weightSlopes(slopes, examplesOf(inputs[0]!, part), attributes) : sum(slopes, [1, 3, 4]);
    },
  },
  raw: ({ inputs, attributes }, g, out, accumulate, index) => {
    if (index === 0)
      run.conv2dInputSlope(address(g), address(contiguous(inputs[1]!)), out, accumulate, ...sizesOf(attributes));
    else if (index === 1)
      run.conv2dWeightSlope(address(g), address(contiguous(inputs[0]!)), out, accumulate, ...sizesOf(attributes));
    else {
      const [images, channels, height, width] = attributes.output;
      const perImage = allocateShape([images, channels]);
      run.sum(address(g), address(perImage), images * channels, height * width, 1, 0);
      run.sum(address(perImage), out, 1, images, channels, accumulate);
    }
  },
  reads: 'inputs',
  feasible: 'everything',
  data: 1,
  samples: (draw) => [
    {
      inputs: [draw.normal(sampleGeometry.image), draw.normal(sampleGeometry.weight), draw.normal([6])],
      attributes: sampleGeometry,
    },
  ],
});

/** What each example sends to the weight: g and image [examples, images of each, ...] -> [examples, ...weight]. */
function weightSlopes(g: Tensor, image: Tensor, geometry: ConvolutionGeometry): Tensor {
  const [slopes, images] = [contiguous(g), contiguous(image)];
  const [examples, each] = image.shape as [number, number];
  const out = allocateShape([examples, ...geometry.weight]);
  const sizes = sizesOf({
    ...geometry,
    image: [each, geometry.image[1], geometry.image[2], geometry.image[3]],
    output: [each, geometry.output[1], geometry.output[2], geometry.output[3]],
  });
  for (let example = 0; example < examples; example++)
    run.conv2dWeightSlope(
      address(slopes) + (example * slopes.size) / examples,
      address(images) + (example * images.size) / examples,
      address(out) + (example * out.size) / examples,
      0,
      ...sizes,
    );
  settle();
  return out;
}

/** I: [g of the output, weight] -> gradient of the image */
const imageOp: Op<[Tensor, Tensor], ConvolutionGeometry> = defineOp({
  name: 'conv2dImageGradient',
  inputs: ['g', 'weight'],
  forward: ([g, weight], geometry) => {
    const out = allocateShape(geometry.image);
    const [from, by] = [address(contiguous(g)), address(contiguous(weight))];
    run.conv2dInputSlope(from, by, address(out), 0, ...sizesOf(geometry));
    return out;
  },
  gradient: [
    ({ inputs: [, weight], attributes }, h) => forwardOp([h, weight], attributes),
    ({ inputs: [g], attributes }, h) => weightOp(g, h, attributes),
  ],
  reads: 'inputs',
  feasible: 'everything',
  samples: (draw) => [
    { inputs: [draw.normal(sampleGeometry.output), draw.normal(sampleGeometry.weight)], attributes: sampleGeometry },
  ],
});

/** W: [g of the output, image] -> gradient of the weight */
const weightOp: Op<[Tensor, Tensor], ConvolutionGeometry> = defineOp({
  name: 'conv2dWeightGradient',
  inputs: ['g', 'image'],
  forward: ([g, image], geometry) => {
    const out = allocateShape(geometry.weight);
    const [from, by] = [address(contiguous(g)), address(contiguous(image))];
    run.conv2dWeightSlope(from, by, address(out), 0, ...sizesOf(geometry));
    return out;
  },
  gradient: [
    ({ inputs: [, image], attributes }, h) => forwardOp([image, h], attributes),
    ({ inputs: [g], attributes }, h) => imageOp(g, h, attributes),
  ],
  reads: 'inputs',
  feasible: 'everything',
  samples: (draw) => [
    { inputs: [draw.normal(sampleGeometry.output), draw.normal(sampleGeometry.image)], attributes: sampleGeometry },
  ],
});

/** One number for both axes, or [vertical, horizontal]. */
export type Pair = number | readonly [number, number];

export interface ConvolutionOptions {
  /** Step of the window; default 1. */
  readonly stride?: Pair;
  /** Zeros around the image; default 0. 'same' keeps the size (stride 1, odd kernels). */
  readonly padding?: Pair | 'same';
  /** Distance between the kernel's taps; default 1. */
  readonly dilation?: Pair;
  /** Channels split into groups that do not see each other; groups = channels is a depthwise convolution. Default 1. */
  readonly groups?: number;
}

/** Checks a pair of whole numbers of at least `least`. The pair is a copy: graphs keep it. */
export function toPair(op: string, name: string, value: Pair, least: number): readonly [number, number] {
  const pair = Array.isArray(value) ? value.slice() : [value, value];
  if (pair.length !== 2 || !pair.every((x) => Number.isInteger(x) && x >= least))
    throw new Error(
      `${op}: ${name} is a whole number of at least ${least}, or two of them, not ${JSON.stringify(value)}.`,
    );
  return pair as [number, number];
}

/** How many windows fit along an axis. */
export function windowCount(size: number, kernel: number, stride: number, padding: number, dilation: number): number {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

/**
 * Convolves images with filters.
 *
 * @param x images [N, C, H, W] @param weight filters [O, C / groups, kh, kw] @param bias [O], or none
 * @returns [N, O, H', W'] with H' = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1
 */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null | undefined = undefined,
  { stride = 1, padding = 0, dilation = 1, groups = 1 }: ConvolutionOptions = {},
): Tensor {
  checkTensor('conv2d', x);
  checkTensor('conv2d', weight);
  if (bias) checkTensor('conv2d', bias);
  const shapes = `image ${showShape(x.shape)}, weight ${showShape(weight.shape)}`;
  if (x.ndim !== 4 || weight.ndim !== 4)
    throw new Error(`conv2d: ${shapes}: images are [N, C, H, W], weights [O, C / groups, kh, kw].`);
  const image = x.shape as ConvolutionGeometry['image'];
  const filters = weight.shape as ConvolutionGeometry['weight'];
  if (!Number.isInteger(groups) || groups < 1 || image[1] % groups !== 0 || filters[0] % groups !== 0)
    throw new Error(`conv2d: ${shapes}: groups (${groups}) must divide the channels on both sides.`);
  if (filters[1] * groups !== image[1])
    throw new Error(
      `conv2d: ${shapes}, groups ${groups}: the weight expects ${filters[1] * groups} channels, the image has ${image[1]}.`,
    );
  if (bias && (bias.ndim !== 1 || bias.size !== filters[0]))
    throw new Error(`conv2d: ${shapes}: bias ${showShape(bias.shape)} must hold ${filters[0]} numbers, one a filter.`);
  const steps = toPair('conv2d', 'stride', stride, 1);
  const spread = toPair('conv2d', 'dilation', dilation, 1);
  const around =
    padding === 'same' ? samePadding(filters, steps, spread, shapes) : toPair('conv2d', 'padding', padding, 0);
  const height = windowCount(image[2], filters[2], steps[0], around[0], spread[0]);
  const width = windowCount(image[3], filters[3], steps[1], around[1], spread[1]);
  if (height < 1 || width < 1)
    throw new Error(`conv2d: ${shapes}, padding ${showShape(around)}: the filter is larger than the padded image.`);
  const geometry: ConvolutionGeometry = {
    image,
    weight: filters,
    output: [image[0], filters[0], height, width],
    stride: steps,
    padding: around,
    dilation: spread,
    groups,
  };
  return forwardOp(bias ? [x, weight, bias] : [x, weight], geometry);
}

function samePadding(
  filters: ConvolutionGeometry['weight'],
  stride: readonly [number, number],
  dilation: readonly [number, number],
  shapes: string,
): readonly [number, number] {
  const total = [dilation[0] * (filters[2] - 1), dilation[1] * (filters[3] - 1)] as const;
  if (stride[0] !== 1 || stride[1] !== 1 || total[0] % 2 !== 0 || total[1] % 2 !== 0)
    throw new Error(`conv2d: ${shapes}: padding 'same' wants stride 1 and odd filters; give the padding in numbers.`);
  return [total[0] / 2, total[1] / 2];
}

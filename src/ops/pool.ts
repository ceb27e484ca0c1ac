/** Pooling of images [N, C, H, W]: the largest, or the mean, of each window. */
import { rowwise } from '../autograd/apart.ts';
import { defineOp, type Op } from '../autograd/define.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocateShape, contiguous } from '../tensor/access.ts';
import { tensor } from '../tensor/create.ts';
import { showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, numbersOf, type Tensor } from '../tensor/tensor.ts';
import { ne, where } from './binary.ts';
import { type Pair, toPair, windowCount } from './convolution.ts';
import { whereSent } from './feasible.ts';

/** The attributes of a pooling node. */
export interface PoolGeometry {
  readonly image: readonly number[];
  readonly output: readonly number[];
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
}

type Sizes = [number, number, number, number, number, number, number, number, number, number, number];

const planesOf = (shape: readonly number[]) => shape[0]! * shape[1]!;
const planeSize = (shape: readonly number[]) => shape[2]! * shape[3]!;

const sizesOf = ({ image, output, kernel, stride, padding }: PoolGeometry): Sizes => [
  planesOf(image),
  image[2]!,
  image[3]!,
  ...kernel,
  output[2]!,
  output[3]!,
  ...stride,
  ...padding,
];

const sampleGeometry: PoolGeometry = {
  image: [1, 2, 5, 4],
  output: [1, 2, 3, 2],
  kernel: [3, 2],
  stride: [2, 2],
  padding: [1, 0],
};

const maxPoolOp: Op<[Tensor], PoolGeometry> = defineOp({
  name: 'maxPool2d',
  inputs: ['x'],
  forward: ([x], geometry, node) => {
    const dense = contiguous(x);
    const out = allocateShape(geometry.output);
    const winners = allocateShape(geometry.output);
    if (node !== null) node.saved = winners;
    run.maxPool2d(address(dense), address(out), address(winners), ...sizesOf(geometry));
    return out;
  },
  gradient: [({ attributes: geometry, saved }, g) => sendOp(g, { geometry, winners: saved! })],
  perExample: rowwise(),
  raw: ({ attributes: { image, output }, saved }, g, out, accumulate) =>
    run.maxPool2dSlope(
      address(g),
      address(saved!),
      out,
      planesOf(image),
      planeSize(image),
      planeSize(output),
      accumulate,
    ),
  reads: 'nothing',
  feasible: { is: 'approximate', project: (wished, { attributes }) => opened(wished, attributes) },
  samples: (draw) => [{ inputs: [draw.distinct(sampleGeometry.image)], attributes: sampleGeometry }],
});

/**
 * What a max pool can produce, from below. Windows that do not overlap can have any maxima. Of windows that do, no number of the
 * image may pass the wishes of any window it lies in: the largest such image is pooled (morphology's opening). The result is
 * the largest producible one nowhere above the wish; the nearest one may lie above it in places.
 */
function opened(wished: Tensor, geometry: PoolGeometry): Tensor {
  const { image, output, kernel, stride, padding } = geometry;
  if (stride[0] >= kernel[0] && stride[1] >= kernel[1]) return wished;
  const wishes = numbersOf(wished);
  const [, , height, width] = image as [number, number, number, number];
  const [, , rows, columns] = output as [number, number, number, number];
  const largest = new Float64Array(sizeOf(image)).fill(Number.POSITIVE_INFINITY);
  for (let window = 0; window < wishes.length; window++) {
    const wish = wishes[window]!;
    const plane = Math.floor(window / (rows * columns)) * height * width;
    const top = (Math.floor(window / columns) % rows) * stride[0] - padding[0];
    const left = (window % columns) * stride[1] - padding[1];
    for (let y = Math.max(0, top); y < Math.min(height, top + kernel[0]); y++)
      for (let x = Math.max(0, left); x < Math.min(width, left + kernel[1]); x++) {
        const position = plane + y * width + x;
        if (wish < largest[position]!) largest[position] = wish;
      }
  }
  return where(ne(wished, wished), wished, maxPoolOp(tensor(largest, image), geometry));
}

/** Where each window of a pool found its maximum; linear in what is sent there or read there. */
interface Winners {
  geometry: PoolGeometry;
  winners: Tensor;
}

const sampleWinners = (): Winners => {
  const winners = allocateShape(sampleGeometry.output);
  run.fill(address(winners), winners.size, 0);
  return { geometry: sampleGeometry, winners };
};

/** g of the windows, sent to the winners: an image. */
const sendOp: Op<[Tensor], Winners> = defineOp({
  name: 'maxPool2dSend',
  inputs: ['g'],
  forward: ([g], { geometry: { image, output }, winners }) => {
    const dense = contiguous(g);
    const out = allocateShape(image);
    const [planes, plane, windows] = [planesOf(image), planeSize(image), planeSize(output)];
    run.maxPool2dSlope(address(dense), address(winners), address(out), planes, plane, windows, 0);
    return out;
  },
  gradient: [({ attributes }, h) => pickOp(h, attributes)],
  reads: 'nothing',
  feasible: whereSent((ones, attributes) => sendOp(ones, attributes)),
  samples: (draw) => [{ inputs: [draw.normal(sampleGeometry.output)], attributes: sampleWinners() }],
});

/** An image, read at the winners: one number a window. */
const pickOp: Op<[Tensor], Winners> = defineOp({
  name: 'maxPool2dPick',
  inputs: ['x'],
  forward: ([x], { geometry: { image, output }, winners }) => {
    const dense = contiguous(x);
    const out = allocateShape(output);
    const [planes, plane, windows] = [planesOf(image), planeSize(image), planeSize(output)];
    run.maxPool2dPick(address(dense), address(winners), address(out), planes, plane, windows);
    return out;
  },
  gradient: [({ attributes }, g) => sendOp(g, attributes)],
  reads: 'nothing',
  carries: true,
  samples: (draw) => [{ inputs: [draw.normal(sampleGeometry.image)], attributes: sampleWinners() }],
});

const avgPoolOp: Op<[Tensor], PoolGeometry> = defineOp({
  name: 'avgPool2d',
  inputs: ['x'],
  forward: ([x], geometry) => {
    const dense = contiguous(x);
    const out = allocateShape(geometry.output);
    run.avgPool2d(address(dense), address(out), ...sizesOf(geometry));
    return out;
  },
  gradient: [({ attributes }, g) => avgSpreadOp(g, attributes)],
  perExample: rowwise(),
  raw: ({ attributes }, g, out, accumulate) => run.avgPool2dSlope(address(g), out, accumulate, ...sizesOf(attributes)),
  reads: 'nothing',
  feasible: 'everything',
  samples: (draw) => [{ inputs: [draw.normal(sampleGeometry.image)], attributes: sampleGeometry }],
});

/** g of the windows, spread evenly over each: the adjoint of avgPool2d. */
const avgSpreadOp: Op<[Tensor], PoolGeometry> = defineOp({
  name: 'avgPool2dSpread',
  inputs: ['g'],
  forward: ([g], geometry) => {
    const dense = contiguous(g);
    const out = allocateShape(geometry.image);
    run.avgPool2dSlope(address(dense), address(out), 0, ...sizesOf(geometry));
    return out;
  },
  gradient: [({ attributes }, h) => avgPoolOp(h, attributes)],
  reads: 'nothing',
  feasible: 'everything',
  samples: (draw) => [{ inputs: [draw.normal(sampleGeometry.output)], attributes: sampleGeometry }],
});

export interface PoolOptions {
  readonly kernelSize: Pair;
  /** Step of the window; default: its size. */
  readonly stride?: Pair;
  /** Rows and columns around the image, at most half the window; default 0. */
  readonly padding?: Pair;
}

function geometryOf(
  op: string,
  x: Tensor,
  { kernelSize, stride = kernelSize, padding = 0 }: PoolOptions,
): PoolGeometry {
  checkTensor(op, x);
  if (x.ndim !== 4) throw new Error(`${op}: images are [N, C, H, W], not ${showShape(x.shape)}.`);
  const kernel = toPair(op, 'kernelSize', kernelSize, 1);
  const steps = toPair(op, 'stride', stride, 1);
  const around = toPair(op, 'padding', padding, 0);
  if (around[0] > kernel[0] / 2 || around[1] > kernel[1] / 2)
    throw new Error(`${op}: padding ${showShape(around)} is more than half of the window ${showShape(kernel)}.`);
  const height = windowCount(x.shape[2]!, kernel[0], steps[0], around[0], 1);
  const width = windowCount(x.shape[3]!, kernel[1], steps[1], around[1], 1);
  if (height < 1 || width < 1 || x.shape[2] === 0 || x.shape[3] === 0)
    throw new Error(`${op}: image ${showShape(x.shape)} is smaller than the window ${showShape(kernel)}.`);
  return { image: x.shape, output: [x.shape[0]!, x.shape[1]!, height, width], kernel, stride: steps, padding: around };
}

/** The largest number of each window; its whole gradient goes to the first that has it. Padding never wins. */
export function maxPool2d(x: Tensor, options: PoolOptions): Tensor {
  return maxPoolOp(x, geometryOf('maxPool2d', x, options));
}

/** The mean of each window; padding counts as zeros. */
export function avgPool2d(x: Tensor, options: PoolOptions): Tensor {
  return avgPoolOp(x, geometryOf('avgPool2d', x, options));
}

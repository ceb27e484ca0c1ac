/**
 * Batch normalization: each channel scaled to mean 0 and variance 1 over a batch, or by statistics of earlier batches.
 *
 * These are two ops. In `batchNorm` every number depends on all of its channel, so the examples of a batch meet; in
 * `batchNormInUse` mean and variance are operands, and examples stay apart. Running statistics are no operands of the first,
 * whose output does not depend on them: they stand among its attributes, where those who replace units find them.
 */
import { sameRows } from '../autograd/apart.ts';
import { defineOp, type ExampleRange, type Op, type Recorded } from '../autograd/define.ts';
import type { Node } from '../autograd/node.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocateLike, allocateShape, contiguous } from '../tensor/access.ts';
import { ones } from '../tensor/create.ts';
import { sameShape, showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';
import { add, mul, sub } from './binary.ts';
import { rsqrt, square } from './elementwise.ts';
import { add_, mul_ } from './inplace.ts';
import { nearestOf } from './normalization.ts';
import { mean } from './reduce.ts';
import { reshape, slice } from './shape.ts';
import { examplesOf, sum } from './sum.ts';

/** What is known of the channels from batches so far, both [C]. */
export interface RunningStatistics {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

interface Attributes {
  readonly eps: number;
  /** Those that go with the channels; null: none. */
  readonly running: RunningStatistics | null;
}
type Inputs = readonly Tensor[];

/** x is [N, C, ...], to kernels [outer, channels, inner]. */
const sizesOf = ({ layout: { shape } }: Tensor) => [shape[0]!, shape[1]!, sizeOf(shape.slice(2))] as const;
/** All axes but that of the channels. */
const axesOf = ({ shape }: Tensor): number[] => shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
/** One number for each channel, in a shape that broadcasts to x. */
const alongChannels = (numbers: Tensor, { ndim }: Tensor): Tensor =>
  ndim === 2 ? numbers : reshape(numbers, [numbers.size, ...new Array<number>(ndim - 2).fill(1)]);

const at = (operand: Tensor | undefined): number => (operand === undefined ? 0 : address(contiguous(operand)));

/** x with each channel at mean 0, and what scales it to variance 1. */
function normalized(x: Tensor, eps: number): { numbers: Tensor; scale: Tensor } {
  const axes = axesOf(x);
  const centred = sub(x, mean(x, axes, true));
  const scale = rsqrt(add(mean(square(centred), axes, true), eps));
  return { numbers: mul(centred, scale), scale };
}

/** Mean and variance of each channel, [2, C]; not recorded. */
function momentsOf(x: Tensor): Tensor {
  const moments = allocateShape([2, x.shape[1]!]);
  run.batchMoments(at(x), address(moments), ...sizesOf(x));
  return moments;
}

/** The sum over all but the channels, to an address. */
function sumOfChannels(g: Tensor, out: number, accumulate: 0 | 1): void {
  const [outer, channels, inner] = sizesOf(g);
  if (inner === 1) return run.sum(address(g), out, 1, outer, channels, accumulate);
  const sums = allocateShape([outer, channels]);
  run.sum(address(g), address(sums), outer * channels, inner, 1, 0);
  run.sum(address(sums), out, 1, outer, channels, accumulate);
}

/** What some examples send to the weight (`by` the normalized x) or to the bias (null). */
function sentByExamples(g: Tensor, by: Tensor | null, part: ExampleRange): Tensor | null {
  if (g.shape[0]! % part.count !== 0) return null;
  const slopes = examplesOf(g, part);
  // [examples, rows of one, C, ...]
  const axes = slopes.shape.flatMap((_, axis) => (axis === 0 || axis === 2 ? [] : [axis]));
  return sum(by === null ? slopes : mul(slopes, examplesOf(by, part)), axes);
}

/**
 * x [N, C, ...], weight and bias [C]. With n the normalized numbers of a channel, s their scale and h = g weight, the gradient of x
 * is s (h - mean(h) - n mean(h n)); of the weight it is g n, of the bias g, summed over the channel (Ioffe and Szegedy, "Batch
 * normalization: accelerating deep network training by reducing internal covariate shift", 2015).
 */
const batchNormOp: Op<Inputs, Attributes> = defineOp({
  name: 'batchNorm',
  inputs: ['x', 'weight?', 'bias?'],
  forward: (inputs, { eps }, node) => {
    const x = contiguous(inputs[0]!);
    const moments = momentsOf(x);
    const out = allocateLike(x);
    const [first, sizes] = [address(moments), sizesOf(x)];
    run.batchNorm(address(x), first, first + sizes[1], at(inputs[1]), at(inputs[2]), address(out), ...sizes, eps);
    if (node !== null) node.saved = moments;
    return out;
  },
  gradient: ({ inputs: [x, weight], attributes: { eps } }, g, index) => {
    const axes = axesOf(g);
    if (index === 2) return sum(g, axes);
    const { numbers, scale } = normalized(x!, eps);
    if (index === 1) return sum(mul(g, numbers), axes);
    const h = weight === undefined ? g : mul(g, alongChannels(weight, g));
    return mul(scale, sub(sub(h, mean(h, axes, true)), mul(numbers, mean(mul(h, numbers), axes, true))));
  },
  perExample: {
    // Every example moves the mean that all of them are measured from.
    apart: () => false,
    gradients: ({ inputs: [x], attributes: { eps } }, g, index, part) =>
      index === 0 ? null : sentByExamples(g, index === 1 ? normalized(x!, eps).numbers : null, part),
  },
  raw: ({ inputs: [x, weight], attributes: { eps }, saved }, g, out, accumulate, index) => {
    if (index === 2) return sumOfChannels(g, out, accumulate);
    const sizes = sizesOf(g);
    const [from, by, first] = [at(x), at(weight), address(saved!)];
    const variance = first + sizes[1];
    if (index === 1) run.batchNormWeightSlope(address(g), from, first, variance, out, ...sizes, eps, accumulate);
    else run.batchNormSlope(address(g), from, first, variance, by, out, ...sizes, eps, 1, accumulate);
  },
  reads: 'inputs',
  feasible: {
    is: 'approximate',
    project: (wished, { inputs: [x, weight, bias], attributes: { eps } }: Recorded<Inputs, Attributes>) => {
      const broadcast = (numbers: Tensor | undefined) => numbers && alongChannels(numbers, wished);
      return nearestOf(wished, normalized(x!, eps).numbers, broadcast(weight), broadcast(bias), axesOf(wished));
    },
  },
  data: 1,
  samples: (draw) =>
    [
      [5, 2],
      [3, 2, 2],
      [2, 3, 2, 2],
    ].map((shape, parameters) => ({
      inputs: [draw.normal(shape), ...[draw.awayFromZero([shape[1]!]), draw.normal([shape[1]!])].slice(0, parameters)],
      attributes: { eps: 1e-7, running: null },
    })),
});

/** The same by a mean and a variance that are given: with s = 1 / sqrt(variance + eps), (x - mean) s weight + bias. */
const batchNormInUse: Op<Inputs, { readonly eps: number }> = defineOp({
  name: 'batchNormInUse',
  inputs: ['x', 'mean', 'variance', 'weight?', 'bias?'],
  forward: (inputs, { eps }) => {
    const x = contiguous(inputs[0]!);
    const out = allocateLike(x);
    const [centre, variance, weight, bias] = inputs.slice(1).map(at) as [number, number, number?, number?];
    run.batchNorm(address(x), centre, variance, weight ?? 0, bias ?? 0, address(out), ...sizesOf(x), eps);
    return out;
  },
  gradient: ({ inputs, attributes: { eps } }, g, index) => {
    const [x, centre, variance, weight] = inputs as [Tensor, Tensor, Tensor, Tensor?];
    const axes = axesOf(g);
    if (index === 4) return sum(g, axes);
    const scale = rsqrt(add(variance, eps));
    const factor = weight === undefined ? scale : mul(scale, weight);
    if (index === 0) return mul(g, alongChannels(factor, g));
    if (index === 1) return mul(mul(sum(g, axes), factor), -1);
    const across = sum(mul(g, sub(x, alongChannels(centre, g))), axes);
    return index === 3 ? mul(across, scale) : mul(mul(across, factor), mul(square(scale), -0.5));
  },
  perExample: {
    apart: (node, index, count) => index === 0 && sameRows(node, index, count),
    gradients: ({ inputs, attributes: { eps } }, g, index, part) => {
      if (index < 3) return null;
      const [x, centre, variance] = inputs as [Tensor, Tensor, Tensor];
      const own = () => mul(sub(x, alongChannels(centre, x)), alongChannels(rsqrt(add(variance, eps)), x));
      return sentByExamples(g, index === 3 ? own() : null, part);
    },
  },
  raw: [
    ({ inputs, attributes: { eps } }, g, out, accumulate) => {
      const [x, centre, variance, weight] = inputs.map(at) as [number, number, number, number?];
      run.batchNormSlope(address(g), x, centre, variance, weight ?? 0, out, ...sizesOf(g), eps, 0, accumulate);
    },
    null,
    null,
    ({ inputs, attributes: { eps } }, g, out, accumulate) => {
      const [x, centre, variance] = inputs.map(at) as [number, number, number];
      run.batchNormWeightSlope(address(g), x, centre, variance, out, ...sizesOf(g), eps, accumulate);
    },
    (_, g, out, accumulate) => sumOfChannels(g, out, accumulate),
  ],
  reads: 'inputs',
  feasible: 'everything',
  data: 3,
  samples: (draw) =>
    [
      [5, 2],
      [1, 2, 3],
      [2, 3, 2, 2],
    ].map((shape, parameters) => {
      const channels = [shape[1]!];
      const learned = [draw.awayFromZero(channels), draw.normal(channels)].slice(0, parameters);
      const statistics = [draw.normal(channels), draw.uniform(channels, 0.5, 2)];
      return { inputs: [draw.normal(shape), ...statistics, ...learned], attributes: { eps: 0.1 } };
    }),
});

export interface BatchNormCall {
  /** [C]; none unless given. */
  readonly weight?: Tensor | null | undefined;
  /** [C]; none unless given. */
  readonly bias?: Tensor | null | undefined;
  /** What is added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
  /** True unless given: the batch's own mean and variance are used. False: those of `running`. */
  readonly training?: boolean | undefined;
  /** In training they are moved towards those of the batch; null, or left out: there are none. */
  readonly running?: RunningStatistics | null | undefined;
  /** How far they are moved, from 0 to 1: running = (1 - momentum) running + momentum batch; 0.1 unless given. */
  readonly momentum?: number | undefined;
}

/**
 * Each channel of x ([N, C], [N, C, L] or [N, C, H, W]) at mean 0 and variance 1 over all other axes (squares over their
 * number, plus eps), then times weight, plus bias, both [C].
 *
 * In training the running statistics are written in place, after the output is computed: the variance that they are moved
 * towards is the unbiased one (squares over their number less 1). An empty batch leaves them alone; a single number a channel has
 * no variance, and is an error.
 *
 *     batchNorm(tensor([[1, 10], [3, 30]])).toArray().flat().map(Math.round);      // [-1, -1, 1, 1]
 *     const running = { mean: zeros([2]), variance: ones([2]) };
 *     batchNorm(tensor([[1, 10], [3, 30]]), { running, momentum: 0.5 });
 *     running.mean.toArray();      // [1, 10]
 *     running.variance.toArray();      // [1.5, 100.5]
 *     batchNorm(tensor([[1, 10]]), { running, training: false }).toArray();      // [[0, 0]]
 *
 * Ioffe and Szegedy, "Batch normalization" (2015), algorithms 1 and 2; as PyTorch's F.batch_norm.
 */
export function batchNorm(x: Tensor, call: BatchNormCall = {}): Tensor {
  checkTensor('batchNorm', x);
  const { weight = null, bias = null, eps = 1e-5, training = true, running = null, momentum = 0.1 } = call;
  if (x.ndim < 2 || x.ndim > 4)
    throw new Error(`batchNorm: x is [N, C], [N, C, L] or [N, C, H, W], not of shape ${showShape(x.shape)}.`);
  const fail = (sentence: string): never => {
    throw new Error(`batchNorm: ${sentence}`);
  };
  if (!(typeof eps === 'number' && eps >= 0)) fail(`eps is a number of at least 0, not ${String(eps)}.`);
  if (!(typeof momentum === 'number' && momentum >= 0 && momentum <= 1))
    fail(`momentum is a number from 0 to 1, not ${String(momentum)}.`);
  const channels = x.shape[1]!;
  for (const [name, numbers] of [
    ['weight', weight],
    ['bias', bias],
    ...(running === null
      ? []
      : ([
          ['running.mean', running.mean],
          ['running.variance', running.variance],
        ] as const)),
  ] as const) {
    if (numbers === null) continue;
    checkTensor(`batchNorm: ${name}`, numbers);
    if (!sameShape(numbers.shape, [channels]))
      fail(`${name} ${showShape(numbers.shape)} must have one number for each channel of x ${showShape(x.shape)}.`);
  }
  // The ops take a bias behind a weight.
  const learned =
    weight === null && bias === null ? [] : [weight ?? ones([channels]), ...(bias === null ? [] : [bias])];
  if (!training) {
    const { mean, variance } = running ?? fail('without training it is running statistics that are used; give them.');
    return batchNormInUse([x, mean, variance, ...learned], { eps });
  }
  const [outer, , inner] = sizesOf(x);
  if (outer * inner === 1)
    fail(
      `x ${showShape(x.shape)} has a single number for each channel, and the variance of a batch takes two. Give more examples, or ` +
        'use running statistics: training: false, or eval() of a module.',
    );
  for (const statistics of running === null ? [] : [running.mean, running.variance])
    if (statistics.node !== null)
      fail('in training running statistics are written, so they cannot require gradients or be computed.');
  const out = batchNormOp([x, ...learned], { eps, running });
  if (running !== null && outer * inner > 0) {
    const moments = (out.node as Node | null)?.saved ?? momentsOf(x);
    follow(running, moments, outer * inner, momentum);
  }
  return out;
}

/** Moves running statistics towards the moments of a batch of `count` numbers a channel. */
function follow(running: RunningStatistics, moments: Tensor, count: number, momentum: number): void {
  const towards = (numbers: Tensor, row: 0 | 1, share: number): void => {
    mul_(numbers, 1 - momentum);
    add_(numbers, mul(slice(moments, [row]), share));
  };
  towards(running.mean, 0, momentum);
  towards(running.variance, 1, (momentum * count) / (count - 1));
}

/**
 * What is measured: every row of the benchmark as plain data, and the numbers it is run with.
 *
 * A row says what has to be computed and never how. All sides get the same inputs, labels and initial weights, as flat
 * Float32Arrays in one fixed layout (images NCHW, linear weights [out, in], convolution weights [out, in, height, width]);
 * a side that prefers another layout rearranges them before the clock starts.
 */

/** Which operand of a product is stored transposed: none, the second (b is [n, k]) or the first (a is [k, m]). */
export type Layout = 'NN' | 'NT' | 'TN';

/** A product of an [m, k] and a [k, n] matrix, or of `batch` independent ones when `batch` is not null. */
export interface Product {
  readonly kind: 'product';
  readonly layout: Layout;
  readonly batch: number | null;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

export interface LayerSize {
  readonly inputs: number;
  readonly outputs: number;
}

/**
 * One step of plain SGD: loss, backward, update, loss read. The network is a chain of 3x3 "same" convolutions, each with
 * relu and a 2x2 max pool, and then of linear layers with relu between them; either part of it may be empty.
 */
export interface Training {
  readonly kind: 'training';
  readonly batch: number;
  /** Of one sample: [features] or [channels, height, width]. */
  readonly inputShape: readonly number[];
  readonly convolutions: readonly LayerSize[];
  readonly linears: readonly LayerSize[];
  readonly loss: 'cross-entropy' | 'mean-squared-error';
}

export type SuiteName = 'matmul' | 'step';

export interface Row {
  readonly suite: SuiteName;
  readonly name: string;
  readonly unit: string;
  /** What one call is worth in the row's unit, a second: GFLOP of a product, 1 of a step. */
  readonly workPerCall: number;
  readonly task: Product | Training;
}

export const learningRate = 0.05;

// The rows.

const layouts: readonly Layout[] = ['NN', 'NT', 'TN'];

function product(layout: Layout, m: number, k: number, n: number, name: string, batch: number | null = null): Row {
  const flops = 2 * (batch ?? 1) * m * k * n;
  const task: Product = { kind: 'product', layout, batch, m, k, n };
  return { suite: 'matmul', name, unit: 'GFLOP/s', workPerCall: flops / 1e9, task };
}

function training(name: string, task: Omit<Training, 'kind'>): Row {
  return { suite: 'step', name, unit: 'steps/s', workPerCall: 1, task: { kind: 'training', ...task } };
}

function mlp(sizes: readonly number[], batch: number, loss: Training['loss'] = 'cross-entropy'): Row {
  const linears = sizes.slice(1).map((outputs, layer) => ({ inputs: sizes[layer] as number, outputs }));
  const inputShape = sizes.slice(0, 1);
  return training(`MLP ${sizes.join('-')} batch ${batch}`, { batch, inputShape, convolutions: [], linears, loss });
}

export const rows: readonly Row[] = [
  ...[64, 127, 256, 512, 1024].flatMap((size) =>
    layouts.map((layout) => product(layout, size, size, size, `${layout} ${size}`)),
  ),
  product('NN', 64, 784, 10, 'NN 64x784x10'),
  product('NN', 64, 784, 128, 'NN 64x784x128'),
  product('NN', 1, 768, 768, 'NN 1x768x768'),
  product('NN', 128, 64, 128, 'NN batched 8x128x64x128', 8),
  mlp([784, 256, 128, 10], 64),
  mlp([784, 256, 128, 10], 1),
  mlp([784, 1024, 1024, 10], 128),
  mlp([20, 5, 1], 1, 'mean-squared-error'),
  training('CNN 16-32 batch 32', {
    batch: 32,
    inputShape: [1, 28, 28],
    convolutions: [
      { inputs: 1, outputs: 16 },
      { inputs: 16, outputs: 32 },
    ],
    linears: [{ inputs: 32 * 7 * 7, outputs: 10 }],
    loss: 'cross-entropy',
  }),
];

// The numbers a row is run with.

export interface Matrix {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

export interface Layer {
  readonly weight: Matrix;
  readonly bias: Matrix;
}

export interface TrainingData {
  readonly inputs: Matrix;
  /** Class labels of cross-entropy; empty for the mean squared error. */
  readonly labels: Int32Array;
  /** Wished-for outputs [batch, outputs]: the labels in one-hot form, or the mean squared error's targets. */
  readonly targets: Matrix;
  /** Convolutions first, then linear layers. */
  readonly layers: readonly Layer[];
}

/** Both operands as they are stored: already transposed where the layout says so. */
export function productData({ layout, batch, m, k, n }: Product): { a: Matrix; b: Matrix } {
  const uniform = uniformNumbers(1);
  const batchShape = batch === null ? [] : [batch];
  return {
    a: randomMatrix(layout === 'TN' ? [...batchShape, k, m] : [...batchShape, m, k], 1, uniform),
    b: randomMatrix(layout === 'NT' ? [...batchShape, n, k] : [...batchShape, k, n], 1, uniform),
  };
}

export function trainingData({ batch, inputShape, convolutions, linears, loss }: Training): TrainingData {
  const uniform = uniformNumbers(2);
  const outputs = linears.at(-1)?.outputs ?? 0;
  const inputs = randomMatrix([batch, ...inputShape], 1, uniform);
  const layers = [
    ...convolutions.map((size) => randomLayer([size.outputs, size.inputs, 3, 3], uniform)),
    ...linears.map((size) => randomLayer([size.outputs, size.inputs], uniform)),
  ];
  if (loss === 'mean-squared-error') {
    return { inputs, labels: new Int32Array(0), targets: randomMatrix([batch, outputs], 1, uniform), layers };
  }
  const labels = Int32Array.from({ length: batch }, (_, sample) => sample % outputs);
  const targets = { data: new Float32Array(batch * outputs), shape: [batch, outputs] };
  labels.forEach((label, sample) => {
    targets.data[sample * outputs + label] = 1;
  });
  return { inputs, labels, targets, layers };
}

/**
 * The same numbers for a side that keeps images as NHWC: inputs NHWC, convolution weights [height, width, in, out], and the
 * linear layer that reads the image expects its features in the order height, width, channels.
 */
export function channelsLast(task: Training, data: TrainingData): TrainingData {
  const channels = task.convolutions.at(-1)?.outputs;
  if (channels === undefined) return data;
  const layers = data.layers.map(({ weight, bias }, index) => {
    if (index < task.convolutions.length) return { weight: permuted(weight, [2, 3, 1, 0]), bias };
    if (index > task.convolutions.length) return { weight, bias };
    const [outputs, features] = weight.shape as [number, number];
    const side = Math.sqrt(features / channels);
    const image = permuted({ data: weight.data, shape: [outputs, channels, side, side] }, [0, 2, 3, 1]);
    return { weight: { data: image.data, shape: weight.shape }, bias };
  });
  return { ...data, inputs: permuted(data.inputs, [0, 2, 3, 1]), layers };
}

/** A copy whose axis i is the axis `order[i]` of the original. */
export function permuted({ data, shape }: Matrix, order: readonly number[]): Matrix {
  const stride = shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
  const newShape = order.map((axis) => shape[axis] as number);
  const result = new Float32Array(data.length);
  const index = newShape.map(() => 0);
  for (let position = 0; position < result.length; position++) {
    const source = order.reduce((offset, axis, i) => offset + (index[i] as number) * (stride[axis] as number), 0);
    result[position] = data[source] as number;
    for (let axis = index.length - 1; axis >= 0; axis--) {
      const next = (index[axis] as number) + 1;
      index[axis] = next % (newShape[axis] as number);
      if (next < (newShape[axis] as number)) break;
    }
  }
  return { data: result, shape: newShape };
}

/** A layer as PyTorch initialises it: weight and bias uniform within 1 / sqrt(fan in). */
function randomLayer(weightShape: readonly number[], uniform: () => number): Layer {
  const outputs = weightShape[0] as number;
  const limit = 1 / Math.sqrt(elementCount(weightShape) / outputs);
  return { weight: randomMatrix(weightShape, limit, uniform), bias: randomMatrix([outputs], limit, uniform) };
}

function randomMatrix(shape: readonly number[], limit: number, uniform: () => number): Matrix {
  return { data: Float32Array.from({ length: elementCount(shape) }, () => limit * uniform()), shape };
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}

/** Numbers in [-1, 1) from a 32-bit congruential generator (Numerical Recipes' constants): plain, and of no contestant. */
function uniformNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

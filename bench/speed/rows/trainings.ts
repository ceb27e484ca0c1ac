/** Whole training steps of small networks. */

import { elementCount, type Matrix, permuted, randomMatrix, uniformNumbers } from './numbers.ts';
import type { RowOf } from './row.ts';

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

export const learningRate = 0.05;

function training(name: string, task: Omit<Training, 'kind'>): RowOf<Training> {
  return { suite: 'step', name, unit: 'steps/s', workPerCall: 1, task: { kind: 'training', ...task } };
}

function mlp(sizes: readonly number[], batch: number, loss: Training['loss'] = 'cross-entropy'): RowOf<Training> {
  const linears = sizes.slice(1).map((outputs, layer) => ({ inputs: sizes[layer] as number, outputs }));
  const inputShape = sizes.slice(0, 1);
  return training(`MLP ${sizes.join('-')} batch ${batch}`, { batch, inputShape, convolutions: [], linears, loss });
}

export const trainingRows: readonly RowOf<Training>[] = [
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

/** A layer as PyTorch initialises it: weight and bias uniform within 1 / sqrt(fan in). */
function randomLayer(weightShape: readonly number[], uniform: () => number): Layer {
  const outputs = weightShape[0] as number;
  const limit = 1 / Math.sqrt(elementCount(weightShape) / outputs);
  return { weight: randomMatrix(weightShape, limit, uniform), bias: randomMatrix([outputs], limit, uniform) };
}

/**
 * TensorFlow.js: its CPU and its Wasm backend, each a contestant of its own in one instance of the library.
 *
 * Layouts are its own best: linear weights [in, out], images NHWC, convolution weights HWIO, one-hot labels. The optimizer
 * is its SGD, whose `minimize` gives back all intermediate tensors; only the loss is disposed here.
 */

import { createRequire } from 'node:module';
import type { Contestant, PeerName, Workload } from './harness.ts';
import {
  channelsLast,
  learningRate,
  type Matrix,
  type Product,
  permuted,
  productData,
  type Row,
  type Training,
  trainingData,
} from './rows.ts';

// The part of the library that is used here, typed by hand: the repository typechecks without the library installed.

interface TfTensor {
  reshape(shape: readonly number[]): TfTensor;
  add(other: TfTensor): TfTensor;
  relu(): TfTensor;
  matMul(other: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  conv2d(filter: TfTensor, strides: number, padding: 'same'): TfTensor;
  maxPool(size: number, strides: number, padding: 'valid'): TfTensor;
  dataSync(): Float32Array;
  dispose(): void;
}

interface TfOptimizer {
  minimize(loss: () => TfTensor, returnCost: true, variables: readonly TfTensor[]): TfTensor;
  dispose(): void;
}

interface TensorFlow {
  enableProdMode(): void;
  setBackend(name: 'cpu' | 'wasm'): Promise<boolean>;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  variable(initial: TfTensor): TfTensor;
  losses: {
    softmaxCrossEntropy(oneHot: TfTensor, logits: TfTensor): TfTensor;
    meanSquaredError(targets: TfTensor, outputs: TfTensor): TfTensor;
  };
  train: { sgd(learningRate: number): TfOptimizer };
}

export function loadTensorFlow(): Contestant[] {
  const require = createRequire(import.meta.url);
  const tf: TensorFlow = require('@tensorflow/tfjs');
  require('@tensorflow/tfjs-backend-wasm');
  tf.enableProdMode();
  return [contestant(tf, 'tfjs-cpu', 'cpu'), contestant(tf, 'tfjs-wasm', 'wasm')];
}

function contestant(tf: TensorFlow, name: PeerName, backend: 'cpu' | 'wasm'): Contestant {
  return {
    name,
    async activate() {
      if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js cannot start its ${backend} backend`);
    },
    prepare({ task }: Row) {
      return task.kind === 'product' ? prepareProduct(tf, task) : prepareTraining(tf, task);
    },
  };
}

function prepareProduct(tf: TensorFlow, task: Product): Workload {
  const data = productData(task);
  const [a, b] = [toTensor(tf, data.a), toTensor(tf, data.b)];
  const [transposeA, transposeB] = [task.layout === 'TN', task.layout === 'NT'];
  return {
    run() {
      const product = a.matMul(b, transposeA, transposeB);
      const entries = product.dataSync();
      product.dispose();
      return entries;
    },
    dispose() {
      a.dispose();
      b.dispose();
    },
  };
}

function prepareTraining(tf: TensorFlow, task: Training): Workload {
  const data = channelsLast(task, trainingData(task));
  const inputs = toTensor(tf, data.inputs);
  const targets = toTensor(tf, data.targets);
  const convolutions = task.convolutions.length;
  const layers = data.layers.map(({ weight, bias }, index) => ({
    weight: toVariable(tf, index < convolutions ? weight : permuted(weight, [1, 0])),
    bias: toVariable(tf, bias),
  }));
  const variables = layers.flatMap(({ weight, bias }) => [weight, bias]);
  const optimizer = tf.train.sgd(learningRate);

  function loss(): TfTensor {
    let x = inputs;
    layers.forEach(({ weight, bias }, index) => {
      if (index < convolutions) {
        x = x.conv2d(weight, 1, 'same').add(bias).relu().maxPool(2, 2, 'valid');
        return;
      }
      if (index > 0 && index === convolutions) x = x.reshape([task.batch, -1]);
      x = x.matMul(weight).add(bias);
      if (index < layers.length - 1) x = x.relu();
    });
    return task.loss === 'cross-entropy'
      ? tf.losses.softmaxCrossEntropy(targets, x)
      : tf.losses.meanSquaredError(targets, x);
  }

  return {
    run() {
      const cost = optimizer.minimize(loss, true, variables);
      const value = cost.dataSync()[0] as number;
      cost.dispose();
      return value;
    },
    dispose() {
      for (const owned of [inputs, targets, ...variables, optimizer]) owned.dispose();
    },
  };
}

/** A variable that owns its numbers alone. */
function toVariable(tf: TensorFlow, matrix: Matrix): TfTensor {
  const initial = toTensor(tf, matrix);
  const variable = tf.variable(initial);
  initial.dispose();
  return variable;
}

function toTensor(tf: TensorFlow, { data, shape }: Matrix): TfTensor {
  return tf.tensor(data, shape);
}

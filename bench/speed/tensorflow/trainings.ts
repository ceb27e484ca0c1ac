/**
 * Training steps in the library's own best layouts: linear weights [in, out], images NHWC, convolution weights HWIO, one-hot labels.
 * The optimizer is its SGD, whose `minimize` gives back all intermediate tensors; only the loss is disposed here.
 */

import type { Workload } from '../harness.ts';
import { type Matrix, permuted } from '../rows/numbers.ts';
import { channelsLast, learningRate, type Training, trainingData } from '../rows/trainings.ts';
import { type TensorFlow, type TfTensor, toTensor } from './library.ts';

export function prepareTraining(tf: TensorFlow, task: Training): Workload {
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

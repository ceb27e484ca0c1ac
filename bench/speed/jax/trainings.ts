/**
 * Training steps: the whole step is one function of parameters and batch that returns the loss and the new parameters. It takes
 * the parameters' references and gives new ones.
 *
 * Linear weights stay [out, in]. A convolution is nine shifted slices of the padded NHWC image, joined, and one product:
 * with `lax.conv` the same step is 10 to 20 times slower.
 */

import type { Workload } from '../harness.ts';
import { channelsLast, learningRate, type Training, trainingData } from '../rows/trainings.ts';
import { type Jax, type JaxArray, toArray, type Way } from './library.ts';

type StepResult = [loss: JaxArray, parameters: JaxArray[]];

export function prepareTraining({ jax, compile }: Way, task: Training): Workload {
  const data = channelsLast(task, trainingData(task));
  const inputs = toArray(jax, data.inputs);
  const targets = toArray(jax, data.targets);
  let parameters = data.layers.flatMap(({ weight, bias }) => [toArray(jax, weight), toArray(jax, bias)]);

  const lossAndGradients = jax.valueAndGrad((weights, x, wanted) => lossOf(jax, task, weights, x, wanted));
  const step = compile((weights: JaxArray[], x: JaxArray, wanted: JaxArray): StepResult => {
    const [loss, gradients] = lossAndGradients(
      weights.map((weight) => weight.ref),
      x,
      wanted,
    );
    return [loss, weights.map((weight, index) => weight.sub((gradients[index] as JaxArray).mul(learningRate)))];
  });
  return {
    run() {
      const [loss, updated] = step(parameters, inputs.ref, targets.ref);
      parameters = updated;
      return loss.item();
    },
    dispose() {
      for (const owned of [inputs, targets, ...parameters, step]) owned.dispose();
    },
  };
}

function lossOf(jax: Jax, task: Training, parameters: JaxArray[], inputs: JaxArray, targets: JaxArray): JaxArray {
  const { numpy, nn } = jax;
  let x = inputs;
  const layerCount = parameters.length / 2;
  for (let layer = 0; layer < layerCount; layer++) {
    const [weight, bias] = [parameters[2 * layer] as JaxArray, parameters[2 * layer + 1] as JaxArray];
    if (layer < task.convolutions.length) {
      x = maxPool(jax, nn.relu(convolve(jax, x, weight).add(bias)));
      continue;
    }
    if (layer > 0 && layer === task.convolutions.length) x = x.reshape([task.batch, -1]);
    x = numpy.matmul(x, numpy.matrixTranspose(weight)).add(bias);
    if (layer < layerCount - 1) x = nn.relu(x);
  }
  if (task.loss === 'mean-squared-error') return numpy.square(x.sub(targets)).mean();
  return nn
    .logSoftmax(x, -1)
    .mul(targets)
    .sum()
    .mul(-1 / task.batch);
}

/** The 3x3 "same" convolution of NHWC images with a weight [3, 3, in, out]. */
function convolve({ numpy }: Jax, images: JaxArray, weight: JaxArray): JaxArray {
  const [count, height, width] = images.shape as [number, number, number];
  const [, , inputs, outputs] = weight.shape as [number, number, number, number];
  const around = [1, 1] as const;
  const padded = numpy.pad(images, [[0, 0], around, around, [0, 0]]);
  const shifts = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => ({ row, column })));
  const shifted = shifts.map(({ row, column }) =>
    padded.ref.slice([], [row, row + height], [column, column + width], []),
  );
  padded.dispose();
  const patches = numpy.concatenate(shifted, 3).reshape([count * height * width, 9 * inputs]);
  return numpy.matmul(patches, weight.reshape([9 * inputs, outputs])).reshape([count, height, width, outputs]);
}

/** The 2x2 max pool of NHWC images. */
function maxPool({ numpy }: Jax, images: JaxArray): JaxArray {
  const [count, height, width, channels] = images.shape as [number, number, number, number];
  return numpy.max(images.reshape([count, height / 2, 2, width / 2, 2, channels]), [2, 4]);
}

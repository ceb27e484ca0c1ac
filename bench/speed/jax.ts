/**
 * jax-js under jit, on its Wasm device: the whole training step is one jitted function of parameters and batch that returns
 * the loss and the new parameters.
 *
 * Arrays are reference-counted: an operation takes one reference to each operand, `.ref` adds one. Here every step hands
 * its parameters to the jitted function and keeps the new ones, so that nothing is leaked and nothing copied.
 *
 * Each task is written in the form that was fastest of those tried. Linear weights stay [out, in]. A convolution is nine
 * shifted slices of the padded NHWC image, joined, and one product: with `lax.conv` the same step is 10 to 20 times slower.
 */

import type { Contestant, Workload } from './harness.ts';
import {
  channelsLast,
  learningRate,
  type Matrix,
  type Product,
  productData,
  type Row,
  type Training,
  trainingData,
} from './rows.ts';

// The part of the library that is used here, typed by hand: the repository typechecks without the library installed.

interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: readonly number[];
  reshape(shape: readonly number[]): JaxArray;
  add(other: JaxArray): JaxArray;
  sub(other: JaxArray): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  slice(...ranges: readonly (readonly number[])[]): JaxArray;
  sum(): JaxArray;
  mean(): JaxArray;
  dataSync(): Float32Array;
  item(): number;
  dispose(): void;
}

type Jitted<F> = F & { dispose(): void };
type StepResult = [loss: JaxArray, parameters: JaxArray[]];

interface Jax {
  numpy: {
    array(data: Float32Array, options: { shape: readonly number[] }): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    matrixTranspose(a: JaxArray): JaxArray;
    square(a: JaxArray): JaxArray;
    max(a: JaxArray, axes: readonly number[]): JaxArray;
    pad(a: JaxArray, widths: readonly (readonly [before: number, after: number])[]): JaxArray;
    concatenate(parts: readonly JaxArray[], axis: number): JaxArray;
  };
  nn: { relu(x: JaxArray): JaxArray; logSoftmax(x: JaxArray, axis: number): JaxArray };
  jit<F extends (a: JaxArray, b: JaxArray) => JaxArray>(f: F): Jitted<F>;
  jit<F extends (parameters: JaxArray[], inputs: JaxArray, targets: JaxArray) => StepResult>(f: F): Jitted<F>;
  valueAndGrad(
    f: (parameters: JaxArray[], inputs: JaxArray, targets: JaxArray) => JaxArray,
  ): (parameters: JaxArray[], inputs: JaxArray, targets: JaxArray) => [value: JaxArray, gradients: JaxArray[]];
}

export async function loadJax(): Promise<Contestant> {
  if (!('navigator' in globalThis)) throw new Error('jax-js needs Node 21 or newer');
  // Not a literal, so that the compiler does not look for the package.
  const packageName: string = '@jax-js/jax';
  const jax: Jax = await import(packageName);
  return {
    name: 'jax-jit',
    async activate() {},
    prepare({ task }: Row) {
      return task.kind === 'product' ? prepareProduct(jax, task) : prepareTraining(jax, task);
    },
  };
}

function prepareProduct(jax: Jax, task: Product): Workload {
  const { matmul, matrixTranspose } = jax.numpy;
  const data = productData(task);
  const [a, b] = [toArray(jax, data.a), toArray(jax, data.b)];
  const multiply = jax.jit((x: JaxArray, y: JaxArray) =>
    matmul(task.layout === 'TN' ? matrixTranspose(x) : x, task.layout === 'NT' ? matrixTranspose(y) : y),
  );
  return {
    run: () => multiply(a.ref, b.ref).dataSync(),
    dispose() {
      for (const owned of [a, b, multiply]) owned.dispose();
    },
  };
}

function prepareTraining(jax: Jax, task: Training): Workload {
  const data = channelsLast(task, trainingData(task));
  const inputs = toArray(jax, data.inputs);
  const targets = toArray(jax, data.targets);
  let parameters = data.layers.flatMap(({ weight, bias }) => [toArray(jax, weight), toArray(jax, bias)]);

  const lossAndGradients = jax.valueAndGrad((weights, x, wanted) => lossOf(jax, task, weights, x, wanted));
  const step = jax.jit((weights: JaxArray[], x: JaxArray, wanted: JaxArray): StepResult => {
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

function toArray(jax: Jax, { data, shape }: Matrix): JaxArray {
  return jax.numpy.array(data, { shape });
}

/**
 * Palimpsest, eager: modules, SGD and `backward()` as anybody would write a training loop, the loss read every step.
 * Inputs and labels are made once, as a user makes them; matrices to multiply are kept in Wasm memory like the peers'.
 */

import {
  buffer,
  Conv2d,
  crossEntropy,
  Flatten,
  Linear,
  MaxPool2d,
  matmul,
  mseLoss,
  noGrad,
  ReLU,
  Sequential,
  SGD,
  tensor,
} from '../../src/index.ts';
import type { Contestant, Workload } from './harness.ts';
import { learningRate, type Matrix, type Product, productData, type Row, type Training, trainingData } from './rows.ts';

export function loadOurs(): Contestant {
  return {
    name: 'ours',
    async activate() {},
    prepare({ task }: Row) {
      return task.kind === 'product' ? prepareProduct(task) : prepareTraining(task);
    },
  };
}

function prepareProduct(task: Product): Workload {
  const data = productData(task);
  const [a, b] = [buffer(toTensor(data.a)), buffer(toTensor(data.b))];
  const axis = a.ndim - 1;
  return {
    run() {
      return noGrad(() => {
        const left = task.layout === 'TN' ? a.transpose(axis - 1, axis) : a;
        const right = task.layout === 'NT' ? b.transpose(axis - 1, axis) : b;
        return matmul(left, right).toFloat32Array();
      });
    },
    dispose() {},
  };
}

function prepareTraining(task: Training): Workload {
  const data = trainingData(task);
  const model = network(task);
  noGrad(() => {
    const initial = data.layers.flatMap(({ weight, bias }) => [toTensor(weight), toTensor(bias)]);
    model.parameters().forEach((value, index) => {
      value.copy_(initial[index] as typeof value);
    });
  });
  const optimizer = new SGD(model.parameters(), { lr: learningRate });
  const inputs = toTensor(data.inputs);
  const targets = toTensor(data.targets);

  return {
    run() {
      const outputs = model.forward(inputs);
      const loss = task.loss === 'cross-entropy' ? crossEntropy(outputs, data.labels) : mseLoss(outputs, targets);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return loss.item();
    },
    dispose() {},
  };
}

function network({ convolutions, linears }: Training): Sequential {
  return new Sequential(
    ...convolutions.flatMap(({ inputs, outputs }) => [
      new Conv2d(inputs, outputs, 3, { padding: 1 }),
      new ReLU(),
      new MaxPool2d(2),
    ]),
    ...(convolutions.length > 0 ? [new Flatten()] : []),
    ...linears.flatMap(({ inputs, outputs }, layer) => [
      ...(layer > 0 ? [new ReLU()] : []),
      new Linear(inputs, outputs),
    ]),
  );
}

function toTensor({ data, shape }: Matrix) {
  return tensor(data, [...shape]);
}

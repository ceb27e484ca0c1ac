/**
 * Training steps: modules, SGD and `backward()` as anybody would write a training loop, the loss read every step. Inputs and
 * labels are made once, as a user makes them.
 */

import {
  Conv2d,
  crossEntropy,
  Flatten,
  Linear,
  MaxPool2d,
  mseLoss,
  noGrad,
  ReLU,
  Sequential,
  SGD,
} from '../../../src/index.ts';
import type { Workload } from '../harness.ts';
import { learningRate, type Training, trainingData } from '../rows/trainings.ts';
import { toTensor } from './numbers.ts';

export function prepareTraining(task: Training): Workload {
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

/** Single operations on large arrays. */

import type { Workload } from '../harness.ts';
import { type ArrayOperation, type ArrayTask, arrayData, layerNormEpsilon } from '../rows/arrays.ts';
import { type Jax, type JaxArray, toArray, type Way } from './library.ts';

/** Takes a reference to each operand. */
type Operation = (operands: JaxArray[]) => JaxArray;

/** gather's second operand are the indices. */
const operations: Readonly<Record<ArrayOperation, (jax: Jax, axis: number | null) => Operation>> = {
  add: () => operation2((x, y) => x.add(y)),
  exp: ({ numpy }) => operation1(numpy.exp),
  tanh: ({ numpy }) => operation1(numpy.tanh),
  sigmoid: ({ nn }) => operation1(nn.sigmoid),
  softmax: ({ nn }) => operation1((x) => nn.softmax(x, -1)),
  logSoftmax: ({ nn }) => operation1((x) => nn.logSoftmax(x, -1)),
  layerNorm: ({ nn }) => {
    const options = { epsilon: layerNormEpsilon };
    return ([x, weight, bias]) =>
      nn
        .standardize(x as JaxArray, -1, options)
        .mul(weight as JaxArray)
        .add(bias as JaxArray);
  },
  sum: ({ numpy }, axis) => operation1((x) => numpy.sum(x, axis)),
  max: ({ numpy }, axis) => operation1((x) => numpy.max(x, axis)),
  transpose: ({ numpy }) => operation1((x) => numpy.matrixTranspose(x)),
  cat: ({ numpy }, axis) => operation2((x, y) => numpy.concatenate([x, y], axis ?? 0)),
  gather: ({ numpy }) => operation2((x, indices) => numpy.take(x, indices, 0)),
};

export function prepareArray({ jax, compile }: Way, task: ArrayTask): Workload {
  const { operands, indices } = arrayData(task);
  const inputs = operands.map((operand) => toArray(jax, operand));
  if (task.operation === 'gather') {
    inputs.push(jax.numpy.array(indices, { shape: [indices.length], dtype: 'int32' }));
  }
  const compute = operations[task.operation](jax, task.axis);
  const compiled = compile((...given: JaxArray[]) => compute(given));
  return {
    run: () => compiled(...inputs.map((input) => input.ref)).dataSync(),
    dispose() {
      for (const owned of [...inputs, compiled]) owned.dispose();
    },
  };
}

function operation1(compute: (x: JaxArray) => JaxArray): Operation {
  return ([x]) => compute(x as JaxArray);
}

function operation2(compute: (x: JaxArray, y: JaxArray) => JaxArray): Operation {
  return ([x, y]) => compute(x as JaxArray, y as JaxArray);
}

/** Single operations; noGrad gives each result's memory back, as the peers' `dispose` does. */

import {
  add,
  amax,
  cat,
  exp,
  Indices,
  indexSelect,
  layerNorm,
  logSoftmax,
  noGrad,
  sigmoid,
  softmax,
  sum,
  type Tensor,
  tanh,
} from '../../../src/index.ts';
import type { Workload } from '../harness.ts';
import { type ArrayOperation, type ArrayTask, arrayData, layerNormEpsilon } from '../rows/arrays.ts';
import { toBuffer } from './numbers.ts';

interface Operands {
  readonly x: Tensor;
  /** The second and third operand; the first again where there is none. */
  readonly second: Tensor;
  readonly third: Tensor;
  readonly indices: Indices;
  readonly axis: number | null;
}

const operations: Readonly<Record<ArrayOperation, (operands: Operands) => Tensor>> = {
  add: ({ x, second }) => add(x, second),
  exp: ({ x }) => exp(x),
  tanh: ({ x }) => tanh(x),
  sigmoid: ({ x }) => sigmoid(x),
  softmax: ({ x }) => softmax(x, -1),
  logSoftmax: ({ x }) => logSoftmax(x, -1),
  layerNorm: ({ x, second, third }) => layerNorm(x, second.shape, second, third, layerNormEpsilon),
  sum: ({ x, axis }) => sum(x, axis ?? undefined),
  max: ({ x, axis }) => amax(x, axis ?? undefined),
  transpose: ({ x }) => x.transpose(0, 1).contiguous(),
  cat: ({ x, second, axis }) => cat([x, second], axis ?? 0),
  gather: ({ x, indices }) => indexSelect(x, 0, indices),
};

export function prepareArray(task: ArrayTask): Workload {
  const data = arrayData(task);
  const [x, second, third] = data.operands.map(toBuffer) as [Tensor, Tensor?, Tensor?];
  const indices = new Indices([data.indices.length], data.indices);
  const operands = { x, second: second ?? x, third: third ?? x, indices, axis: task.axis };
  const operation = operations[task.operation];
  return {
    run: () => noGrad(() => operation(operands).toFloat32Array()),
    dispose() {},
  };
}

/** Single operations on large arrays. Layer normalization, which the core does not have, is put together from others. */

import type { Workload } from '../harness.ts';
import { type ArrayOperation, type ArrayTask, arrayData, layerNormEpsilon } from '../rows/arrays.ts';
import { type TensorFlow, type TfTensor, takeNumbers, toTensor } from './library.ts';

/** `others`: the operands behind the first; gather's indices. */
type Operation = (x: TfTensor, others: readonly TfTensor[], task: ArrayTask, tf: TensorFlow) => TfTensor;

const operations: Readonly<Record<ArrayOperation, Operation>> = {
  add: (x, [y]) => x.add(y as TfTensor),
  exp: (x) => x.exp(),
  tanh: (x) => x.tanh(),
  sigmoid: (x) => x.sigmoid(),
  softmax: (x) => x.softmax(-1),
  logSoftmax: (x) => x.logSoftmax(-1),
  layerNorm: (x, [weight, bias], _, tf) =>
    tf.tidy(() => {
      // A little faster than with `tf.moments`, which takes the mean away a second time.
      const centred = x.sub(x.mean(-1, true));
      const variance = centred.square().mean(-1, true);
      const scaled = centred.mul(variance.add(layerNormEpsilon).rsqrt());
      return scaled.mul(weight as TfTensor).add(bias as TfTensor);
    }),
  sum: (x, _, { axis }) => x.sum(axis ?? undefined),
  max: (x, _, { axis }) => x.max(axis ?? undefined),
  transpose: (x) => x.transpose(),
  cat: (x, [y], { axis }) => x.concat(y as TfTensor, axis ?? 0),
  gather: (x, [indices]) => x.gather(indices as TfTensor, 0),
};

export function prepareArray(tf: TensorFlow, task: ArrayTask): Workload {
  const { operands, indices } = arrayData(task);
  const [x, ...others] = operands.map((operand) => toTensor(tf, operand)) as [TfTensor, ...TfTensor[]];
  if (task.operation === 'gather') others.push(tf.tensor(indices, [indices.length], 'int32'));
  const operation = operations[task.operation];
  return {
    run: () => takeNumbers(operation(x, others, task, tf)),
    dispose() {
      for (const owned of [x, ...others]) owned.dispose();
    },
  };
}

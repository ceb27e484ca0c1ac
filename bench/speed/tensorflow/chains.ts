/** Chains of tiny operations; each result is disposed when the next is there, a little faster than `tidy`. */

import type { Workload } from '../harness.ts';
import { type Chain, chainData, type Link } from '../rows/chains.ts';
import { type TensorFlow, type TfTensor, takeNumbers, toTensor } from './library.ts';

const links: Readonly<Record<Link, (x: TfTensor, operand: TfTensor) => TfTensor>> = {
  add: (x, operand) => x.add(operand),
  sub: (x, operand) => x.sub(operand),
  mul: (x, operand) => x.mul(operand),
  tanh: (x) => x.tanh(),
  sigmoid: (x) => x.sigmoid(),
  exp: (x) => x.exp(),
};

export function prepareChain(tf: TensorFlow, task: Chain): Workload {
  const data = chainData(task);
  const [input, operand] = [toTensor(tf, data.input), toTensor(tf, data.operand)];
  const steps = task.links.map((link) => links[link]);
  const gradient = tf.grad((x) => steps.reduce((value, step) => step(value, operand), x).sum());
  const forward = () => {
    let value = input;
    for (const step of steps) {
      const next = step(value, operand);
      if (value !== input) value.dispose();
      value = next;
    }
    return value;
  };
  return {
    run: () => takeNumbers(task.backward ? gradient(input) : forward()),
    dispose() {
      input.dispose();
      operand.dispose();
    },
  };
}

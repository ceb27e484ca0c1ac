/** Chains of tiny operations, called as functions one after the other. */

import { add, exp, grad, mul, noGrad, sigmoid, sub, sum, type Tensor, tanh } from '../../../src/index.ts';
import type { Workload } from '../harness.ts';
import { type Chain, chainData, type Link } from '../rows/chains.ts';
import { toBuffer } from './numbers.ts';

const links: Readonly<Record<Link, (x: Tensor, operand: Tensor) => Tensor>> = {
  add,
  sub,
  mul,
  tanh: (x) => tanh(x),
  sigmoid: (x) => sigmoid(x),
  exp: (x) => exp(x),
};

export function prepareChain(task: Chain): Workload {
  const data = chainData(task);
  const [input, operand] = [toBuffer(data.input), toBuffer(data.operand)];
  const steps = task.links.map((link) => links[link]);
  const chain = (x: Tensor) => steps.reduce((value, step) => step(value, operand), x);
  const gradient = grad((x: Tensor) => sum(chain(x)));
  return {
    run: task.backward ? () => gradient(input).toFloat32Array() : () => noGrad(() => chain(input).toFloat32Array()),
    dispose() {},
  };
}

/** Chains of tiny operations. Under jit the whole chain is one fused kernel. */

import type { Workload } from '../harness.ts';
import { type Chain, chainData, type Link } from '../rows/chains.ts';
import { type Jax, type JaxArray, toArray, type Way } from './library.ts';

/** Takes x, and a reference to the operand if it needs one. */
const links: Readonly<Record<Link, (jax: Jax, x: JaxArray, operand: JaxArray) => JaxArray>> = {
  add: (_, x, operand) => x.add(operand.ref),
  sub: (_, x, operand) => x.sub(operand.ref),
  mul: (_, x, operand) => x.mul(operand.ref),
  tanh: ({ numpy }, x) => numpy.tanh(x),
  sigmoid: ({ nn }, x) => nn.sigmoid(x),
  exp: ({ numpy }, x) => numpy.exp(x),
};

export function prepareChain({ jax, compile }: Way, task: Chain): Workload {
  const data = chainData(task);
  const [input, operand] = [toArray(jax, data.input), toArray(jax, data.operand)];
  const chain = (x: JaxArray, y: JaxArray) => {
    const result = task.links.reduce((value, link) => links[link](jax, value, y), x);
    y.dispose();
    return result;
  };
  const compute = compile(task.backward ? jax.grad((x, y) => chain(x, y).sum()) : chain);
  return {
    run: () => compute(input.ref, operand.ref).dataSync(),
    dispose() {
      for (const owned of [input, operand, compute]) owned.dispose();
    },
  };
}

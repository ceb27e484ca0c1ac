/**
 * What a value could be: the projection of a wish onto what its op can produce.
 *
 * Most ops can produce anything (a linear map of free inputs), some only part of it (relu nothing below 0), and those that
 * only move numbers what their own inputs' producers can. A value that no op computed and nobody trains is what it is.
 */
import { full } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { arithmetic } from './arithmetic.ts';
import type { Recorded } from './define.ts';
import type { Node } from './node.ts';

/** exact: nothing producible is nearer; approximate: producible, and near; identity: everything is. */
export type Feasibility = 'exact' | 'approximate' | 'identity';

export interface Feasible {
  readonly value: Tensor;
  readonly is: Feasibility;
}

/**
 * The value nearest to `wished` that the op which computed y can produce, and how good an answer it is. The op is asked with
 * its inputs free, except through ops that only move numbers (views, cat, gather), which ask their inputs' producers. A
 * tensor without history answers with its own value.
 *
 *     const x = tensor([-1, 2]).requiresGrad_();
 *     feasible(relu(x), tensor([-3, 5])).value.toArray(); // [0, 5]
 */
export function feasible(y: Tensor, wished: Tensor): Feasible {
  if (!sameShape(y.shape, wished.shape))
    throw new Error(
      `feasible: a wish of shape ${showShape(wished.shape)} does not fit a value of shape ${showShape(y.shape)}.`,
    );
  const node = y.node as Node | null;
  if (node === null) return { value: y, is: 'exact' };
  const { op } = node;
  if (op === null) return { value: wished, is: 'identity' };
  if (op.carries) return throughCarrier(node, wished);
  const image = op.feasible ?? 'everything';
  if (image === 'everything') return { value: wished, is: 'identity' };
  return { value: image.project(wished, node), is: image.is };
}

/**
 * An op that only moves numbers: each input element is wished to be the mean of the wishes of its copies (itself, if it has
 * none), and its producer is asked; then the op moves the answers.
 */
function throughCarrier(node: Node, wished: Tensor): Feasible {
  const op = node.op!;
  let is: Feasibility = 'identity';
  const inputs = node.inputs.map((input, i) => {
    const sum = adjoint(node, wished, i);
    const count = adjoint(node, full(node.output.shape, 1), i);
    const unused = arithmetic.eq(count, full(input.shape, 0));
    const mean = arithmetic.div(sum, arithmetic.add(count, unused));
    const answer = feasible(
      input,
      numbersOf(unused).some((x) => x !== 0) ? arithmetic.where(unused, input, mean) : mean,
    );
    // Copies must agree, so not everything is producible even of inputs that could be anything.
    const copies = numbersOf(count).some((x) => x > 1) ? 'exact' : 'identity';
    for (const answered of [answer.is, copies] as const)
      if (answered === 'approximate' || is === 'identity') is = answered;
    return answer.value;
  });
  return { value: op.forward(inputs, node.attributes, null), is };
}

/** The op's gradient rule on input i, whatever wants it. */
export function adjoint(node: Recorded<readonly Tensor[], unknown> & Pick<Node, 'op'>, g: Tensor, i: number): Tensor {
  const { gradient } = node.op!;
  if ('because' in gradient) throw new Error(`feasible: ${node.op!.name} has no gradient rule to carry messages.`);
  const rule = typeof gradient === 'function' ? gradient : gradient[i]!;
  return rule(node, g, i) ?? full(node.inputs[i]!.shape, 0);
}

/**
 * What the rules of target propagation hand on: a wish says where a value should go and how firmly that is meant.
 *
 * A precision comes in two forms. Uniform: a scalar, or [rows, 1], one for each sample. Otherwise one for each element.
 * The rules of linear layers are much cheaper for uniform ones, which is what seeds send, so they are never expanded
 * needlessly. Precision 0 asks nothing: wherever a rule divides by what may be 0 for that reason, the answer is 0.
 */
import { Message, Springs, spring } from '../../autograd/message.ts';
import { mode } from '../../autograd/modes.ts';
import type { Visit } from '../../autograd/visit.ts';
import { add, div, eq, mul } from '../../ops/binary.ts';
import { reshape } from '../../ops/shape.ts';
import { expand } from '../../ops/sum.ts';
import { showShape } from '../../tensor/layout.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';

/** Where the output of a node should go. */
export interface Wish {
  /** Target minus value, of the output's shape. */
  readonly displacement: Tensor;
  /** Of shape [] or [..., 1] (uniform along the last axis), or of the output's shape. */
  readonly precision: Tensor;
  readonly uniform: boolean;
  /** Whether somebody said how firmly it is meant; what a rule sends on is stated if what it got was. */
  readonly stated: boolean;
}

/** What arrived at a node whose rule accepts targets. */
export function wishOf(visit: Visit, rule: string): Wish {
  const { springs, shape } = visit.message;
  if (springs?.hard)
    throw new Error(
      `${rule}: a hard target (of ${springs.hard.from}) arrived at an output of ${visit.op} of shape ${showShape(shape)}. It ` +
        'cannot be shared out among several inputs and samples. Leave the precision out, or give a finite one; to follow ' +
        'targets all the way, let the step of the weights be infinite instead (lr: Infinity).',
    );
  const p = visit.precision;
  const stated = springs?.stated ?? true;
  const uniform = p.size === 1 || p.shape.at(-1) === 1;
  const precision = p.size === 1 ? reshape(p, []) : uniform ? p : expand(p, shape);
  return { displacement: visit.displacement, precision, uniform, stated };
}

/** A wish of one's own for an input, as firm as `wish` was stated. */
export function answer(displacement: Tensor, precision: Tensor, { stated }: Wish, from: string): Message {
  const message = spring(displacement, precision, from);
  if (stated) return message;
  const { precision: p, pull, hard, energy } = message.springs!;
  return new Message(null, new Springs(p, pull, hard, false, energy));
}

/** A target given by its pull, precision times displacement, which a sum over samples has at hand. */
export function pulled(pull: Tensor, precision: Tensor, { stated }: Wish): Message {
  const energy = mode.energy ? energyOf(pull, precision) : 0;
  return new Message(null, new Springs(precision, pull, null, stated, energy));
}

/** 1/2 sum p d^2 = 1/2 sum r^2 / p. */
function energyOf(pull: Tensor, precision: Tensor): number {
  const [r, d] = [numbersOf(pull), numbersOf(ratio(pull, precision))];
  let sum = 0;
  for (let i = 0; i < r.length; i++) sum += r[i]! * d[i]!;
  return sum / 2;
}

/** a / b, and a where b is 0: callers pass an a that is 0 there. */
export const ratio = (a: Tensor, b: Tensor): Tensor => div(a, add(b, eq(b, 0)));

/** a / b, and 0 where b is 0, whatever a. */
export const ratioOrZero = (a: Tensor, b: Tensor): Tensor => {
  const none = eq(b, 0);
  return div(mul(a, add(mul(none, -1), 1)), add(b, none));
};

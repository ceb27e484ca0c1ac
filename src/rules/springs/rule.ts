/**
 * What the consistent spring rules share.
 *
 * A rule is consistent if what it sends, read as gradients, is the gradient rule applied to what it received, read as a
 * gradient. Of a spring that fixes the pull: r_x is what the op's own gradient rule makes of r_y = p_y d_y. All that is left to
 * choose is the stiffness p_x, and with it the displacement r_x / p_x that a value is asked for. True curvature, J^T P J, is
 * rarely diagonal and messages are, so each op has to choose a diagonal that it can answer for; `springRule` does the rest.
 *
 * Most choose so that they cannot overshoot: J^T P J <= diag(p_x). Then the springs that are sent lie nowhere below the springs
 * that came: if all values move as they are asked, 1/2 sum p_y (moved - d_y)^2 does not grow.
 *
 * Precisions stay as small as they came (a scalar, [B, 1]) wherever the answer is the same along an axis.
 */
import { Message, Springs } from '../../autograd/message.ts';
import { mode, withRecording } from '../../autograd/modes.ts';
import type { NodeRule } from '../../autograd/rule.ts';
import { describe, type Visit } from '../../autograd/visit.ts';
import { add, div, eq, gt, mul, where } from '../../ops/binary.ts';
import { reshape } from '../../ops/shape.ts';
import { expand, sum } from '../../ops/sum.ts';
import { zeros } from '../../tensor/create.ts';
import { sameShape } from '../../tensor/layout.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';

/**
 * How firmly input number `index` of a node is asked to move if its output is with precision `p` (a scalar, or what broadcasts
 * to the output): something that broadcasts to the input. It has to be linear in p, and 0 only where nothing is pulled.
 */
export type Stiffness = (visit: Visit, p: Tensor, index: number) => Tensor;

/**
 * A consistent rule for springs from a choice of stiffness: each wanted input gets the op's own gradient of the pull, with the
 * precision `stiffness` says. Gradients pass as gradients, so in a graph without targets it is the gradient rule.
 *
 * A hard target is passed on as the limit of ever firmer ones: hard where its p_x is not 0, asking for r_x / p_x.
 *
 *     const halves = springRule('springs of scale', (visit, p) => mul(p, 0.25));
 *     const v = tensor([2, 4]).requiresGrad_();
 *     const half = setRule(mul(v, 0.5), halves);
 *     backward(target(half, tensor([3, 3]), { precision: 8 }));
 *     inboxOf(v).step().toArray(); // [4, 2]
 */
export function springRule(name: string, stiffness: Stiffness): NodeRule {
  return {
    name,
    accepts: 'any',
    surrogate: false,
    propagate(visit) {
      const { slope, springs } = visit.message;
      return visit.inputs.map((input, index) => {
        if (!input.wanted) return null;
        const g = slope && visit.gradientFor(index, slope);
        const sent = springs && springsFor(visit, springs, stiffness, index, name);
        return g === null && sent === null ? null : new Message(g, sent);
      });
    },
  };
}

/** The springs that a stiffness sends to one input. */
export function springsFor(
  visit: Visit,
  { precision, pull, hard, stated }: Springs,
  stiffness: Stiffness,
  index: number,
  name: string,
): Springs | null {
  const r = visit.gradientFor(index, pull);
  if (r === null) return null;
  const p = stiffness(visit, precision, index);
  const energy = mode.energy ? energyOf(p, r) : 0;
  if (hard === null) return new Springs(p, r, null, stated, energy);
  const zero = zeros(r.shape);
  const firmness = add(stiffness(visit, hard.mask, index), zero);
  const towards = visit.gradientFor(index, where(hard.mask, hard.displacement, 0))!;
  const displacement = div(towards, add(firmness, eq(firmness, 0)));
  const from = `${name} at ${describe(visit.node)}, for ${hard.from}`;
  return new Springs(p, r, { mask: gt(firmness, 0), displacement, from }, stated, energy);
}

/** 1/2 sum p d^2 = 1/2 sum r^2 / p, in double precision; where nothing is pulled there is none. */
function energyOf(p: Tensor, r: Tensor): number {
  const [firm, pull] = [numbersOf(withRecording(false, () => expand(p, r.shape))), numbersOf(r)];
  let energy = 0;
  for (let i = 0; i < pull.length; i++) if (pull[i] !== 0) energy += (0.5 * pull[i]! * pull[i]!) / firm[i]!;
  return energy;
}

/**
 * A target for one input, for rules that compute where it should be: `displacement` (of the input's shape), as firmly as `precision`
 * says, hard where `hard` is (null: nowhere). Whether anybody stated a precision is taken over from what came.
 */
export function askFor(
  displacement: Tensor,
  precision: Tensor,
  hard: Tensor | null,
  visit: Visit,
  name: string,
): Message {
  const springs = visit.message.springs!;
  // A displacement may be infinite where nothing is asked: 0 times it would be NaN.
  const pull = where(eq(precision, 0), 0, mul(precision, displacement));
  const whole = sameShape(pull.shape, displacement.shape) ? pull : expand(pull, displacement.shape);
  const from = springs.hard === null ? name : `${name} at ${describe(visit.node)}, for ${springs.hard.from}`;
  const energy = mode.energy ? energyOf(precision, whole) : 0;
  const target = hard === null ? null : { mask: hard, displacement, from };
  return new Message(null, new Springs(precision, whole, target, springs.stated, energy));
}

/**
 * The sum over some axes (kept at size 1) of a precision that broadcasts to `shape`. Where it is the same along an axis it is
 * multiplied by the size: nothing is expanded.
 */
export function summed(p: Tensor, shape: readonly number[], axes: readonly number[]): Tensor {
  const shift = shape.length - p.ndim;
  let count = 1;
  const varying: number[] = [];
  for (const axis of axes)
    if (axis < shift || p.shape[axis - shift] === 1) count *= shape[axis]!;
    else varying.push(axis - shift);
  const total = varying.length === 0 ? p : sum(p, varying, true);
  return count === 1 ? total : mul(total, count);
}

/** A precision of a broadcast result, summed to what broadcasts to the operand of shape `own`. */
export function summedTo(p: Tensor, shape: readonly number[], own: readonly number[]): Tensor {
  const shift = shape.length - own.length;
  const repeated = shape.flatMap((size, axis) =>
    axis < shift || (own[axis - shift] === 1 && size !== 1) ? [axis] : [],
  );
  if (repeated.length === 0) return p;
  const total = summed(p, shape, repeated);
  // Axes in front that the operand does not have are of size 1 by now.
  return total.ndim <= own.length ? total : reshape(total, total.shape.slice(total.ndim - own.length));
}

/**
 * Springs through elementwise ops: of one operand, by the slope of the function; of two, each asked for its share.
 *
 * With y = f(x) and f' its slope, the curvature of 1/2 p (y - t)^2 without f'' (Gauss and Newton's) is p f'^2: a target d becomes
 * d / f', Newton's step for f(x) = t, with p f'^2. Where f' is 0 nothing is sent; where it is infinite (sqrt at 0), the
 * gradient is too, and no number is right. Two operands that can both move are asked for half each, with twice the precision
 * (1/2 p (a + b - d)^2 lies nowhere above 1/2 2p (a - d/2)^2 + 1/2 2p (b - d/2)^2); an operand that stays what it is, a number or a
 * mask, leaves the whole to the other. One that was broadcast sums p and r over what it was repeated to.
 */
import type { NodeRule } from '../../autograd/rule.ts';
import type { Visit } from '../../autograd/visit.ts';
import { div, mul } from '../../ops/binary.ts';
import { reciprocal, square } from '../../ops/elementwise.ts';
import { ones } from '../../tensor/create.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { springRule, summedTo } from './rule.ts';

/** The slope f' of an elementwise op of one operand, at what it read. */
export const slopeAt = (visit: Visit): Tensor => visit.gradientFor(0, ones(visit.output.shape))!;

/**
 * Springs through any differentiable elementwise op of one operand: d / f' with p f'^2, and nothing where f' = 0. For ops of your
 * own too: withRules({ cube: springElementwise() }, ...).
 *
 *     const a = tensor([1, 3]).requiresGrad_();
 *     backward(target(setRule(square(a), springElementwise()), tensor([2, 3]), { precision: 1 }));
 *     inboxOf(a).step().toArray(); // [0.5, -1]
 */
export function springElementwise(): NodeRule {
  return springRule('springElementwise', (visit, p) => mul(p, square(slopeAt(visit))));
}

/** How many of the operands can move. */
const movable = ({ inputs }: Visit): number => inputs.filter(({ wanted }) => wanted).length;

/** A precision for an operand that may have been broadcast, from the one felt at the output. */
const forOperand = (visit: Visit, p: Tensor, index: number): Tensor =>
  summedTo(p, visit.output.shape, visit.inputs[index]!.value.shape);

const shared = (visit: Visit, p: Tensor): Tensor => (movable(visit) === 2 ? mul(p, 2) : p);

/**
 * Springs through `add` and `sub` (a residual connection, a bias): d / 2 with 2 p for each of two operands that can move, d with p
 * for one alone. A broadcast operand sums p and r over its repeats.
 *
 *     const [skip, branch] = [tensor([1, 1]).requiresGrad_(), tensor([2, 4]).requiresGrad_()];
 *     backward(target(setRule(add(skip, branch), springAdd()), tensor([5, 3]), { precision: 1 }));
 *     inboxOf(branch).step().toArray(); // [1, -1]
 */
export function springAdd(): NodeRule {
  return springRule('springAdd', (visit, p, index) => forOperand(visit, shared(visit, p), index));
}

/**
 * Springs through `mul` and `div`: by a constant c, d / c with p c^2 (d c with p / c^2), nothing where c = 0. Of two factors that
 * can move each is asked for half, at the other's present value: springs of a gate.
 *
 *     const v = tensor([1, 2, 3]).requiresGrad_();
 *     const masked = setRule(mul(v, tensor([2, 0, 1])), springMul());
 *     backward(target(masked, tensor([4, 5, 6]), { precision: 1 }));
 *     inboxOf(v).step().toArray(); // [1, 0, 3]
 */
export function springMul(): NodeRule {
  return springRule('springMul', (visit, p, index) => {
    const both = shared(visit, p);
    return forOperand(visit, mul(both, square(slopeOf(visit, index))), index);
  });
}

/** The slope of a product or quotient in one operand, of the shape of the other or of the output. */
function slopeOf({ op, inputs, output }: Visit, index: number): Tensor {
  const [a, b] = inputs.map(({ value }) => value) as [Tensor, Tensor];
  if (op === 'mul') return index === 0 ? b : a;
  if (op === 'div') return index === 0 ? reciprocal(b) : div(output, b);
  throw new Error(`springMul: at ${op}, but it is a rule of mul and div. Use springRule for another op.`);
}

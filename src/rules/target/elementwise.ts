/**
 * Target propagation through monotone activations that have an inverse: the target is moved to what the function can produce,
 * and the input is asked to be the number that produces it, x' = f^-1(t').
 *
 * Bounds that are only reached at infinity (tanh never gives 1) are kept at a distance, the margin. A unit that stands beyond the
 * margin already may stay where it is: a bound never pulls, and a unit that is asked nothing is asked to move by exactly 0.
 */
import { feasible } from '../../autograd/feasible.ts';
import type { NodeRule } from '../../autograd/rule.ts';
import type { Visit } from '../../autograd/visit.ts';
import { add, div, eq, ge, gt, le, lt, maximum, minimum, mul, sub, where } from '../../ops/binary.ts';
import { expm1, log, log1p, neg, square } from '../../ops/elementwise.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { slopeAt } from '../springs/elementwise.ts';
import { askFor } from '../springs/rule.ts';

/** The inverse of a function, and between which bounds, never reached, its values lie. */
interface Inverse {
  readonly low: number;
  readonly high: number;
  inverse(y: Tensor): Tensor;
}

const unbounded = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };

/** The inverse of softplus: log(e^y - 1) = y + log(1 - e^-y), which no y from 0 up overflows. */
const inverseSoftplus = (y: Tensor): Tensor => add(y, log(neg(expm1(neg(y)))));

/** x above 0, `scale` (e^x - 1) below. */
const inverseExponentialUnit = (y: Tensor, above: number, below: number): Tensor =>
  where(gt(y, 0), div(y, above), log1p(div(minimum(y, 0), below)));

/** Scale and negative saturation of selu, as the op has them. */
const seluScale = 1.0507009873554805;
const seluFloor = -1.7580993408473766;

/** By the name of the op, for the attributes of the call. */
const inverses: { readonly [op: string]: (attributes: unknown) => Inverse } = {
  tanh: () => ({ low: -1, high: 1, inverse: (y) => mul(sub(log1p(y), log1p(neg(y))), 0.5) }),
  sigmoid: () => ({ low: 0, high: 1, inverse: (y) => sub(log(y), log1p(neg(y))) }),
  logsigmoid: () => ({ low: unbounded.low, high: 0, inverse: (y) => neg(inverseSoftplus(neg(y))) }),
  softplus: () => ({ low: 0, high: unbounded.high, inverse: inverseSoftplus }),
  exp: () => ({ low: 0, high: unbounded.high, inverse: log }),
  expm1: () => ({ low: -1, high: unbounded.high, inverse: log1p }),
  leakyRelu: (attributes) => {
    const { slope } = attributes as { readonly slope: number };
    if (!(slope > 0)) throw new Error(notMonotone('leakyRelu', 'negativeSlope', slope));
    return { ...unbounded, inverse: (y) => where(gt(y, 0), y, div(y, slope)) };
  },
  elu: (attributes) => {
    const { alpha } = attributes as { readonly alpha: number };
    if (!(alpha > 0)) throw new Error(notMonotone('elu', 'alpha', alpha));
    return { low: -alpha, high: unbounded.high, inverse: (y) => inverseExponentialUnit(y, 1, alpha) };
  },
  selu: () => ({
    low: seluFloor,
    high: unbounded.high,
    inverse: (y) => inverseExponentialUnit(y, seluScale, -seluFloor),
  }),
};

const notMonotone = (op: string, name: string, value: number): string =>
  `targetElementwise: ${op} with ${name} ${value} has no inverse. Give a positive ${name}, or put the rule of relu (targetRelu) or ` +
  'springElementwise() there.';

/** The ops that `targetElementwise` can invert. */
export const invertibleOps: readonly string[] = Object.keys(inverses);

export interface TargetElementwiseOptions {
  /**
   * How far targets stay from bounds that are reached only at infinity, in units of the output; 0.01 unless given. With 0.01 no
   * tanh is asked for an input beyond atanh(0.99) = 2.65. In float32 numbers below 1e-6 are lost beside 1.
   */
  readonly margin?: number;
  /**
   * How firmly the input is asked. 'slope' (the default): by p f'(x)^2, so that a small target pulls as its gradient does, p f' d, and
   * units far in saturation, which would have to move far, do not outvote the others of a batch. 'same': as firmly as the
   * output, whatever the slope; a unit at rest in saturation then insists on being moved.
   */
  readonly precision?: 'same' | 'slope';
}

/**
 * Target propagation's rule for monotone activations with an inverse: tanh, sigmoid, logsigmoid, softplus, exp, expm1, elu, selu and
 * leakyRelu (the last two with a positive parameter). For y = f(x) and a target t:
 *
 *     t' = the nearest value that f produces, `margin` away from bounds (but not further from t than y is)
 *     d  = f^-1(t') - x,   with p f'(x)^2, or p
 *
 * After the input has moved by d the output is t', to rounding. springElementwise() sends d / f' instead, the first step of
 * Newton's method towards this d. A surrogate: the pre-image is not the derivative.
 *
 *     const v = tensor([0, 0, 3]).requiresGrad_();
 *     const y = withRules({ tanh: targetElementwise() }, () => tanh(v));
 *     backward(target(y, tensor([0.5, 2, 2])));
 *     inboxOf(v).step().toArray().map((d) => Math.round(100 * d)); // [55, 265, 0]
 *
 * Papers: Bengio, "How auto-encoders could provide credit assignment in deep networks via target propagation" (2014), for exact
 * inverses of the activation.
 */
export function targetElementwise(options: TargetElementwiseOptions = {}): NodeRule {
  const { margin = 0.01, precision = 'slope' } = options;
  if (!(typeof margin === 'number' && margin > 0 && margin < 0.5))
    throw new Error(
      `targetElementwise: margin is a number above 0 and below 0.5, in units of the output, not ${String(margin)}.`,
    );
  if (precision !== 'same' && precision !== 'slope')
    throw new Error(`targetElementwise: precision is 'slope' or 'same', not ${JSON.stringify(precision)}.`);
  return {
    name: 'targetElementwise',
    accepts: 'target',
    surrogate: true,
    propagate(visit) {
      const function_ = inverses[visit.op]?.(visit.attributes);
      if (function_ === undefined)
        throw new Error(
          `targetElementwise: ${visit.op} is none of the functions with an inverse (${invertibleOps.join(', ')}). springElementwise() is ` +
            'for all that have a slope.',
        );
      if (!visit.inputs[0]!.wanted) return [null];
      const displacement = toPreImage(visit, function_, margin);
      const p = precision === 'same' ? visit.precision : mul(visit.precision, square(slopeAt(visit)));
      return [askFor(displacement, p, visit.message.springs!.hard?.mask ?? null, visit, 'targetElementwise')];
    },
  };
}

/** f^-1(t') - x, and exactly 0 for a unit that is asked nothing, or to go on towards a bound that it is at already. */
function toPreImage(visit: Visit, { low, high, inverse }: Inverse, margin: number): Tensor {
  const { output, displacement: d } = visit;
  const nearest = feasible(output, add(output, d)).value;
  let reachable = nearest;
  let stays = eq(d, 0);
  if (low !== unbounded.low) {
    reachable = maximum(reachable, minimum(output, low + margin));
    stays = maximum(stays, mul(lt(d, 0), le(output, low + margin)));
  }
  if (high !== unbounded.high) {
    reachable = minimum(reachable, maximum(output, high - margin));
    stays = maximum(stays, mul(gt(d, 0), ge(output, high - margin)));
  }
  return where(stays, 0, sub(inverse(reachable), visit.inputs[0]!.value));
}

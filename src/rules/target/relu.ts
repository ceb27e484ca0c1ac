/**
 * Target propagation through relu. Its output is never negative, so a target below 0 is as good as 0, and 0 is what
 * every negative input gives.
 */
import type { NodeRule } from '../../autograd/rule.ts';
import { add, gt, le, minimum, mul, sub, where } from '../../ops/binary.ts';
import { answer, wishOf } from './wish.ts';

export interface TargetReluOptions {
  /**
   * What a unit that is off and should be off is told. 'hold' (published): to stay where it is, as firmly as other
   * units are told where to go; a step with one sample then fulfils its target exactly. 'free': nothing, wherever below
   * 0 it wanders; the samples of a batch that need a weight are not averaged with those that do not care.
   */
  readonly inactive?: 'hold' | 'free';
  /**
   * Whether a unit that is off, at x <= 0, is switched on for a target y' > 0, which moves it by |x| + y'. 'always'
   * (published): however little y' is; a step with one sample then fulfils its target. Over many steps that switched
   * nearly all units on for all images wherever it was measured (MNIST, one and two hidden layers): a network that is
   * linear. 'worthwhile': where y' is more than |x|. 'never': as backpropagation, which sends nothing through a unit
   * that is off.
   */
  readonly awaken?: 'always' | 'worthwhile' | 'never';
}

/**
 * Target propagation's rule for the op 'relu'. For y = max(x, 0) and a target y':  x' = y' where y' > 0;  elsewhere
 * x' = min(x, 0): a unit that is on goes to 0, one that is off stays.
 *
 *     const x = tensor([-2, -2, 3, 3]).requiresGrad_();
 *     const y = withRules({ relu: targetRelu() }, () => relu(x));
 *     backward(target(y, tensor([0, 1, -1, 5])));
 *     inboxOf(x)!.step().toArray();    // [0, 3, -3, 2]
 */
export function targetRelu({ inactive = 'hold', awaken = 'always' }: TargetReluOptions = {}): NodeRule {
  if (inactive !== 'hold' && inactive !== 'free')
    throw new Error(`targetRelu: inactive is 'hold' or 'free', not ${String(inactive)}.`);
  if (awaken !== 'always' && awaken !== 'worthwhile' && awaken !== 'never')
    throw new Error(`targetRelu: awaken is 'always', 'worthwhile' or 'never', not ${String(awaken)}.`);
  return {
    name: 'targetRelu',
    accepts: 'target',
    surrogate: true,
    propagate(visit) {
      const [port] = visit.inputs;
      if (visit.op !== 'relu' || port === undefined)
        throw new Error(`targetRelu: this is a rule for the op relu, and it was put at ${visit.op}.`);
      if (!port.wanted) return [null];
      const wish = wishOf(visit, 'targetRelu');
      const { value: x } = port;
      const wanted = add(visit.output, wish.displacement);
      const above = gt(wanted, 0);
      // Of a unit that is on, x > 0, nothing more is required.
      const on = awaken === 'always' ? above : mul(above, gt(awaken === 'never' ? x : add(wanted, x), 0));
      // y - x is 0 for an active unit: its displacement goes through without rounding.
      const displacement = where(on, add(sub(visit.output, x), wish.displacement), sub(minimum(x, 0), x));
      if (inactive === 'hold') return [answer(displacement, wish.precision, wish, 'targetRelu')];
      const silent = mul(le(x, 0), sub(1, on));
      return [answer(displacement, mul(wish.precision, sub(1, silent)), wish, 'targetRelu')];
    },
  };
}

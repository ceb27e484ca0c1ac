/**
 * Target propagation through softmax and logSoftmax: of the many inputs that give the wanted shares, the one with the mean of the
 * present input.
 */
import { feasible } from '../../autograd/feasible.ts';
import type { NodeRule } from '../../autograd/rule.ts';
import type { Visit } from '../../autograd/visit.ts';
import { add, eq, maximum, minimum, sub, where } from '../../ops/binary.ts';
import { abs, log } from '../../ops/elementwise.ts';
import { amax, mean } from '../../ops/reduce.ts';
import { logSoftmax } from '../../ops/softmax.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { askFor } from '../springs/rule.ts';

export interface TargetSoftmaxOptions {
  /** The smallest share that a target may ask for (unless it is as small already): 0 would need minus infinity. 0.001 unless given. */
  readonly margin?: number;
}

/**
 * Target propagation's rule for `softmax`, and for `logSoftmax`. For y = softmax(x) and a target t of a row:
 *
 *     t' = the nearest shares (at least 0, together 1), none below `margin` (or below its present share), rescaled to sum to 1
 *     d  = log t' - log y, less its mean over the row;  with p
 *
 * After x has moved by d, softmax gives t' (to rounding) and the mean of x is what it was: softmax does not see the mean, so no
 * target can mean it. For logSoftmax t' = logSoftmax(t), without a margin. A row that is asked nothing is asked to
 * move by exactly 0. A surrogate.
 *
 *     const v = tensor([[1, 3]]).requiresGrad_();
 *     const y = withRules({ softmax: targetSoftmax() }, () => softmax(v));
 *     backward(target(y, tensor([[0.5, 0.5]])));
 *     inboxOf(v).step().toArray().flat().map((d) => Math.round(1000 * d)); // [1000, -1000]
 */
export function targetSoftmax({ margin = 1e-3 }: TargetSoftmaxOptions = {}): NodeRule {
  if (!(typeof margin === 'number' && margin > 0 && margin < 0.5))
    throw new Error(`targetSoftmax: margin is a share above 0 and below 0.5, not ${String(margin)}.`);
  return {
    name: 'targetSoftmax',
    accepts: 'target',
    surrogate: true,
    propagate(visit) {
      if (visit.op !== 'softmax' && visit.op !== 'logSoftmax')
        throw new Error(`targetSoftmax: at ${visit.op}, but it is a rule of softmax and logSoftmax.`);
      if (!visit.inputs[0]!.wanted) return [null];
      const hard = visit.message.springs!.hard?.mask ?? null;
      return [askFor(displacementFor(visit, margin), visit.precision, hard, visit, 'targetSoftmax')];
    },
  };
}

function displacementFor(visit: Visit, margin: number): Tensor {
  const { output, op, displacement } = visit;
  if (output.size === 0) return displacement;
  const nearest = feasible(output, add(output, displacement)).value;
  const ratio = op === 'softmax' ? logRatio(nearest, visit, margin) : sub(nearest, output);
  const asked = amax(abs(displacement), -1, true);
  return where(eq(asked, 0), 0, sub(ratio, mean(ratio, -1, true)));
}

/** log t' - log y, up to what makes t' sum to 1, which the mean takes away; 0 where both are 0, which happens to shares below what float32 holds. */
function logRatio(nearest: Tensor, visit: Visit, margin: number): Tensor {
  const { output, inputs } = visit;
  const raised = maximum(nearest, minimum(output, margin));
  const none = eq(raised, 0);
  return where(none, 0, sub(log(where(none, 1, raised)), logSoftmax(inputs[0]!.value)));
}

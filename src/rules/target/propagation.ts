/** Target propagation as one set of rules. */
import type { Rules } from '../../autograd/rule.ts';
import { type TargetLinearOptions, targetLinear } from './linear.ts';
import { targetBinarize, targetWinners } from './outputs.ts';
import { type TargetReluOptions, targetRelu } from './relu.ts';

export interface TargetPropagationOptions extends TargetLinearOptions, TargetReluOptions {}

/**
 * The rules of target propagation, for attachRules and withRules: `targetLinear`, `targetRelu`, `targetWinners`,
 * `targetBinarize`. Without options, as published. Ops that only move numbers (views, cat, gather) carry targets by
 * themselves; other ops need a rule of their own.
 *
 *     const net = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 3));
 *     attachRules(net, targetPropagation());
 *     const logits = net.forward(randn([1, 4]));
 *     backward(oneHotTarget(logits, [2]));
 *     noGrad(() => net.parameters().forEach((w) => w.add_(inboxOf(w)!.step()))); // in full
 */
export function targetPropagation(options: TargetPropagationOptions = {}): Rules {
  return {
    linear: targetLinear(options),
    relu: targetRelu(options),
    winners: targetWinners(),
    binarize: targetBinarize(),
  };
}

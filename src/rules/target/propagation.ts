/** Target propagation as one set of rules. */
import type { Rules } from '../../autograd/rule.ts';
import { targetAdd } from './add.ts';
import { type TargetConvolutionOptions, targetConvolution } from './convolution.ts';
import { invertibleOps, targetElementwise } from './elementwise.ts';
import { type TargetLinearOptions, targetLinear } from './linear.ts';
import { targetLayerNorm } from './normalization.ts';
import { targetBinarize, targetWinners } from './outputs.ts';
import { targetMaxPool } from './pool.ts';
import { type TargetReluOptions, targetRelu } from './relu.ts';
import { targetSoftmax } from './softmax.ts';

export interface TargetPropagationOptions extends TargetLinearOptions, TargetReluOptions {}

/**
 * The rules of target propagation, for attachRules and withRules. Published are `targetLinear`, `targetRelu`, `targetWinners` and
 * `targetBinarize`; without options they are as published. With them come the rules of this library for what its author left open:
 * convolutions (with the linear layer's weighting and relaxation), invertible activations, softmax, max-pooling, sums,
 * layer norm. Ops that only move numbers (views, cat, gather) carry targets by themselves. Any other op reads its target as a
 * gradient.
 *
 *     const net = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 3));
 *     attachRules(net, targetPropagation());
 *     const logits = net.forward(randn([1, 4]));
 *     backward(oneHotTarget(logits, [2]));
 *     noGrad(() => net.parameters().forEach((w) => w.add_(inboxOf(w)!.step()))); // in full
 */
export function targetPropagation(options: TargetPropagationOptions = {}): Rules {
  const { weighting, relaxation, input, stiffness } = options;
  const given = { weighting, relaxation, input, stiffness };
  const shared = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as typeof given;
  const activation = targetElementwise();
  const softmax = targetSoftmax();
  return {
    ...Object.fromEntries(invertibleOps.map((op) => [op, activation])),
    softmax,
    logSoftmax: softmax,
    maxPool2d: targetMaxPool(),
    conv2d: targetConvolution(shared as TargetConvolutionOptions),
    add: targetAdd(),
    layerNorm: targetLayerNorm(),
    linear: targetLinear(options),
    relu: targetRelu(options),
    winners: targetWinners(),
    binarize: targetBinarize(),
  };
}

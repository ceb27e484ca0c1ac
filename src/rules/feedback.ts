/**
 * Feedback alignment and its relatives: the backward pass without the transpose of the forward weights.
 *
 * With a_l = W_l h_{l-1} and h_l = f(a_l), backpropagation sends delta_l = (W_{l+1}^T delta_{l+1}) * f'(a_l). Here W_{l+1} is
 * replaced by another B of its shape; dW_l = delta_l h_{l-1}^T stays. Who B is:
 *
 *     feedbackAlignment    fixed and random
 *     signSymmetric        the signs of W, with magnitudes of its own
 *     kolenPollack         random at first, then moved by the same updates as W, and so towards it
 *
 * Fixed random B works because W turns towards it: after a while B^T delta and W^T delta lie within 90 degrees.
 */
import { receive } from '../autograd/inbox.ts';
import { parameter } from '../autograd/leaf.ts';
import { slope } from '../autograd/message.ts';
import type { Node } from '../autograd/node.ts';
import { calculateFans } from '../nn/init.ts';
import { mul } from '../ops/binary.ts';
import { abs, sign } from '../ops/elementwise.ts';
import type { Generator } from '../random/generator.ts';
import { buffer } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';
import {
  type FeedbackOptions,
  type FeedbackRules,
  feedbackDraw,
  feedbackRules,
  fixedFeedback,
  KeptByWeight,
} from './feedback-weights.ts';

/**
 * Feedback alignment: every linear and conv2d sends its gradient down through fixed random weights in the place of its own.
 * All other ops keep their gradient. Lillicrap et al., "Random synaptic feedback weights support error backpropagation for deep
 * learning" (2016).
 *
 *     const net = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 3));
 *     const rules = feedbackAlignment({ generator: new Generator(1) });
 *     attachRules(net, rules);
 *     crossEntropy(net.forward(randn([2, 4])), [0, 2]).backward();
 *     rules.linear.feedbackOf(net.parameters()[2]).shape; // [3, 8]
 *
 * @throws in backward, where a layer's weight is itself computed (tied, masked): B is kept for parameters
 */
export function feedbackAlignment(options: FeedbackOptions = {}): FeedbackRules {
  const kept = fixedFeedback('feedback alignment', options);
  const feedback = (weight: Tensor): Tensor => kept.of(weight);
  return feedbackRules('feedback alignment', feedback, feedback);
}

export interface SignSymmetricOptions {
  /**
   * Where the magnitudes come from. uniform: one for all, the standard deviation of a layer's initial weights,
   * 1 / sqrt(3 fanIn) (uSF). batchwise-random: drawn anew for each walk (brSF). fixed-random: drawn once (frSF). Default: uniform.
   */
  readonly variant?: 'uniform' | 'batchwise-random' | 'fixed-random';
  /** Factor on the magnitudes; 1 unless given. */
  readonly scale?: number | undefined;
  /** Where random magnitudes are drawn from; the default generator unless given. */
  readonly generator?: Generator | undefined;
}

/**
 * Sign-symmetric feedback: B has the signs of W as they are now (0 where W is 0), and magnitudes that W does not know.
 * Liao, Leibo and Poggio, "How important is weight symmetry in backpropagation?" (2016), uSF, brSF and frSF; magnitudes scaled
 * like initial weights as in Xiao et al., "Biologically-plausible learning algorithms can scale to large datasets" (2019).
 *
 *     attachRules(model, signSymmetric({ variant: 'uniform' }));
 */
export function signSymmetric({ variant = 'uniform', scale = 1, generator }: SignSymmetricOptions = {}): FeedbackRules {
  const name = 'sign-symmetric feedback';
  const draw = feedbackDraw(name, { scale, generator });
  if (variant === 'uniform') {
    const feedback = (weight: Tensor): Tensor =>
      mul(sign(weight), scale / Math.sqrt(3 * calculateFans(weight.shape).fanIn));
    return feedbackRules(name, feedback, feedback);
  }
  if (variant !== 'batchwise-random' && variant !== 'fixed-random')
    throw new Error(`signSymmetric: variant is uniform, batchwise-random or fixed-random, not ${String(variant)}.`);
  // The walk in which the magnitudes were drawn: a weight that is used twice in it has one B.
  const kept = new KeptByWeight(name, ({ shape }) => ({ walk: 0, magnitudes: buffer(abs(draw(shape))) }));
  const feedbackOf = (weight: Tensor): Tensor => mul(sign(weight), kept.of(weight).magnitudes);
  return feedbackRules(
    name,
    (weight, { node }) => {
      const own = kept.of(weight);
      if (variant === 'batchwise-random' && own.walk !== node.reachedBy) {
        if (own.walk !== 0) own.magnitudes = buffer(abs(draw(weight.shape)));
        own.walk = node.reachedBy;
      }
      return feedbackOf(weight);
    },
    feedbackOf,
  );
}

/**
 * Kolen and Pollack's rule: B starts at random and gets the same updates as W, dB = dW, and the same decay; then
 * B - W shrinks with every step, though neither ever sees the other. Kolen and Pollack, "Backpropagation without weight
 * transport" (1994); Akrout et al., "Deep learning without weight transport" (2019), section 3.
 *
 * Each B is a parameter, and backward sends it the gradient of its W. Give it to the same optimizer as W, with weight decay:
 *
 *     const rules = kolenPollack({ generator: new Generator(1) });
 *     attachRules(model, rules);
 *     const weights = model.parameters().filter((p) => p.ndim > 1);
 *     const mirrors = weights.map((weight) => rules.linear.feedbackOf(weight));
 *     const optimizer = new SGD([...model.parameters(), ...mirrors], { lr: 0.1, momentum: 0.9, weightDecay: 1e-3 });
 *
 * An optimizer that does not hold B leaves it as it is, which is feedback alignment. `gradients(loss, [weight])` adds to B's `.grad`
 * too: clear it (zeroGrad) before the next backward.
 */
export function kolenPollack(options: FeedbackOptions = {}): FeedbackRules {
  const name = 'Kolen-Pollack';
  const draw = feedbackDraw(name, options);
  const kept = new KeptByWeight(name, ({ shape }) => parameter(draw(shape)));
  const feedback = (weight: Tensor): Tensor => kept.of(weight);
  return feedbackRules(name, feedback, feedback, (weight, gradient) => {
    receive(kept.of(weight).node as Node, slope(gradient));
  });
}

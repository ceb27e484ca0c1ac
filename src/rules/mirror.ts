/**
 * The weight mirror: feedback weights that learn what the forward weights are, from noise sent through the layer.
 *
 * With noise x of mean 0 and variance s^2 on its input, a layer without bias gives y = W x, and the products of what goes in
 * and what comes out average to E[y x^T] = s^2 W. So B, moved along such products, turns towards W, and neither is ever read by
 * the other. Akrout et al., "Deep learning without weight transport" (2019), section 4.
 */
import type { AnyOp, GradientRule } from '../autograd/define.ts';
import { noGrad } from '../autograd/modes.ts';
import { buffer } from '../tensor/create.ts';
import { randn } from '../tensor/random.ts';
import type { Tensor } from '../tensor/tensor.ts';
import {
  type FeedbackOptions,
  type FeedbackRule,
  type FeedbackRules,
  feedbackDraw,
  feedbackRules,
  KeptByWeight,
} from './feedback-weights.ts';

export interface MirrorStep {
  /** How far B goes along the mean product of one batch of noise; 0.1 unless given. */
  readonly rate?: number;
  /** Share of B that is forgotten; as much as `rate` unless given, and then B comes to have the size of W. */
  readonly decay?: number;
}

export interface MirrorRule extends FeedbackRule {
  /**
   * One batch of noise through the layer of this weight, of the shape of the input that it met last, and one step of its B. Before the
   * first backward through the layer it is an error: nothing is known of its input.
   */
  mirror(weight: Tensor, step?: MirrorStep): void;
}

/** A layer as it was met last. */
interface Met {
  readonly op: AnyOp;
  readonly attributes: unknown;
  readonly shape: readonly number[];
}

/**
 * Feedback alignment whose B is learned by mirroring: between steps of training, let each layer hear noise.
 *
 *     const net = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 3));
 *     const rules = weightMirror({ generator: new Generator(1) });
 *     attachRules(net, rules);
 *     crossEntropy(net.forward(randn([32, 4])), new Int32Array(32)).backward();
 *     rules.linear.mirror(net.parameters()[2], { rate: 0.1 });
 *
 * The products at the borders of a padded convolution lack the pixels outside, so B's outer taps come out somewhat smaller.
 */
export function weightMirror(options: FeedbackOptions = {}): FeedbackRules<MirrorRule> {
  const name = 'weight mirror';
  const draw = feedbackDraw(name, options);
  const kept = new KeptByWeight(name, ({ shape }) => ({ feedback: buffer(draw(shape)), met: null as Met | null }));
  const { linear } = feedbackRules(
    name,
    (weight, { node, inputs }) => {
      const own = kept.of(weight);
      own.met = { op: node.op!, attributes: node.attributes, shape: inputs[0]!.value.shape };
      return own.feedback;
    },
    (weight) => kept.of(weight).feedback,
  );
  const { generator } = options;
  const rule: MirrorRule = {
    ...linear,
    mirror(weight, { rate = 0.1, decay = rate } = {}) {
      const { feedback, met } = kept.of(weight);
      if (met === null)
        throw new Error(
          'weightMirror: this layer sent nothing down yet, so its input is not known. Call backward first.',
        );
      noGrad(() => {
        const x = randn(met.shape, { generator });
        const y = met.op.forward([x, weight], met.attributes, null);
        const gradient = met.op.gradient as GradientRule<readonly Tensor[], unknown>;
        const products = gradient({ inputs: [x, weight], attributes: met.attributes, output: y, saved: null }, y, 1)!;
        // One product for each row of a linear layer, for each place of a convolution.
        const count = y.size / weight.shape[0]!;
        feedback.copy_(feedback.mul(1 - decay).add(products.mul(rate / count)));
      });
    },
  };
  return { linear: rule, conv2d: rule };
}

/**
 * What the feedback family shares: fixed random weights B, kept by the weight they stand for, and the rule that sends a
 * layer's gradient through such a B in the place of its W.
 *
 * A layer y = W x + b (linear, or convolution of any geometry) sends its input W^T g. With B in W's place it sends B^T g,
 * computed by the op's own gradient rule, so strides, padding, dilation and groups are what they are. The gradients of W and b
 * are the ordinary ones, of whatever g arrived.
 */
import type { GradientRule } from '../autograd/define.ts';
import { slope } from '../autograd/message.ts';
import type { NodeRule } from '../autograd/rule.ts';
import type { Visit } from '../autograd/visit.ts';
import { kaimingUniform } from '../nn/init.ts';
import type { Generator } from '../random/generator.ts';
import { buffer } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';

export interface FeedbackOptions {
  /** Factor on the feedback weights as drawn; 1 unless given. */
  readonly scale?: number | undefined;
  /** Where they are drawn from; the default generator unless given. */
  readonly generator?: Generator | undefined;
  /**
   * Draws feedback weights of a shape in the place of the default, U(+-1 / sqrt(fanIn)): what Linear and Conv2d start with.
   * It is copied.
   */
  readonly initial?: ((shape: readonly number[]) => Tensor) | undefined;
}

/** A rule for linear and conv2d that keeps feedback weights. */
export interface FeedbackRule extends NodeRule {
  /**
   * The feedback weights that stand for a weight, of the weight's shape: what the rule itself reads. They are drawn when they are
   * first needed, so the order of first uses decides who gets which numbers. Writing into them (noGrad, copy_) sets them.
   */
  feedbackOf(weight: Tensor): Tensor;
}

/** Rules for linear and conv2d that share their feedback weights: for attachRules and withRules. */
export type FeedbackRules<Kind extends NodeRule = FeedbackRule> = { readonly linear: Kind; readonly conv2d: Kind };

/** Draws feedback weights as the options say. */
export function feedbackDraw(
  who: string,
  { scale = 1, generator, initial }: FeedbackOptions,
): (shape: readonly number[]) => Tensor {
  if (!Number.isFinite(scale)) throw new Error(`${who}: scale is a finite number, not ${scale}.`);
  return (shape) => {
    const drawn = initial === undefined ? kaimingUniform(shape, { a: Math.sqrt(5), generator }) : initial(shape);
    checkTensor(`${who}: initial`, drawn);
    if (!sameShape(drawn.shape, shape))
      throw new Error(
        `${who}: initial made shape ${showShape(drawn.shape)}; feedback weights of ${showShape(shape)} are needed.`,
      );
    return scale === 1 ? drawn : drawn.mul(scale);
  };
}

/** Something kept for each weight, made when it is first asked for; it goes with the weight. */
export class KeptByWeight<Value> {
  readonly #who: string;
  readonly #make: (weight: Tensor) => Value;
  readonly #kept = new WeakMap<Tensor, Value>();

  constructor(who: string, make: (weight: Tensor) => Value) {
    this.#who = who;
    this.#make = make;
  }

  of(weight: Tensor): Value {
    const found = this.#kept.get(weight);
    if (found !== undefined) return found;
    checkTensor(this.#who, weight);
    if (weight.node !== null && weight.node.op !== null)
      throw new Error(
        `${this.#who}: the weight of shape ${showShape(weight.shape)} was computed by ${weight.node.op.name}, anew for each step, and ` +
          'feedback weights are kept for parameters. Let the layer read the parameter itself, or give this layer another rule.',
      );
    const made = this.#make(weight);
    this.#kept.set(weight, made);
    return made;
  }
}

/** Fixed random weights of the weight's shape, in memory for good. */
export function fixedFeedback(who: string, options: FeedbackOptions): KeptByWeight<Tensor> {
  const draw = feedbackDraw(who, options);
  return new KeptByWeight(who, ({ shape }) => buffer(draw(shape)));
}

/** The weight of a layer, or a sentence that this is none. */
export function weightOf(who: string, { node, inputs }: Visit): Tensor {
  const weight = inputs[1];
  if (node.op!.data !== 1 || weight === undefined)
    throw new Error(
      `${who}: the rule stands at ${node.op!.name}, which is no layer with a weight. It is for linear and conv2d; ops between them keep ` +
        'their own gradient.',
    );
  return weight.value;
}

/** What the layer's own gradient rule sends to its data if B were its weight. */
export function gradientThrough({ node }: Visit, feedback: Tensor, g: Tensor): Tensor | null {
  const { op, inputs, attributes, output, saved } = node;
  const { gradient } = op as { gradient: GradientRule<readonly Tensor[], unknown> };
  return gradient({ inputs: inputs.with(1, feedback), attributes, output, saved }, g, 0);
}

/** The rules of a family in which B stands in W's place on the way down. */
export function feedbackRules(
  name: string,
  /** B for this visit. */
  feedback: (weight: Tensor, visit: Visit) => Tensor,
  feedbackOf: (weight: Tensor) => Tensor,
  /** Told the gradient of the weight, if there is one. */
  learned: (weight: Tensor, gradient: Tensor) => void = () => undefined,
): FeedbackRules {
  const rule: FeedbackRule = {
    name,
    accepts: 'gradient',
    surrogate: true,
    feedbackOf,
    propagate(visit) {
      const weight = weightOf(name, visit);
      const g = visit.gradient;
      return visit.inputs.map(({ wanted }, i) => {
        if (!wanted) return null;
        const sent = i === 0 ? gradientThrough(visit, feedback(weight, visit), g) : visit.gradientFor(i, g);
        if (i === 1 && sent !== null) learned(weight, sent);
        return sent && slope(sent);
      });
    },
  };
  return { linear: rule, conv2d: rule };
}

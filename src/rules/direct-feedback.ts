/**
 * Direct feedback: every layer hears of the outcome through random weights of its own, and of nothing else.
 *
 * With e the error at the output (direct feedback alignment) or y the label (direct random target projection), a layer's data
 * input gets e B or y B, whatever arrived at the layer's output; the ops between layers then do what they always do with
 * it, so delta_l = (e B_l) * f'(a_l). B is [classes, elements of one sample of the input], fixed. The weights' own gradients
 * are ordinary. The last layer learns from the loss itself.
 */
import { slope } from '../autograd/message.ts';
import type { NodeRule } from '../autograd/rule.ts';
import type { Visit } from '../autograd/visit.ts';
import { kaimingUniform } from '../nn/init.ts';
import { matmul } from '../ops/matmul.ts';
import { reshape } from '../ops/shape.ts';
import { buffer, zeros } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type FeedbackOptions, type FeedbackRules, feedbackDraw, KeptByWeight, weightOf } from './feedback-weights.ts';

export interface DirectOptions extends FeedbackOptions {
  /** The name under which backward is given the signal, a tensor [batch, classes]. */
  readonly broadcast?: string;
}

/** A rule for linear and conv2d that projects a broadcast signal. */
export interface DirectRule extends NodeRule {
  /**
   * The projection that belongs to the layer of this weight, [classes, elements of one sample of the layer's input]; null before the
   * first backward through the layer, which is when the sizes are known. A layer that met inputs of several sizes has one for each,
   * and this is the newest.
   */
  feedbackOf(weight: Tensor): Tensor | null;
}

/** The projections of one weight, by size. */
interface Projections {
  readonly bySize: Map<string, Tensor>;
  newest: Tensor | null;
}

function directRules(
  name: string,
  who: string,
  broadcast: string,
  draw: (shape: readonly number[]) => Tensor,
): FeedbackRules<DirectRule> {
  const kept = new KeptByWeight<Projections>(name, () => ({ bySize: new Map(), newest: null }));
  const project = (visit: Visit): Tensor => {
    const weight = weightOf(name, visit);
    const { shape, size } = visit.inputs[0]!.value;
    const signal = visit.broadcast(broadcast);
    const samples = signal.shape[0];
    // An empty batch: there is nothing to project, and no sample to see the sizes by.
    if (samples === 0 && shape[0] === 0) return zeros(shape);
    if (signal.ndim === 0 || samples === 0 || shape[0]! % samples! !== 0)
      throw new Error(
        `${who}: the broadcast '${broadcast}' has shape ${showShape(signal.shape)}, and the layer (${visit.op}) reads ${showShape(shape)}. The ` +
          'signal is [batch, classes], one row for each sample that the layer reads.',
      );
    const rows = reshape(signal, [samples!, signal.size / samples!]);
    const needed = [rows.shape[1]!, size / samples!];
    const { bySize } = kept.of(weight);
    const key = needed.join();
    let projection = bySize.get(key);
    if (projection === undefined) {
      projection = buffer(draw(needed));
      bySize.set(key, projection);
    }
    kept.of(weight).newest = projection;
    return reshape(matmul(rows, projection), shape);
  };
  const rule: DirectRule = {
    name,
    accepts: 'gradient',
    surrogate: true,
    feedbackOf: (weight) => kept.of(weight).newest,
    propagate(visit) {
      const g = visit.gradient;
      return visit.inputs.map(({ wanted }, i) => {
        if (!wanted) return null;
        const sent = i === 0 ? project(visit) : visit.gradientFor(i, g);
        return sent && slope(sent);
      });
    },
  };
  return { linear: rule, conv2d: rule };
}

/**
 * Direct feedback alignment: the error at the output goes to every hidden layer through a fixed random matrix.
 * Nokland, "Direct feedback alignment provides learning in deep neural networks" (2016), equation 7.
 *
 *     const net = new Sequential(new Linear(4, 8), new Tanh(), new Linear(8, 8), new Tanh(), new Linear(8, 3));
 *     attachRules(net, directFeedbackAlignment({ generator: new Generator(1) }));
 *     const logits = net.forward(randn([2, 4]));
 *     backward(crossEntropy(logits, [0, 2]), { broadcast: { error: errorAt(logits) } });
 *
 * errorAt names the value whose gradient is the error: the logits, which every walk meets before the hidden layers. B is drawn
 * from U(+-1 / sqrt(n)), n the elements of one sample of the layer's input, as feedback alignment draws that of an output layer.
 * A value that several layers read gets the sum of what they send.
 */
export function directFeedbackAlignment({
  broadcast = 'error',
  ...options
}: DirectOptions = {}): FeedbackRules<DirectRule> {
  const who = 'directFeedbackAlignment';
  return directRules('direct feedback alignment', who, broadcast, feedbackDraw(who, options));
}

/**
 * Direct random target projection: the label itself, one-hot, goes to every hidden layer through a fixed random matrix, and stands
 * there where the gradient would; neither an error nor the layers above are waited for. In classification the label says
 * which sign the error has. Frenkel, Lefebvre and Bol, "Learning without feedback: fixed random learning signals allow for feedforward training of
 * deep neural networks" (2021); sign (the gradient is + y B) and distribution (uniform, +-sqrt(6 / n)) are those of its authors' code.
 *
 *     const net = new Sequential(new Linear(4, 8), new Tanh(), new Linear(8, 3));
 *     attachRules(net, directRandomTargetProjection({ generator: new Generator(1) }));
 *     const labels = [0, 2];
 *     const loss = crossEntropy(net.forward(randn([2, 4])), labels);
 *     backward(loss, { broadcast: { label: oneHot(labels, 3).div(labels.length) } });
 *
 * What is broadcast is projected as it is: beside a mean loss over a batch divide it by the batch size, so that the hidden layers' sums over
 * samples are means too. (With Adam, which does not mind factors, the authors leave it out.)
 */
export function directRandomTargetProjection({
  broadcast = 'label',
  ...options
}: DirectOptions = {}): FeedbackRules<DirectRule> {
  const who = 'directRandomTargetProjection';
  const { generator } = options;
  const initial = (shape: readonly number[]): Tensor => kaimingUniform(shape, { generator });
  return directRules('direct random target projection', who, broadcast, feedbackDraw(who, { initial, ...options }));
}

/**
 * Target propagation through linear layers: the published rule, and what can be varied in it.
 *
 * Published, for y = x W^T + b, a target y' = y + dy and a batch of B samples, O neurons:
 *
 *     x'  = x + 1/O dy W                               what the layer asks of its input
 *     x'' = the producible value nearest to where all consumers together want x: the settled input
 *     dW  = mean over samples of r x'' / |x''|^2,      r = y' - x'' W^T - b
 *
 * applied in full (an infinite learning rate). One such step with one sample makes a network of these layers and relus
 * output its target on that sample: each layer is made to emit the x'' for which the layer above was made right.
 */
import type { NodeRule } from '../../autograd/rule.ts';
import type { Visit } from '../../autograd/visit.ts';
import { sub } from '../../ops/binary.ts';
import { linear } from '../../ops/matmul.ts';
import { kindOf, Tensor } from '../../tensor/tensor.ts';
import { askInput, type Signal, signals } from './signal.ts';
import { type Anchor, type Cap, type Plasticity, type Pulled, type WeightStep, weightStep } from './weight-step.ts';
import { answer, pulled, wishOf } from './wish.ts';

export interface TargetLinearOptions {
  /**
   * What the layer asks of its input: 'mean' (published), 'sum', 'perNeuronNorm', 'ridge' or 'safe' (signal.ts has the
   * formulas). The mean shrinks by |W|^2 / O in each layer: take 'ridge' or 'sum' for more than one hidden layer.
   */
  readonly signal?: Signal;
  /** Damping of the signal 'ridge', relative to the mean of |w_o|^2; 0.1 unless given. */
  readonly ridge?: number;
  /**
   * How much the samples of a batch count among each other, besides the precision of their targets. 'equal'
   * (published): alike. 'natural': by |x''|^2, which makes the pull on the weight the gradient of 1/2 p |r|^2, so that
   * a damped step (a finite learning rate) is a proximal gradient step; with an infinite one no step overshoots. A
   * sample with a small input no longer moves the weight as far as one with a large one.
   */
  readonly weighting?: 'equal' | 'natural';
  /**
   * Share of what is missing that a step makes up for, from 0 to 2; 1 unless given. Steps of 1 forget: each sample is
   * fitted in full, noise included. The error in which such steps end up is about mu / (2 - mu) of what cannot be
   * fitted (NLMS).
   */
  readonly relaxation?: number;
  /** Bounds how far one sample may move a neuron; none unless given. */
  readonly cap?: Cap;
  /**
   * How easily each weight gives way: the change is the least one in the metric sum dW^2 / plasticity, and still does
   * all that was asked: dW = plasticity x r / <x, plasticity x>. Sticky weights: what changed lately, or matters
   * elsewhere, stays. A tensor of the weight's shape (the bias then has 1), or a function of weight and bias.
   */
  readonly plasticity?: Plasticity;
  /**
   * A pull 1/2 strength importance (w - at)^2 towards earlier values, weighed against the change in the same metric;
   * the sample is still fitted exactly. null for a parameter without anchor.
   */
  readonly anchor?: (parameter: Tensor) => Anchor | null;
  /**
   * Fulfils the samples of a batch together, by the least change of all: dW = R^T (X X^T + ridge tr / B I)^-1 X. Exact
   * with ridge 0 if there are no more samples than inputs; it then fits noise as well. The mean of single changes fits
   * none.
   */
  readonly block?: { readonly ridge: number };
  /**
   * The input for which the weights are made right. 'settled' (published): where the input's consumers together want
   * it, x''. 'forward': as it was. Layers then do not count on each other's change.
   */
  readonly input?: 'settled' | 'forward';
  /**
   * 1 / step size of the output, where a gradient arrives and has to be read as a target. Default: that of `backward`.
   */
  readonly stiffness?: number;
}

/**
 * Target propagation's rule for the op 'linear'; the published one without options. It accepts targets, sends targets,
 * and its weights learn when their input has settled.
 *
 *     const weight = parameter(tensor([[1, 0, 1]]));
 *     const x = tensor([[1, 2, 2]]);
 *     const y = withRules({ linear: targetLinear() }, () => linear(x, weight));
 *     backward(target(y, tensor([[12]])));
 *     inboxOf(weight)!.step().toArray();    // [[1, 2, 2]]
 *
 * A surrogate, except with { input: 'forward', weighting: 'natural' } and one of the signals 'mean', 'sum' and 'safe':
 * what it sends, read as gradients, is then the gradient.
 *
 * @throws where a hard target arrives: it has no share among several samples
 */
export function targetLinear(options: TargetLinearOptions = {}): NodeRule {
  const { signal = 'mean', ridge = 0.1, weighting = 'equal', relaxation = 1, input = 'settled', stiffness } = options;
  const { cap = null, plasticity = null, anchor = null, block = null } = options;
  const step: WeightStep = { weighting, relaxation, cap, plasticity, anchor, block };
  check(signal, ridge, input, step);
  const plain = relaxation === 1 && cap === null && plasticity === null && anchor === null && block === null;
  const consistent =
    plain && input === 'forward' && weighting === 'natural' && (['mean', 'sum', 'safe'] as Signal[]).includes(signal);
  return {
    name: 'targetLinear',
    accepts: 'target',
    surrogate: !consistent,
    ...(stiffness === undefined ? {} : { stiffness }),
    propagate(visit) {
      const { x, weight, rest } = portsOf(visit);
      if (!x.wanted) return [null, null, ...rest];
      const wish = wishOf(visit, 'targetLinear');
      const { displacement, precision } = askInput(signal, weight.value, wish, ridge);
      return [answer(displacement, precision, wish, 'targetLinear'), null, ...rest];
    },
    learn(visit) {
      const { x, weight, bias, rest } = portsOf(visit);
      const learned = { weight: weight.wanted ? weight.value : null, bias: bias?.wanted ? bias.value : null };
      if (learned.weight === null && learned.bias === null) return [null, null, ...rest];
      const wish = wishOf(visit, 'targetLinear');
      const at = input === 'forward' ? x.value : x.settled(visit.stiffness);
      const { displacement: dy } = wish;
      // y' - x'' W^T - b, from the differences: y' and x'' W^T may agree in most of their digits.
      const missing = at === x.value ? dy : sub(dy, linear(sub(at, x.value), weight.value));
      const asked = weightStep(at, missing, wish, learned, step);
      const message = (one: Pulled | null) => one && pulled(one.pull, one.precision, wish);
      return [null, message(asked.weight), ...rest.map(() => message(asked.bias))];
    },
  };
}

function portsOf({ op, inputs }: Visit) {
  if (op !== 'linear')
    throw new Error(
      `targetLinear: this is a rule for the op linear, and it was put at ${op}. Name the op: { linear: ... }.`,
    );
  const [x, weight, bias = null] = inputs;
  return { x: x!, weight: weight!, bias, rest: bias === null ? [] : [null] };
}

function check(signal: Signal, ridge: number, input: string, step: WeightStep): void {
  const oneOf = (name: string, value: string, choices: readonly string[]): void => {
    if (!choices.includes(value))
      throw new Error(`targetLinear: ${name} is one of ${choices.join(', ')}, not ${String(value)}.`);
  };
  const number = (name: string, value: number, fits: boolean, range: string): void => {
    if (typeof value !== 'number' || !fits)
      throw new RangeError(`targetLinear: ${name} is a number ${range}, not ${String(value)}.`);
  };
  const { weighting, relaxation, cap, plasticity, anchor, block } = step;
  oneOf('signal', signal, signals);
  oneOf('weighting', weighting, ['equal', 'natural']);
  oneOf('input', input, ['settled', 'forward']);
  number('ridge', ridge, ridge >= 0 && ridge < Infinity, 'of at least 0');
  number('relaxation', relaxation, relaxation >= 0 && relaxation <= 2, 'from 0 to 2 (beyond 2 errors grow)');
  if (cap !== null) {
    oneOf('the form of a cap', cap.form, ['PA-I', 'PA-II']);
    number('the aggressiveness of a cap', cap.aggressiveness, cap.aggressiveness > 0, 'above 0');
  }
  if (block !== null) {
    number('the ridge of a block', block.ridge, block.ridge >= 0 && block.ridge < Infinity, 'of at least 0');
    if (cap !== null || plasticity !== null || anchor !== null)
      throw new Error(
        'targetLinear: block solves for all samples at once; cap, plasticity and anchor are about one. Leave them out.',
      );
  }
  if (plasticity !== null && typeof plasticity !== 'function' && !(plasticity instanceof Tensor))
    throw new Error(`targetLinear: plasticity is a tensor or a function of the parameter, not ${kindOf(plasticity)}.`);
}

/**
 * Target propagation through convolutions: the rule of linear layers on patches. A convolution is a linear layer that is applied to
 * the patch around each position, so each position of each image is a sample of its own.
 *
 * A pixel lies in many patches: what they ask is averaged over all neurons and positions that read it. A filter is shared by all
 * positions: its change is averaged over them. Patches are never copied out: W^T dy and the sums of r x over patches are
 * the convolution's own two gradients, and |x|^2 of all patches is a convolution of x^2 with ones.
 */
import type { NodeRule } from '../../autograd/rule.ts';
import type { Visit } from '../../autograd/visit.ts';
import { add, mul, ne, sub } from '../../ops/binary.ts';
import { type ConvolutionGeometry, conv2d } from '../../ops/convolution.ts';
import { clamp, square } from '../../ops/elementwise.ts';
import { reshape } from '../../ops/shape.ts';
import { expand, sum } from '../../ops/sum.ts';
import { constant } from '../../tensor/create.ts';
import { alongNeurons, convolutionProduct, overSamples } from '../springs/products.ts';
import type { Cap } from './weight-step.ts';
import { answer, pulled, ratio, ratioOrZero, type Wish, wishOf } from './wish.ts';

const { gathered, heard, rowSizes, backThroughSizes, outer } = convolutionProduct;

const signals = ['mean', 'sum', 'perNeuronNorm', 'safe'] as const;

export interface TargetConvolutionOptions {
  /**
   * What the layer asks of its input. With n the neurons that read a pixel, over all positions: 'mean' (the default), 1/n sum dy w with
   * precision sum p; 'sum', sum dy w with the mean of p, backpropagation's signal; 'perNeuronNorm', 1/n sum dy w / |w|^2;
   * 'safe', the diagonal above W^T P W, which cannot overshoot.
   */
  readonly signal?: (typeof signals)[number];
  /** How much patches count among each other: alike ('equal', the default), or by |x''|^2 ('natural'). */
  readonly weighting?: 'equal' | 'natural';
  /** Share of what is missing that a step makes up for, from 0 to 2; 1 unless given. */
  readonly relaxation?: number;
  /**
   * Bounds how far one patch may move a filter. PA-II with aggressiveness 1 unless given, r x'' / (|x''|^2 + 1/2): the patches of a
   * background hold almost nothing, and without a cap they would ask for huge filters. null: none.
   */
  readonly cap?: Cap | null;
  /** The input for which the filters are made right: where its consumers want it ('settled', the default), or as it was. */
  readonly input?: 'settled' | 'forward';
  /** 1 / step size of the output, where a gradient arrives and has to be read as a target. Default: that of `backward`. */
  readonly stiffness?: number;
}

/**
 * Target propagation's rule for the op 'conv2d': `targetLinear` for each patch, with sharing.
 *
 *     x'  = x + 1/n sum dy_o w_o over the n neurons (of all positions) that read a pixel
 *     dW  = mean over images and positions of r x'' / (|x''|^2 + 1 / (2 C)),   r = y' - conv2d(x'', W)
 *
 * with |x''|^2 of the patch, plus 1 for a bias that learns. A patch of zeros counts nothing. A surrogate, except with { input: 'forward',
 * weighting: 'natural', cap: null } and one of the signals 'mean', 'sum' and 'safe'.
 *
 *     const filters = tensor([[[[1, 1]]]]).requiresGrad_();
 *     const y = withRules({ conv2d: targetConvolution({ cap: null }) }, () => conv2d(tensor([[[[3, 4]]]]), filters));
 *     backward(target(y, tensor([[[[57]]]])));
 *     inboxOf(filters).step().toArray(); // [[[[6, 8]]]]
 *
 * @throws where a hard target arrives: it has no share among several positions
 */
export function targetConvolution(options: TargetConvolutionOptions = {}): NodeRule {
  const { signal = 'mean', weighting = 'equal', relaxation = 1, input = 'settled', stiffness } = options;
  const { cap = { form: 'PA-II', aggressiveness: 1 } } = options;
  check(signal, weighting, relaxation, input, cap);
  const consistent =
    input === 'forward' && weighting === 'natural' && cap === null && relaxation === 1 && signal !== 'perNeuronNorm';
  return {
    name: 'targetConvolution',
    accepts: 'target',
    surrogate: !consistent,
    ...(stiffness === undefined ? {} : { stiffness }),
    propagate(visit) {
      const nothing = visit.inputs.map(() => null);
      if (!isConvolution(visit).inputs[0]!.wanted) return nothing;
      const wish = wishOf(visit, 'targetConvolution');
      const { displacement, precision } = askImage(visit, wish, signal);
      return [answer(displacement, precision, wish, 'targetConvolution'), ...nothing.slice(1)];
    },
    learn(visit) {
      const [x, weight, bias] = isConvolution(visit).inputs;
      if (!weight!.wanted && bias?.wanted !== true) return visit.inputs.map(() => null);
      const wish = wishOf(visit, 'targetConvolution');
      const at = input === 'forward' ? x!.value : x!.settled(visit.stiffness);
      const { groups, stride, padding, dilation } = visit.attributes as ConvolutionGeometry;
      const { displacement: dy } = wish;
      const missing =
        at === x!.value
          ? dy
          : sub(dy, conv2d(sub(at, x!.value), weight!.value, null, { groups, stride, padding, dilation }));

      // |x''|^2 of each patch, and 1 for the constant that a bias is a weight on.
      const constants = bias?.wanted === true ? 1 : 0;
      const size = add(weight!.wanted ? gathered(visit, square(at)) : constant(0), constants);
      const softened = cap?.form === 'PA-II' ? add(size, 1 / (2 * cap.aggressiveness)) : size;
      const able = ne(size, 0);
      const counts = mul(wish.precision, weighting === 'natural' ? mul(softened, able) : able);
      const factor = ratio(missing, softened);
      const held = cap?.form === 'PA-I' ? clamp(factor, -cap.aggressiveness, cap.aggressiveness) : factor;
      const weighed = mul(mul(counts, held), relaxation);
      const precision = overSamples(counts, visit);
      const pulls = [
        null,
        weight!.wanted ? outer(visit, weighed, at) : null,
        bias?.wanted === true ? sum(weighed, [0, 2, 3]) : null,
      ];
      return visit.inputs.map(({ value }, i) => {
        const pull = pulls[i] ?? null;
        return pull && pulled(pull, alongNeurons(precision, value), wish);
      });
    },
  };
}

function isConvolution(visit: Visit): Visit {
  if (visit.op === 'conv2d') return visit;
  throw new Error(`targetConvolution: this is a rule for the op conv2d, and it was put at ${visit.op}.`);
}

/** The wish for the image. A pixel that no neuron reads, or only neurons that are asked nothing, is asked nothing. */
function askImage(visit: Visit, { displacement: dy, precision: p }: Wish, signal: (typeof signals)[number]) {
  const weights = visit.inputs[1]!.value;
  const pull = mul(p, dy);
  if (signal === 'safe') {
    const bound = backThroughSizes(visit, mul(p, rowSizes(visit)));
    return { displacement: ratio(visit.gradientFor(0, pull)!, bound), precision: bound };
  }
  const total = heard(visit, p);
  if (signal === 'perNeuronNorm') {
    const norms = reshape(sum(square(weights), [1, 2, 3]), [1, weights.shape[0]!, 1, 1]);
    const scaled = ratioOrZero(pull, expand(norms, pull.shape));
    return { displacement: ratio(visit.gradientFor(0, scaled)!, total), precision: total };
  }
  const mean = ratio(visit.gradientFor(0, pull)!, total);
  if (signal === 'mean') return { displacement: mean, precision: total };
  const readers = heard(visit, constant(1));
  return { displacement: mul(mean, readers), precision: ratio(total, readers) };
}

function check(signal: string, weighting: string, relaxation: number, input: string, cap: Cap | null): void {
  const oneOf = (name: string, value: string, choices: readonly string[]): void => {
    if (!choices.includes(value))
      throw new Error(`targetConvolution: ${name} is one of ${choices.join(', ')}, not ${String(value)}.`);
  };
  oneOf('signal', signal, signals);
  oneOf('weighting', weighting, ['equal', 'natural']);
  oneOf('input', input, ['settled', 'forward']);
  if (!(typeof relaxation === 'number' && relaxation >= 0 && relaxation <= 2))
    throw new RangeError(
      `targetConvolution: relaxation is a number from 0 to 2 (beyond 2 errors grow), not ${String(relaxation)}.`,
    );
  if (cap === null) return;
  oneOf('the form of a cap', cap.form, ['PA-I', 'PA-II']);
  if (!(cap.aggressiveness > 0))
    throw new RangeError(
      `targetConvolution: the aggressiveness of a cap is a number above 0, not ${String(cap.aggressiveness)}.`,
    );
}

/**
 * What a linear layer asks of its weight and bias so that its input x, the settled one, is mapped r further than now.
 *
 * For one sample and one neuron the least change that does it is  r x / |x|^2  (Kaczmarz; in adaptive filtering, NLMS).
 * The published rule is the mean of these over the samples. Everything else here changes the metric in which a change
 * is least (plasticity, anchors), how much of r is made up for (relaxation, caps), how much each sample counts
 * (weighting), or fulfils the samples of a batch together instead of one by one (block).
 *
 * The bias is a weight on a constant 1: it adds 1 to |x|^2, and nothing if it is frozen.
 */
import { add, div, mul, ne, sub } from '../../ops/binary.ts';
import { clamp, square } from '../../ops/elementwise.ts';
import { linear, matmul } from '../../ops/matmul.ts';
import { cat, reshape, slice, transpose } from '../../ops/shape.ts';
import { expand, sum } from '../../ops/sum.ts';
import { ones, zeros } from '../../tensor/create.ts';
import { sameShape, showShape } from '../../tensor/layout.ts';
import { numbersOf, Tensor } from '../../tensor/tensor.ts';
import { leastChange } from './solve.ts';
import { ratio, type Wish } from './wish.ts';

/**
 * How much of the error of a sample one step may make up for (Crammer et al., "Online passive-aggressive algorithms",
 * 2006).
 */
export interface Cap {
  /** PA-I: the factor r / |x|^2 stays within -C and C. PA-II: r / (|x|^2 + 1 / (2 C)). */
  readonly form: 'PA-I' | 'PA-II';
  /** C, above 0: how aggressive a step may be. Infinity: no cap. */
  readonly aggressiveness: number;
}

/** Where weights would rather be, 1/2 strength importance (w - at)^2: elastic weight consolidation. */
export interface Anchor {
  readonly at: Tensor;
  /** Of the parameter's shape, or a number: the Fisher information, say. */
  readonly importance: Tensor | number;
  readonly strength: number;
}

/** How easily each weight gives way, from 0 (never) up: of the parameter's shape, or a function of the parameter. */
export type Plasticity = Tensor | ((parameter: Tensor) => Tensor | number);

export interface WeightStep {
  readonly weighting: 'equal' | 'natural';
  readonly relaxation: number;
  readonly cap: Cap | null;
  readonly plasticity: Plasticity | null;
  readonly anchor: ((parameter: Tensor) => Anchor | null) | null;
  readonly block: { readonly ridge: number } | null;
}

/** A wish for a parameter, by its pull. */
export interface Pulled {
  readonly pull: Tensor;
  readonly precision: Tensor;
}

/** What is learned: null for what is frozen or not there. */
export interface Learned {
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;
}

/**
 * The metric of a parameter and where its anchor alone would take it: with h = 1 / plasticity + strength importance,
 * `ease` = 1 / h (null: 1 everywhere) and `drift` = -strength importance (w - at) / h (null: 0).
 */
interface Metric {
  readonly ease: Tensor | null;
  readonly drift: Tensor | null;
}

/**
 * The wishes for weight and bias.
 *
 * @param x [rows, in] the input for which the output should be right
 * @param residual [rows, out] how much is missing there
 * @param wish its precision tells how much each sample, or each sample's neuron, counts
 */
export function weightStep(
  x: Tensor,
  residual: Tensor,
  wish: Wish,
  learned: Learned,
  options: WeightStep,
): { weight: Pulled | null; bias: Pulled | null } {
  const { weighting, relaxation, cap, block } = options;
  const { weight, bias } = learned;
  const weightMetric = weight && metricOf(weight, options);
  const biasMetric = bias && metricOf(bias, options);
  const missing = afterDrift(residual, x, weightMetric, biasMetric);

  // |x|^2 in the metric, of each sample ([rows, 1]) or, where the neurons' metrics differ, of each sample's neuron.
  const squares = square(x);
  const { ease } = weightMetric ?? { ease: null };
  const ofWeight = weight && (ease === null ? sum(squares, 1, true) : matmul(squares, transpose(ease)));
  const ofBias = bias && (biasMetric!.ease ?? 1);
  const size =
    ofWeight === null ? add(zeros([x.shape[0]!, 1]), ofBias!) : ofBias === null ? ofWeight : add(ofWeight, ofBias);
  const softened = cap?.form === 'PA-II' ? add(size, 1 / (2 * cap.aggressiveness)) : size;

  // A sample without input can ask for nothing. It does not count among the others either.
  const able = ne(size, 0);
  const counts = mul(wish.precision, weighting === 'natural' ? mul(softened, able) : able);
  const precision = counts.shape[1] === 1 ? sum(counts) : sum(counts, 0);
  const ofRow = precision.ndim === 0 ? precision : reshape(precision, [precision.size, 1]);

  let pulls: { weight: Tensor | null; bias: Tensor | null };
  if (block !== null) pulls = together(x, missing, wish, learned, block.ridge, precision, relaxation);
  else {
    const factor = ratio(missing, softened);
    const { aggressiveness: c } = cap ?? { aggressiveness: 0 };
    const held = cap?.form === 'PA-I' ? clamp(factor, -c, c) : factor;
    // Where nothing can be asked r / 1 stands in `factor`, and 0 in `counts`.
    const weighed = mul(mul(counts, held), relaxation);
    const inMetric = (pull: Tensor, { ease: e }: Metric) => (e === null ? pull : mul(pull, e));
    pulls = {
      weight: weight && inMetric(matmul(transpose(weighed), x), weightMetric!),
      bias: bias && inMetric(sum(weighed, 0), biasMetric!),
    };
  }
  const drifted = (pull: Tensor | null, metric: Metric | null, p: Tensor): Pulled | null =>
    pull && { pull: metric?.drift ? add(pull, mul(p, metric.drift)) : pull, precision: p };
  return {
    weight: drifted(pulls.weight, weightMetric, ofRow),
    bias: drifted(pulls.bias, biasMetric, precision),
  };
}

/** What is still missing when the anchors have had their way: their change is made whatever the sample asks. */
function afterDrift(residual: Tensor, x: Tensor, weight: Metric | null, bias: Metric | null): Tensor {
  let missing = residual;
  if (weight?.drift) missing = sub(missing, linear(x, weight.drift));
  if (bias?.drift) missing = sub(missing, bias.drift);
  return missing;
}

function metricOf(parameter: Tensor, { plasticity, anchor }: WeightStep): Metric {
  let ease: Tensor | null = null;
  if (plasticity instanceof Tensor) ease = sameShape(plasticity.shape, parameter.shape) ? plasticity : null;
  else if (plasticity !== null) ease = fitted('plasticity', plasticity(parameter), parameter);
  if (plasticity instanceof Tensor && ease === null && parameter.ndim > 1)
    throw new Error(
      `targetLinear: a plasticity of shape ${showShape(plasticity.shape)} does not fit a weight of shape ` +
        `${showShape(parameter.shape)}. Give the layer a rule of its own, or a function of the weight.`,
    );
  if (ease !== null && numbersOf(ease).some((p) => !(p >= 0 && p < Infinity)))
    throw new Error('targetLinear: a plasticity is a finite number of at least 0: how easily a weight gives way.');
  const held = anchor?.(parameter) ?? null;
  if (held === null) return { ease, drift: null };
  const importance = fitted('importance', held.importance, parameter);
  const at = fitted('anchor', held.at, parameter);
  const hold = mul(importance, held.strength);
  if (numbersOf(hold).some((p) => !(p >= 0 && p < Infinity)))
    throw new Error("targetLinear: an anchor's strength and importance are finite numbers of at least 0.");
  // 1 / (1 / ease + hold) = ease / (1 + ease hold): a weight of plasticity 0 has ease 0.
  const p = ease ?? ones(parameter.shape);
  const eased = div(p, add(mul(p, hold), 1));
  return { ease: eased, drift: mul(mul(eased, hold), sub(at, parameter)) };
}

function fitted(what: string, given: Tensor | number, parameter: Tensor): Tensor {
  if (typeof given === 'number') return mul(ones(parameter.shape), given);
  if (sameShape(given.shape, parameter.shape)) return given;
  throw new Error(
    `targetLinear: the ${what} has shape ${showShape(given.shape)}, and the parameter ` +
      `${showShape(parameter.shape)}. Give one of the same shape, or a number.`,
  );
}

/** The least change that maps all samples of the batch right at once, damped by a ridge. */
function together(
  x: Tensor,
  missing: Tensor,
  { precision: p, uniform }: Wish,
  { weight, bias }: Learned,
  ridge: number,
  precision: Tensor,
  relaxation: number,
): { weight: Tensor | null; bias: Tensor | null } {
  const parts = [...(weight ? [x] : []), ...(bias ? [ones([x.shape[0]!, 1])] : [])];
  const rows = parts.length === 1 ? parts[0]! : cat(parts, 1);
  const own = p.ndim === 0 ? null : transpose(uniform ? p : expand(p, missing.shape));
  const change = mul(leastChange(rows, transpose(missing), own, ridge), relaxation);
  const features = weight ? x.shape[1]! : 0;
  return {
    weight:
      weight &&
      mul(
        slice(change, [null, [0, features]]),
        precision.ndim === 0 ? precision : reshape(precision, [precision.size, 1]),
      ),
    bias: bias && mul(reshape(slice(change, [null, [features, features + 1]]), [change.shape[0]!]), precision),
  };
}

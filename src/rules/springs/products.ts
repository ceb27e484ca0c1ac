/**
 * Springs through products with weights: linear, and conv2d, which is linear on patches.
 *
 * For one sample (of a convolution: one position of one image) y_o = <w_o, x> + b_o. Of the data's curvature W^T P W and the
 * weights' sum_b p_bo x_b x_b^T only a diagonal can be sent:
 *
 * - data, 'safe': p_x,i = sum_o p_o |W_oi| sum_j |W_oj|. By rows, |M| 1 dominates a symmetric M, so this cannot overshoot; of a
 *   single neuron it reaches the target exactly.
 * - data, 'mean': p_x = sum_o p_o, so that d_x is the mean of d_o w_o over the neurons, target propagation's. It overshoots where
 *   the largest eigenvalue of W W^T is above the number of neurons, and falls short where it is far below.
 * - weights, 'norm': p_w = sum_b p_bo |x_b|^2. The trace of x x^T bounds it: this cannot overshoot either, has one number a
 *   neuron, and of a single sample it is the least change that reaches the target, d x / |x|^2.
 * - weights, 'safe': the same bound as for data, sum_b p_bo |x_bi| sum_j |x_bj|.
 * - weights, 'diagonal': sum_b p_bo x_bi^2, each weight's own curvature. It answers for a weight that moves alone; all at
 *   once overshoot up to as many times as there are inputs.
 *
 * A bias counts as a weight on a constant 1, so weight and bias together cannot overshoot. Data and weights each speak as if the
 * other stood still: moved both in full, their sum goes too far.
 */
import type { NodeRule } from '../../autograd/rule.ts';
import type { Visit } from '../../autograd/visit.ts';
import { add, mul } from '../../ops/binary.ts';
import { type ConvolutionGeometry, conv2d } from '../../ops/convolution.ts';
import { abs, square } from '../../ops/elementwise.ts';
import { matmul } from '../../ops/matmul.ts';
import { reshape, transpose } from '../../ops/shape.ts';
import { expand, sum } from '../../ops/sum.ts';
import { ones } from '../../tensor/create.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { springRule, summed } from './rule.ts';

export interface SpringProductOptions {
  /** How firmly data are asked: so that they cannot overshoot ('safe', the default), or for the mean over neurons ('mean'). */
  readonly precision?: 'safe' | 'mean';
  /** How firmly weights are asked: as |x|^2 ('norm', the default), 'safe', or each for itself ('diagonal'). */
  readonly weights?: 'norm' | 'safe' | 'diagonal';
}

/**
 * What a product says of itself. Precisions q broadcast to its output, v is of its data's shape. Outputs number their neurons
 * along axis 1.
 */
export interface Product {
  /** For each sample the sum of v over the inputs that a neuron reads; broadcasts to the output. */
  gathered(visit: Visit, v: Tensor): Tensor;
  /** For each input the sum of q over the neurons that read it; broadcasts to the data. */
  heard(visit: Visit, q: Tensor): Tensor;
  /** |W| 1: for each neuron (and position) the sum of its weights' sizes; broadcasts to the output. */
  rowSizes(visit: Visit): Tensor;
  /** |W|^T q; broadcasts to the data. */
  backThroughSizes(visit: Visit, q: Tensor): Tensor;
  /** sum_b q_bo v_bi, of the weight's rank, broadcasting to its shape. */
  outer(visit: Visit, q: Tensor, v: Tensor): Tensor;
}

const data = ({ inputs }: Visit): Tensor => inputs[0]!.value;
const weight = ({ inputs }: Visit): Tensor => inputs[1]!.value;

/** Sums over samples and positions what broadcasts to the output: one number a neuron, or one for all. */
export function overSamples(q: Tensor, { output }: Visit): Tensor {
  const samples = output.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
  const total = summed(q, output.shape, samples);
  return total.ndim <= 1 ? total : reshape(total, [total.size]);
}

/** One number a neuron (or one for all) beside a weight or a bias: along its first axis. */
export const alongNeurons = (p: Tensor, { ndim }: Tensor): Tensor =>
  p.ndim === 0 || ndim === 1 ? p : reshape(p, [p.size, ...new Array<number>(ndim - 1).fill(1)]);

export const linearProduct: Product = {
  gathered: (_, v) => sum(v, 1, true),
  heard: ({ output }, q) => summed(q, output.shape, [1]),
  rowSizes: (visit) => sum(abs(weight(visit)), 1),
  backThroughSizes: (visit, q) => matmul(asRows(q, visit.output.shape[1]!), abs(weight(visit))),
  outer: (visit, q, v) => {
    const samples = visit.output.shape[0]!;
    const rows = q.ndim === 2 && q.shape[1] !== 1 ? q.shape[1]! : q.ndim === 1 ? q.shape[0]! : 1;
    return matmul(transpose(expand(q, [samples, rows])), v);
  },
};

/** What broadcasts to [B, outputs] as a matrix of `outputs` columns, with one row if samples do not differ. */
const asRows = (q: Tensor, outputs: number): Tensor => expand(q, [q.ndim === 2 ? q.shape[0]! : 1, outputs]);

const geometryOf = ({ attributes }: Visit): ConvolutionGeometry => attributes as ConvolutionGeometry;

/** The sum over the channels of each group: [N, channels, H, W] to [N, groups, H, W]. */
function perGroup(v: Tensor, groups: number): Tensor {
  const [images, channels, ...sides] = v.shape as [number, number, number, number];
  return groups === 1 ? sum(v, 1, true) : sum(reshape(v, [images, groups, channels / groups, ...sides]), 2);
}

/** The way back, each group's number repeated: [N, groups, H, W] to [N, channels, H, W] (or [N, 1, H, W] if there is one). */
function ofGroups(v: Tensor, channels: number): Tensor {
  const [images, groups, ...sides] = v.shape as [number, number, number, number];
  if (groups === 1) return v;
  const repeated = expand(reshape(v, [images, groups, 1, ...sides]), [images, groups, channels / groups, ...sides]);
  return reshape(repeated, [images, channels, ...sides]);
}

/** conv2d's own gradient of the image, for other weights and sizes than those of the node. */
function imageGradient(q: Tensor, by: Tensor, geometry: ConvolutionGeometry, visit: Visit): Tensor {
  const { gradient } = visit.node.op!;
  if (typeof gradient !== 'function') throw new Error(`${visit.op}: springs of a convolution are for the op conv2d.`);
  return gradient({ inputs: [q, by], attributes: geometry, output: q, saved: null }, q, 0)!;
}

/** What broadcasts to [N, O, H, W] with its last three axes in full, and one image if images do not differ. */
const asImages = (q: Tensor, [, ...rest]: readonly number[]): Tensor =>
  expand(q, [q.ndim === 4 ? q.shape[0]! : 1, ...rest]);

export const convolutionProduct: Product = {
  gathered: (visit, v) => {
    const { weight: filters, output, groups, stride, padding, dilation } = geometryOf(visit);
    const taps = ones([groups, 1, filters[2], filters[3]]);
    return ofGroups(conv2d(perGroup(v, groups), taps, null, { stride, padding, dilation, groups }), output[1]);
  },
  heard: (visit, q) => {
    const geometry = geometryOf(visit);
    const { image, weight: filters, output, groups } = geometry;
    const summedUp = perGroup(asImages(q, output), groups);
    const images = summedUp.shape[0]!;
    const depthwise: ConvolutionGeometry = {
      ...geometry,
      image: [images, groups, image[2], image[3]],
      weight: [groups, 1, filters[2], filters[3]],
      output: [images, groups, output[2], output[3]],
    };
    return ofGroups(imageGradient(summedUp, ones(depthwise.weight), depthwise, visit), image[1]);
  },
  rowSizes: (visit) => {
    const { image, stride, padding, dilation, groups } = geometryOf(visit);
    const everywhere = ones([1, image[1], image[2], image[3]]);
    return conv2d(everywhere, abs(weight(visit)), null, { stride, padding, dilation, groups });
  },
  backThroughSizes: (visit, q) => {
    const geometry = geometryOf(visit);
    const whole = asImages(q, geometry.output);
    const images = whole.shape[0]!;
    const { image, output } = geometry;
    const own: ConvolutionGeometry = {
      ...geometry,
      image: [images, image[1], image[2], image[3]],
      output: [images, output[1], output[2], output[3]],
    };
    return imageGradient(whole, abs(weight(visit)), own, visit);
  },
  outer: (visit, q, v) => {
    const { gradient } = visit.node.op!;
    if (typeof gradient !== 'function') throw new Error(`${visit.op}: springs of a convolution are for the op conv2d.`);
    const whole = expand(q, visit.output.shape);
    const { attributes, output } = visit;
    return gradient({ inputs: [v, weight(visit)], attributes, output, saved: null }, whole, 1)!;
  },
};

/** The precision of one input of a product. */
export function stiffnessOf(product: Product, precision: 'safe' | 'mean', weights: 'norm' | 'safe' | 'diagonal') {
  return (visit: Visit, p: Tensor, index: number): Tensor => {
    const { inputs } = visit;
    if (index === 0) {
      if (precision === 'mean') return product.heard(visit, p);
      return product.backThroughSizes(visit, mul(p, product.rowSizes(visit)));
    }
    const x = data(visit);
    const own = inputs[index]!.value;
    // Alone, a bias is a weight on 1, and a weight has no 1 beside it.
    if (weights === 'diagonal')
      return index === 1 ? product.outer(visit, p, square(x)) : alongNeurons(overSamples(p, visit), own);
    const bias = inputs[2]?.wanted === true ? 1 : 0;
    if (inputs[1]!.wanted) {
      const sizes = add(product.gathered(visit, weights === 'norm' ? square(x) : abs(x)), bias);
      if (index === 1 && weights === 'safe') return product.outer(visit, mul(p, sizes), abs(x));
      return alongNeurons(overSamples(mul(p, sizes), visit), own);
    }
    return alongNeurons(overSamples(p, visit), own);
  };
}

function checked(op: string, { precision = 'safe', weights = 'norm' }: SpringProductOptions) {
  if (precision !== 'safe' && precision !== 'mean')
    throw new Error(`${op}: precision is 'safe' or 'mean', not ${JSON.stringify(precision)}.`);
  if (weights !== 'norm' && weights !== 'safe' && weights !== 'diagonal')
    throw new Error(`${op}: weights is 'norm', 'safe' or 'diagonal', not ${JSON.stringify(weights)}.`);
  return { precision, weights };
}

/**
 * Springs through `linear`, y = x W^T + b, for data, weight and bias; consistent (no surrogate). Data get d_x = W^T (p d) / p_x, weights
 * d_w = sum_b p_bo d_bo x_b / p_w; the options choose p_x and p_w (the head of this file says what each can answer for).
 *
 *     const w = tensor([[3, 4]]).requiresGrad_();
 *     const y = setRule(linear(tensor([[1, 2]]), w), springLinear());
 *     backward(target(y, tensor([[16]]), { precision: 1 }));
 *     inboxOf(w).step().toArray(); // [[1, 2]]
 */
export function springLinear(options: SpringProductOptions = {}): NodeRule {
  const { precision, weights } = checked('springLinear', options);
  return springRule('springLinear', stiffnessOf(linearProduct, precision, weights));
}

/**
 * Springs through `conv2d`: those of `springLinear` at each position, |x|^2 being that of the patch which is read there. What
 * several positions say to one pixel or one weight adds up; padding is neither heard nor counted.
 *
 *     const image = tensor([[[[1, 2], [3, 4]]]]).requiresGrad_();
 *     const y = setRule(conv2d(image, tensor([[[[2]]]])), springConvolution());
 *     backward(target(y, tensor([[[[2, 4], [6, 0]]]]), { precision: 1 }));
 *     inboxOf(image).step().toArray(); // [[[[0, 0], [0, -4]]]]
 */
export function springConvolution(options: SpringProductOptions = {}): NodeRule {
  const { precision, weights } = checked('springConvolution', options);
  return springRule('springConvolution', stiffnessOf(convolutionProduct, precision, weights));
}

/** Layer normalization: each part of a batch scaled to mean 0 and variance 1, whatever the others are. */
import { sameRows } from '../autograd/apart.ts';
import { defineOp, type Op, type Recorded } from '../autograd/define.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocateLike, allocateShape, contiguous } from '../tensor/access.ts';
import { checkList, checkShape, sameShape, showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';
import { add, div, eq, mul, sub, where } from './binary.ts';
import { rsqrt, square } from './elementwise.ts';
import { mean, norm } from './reduce.ts';
import { reshape } from './shape.ts';
import { examplesOf, sum } from './sum.ts';

interface Attributes {
  eps: number;
}
type Inputs = readonly Tensor[];

/** The rows at mean 0, and what scales each to variance 1. */
function normalized(x: Tensor, eps: number): { rows: Tensor; scale: Tensor } {
  const centred = sub(x, mean(x, -1, true));
  const scale = rsqrt(add(mean(square(centred), -1, true), eps));
  return { rows: mul(centred, scale), scale };
}

const sizesOf = (x: Tensor) => x.layout.shape as readonly [rows: number, columns: number];

/**
 * x [rows, columns], weight and bias [columns]. With n the normalized rows, s their scale and h = g weight, the gradient of x is
 * s (h - mean(h) - n mean(h n)); of the weight it is g n, of the bias g, summed over rows (Ba, Kiros and Hinton, "Layer
 * normalization", 2016).
 */
const layerNormOp: Op<Inputs, Attributes> = defineOp({
  name: 'layerNorm',
  inputs: ['x', 'weight?', 'bias?'],
  forward: (inputs, { eps }, node) => {
    const x = contiguous(inputs[0]!);
    const [rows, columns] = sizesOf(x);
    const at = (operand: Tensor | undefined) => (operand === undefined ? 0 : address(contiguous(operand)));
    const out = allocateLike(x);
    const statistics = node === null ? null : allocateShape([2, rows]);
    if (node !== null) node.saved = statistics;
    const keep = statistics === null ? 0 : address(statistics);
    run.layerNorm(address(x), at(inputs[1]), at(inputs[2]), address(out), keep, rows, columns, eps);
    return out;
  },
  gradient: ({ inputs: [x, weight], attributes: { eps } }, g, index) => {
    if (index === 2) return sum(g, 0);
    const { rows, scale } = normalized(x!, eps);
    if (index === 1) return sum(mul(g, rows), 0);
    const h = weight === undefined ? g : mul(g, weight);
    return mul(scale, sub(sub(h, mean(h, -1, true)), mul(rows, mean(mul(h, rows), -1, true))));
  },
  perExample: {
    apart: (node, index, count) => index === 0 && sameRows(node, index, count),
    gradients: ({ inputs: [x], attributes: { eps } }, g, index, part) => {
      if (index === 0 || g.shape[0]! % part.count !== 0) return null;
      const slopes = examplesOf(g, part);
      return sum(index === 1 ? mul(slopes, normalized(examplesOf(x!, part), eps).rows) : slopes, 1);
    },
  },
  raw: ({ inputs: [x, weight], saved }, g, out, accumulate, index) => {
    const [rows, columns] = sizesOf(g);
    if (index === 2) return run.sum(address(g), out, 1, rows, columns, accumulate);
    const [from, statistics] = [address(contiguous(x!)), address(saved!)];
    if (index === 1) return run.layerNormWeightSlope(address(g), from, statistics, out, rows, columns, accumulate);
    const by = weight === undefined ? 0 : address(contiguous(weight));
    run.layerNormSlope(address(g), from, by, statistics, out, rows, columns, accumulate);
  },
  reads: 'inputs',
  feasible: { is: 'approximate', project: nearestNormalized },
  data: 1,
  samples: (draw) =>
    [0, 1, 2].map((parameters) => ({
      inputs: [draw.normal([3, 4]), ...[draw.awayFromZero([4]), draw.normal([4])].slice(0, parameters)],
      attributes: { eps: 1e-5 },
    })),
});

/** Rows as `nearestOf` says. */
function nearestNormalized(wished: Tensor, node: Recorded<Inputs, Attributes>): Tensor {
  const [x, weight, bias] = node.inputs as [Tensor, Tensor?, Tensor?];
  return nearestOf(wished, normalized(x, node.attributes.eps).rows, weight, bias, [-1]);
}

/**
 * What normalization over `axes` can produce, near a wish: before weight and bias, numbers of mean 0 and of the length that the
 * `present` ones have, sqrt(their number) but for a trace of eps. Shorter ones can be produced too, by numbers whose variance is
 * about eps; those are passed over, since no input near an ordinary one gives them. Where a weight is 0 and where a wish is the
 * same number throughout, the normalized numbers stay what they are.
 */
export function nearestOf(
  wished: Tensor,
  present: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  axes: readonly number[],
): Tensor {
  const count = axes.reduce((product, axis) => product * present.shape.at(axis)!, 1);
  const shifted = bias === undefined ? wished : sub(wished, bias);
  const undone =
    weight === undefined ? shifted : where(eq(weight, 0), present, div(shifted, where(eq(weight, 0), 1, weight)));
  const centred = sub(undone, mean(undone, axes, true));
  const length = norm(centred, axes, true);
  const has = norm(present, axes, true);
  const wanted = where(eq(has, 0), Math.sqrt(count), has);
  const nearest = where(eq(length, 0), present, mul(centred, div(wanted, length)));
  const weighed = weight === undefined ? nearest : mul(nearest, weight);
  return bias === undefined ? weighed : add(weighed, bias);
}

/** The sizes over which to normalize, checked: one number stands for the last axis. */
export function normalizedSizes(op: string, shape: number | readonly number[]): readonly number[] {
  if (typeof shape !== 'number') checkList(op, 'normalizedShape is a list of sizes, [4, 5] say, or one size', shape);
  const sizes = typeof shape === 'number' ? [shape] : shape.slice();
  checkShape(op, sizes);
  if (sizes.length === 0) throw new Error(`${op}: normalizedShape names at least one axis; [] names none.`);
  return sizes;
}

/**
 * Each part of x that spans the last axes, of sizes normalizedShape, at mean 0 and variance 1 (its squares summed over their
 * number, plus eps), then times weight, plus bias, both of shape normalizedShape.
 *
 *     layerNorm(tensor([[1, 3], [10, 30]]), 2).toArray().flat().map(Math.round);      // [-1, 1, -1, 1]
 *
 * Ba, Kiros and Hinton, "Layer normalization" (2016); as PyTorch's F.layer_norm.
 */
export function layerNorm(
  x: Tensor,
  normalizedShape: number | readonly number[],
  weight?: Tensor | null,
  bias?: Tensor | null,
  eps = 1e-5,
): Tensor {
  checkTensor('layerNorm', x);
  const sizes = normalizedSizes('layerNorm', normalizedShape);
  if (!(typeof eps === 'number' && eps >= 0)) throw new Error(`layerNorm: eps is a number of at least 0, not ${eps}.`);
  if (sizes.length > x.ndim || !sameShape(x.shape.slice(x.ndim - sizes.length), sizes))
    throw new Error(
      `layerNorm: x ${showShape(x.shape)} does not end in normalizedShape ${showShape(sizes)}: it names the sizes of the last axes.`,
    );
  for (const [name, parameter] of [
    ['weight', weight],
    ['bias', bias],
  ] as const) {
    if (!parameter) continue;
    checkTensor('layerNorm', parameter);
    if (!sameShape(parameter.shape, sizes))
      throw new Error(
        `layerNorm: ${name} ${showShape(parameter.shape)} must have the shape that is normalized, ${showShape(sizes)}.`,
      );
  }
  const columns = sizeOf(sizes);
  const rows = reshape(x, [sizeOf(x.shape.slice(0, x.ndim - sizes.length)), columns]);
  const flat = (parameter: Tensor) => (parameter.ndim === 1 ? parameter : reshape(parameter, [columns]));
  const parameters = weight ? [flat(weight), ...(bias ? [flat(bias)] : [])] : [];
  const out = reshape(layerNormOp([rows, ...parameters], { eps }), x.shape);
  return bias && !weight ? add(out, bias) : out;
}

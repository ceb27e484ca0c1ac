/**
 * Sum and expand, each the other's gradient: what was repeated is summed, what was summed is repeated.
 */
import { rowwise, sameRows } from '../autograd/apart.ts';
import { type AnyOp, defineOp, type ExampleRange, type Op, type PerExample } from '../autograd/define.ts';
import type { ReduceName } from '../kernels/table.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocateShape, contiguous, packed } from '../tensor/access.ts';
import {
  broadcastStrides,
  checkList,
  checkShape,
  contiguousLayout,
  normalizeAxes,
  reducedShape,
  sameShape,
  showShape,
  sizeOf,
  stridedLayout,
} from '../tensor/layout.ts';
import { checkTensor, Tensor } from '../tensor/tensor.ts';
import { reshape, slice } from './shape.ts';

/** Reduces `axes` (rising) with a kernel, one run of neighbouring axes after another, without moving the others. */
export function reduceAxes(kernel: ReduceName, x: Tensor, axes: readonly number[], keepdim: boolean): Tensor {
  let current = contiguous(x);
  const shape = [...x.shape];
  let end = axes.length;
  if (end === 0) return packed(x);
  while (end > 0) {
    let start = end - 1;
    while (start > 0 && axes[start - 1] === axes[start]! - 1) start--;
    const [first, last] = [axes[start]!, axes[end - 1]!];
    const outer = sizeOf(shape.slice(0, first));
    const n = sizeOf(shape.slice(first, last + 1));
    const inner = sizeOf(shape.slice(last + 1));
    for (let axis = first; axis <= last; axis++) shape[axis] = 1;
    const out = allocateShape(shape.slice());
    run[kernel](address(current), address(out), outer, n, inner, 0);
    current = out;
    end = start;
  }
  return new Tensor(current.storage, contiguousLayout(reducedShape(x.shape, axes, keepdim)), current.offset);
}

interface ReduceAttributes {
  axes: readonly number[];
  keepdim: boolean;
}

const sumOp: Op<[Tensor], ReduceAttributes> = defineOp({
  name: 'sum',
  inputs: ['x'],
  forward: ([x], { axes, keepdim }) => reduceAxes('sum', x, axes, keepdim),
  gradient: [({ inputs: [x], attributes: { axes } }, g) => spread(g, x.shape, axes)],
  perExample: rowwise(({ axes }) => axes.includes(0)),
  reads: 'nothing',
  feasible: 'everything',
  samples: (draw) => [
    { inputs: [draw.normal([2, 3, 4])], attributes: { axes: [0, 2], keepdim: false } },
    { inputs: [draw.normal([2, 3])], attributes: { axes: [1], keepdim: true } },
    { inputs: [draw.normal([3])], attributes: { axes: [0], keepdim: false } },
  ],
});

/** Repeats a reduced tensor along the axes that are gone or of size 1. */
export function spread(reduced: Tensor, shape: readonly number[], axes: readonly number[]): Tensor {
  return expand(reshape(reduced, reducedShape(shape, axes, true)), shape);
}

/** The sum over some axes (all, if dim is left out). An empty sum is 0. */
export function sum(x: Tensor, dim?: number | readonly number[], keepdim = false): Tensor {
  checkTensor('sum', x);
  return sumOp(x, { axes: normalizeAxes('sum', dim, x.shape), keepdim });
}

const expandOp: Op<[Tensor], { shape: readonly number[] }> = defineOp({
  name: 'expand',
  inputs: ['x'],
  forward: ([x], { shape }) =>
    new Tensor(x.storage, stridedLayout(shape, broadcastStrides(x.shape, x.layout.strides, shape)), x.offset),
  gradient: [({ inputs: [x] }, g) => sumTo(g, x.shape)],
  perExample: broadcasting(() => expandOp),
  reads: 'nothing',
  carries: true,
  samples: (draw) => [{ inputs: [draw.normal([3, 1])], attributes: { shape: [4, 3, 5] } }],
});

/** Repeats axes of size 1, and adds axes in front, to reach `shape` (-1 keeps a size); a view, no number is copied. */
export function expand(x: Tensor, shape: readonly number[]): Tensor {
  checkTensor('expand', x);
  checkList('expand', 'a shape is a list of sizes, [2, 3] say', shape);
  const shift = shape.length - x.ndim;
  const target = shape.map((size, axis) => (size === -1 && axis >= shift ? x.shape[axis - shift]! : size));
  checkShape('expand', target);
  if (shift < 0 || x.shape.some((size, axis) => size !== 1 && size !== target[axis + shift]))
    throw new Error(
      `expand: shape ${showShape(x.shape)} does not broadcast to ${showShape(shape)}: only axes of size 1 can be repeated.`,
    );
  return expandOp(x, { shape: target });
}

/** Sums over what broadcasting to x's shape repeated, so that the result has `shape`. */
export function sumTo(x: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const shift = x.ndim - shape.length;
  const axes = x.shape.flatMap((size, axis) =>
    axis < shift || (shape[axis - shift] === 1 && size !== 1) ? [axis] : [],
  );
  const summed = axes.length === 0 ? x : sumOp(x, { axes, keepdim: true });
  return sameShape(summed.shape, shape) ? summed : reshape(summed, shape);
}

/** The part of x that holds some examples of a batch, with an axis for them: [to - from, ...]; first axis [count k, ...]. */
export function examplesOf(x: Tensor, { from, to, count }: ExampleRange): Tensor {
  const split = reshape(x, [count, x.shape[0]! / count, ...x.shape.slice(1)]);
  return from === 0 && to === count ? split : slice(split, [[from, to]]);
}

/**
 * What an op that broadcasts knows of examples. Each example gets a copy of the shared operand, along an axis of their own in front of
 * all others; what the op's own gradient rule then sends to the copies is what each example sends.
 */
export function broadcasting(
  op: () => { readonly definition: Pick<AnyOp, 'gradient'> },
): PerExample<readonly Tensor[], unknown> {
  return {
    apart: (node, index, count) => {
      const { shape, ndim } = node.inputs[index]!;
      return sameShape(shape, node.output.shape) || (ndim === node.output.ndim && sameRows(node, index, count));
    },
    gradients: (node, g, index, part) => {
      const { inputs, output } = node;
      const rows = output.shape[0];
      if (rows === undefined || rows % part.count !== 0) return null;
      const split = (x: Tensor) => (x.ndim === output.ndim && x.shape[0] === rows ? examplesOf(x, part) : x);
      const shared = inputs[index]!;
      const ones = new Array<number>(output.ndim - shared.ndim).fill(1);
      const copies = expand(reshape(shared, [1, ...ones, ...shared.shape]), [
        part.to - part.from,
        ...ones,
        ...shared.shape,
      ]);
      const own = {
        inputs: inputs.map((x, i) => (i === index ? copies : split(x))),
        output: split(output),
        attributes: undefined,
        saved: null,
      };
      const { gradient: rules } = op().definition;
      if ('because' in rules) return null;
      const sent = (typeof rules === 'function' ? rules : rules[index]!)(own, split(g), index);
      return sent && reshape(sent, [part.to - part.from, ...shared.shape]);
    },
  };
}

/**
 * Sum and expand, each the other's gradient: what was repeated is summed, what was summed is repeated.
 */
import { defineOp, type Op } from '../autograd/define.ts';
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
import { reshape } from './shape.ts';

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

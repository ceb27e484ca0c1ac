/** Reductions: means, spreads, extremes, products, norms. */
import { rowwise } from '../autograd/apart.ts';
import { defineOp, type Op } from '../autograd/define.ts';
import { heap, run } from '../storage/dispatch.ts';
import { address, allocateShape, contiguous } from '../tensor/access.ts';
import { eye } from '../tensor/create.ts';
import { normalizeAxes, normalizeAxis, reducedShape, showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, Indices, numbersOf, type Tensor } from '../tensor/tensor.ts';
import { add, div, eq, mul, sub, where } from './binary.ts';
import { map, square } from './elementwise.ts';
import { atLeast } from './feasible.ts';
import { scatter } from './indexing.ts';
import { permute, reshape, slice, unsqueeze } from './shape.ts';
import { reduceAxes, spread, sum } from './sum.ts';

type Dim = number | readonly number[];

const countOf = (shape: readonly number[], axes: readonly number[]) => sizeOf(axes.map((axis) => shape[axis]!));

/** The mean over some axes (all, if dim is left out). Of nothing it is NaN. */
export function mean(x: Tensor, dim?: Dim, keepdim = false): Tensor {
  checkTensor('mean', x);
  const axes = normalizeAxes('mean', dim, x.shape);
  return div(sum(x, axes, keepdim), countOf(x.shape, axes));
}

export interface VarianceOptions {
  /** Divide by n - 1 (the default) or by n. */
  readonly unbiased?: boolean;
  readonly keepdim?: boolean;
}

/** What both start from: the differences from the mean, and what the sum of their squares is divided by (0 gives NaN). */
function deviations(op: string, x: Tensor, dim: Dim | undefined, unbiased: boolean) {
  checkTensor(op, x);
  const axes = normalizeAxes(op, dim, x.shape);
  const divisor = Math.max(0, countOf(x.shape, axes) - (unbiased ? 1 : 0));
  return { axes, differences: sub(x, mean(x, axes, true)), divisor };
}

/** The variance over some axes (all, if dim is left out). */
export function variance(x: Tensor, dim?: Dim, { unbiased = true, keepdim = false }: VarianceOptions = {}): Tensor {
  const { axes, differences, divisor } = deviations('variance', x, dim, unbiased);
  return div(sum(square(differences), axes, keepdim), divisor);
}

/** The standard deviation over some axes (all, if dim is left out). Its gradient is 0 where all numbers are equal. */
export function std(x: Tensor, dim?: Dim, { unbiased = true, keepdim = false }: VarianceOptions = {}): Tensor {
  const { axes, differences, divisor } = deviations('std', x, dim, unbiased);
  return div(norm(differences, axes, keepdim), Math.sqrt(divisor));
}

interface AxisAttributes {
  dim: number;
}

/** The largest (smallest) along one axis, kept at size 1: the whole gradient goes to the first one that has it. */
const extreme = (name: 'amax' | 'amin', kernel: 'max' | 'min', arg: 'argmax' | 'argmin') =>
  defineOp<[Tensor], AxisAttributes>({
    name,
    inputs: ['x'],
    forward: ([x], { dim }) => reduceAxes(kernel, x, [dim], true),
    gradient: [({ inputs: [x], attributes: { dim } }, g) => scatter(g, dim, positions(arg, x, dim), x.shape)],
    perExample: rowwise(),
    reads: 'inputs',
    feasible: 'everything',
    samples: (draw) => [
      { inputs: [draw.distinct([3, 4])], attributes: { dim: 1 } },
      { inputs: [draw.distinct([3, 2, 2])], attributes: { dim: 0 } },
    ],
  });
const amaxOp = extreme('amax', 'max', 'argmax');
const aminOp = extreme('amin', 'min', 'argmin');

/** Several axes at once: moved to the end and joined into one. */
function overOneAxis(
  name: string,
  x: Tensor,
  dim: Dim | undefined,
  keepdim: boolean,
  reduce: (x: Tensor, axis: number) => Tensor,
): Tensor {
  checkTensor(name, x);
  const axes = normalizeAxes(name, dim, x.shape);
  if (axes.length > 0 && countOf(x.shape, axes) === 0 && name !== 'prod')
    throw new Error(
      `${name}: shape ${showShape(x.shape)} has no numbers along axis ${axes.join(', ')} to choose from.`,
    );
  const shape = reducedShape(x.shape, axes, keepdim);
  if (axes.length === 1) return reshape(reduce(x, axes[0]!), shape);
  const rest = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const moved = permute(x, [...rest, ...axes]);
  const joined = reshape(moved, [...rest.map((axis) => x.shape[axis]!), countOf(x.shape, axes)]);
  return reshape(reduce(joined, rest.length), shape);
}

/** The largest numbers over some axes (all, if dim is left out); NaN where there is one. */
export const amax = (x: Tensor, dim?: Dim, keepdim = false): Tensor =>
  overOneAxis('amax', x, dim, keepdim, (joined, axis) => amaxOp(joined, { dim: axis }));
/** The smallest numbers over some axes (all, if dim is left out); NaN where there is one. */
export const amin = (x: Tensor, dim?: Dim, keepdim = false): Tensor =>
  overOneAxis('amin', x, dim, keepdim, (joined, axis) => aminOp(joined, { dim: axis }));

/** Positions of the extremes along an axis, which stays with size 1. */
function positions(kernel: 'argmax' | 'argmin', x: Tensor, dim: number): Indices {
  const n = x.shape[dim]!;
  if (n === 0) throw new Error(`${kernel}: axis ${dim} of shape ${showShape(x.shape)} has no numbers to choose from.`);
  const dense = contiguous(x);
  const out = allocateShape(reducedShape(x.shape, [dim], true));
  const [outer, inner] = [sizeOf(x.shape.slice(0, dim)), sizeOf(x.shape.slice(dim + 1))];
  run[kernel](address(dense), address(out), outer, n, inner);
  const start = address(out);
  return new Indices(out.shape, Int32Array.from(heap.ints.subarray(start, start + out.size)));
}

function argOf(kernel: 'argmax' | 'argmin', x: Tensor, dim: number | undefined, keepdim: boolean): Indices {
  checkTensor(kernel, x);
  if (dim === undefined) {
    if (x.size === 0) throw new Error(`${kernel}: shape ${showShape(x.shape)} has no numbers to choose from.`);
    return new Indices([], positions(kernel, reshape(x, [x.size]), 0).data);
  }
  const axis = normalizeAxis(kernel, dim, x.shape);
  return new Indices(reducedShape(x.shape, [axis], keepdim), positions(kernel, x, axis).data);
}

/** Where the first largest number stands along an axis (in row-major order of all, if dim is left out). Has no derivative. */
export const argmax = (x: Tensor, dim?: number, keepdim = false): Indices => argOf('argmax', x, dim, keepdim);
/** Where the first smallest number stands. Has no derivative. */
export const argmin = (x: Tensor, dim?: number, keepdim = false): Indices => argOf('argmin', x, dim, keepdim);

const prodOp: Op<[Tensor], AxisAttributes> = defineOp({
  name: 'prod',
  inputs: ['x'],
  forward: ([x], { dim }) => reduceAxes('prod', x, [dim], true),
  gradient: [({ inputs: [x], attributes: { dim } }, g) => mul(g, productOfOthers(x, dim))],
  perExample: rowwise(),
  reads: 'inputs',
  feasible: 'everything',
  samples: (draw) => [
    { inputs: [draw.awayFromZero([3, 4])], attributes: { dim: 1 } },
    {
      inputs: [mul(draw.awayFromZero([3, 2]), where(eq(slice(eye(3), [null, [0, 2]]), 1), 0, 1))],
      attributes: { dim: 0 },
    },
  ],
});

/** For each entry, the product of the other entries along the axis; right where some are zero. */
function productOfOthers(x: Tensor, dim: number): Tensor {
  const hasZero = numbersOf(x).includes(0);
  if (!hasZero) return div(prodOp(x, { dim }), x);
  // Copy i of x, with a 1 in place of entry i, multiplied up: n times the work, only where a zero makes it necessary.
  const n = x.shape[dim]!;
  const own = reshape(eye(n), [n, ...x.shape.map((size, axis) => (axis === dim ? size : 1))]);
  const others = where(own, 1, unsqueeze(x, 0));
  const products = prodOp(others, { dim: dim + 1 });
  const order = x.shape.map((_, axis) => (axis === dim ? 0 : axis + 1));
  return reshape(permute(products, [...order, dim + 1]), x.shape);
}

/** The product over some axes (all, if dim is left out). Of nothing it is 1. */
export const prod = (x: Tensor, dim?: Dim, keepdim = false): Tensor =>
  overOneAxis('prod', x, dim, keepdim, (joined, axis) => prodOp(joined, { dim: axis }));

const normOp = defineOp<[Tensor], { axes: readonly number[]; keepdim: boolean }>({
  name: 'norm',
  inputs: ['x'],
  forward: ([x], { axes, keepdim }) => map('sqrt', reduceAxes('sum', map('square', x), axes, keepdim)),
  // x / |x|, and 0 where the norm is 0.
  gradient: [
    ({ inputs: [x], output, attributes: { axes } }, g) =>
      mul(x, spread(div(g, add(output, eq(output, 0))), x.shape, axes)),
  ],
  perExample: rowwise(({ axes }) => axes.includes(0)),
  feasible: atLeast(0),
  samples: (draw) => [{ inputs: [draw.normal([3, 4])], attributes: { axes: [1], keepdim: false } }],
});

/** The Euclidean norm over some axes (all, if dim is left out). Its gradient at 0 is 0. */
export function norm(x: Tensor, dim?: Dim, keepdim = false): Tensor {
  checkTensor('norm', x);
  return normOp(x, { axes: normalizeAxes('norm', dim, x.shape), keepdim });
}

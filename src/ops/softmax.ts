/** Softmax and its relatives, along any axis: the kernels work on rows, so another axis is moved to the end first. */
import { rowwise } from '../autograd/apart.ts';
import { defineOp, type Op } from '../autograd/define.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocateLike, allocateShape, contiguous } from '../tensor/access.ts';
import { normalizeAxes, normalizeAxis, reducedShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';
import { mul, sub } from './binary.ts';
import { exp } from './elementwise.ts';
import type { Feasible } from './feasible.ts';
import { permute, reshape, transpose } from './shape.ts';
import { nearestShares } from './simplex.ts';
import { spread, sum } from './sum.ts';

const rowsOf = ({ shape }: Tensor): [rows: number, columns: number] => [sizeOf(shape.slice(0, -1)), shape.at(-1) ?? 1];

/** An op on the last axis whose output has the shape of its input. */
function onRows(
  name: 'softmax' | 'logSoftmax',
  gradient: (y: Tensor, g: Tensor) => Tensor,
  feasible: Feasible<[Tensor], undefined>,
): Op<[Tensor], undefined> {
  return defineOp<[Tensor]>({
    name,
    inputs: ['x'],
    forward: ([x]) => {
      const dense = contiguous(x);
      const out = allocateLike(dense);
      run[name](address(dense), address(out), ...rowsOf(x));
      return out;
    },
    gradient: [({ output }, g) => gradient(output, g)],
    perExample: rowwise((_, { output }) => output.ndim === 1),
    raw: ({ output }, g, out, accumulate) => {
      const [rows, columns] = rowsOf(g);
      run[`${name}Slope`](address(g), address(output), out, rows, columns, accumulate);
    },
    reads: 'output',
    feasible,
    samples: (draw) => [
      { inputs: [draw.normal([3, 4])], attributes: undefined },
      { inputs: [draw.normal([5], 3)], attributes: undefined },
    ],
  });
}

const softmaxOp = onRows('softmax', (y, g) => mul(y, sub(g, sum(mul(g, y), -1, true))), {
  is: 'exact',
  project: nearestShares,
});
const logSoftmaxOp = onRows('logSoftmax', (y, g) => sub(g, mul(exp(y), sum(g, -1, true))), {
  // Moved along (1, ..., 1) until the exponentials add up to 1; the nearest such row would lie a little aside.
  is: 'approximate',
  project: (wished) => logSoftmaxOp(wished),
});

function alongAxis(name: string, op: Op<[Tensor], undefined>, x: Tensor, dim: number): Tensor {
  checkTensor(name, x);
  const axis = normalizeAxis(name, dim, x.shape);
  if (axis === x.ndim - 1) return op(x);
  return transpose(op(transpose(x, axis, -1)), axis, -1);
}

/** e^x over its sum along an axis: positive numbers that add up to 1. Shifted by the maximum, so large x are safe. */
export const softmax = (x: Tensor, dim = -1): Tensor => alongAxis('softmax', softmaxOp, x, dim);
/** log(softmax(x)), computed as one. */
export const logSoftmax = (x: Tensor, dim = -1): Tensor => alongAxis('logSoftmax', logSoftmaxOp, x, dim);

const logSumExpOp: Op<[Tensor], undefined> = defineOp({
  name: 'logsumexp',
  inputs: ['x'],
  forward: ([x]) => {
    const dense = contiguous(x);
    const out = allocateShape(reducedShape(x.shape, [x.ndim - 1], true));
    run.logSumExp(address(dense), address(out), ...rowsOf(x));
    return out;
  },
  gradient: [({ inputs: [x] }, g) => mul(spread(g, x.shape, [x.ndim - 1]), softmaxOp(x))],
  perExample: rowwise(),
  reads: 'inputs',
  feasible: 'everything',
  samples: (draw) => [{ inputs: [draw.normal([3, 4])], attributes: undefined }],
});

/** log(sum(e^x)) over some axes (all, if dim is left out), safe for large x. */
export function logsumexp(x: Tensor, dim?: number | readonly number[], keepdim = false): Tensor {
  checkTensor('logsumexp', x);
  const axes = normalizeAxes('logsumexp', dim, x.shape);
  const rest = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const moved = axes.length === 1 && axes[0] === x.ndim - 1 ? x : permute(x, [...rest, ...axes]);
  const sizes = [...rest.map((axis) => x.shape[axis]!), sizeOf(axes.map((axis) => x.shape[axis]!))];
  return reshape(logSumExpOp(reshape(moved, sizes)), reducedShape(x.shape, axes, keepdim));
}

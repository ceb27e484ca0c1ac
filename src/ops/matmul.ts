/**
 * Matrix products. All of them come down to one kernel, gemm, which takes its operands by strides: transposes, slices
 * and batches are read where they stand.
 */
import { sameRows } from '../autograd/apart.ts';
import { defineOp, type Op, type PerExample } from '../autograd/define.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocateShape, contiguous } from '../tensor/access.ts';
import { broadcastShapes, broadcastStrides, sameShape, showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';
import { reshape, transpose } from './shape.ts';
import { broadcasting, examplesOf, sum, sumTo } from './sum.ts';

/** A stack of matrices as gemm sees it: shape and strides of the batch, rows and columns. */
interface Matrices {
  start: number;
  batch: readonly number[];
  rows: number;
  columns: number;
  rowStride: number;
  columnStride: number;
}

function matrices(x: Tensor, batch: readonly number[], transposed = false): Matrices {
  const { shape, strides } = x.layout;
  const rank = shape.length;
  const [row, column] = transposed ? [rank - 1, rank - 2] : [rank - 2, rank - 1];
  return {
    start: address(x),
    batch: broadcastStrides(shape.slice(0, -2), strides.slice(0, -2), batch),
    rows: shape[row]!,
    columns: shape[column]!,
    rowStride: strides[row]!,
    columnStride: strides[column]!,
  };
}

/** c (+)= a b for every matrix of a batch; c contiguous in its rows. */
function multiply(batch: readonly number[], a: Matrices, b: Matrices, c: Matrices, accumulate: 0 | 1): void {
  const over = (axis: number, aAt: number, bAt: number, cAt: number): void => {
    if (axis === batch.length) {
      run.gemm(
        aAt,
        a.rowStride,
        a.columnStride,
        bAt,
        b.rowStride,
        b.columnStride,
        cAt,
        c.rowStride,
        a.rows,
        b.columns,
        a.columns,
        accumulate,
        0,
        0,
      );
      return;
    }
    for (let i = 0; i < batch[axis]!; i++)
      over(axis + 1, aAt + i * a.batch[axis]!, bAt + i * b.batch[axis]!, cAt + i * c.batch[axis]!);
  };
  over(0, a.start, b.start, c.start);
}

function batchOf(a: Tensor, b: Tensor): readonly number[] {
  const [x, y] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  if (sameShape(x, y)) return x;
  return broadcastShapes(`matmul: ${showShape(a.shape)} x ${showShape(b.shape)}, axes before the matrices`, x, y);
}

/** Adds a b (or writes it) at `out`, summed over what broadcasting to the batch repeated of `shape`. */
function multiplyInto(
  a: Tensor,
  b: Tensor,
  transposed: 'a' | 'b',
  shape: readonly number[],
  out: number,
  accumulate: 0 | 1,
): void {
  const batch = batchOf(a, b);
  const own = shape.slice(0, -2);
  const [rows, columns] = shape.slice(-2) as [number, number];
  const strides = own.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const repeated = !sameShape(own, batch);
  if (repeated && accumulate === 0) run.fill(out, sizeOf(shape), 0);
  const target: Matrices = {
    start: out,
    batch: broadcastStrides(own, strides, batch),
    rows,
    columns,
    rowStride: columns,
    columnStride: 1,
  };
  multiply(
    batch,
    matrices(a, batch, transposed === 'a'),
    matrices(b, batch, transposed === 'b'),
    target,
    repeated ? 1 : accumulate,
  );
}

/** a and out have the rows; a stack of matrices b has them too. */
const matmulPerExample: PerExample<readonly Tensor[], undefined> = {
  ...broadcasting(() => matmulOp),
  apart: (node, index, count) => {
    const { ndim } = node.inputs[index]!;
    return ndim === node.output.ndim && (index === 0 || ndim > 2) && sameRows(node, index, count);
  },
  // (sum over examples of |g_n x_n|^p) = |x|^p^T |g|^p, where each example has one row.
  factors: ({ inputs: [a, b] }, index, count) =>
    index === 1 && a!.ndim === 2 && b!.ndim === 2 && a!.shape[0] === count ? [0] : null,
};

const matmulOp: Op<[Tensor, Tensor], undefined> = defineOp({
  name: 'matmul',
  inputs: ['a', 'b'],
  forward: ([a, b]) => {
    const [m, n] = [a.shape[a.ndim - 2]!, b.shape[b.ndim - 1]!];
    if (a.ndim === 2 && b.ndim === 2) {
      const out = allocateShape([m, n]);
      const [as, bs] = [a.layout.strides, b.layout.strides];
      run.gemm(address(a), as[0]!, as[1]!, address(b), bs[0]!, bs[1]!, address(out), n, m, n, a.shape[1]!, 0, 0, 0);
      return out;
    }
    const batch = batchOf(a, b);
    const out = allocateShape([...batch, m, n]);
    multiply(batch, matrices(a, batch), matrices(b, batch), matrices(out, batch), 0);
    return out;
  },
  gradient: [
    ({ inputs: [a, b] }, g) => sumTo(matmulOp(g, transpose(b)), a.shape),
    ({ inputs: [a, b] }, g) => sumTo(matmulOp(transpose(a), g), b.shape),
  ],
  perExample: matmulPerExample,
  raw: [
    ({ inputs: [a, b] }, g, out, accumulate) => multiplyInto(g, b, 'b', a.shape, out, accumulate),
    ({ inputs: [a, b] }, g, out, accumulate) => multiplyInto(a, g, 'a', b.shape, out, accumulate),
  ],
  reads: 'inputs',
  feasible: 'everything',
  samples: (draw) => [
    { inputs: [draw.normal([2, 3]), draw.normal([3, 4])], attributes: undefined },
    { inputs: [draw.normal([2, 1, 2, 3]), draw.normal([2, 3, 2])], attributes: undefined },
  ],
});

/**
 * The matrix product, as NumPy and PyTorch define it: [m, k] x [k, n] gives [m, n]; leading axes are batches and
 * broadcast; a vector on the left is a row, on the right a column, and its axis goes.
 *
 *     matmul(tensor([[1, 2]]), tensor([[3], [4]])).toArray();    // [[11]]
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  checkTensor('matmul', a);
  checkTensor('matmul', b);
  if (a.ndim === 0 || b.ndim === 0)
    throw new Error(`matmul: ${showShape(a.shape)} x ${showShape(b.shape)}: a scalar is no matrix. Use mul.`);
  const [inner, outer] = [a.shape[a.ndim - 1]!, b.shape[b.ndim === 1 ? 0 : b.ndim - 2]!];
  if (inner !== outer)
    throw new Error(
      `matmul: inner sizes differ: ${showShape(a.shape)} x ${showShape(b.shape)} (${inner} and ${outer}). Transpose one ` +
        'operand, or check its layer.',
    );
  if (a.ndim === 1 && b.ndim === 1) return reshape(matmulOp(row(a), column(b)), []);
  if (a.ndim === 1) {
    const product = matmulOp(row(a), b);
    return reshape(product, [...product.shape.slice(0, -2), product.shape.at(-1)!]);
  }
  if (b.ndim === 1) {
    const product = matmulOp(a, column(b));
    return reshape(product, product.shape.slice(0, -1));
  }
  // A stack of matrices times one matrix is one tall matrix times it.
  if (b.ndim === 2 && a.ndim > 2 && a.layout.contiguous)
    return reshape(matmulOp(rowsOf(a), b), [...a.shape.slice(0, -1), b.shape[1]!]);
  return matmulOp(a, b);
}

const row = (x: Tensor) => reshape(x, [1, x.size]);
const column = (x: Tensor) => reshape(x, [x.size, 1]);

/** A stack of matrices, or a row, as one matrix. */
const rowsOf = (x: Tensor) => (x.ndim === 2 ? x : reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape[x.ndim - 1]!]));

const linearOp: Op<readonly Tensor[], undefined> = defineOp({
  name: 'linear',
  inputs: ['input', 'weight', 'bias?'],
  forward: (inputs) => {
    const input = inputs[0]!;
    const weight = inputs[1]!;
    const bias = inputs[2];
    const [batch, features] = [input.layout.shape[0]!, input.layout.shape[1]!];
    const outputs = weight.layout.shape[0]!;
    const out = allocateShape([batch, outputs]);
    const x = input.layout.strides;
    const w = weight.layout.strides;
    run.gemm(
      address(input),
      x[0]!,
      x[1]!,
      address(weight),
      w[1]!,
      w[0]!,
      address(out),
      outputs,
      batch,
      outputs,
      features,
      0,
      bias === undefined ? 0 : address(contiguous(bias)),
      0,
    );
    return out;
  },
  gradient: ({ inputs }, g, index) => {
    if (index === 0) return matmulOp(g, inputs[1]!);
    return index === 1 ? matmulOp(transpose(g), inputs[0]!) : sumTo(g, inputs[2]!.shape);
  },
  perExample: {
    apart: (node, index, count) => index === 0 && sameRows(node, index, count),
    gradients: ({ inputs }, g, index, part) => {
      if (index === 0 || g.shape[0]! % part.count !== 0) return null;
      const rows = examplesOf(g, part);
      return index === 1 ? matmulOp(transpose(rows), examplesOf(inputs[0]!, part)) : sum(rows, 1);
    },
    factors: ({ output }, index, count) => (index === 0 || output.shape[0] !== count ? null : index === 1 ? [0] : []),
  },
  raw: ({ inputs }, g, out, accumulate, index) => {
    const [batch, outputs] = [g.layout.shape[0]!, g.layout.shape[1]!];
    const features = inputs[1]!.layout.shape[1]!;
    if (index === 0) {
      const w = inputs[1]!.layout.strides;
      run.gemm(
        address(g),
        outputs,
        1,
        address(inputs[1]!),
        w[0]!,
        w[1]!,
        out,
        features,
        batch,
        features,
        outputs,
        accumulate,
        0,
        0,
      );
    } else if (index === 1) {
      const x = inputs[0]!.layout.strides;
      run.gemm(
        address(g),
        1,
        outputs,
        address(inputs[0]!),
        x[0]!,
        x[1]!,
        out,
        features,
        outputs,
        features,
        batch,
        accumulate,
        0,
        0,
      );
    } else run.sum(address(g), out, 1, batch, outputs, accumulate);
  },
  reads: 'inputs',
  feasible: 'everything',
  data: 1,
  samples: (draw) => [
    { inputs: [draw.normal([4, 3]), draw.normal([2, 3]), draw.normal([2])], attributes: undefined },
    { inputs: [draw.normal([2, 3]), draw.normal([2, 3])], attributes: undefined },
  ],
});

/**
 * x W^T + b: input [..., in], weight [out, in], bias [out] (or none), result [..., out].
 */
export function linear(input: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  checkTensor('linear', input);
  checkTensor('linear', weight);
  if (bias) checkTensor('linear', bias);
  const features = input.shape[input.ndim - 1];
  if (weight.ndim !== 2 || features === undefined || features !== weight.shape[1])
    throw new Error(
      `linear: input ${showShape(input.shape)} does not fit weight ${showShape(weight.shape)}: the last axis of the input must ` +
        "have the size of the weight's second axis ([out, in]).",
    );
  if (bias && (bias.ndim !== 1 || bias.size !== weight.shape[0]))
    throw new Error(
      `linear: bias ${showShape(bias.shape)} does not fit weight ${showShape(weight.shape)}: one number for each of its ` +
        `${weight.shape[0]} outputs.`,
    );
  const rows = rowsOf(input);
  const out = linearOp(bias ? [rows, weight, bias] : [rows, weight]);
  return input.ndim === 2 ? out : reshape(out, [...input.shape.slice(0, -1), weight.shape[0]!]);
}

/**
 * Solving with symmetric positive definite matrices: the Cholesky factor, triangular solves, and both in one. These are
 * matrices such as X^T X + ridge I, of least squares and Gaussian processes.
 */
import { defineOp, type Op } from '../autograd/define.ts';
import { heap, run } from '../storage/dispatch.ts';
import { address, allocateShape, contiguous } from '../tensor/access.ts';
import { tensor } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';
import { add, maximum, mul, where, zip } from './binary.ts';
import { map, neg } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { reshape, transpose } from './shape.ts';

/** How far a matrix may be from symmetric, relative to its largest number: what rounding leaves of a sum of products. */
const asymmetry = 1e-4;

/** A matrix of `below` under the diagonal, `on` on it, zeros above. */
function triangle(n: number, below: number, on: number): Tensor {
  const numbers = new Float32Array(n * n);
  for (let row = 0; row < n; row++) {
    numbers.fill(below, row * n, row * n + row);
    numbers[row * n + row] = on;
  }
  return tensor(numbers, [n, n]);
}

/**
 * a [n, n] -> L, lower triangular with L L^T = (a + a^T) / 2: the gradient of a symmetric matrix is then symmetric too.
 *
 * With P = tril(L^T g), its diagonal halved, the gradient is S = L^-T P L^-1, made symmetric (Murray, "Differentiation of the
 * Cholesky decomposition", 2016, equation 10).
 */
const choleskyOp: Op<[Tensor], undefined> = defineOp({
  name: 'cholesky',
  inputs: ['a'],
  forward: ([a]) => {
    checkSymmetric(a);
    const symmetric = map('scale', zip('add', a, transpose(a)), 0.5);
    const out = allocateShape(a.shape);
    run.cholesky(address(symmetric), address(out), a.shape[0]!);
    checkPivots(out);
    return out;
  },
  gradient: [
    ({ output }, g) => {
      const halved = mul(matmul(transpose(output), g), triangle(output.shape[0]!, 1, 0.5));
      const left = solveOp(output, halved, { transposed: true });
      const both = solveOp(output, transpose(left), { transposed: true });
      return mul(add(both, transpose(both)), 0.5);
    },
  ],
  reads: 'output',
  // Any lower triangular matrix whose diagonal is not negative.
  feasible: {
    is: 'exact',
    project: (wished) => {
      const n = wished.shape[0]!;
      return where(triangle(n, 0, 1), maximum(wished, 0), where(triangle(n, 1, 0), wished, 0));
    },
  },
  samples: (draw) =>
    [1, 3].map((n) => {
      const x = draw.normal([n, n + 2]);
      return { inputs: [matmul(x, transpose(x))], attributes: undefined };
    }),
});

function checkSymmetric(a: Tensor): void {
  const dense = contiguous(a);
  const [start, n] = [address(dense), a.shape[0]!];
  const { floats } = heap;
  const at = (i: number, j: number) => floats[start + i * n + j]!;
  let largest = 0;
  let apart = 0;
  let worst: readonly [number, number] = [0, 0];
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      const [below, above] = [at(i, j), at(j, i)];
      largest = Math.max(largest, Math.abs(below), Math.abs(above));
      const difference = Math.abs(below - above);
      if (difference > apart) {
        apart = difference;
        worst = [i, j];
      }
    }
  if (!(apart > asymmetry * largest)) return;
  const [i, j] = worst;
  throw new Error(
    `cholesky: a ${showShape(a.shape)} is not symmetric: a[${i}, ${j}] is ${at(i, j)}, a[${j}, ${i}] is ${at(j, i)}. Give ` +
      'a.add(a.transpose()).mul(0.5) if its symmetric part is meant.',
  );
}

function checkPivots(factor: Tensor): void {
  const [start, n] = [address(factor), factor.shape[0]!];
  for (let i = 0; i < n; i++) {
    const pivot = heap.floats[start + i * n + i]!;
    if (pivot > 0 && pivot < Number.POSITIVE_INFINITY) continue;
    const matrix = `cholesky: a ${showShape(factor.shape)}`;
    throw new Error(
      Number.isFinite(pivot)
        ? `${matrix} is not positive definite: pivot ${i} (from 0) is ${pivot}, and must be above 0. Add a ridge to its ` +
            `diagonal, a.add(eye(${n}).mul(ridge)), 1e-6 times its largest number or more.`
        : `${matrix} holds NaN or infinity, or numbers too large to be squared: pivot ${i} (from 0) is ${pivot}.`,
    );
  }
}

/**
 * x with L x = b, or L^T x = b, for b [n, k]; of L the lower triangle counts. With h = L^-T g, the gradient of b, that of L
 * is -tril(h x^T); transposed, h = L^-1 g and -tril(x h^T).
 */
const solveOp: Op<[Tensor, Tensor], { transposed: boolean }> = defineOp({
  name: 'triangularSolve',
  inputs: ['l', 'b'],
  forward: ([l, b], { transposed }) => {
    const [factor, right] = [contiguous(l), contiguous(b)];
    const out = allocateShape(b.shape);
    const [n, columns] = b.shape as [number, number];
    run.triangularSolve(address(factor), address(right), address(out), n, columns, transposed ? 1 : 0);
    return out;
  },
  gradient: [
    ({ inputs: [l], output, attributes: { transposed } }, g) => {
      const h = solveOp(l, g, { transposed: !transposed });
      const product = transposed ? matmul(output, transpose(h)) : matmul(h, transpose(output));
      return neg(mul(product, triangle(l.shape[0]!, 1, 1)));
    },
    ({ inputs: [l], attributes: { transposed } }, g) => solveOp(l, g, { transposed: !transposed }),
  ],
  feasible: 'everything',
  samples: (draw) =>
    [false, true].map((transposed) => ({
      inputs: [add(mul(draw.normal([3, 3]), 0.3), triangle(3, 0, 2)), draw.normal([3, 2])],
      attributes: { transposed },
    })),
});

function checkSquare(op: string, a: Tensor): number {
  checkTensor(op, a);
  const [n] = a.shape;
  if (a.ndim !== 2 || n !== a.shape[1])
    throw new Error(`${op}: a ${showShape(a.shape)} is not square: the matrix is of shape [n, n].`);
  return n!;
}

function checkRight(op: string, n: number, b: Tensor): void {
  checkTensor(op, b);
  if ((b.ndim !== 1 && b.ndim !== 2) || b.shape[0] !== n)
    throw new Error(
      `${op}: b ${showShape(b.shape)} does not fit a matrix of shape ${showShape([n, n])}: it is of shape [${n}] or [${n}, k].`,
    );
}

/**
 * The lower triangular L with L L^T = a, for a symmetric positive definite matrix a [n, n].
 *
 *     cholesky(tensor([[4, 2], [2, 5]])).toArray();        // [[2, 0], [1, 2]]
 *
 * A matrix that is not symmetric (to a ten-thousandth of its largest number) or not positive definite is an error.
 */
export function cholesky(a: Tensor): Tensor {
  checkSquare('cholesky', a);
  return choleskyOp(a);
}

/**
 * x with L x = b for a lower triangular matrix L [n, n] and b [n] or [n, k]; with transposed: true, x with L^T x = b. What stands
 * above the diagonal of L is not read; a 0 on it gives infinities.
 *
 *     triangularSolve(tensor([[2, 0], [1, 4]]), tensor([2, 9])).toArray();    // [1, 2]
 */
export function triangularSolve(l: Tensor, b: Tensor, { transposed = false }: { transposed?: boolean } = {}): Tensor {
  checkRight('triangularSolve', checkSquare('triangularSolve', l), b);
  if (b.ndim === 2) return solveOp(l, b, { transposed });
  return reshape(solveOp(l, reshape(b, [b.size, 1]), { transposed }), b.shape);
}

/**
 * x with a x = b for a symmetric positive definite matrix a [n, n] and b [n] or [n, k], by Cholesky's factor: in float32, good to
 * about 1e-7 times the condition of a, relative to x.
 *
 *     solvePositive(tensor([[4, 2], [2, 5]]), tensor([8, 8])).toArray();      // [1.5, 1]
 *
 * Ridge regression: solvePositive(x.transpose().matmul(x).add(eye(n).mul(ridge)), x.transpose().matmul(y)). A matrix that is
 * not symmetric or not positive definite is an error that says which pivot is not above 0.
 */
export function solvePositive(a: Tensor, b: Tensor): Tensor {
  checkRight('solvePositive', checkSquare('solvePositive', a), b);
  const factor = choleskyOp(a);
  return triangularSolve(factor, triangularSolve(factor, b), { transposed: true });
}

/**
 * Singular values of a matrix: numbers about a tensor, in double precision and without derivatives.
 *
 * The matrix is reduced to a triangle by reflections (Householder), then the rows of the triangle are turned in pairs until all are
 * orthogonal (one-sided Jacobi: Hestenes 1958); their lengths are the singular values. Working on rows of a triangle takes fewer
 * sweeps than on the columns of the matrix, and a tall matrix costs little more than its short side (Drmac and Veselic 2008).
 */

import { showShape } from '../tensor/layout.ts';
import { checkTensor, numbersOf, type Tensor } from '../tensor/tensor.ts';

/** Sweeps over all pairs. Ten are many; beyond this, the numbers are not what they were checked to be. */
const MOST_SWEEPS = 60;
/** Cosine of the angle between two rows that counts as a right one. */
const ORTHOGONAL = 2 ** -50;
/** Lengths below this part of the whole matrix are what rounding left: no angles are to be had from them. */
const NEGLIGIBLE = 2 ** -56;

/**
 * The singular values of a matrix [m, n], largest first: min(m, n) numbers from 0 up, each within about 1e-15 of the largest one.
 * They have no history: nothing can be differentiated through them.
 *
 *     Array.from(singularValues(tensor([[3, 0], [4, 0], [0, 2]]))); // [5, 2]
 *
 * Infinities and NaN are an error.
 */
export function singularValues(a: Tensor): Float64Array {
  checkTensor('singularValues', a);
  const [m, n] = a.shape;
  if (a.ndim !== 2 || m === undefined || n === undefined)
    throw new Error(`singularValues: a ${showShape(a.shape)} is no matrix: it is of shape [m, n].`);
  return singularValuesOf(numbersOf(a), m, n);
}

/** The same of m x n numbers, row-major; they are not changed. */
export function singularValuesOf(numbers: ArrayLike<number>, m: number, n: number): Float64Array {
  let largest = 0;
  for (let i = 0; i < numbers.length; i++) {
    const size = Math.abs(numbers[i]!);
    if (!(size < Infinity))
      throw new Error(
        `singularValues: a [${m}, ${n}] holds ${numbers[i]!} at [${Math.floor(i / n)}, ${i % n}]: only finite numbers have singular values.`,
      );
    largest = Math.max(largest, size);
  }
  const short = Math.min(m, n);
  if (largest === 0) return new Float64Array(short);
  // In units of the largest number (by a power of two, which rounds nothing) no square leaves the range of doubles.
  const unit = 2 ** Math.max(-1000, Math.floor(Math.log2(largest)));
  // The columns of the tall one of the matrix and its transpose.
  const columns = Array.from({ length: short }, (_, column) =>
    Float64Array.from({ length: Math.max(m, n) }, (_, row) =>
      m >= n ? numbers[row * n + column]! / unit : numbers[column * n + row]! / unit,
    ),
  );
  const rows = triangle(columns);
  orthogonalize(rows);
  return Float64Array.from(rows, (row) => unit * Math.sqrt(dot(row, row, 0)))
    .sort()
    .reverse();
}

function dot(a: Float64Array, b: Float64Array, from: number): number {
  let sum = 0;
  for (let i = from; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/**
 * The rows of R, upper triangular with A = Q R, from the columns of A, which are overwritten. Reflection k, 1 - v v^T / beta,
 * makes zeros below the diagonal of column k (Golub and Van Loan, "Matrix computations", section 5.2).
 */
function triangle(columns: readonly Float64Array[]): Float64Array[] {
  const n = columns.length;
  for (let k = 0; k < n; k++) {
    const v = columns[k]!;
    const length = Math.sqrt(dot(v, v, k));
    if (length === 0) continue;
    const diagonal = v[k]! > 0 ? -length : length;
    const beta = length * (length + Math.abs(v[k]!));
    v[k] = v[k]! - diagonal;
    for (let j = k + 1; j < n; j++) {
      const column = columns[j]!;
      const share = dot(v, column, k) / beta;
      for (let i = k; i < v.length; i++) column[i] = column[i]! - share * v[i]!;
    }
    v[k] = diagonal;
  }
  return Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (j < i ? 0 : columns[j]![i]!)));
}

/** Turns rows in pairs until all are orthogonal. */
function orthogonalize(rows: readonly Float64Array[]): void {
  const total = rows.reduce((sum, row) => sum + dot(row, row, 0), 0);
  const least = NEGLIGIBLE * NEGLIGIBLE * total;
  for (let sweep = 0, turned = true; turned; sweep++) {
    if (sweep === MOST_SWEEPS)
      throw new Error(`singularValues: ${MOST_SWEEPS} sweeps did not make the rows orthogonal.`);
    turned = false;
    for (let p = 0; p < rows.length; p++)
      for (let q = p + 1; q < rows.length; q++) if (turn(rows[p]!, rows[q]!, least)) turned = true;
  }
}

/** Makes two rows orthogonal by a rotation in their plane; false where they are already. */
function turn(a: Float64Array, b: Float64Array, least: number): boolean {
  const [aa, bb, ab] = [dot(a, a, 0), dot(b, b, 0), dot(a, b, 0)];
  if (!(Math.abs(ab) > Math.max(least, ORTHOGONAL * Math.sqrt(aa) * Math.sqrt(bb)))) return false;
  const zeta = (bb - aa) / (2 * ab);
  const tangent = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const cos = 1 / Math.sqrt(1 + tangent * tangent);
  const sin = cos * tangent;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    a[i] = cos * x - sin * y;
    b[i] = sin * x + cos * y;
  }
  return true;
}

/**
 * The least change that does what many rows wish of it together: damped least squares, by Cholesky's factor.
 *
 * A linear layer meets it twice. Its input is to move so that x W^T moves by dy: the rows are those of W. Its weight is
 * to move so that a batch X is mapped R further: the rows are those of X. Both are this one formula.
 */
import { add, div, eq, mul } from '../../ops/binary.ts';
import { sqrt, square } from '../../ops/elementwise.ts';
import { matmul } from '../../ops/matmul.ts';
import { amax } from '../../ops/reduce.ts';
import { cat, slice, transpose } from '../../ops/shape.ts';
import { solvePositive } from '../../ops/solve.ts';
import { sum } from '../../ops/sum.ts';
import { constant, eye } from '../../tensor/create.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { ratio } from './wish.ts';

/**
 * For each row of `wishes` [n, k] the change v [columns] with  rows v^T = wish,  as nearly as the damping lets it:
 *
 *     v = wish S (S G S + ridge m I)^-1 S rows,    G = rows rows^T,   S = diag(s),   s^2 = p / max p,
 *                                                  m = sum s^2 G_kk / sum s^2
 *
 * It minimises sum_k s_k^2 (wish_k - <rows_k, v>)^2 + ridge m |v|^2, where m is the mean of |rows_k|^2. With ridge 0 it
 * is the least change that fulfils all wishes, if one does; more wishes than columns, or two equal rows, then have no
 * solution (solvePositive says so). A row of zeros asks nothing; nor does a wish of precision 0, which is as if it were
 * not there.
 *
 * @param rows [k, columns]
 * @param precision null: all alike; [1, k]: one for each row of the layer, for all wishes; [n, k]: each its own, which
 *   costs one factor for each of the n
 */
export function leastChange(rows: Tensor, wishes: Tensor, precision: Tensor | null, ridge: number): Tensor {
  const [n, k] = wishes.shape as [number, number];
  const gram = matmul(rows, transpose(rows));
  const identity = eye(k);
  const solved = (s: Tensor | null, wish: Tensor): Tensor => {
    const shared = s === null ? gram : mul(mul(transpose(s), gram), s);
    const diagonal = mul(shared, identity);
    const count = s === null ? constant(k) : sum(square(s));
    const size = ratio(sum(diagonal), count);
    // What asks nothing has a 0 on the diagonal and would make the matrix singular; any number there gives the answer 0.
    const silent = mul(eq(sum(diagonal, 0, true), 0), add(size, eq(size, 0)));
    const matrix = add(shared, mul(identity, add(silent, mul(size, ridge))));
    const weighed = s === null ? wish : mul(wish, s);
    const found = transpose(solvePositive(matrix, transpose(weighed)));
    return s === null ? found : mul(found, s);
  };
  if (precision === null) return matmul(solved(null, wishes), rows);
  const largest = amax(precision, 1, true);
  const s = sqrt(div(precision, add(largest, eq(largest, 0))));
  if (precision.shape[0] === 1) return matmul(solved(s, wishes), rows);
  const each = Array.from({ length: n }, (_, i) => solved(slice(s, [[i, i + 1]]), slice(wishes, [[i, i + 1]])));
  return matmul(cat(each, 0), rows);
}

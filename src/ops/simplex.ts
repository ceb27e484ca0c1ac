/**
 * The nearest point of the probability simplex: numbers of at least 0 that add up to 1.
 *
 * min |y - x|^2 over the simplex has the solution y_i = max(x_i - theta, 0) with the one theta that makes the sum 1. With the
 * numbers sorted, u_1 >= u_2 >= ..., theta = (u_1 + ... + u_k - 1) / k for the largest k with u_k above that theta (Duchi,
 * Shalev-Shwartz, Singer and Chandra, "Efficient projections onto the l1-ball for learning in high dimensions", 2008,
 * figure 1).
 */
import { tensor } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';

/**
 * Writes the nearest point of the simplex over the row `numbers[start .. start + count)`. Infinite entries are taken as limits:
 * those of +Infinity share the whole equally, those of -Infinity get nothing. A row with a NaN becomes NaN.
 */
export function ontoSimplex(numbers: Float32Array | Float64Array, start: number, count: number): void {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = start; i < start + count; i++) largest = Math.max(largest, numbers[i]!);
  // A shift of the whole row moves theta and not y: with the maximum at 0, digits are kept, and infinity is a number.
  const shifted = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const x = numbers[start + i]!;
    shifted[i] = x === largest ? 0 : x - largest;
  }
  const sorted = shifted.slice().sort();
  let sum = 0;
  let theta = -1;
  for (let k = 1; k <= count; k++) {
    const u = sorted[count - k]!;
    const next = (sum + u - 1) / k;
    if (!(u > next)) break;
    sum += u;
    theta = next;
  }
  for (let i = 0; i < count; i++) numbers[start + i] = Math.max(shifted[i]! - theta, 0);
}

/** Each row (along the last axis) moved to the nearest numbers of at least 0 that add up to 1. */
export function nearestShares(wished: Tensor): Tensor {
  const numbers = numbersOf(wished);
  const count = wished.shape.at(-1) ?? 1;
  for (let start = 0; start < numbers.length; start += count) ontoSimplex(numbers, start, count);
  return tensor(numbers, wished.shape);
}

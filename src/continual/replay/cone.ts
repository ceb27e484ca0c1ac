/**
 * The nearest vector that has no negative product with any of a few others: the quadratic program of gradient episodic memory,
 * solved in its dual.
 *
 *     minimise |x - g|^2 / 2 where x . m_k >= 0 for all k
 *
 * has the solution x = g + sum v_k m_k, where v minimises v P v / 2 + q v over v >= 0, P_jk = m_j . m_k, q_k = g . m_k. It has as many
 * variables as there are constraints. Which of them are above their bound is found one by one; for each guess a small linear
 * system is solved exactly, and every guess is better than the one before, so that it ends.
 * Lawson and Hanson, "Solving least squares problems" (1974), chapter 23, algorithm NNLS, on the normal equations.
 */

/** Products count as 0 up to this part of what the lengths allow. */
const tolerance = 1e-10;

/** A vector counts as a sum of others where no more than this part of its squared length is its own: beyond is rounding. */
const ownPart = 1e-13;

export interface Cone {
  /** P, [n, n] row by row: inner products of the vectors m_k with each other. */
  readonly gram: Float64Array;
  /** q, [n]: their inner products with g. */
  readonly products: Float64Array;
  /** g . g: says beside which numbers a product is 0. */
  readonly squaredLength: number;
  /** The least that any v_k may be, from 0 up; 0 gives the nearest vector. */
  readonly margin: number;
}

/**
 * The v that minimises v P v / 2 + q v over v_k >= margin. Then g + sum v_k m_k has products with all m_k of at least 0, up to 1e-10 of
 * |g + sum margin m_k| |m_k|, also where the m_k depend on each other. (One that is a sum of the others but for less than 3e-7 of its
 * length counts as that sum, and its product is as exact as that.)
 */
export function multipliers({ gram, products, squaredLength, margin }: Cone): Float64Array {
  const n = products.length;
  // With v = margin + u: minimise u P u / 2 + (q + P margin) u over u >= 0.
  const q = products.map((product, k) => {
    let sum = product;
    for (let j = 0; j < n; j++) sum += gram[k * n + j]! * margin;
    return sum;
  });
  let length = squaredLength;
  for (let k = 0; k < n; k++) length += margin * (products[k]! + q[k]!);
  const u = new Float64Array(n);
  const free: number[] = [];
  const dependent = new Set<number>();
  // Rounding may bring a guess twice; far more turns than are ever needed.
  for (let turn = 0; turn < 10 * n; turn++) {
    const entering = mostViolated(gram, q, u, length, (k) => free.includes(k) || dependent.has(k));
    if (entering < 0) break;
    free.push(entering);
    let wished = minimum(gram, q, free);
    if (wished === null) {
      // It is a sum of the others: where their products are 0, so is its own, but for rounding.
      free.pop();
      dependent.add(entering);
      continue;
    }
    while (wished?.some((x) => x <= 0)) {
      retreat(u, free, wished);
      wished = minimum(gram, q, free);
    }
    if (wished === null) break;
    for (let i = 0; i < free.length; i++) u[free[i]!] = wished[i]!;
  }
  return u.map((x) => margin + x);
}

/** Of the vectors that are not left out, the one whose constraint is broken most, each seen in its own length; -1: none. */
function mostViolated(
  gram: Float64Array,
  q: Float64Array,
  u: Float64Array,
  squaredLength: number,
  leftOut: (k: number) => boolean,
): number {
  const n = q.length;
  let [worst, found] = [-tolerance * Math.sqrt(Math.max(0, squaredLength)), -1];
  for (let k = 0; k < n; k++) {
    const own = gram[k * n + k]!;
    if (!(own > 0) || leftOut(k)) continue;
    let sum = q[k]!;
    for (let j = 0; j < n; j++) sum += gram[k * n + j]! * u[j]!;
    if (sum / Math.sqrt(own) < worst) [worst, found] = [sum / Math.sqrt(own), k];
  }
  return found;
}

/** Goes from u towards what is wished as far as all stay at 0 or above; who gets to 0 is no longer free. */
function retreat(u: Float64Array, free: number[], wished: Float64Array): void {
  let [step, first] = [Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < free.length; i++) {
    const k = free[i]!;
    if (wished[i]! > 0) continue;
    const own = u[k]! === 0 ? 0 : u[k]! / (u[k]! - wished[i]!);
    if (own < step) [step, first] = [own, i];
  }
  for (let i = 0; i < free.length; i++) u[free[i]!]! += step * (wished[i]! - u[free[i]!]!);
  u[free[first]!] = 0;
  free.splice(first, 1);
}

/** The minimum over the free variables alone, P u = -q, by Cholesky's factorization; null: P is singular on them. */
function minimum(gram: Float64Array, q: Float64Array, free: readonly number[]): Float64Array | null {
  const [n, size] = [q.length, free.length];
  const factor = new Float64Array(size * size);
  const x = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    let right = -q[free[i]!]!;
    for (let j = 0; j <= i; j++) {
      let sum = gram[free[i]! * n + free[j]!]!;
      for (let k = 0; k < j; k++) sum -= factor[i * size + k]! * factor[j * size + k]!;
      if (j < i) {
        factor[i * size + j] = sum / factor[j * size + j]!;
        right -= factor[i * size + j]! * x[j]!;
      } else if (sum <= ownPart * gram[free[i]! * n + free[i]!]!) return null;
      else {
        factor[i * size + i] = Math.sqrt(sum);
        x[i] = right / factor[i * size + i]!;
      }
    }
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i]! -= factor[k * size + i]! * x[k]!;
    x[i]! /= factor[i * size + i]!;
  }
  return x;
}

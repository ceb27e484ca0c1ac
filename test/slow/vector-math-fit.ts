/**
 * Where the coefficients of src/kernels/wasm/vector-normal.ts come from. Prints them when run:
 *
 *     npx tsx test/slow/vector-math-fit.ts
 *
 * R(t) = exp(t^2 / 2) Phi(-t) is fitted by P(t) / Q(t), of degrees 4 and 5 (R falls like 1 / t), with P(0) / Q(0) = R(0) = 1/2.
 * Least squares of (P - R Q) / (R Q'), Q' the denominator of the round before, is a linear problem whose fixed point is the relative
 * error of the quotient (Sanathanan and Koerner 1963). Weights that grow where the error is large make the largest error small
 * instead of the mean (Lawson 1961).
 */
import { pathToFileURL } from 'node:url';
import { scaledErfc, ulp } from '../kernels/vector-math-ulps.ts';

const [numeratorDegree, denominatorDegree, end] = [4, 5, 15];
/** t is counted in units of this, so that its powers stay of one size. */
const unit = 3;
const [points, rounds] = [400, 100];

/** Exported for its test. */
export const tailRatio = (t: number): number => scaledErfc(t * Math.SQRT1_2) / 2;
export const valueAt = (coefficients: readonly number[], t: number): number =>
  coefficients.reduceRight((sum, coefficient) => sum * t + coefficient, 0);

/** The x that makes |A x - b| least, by Householder reflections; A is given by rows, b as their last entries. */
function leastSquares(rows: number[][]): number[] {
  const n = rows[0]!.length - 1;
  for (let j = 0; j < n; j++) {
    const column = rows.slice(j).map((row) => row[j]!);
    const length = Math.hypot(...column);
    column[0]! += column[0]! > 0 ? length : -length;
    const square = column.reduce((sum, v) => sum + v * v, 0);
    for (let k = j; k <= n; k++) {
      const along = (2 * column.reduce((sum, v, i) => sum + v * rows[j + i]![k]!, 0)) / square;
      column.forEach((v, i) => {
        rows[j + i]![k]! -= along * v;
      });
    }
  }
  const x = Array<number>(n).fill(0);
  for (let j = n - 1; j >= 0; j--) {
    const known = x.reduce((sum, value, k) => (k > j ? sum + rows[j]![k]! * value : sum), 0);
    x[j] = (rows[j]![n]! - known) / rows[j]![j]!;
  }
  return x;
}

export interface Fit {
  numerator: number[];
  /** The last one is 1. */
  denominator: number[];
  /** The largest relative error at the points. */
  error: number;
}

/** Chebyshev's points, of an interval that t = 2 s / (1 - s) stretches to [0, end]. */
function fitPoints(): number[] {
  return Array.from({ length: points }, (_, i) => {
    const s = (((1 - Math.cos((Math.PI * (i + 0.5)) / points)) / 2) * end) / (end + 2);
    return (2 * s) / (1 - s);
  });
}

export function fitNormalTail(): Fit {
  const t = fitPoints();
  const wanted = t.map(tailRatio);
  let weights = t.map(() => 1);
  let scale = t.map(() => 1);
  let best: Fit = { numerator: [], denominator: [], error: Number.POSITIVE_INFINITY };
  for (let round = 0; round < rounds; round++) {
    const rows = t.map((_, i) => {
      const ratio = wanted[i]!;
      const weight = Math.sqrt(weights[i]!) / (ratio * scale[i]!);
      const power = (k: number) => weight * (t[i]! / unit) ** (k + 1);
      const numerator = Array.from({ length: numeratorDegree }, (_, k) => power(k));
      const denominator = Array.from({ length: denominatorDegree }, (_, k) => -ratio * power(k));
      return [...numerator, ...denominator, weight * (ratio - 0.5)];
    });
    const solution = leastSquares(rows);
    const inUnits = (value: number, k: number) => value / unit ** (k + 1);
    const numerator = [0.5, ...solution.slice(0, numeratorDegree).map(inUnits)];
    const denominator = [1, ...solution.slice(numeratorDegree).map(inUnits)];
    scale = t.map((at) => valueAt(denominator, at));
    const errors = t.map((at, i) => Math.abs(valueAt(numerator, at) / scale[i]! / wanted[i]! - 1));
    const error = Math.max(...errors);
    if (round > 2 && error < best.error) {
      const last = denominator.at(-1)!;
      best = { numerator: numerator.map((v) => v / last), denominator: denominator.map((v) => v / last), error };
    }
    if (round < 2) continue;
    const grown = weights.map((weight, i) => weight * (errors[i]! / error + 1e-3));
    const mean = grown.reduce((sum, weight) => sum + weight, 0) / points;
    weights = grown.map((weight) => weight / mean + 1e-12);
  }
  return best;
}

/**
 * The nearest float32 to each coefficient loses almost two of the bits: 2^-25.2. Steps of a few float32 numbers, drawn from a fixed
 * seed and taken where they help, find most of it again.
 */
export function roundedFit({ numerator, denominator }: Fit): Fit {
  const errorOf = (p: number[], q: number[]) =>
    Math.max(...places.map((t, i) => Math.abs(valueAt(p, t) / valueAt(q, t) / wanted[i]! - 1)));
  const places = fitPoints();
  const wanted = places.map(tailRatio);
  let q = denominator.map(Math.fround);
  let p = [q[0]! / 2, ...numerator.slice(1).map(Math.fround)];
  let error = errorOf(p, q);
  let state = 1;
  const below = (limit: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const moved = (coefficients: number[], k: number) =>
    coefficients.with(k, Math.fround(coefficients[k]! + (below(7) - 3) * ulp(coefficients[k]!)));
  for (let trial = 0; trial < 40_000; trial++) {
    let [triedP, triedQ] = [p, q];
    for (let moves = 1 + below(3); moves > 0; moves--) {
      const which = below(9);
      if (which < denominatorDegree) triedQ = moved(triedQ, which);
      else triedP = moved(triedP, which - denominatorDegree + 1);
    }
    triedP = triedP.with(0, triedQ[0]! / 2);
    const tried = errorOf(triedP, triedQ);
    if (tried < error) [p, q, error] = [triedP, triedQ, tried];
  }
  return { numerator: p, denominator: q, error };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { numerator, denominator, error } of [fitNormalTail(), roundedFit(fitNormalTail())]) {
    const show = (coefficients: number[]) => coefficients.map((value) => value.toPrecision(9)).join(', ');
    console.log(`P ${show(numerator)}\nQ ${show(denominator)}\nerror 2^${Math.log2(error).toFixed(2)}`);
  }
}

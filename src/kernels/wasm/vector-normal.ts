/**
 * The normal distribution and the error function for four numbers at once, as instructions written into the caller's loop.
 *
 * Both tails are a Gaussian times a function that falls slowly, Mills' ratio but for a factor:
 *
 *     Phi(-t) = exp(-t^2 / 2) R(t),   erfc(t) = exp(-t^2) 2 R(sqrt(2) t),   t >= 0
 *
 * R is a quotient of polynomials whose coefficients are all positive: for t >= 0 nothing cancels in them, and each rounding
 * counts once. test/slow/vector-math-fit.ts fits it; with its coefficients rounded to float32 it is right to 2^-26.5, relative,
 * for 0 <= t <= 15.
 */
import type { Code } from './assembler.ts';
import { f32x4, i32x4, type V128, v128 } from './instructions.ts';
import type { Vector } from './sweep.ts';
import { type Exponential, exponential, polynomial, withSign } from './vector-math.ts';

const { abs, add, div, lt, mul, pmin, sub } = f32x4;
const constant = (x: number) => f32x4.splat(x);
const one = constant(1);

/** P and Q of R = P / Q, from the constant term up; that of t^5 in Q is 1. R(0) is 1/2 exactly. */
export const numerator: readonly number[] = [48.3926735, 42.4478264, 17.7521534, 3.93791032, 0.398946673];
export const denominator: readonly number[] = [96.785347, 162.119217, 116.463646, 45.4838638, 9.87148094];

/** c[0] + c[1] x + ... + x^n, n the number of coefficients. */
const monic = (x: Vector, coefficients: readonly number[]) =>
  polynomial(x, coefficients.slice(0, -1), add(x, constant(coefficients.at(-1) ?? 0)));

/** exp(-factor t^2), for factor t^2 <= 128: the square is kept in two numbers. That of the high half of t's bits is exact. */
export function gaussian(code: Code, t: Vector, factor: 1 | 0.5): Exponential {
  const high = code.local(v128.and(t, i32x4.splat(-4096)));
  const rest = mul(sub(t, high), add(t, high));
  return exponential(code, code.local(mul(mul(high, high), constant(-factor))), mul(rest, constant(factor)));
}

/** R(1), as the fit has it. */
const tailAtOne = 0.2615782925;

/** The N of p / Q = R(1) + (t - 1) N / Q, for a polynomial p with p(1) / Q(1) = R(1): p - R(1) Q, divided by t - 1. */
function fromOne(p: readonly number[]): number[] {
  const quotient: number[] = [];
  for (let k = 0; k < 5; k++) {
    const rest = (p[k] ?? 0) - tailAtOne * (denominator[k] ?? 1);
    quotient.push((quotient[k - 1] ?? 0) - rest);
  }
  return quotient;
}

/** So written the roundings of the quotient count only by its share in the sum. The coefficients of N have one sign, too. */
const tailFromOne = (p: readonly number[]) => (t: Vector) =>
  add(div(mul(sub(t, one), polynomial(t, fromOne(p))), monic(t, denominator)), constant(tailAtOne));

/** R(t) for 0 <= t <= 15. */
export const normalTail = tailFromOne(numerator);
/** t R(t) for 1/2 <= t <= 15: below, R(1) would be large beside it. */
export const weightedTail = tailFromOne([0, ...numerator]);

/** x Phi(x) = x (1/2 + x (1 - x^2 / 6 + x^4 / 40 - ...) / sqrt(2 pi)) for |x| < 1/2, where the next term is below 2^-26. */
export function geluNearZero(code: Code, x: Vector): V128 {
  const square = code.local(mul(x, x));
  const density = [1, -1 / 6, 1 / 40, -1 / 336, 1 / 3456].map((coefficient) => coefficient / Math.sqrt(2 * Math.PI));
  return mul(x, add(mul(x, polynomial(square, density)), constant(0.5)));
}

/** sqrt(2)^n for a whole n. Engines differ in the last bit of 2 ** (n / 2), and a constant of a kernel must not. */
const powerOfRoot = (n: number): number => 2 ** (n >> 1) * (n & 1 ? Math.SQRT2 : 1);

/** exp(t^2) erfc(t) = 2 R(sqrt(2) t), for 0 <= t <= 10: the powers of sqrt(2) stand in the coefficients. */
function scaledErfc(t: Vector): V128 {
  const scaled = (coefficients: readonly number[], factor: number) =>
    coefficients.map((coefficient, k) => coefficient * factor * powerOfRoot(k - 5));
  return div(polynomial(t, scaled(numerator, 2)), monic(t, scaled(denominator, 1)));
}

/** Below 1 an odd polynomial, above it 1 - erfc. */
export function erf(code: Code, x: Vector): V128 {
  // Beyond 4 it is 1; the bound is where the fit of the tail ends.
  const t = code.local(pmin(abs(x), constant(10)));
  const square = code.local(mul(t, t));
  const near = mul(
    t,
    polynomial(square, [
      ...[1.128379166, -0.3761262582, 0.1128358515, -0.02685381199],
      ...[0.005188327729, -0.0008010193659, 7.853860632e-5],
    ]),
  );
  const far = sub(one, gaussian(code, t, 1)(scaledErfc(t)));
  return withSign(v128.bitselect(near, far, lt(t, one)), x);
}

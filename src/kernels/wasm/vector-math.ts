/**
 * exp, log and their relatives for four numbers at once, as instructions written into the caller's loop.
 *
 * Each reduces its argument to a small interval and evaluates a polynomial there (minimax fits; the error of each fit is
 * below an eighth of a unit of the last place of float32, so rounding dominates). Plain multiply and add: the same bits
 * on every machine. Infinities, NaN, zeros and subnormal numbers are right. The tests hold the errors to:
 * exp, log, log1p 2 ulp; expm1, sigmoid, tanh, erf, sin, cos 3 ulp.
 */
import type { Code } from './assembler.ts';
import { f32x4, i32x4, type V128, v128 } from './instructions.ts';
import type { Vector } from './sweep.ts';

const { abs, add, div, mul, neg, pmax, pmin, sub } = f32x4;
const constant = (x: number) => f32x4.splat(x);
const zero = constant(0);
const one = constant(1);
const half = constant(0.5);
const infinity = constant(Number.POSITIVE_INFINITY);

/** c[0] + c[1] x + c[2] x^2 + ... by Horner's rule. */
function polynomial(x: Vector, coefficients: readonly number[]): V128 {
  return coefficients.map(constant).reduceRight((sum, coefficient) => add(mul(sum, x), coefficient));
}

const log2OfE = constant(Math.LOG2E);
/** ln 2 as a number of few bits, whose product with a small integer is exact, and the rest. */
const ln2High = constant(0.693359375);
const ln2Low = constant(Math.LN2 - 0.693359375);
/** 1.5 x 2^23: adding it rounds to a whole number, which then stands in the low bits. */
const roundingShift = constant(12582912);

interface ReducedExponent {
  /** x = n ln 2 + r with |r| <= ln(2) / 2, n whole, as an integer. */
  n: Vector;
  /** e^r - 1, to its own last place. */
  fraction: Vector;
}

/** For |x| < 2^20. `low` is subtracted from r: the part of x that its float32 could not hold. */
function reduceExponent(code: Code, x: Vector, low?: V128): ReducedExponent {
  const shifted = code.local(add(mul(x, log2OfE), roundingShift));
  const whole = code.local(sub(shifted, roundingShift));
  const rest = sub(sub(x, mul(whole, ln2High)), mul(whole, ln2Low));
  const r = code.local(low ? sub(rest, low) : rest);
  const tail = polynomial(r, [0.5000000062, 0.1666654292, 0.04166628181, 0.008366598071, 0.001394647558]);
  return {
    n: code.local(i32x4.sub(shifted, i32x4.splat(0x4b400000))),
    fraction: code.local(add(mul(mul(r, r), tail), r)),
  };
}

/** 2^n, for -127 < n < 128. */
const powerOfTwo = (n: V128) => i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);

export function exp(code: Code, x: V128, low?: V128): V128 {
  const bounded = code.local(pmax(pmin(x, constant(89)), constant(-104)));
  const { n, fraction } = reduceExponent(code, bounded, low);
  // Two factors, so that neither overflows and a subnormal result is rounded once.
  const part = code.local(i32x4.shrS(n, 1));
  return mul(mul(add(fraction, one), powerOfTwo(part)), powerOfTwo(i32x4.sub(n, part)));
}

/** exp for x <= 0, where results below 2^-126 may become 0: what softmax needs. */
export function expOfNegative(code: Code, x: V128): V128 {
  const bounded = code.local(pmax(x, constant(-88)));
  const { n, fraction } = reduceExponent(code, bounded);
  return mul(add(fraction, one), powerOfTwo(n));
}

export function expm1(code: Code, x: V128): V128 {
  const bounded = code.local(pmax(pmin(x, constant(89)), constant(-80)));
  const { n, fraction } = reduceExponent(code, bounded);
  // 2^128 is no float32: double a result of half the size there.
  const isTop = code.local(i32x4.gtS(n, i32x4.splat(127)));
  const scale = code.local(powerOfTwo(i32x4.add(n, isTop)));
  const result = code.local(add(mul(fraction, scale), sub(scale, v128.bitselect(half, one, isTop))));
  return v128.bitselect(add(result, result), result, isTop);
}

/** log of a finite normal x > 0. `extraExponent` is added to its binary exponent. */
function logOfNormal(code: Code, x: V128, extraExponent?: V128): V128 {
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) makes the exponent field e.
  const rootHalf = i32x4.splat(0x3f3504f3);
  const shifted = code.local(i32x4.sub(x, rootHalf));
  const exponent = i32x4.shrS(shifted, 23);
  const e = code.local(f32x4.convertI32x4S(extraExponent ? i32x4.add(exponent, extraExponent) : exponent));
  const mantissa = i32x4.add(v128.and(shifted, i32x4.splat(0x7fffff)), rootHalf);
  // log(1 + f) = f - s (f - z P(z)), s = f / (2 + f), z = s^2: the series of 2 artanh(s).
  const f = code.local(sub(mantissa, one));
  const s = code.local(div(f, add(f, constant(2))));
  const z = code.local(mul(s, s));
  const tail = mul(z, polynomial(z, [0.6666677476, 0.3997767231, 0.2986936957]));
  const correction = sub(mul(s, sub(f, tail)), mul(e, ln2Low));
  return add(mul(e, ln2High), sub(f, correction));
}

export function log(code: Code, x: Vector): V128 {
  const smallestNormal = constant(2 ** -126);
  const isSubnormal = code.local(f32x4.lt(x, smallestNormal));
  const normal = v128.bitselect(mul(x, constant(2 ** 23)), x, isSubnormal);
  const result = logOfNormal(code, code.local(normal), v128.and(isSubnormal, i32x4.splat(-23)));
  return logSpecials(x, result);
}

/** Infinity and NaN stay, a negative number has no logarithm (all bits set are a NaN), zero's is -Infinity. */
function logSpecials(x: Vector, result: V128): V128 {
  const ofFinite = v128.or(v128.bitselect(result, x, f32x4.lt(x, infinity)), f32x4.lt(x, zero));
  return v128.bitselect(constant(Number.NEGATIVE_INFINITY), ofFinite, f32x4.eq(x, zero));
}

/** log(1 + x): the logarithm of the rounded sum u, plus what rounding lost, divided by u. */
export function log1p(code: Code, x: Vector): V128 {
  const u = code.local(add(x, one));
  const lost = div(sub(x, sub(u, one)), u);
  const isOrdinary = v128.and(f32x4.gt(u, zero), f32x4.lt(u, infinity));
  return add(logSpecials(u, logOfNormal(code, u)), v128.and(lost, isOrdinary));
}

/** log1p for 0 <= x <= 1. */
function log1pOfFraction(code: Code, x: Vector): V128 {
  const u = code.local(add(x, one));
  return add(logOfNormal(code, u), div(sub(x, sub(u, one)), u));
}

/** tanh |x| = -t / (2 + t) with t = expm1(-2 |x|), which is in [-1, 0] and never cancels. */
export function tanh(code: Code, x: Vector): V128 {
  const t = code.local(expm1(code, mul(abs(x), constant(-2))));
  return withSign(abs(div(t, add(t, constant(2)))), x);
}

const withSign = (magnitude: V128, x: V128) => v128.or(magnitude, v128.and(x, i32x4.splat(0x80000000)));

/** 1 / (1 + e) or e / (1 + e) with e = exp(-|x|) <= 1: both keep their relative precision. */
export function sigmoid(code: Code, x: Vector): V128 {
  const e = code.local(exp(code, neg(abs(x))));
  return div(v128.bitselect(e, one, f32x4.lt(x, zero)), add(e, one));
}

/** log(1 + exp(-|x|)): softplus(x) = max(x, 0) + this, logsigmoid(x) = min(x, 0) - this. */
export function softplusTail(code: Code, x: Vector): V128 {
  return log1pOfFraction(code, code.local(exp(code, neg(abs(x)))));
}

/**
 * exp(-factor t^2) for t >= 0 and a factor of 1 or 1/2. The square is kept in two numbers: that of the high half of t's bits
 * is exact, and exp takes the rest separately.
 */
export function gaussian(code: Code, t: V128, factor: 1 | 0.5): V128 {
  const bounded = code.local(pmin(t, constant(15)));
  const high = code.local(v128.and(bounded, i32x4.splat(-4096)));
  const rest = mul(sub(bounded, high), add(bounded, high));
  return exp(code, mul(mul(high, high), constant(-factor)), mul(rest, constant(factor)));
}

/** exp(t^2) erfc(t) = w Q(w) with w = 1 / (1 + t / 2), for t >= 0. */
export function scaledErfc(code: Code, t: V128): V128 {
  const w = code.local(div(one, add(one, mul(t, half))));
  const q = polynomial(w, [
    ...[0.2820860385, 0.2823819331, 0.243055766, 0.2028760466, -0.02707117326],
    ...[0.2787117092, -0.4877615436, 0.2848454257, -0.05912424533],
  ]);
  return mul(w, q);
}

/** Below 1 an odd polynomial, above it 1 - erfc. */
export function erf(code: Code, x: Vector): V128 {
  const t = code.local(abs(x));
  const square = code.local(mul(x, x));
  const near = mul(
    t,
    polynomial(square, [
      ...[1.128379166, -0.3761262582, 0.1128358515, -0.02685381199],
      ...[0.005188327729, -0.0008010193659, 7.853860632e-5],
    ]),
  );
  const far = sub(one, mul(gaussian(code, t, 1), scaledErfc(code, t)));
  return withSign(v128.bitselect(near, far, f32x4.lt(t, one)), x);
}

/** Beyond it the multiple of pi / 2 in an angle needs more than the 16 bits that `quarterTurn` leaves room for. */
export const sineLimit = 65536;

/** pi / 2 as three numbers of 8 bits, whose products with a whole number up to 2^16 are exact, and the rest. */
const quarterTurn = [1.5703125, 0.0004825592041015625, 1.2665987014770508e-6, 9.9209357968054e-10];

/** sin(x + quarters pi / 2), for |x| <= sineLimit: the nearest multiple of pi / 2 is taken off and tells which of sin and cos is left. */
export function sine(code: Code, x: Vector, quarters: 0 | 1): V128 {
  const shifted = code.local(add(mul(x, constant(2 / Math.PI)), roundingShift));
  const whole = code.local(sub(shifted, roundingShift));
  const n = code.local(i32x4.sub(shifted, i32x4.splat(0x4b400000 - quarters)));
  const r = code.local(quarterTurn.reduce<V128>((rest, part) => sub(rest, mul(whole, constant(part))), x));
  const z = code.local(mul(r, r));
  const sinOfRest = add(r, mul(mul(r, z), polynomial(z, [-0.1666665497, 0.008332178562, -0.0001951727158])));
  const cosTail = mul(mul(z, z), polynomial(z, [0.04166664706, -0.001388737488, 2.44391211e-5]));
  const cosOfRest = add(sub(one, mul(z, half)), cosTail);
  const isOdd = i32x4.shrS(i32x4.shl(n, 31), 31);
  const sign = i32x4.shl(v128.and(n, i32x4.splat(2)), 30);
  return v128.xor(v128.bitselect(cosOfRest, sinOfRest, isOdd), sign);
}

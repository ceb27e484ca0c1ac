/**
 * exp, log and their relatives for four numbers at once, as instructions written into the caller's loop.
 *
 * Each reduces its argument to a small interval and evaluates a polynomial there (minimax fits; the error of each fit is
 * below an eighth of a unit of the last place of float32, so rounding dominates). Plain multiply and add: the same bits
 * on every machine. Infinities, NaN, zeros with their signs and subnormal numbers, in and out, are right. The functions here and
 * in vector-normal.ts are less than 4 ulp off; the docstrings of src/ops/elementwise.ts say how much each one is at most, which
 * test/slow/vector-math-sweep.ts found and the tests keep true.
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

/** c[0] + c[1] x + c[2] x^2 + ... by Horner's rule; `rest` goes on in place of a next coefficient. */
export function polynomial(x: Vector, coefficients: readonly number[], rest?: V128): V128 {
  const terms = coefficients.map(constant);
  return (rest ? [...terms, rest] : terms).reduceRight((sum, term) => add(mul(sum, x), term));
}

/** Of a number >= 0, and of one that has x's sign already unless it is 0. */
export const withSign = (magnitude: V128, x: V128): V128 => v128.or(magnitude, v128.and(x, i32x4.splat(0x80000000)));

const log2OfE = constant(Math.LOG2E);
/** ln 2 as a number of few bits, whose product with a small integer is exact, and the rest. */
const ln2High = constant(0.693359375);
const ln2Low = constant(Math.LN2 - 0.693359375);
/**
 * 1.5 x 2^23: adding it rounds to a whole number, which then stands in the low bits. A small whole number added to it first is
 * added to that one, at no cost.
 */
const roundingShift = 12582912;

interface ReducedExponent {
  /** Its last nine bits are those of the whole number n + bias, where x = n ln 2 + r and |r| <= ln(2) / 2. */
  biased: Vector;
  /** e^r - 1, to its own last place. */
  fraction: Vector;
}

/** For |x| < 2^20. `low` is subtracted from r: the part of x that its float32 could not hold. */
function reduceExponent(code: Code, x: Vector, bias: number, low?: V128): ReducedExponent {
  const shift = constant(roundingShift + bias);
  const biased = code.local(add(mul(x, log2OfE), shift));
  const whole = code.local(sub(biased, shift));
  const rest = sub(sub(x, mul(whole, ln2High)), mul(whole, ln2Low));
  const r = code.local(low ? sub(rest, low) : rest);
  const tail = polynomial(r, [0.5000000062, 0.1666654292, 0.04166628181, 0.008366598071, 0.001394647558]);
  return { biased, fraction: code.local(add(mul(mul(r, r), tail), r)) };
}

/** 2^n, for -127 < n < 128, where the last nine bits are those of n + 127: those above are shifted out. */
const powerOfTwo = (biased: V128) => i32x4.shl(biased, 23);

/** e^x, times `factor` if one is given: rounded to a subnormal number, if it is one, only once and as a whole. */
export type Exponential = (factor?: V128) => V128;

/** The least argument of `exponential`: e^-128 is 0, also times a factor below 2^35. */
const leastExponent = constant(-128);

/** For -128 <= x <= 89. Two powers of two, whose exponents add up to n: neither overflows. `low` as in `reduceExponent`. */
export function exponential(code: Code, x: Vector, low?: V128): Exponential {
  const { biased, fraction } = reduceExponent(code, x, 2 * 127, low);
  const part = code.local(i32x4.shrU(biased, 1));
  const first = code.local(powerOfTwo(part));
  const second = code.local(powerOfTwo(i32x4.sub(biased, part)));
  return (factor) => {
    if (!factor) return mul(mul(add(fraction, one), first), second);
    const kept = code.local(factor);
    return mul(mul(add(mul(kept, fraction), kept), first), second);
  };
}

export const exp = (code: Code, x: V128): V128 =>
  exponential(code, code.local(pmax(pmin(x, constant(89)), leastExponent)))();

/** -|x|, as an argument of `exponential`. */
export const decay = (code: Code, x: V128): Vector => code.local(pmax(neg(abs(x)), leastExponent));

/** exp for x <= 0, where results below 2^-126 may become 0: what softmax needs. */
export function expOfNegative(code: Code, x: V128): V128 {
  const { biased, fraction } = reduceExponent(code, code.local(pmax(x, constant(-88))), 127);
  return mul(add(fraction, one), powerOfTwo(biased));
}

/** Computed as half of it, since 2^128 is no float32, and doubled. A tiny x stays as it is: halves of subnormal numbers are rounded. */
export function expm1(code: Code, x: Vector): V128 {
  const bounded = code.local(pmax(pmin(x, constant(89)), constant(-80)));
  const { biased, fraction } = reduceExponent(code, bounded, 126);
  const scale = code.local(powerOfTwo(biased));
  const halved = code.local(sub(mul(fraction, scale), sub(half, scale)));
  return v128.bitselect(x, add(halved, halved), f32x4.lt(abs(x), constant(2 ** -25)));
}

/** expm1 for x <= 0, and 0 for -0 too. For x > 0 any number. */
export function expm1OfNegative(code: Code, x: V128): V128 {
  const { biased, fraction } = reduceExponent(code, code.local(pmax(x, constant(-80))), 127);
  const scale = code.local(powerOfTwo(biased));
  return sub(mul(fraction, scale), sub(one, scale));
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

/** log(1 + x): the logarithm of the rounded sum u, plus what rounding lost, divided by u. Its sign is that of x. */
export function log1p(code: Code, x: Vector): V128 {
  const u = code.local(add(x, one));
  const lost = div(sub(x, sub(u, one)), u);
  return withSign(logSpecials(u, add(logOfNormal(code, u), lost)), x);
}

/** log1p for 0 <= x <= 1. */
function log1pOfFraction(code: Code, x: Vector): V128 {
  const u = code.local(add(x, one));
  return add(logOfNormal(code, u), div(sub(x, sub(u, one)), u));
}

/** tanh |x| = -t / (2 + t) with t = expm1(-2 |x|), which is in [-1, 0] and never cancels. */
export function tanh(code: Code, x: Vector): V128 {
  const t = code.local(expm1OfNegative(code, mul(abs(x), constant(-2))));
  return withSign(abs(div(t, add(t, constant(2)))), x);
}

/** 1 / (1 + e) or e / (1 + e) with e = exp(-|x|) <= 1: both keep their relative precision. */
export function sigmoid(code: Code, x: Vector): V128 {
  const e = code.local(exponential(code, decay(code, x))());
  return div(v128.bitselect(e, one, f32x4.lt(x, zero)), add(e, one));
}

/** log(1 + exp(-|x|)): softplus(x) = max(x, 0) + this, logsigmoid(x) = min(x, 0) - this. */
export function softplusTail(code: Code, x: Vector): V128 {
  return log1pOfFraction(code, code.local(exponential(code, decay(code, x))()));
}

/** Beyond 65535.5 pi / 2 the multiple of pi / 2 in an angle has more than the 16 bits that `quarterTurn` leaves room for. */
export const sineLimit = 1e5;

/**
 * pi / 2 as four numbers of at most 8 bits, whose products with a whole number below 2^16 are exact, and the rest (Cody and Waite
 * 1980). Where an angle is nearly a multiple, the differences are exact as well, and only the last product is rounded. The nearest
 * of all up to the limit is 252.8982, 4.2e-9 from 161 pi / 2; the hardest is 52516.434, 1.6e-8 from 33433 pi / 2.
 */
const quarterTurn = [
  1.5703125, 0.0004825592041015625, 1.2665987014770508e-6, 9.89530235528946e-10, 2.5633441515945e-12,
];

/** sin(x + quarters pi / 2), for |x| <= sineLimit: the nearest multiple of pi / 2 is taken off and tells which of sin and cos is left. */
export function sine(code: Code, x: Vector, quarters: 0 | 1): V128 {
  const shift = constant(roundingShift + quarters);
  const n = code.local(add(mul(x, constant(2 / Math.PI)), shift));
  const whole = code.local(sub(n, shift));
  const r = code.local(quarterTurn.reduce<V128>((rest, part) => sub(rest, mul(whole, constant(part))), x));
  const z = code.local(mul(r, r));
  // In pairs of terms, of which none waits for another. At 0 the sum in sinOfRest is +0, so that a zero keeps its sign.
  const square = code.local(mul(z, z));
  const pair = (low: number, high: number) => add(mul(z, constant(high)), constant(low));
  const sinTail = add(mul(z, constant(-0.1666665497)), mul(square, pair(0.008332178562, -0.0001951727158)));
  const sinOfRest = add(r, mul(r, sinTail));
  const cosTail = add(pair(0.04166664706, -0.001388737488), mul(square, constant(2.44391211e-5)));
  const cosOfRest = add(pair(1, -0.5), mul(square, cosTail));
  const isOdd = i32x4.shrS(i32x4.shl(n, 31), 31);
  const sign = i32x4.shl(v128.and(n, i32x4.splat(2)), 30);
  return v128.xor(v128.bitselect(cosOfRest, sinOfRest, isOdd), sign);
}

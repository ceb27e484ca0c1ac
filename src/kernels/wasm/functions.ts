/**
 * Elementwise kernels with a curve: exp, log, tanh, sin and the activations made of them, in terms of vector-math.ts.
 * The powers have no emitted twin: the reference kernels serve them.
 */
import type { SlopeName, UnaryName } from '../table.ts';
import type { Code } from './assembler.ts';
import { defineSlope, defineUnary, entries, type LaneFunction } from './elementwise.ts';
import type { Family } from './family.ts';
import { f32x4, type V128, v128 } from './instructions.ts';
import { single } from './single.ts';
import type { Vector } from './sweep.ts';
import {
  decay,
  type Exponential,
  exp,
  expm1,
  expm1OfNegative,
  exponential,
  log,
  log1p,
  sigmoid,
  sine,
  sineLimit,
  softplusTail,
  tanh,
  withSign,
} from './vector-math.ts';
import { erf, gaussian, geluNearZero, normalTail, weightedTail } from './vector-normal.ts';

const { abs, add, div, eq, lt, mul, pmax, pmin, sub } = f32x4;
const constant = (x: number) => f32x4.splat(x);
const zero = constant(0);
const one = constant(1);
const negativeZero = constant(-0);
const isLowest = (x: V128) => eq(x, constant(Number.NEGATIVE_INFINITY));
/** x, and NaN (all bits set) where the mask holds: at the infinities which the reference multiplies by 0. */
const nanWhere = (mask: V128, x: V128) => v128.or(x, mask);

/** Klambauer et al. 2017; see the reference. */
const seluScale = 1.0507009873554805;
const seluAlpha = 1.6732632423543772;

function elu(code: Code, x: Vector, alpha: V128): V128 {
  return v128.bitselect(x, mul(alpha, withSign(expm1OfNegative(code, x), x)), f32x4.gt(x, zero));
}

/** Beyond it the tail of the normal distribution is no float32, and the fit of vector-normal.ts ends. */
const normalLimit = 15;

const geluCubic = 0.044715;
const geluRoot = Math.sqrt(2 / Math.PI);
/** geluTanh is x sigmoid(2 u): this is 2 u = 2 sqrt(2 / pi) x (1 + 0.044715 x^2). */
const geluAngle = (x: Vector): V128 =>
  mul(x, add(mul(mul(x, x), constant(2 * geluRoot * geluCubic)), constant(2 * geluRoot)));

/**
 * x sigmoid(z) for a z with the sign of x, from exp(-|z|) as `power`: x / (1 + e), or x e / (1 + e) below 0. The product x e is made
 * before e is rounded to a subnormal number. `bounded` stands for x in it: the same until x e is 0, and no infinity.
 */
function gated(x: Vector, power: Exponential, bounded: V128): V128 {
  const numerator = v128.bitselect(power(bounded), x, lt(x, zero));
  return nanWhere(isLowest(x), div(numerator, add(power(), one)));
}

const unary: Partial<Record<UnaryName, LaneFunction>> = {
  exp: (x, code) => exp(code, x),
  expm1: (x, code) => expm1(code, x),
  log: (x, code) => log(code, x),
  log1p: (x, code) => log1p(code, x),
  tanh: (x, code) => tanh(code, x),
  sigmoid: (x, code) => sigmoid(code, x),
  erf: (x, code) => erf(code, x),
  silu: (x, code) => {
    const exponent = decay(code, x);
    return gated(x, exponential(code, exponent), exponent);
  },
  softplus: (x, code) => add(pmax(x, zero), softplusTail(code, x)),
  logsigmoid: (x, code) => sub(pmin(x, negativeZero), softplusTail(code, x)),
  elu: (x, code, alpha) => elu(code, x, alpha),
  selu: (x, code) => mul(constant(seluScale), elu(code, x, constant(seluAlpha))),
  // tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2) with e = exp(x); it is 1 long before e^2 could overflow.
  mish: (x, code) => {
    const e = code.local(exp(code, pmin(x, constant(20))));
    const numerator = code.local(mul(e, add(e, constant(2))));
    return mul(x, div(numerator, add(numerator, constant(2))));
  },
  // max(x, 0) - |x| Phi(-|x|), but for the numbers around 0
  gelu: (x, code) => {
    const t = code.local(pmin(abs(x), constant(normalLimit)));
    const far = sub(pmax(x, negativeZero), gaussian(code, t, 0.5)(weightedTail(t)));
    const result = v128.bitselect(geluNearZero(code, x), far, lt(t, constant(0.5)));
    return nanWhere(isLowest(x), result);
  },
  geluTanh: (x, code) => gated(x, exponential(code, decay(code, geluAngle(x))), pmax(x, constant(-16))),
};

const slopes: Partial<Record<SlopeName, LaneFunction>> = {
  // Phi(x) + x phi(x), on the side where Phi is small: exp(-t^2 / 2) (R(t) - t / sqrt(2 pi)) with t = |x|.
  geluSlope: (x, code) => {
    const t = code.local(pmin(abs(x), constant(normalLimit)));
    const density = mul(t, constant(1 / Math.sqrt(2 * Math.PI)));
    const below = code.local(gaussian(code, t, 0.5)(sub(normalTail(t), density)));
    return nanWhere(
      eq(abs(x), constant(Number.POSITIVE_INFINITY)),
      v128.bitselect(below, sub(one, below), lt(x, zero)),
    );
  },
  // s + x z' s (1 - s) with s = sigmoid(z): ((1 or e) (1 + e) + x e z') / (1 + e)^2
  geluTanhSlope: (x, code) => {
    const e = code.local(exponential(code, decay(code, geluAngle(x)))());
    const below = code.local(add(e, one));
    // The bound keeps infinity out of a product with e, which is 0 there.
    const square = pmin(mul(x, x), constant(1e9));
    const steepness = add(mul(square, constant(6 * geluRoot * geluCubic)), constant(2 * geluRoot));
    const numerator = add(mul(v128.bitselect(e, one, lt(x, zero)), below), mul(mul(x, e), steepness));
    return div(numerator, mul(below, below));
  },
  // With s = 1 / (1 + e) or e / (1 + e): (1 + e + x e) / (1 + e)^2, or e (1 + e + x) / (1 + e)^2 for x < 0.
  siluSlope: (x, code) => {
    const e = code.local(exponential(code, decay(code, x))());
    const below = code.local(add(e, one));
    const numerator = v128.bitselect(mul(e, add(below, x)), add(below, mul(x, e)), lt(x, zero));
    return div(numerator, mul(below, below));
  },
};

/** sin and cos. A vector with a number past the limit goes through memory to JavaScript's function: rare, but right. */
function circular(name: 'sin' | 'cos', quarters: 0 | 1): Family {
  return single(name, (module, environment) => {
    const room = environment.reserve(4);
    const replace = module.import('replace', [], () => {
      const numbers = new Float32Array(environment.memory.buffer, 4 * room, 4);
      numbers.set(numbers.map(Math[name]));
    });
    const f: LaneFunction = (x, code) => {
      const result = code.local(sine(code, x, quarters));
      const isFar = code.local(f32x4.gt(abs(x), constant(sineLimit)));
      code.if(v128.anyTrue(isFar), () => {
        code.store(4 * room, x);
        code.call(replace);
        code.set(result, v128.bitselect(v128.load(4 * room), result, isFar));
      });
      return result;
    };
    defineUnary(module, name, f, 1);
  });
}

export const functionFamilies: readonly Family[] = [
  ...entries(unary).map(([name, f]) => single(name, (module) => defineUnary(module, name, f, 1))),
  circular('sin', 0),
  circular('cos', 1),
  ...entries(slopes).map(([name, f]) => single(name, (module) => defineSlope(module, name, f, 1))),
];

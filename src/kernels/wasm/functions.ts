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
  erf,
  exp,
  expm1,
  gaussian,
  log,
  log1p,
  scaledErfc,
  sigmoid,
  sine,
  sineLimit,
  softplusTail,
  tanh,
} from './vector-math.ts';

const { abs, add, div, mul, pmax, pmin, sub } = f32x4;
const constant = (x: number) => f32x4.splat(x);
const zero = constant(0);
const one = constant(1);
const half = constant(0.5);

/** Klambauer et al. 2017; see the reference. */
const seluScale = 1.0507009873554805;
const seluAlpha = 1.6732632423543772;

function elu(code: Code, x: Vector, alpha: V128): V128 {
  return v128.bitselect(x, mul(alpha, expm1(code, x)), f32x4.gt(x, zero));
}

/** Phi(x) = erfc(-x / sqrt(2)) / 2, from the tail on the side where it is small; and exp(-x^2 / 2), its density but for a factor. */
function normal(code: Code, x: Vector): { below: Vector; density: Vector } {
  const t = code.local(abs(x));
  const density = code.local(gaussian(code, t, 0.5));
  const tail = code.local(mul(mul(density, half), scaledErfc(code, mul(t, constant(Math.SQRT1_2)))));
  return { below: code.local(v128.bitselect(tail, sub(one, tail), f32x4.lt(x, zero))), density };
}

const geluCubic = 0.044715;
const geluRoot = Math.sqrt(2 / Math.PI);
/** sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3) */
function geluGate(code: Code, x: Vector): Vector {
  const cubic = add(one, mul(mul(x, x), constant(geluCubic)));
  return code.local(sigmoid(code, code.local(mul(mul(x, constant(2 * geluRoot)), cubic))));
}

const unary: Partial<Record<UnaryName, LaneFunction>> = {
  exp: (x, code) => exp(code, x),
  expm1: (x, code) => expm1(code, x),
  log: (x, code) => log(code, x),
  log1p: (x, code) => log1p(code, x),
  tanh: (x, code) => tanh(code, x),
  sigmoid: (x, code) => sigmoid(code, x),
  erf: (x, code) => erf(code, x),
  silu: (x, code) => mul(x, sigmoid(code, x)),
  softplus: (x, code) => add(pmax(x, zero), softplusTail(code, x)),
  logsigmoid: (x, code) => sub(pmin(x, zero), softplusTail(code, x)),
  elu: (x, code, alpha) => elu(code, x, alpha),
  selu: (x, code) => mul(constant(seluScale), elu(code, x, constant(seluAlpha))),
  // tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2) with e = exp(x); it is 1 long before e^2 could overflow.
  mish: (x, code) => {
    const e = code.local(exp(code, pmin(x, constant(20))));
    const numerator = code.local(mul(e, add(e, constant(2))));
    return mul(x, div(numerator, add(numerator, constant(2))));
  },
  gelu: (x, code) => mul(x, normal(code, x).below),
  geluTanh: (x, code) => mul(x, geluGate(code, x)),
};

const slopes: Partial<Record<SlopeName, LaneFunction>> = {
  geluSlope: (x, code) => {
    const { below, density } = normal(code, x);
    return add(below, mul(mul(x, constant(1 / Math.sqrt(2 * Math.PI))), density));
  },
  geluTanhSlope: (x, code) => {
    const gate = geluGate(code, x);
    // The bound keeps infinity out of a product with 1 - gate, which is 0 there.
    const square = pmin(mul(x, x), constant(1e9));
    const inner = mul(constant(2 * geluRoot), add(one, mul(constant(3 * geluCubic), square)));
    return add(gate, mul(mul(x, mul(gate, sub(one, gate))), inner));
  },
  siluSlope: (x, code) => {
    const s = code.local(sigmoid(code, x));
    return mul(s, add(one, mul(x, sub(one, s))));
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

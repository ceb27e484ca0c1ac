/**
 * Elementwise functions of one tensor: each with its derivative, written in tensor ops, and for the frequent ones the
 * kernel that computes the first-order gradient in one pass.
 */
import { everywhere } from '../autograd/apart.ts';
import { defineOp, type Op, type OpDefinition, type Operand, type Recorded } from '../autograd/define.ts';
import type { Draw } from '../autograd/samples.ts';
import type { SlopeName, UnaryName } from '../kernels/table.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocateLike, contiguous } from '../tensor/access.ts';
import { asTensor, tensor, zeros } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { add, div, eq, ge, gt, le, lt, maximum, minimum, mul, sub, where, zip } from './binary.ts';
import { atLeast, between, bounded, type Feasible, signs } from './feasible.ts';
import { broadcasting, sumTo } from './sum.ts';

/** Runs an elementwise kernel: out = f(x; p, q). */
export function map(kernel: UnaryName, x: Tensor, p = 0, q = 0): Tensor {
  const dense = contiguous(x);
  const out = allocateLike(dense);
  run[kernel](address(dense), address(out), dense.size, p, q);
  return out;
}

/** What differs from one elementwise op to the next. */
interface Elementwise<Attributes> {
  /** Its scalars as the kernel wants them. */
  parameters?: (attributes: Attributes) => [number, number];
  /** The gradient of the input, from g. */
  gradient: (node: Recorded<readonly [Tensor], Attributes>, g: Tensor) => Tensor;
  /** A first-order kernel and which value it reads. */
  slope?: SlopeName;
  reads: 'nothing' | 'inputs' | 'output';
  /** What the function can give. */
  feasible: Feasible<[Tensor], NoInfer<Attributes>>;
  samples?: (draw: Draw) => Tensor[];
  attributes?: Attributes[];
}

function elementwise<Attributes = undefined>(
  name: string,
  kernel: UnaryName,
  { parameters, gradient, slope, reads, feasible, samples, attributes = [] }: Elementwise<Attributes>,
): Op<[Tensor], Attributes> {
  const scalars = parameters ?? (() => [0, 0] as const);
  const definition: OpDefinition<[Tensor], Attributes> = {
    name,
    inputs: ['x'],
    forward: ([x], given) => {
      if (parameters === undefined) return map(kernel, x);
      const [p, q] = parameters(given);
      return map(kernel, x, p, q);
    },
    gradient: [gradient],
    perExample: everywhere,
    reads,
    feasible,
    samples: (draw) => {
      const inputs = samples?.(draw) ?? [draw.normal([3, 4]), draw.normal([])];
      const choices = attributes.length > 0 ? attributes : [undefined as Attributes];
      return inputs.flatMap((x) => choices.map((choice) => ({ inputs: [x] as [Tensor], attributes: choice })));
    },
  };
  if (slope === undefined) return defineOp(definition);
  return defineOp({
    ...definition,
    raw: ({ inputs: [x], output, attributes: given }, g, out, accumulate) => {
      const [p, q] = scalars(given);
      const saved = contiguous(reads === 'output' ? output : x);
      run[slope](address(g), address(saved), out, g.size, p, q, accumulate);
    },
  });
}

/**
 * The minima of the functions that dip below 0 once, found by bisecting where the derivative is 0 (silu's is minus Lambert's
 * W(1 / e), where x = -1 - W). The functions take every value from there up.
 */
const leastSilu = -0.2784645427610738; // at x = -1.27846
const leastMish = -0.3088434130172504; // at x = -1.19243
const leastGelu = -0.1699712074799037; // at x = -0.75179
const leastGeluTanh = -0.170040750571254; // at x = -0.75246

const positive = (draw: Draw) => [draw.uniform([3, 4], 0.3, 2.5)];
const awayFromZero = (draw: Draw) => [draw.awayFromZero([3, 4])];

/** -x */
export const neg: Op<[Tensor], undefined> = elementwise('neg', 'neg', {
  gradient: (_, g) => neg(g),
  reads: 'nothing',
  feasible: 'everything',
});

/**
 * e^x, its own derivative.
 *
 * In float32 at most 1.03 ulp off (at -81.395195); an ulp is a unit of the last place. Infinity above 88.722832; from -87.33655
 * down subnormal numbers, 0 below -103.97208.
 */
export const exp: Op<[Tensor], undefined> = elementwise('exp', 'exp', {
  gradient: ({ output }, g) => mul(g, output),
  slope: 'expSlope',
  reads: 'output',
  feasible: atLeast(0),
});
/** e^x - 1, exact near 0. In float32 at most 1.74 ulp off (at 0.39147758). */
export const expm1: Op<[Tensor], undefined> = elementwise('expm1', 'expm1', {
  gradient: ({ output }, g) => mul(g, add(output, 1)),
  reads: 'output',
  feasible: atLeast(-1),
});
/** The natural logarithm; -Infinity at 0, NaN below. In float32 at most 0.96 ulp off (at 0.7065256). */
export const log: Op<[Tensor], undefined> = elementwise('log', 'log', {
  gradient: ({ inputs: [x] }, g) => div(g, x),
  reads: 'inputs',
  feasible: 'everything',
  samples: positive,
});
/** log(1 + x), exact near 0; -Infinity at -1, NaN below. In float32 at most 1.44 ulp off (at -8.9407735e-8). */
export const log1p: Op<[Tensor], undefined> = elementwise('log1p', 'log1p', {
  gradient: ({ inputs: [x] }, g) => div(g, add(x, 1)),
  reads: 'inputs',
  feasible: 'everything',
  samples: positive,
});
/**
 * The sine of x in radians. In float32 at most 3.19 ulp off (at 18022.81) for |x| up to 1e5. Beyond that
 * JavaScript's own function computes it, one number at a time: as right, but far slower.
 */
export const sin: Op<[Tensor], undefined> = elementwise('sin', 'sin', {
  gradient: ({ inputs: [x] }, g) => mul(g, cos(x)),
  reads: 'inputs',
  feasible: between(-1, 1),
});
/** The cosine of x in radians. In float32 at most 3.47 ulp off (at 52516.434) for |x| up to 1e5; beyond that see sin. */
export const cos: Op<[Tensor], undefined> = elementwise('cos', 'cos', {
  gradient: ({ inputs: [x] }, g) => neg(mul(g, sin(x))),
  reads: 'inputs',
  feasible: between(-1, 1),
});
/** The square root, the nearest float32 to it; its derivative 1 / (2 sqrt(x)) is Infinity at 0. */
export const sqrt: Op<[Tensor], undefined> = elementwise('sqrt', 'sqrt', {
  gradient: ({ output }, g) => div(mul(g, 0.5), output),
  reads: 'output',
  feasible: atLeast(0),
  samples: positive,
});
/** 1 / sqrt(x) */
export const rsqrt: Op<[Tensor], undefined> = elementwise('rsqrt', 'rsqrt', {
  gradient: ({ output }, g) => mul(mul(g, -0.5), mul(output, square(output))),
  reads: 'output',
  feasible: atLeast(0),
  samples: positive,
});
/** 1 / x */
export const reciprocal: Op<[Tensor], undefined> = elementwise('reciprocal', 'reciprocal', {
  gradient: ({ output }, g) => neg(mul(g, square(output))),
  reads: 'output',
  feasible: 'everything',
  samples: awayFromZero,
});
/** |x|, with derivative 0 at 0. */
export const abs: Op<[Tensor], undefined> = elementwise('abs', 'abs', {
  gradient: ({ inputs: [x] }, g) => mul(g, sign(x)),
  reads: 'inputs',
  feasible: atLeast(0),
  samples: awayFromZero,
});
export const square: Op<[Tensor], undefined> = elementwise('square', 'square', {
  gradient: ({ inputs: [x] }, g) => mul(mul(g, 2), x),
  slope: 'squareSlope',
  reads: 'inputs',
  feasible: atLeast(0),
});
/** -1, 0 or 1; its derivative is 0. */
export const sign: Op<[Tensor], undefined> = elementwise('sign', 'sign', {
  gradient: ({ inputs: [x] }) => zeros(x.shape),
  reads: 'nothing',
  feasible: signs,
  samples: awayFromZero,
});
/**
 * The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x. In float32 at most 2.59 ulp off
 * (at 0.97580475).
 */
export const erf: Op<[Tensor], undefined> = elementwise('erf', 'erf', {
  gradient: ({ inputs: [x] }, g) => mul(mul(g, 2 / Math.sqrt(Math.PI)), exp(neg(square(x)))),
  reads: 'inputs',
  feasible: between(-1, 1),
});

/** The hyperbolic tangent. In float32 at most 2.50 ulp off (at 4.5050907). */
export const tanh: Op<[Tensor], undefined> = elementwise('tanh', 'tanh', {
  gradient: ({ output }, g) => mul(g, sub(1, square(output))),
  slope: 'tanhSlope',
  reads: 'output',
  feasible: between(-1, 1),
});
/** 1 / (1 + e^-x). In float32 at most 2.41 ulp off (at -4.157294). */
export const sigmoid: Op<[Tensor], undefined> = elementwise('sigmoid', 'sigmoid', {
  gradient: ({ output }, g) => mul(g, mul(output, sub(1, output))),
  slope: 'sigmoidSlope',
  reads: 'output',
  feasible: between(0, 1),
});
/** log(sigmoid(x)), without overflow. In float32 at most 2.10 ulp off (at 1.2844247). */
export const logsigmoid: Op<[Tensor], undefined> = elementwise('logsigmoid', 'logsigmoid', {
  gradient: ({ inputs: [x] }, g) => mul(g, sigmoid(neg(x))),
  reads: 'inputs',
  feasible: between(Number.NEGATIVE_INFINITY, 0),
});
/** log(1 + e^x), without overflow. In float32 at most 2.10 ulp off (at -1.2844247). */
export const softplus: Op<[Tensor], undefined> = elementwise('softplus', 'softplus', {
  gradient: ({ inputs: [x] }, g) => mul(g, sigmoid(x)),
  reads: 'inputs',
  feasible: atLeast(0),
});
/** max(x, 0), with derivative 0 at 0. */
export const relu: Op<[Tensor], undefined> = elementwise('relu', 'relu', {
  gradient: ({ output }, g) => mul(g, gt(output, 0)),
  slope: 'reluSlope',
  reads: 'output',
  feasible: atLeast(0),
  samples: awayFromZero,
});
/**
 * x sigmoid(x), also called swish; NaN at -Infinity. In float32 at most 2.84 ulp off (at -5.0930576). The gradient's factor
 * is right to 4 ulp of itself or of 1/4, whichever is more, since it crosses 0 (at -1.27846).
 */
export const silu: Op<[Tensor], undefined> = elementwise('silu', 'silu', {
  gradient: ({ inputs: [x] }, g) => {
    const s = sigmoid(x);
    return mul(g, mul(s, add(1, mul(x, sub(1, s)))));
  },
  slope: 'siluSlope',
  reads: 'inputs',
  feasible: atLeast(leastSilu),
});
/** x tanh(softplus(x)) (Misra 2019). */
export const mish: Op<[Tensor], undefined> = elementwise('mish', 'mish', {
  gradient: ({ inputs: [x] }, g) => {
    const t = tanh(softplus(x));
    return mul(g, add(t, mul(mul(x, sigmoid(x)), sub(1, square(t)))));
  },
  reads: 'inputs',
  feasible: atLeast(leastMish),
});
/** x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019). */
export const hardswish: Op<[Tensor], undefined> = elementwise('hardswish', 'hardswish', {
  gradient: ({ inputs: [x] }, g) => mul(g, where(lt(x, -3), 0, where(gt(x, 3), 1, div(add(mul(x, 2), 3), 6)))),
  reads: 'inputs',
  feasible: atLeast(-3 / 8),
});

/** Scale and negative saturation of selu (Klambauer et al. 2017), which keep mean 0 and variance 1. */
const seluScale = 1.0507009873554805;
const seluAlpha = 1.6732632423543772;
/** scale (max(x, 0) + min(alpha (e^x - 1), 0)). In float32 at most 2.46 ulp off (at -0.29188448). */
export const selu: Op<[Tensor], undefined> = elementwise('selu', 'selu', {
  gradient: ({ inputs: [x] }, g) => mul(g, where(gt(x, 0), seluScale, mul(exp(minimum(x, 0)), seluScale * seluAlpha))),
  reads: 'inputs',
  feasible: atLeast(-seluScale * seluAlpha),
  samples: awayFromZero,
});

/** x Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016). */
const geluExact = elementwise('gelu', 'gelu', {
  gradient: ({ inputs: [x] }, g) => {
    const distribution = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
    const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return mul(g, add(distribution, mul(x, density)));
  },
  slope: 'geluSlope',
  reads: 'inputs',
  feasible: atLeast(leastGelu),
});
const geluTanh = elementwise('geluTanh', 'geluTanh', {
  gradient: ({ inputs: [x] }, g) => {
    const slope = Math.sqrt(2 / Math.PI);
    const squared = square(x);
    const t = tanh(mul(mul(x, add(mul(squared, 0.044715), 1)), slope));
    const inner = mul(add(mul(squared, 3 * 0.044715), 1), slope);
    return mul(g, mul(add(add(t, 1), mul(mul(x, sub(1, square(t))), inner)), 0.5));
  },
  slope: 'geluTanhSlope',
  reads: 'inputs',
  feasible: atLeast(leastGeluTanh),
});
/**
 * The Gaussian error linear unit, x Phi(x) (Hendrycks and Gimpel 2016); NaN at -Infinity. approximate: 'tanh' takes
 * 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
 *
 * In float32 the exact one is at most 3.91 ulp off (at -11.757264), and its gradient's factor right to 4 ulp of itself or of 1/4,
 * whichever is more. The tanh form is within 4 ulp for x > -1.3 and loses digits as it goes to 0 below: 6 ulp at -1.4, 200
 * (1e-5 of the value) at -9.9.
 */
export function gelu(x: Operand, { approximate = 'none' }: { approximate?: 'none' | 'tanh' } = {}): Tensor {
  if (approximate !== 'none' && approximate !== 'tanh')
    throw new Error(`gelu: approximate is 'none' or 'tanh', not ${String(approximate)}.`);
  return approximate === 'tanh' ? geluTanh(x) : geluExact(x);
}

const leakyReluOp = elementwise<{ slope: number }>('leakyRelu', 'leakyRelu', {
  parameters: ({ slope }) => [slope, 0],
  gradient: ({ inputs: [x], attributes: { slope } }, g) => mul(g, where(gt(x, 0), 1, slope)),
  slope: 'leakyReluSlope',
  reads: 'inputs',
  feasible: bounded(({ attributes: { slope } }) => [slope > 0 ? Number.NEGATIVE_INFINITY : 0]),
  samples: awayFromZero,
  attributes: [{ slope: 0.1 }],
});
/** x where it is positive, negativeSlope x elsewhere. */
export const leakyRelu = (x: Operand, negativeSlope = 0.01): Tensor => leakyReluOp(x, { slope: negativeSlope });

const eluOp = elementwise<{ alpha: number }>('elu', 'elu', {
  parameters: ({ alpha }) => [alpha, 0],
  gradient: ({ inputs: [x], attributes: { alpha } }, g) => mul(g, where(gt(x, 0), 1, mul(exp(minimum(x, 0)), alpha))),
  reads: 'inputs',
  feasible: bounded(({ attributes: { alpha } }) => [-Math.max(alpha, 0)]),
  samples: awayFromZero,
  attributes: [{ alpha: 0.7 }],
});
/** x where it is positive, alpha (e^x - 1) elsewhere. */
export const elu = (x: Operand, alpha = 1): Tensor => eluOp(x, { alpha });

const clampOp = elementwise<{ min: number; max: number }>('clamp', 'clamp', {
  parameters: ({ min, max }) => [min, max],
  gradient: ({ inputs: [x], attributes: { min, max } }, g) => mul(g, mul(ge(x, min), le(x, max))),
  reads: 'inputs',
  feasible: bounded(({ attributes: { min, max } }) => [min, max]),
  attributes: [{ min: -0.55, max: 0.83 }],
});
/** x held between min and max (either may be left out: undefined). The derivative is 1 at the bounds, 0 outside. */
export function clamp(x: Operand, min = -Infinity, max = Infinity): Tensor {
  if (typeof min !== 'number' || typeof max !== 'number' || !(min <= max))
    throw new Error(`clamp: min and max are numbers, the smaller first; ${min} and ${max} are not.`);
  return clampOp(x, { min, max });
}

/** What x ** exponent can be: negative only for odd exponents; 1 for none. */
function powers(exponent: number): [low: number, high?: number] {
  if (exponent === 0) return [1, 1];
  return [exponent % 2 === 1 || exponent % 2 === -1 ? Number.NEGATIVE_INFINITY : 0];
}

/** What base ** x can be. */
function powersOf(base: number): [low: number, high?: number] {
  if (base === 1) return [1, 1];
  return [base > 0 ? 0 : Number.NEGATIVE_INFINITY];
}

/** The wish held between bounds that each number of a fixed operand sets for its own power. */
function withinBounds(wished: Tensor, fixed: Tensor, boundsOf: (x: number) => [low: number, high?: number]): Tensor {
  const bounds = Array.from(numbersOf(fixed), boundsOf);
  const low = tensor(
    bounds.map(([lowest]) => lowest),
    fixed.shape,
  );
  const high = tensor(
    bounds.map(([, highest = Number.POSITIVE_INFINITY]) => highest),
    fixed.shape,
  );
  return minimum(maximum(wished, low), high);
}

const powScalar = elementwise<{ exponent: number }>('powScalar', 'powScalar', {
  parameters: ({ exponent }) => [exponent, 0],
  gradient: ({ inputs: [x], attributes: { exponent } }, g) =>
    exponent === 0 ? zeros(x.shape) : mul(g, mul(pow(x, exponent - 1), exponent)),
  reads: 'inputs',
  feasible: bounded(({ attributes: { exponent } }) => powers(exponent)),
  samples: positive,
  attributes: [{ exponent: 3 }, { exponent: -0.5 }],
});

const powTensor: Op<[Tensor, Tensor], undefined> = defineOp({
  name: 'pow',
  inputs: ['base', 'exponent'],
  forward: ([base, exponent]) => zip('pow', base, exponent),
  gradient: [
    // d/db b^e = e b^(e - 1), which is 0 for e = 0 whatever the base.
    ({ inputs: [base, exponent] }, g) =>
      sumTo(mul(g, where(eq(exponent, 0), 0, mul(exponent, powTensor(base, sub(exponent, 1))))), base.shape),
    // d/de b^e = b^e log b, and 0 for a base of 0 with e >= 0 (where 0^e is 0 for every e > 0).
    ({ inputs: [base, exponent], output }, g) =>
      sumTo(mul(g, mul(output, log(where(mul(eq(base, 0), ge(exponent, 0)), 1, base)))), exponent.shape),
  ],
  perExample: broadcasting(() => powTensor),
  // Everything, if both may move (a base, to the power of 1). A fixed exponent allows what powScalar does, a fixed base what
  // powersOf says, which leaves out the holes of a base that is not positive.
  feasible: {
    is: 'approximate',
    project: (wished, { inputs: [base, exponent] }) => {
      if (base.node === null) return withinBounds(wished, base, powersOf);
      return exponent.node === null ? withinBounds(wished, exponent, powers) : wished;
    },
  },
  samples: (draw) => [
    { inputs: [draw.uniform([3, 4], 0.3, 2), draw.normal([3, 4])], attributes: undefined },
    { inputs: [draw.uniform([2, 1], 0.3, 2), draw.normal([3])], attributes: undefined },
  ],
});
/** base ** exponent, elementwise; either may be a number. */
export function pow(base: Operand, exponent: Operand): Tensor {
  const x = asTensor('pow', base);
  if (typeof exponent !== 'number') return powTensor(x, exponent);
  return exponent === 2 ? square(x) : powScalar(x, { exponent });
}

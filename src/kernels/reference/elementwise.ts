/**
 * What each elementwise kernel is: one scalar function a name, and three loops that lift them over arrays.
 *
 * The functions are total and right to a few units of the last place of a double, also where a textbook formula would
 * overflow or cancel. NaN goes in, NaN comes out. Arithmetic is done in double precision and rounded when stored.
 */
import type { BinaryName, Memory, ReferenceKernels, SlopeName, UnaryName } from '../table.ts';
import { erf, erfc } from './error-function.ts';

type Unary = (x: number, p: number, q: number) => number;
type Binary = (a: number, b: number) => number;

// exp of minus |x| never overflows, and each branch keeps its relative precision.
const sigmoid = (x: number) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const elu = (x: number, alpha: number) => (x > 0 ? x : alpha * Math.expm1(x));
/** The normal distribution: Phi(x) and its density. */
const normalBelow = (x: number) => erfc(-x * Math.SQRT1_2) / 2;
const normalDensity = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** Klambauer et al. 2017, "Self-Normalizing Neural Networks": the fixed point of mean 0 and variance 1. */
const seluScale = 1.0507009873554805;
const seluAlpha = 1.6732632423543772;

/** The tanh approximation of Phi(x) is (1 + tanh(u)) / 2 = sigmoid(2 u), u a cubic (Hendrycks and Gimpel 2016). */
const geluCubic = 0.044715;
const geluRoot = Math.sqrt(2 / Math.PI);
const geluGate = (x: number) => sigmoid(2 * geluRoot * (x + geluCubic * x * x * x));

const unary: Record<UnaryName, Unary> = {
  neg: (x) => -x,
  exp: (x) => Math.exp(x),
  expm1: (x) => Math.expm1(x),
  log: (x) => Math.log(x),
  log1p: (x) => Math.log1p(x),
  sin: (x) => Math.sin(x),
  cos: (x) => Math.cos(x),
  tanh: (x) => Math.tanh(x),
  sigmoid,
  erf,
  sqrt: (x) => Math.sqrt(x),
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  abs: (x) => Math.abs(x),
  square: (x) => x * x,
  sign: (x) => Math.sign(x),
  relu: (x) => Math.max(x, 0),
  silu: (x) => x * sigmoid(x),
  softplus,
  logsigmoid: (x) => -softplus(-x),
  selu: (x) => seluScale * elu(x, seluAlpha),
  mish: (x) => x * Math.tanh(softplus(x)),
  hardswish: (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
  gelu: (x) => x * normalBelow(x),
  geluTanh: (x) => x * geluGate(x),
  leakyRelu: (x, slope) => (x > 0 ? x : slope * x),
  elu,
  clamp: (x, low, high) => Math.min(Math.max(x, low), high),
  powScalar: (x, exponent) => x ** exponent,
  scale: (x, factor, shift) => x * factor + shift,
};

const binary: Record<BinaryName, Binary> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  maximum: (a, b) => Math.max(a, b),
  minimum: (a, b) => Math.min(a, b),
  pow: (a, b) => a ** b,
  eq: (a, b) => (a === b ? 1 : 0),
  ne: (a, b) => (a !== b ? 1 : 0),
  lt: (a, b) => (a < b ? 1 : 0),
  le: (a, b) => (a <= b ? 1 : 0),
  gt: (a, b) => (a > b ? 1 : 0),
  ge: (a, b) => (a >= b ? 1 : 0),
};

/** Derivatives: y is the op's output, x its input. At the kink of relu and leakyRelu the left slope is taken. */
const slopes: Record<SlopeName, Unary> = {
  reluSlope: (y) => (y <= 0 ? 0 : 1),
  tanhSlope: (y) => 1 - y * y,
  sigmoidSlope: (y) => y * (1 - y),
  expSlope: (y) => y,
  geluSlope: (x) => normalBelow(x) + x * normalDensity(x),
  geluTanhSlope: (x) => {
    const gate = geluGate(x);
    return gate + x * gate * (1 - gate) * 2 * geluRoot * (1 + 3 * geluCubic * x * x);
  },
  siluSlope: (x) => sigmoid(x) * (1 + x * sigmoid(-x)),
  leakyReluSlope: (x, slope) => (x > 0 ? 1 : slope),
  squareSlope: (x) => 2 * x,
};

const liftUnary =
  (f: Unary) =>
  ({ floats }: Memory, x: number, out: number, n: number, p: number, q: number) => {
    for (let i = 0; i < n; i++) floats[out + i] = f(floats[x + i]!, p, q);
  };

const liftBinary =
  (f: Binary) =>
  (
    { floats }: Memory,
    a: number,
    aRow: number,
    aColumn: number,
    b: number,
    bRow: number,
    bColumn: number,
    out: number,
    rows: number,
    columns: number,
  ) => {
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++)
        floats[out + i * columns + j] = f(floats[a + i * aRow + j * aColumn]!, floats[b + i * bRow + j * bColumn]!);
  };

const liftSlope =
  (f: Unary) =>
  ({ floats }: Memory, g: number, saved: number, out: number, n: number, p: number, q: number, accumulate: number) => {
    for (let i = 0; i < n; i++) {
      const product = floats[g + i]! * f(floats[saved + i]!, p, q);
      floats[out + i] = accumulate ? floats[out + i]! + product : product;
    }
  };

function mapValues<Name extends string, From, To>(record: Record<Name, From>, f: (value: From) => To) {
  return Object.fromEntries(Object.entries<From>(record).map(([name, value]) => [name, f(value)])) as Record<Name, To>;
}

export const elementwise = {
  ...mapValues(unary, liftUnary),
  ...mapValues(binary, liftBinary),
  ...mapValues(slopes, liftSlope),
  where({ floats }, condition, a, b, out, n) {
    for (let i = 0; i < n; i++) floats[out + i] = floats[condition + i] !== 0 ? floats[a + i]! : floats[b + i]!;
  },
} satisfies Pick<ReferenceKernels, UnaryName | BinaryName | SlopeName | 'where'>;

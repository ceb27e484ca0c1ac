/**
 * How far vector functions are from the truth, in units of the last place.
 *
 * The truth is a computation in double precision: Math's functions (fdlibm's in V8, below one unit of the last place of a double, which
 * is 2^-29 of ours), and an error function of its own that shares no formula with the reference kernels. The error of a number is
 *
 *     |computed - exact| / ulp(exact),   ulp(exact) = 2^(max(floor(log2 |exact|), -126) - 23)
 *
 * so subnormal numbers are measured in their fixed spacing 2^-149. An infinity that should be finite counts as 2^128, the number
 * that follows the largest; NaN and infinities must stand where they belong, or the error is Infinity.
 */
import { referenceKernels } from '../../src/kernels/reference/table.ts';
import type { Kernels } from '../../src/kernels/table.ts';
import { wasmKernels } from '../../src/kernels/wasm/table.ts';

const doubleBits = new Float64Array(1);
const doubleWords = new Uint32Array(doubleBits.buffer);
/** The spacing of float32 numbers by the eleven exponent bits of a double. */
const spacings = Float64Array.from(
  { length: 2048 },
  (_, bits) => 2 ** (Math.min(Math.max(bits - 1023, -126), 127) - 23),
);

/** The spacing of float32 numbers around a double. */
export function ulp(exact: number): number {
  doubleBits[0] = exact;
  return spacings[(doubleWords[1]! >>> 20) & 0x7ff]!;
}

const infinity = Number.POSITIVE_INFINITY;
/** From here on the nearest float32 is Infinity. */
const overflowThreshold = 2 ** 128 - 2 ** 103;

export function errorInUlps(computed: number, exact: number): number {
  const error = Math.abs(computed - exact) / ulp(exact);
  if (error < infinity) return error;
  if (Number.isNaN(exact)) return Number.isNaN(computed) ? 0 : infinity;
  if (computed === exact) return 0;
  if (Math.abs(computed) < infinity || Number.isNaN(computed) || computed > 0 !== exact > 0) return infinity;
  return Math.abs(exact) >= overflowThreshold ? 0 : (2 ** 128 - Math.abs(exact)) / ulp(exact);
}

/** sum_k (-1)^k x^(2k + 1) / (k! (2k + 1)), times 2 / sqrt(pi), for |x| <= 1 (DLMF 7.6.1). */
function erfNearZero(x: number): number {
  let power = x;
  let total = x;
  for (let k = 1; Math.abs(power) > 1e-18 * Math.abs(x); k++) {
    power *= (-x * x) / k;
    total += power / (2 * k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

const step = 0.5;
const nodes = Array.from({ length: 13 }, (_, k) => ({ square: (k * step) ** 2, weight: Math.exp(-((k * step) ** 2)) }));
/**
 * exp(x^2) erfc(x) = 2 x / pi times the integral of exp(-t^2) / (t^2 + x^2) from 0 to infinity, by the trapezoidal rule, which
 * for such integrands is right to exp(-pi^2 / step^2) = 7e-18, less the residue of the pole at t = i x (Chiarella and Reichel 1968;
 * Matta and Reichel 1971). For x >= 1, where the two parts do not cancel.
 */
function scaledErfcFar(x: number): number {
  let total = 1 / (2 * x * x);
  for (let k = 1; k < nodes.length; k++) total += nodes[k]!.weight / (nodes[k]!.square + x * x);
  const residue = x < Math.PI / step ? (2 * Math.exp(x * x)) / Math.expm1((2 * Math.PI * x) / step) : 0;
  return ((2 * step * x) / Math.PI) * total - residue;
}

/** exp(x^2) erfc(x) for x >= 0. */
export const scaledErfc = (x: number): number => (x <= 1 ? Math.exp(x * x) * (1 - erfNearZero(x)) : scaledErfcFar(x));
/** Exported to be held to known values. */
export function erfc(x: number): number {
  if (x < -1) return 2 - erfc(-x);
  return x > 30 ? 0 : x <= 1 ? 1 - erfNearZero(x) : Math.exp(-x * x) * scaledErfcFar(x);
}
const erf = (x: number) => (Math.abs(x) <= 1 ? erfNearZero(x) : Math.sign(x) * (1 - erfc(Math.abs(x))));

const sigmoid = (x: number) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const normalBelow = (x: number) => erfc(-x * Math.SQRT1_2) / 2;
const geluRoot = Math.sqrt(2 / Math.PI);
const geluGate = (x: number) => sigmoid(2 * geluRoot * (x + 0.044715 * x ** 3));
const [seluScale, seluAlpha] = [1.0507009873554805, 1.6732632423543772];

/** Each function in double precision. The slopes are functions of what their kernels read, the gradient being 1. */
export const truths = {
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  sigmoid,
  erf,
  sqrt: Math.sqrt,
  rsqrt: (x: number) => 1 / Math.sqrt(x),
  softplus,
  logsigmoid: (x: number) => -softplus(-x),
  silu: (x: number) => x * sigmoid(x),
  mish: (x: number) => x * Math.tanh(softplus(x)),
  selu: (x: number) => seluScale * (x > 0 ? x : seluAlpha * Math.expm1(x)),
  elu: (x: number) => (x > 0 ? x : Math.expm1(x)),
  gelu: (x: number) => x * normalBelow(x),
  geluTanh: (x: number) => x * geluGate(x),
  tanhSlope: (y: number) => 1 - y * y,
  sigmoidSlope: (y: number) => y * (1 - y),
  geluSlope: (x: number) => normalBelow(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  geluTanhSlope: (x: number) => {
    const gate = geluGate(x);
    return gate + x * gate * geluGate(-x) * 2 * geluRoot * (1 + 3 * 0.044715 * x * x);
  },
  siluSlope: (x: number) => sigmoid(x) * (1 + x * sigmoid(-x)),
} satisfies Record<string, (x: number) => number>;
export type FunctionName = keyof typeof truths;

/** The sets of kernels, on a memory of their own. */
export type KernelSet = 'reference' | 'wasm';

const room = 1 << 16;
/** Runs kernels of one set on arrays of any length. */
export class Runner {
  private readonly floats: Float32Array;
  private readonly kernels: Kernels;

  constructor(set: KernelSet) {
    const memory = new WebAssembly.Memory({ initial: 32 });
    this.floats = new Float32Array(memory.buffer);
    let top = 4 * room;
    const reserve = (size: number) => {
      const address = top;
      top = Math.ceil((top + size) / 16) * 16;
      return address;
    };
    this.kernels =
      set === 'wasm'
        ? wasmKernels({ buffer: memory.buffer } as never, { memory, reserve, scratch: reserve })
        : referenceKernels({ floats: this.floats, ints: new Int32Array(memory.buffer) });
  }

  /** f of each number; a slope kernel gets the gradient 1. */
  run(name: FunctionName, x: Float32Array): Float32Array {
    const out = new Float32Array(x.length);
    for (let from = 0; from < x.length; from += room) {
      const part = x.subarray(from, from + room);
      this.floats.set(part, room);
      if (name.endsWith('Slope')) {
        this.floats.fill(1, 0, part.length);
        const kernel = this.kernels[name as 'tanhSlope'];
        kernel(0, room, 2 * room, part.length, 0, 0, 0);
      } else this.kernels[name as 'exp'](room, 2 * room, part.length, 1, 0);
      out.set(this.floats.subarray(2 * room, 2 * room + part.length), from);
    }
    return out;
  }
}

export interface Worst {
  ulps: number;
  x: number;
}

/** The largest error of a function on the numbers given. */
export function worstOf(runner: Runner, name: FunctionName, x: Float32Array): Worst {
  const truth: (x: number) => number = truths[name];
  const computed = runner.run(name, x);
  const worst = { ulps: 0, x: Number.NaN };
  for (let i = 0; i < x.length; i++) {
    const ulps = errorInUlps(computed[i]!, truth(x[i]!));
    if (ulps > worst.ulps) Object.assign(worst, { ulps, x: x[i]! });
  }
  return worst;
}

const oneBits = new Uint32Array(1);
const oneFloat = new Float32Array(oneBits.buffer);
/** A float32 as the integer that its bits make. */
export function bitsOf(x: number): number {
  oneFloat[0] = x;
  return oneBits[0]!;
}
export const fromBits = (bits: Uint32Array<ArrayBuffer>): Float32Array => new Float32Array(bits.buffer);

/** Whole numbers below a limit, the same ones for a seed. */
function drawn(seed: number): (limit: number) => number {
  let state = seed | 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** Numbers of every binade of both signs, subnormal ones too: its two ends and their neighbours, the others drawn. */
export function numbersOfBinades(perBinade: number, seed: number): Float32Array {
  const below = drawn(seed);
  const size = 2 ** 23;
  const ends = [0, 1, size - 2, size - 1];
  const bits = new Uint32Array(2 * 255 * perBinade);
  for (let at = 0; at < bits.length; at++) {
    const binade = Math.floor(at / perBinade);
    const place = ends[at % perBinade] ?? below(size);
    bits[at] = ((binade & 1) << 31) | ((binade >> 1) * size + place);
  }
  return fromBits(bits);
}

/**
 * The float32 numbers around odd multiples of pi / 4 up to a limit, where the nearest multiple of pi / 2 changes, and around the
 * multiples, where little is left of an angle: of every so many.
 */
export function nearQuarterTurns(limit: number, every: number): Float32Array {
  const found: number[] = [];
  for (let k = 1; (k * Math.PI) / 4 < limit; k += k < 1000 || k % 2 === 1 ? 1 : 2 * every - 1)
    for (let step = -2; step <= 2; step++) found.push(bitsOf((k * Math.PI) / 4) + step);
  const bits = Uint32Array.from([...found, ...found.map((one) => (one | 0x80000000) >>> 0)]);
  return fromBits(bits).filter((x) => Math.abs(x) <= limit);
}

/** The error that the docstring of an exported function speaks of, and where it occurs. */
export function documentedErrors(source: string): Record<string, Worst> {
  const found: Record<string, Worst> = {};
  for (const [, docstring, name] of source.matchAll(
    /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport (?:const|function) (\w+)/g,
  )) {
    const said = /at most ([\d.]+) ulp off \(at (-?[\d.e-]+)\)/.exec(docstring!.replaceAll(/\s*\n \* /g, ' '));
    if (said) found[name!] = { ulps: Number(said[1]), x: Math.fround(Number(said[2])) };
  }
  return found;
}

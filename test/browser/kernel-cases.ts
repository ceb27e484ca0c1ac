/**
 * One or more seeded cases of every kernel of the table, for the heap that programs use: the compiler refuses the list when a
 * kernel is missing. What each kernel does in every corner is held in test/kernels; here the question is whether the whole
 * table stands on this platform, and whether it gives the same bits as on all others.
 */
import {
  type BinaryName,
  binaryNames,
  type KernelName,
  type Kernels,
  type Memory,
  type ReduceName,
  reduceNames,
  type SlopeName,
  slopeNames,
  type UnaryName,
  unaryNames,
} from '../../src/kernels/table.ts';
import { Heap } from '../../src/storage/heap.ts';
import { indices, realNumbers } from '../kernels/twin.ts';

/** Puts operands where the kernel finds them, and says at which address. */
interface Place {
  /** Real numbers from -1 to 1, times `size`. */
  real(count: number, size?: number): number;
  positive(count: number): number;
  /** Whole numbers from 0 to limit - 1. */
  indices(count: number, limit: number): number;
  floats(values: readonly number[]): number;
  /** Room for results, which holds real numbers already. */
  room(count: number): number;
  intRoom(count: number): number;
}

type Case<Name extends KernelName> = (place: Place) => Parameters<Kernels[Name]>;
type Cases<Name extends KernelName> = { readonly [One in Name]: readonly Case<One>[] };

/** 37 is no multiple of a vector, and more than one sweep of any kernel. */
const n = 37;

function forAll<Name extends KernelName>(names: readonly Name[], cases: (name: Name) => readonly Case<Name>[]) {
  return Object.fromEntries(names.map((name) => [name, cases(name)])) as unknown as Cases<Name>;
}

/** Where the functions that are not defined below 0 are tried. */
const needsPositive: readonly string[] = ['log', 'log1p', 'sqrt', 'rsqrt', 'powScalar', 'pow'];

const unary: Cases<UnaryName> = forAll(unaryNames, (name) =>
  [1, 6].map((size) => (place) => {
    const x = needsPositive.includes(name) ? place.positive(n) : place.real(n, size);
    return [x, place.room(n), n, 0.75, 3];
  }),
);
const binary: Cases<BinaryName> = forAll(binaryNames, (name) => [
  (place) => {
    const a = needsPositive.includes(name) ? place.positive(5 * 7) : place.real(5 * 7);
    return [a, 7, 1, place.real(7), 0, 1, place.room(5 * 7), 5, 7];
  },
]);
const slopes: Cases<SlopeName> = forAll(slopeNames, () =>
  [0, 1].map((accumulate) => (place) => [place.real(n), place.real(n, 3), place.room(n), n, 0.75, 0, accumulate]),
);
const reductions: Cases<ReduceName> = forAll(reduceNames, () =>
  [1, 6].map((inner) => (place) => [place.real(3 * 21 * inner, 2), place.room(3 * inner), 3, 21, inner, 0]),
);

/** Two images of 4 channels, 9 x 8, kernel 3 x 2, stride 2 x 1, padding 1 x 1, dilation 1 x 2, two groups, 6 outputs. */
const convolution = [2, 4, 9, 8, 6, 3, 2, 5, 8, 2, 1, 1, 1, 1, 2, 2] as const;
const [pixels, weights, outputs] = [2 * 4 * 9 * 8, 6 * 2 * 3 * 2, 2 * 6 * 5 * 8];
/** The usual one: 3 x 3, padded, one group. */
const plain = [2, 3, 8, 8, 5, 3, 3, 8, 8, 1, 1, 1, 1, 1, 1, 1] as const;
const [plainPixels, plainWeights, plainOutputs] = [2 * 3 * 64, 5 * 3 * 9, 2 * 5 * 64];
/** Six planes of 8 x 10 halved, and the general pool. */
const halved = [6, 8, 10, 2, 2, 4, 5, 2, 2, 0, 0] as const;
const general = [6, 7, 9, 3, 2, 4, 5, 2, 2, 1, 1] as const;

/** A symmetric matrix with its numbers on the diagonal far above the rest. */
const definite = (size: number) =>
  realNumbers(size * size, 5).map((_, at, all) => {
    const [i, j] = [Math.floor(at / size), at % size];
    return i === j ? size : all[Math.min(i, j) * size + Math.max(i, j)]!;
  });

export const kernelCases: Cases<KernelName> = {
  ...unary,
  ...binary,
  ...slopes,
  ...reductions,
  fill: [(place) => [place.room(n), n, 0.3]],
  copy: [(place) => [place.real(n), place.room(n), n]],
  copyStrided: [0, 1].map((accumulate) => (place) => {
    // [2, 3, 4, 5] to its reverse order of axes.
    return [place.real(120), 60, 20, 5, 1, place.room(120), 1, 2, 6, 24, 2, 3, 4, 5, accumulate];
  }),
  where: [(place) => [place.indices(n, 2), place.real(n), place.real(n), place.room(n), n]],
  argmax: [1, 6].map((inner) => (place) => [place.real(3 * 21 * inner), place.intRoom(3 * inner), 3, 21, inner]),
  argmin: [1, 6].map((inner) => (place) => [place.real(3 * 21 * inner), place.intRoom(3 * inner), 3, 21, inner]),
  softmax: [(place) => [place.real(5 * 11, 4), place.room(5 * 11), 5, 11]],
  logSoftmax: [(place) => [place.real(5 * 11, 4), place.room(5 * 11), 5, 11]],
  logSumExp: [(place) => [place.real(5 * 11, 4), place.room(5), 5, 11]],
  softmaxSlope: [(place) => [place.real(55), place.positive(55), place.room(55), 5, 11, 0]],
  logSoftmaxSlope: [(place) => [place.real(55), place.real(55, 3), place.room(55), 5, 11, 1]],
  crossEntropy: [0, 0.1].map((smoothing) => (place) => {
    return [place.real(55, 4), place.indices(5, 11), place.room(5), place.room(55), 5, 11, smoothing];
  }),
  crossEntropySlope: [
    (place) => [place.real(5), 1, 0.2, place.positive(55), place.indices(5, 11), place.room(55), 5, 11, 0.1, 0],
  ],
  layerNorm: [
    (place) => [place.real(5 * 21, 2), place.real(21), place.real(21), place.room(5 * 21), place.room(10), 5, 21, 1e-5],
  ],
  layerNormSlope: [
    (place) => [place.real(105), place.real(105), place.real(21), place.positive(10), place.room(105), 5, 21, 0],
  ],
  layerNormWeightSlope: [(place) => [place.real(105), place.real(105), place.positive(10), place.room(21), 5, 21, 1]],
  batchMoments: [
    (place) => [place.real(3 * 5 * 16), place.room(10), 3, 5, 16],
    (place) => [place.real(24 * 5), place.room(10), 24, 5, 1],
  ],
  batchNorm: [
    (place) => {
      const x = place.real(3 * 5 * 16);
      return [x, place.real(5), place.positive(5), place.real(5), place.real(5), place.room(240), 3, 5, 16, 1e-3];
    },
  ],
  batchNormSlope: [0, 1].map((ofBatch) => (place) => {
    const [g, x, mean, variance] = [place.real(240), place.real(240), place.real(5), place.positive(5)];
    return [g, x, mean, variance, place.real(5), place.room(240), 3, 5, 16, 1e-3, ofBatch, 0];
  }),
  batchNormWeightSlope: [
    (place) => {
      const [g, x, mean, variance] = [place.real(240), place.real(240), place.real(5), place.positive(5)];
      return [g, x, mean, variance, place.room(5), 3, 5, 16, 1e-3, 0];
    },
  ],
  squaredError: [(place) => [place.real(n), place.real(n), place.room(1), n, 0.1]],
  squaredErrorSlope: [(place) => [place.real(1), place.real(n), place.real(n), place.room(n), n, 0.1, 1]],
  gemm: [
    // As a layer calls it; both transposed, accumulating; one row; one column; k = 1; few columns.
    (place) => [place.real(19 * 23), 23, 1, place.real(35 * 23), 1, 23, place.room(19 * 35), 35, 19, 35, 23, 0, place.real(35), 1], // biome-ignore format: a row of arguments
    (place) => [place.real(19 * 23), 1, 19, place.real(35 * 23), 1, 23, place.room(19 * 35), 35, 19, 35, 23, 1, 0, 0],
    (place) => [place.real(41), 41, 1, place.real(41 * 29), 29, 1, place.room(29), 29, 1, 29, 41, 0, 0, 0],
    (place) => [place.real(41 * 29), 29, 1, place.real(29), 1, 1, place.room(41), 1, 41, 1, 29, 0, 0, 0],
    (place) => [place.real(17), 1, 1, place.real(21), 21, 1, place.room(17 * 21), 21, 17, 21, 1, 1, 0, 0],
    (place) => [place.real(50 * 33), 33, 1, place.real(33 * 9), 9, 1, place.room(50 * 9), 9, 50, 9, 33, 0, 0, 0],
  ],
  cholesky: [(place) => [place.floats(definite(40)), place.room(1600), 40]],
  triangularSolve: [0, 1].map((transposed) => (place) => {
    return [place.floats(definite(35)), place.real(35 * 6), place.room(35 * 6), 35, 6, transposed];
  }),
  conv2d: [
    (place) => [place.real(pixels), place.real(weights), place.real(6), place.room(outputs), ...convolution],
    (place) => [place.real(plainPixels), place.real(plainWeights), 0, place.room(plainOutputs), ...plain],
  ],
  conv2dInputSlope: [
    (place) => [place.real(outputs), place.real(weights), place.room(pixels), 0, ...convolution],
    (place) => [place.real(plainOutputs), place.real(plainWeights), place.room(plainPixels), 1, ...plain],
  ],
  conv2dWeightSlope: [
    (place) => [place.real(outputs), place.real(pixels), place.room(weights), 0, ...convolution],
    (place) => [place.real(plainOutputs), place.real(plainPixels), place.room(plainWeights), 1, ...plain],
  ],
  maxPool2d: [
    (place) => [place.real(6 * 80), place.room(6 * 20), place.intRoom(6 * 20), ...halved],
    (place) => [place.real(6 * 63), place.room(6 * 20), place.intRoom(6 * 20), ...general],
  ],
  maxPool2dSlope: [(place) => [place.real(6 * 20), place.indices(6 * 20, 80), place.room(6 * 80), 6, 80, 20, 0]],
  maxPool2dPick: [(place) => [place.real(6 * 80), place.indices(6 * 20, 80), place.room(6 * 20), 6, 80, 20]],
  avgPool2d: [
    (place) => [place.real(6 * 80), place.room(6 * 20), ...halved],
    (place) => [place.real(6 * 63), place.room(6 * 20), ...general],
  ],
  avgPool2dSlope: [
    (place) => [place.real(6 * 20), place.room(6 * 80), 0, ...halved],
    (place) => [place.real(6 * 20), place.room(6 * 63), 1, ...general],
  ],
  indexSelect: [(place) => [place.real(3 * 8 * 5), place.indices(6, 8), place.room(3 * 6 * 5), 3, 8, 6, 5]],
  indexAdd: [(place) => [place.real(3 * 6 * 5), place.indices(6, 8), place.room(3 * 8 * 5), 3, 8, 6, 5]],
  gather: [(place) => [place.real(3 * 8 * 5), place.indices(3 * 6 * 5, 8), place.room(3 * 6 * 5), 3, 8, 6, 5]],
  scatterAdd: [(place) => [place.real(3 * 6 * 5), place.indices(3 * 6 * 5, 8), place.room(3 * 8 * 5), 3, 8, 6, 5]],
  oneHot: [(place) => [place.indices(9, 7), place.room(63), 9, 7]],
  sgd: [
    (place) => [place.room(n), place.real(n), 0, n, 0.1, 0, 0, 0, 0.01, 0],
    (place) => [place.room(n), place.real(n), place.room(n), n, 0.1, 0.9, 0, 1, 0.01, 0],
  ],
  adam: [0, 1].map((decoupled) => (place) => {
    const [w, g, m, v] = [place.room(n), place.real(n), place.real(n), place.positive(n)];
    return [w, g, m, v, place.positive(n), n, 0.01, 0.9, 0.999, 1e-8, 0.01, decoupled, 0.19, 0.002];
  }),
};

export const kernelNames = Object.keys(kernelCases) as KernelName[];

const blockSize = 1 << 14;
const filler = Float32Array.from(realNumbers(blockSize, 99));

/** The heap of a program, and a block of it that cases are laid out in. */
export class Table {
  private readonly heap = new Heap('wasm-simd');
  private readonly block = this.heap.allocate(blockSize);

  /**
   * Runs all cases of a kernel: what the block held before each, its arguments, what it holds afterwards, and which of its places
   * are whole numbers that a kernel writes. `ints` and `floats` of a memory are the same places.
   */
  run<Name extends KernelName>(name: Name) {
    return kernelCases[name].map((one, index) => {
      const { floats, ints } = this.heap;
      let [top, seed] = [this.block, index + 1];
      const integers = new Set<number>();
      const room = (count: number, values: readonly number[], to: Memory['floats' | 'ints'] = floats) => {
        const at = top + 1 + ((seed++ * 3) % 4);
        top = at + count;
        if (top > this.block + blockSize) throw new Error(`kernel-cases: ${name} needs more room than the block has.`);
        to.set(values, at);
        return at;
      };
      floats.set(filler, this.block);
      const place: Place = {
        real: (count, size = 1) =>
          room(
            count,
            realNumbers(count, seed).map((x) => x * size),
          ),
        positive: (count) =>
          room(
            count,
            realNumbers(count, seed).map((x) => 1.1 + x),
          ),
        indices: (count, limit) => room(count, indices(count, seed, limit), ints),
        floats: (values) => room(values.length, values),
        room: (count) => room(count, realNumbers(count, seed)),
        intRoom: (count) => {
          const at = room(count, indices(count, seed, 2), ints);
          for (let i = 0; i < count; i++) integers.add(at + i);
          return at;
        },
      };
      const args = one(place);
      const end = this.block + blockSize;
      const before = this.heap.floats.slice(0, end) as Float32Array;
      (this.heap.run[name] as (...args: number[]) => void)(...(args as number[]));
      const after = this.heap.floats.slice(this.block, end) as Float32Array;
      return { args, before, after, from: this.block, isInteger: (at: number) => integers.has(at) };
    });
  }
}

/**
 * Holds emitted kernels to their reference twins. Both run on the same bytes, then all of memory is compared: a kernel
 * that writes where it should not is found like one that writes the wrong number.
 *
 *     const twins = new Twins(poolFamily);
 *     const x = twins.floats(wholeNumbers(100, seed));      // an operand: its address
 *     const out = twins.room(25), winners = twins.intRoom(25);
 *     twins.compare('maxPool2d', pool.maxPool2d, [x, out, winners, ...sizes]);
 *
 * Operands stand at all alignments, with numbers around them that nobody may touch. Whole numbers make float32 sums
 * exact in any order, so that most kernels can be held to their twins bit for bit.
 */
import type { KernelName, Kernels, Memory, ReferenceKernels } from '../../src/kernels/table.ts';
import type { Environment, Family } from '../../src/kernels/wasm/family.ts';

/** For fc.assert: the same cases in every run. Failures print the seed and the shrunk case. */
export const fixedSeed = { seed: 20261120 };

/** Whole numbers from -4 to 4. */
export const wholeNumbers = (count: number, seed: number) => randomNumbers(count, seed, (u) => Math.floor(u * 9) - 4);
/** Numbers from -1 to 1. */
export const realNumbers = (count: number, seed: number) => randomNumbers(count, seed, (u) => 2 * u - 1);
/** Whole numbers from 0 to limit - 1. */
export const indices = (count: number, seed: number, limit: number) =>
  randomNumbers(count, seed, (u) => Math.floor(u * limit));

/** count values of f(u), u uniform in [0, 1) (mulberry32). */
function randomNumbers(count: number, seed: number, f: (u: number) => number): number[] {
  let state = seed | 0;
  return Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return f(((t ^ (t >>> 14)) >>> 0) / 4294967296);
  });
}

/** Whether an emitted number may stand for the reference's. */
export type Close = (emitted: number, reference: number) => boolean;
const same: Close = (emitted, reference) => emitted === reference;
/** |emitted - reference| <= tolerance max(1, |reference|) */
export const within =
  (tolerance: number): Close =>
  (emitted, reference) =>
    emitted === reference || Math.abs(emitted - reference) <= tolerance * Math.max(1, Math.abs(reference));

/** Elements before the first operand and after the last one that no kernel may touch. */
const margin = 64;

export class Twins {
  readonly emitted: Partial<Kernels>;
  private readonly memory = new WebAssembly.Memory({ initial: 1 });
  private readonly operandLimit: number;
  private top = margin;
  private operands = 0;
  private integerRanges: [number, number][] = [];

  /** `others` are the families whose kernels `family` calls; `room` bounds the elements of all operands of a case. */
  constructor(family: Family, { others = [], room = 1 << 18 }: { others?: Family[]; room?: number } = {}) {
    this.operandLimit = room;
    this.emitted = family.emit(testEnvironment(this.memory, room + margin, others));
  }

  /** Forgets the operands of the last case. */
  clear(): this {
    this.top = margin;
    this.operands = 0;
    this.integerRanges = [];
    return this;
  }

  /** Places float operands, or room for `count` results (which holds numbers already, for accumulation). */
  floats(values: ArrayLike<number>): number {
    const address = this.room(values.length);
    this.views().floats.set(values, address);
    return address;
  }
  ints(values: ArrayLike<number>): number {
    const address = this.intRoom(values.length);
    this.views().ints.set(values, address);
    return address;
  }
  room(count: number): number {
    const before = this.top;
    const address = before + 1 + ((this.operands++ * 3) % 4);
    this.top = address + count;
    if (this.top + margin > this.operandLimit) throw new Error(`Twins: a case needs ${this.top} elements of room.`);
    const filler = wholeNumbers(this.top + margin - before, this.operands);
    this.views().floats.set(filler, before);
    return address;
  }
  intRoom(count: number): number {
    const address = this.room(count);
    this.integerRanges.push([address, address + count]);
    return address;
  }

  /** Runs both twins on the operands placed so far and throws where memory differs. Leaves the emitted twin's results. */
  compare<Name extends KernelName>(
    name: Name,
    reference: ReferenceKernels[Name],
    args: Parameters<Kernels[Name]>,
    close: Close = same,
  ): void {
    const emitted = this.emitted[name];
    if (!emitted) throw new Error(`Twins: no emitted ${name}.`);
    const end = this.top + margin;
    const expected = viewsOf(this.views().floats.slice(0, end).buffer);
    reference(expected, ...args);
    (emitted as (...args: number[]) => void)(...(args as number[]));
    const actual = this.views();
    for (let i = 0; i < end; i++) {
      if (actual.ints[i] === expected.ints[i]) continue;
      const isInteger = this.integerRanges.some(([from, to]) => i >= from && i < to);
      const [a, b] = isInteger ? [actual.ints[i]!, expected.ints[i]!] : [actual.floats[i]!, expected.floats[i]!];
      const agree = isInteger ? a === b : Number.isNaN(a) ? Number.isNaN(b) : close(a, b);
      if (!agree) throw new Error(`${name}(${args.join(', ')}): at address ${i} emitted ${a}, reference ${b}`);
    }
  }

  /** Made anew at each use: growing the memory detaches views. */
  private views() {
    return viewsOf(this.memory.buffer);
  }
}

function viewsOf(buffer: ArrayBuffer) {
  return { floats: new Float32Array(buffer), ints: new Int32Array(buffer) } satisfies Memory;
}

/** An environment above `base` that grows as needed; scratch room is full of NaN, so that nothing can rely on its content. */
function testEnvironment(memory: WebAssembly.Memory, base: number, others: Family[]): Environment {
  let top = 0;
  const reserve = (size: number) => {
    const address = top;
    top = Math.ceil((top + size) / 16) * 16;
    const missing = top * 4 - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    return address;
  };
  reserve(base);
  let scratchSize = 0;
  let scratchAddress = 0;
  const environment: Environment = {
    memory,
    reserve,
    scratch(size) {
      if (size > scratchSize) {
        scratchSize = size;
        scratchAddress = reserve(size);
      }
      new Float32Array(memory.buffer).fill(Number.NaN, scratchAddress, scratchAddress + size);
      return scratchAddress;
    },
    kernel(name) {
      const kernel = others.find(({ names }) => names.includes(name))?.emit(environment)[name];
      if (!kernel) throw new Error(`Twins: ${name} is called, but no family that holds it was given.`);
      return kernel;
    },
  };
  return environment;
}

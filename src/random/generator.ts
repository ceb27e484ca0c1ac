/**
 * Random numbers as a function of (seed, counter).
 *
 * A generator is a key (its seed) and a counter. Block n of the stream is threefry2x32(seed, n), and drawing moves the
 * counter on; so the whole state is two numbers, and the same seed gives the same bits on every machine, after saving
 * and resuming, and whatever else draws from other generators.
 */

import { normalQuantile } from './normal.ts';
import { threefry2x32 } from './threefry.ts';

/** Where a generator stands: plain data, to be stored with a checkpoint. */
export interface GeneratorState {
  readonly seed: number;
  /** Blocks drawn so far. */
  readonly counter: number;
}

/** The block drawn last. Shared by all generators: it is read before anything else can draw. */
const block = new Int32Array(2);

/**
 * A stream of random numbers.
 *
 *     const generator = new Generator(7);
 *     generator.uniform();             // a number in [0, 1)
 *     const saved = generator.state;   // { seed: 7, counter: 1 }
 *
 * Two generators with different seeds are independent. The seed is any safe integer, negative ones included.
 */
export class Generator {
  #seed = 0;
  #counter = 0;
  #key0 = 0;
  #key1 = 0;

  constructor(seed: number) {
    this.setState({ seed, counter: 0 });
  }

  /** Seed and counter. `setState` with it, here or elsewhere, continues the stream from this point. */
  get state(): GeneratorState {
    return { seed: this.#seed, counter: this.#counter };
  }

  setState(state: GeneratorState): void {
    const { seed, counter } = state;
    if (!Number.isSafeInteger(seed)) {
      throw new RangeError(
        `Generator: the seed must be an integer from -(2^53 - 1) to 2^53 - 1, but it is ${String(seed)}.`,
      );
    }
    if (!Number.isSafeInteger(counter) || counter < 0) {
      throw new RangeError(
        `Generator: the counter of a state must be an integer from 0 to 2^53 - 1, but it is ${String(counter)}.`,
      );
    }
    this.#seed = seed + 0; // -0 becomes 0, so that a state survives JSON
    this.#counter = counter;
    this.#key0 = seed | 0;
    this.#key1 = Math.floor(seed / 2 ** 32) | 0;
  }

  #draw(): void {
    const counter = this.#counter;
    threefry2x32(this.#key0, this.#key1, counter | 0, (counter / 2 ** 32) | 0, block);
    this.#counter = counter + 1;
  }

  /** A number in [0, 1): one of the 2^53 multiples of 2^-53, all equally likely. Draws one block. */
  uniform(): number {
    this.#draw();
    return ((block[0]! >>> 5) * 2 ** 26 + (block[1]! >>> 6)) * 2 ** -53;
  }

  /** A number from the standard normal distribution, never beyond 8.3 in size. Draws one block. */
  normal(): number {
    this.#draw();
    // The middles of 2^52 equal intervals: 0 and 1 cannot come, and p is as likely as 1 - p.
    return normalQuantile(((block[0]! >>> 6) * 2 ** 26 + (block[1]! >>> 6) + 0.5) * 2 ** -52);
  }

  /** An integer from 0 to n - 1, all equally likely; 1 <= n <= 2^32. Draws one block, rarely more. */
  integer(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new RangeError(`Generator.integer: n must be an integer from 1 to 2^32, but it is ${String(n)}.`);
    }
    // 2^32 words fall into whole sets of n and a remainder; a word of the remainder is thrown away, or some residues
    // would come more often.
    const remainder = 2 ** 32 % n;
    for (;;) {
      this.#draw();
      const word = block[0]! >>> 0;
      if (word >= remainder) return word % n;
    }
  }

  /** The numbers 0 to n - 1 in random order, all orders equally likely (Fisher and Yates's shuffle). */
  permutation(n: number): Int32Array {
    if (!Number.isInteger(n) || n < 0 || n > 2 ** 31 - 1) {
      throw new RangeError(`Generator.permutation: n must be an integer from 0 to 2^31 - 1, but it is ${String(n)}.`);
    }
    const order = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      // Inside out: the new number goes to a random place, and what stood there moves to the end.
      const place = this.integer(i + 1);
      order[i] = order[place]!;
      order[place] = i;
    }
    return order;
  }

  /**
   * Fills `out` with numbers from low to high, equally likely: low + (high - low) u, with u a multiple of 2^-24 below 1, rounded to
   * float32. For [0, 1) nothing is rounded; elsewhere rounding may give `high` itself. Draws one block a number.
   */
  fillUniform(out: Float32Array, low = 0, high = 1): void {
    if (!(Number.isFinite(low) && Number.isFinite(high) && low <= high)) {
      throw new RangeError(
        `Generator.fillUniform: low and high must be finite, and low at most high, but they are ${low} and ${high}.`,
      );
    }
    const width = high - low;
    for (let i = 0; i < out.length; i++) {
      this.#draw();
      out[i] = low + width * ((block[0]! >>> 8) * 2 ** -24);
    }
  }

  /** Fills `out` with mean + std z, z standard normal. Draws one block a number. */
  fillNormal(out: Float32Array, mean = 0, std = 1): void {
    if (!(Number.isFinite(mean) && Number.isFinite(std) && std >= 0)) {
      throw new RangeError(
        `Generator.fillNormal: the mean must be finite and the standard deviation at least 0, but they are ${mean} and ${std}.`,
      );
    }
    for (let i = 0; i < out.length; i++) out[i] = mean + std * this.normal();
  }

  /**
   * Fills `out` with `value` where a coin of this probability falls heads, and with 0 elsewhere (what dropout needs).
   * The probability counts in steps of 2^-32. Draws one block for two numbers.
   */
  fillBernoulli(out: Float32Array, probability: number, value = 1): void {
    if (!(probability >= 0 && probability <= 1)) {
      throw new RangeError(`Generator.fillBernoulli: the probability must be from 0 to 1, but it is ${probability}.`);
    }
    const threshold = probability * 2 ** 32;
    for (let i = 0; i < out.length; i += 2) {
      this.#draw();
      out[i] = block[0]! >>> 0 < threshold ? value : 0;
      if (i + 1 < out.length) out[i + 1] = block[1]! >>> 0 < threshold ? value : 0;
    }
  }

  /**
   * A new generator whose seed is drawn from this one: give each part of a program its own, and drawing more in one
   * does not move the others. Draws one block.
   */
  fork(): Generator {
    return new Generator(this.uniform() * 2 ** 53);
  }
}

/**
 * The generator of everything that is not given one. It starts with seed 0: without manualSeed a program repeats
 * itself too.
 */
export const defaultGenerator = new Generator(0);

/** Starts the default generator anew from a seed (any safe integer), and returns it. */
export function manualSeed(seed: number): Generator {
  defaultGenerator.setState({ seed, counter: 0 });
  return defaultGenerator;
}

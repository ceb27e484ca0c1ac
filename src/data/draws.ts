/** Random draws that data are made with: each purpose of a seed has numbers of its own, and each of its draws an index. */
import { Generator } from '../random/generator.ts';

/**
 * Draws that must not meet have purposes of their own; a purpose has 2^44 blocks. The first ones are left to whoever makes
 * a generator of the same seed for something else, the weights of a network for example.
 */
const PURPOSES = { target: 1, slowBits: 2, randomBits: 3, order: 4, change: 5 } as const;
const BLOCKS = 2 ** 44;

/** A generator that stands at a block of a purpose of this seed. */
export function at(seed: number, purpose: keyof typeof PURPOSES, block: number): Generator {
  const generator = new Generator(seed);
  generator.setState({ seed, counter: PURPOSES[purpose] * BLOCKS + block });
  return generator;
}

/** A generator for as many numbers as are wanted, one for each index. */
export const child = (seed: number, purpose: keyof typeof PURPOSES, index: number): Generator =>
  at(seed, purpose, index).fork();

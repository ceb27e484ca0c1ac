/**
 * Sorting many numbers with ties in random order: a radix sort of the bits of float32 numbers, which is stable, begun from a
 * random order. So the work is the same whatever the numbers are.
 */
import type { Generator } from '../random/generator.ts';

const bitsOfDigit = 11;
const digits = 1 << bitsOfDigit;
const signBit = 0x80000000;

/**
 * The positions of numbers from the least to the largest; of equal ones (0 and -0 too) every order is equally likely. NaN has
 * no place among numbers: the caller has seen to it that there is none.
 */
export const randomlyTiedOrder = (values: Float32Array, generator: Generator): Uint32Array =>
  sortedByValue(Uint32Array.from(generator.permutation(values.length)), values);

/** These positions from the least value to the largest; those of equal values keep their order. */
export function sortedByValue(order: Uint32Array, values: Float32Array): Uint32Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const keys = new Uint32Array(values.length);
  for (let i = 0; i < keys.length; i++) {
    // -0 as 0. Bits of floats order as whole numbers do once the negative ones are turned round and put below.
    const own = bits[i]! === signBit ? 0 : bits[i]!;
    keys[i] = own >= signBit ? ~own : own + signBit;
  }
  let from: Uint32Array = order;
  let to: Uint32Array = new Uint32Array(order.length);
  for (let shift = 0; shift < 32; shift += bitsOfDigit) {
    const places = new Uint32Array(digits + 1);
    for (let i = 0; i < from.length; i++) places[((keys[from[i]!]! >>> shift) & (digits - 1)) + 1]!++;
    for (let digit = 0; digit < digits; digit++) places[digit + 1]! += places[digit]!;
    for (let i = 0; i < from.length; i++) to[places[(keys[from[i]!]! >>> shift) & (digits - 1)]!++] = from[i]!;
    // What was given is not written to.
    const next = from === order ? new Uint32Array(order.length) : from;
    from = to;
    to = next;
  }
  return from;
}

/** These positions with those of key 0 first, then 1, and so on up to count - 1; within a key they keep their order. */
export function sortedByKey(order: Uint32Array, count: number, keys: ArrayLike<number>): Uint32Array {
  const places = new Uint32Array(count + 1);
  for (let i = 0; i < order.length; i++) places[keys[order[i]!]! + 1]!++;
  for (let key = 0; key < count; key++) places[key + 1]! += places[key]!;
  const sorted = new Uint32Array(order.length);
  for (let i = 0; i < order.length; i++) sorted[places[keys[order[i]!]!]!++] = order[i]!;
  return sorted;
}

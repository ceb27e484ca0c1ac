/**
 * Threefry-2x32 with 20 rounds: a function from (key, counter) to 64 random bits.
 *
 * Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Threefry is the block cipher
 * Threefish without its tweak: each round adds one word to the other, rotates and xors; after every fourth round
 * the key is added. There is no state beside the counter, so the n-th number of a stream can be asked for by itself,
 * and a stream is saved by writing down two numbers. Only 32-bit integer arithmetic: the same bits on every machine.
 */

/** The constant of Threefish's key schedule: the third key word is this xor the other two. */
const parity = 0x1bd11bda;

const rotateLeft = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

/**
 * Writes the two random words of a block to out[0] and out[1]. All words are 32-bit integers, signed or not.
 * The rounds stand in full: as a loop they take twice the time, and dropout and initialisation are mostly this function.
 */
export function threefry2x32(key0: number, key1: number, counter0: number, counter1: number, out: Int32Array): void {
  const key2 = parity ^ key0 ^ key1;
  let a = (counter0 + key0) | 0;
  let b = (counter1 + key1) | 0;

  a = (a + b) | 0;
  b = rotateLeft(b, 13) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 15) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 26) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 6) ^ a;
  a = (a + key1) | 0;
  b = (b + key2 + 1) | 0;

  a = (a + b) | 0;
  b = rotateLeft(b, 17) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 29) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 16) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 24) ^ a;
  a = (a + key2) | 0;
  b = (b + key0 + 2) | 0;

  a = (a + b) | 0;
  b = rotateLeft(b, 13) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 15) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 26) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 6) ^ a;
  a = (a + key0) | 0;
  b = (b + key1 + 3) | 0;

  a = (a + b) | 0;
  b = rotateLeft(b, 17) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 29) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 16) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 24) ^ a;
  a = (a + key1) | 0;
  b = (b + key2 + 4) | 0;

  a = (a + b) | 0;
  b = rotateLeft(b, 13) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 15) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 26) ^ a;
  a = (a + b) | 0;
  b = rotateLeft(b, 6) ^ a;

  out[0] = (a + key2) | 0;
  out[1] = (b + key0 + 5) | 0;
}

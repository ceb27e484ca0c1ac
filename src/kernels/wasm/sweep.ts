/**
 * The loop of every kernel that walks contiguous arrays: four numbers at a time, then the one to three that are left.
 *
 *     sweep(code, n, [x, out], ({ load, store }) => store(out, f32x4.sqrt(load(x))));
 *
 * The step is written once and emitted for both: whole vectors, and a last one whose missing lanes are padding. A number
 * meets the same instructions wherever it stands, so its result does not depend on its position or on n. All loads of a
 * step read before its stores write, so a pointer may be read and written; two pointers may be equal. The loop counts
 * numbers, since byte addresses past 2 GiB compare as negative.
 */
import type { Code, Local } from './assembler.ts';
import { f32x4, type Int, i32, i32x4, type V128, v128 } from './instructions.ts';

export type Pointer = Local<'i32'>;
export type Vector = Local<'v128'>;

/** What a step does its work with. A load is kept in a local: it is read once, when the step asks for it. */
export interface Lanes {
  /** Four numbers; in the last vector the lanes past the end hold those of `padding`. */
  load(pointer: Pointer, padding?: V128): Vector;
  store(pointer: Pointer, value: V128): void;
  /** Which of the unrolled steps this is, from 0: independent sums keep the adder busy. */
  readonly part: number;
}

/** A pointer that moves by another amount than a vector's 16 bytes a step (0: it stands still). */
export type Stride = readonly [pointer: Pointer, bytesPerVector: Int];

const zero = f32x4.splat(0);

/**
 * Emits the loop. The pointers (byte addresses) move along and end behind the last whole vector; `step` is emitted
 * `unroll` times in the main loop, which pays for steps of few instructions.
 */
export function sweep(
  code: Code,
  n: Int,
  pointers: readonly (Pointer | Stride)[],
  step: (lanes: Lanes) => void,
  unroll = 1,
): void {
  const left = code.local(typeof n === 'number' ? i32.const(n) : n);
  const wholeVectors = (count: number) => {
    code.while(i32.geS(left, 4 * count), () => {
      for (let part = 0; part < count; part++) step(wholeVector(code, part));
      for (const moving of pointers) {
        const [pointer, bytes] = 'index' in moving ? [moving, 16] : moving;
        code.advance(pointer, typeof bytes === 'number' ? bytes * count : i32.mul(bytes, count));
      }
      code.advance(left, -4 * count);
    });
  };
  if (unroll > 1) wholeVectors(unroll);
  wholeVectors(1);
  code.if(left, () => step(lastLanes(code, left)));
}

/** Access to the vector `part` vectors behind the pointers. */
export const wholeVector = (code: Code, part: number): Lanes => ({
  load: (pointer) => code.local(v128.load(pointer, 16 * part)),
  store: (pointer, value) => code.store(pointer, value, 16 * part),
  part,
});

/** Access to the `left` (1 to 3) numbers at the end of an array. */
export function lastLanes(code: Code, left: Local<'i32'>): Lanes {
  return {
    load(pointer, padding = zero) {
      const vector = code.local(padding);
      code.set(vector, v128.load32Lane(pointer, vector, 0));
      code.if(i32.gtS(left, 1), () => code.set(vector, v128.load32Lane(pointer, vector, 1, 4)));
      code.if(i32.gtS(left, 2), () => code.set(vector, v128.load32Lane(pointer, vector, 2, 8)));
      return vector;
    },
    store(pointer, value) {
      const vector = code.local(value);
      code.store32Lane(pointer, vector, 0);
      code.if(i32.gtS(left, 1), () => code.store32Lane(pointer, vector, 1, 4));
      code.if(i32.gtS(left, 2), () => code.store32Lane(pointer, vector, 2, 8));
    },
    part: 0,
  };
}

/** Turns addresses in elements into byte addresses, in place. */
export function toBytes(code: Code, ...addresses: Pointer[]): void {
  for (const address of addresses) code.set(address, i32.shl(address, 2));
}

/**
 * What a kernel with an `accumulate` flag adds to: the number that stands there, or -0 (which leaves every number as it
 * is, its sign too). Chosen by a mask, so that one loop serves both.
 */
export function accumulator(code: Code, accumulate: Int): (lanes: Lanes, out: Pointer, value: V128) => void {
  const mask = code.local(i32x4.neg(i32x4.splat(accumulate)));
  return ({ load, store }, out, value) =>
    store(out, f32x4.add(v128.bitselect(load(out), f32x4.splat(-0), mask), value));
}

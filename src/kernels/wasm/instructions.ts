/**
 * WebAssembly's instructions as typed expressions: `f32x4.add(a, b)` is a value that knows how to append its bytes.
 *
 * A `Value` is pure description: nothing is emitted until a statement of assembler.ts writes it, and writing it twice
 * computes it twice (keep what is used twice in a local). Plain numbers stand for constants wherever an i32 or f32 is
 * expected. Names follow the WebAssembly specification, in camelCase; `load(address, offset)` takes a byte address and
 * a constant byte offset.
 */
import type { Bytes } from './bytes.ts';

export type ValueType = 'i32' | 'f32' | 'v128';

export class Value<Type extends ValueType = ValueType> {
  readonly type: Type;
  readonly write: (out: Bytes) => void;
  constructor(type: Type, write: (out: Bytes) => void) {
    this.type = type;
    this.write = write;
  }
}

export type I32 = Value<'i32'>;
export type F32 = Value<'f32'>;
export type V128 = Value<'v128'>;
/** An operand: a value, or a number that becomes a constant. */
export type Int = I32 | number;
export type Float = F32 | number;

const asInt = (x: Int): I32 => (typeof x === 'number' ? i32.const(x) : x);
const asFloat = (x: Float): F32 => (typeof x === 'number' ? f32.const(x) : x);

/** The bytes of an opcode: one byte, or a prefix (0xfc, 0xfd) and an LEB128 number. */
function opcode(out: Bytes, code: number): void {
  if (code > 0xff) {
    out.byte(code >> 16);
    out.u32(code & 0xffff);
  } else out.byte(code);
}
const simd = (code: number) => (0xfd << 16) | code;
const misc = (code: number) => (0xfc << 16) | code;

/** A memory operand's immediate: alignment hint (log2; 4 bytes is all we promise) and a constant offset. */
export function memoryImmediate(out: Bytes, offset: number): void {
  out.u32(2);
  out.u32(offset);
}

const intUnary = (code: number) => (x: Int) =>
  new Value('i32', (out) => {
    asInt(x).write(out);
    opcode(out, code);
  });
const intBinary = (code: number) => (a: Int, b: Int) =>
  new Value('i32', (out) => {
    asInt(a).write(out);
    asInt(b).write(out);
    opcode(out, code);
  });
const floatUnary = (code: number) => (x: Float) =>
  new Value('f32', (out) => {
    asFloat(x).write(out);
    opcode(out, code);
  });
const floatBinary = (code: number) => (a: Float, b: Float) =>
  new Value('f32', (out) => {
    asFloat(a).write(out);
    asFloat(b).write(out);
    opcode(out, code);
  });
const floatCompare = (code: number) => (a: Float, b: Float) =>
  new Value('i32', (out) => {
    asFloat(a).write(out);
    asFloat(b).write(out);
    opcode(out, code);
  });
const vectorUnary = (code: number) => (x: V128) =>
  new Value('v128', (out) => {
    x.write(out);
    opcode(out, simd(code));
  });
const vectorBinary = (code: number) => (a: V128, b: V128) =>
  new Value('v128', (out) => {
    a.write(out);
    b.write(out);
    opcode(out, simd(code));
  });
const vectorShift = (code: number) => (x: V128, by: Int) =>
  new Value('v128', (out) => {
    x.write(out);
    asInt(by).write(out);
    opcode(out, simd(code));
  });
const vectorTest = (code: number) => (x: V128) =>
  new Value('i32', (out) => {
    x.write(out);
    opcode(out, simd(code));
  });
const loads =
  <Type extends ValueType>(type: Type, code: number) =>
  (address: Int, offset = 0) =>
    new Value(type, (out) => {
      asInt(address).write(out);
      opcode(out, code);
      memoryImmediate(out, offset);
    });
const loadsLane =
  (code: number) =>
  (address: Int, vector: V128, lane: number, offset = 0) =>
    new Value('v128', (out) => {
      asInt(address).write(out);
      vector.write(out);
      opcode(out, simd(code));
      memoryImmediate(out, offset);
      out.byte(lane);
    });
const extracts =
  <Type extends ValueType>(type: Type, code: number) =>
  (vector: V128, lane: number) =>
    new Value(type, (out) => {
      vector.write(out);
      opcode(out, simd(code));
      out.byte(lane);
    });

/** condition != 0 ? a : b; both are computed. */
export function select<Type extends ValueType>(condition: Int, a: Value<Type>, b: Value<Type>): Value<Type> {
  return new Value(a.type, (out) => {
    a.write(out);
    b.write(out);
    asInt(condition).write(out);
    out.byte(0x1b);
  });
}

export const i32 = {
  const: (value: number) =>
    new Value('i32', (out) => {
      out.byte(0x41);
      out.s32(value);
    }),
  load: loads('i32', 0x28),
  eqz: intUnary(0x45),
  eq: intBinary(0x46),
  ne: intBinary(0x47),
  ltS: intBinary(0x48),
  ltU: intBinary(0x49),
  gtS: intBinary(0x4a),
  gtU: intBinary(0x4b),
  leS: intBinary(0x4c),
  leU: intBinary(0x4d),
  geS: intBinary(0x4e),
  geU: intBinary(0x4f),
  add: intBinary(0x6a),
  sub: intBinary(0x6b),
  mul: intBinary(0x6c),
  divS: intBinary(0x6d),
  divU: intBinary(0x6e),
  remS: intBinary(0x6f),
  remU: intBinary(0x70),
  and: intBinary(0x71),
  or: intBinary(0x72),
  xor: intBinary(0x73),
  shl: intBinary(0x74),
  shrS: intBinary(0x75),
  shrU: intBinary(0x76),
  truncSatF32S: (x: Float) =>
    new Value('i32', (out) => {
      asFloat(x).write(out);
      opcode(out, misc(0));
    }),
  reinterpretF32: (x: Float) =>
    new Value('i32', (out) => {
      asFloat(x).write(out);
      out.byte(0xbc);
    }),
  min: (a: I32, b: I32) => select(i32.ltS(a, b), a, b),
  max: (a: I32, b: I32) => select(i32.gtS(a, b), a, b),
};

export const f32 = {
  const: (value: number) =>
    new Value('f32', (out) => {
      out.byte(0x43);
      out.f32(value);
    }),
  load: loads('f32', 0x2a),
  eq: floatCompare(0x5b),
  ne: floatCompare(0x5c),
  lt: floatCompare(0x5d),
  gt: floatCompare(0x5e),
  le: floatCompare(0x5f),
  ge: floatCompare(0x60),
  abs: floatUnary(0x8b),
  neg: floatUnary(0x8c),
  ceil: floatUnary(0x8d),
  floor: floatUnary(0x8e),
  trunc: floatUnary(0x8f),
  nearest: floatUnary(0x90),
  sqrt: floatUnary(0x91),
  add: floatBinary(0x92),
  sub: floatBinary(0x93),
  mul: floatBinary(0x94),
  div: floatBinary(0x95),
  /** NaN where an operand is NaN. */
  min: floatBinary(0x96),
  max: floatBinary(0x97),
  copysign: floatBinary(0x98),
  convertI32S: (x: Int) =>
    new Value('f32', (out) => {
      asInt(x).write(out);
      out.byte(0xb2);
    }),
  reinterpretI32: (x: Int) =>
    new Value('f32', (out) => {
      asInt(x).write(out);
      out.byte(0xbe);
    }),
};

export const v128 = {
  load: loads('v128', simd(0)),
  load32Splat: loads('v128', simd(9)),
  /** The low lane or two from memory, zeros above. */
  load32Zero: loads('v128', simd(0x5c)),
  load64Zero: loads('v128', simd(0x5d)),
  load32Lane: loadsLane(0x56),
  load64Lane: loadsLane(0x57),
  not: vectorUnary(0x4d),
  and: vectorBinary(0x4e),
  /** a and not b */
  andnot: vectorBinary(0x4f),
  or: vectorBinary(0x50),
  xor: vectorBinary(0x51),
  /** Bits of a where mask is 1, of b where it is 0. */
  bitselect: (a: V128, b: V128, mask: V128) =>
    new Value('v128', (out) => {
      a.write(out);
      b.write(out);
      mask.write(out);
      opcode(out, simd(0x52));
    }),
  anyTrue: vectorTest(0x53),
  /** Four 32-bit lanes picked from the eight of a (0..3) and b (4..7). */
  shuffle32: (a: V128, b: V128, lanes: readonly [number, number, number, number]) =>
    new Value('v128', (out) => {
      a.write(out);
      b.write(out);
      opcode(out, simd(0x0d));
      for (const lane of lanes) for (let byte = 0; byte < 4; byte++) out.byte(lane * 4 + byte);
    }),
};

export const f32x4 = {
  const: (a: number, b: number, c: number, d: number) =>
    new Value('v128', (out) => {
      opcode(out, simd(0x0c));
      for (const value of [a, b, c, d]) out.f32(value);
    }),
  splat: (x: Float) =>
    typeof x === 'number'
      ? f32x4.const(x, x, x, x)
      : new Value('v128', (out) => {
          x.write(out);
          opcode(out, simd(0x13));
        }),
  extractLane: extracts('f32', 0x1f),
  replaceLane: (vector: V128, lane: number, x: Float) =>
    new Value('v128', (out) => {
      vector.write(out);
      asFloat(x).write(out);
      opcode(out, simd(0x20));
      out.byte(lane);
    }),
  eq: vectorBinary(0x41),
  ne: vectorBinary(0x42),
  lt: vectorBinary(0x43),
  gt: vectorBinary(0x44),
  le: vectorBinary(0x45),
  ge: vectorBinary(0x46),
  ceil: vectorUnary(0x67),
  floor: vectorUnary(0x68),
  trunc: vectorUnary(0x69),
  nearest: vectorUnary(0x6a),
  abs: vectorUnary(0xe0),
  neg: vectorUnary(0xe1),
  sqrt: vectorUnary(0xe3),
  add: vectorBinary(0xe4),
  sub: vectorBinary(0xe5),
  mul: vectorBinary(0xe6),
  div: vectorBinary(0xe7),
  /** NaN where an operand is NaN; pmin and pmax are `b < a ? b : a` and `a < b ? b : a`. */
  min: vectorBinary(0xe8),
  max: vectorBinary(0xe9),
  pmin: vectorBinary(0xea),
  pmax: vectorBinary(0xeb),
  convertI32x4S: vectorUnary(0xfa),
};

export const i32x4 = {
  const: (a: number, b: number, c: number, d: number) =>
    new Value('v128', (out) => {
      opcode(out, simd(0x0c));
      for (const value of [a, b, c, d]) for (let shift = 0; shift < 32; shift += 8) out.byte((value >> shift) & 0xff);
    }),
  splat: (x: Int) =>
    typeof x === 'number'
      ? i32x4.const(x, x, x, x)
      : new Value('v128', (out) => {
          x.write(out);
          opcode(out, simd(0x11));
        }),
  extractLane: extracts('i32', 0x1b),
  eq: vectorBinary(0x37),
  ne: vectorBinary(0x38),
  ltS: vectorBinary(0x39),
  gtS: vectorBinary(0x3b),
  leS: vectorBinary(0x3d),
  geS: vectorBinary(0x3f),
  abs: vectorUnary(0xa0),
  neg: vectorUnary(0xa1),
  allTrue: vectorTest(0xa3),
  bitmask: vectorTest(0xa4),
  shl: vectorShift(0xab),
  shrS: vectorShift(0xac),
  shrU: vectorShift(0xad),
  add: vectorBinary(0xae),
  sub: vectorBinary(0xb1),
  mul: vectorBinary(0xb5),
  minS: vectorBinary(0xb6),
  maxS: vectorBinary(0xb8),
  truncSatF32x4S: vectorUnary(0xf8),
};

/**
 * Element types of safetensors files, and the way between their bytes and our numbers.
 *
 * A number is read exactly or not at all: what float32 (or a 32-bit integer) cannot hold is an Error that names it.
 * Nothing larger than 4 bytes an element is made, and only when a tensor is asked for.
 */
import { tensor } from '../tensor/create.ts';
import { showShape, sizeOf } from '../tensor/layout.ts';
import { Indices, numbersOf, type Tensor } from '../tensor/tensor.ts';
import { shown } from './header.ts';

/** Bytes of one element. BOOL is a byte that is 0 or 1; BF16 is the upper half of a float32. */
export const itemSizes = {
  ...({ F64: 8, F32: 4, F16: 2, BF16: 2 } as const),
  ...({ I64: 8, I32: 4, I16: 2, I8: 1 } as const),
  ...({ U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 } as const),
};

/** The element types that can be read. */
export type DType = keyof typeof itemSizes;

export const isDType = (name: string): name is DType => Object.hasOwn(itemSizes, name);

/** A tensor as a file holds it: little-endian elements in row-major order, which may begin at any address. */
export interface Raw {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export type TypedArray =
  | (Float64Array | Float32Array | BigInt64Array | BigUint64Array)
  | (Int32Array | Int16Array | Int8Array | Uint32Array | Uint16Array | Uint8Array | Uint8ClampedArray);

type TypedArrayConstructor = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => TypedArray;

/** The array in whose elements the bytes of a type are seen; F16 and BF16 as their bits. */
const arrays: Record<DType, TypedArrayConstructor> = {
  ...{ F64: Float64Array, F32: Float32Array, F16: Uint16Array, BF16: Uint16Array },
  ...{ I64: BigInt64Array, I32: Int32Array, I16: Int16Array, I8: Int8Array },
  ...{ U64: BigUint64Array, U32: Uint32Array, U16: Uint16Array, U8: Uint8Array, BOOL: Uint8Array },
};

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** A view of the elements; a copy where they begin at no multiple of their size. */
export function elementsOf({ dtype, bytes }: Raw): TypedArray {
  if (!isLittleEndian) throw new Error('safetensors: this machine is big-endian, and reads and writes no such files.');
  const size = itemSizes[dtype];
  const { buffer, byteOffset } = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new arrays[dtype](buffer, byteOffset, bytes.byteLength / size);
}

/** The bytes of a typed array, in place. */
export const bytesOf = ({ buffer, byteOffset, byteLength }: TypedArray): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Copies of a tensor's or indices' numbers as a file holds them. Float64, which only derivative checks use, stays so. */
export function rawOf(value: Tensor | Indices): Raw {
  const { shape } = value;
  if (value instanceof Indices) return { dtype: 'I32', shape, bytes: bytesOf(value.data).slice() };
  const numbers = numbersOf(value);
  return { dtype: numbers instanceof Float64Array ? 'F64' : 'F32', shape, bytes: bytesOf(numbers) };
}

/** The value of a float of 16 bits: one of sign, five of exponent, ten of fraction. */
function halfToNumber(bits: number): number {
  const sign = bits >>> 15 === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** A float32 tensor of exactly these values; with `round`, of the nearest ones. */
export function tensorFrom(name: string, raw: Raw, round: boolean): Tensor {
  const { dtype, shape } = raw;
  const elements = elementsOf(raw);
  if (elements instanceof Float32Array) return tensor(elements, shape);
  const floats = new Float32Array(elements.length);
  if (dtype === 'BF16') {
    const bits = new Uint32Array(floats.buffer);
    for (let i = 0; i < bits.length; i++) bits[i] = Number(elements[i]!) << 16;
  } else if (dtype === 'F16') {
    for (let i = 0; i < floats.length; i++) floats[i] = halfToNumber(Number(elements[i]!));
  } else {
    for (let i = 0; i < floats.length; i++) {
      const element = elements[i]!;
      const value = Number(element);
      floats[i] = value;
      if (dtype === 'BOOL') checkBool(name, value);
      // NaN equals nothing, itself included; and `==` compares a bigint with a number by value.
      // biome-ignore lint/suspicious/noDoubleEquals: see above
      else if (!round && floats[i]! != element && !Number.isNaN(value))
        throw new Error(
          `safetensors: ${shown(name)} (${dtype}) holds ${element}, which no float32 is. Take rounded() for the nearest one` +
            `${dtype.startsWith('F') ? '.' : ', or indices for whole numbers.'}`,
        );
    }
  }
  return tensor(floats, shape);
}

/** 32-bit whole numbers of exactly these values. */
export function indicesFrom(name: string, raw: Raw): Indices {
  const { dtype, shape } = raw;
  if (dtype === 'F64' || dtype === 'F32' || dtype === 'F16' || dtype === 'BF16')
    throw new Error(
      `safetensors: ${shown(name)} holds ${dtype}, shape ${showShape(shape)}: these are no whole numbers. Take tensor.`,
    );
  const elements = elementsOf(raw);
  const integers = new Int32Array(elements.length);
  for (let i = 0; i < integers.length; i++) {
    const value = Number(elements[i]!);
    integers[i] = value;
    if (dtype === 'BOOL') checkBool(name, value);
    else if (integers[i] !== value)
      throw new Error(
        `safetensors: ${shown(name)} (${dtype}) holds ${elements[i]}, which does not fit into 32 bits with a sign.`,
      );
  }
  return new Indices(shape, integers);
}

function checkBool(name: string, value: number): void {
  if (value > 1)
    throw new Error(`safetensors: ${shown(name)} (BOOL) holds the byte ${value}, but a truth value is 0 or 1.`);
}

const kinds: readonly (readonly [name: string, kind: { new (...args: never[]): TypedArray }, dtype: DType])[] = [
  ...([['Float64Array', Float64Array, 'F64'] as const, ['Float32Array', Float32Array, 'F32'] as const] as const),
  ...([['BigInt64Array', BigInt64Array, 'I64'] as const, ['BigUint64Array', BigUint64Array, 'U64'] as const] as const),
  ...([['Int32Array', Int32Array, 'I32'] as const, ['Uint32Array', Uint32Array, 'U32'] as const] as const),
  ...([['Int16Array', Int16Array, 'I16'] as const, ['Uint16Array', Uint16Array, 'U16'] as const] as const),
  ...([['Int8Array', Int8Array, 'I8'] as const, ['Uint8Array', Uint8Array, 'U8'] as const] as const),
  ['Uint8ClampedArray', Uint8ClampedArray, 'U8'] as const,
];

/** A copy of a typed array as a file holds it, and the kind of array it was; null: it is none. */
export function rawArray(value: unknown): { kind: string; raw: Raw } | null {
  const found = kinds.find(([, kind]) => value instanceof kind);
  if (found === undefined) return null;
  const array = value as TypedArray;
  return { kind: found[0], raw: { dtype: found[2], shape: [array.length], bytes: bytesOf(array).slice() } };
}

/** A typed array of its own from what `rawArray` gave; null where the bytes are of another kind. */
export function arrayFrom(kind: string, raw: Raw): TypedArray | null {
  const found = kinds.find(([name, , dtype]) => name === kind && dtype === raw.dtype);
  if (found === undefined || raw.shape.length !== 1) return null;
  const make = found[1] as unknown as TypedArrayConstructor;
  return new make(raw.bytes.slice().buffer, 0, sizeOf(raw.shape));
}

/**
 * safetensors, the file format for tensors that most of the field reads and writes.
 *
 * A file is the length of its header in 8 bytes (little-endian), the header (JSON, see header.ts, padded with spaces),
 * and the tensors' bytes, which fill the rest without gap or overlap. What is written here has one form for one
 * content: elements of larger types first, then by name, so that every element stands at a multiple of its size.
 *
 * The bytes are not trusted. Parsing checks every claim against what is there before it believes it, copies no
 * tensor, and refuses with an Error of one sentence; a tensor's numbers are converted when they are asked for.
 */
import { Indices, kindOf, Tensor } from '../tensor/tensor.ts';
import { type DType, indicesFrom, isDType, itemSizes, type Raw, rawOf, tensorFrom } from './dtypes.ts';
import { isWellFormed, LONGEST_HEADER, METADATA, parseHeader, shown, type TensorHeader } from './header.ts';

/**
 * A tensor in a parsed file. Its numbers are converted when they are first read, out of the bytes that were parsed: do
 * not write into those meanwhile.
 */
export class StoredTensor {
  readonly name: string;
  /** What the file's elements are: 'F32', 'BF16', 'I64', ... */
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The elements as they stand in the file: a view of what was parsed. */
  readonly bytes: Uint8Array;
  #tensor: Tensor | null = null;
  #indices: Indices | null = null;

  constructor(name: string, { dtype, shape, bytes }: Raw) {
    this.name = name;
    this.dtype = dtype;
    this.shape = shape;
    this.bytes = bytes;
  }

  /** The numbers as float32, exactly: a value that no float32 is (0.1 of F64, 2^24 + 1) is an error. BOOL gives 0 and 1. */
  get tensor(): Tensor {
    this.#tensor ??= tensorFrom(this.name, this, false);
    return this.#tensor;
  }

  /** The numbers as 32-bit integers, of integer types and BOOL; a value beyond them is an error. */
  get indices(): Indices {
    this.#indices ??= indicesFrom(this.name, this);
    return this.#indices;
  }

  /** The numbers as float32, those of F64 and of large integers rounded to the nearest one. */
  rounded(): Tensor {
    return tensorFrom(this.name, this, true);
  }
}

/** What stands in a safetensors file. */
export interface Safetensors {
  /** By name, in the order of their bytes. */
  readonly tensors: Map<string, StoredTensor>;
  readonly metadata: Record<string, string>;
}

/** What can be written: tensors as F32, indices as I32, what was parsed as it is. By name. */
export type SavableTensors = NamedTensors | ReadonlyMap<string, Tensor | Indices | StoredTensor>;
type NamedTensors = Readonly<Record<string, Tensor | Indices | StoredTensor>>;

const lengthBytes = 8;

/**
 * Reads a safetensors file from its bytes.
 *
 * The bytes may come from anywhere: what is no such file (or hides something: overlapping or unused bytes, a name that
 * comes twice) is an Error of one sentence. It keeps views of `bytes`, and what it allocates is in proportion to the header.
 *
 *     const bytes = formatSafetensors({ weight: tensor([[1, 2, 3]]) }, { author: 'me' });
 *     const { tensors, metadata } = parseSafetensors(bytes);
 *     tensors.get('weight').tensor.toArray(); // [[1, 2, 3]]
 *     metadata; // { "author": "me" }
 */
export function parseSafetensors(bytes: Uint8Array): Safetensors {
  const who = 'parseSafetensors';
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`${who}: the bytes must be a Uint8Array, not ${kindOf(bytes)}.`);
  if (bytes.byteLength < lengthBytes)
    throw new Error(
      `${who}: a file begins with 8 bytes that say how long its header is; here are ${bytes.byteLength}.`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  const rest = bytes.byteLength - lengthBytes;
  if (length > rest)
    throw new Error(
      `${who}: the header claims to have ${length} bytes, but only ${rest} follow. Is the file complete?`,
    );
  if (length > LONGEST_HEADER)
    throw new Error(`${who}: the header has ${length} bytes; more than ${LONGEST_HEADER} are not read.`);
  const start = lengthBytes + Number(length);
  const { tensors, metadata } = parseHeader(who, decode(who, bytes.subarray(lengthBytes, start)));
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset + start, bytes.byteLength - start);
  return { tensors: placed(who, tensors, data), metadata: Object.fromEntries(metadata) };
}

function decode(who: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error(`${who}: the header is no text in UTF-8.`);
  }
}

/** The tensors with their bytes, if together they are all of `data`, each byte once. */
function placed(who: string, headers: Map<string, TensorHeader>, data: Uint8Array): Map<string, StoredTensor> {
  const inOrder = [...headers].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  const tensors = new Map<string, StoredTensor>();
  let reached = 0;
  for (const [name, { dtype, shape, begin, end }] of inOrder) {
    const what = `${who}: ${shown(name)}`;
    if (!isDType(dtype))
      throw new Error(
        `${what} has the element type ${shown(dtype)}; what can be read is ${Object.keys(itemSizes).join(', ')}.`,
      );
    if (end < begin) throw new Error(`${what} ends (at ${end}) before it begins (at ${begin}).`);
    if (end > data.byteLength)
      throw new Error(
        `${what} ends at byte ${end}, but only ${data.byteLength} follow the header. Is the file complete?`,
      );
    if (begin !== reached)
      throw new Error(
        `${what} begins at byte ${begin}, and the one before it ends at ${reached}: ` +
          `${begin < reached ? 'they overlap' : 'there is a gap between them'}.`,
      );
    const size = checkedSize(shape) * itemSizes[dtype];
    if (size !== end - begin)
      throw new Error(
        `${what} has ${end - begin} bytes, but its shape [${shape.join(', ')}] of ${dtype} ${
          size <= Number.MAX_SAFE_INTEGER ? `has ${size}` : 'is larger than any file'
        }.`,
      );
    reached = end;
    tensors.set(name, new StoredTensor(name, { dtype, shape, bytes: data.subarray(begin, end) }));
  }
  if (reached !== data.byteLength)
    throw new Error(`${who}: ${data.byteLength - reached} bytes at the end belong to no tensor.`);
  return tensors;
}

/** Elements of a shape; Infinity where the sizes other than 0 multiply to more than can be counted exactly. */
function checkedSize(shape: readonly number[]): number {
  let product = 1;
  for (const size of shape) if (size !== 0) product *= size;
  if (product > Number.MAX_SAFE_INTEGER) return Infinity;
  return shape.includes(0) ? 0 : product;
}

/**
 * A safetensors file as bytes. The same content gives the same bytes, in whatever order it comes.
 *
 * @param tensors by name; a tensor is written as F32, `Indices` as I32, a tensor from a parsed file as it stands there
 * @param metadata text by name: whatever else the reader should know
 *
 *     const bytes = formatSafetensors(model.stateDict());
 *     const { tensors } = parseSafetensors(bytes);
 *     model.loadStateDict(Object.fromEntries([...tensors].map(([name, stored]) => [name, stored.tensor])));
 */
export function formatSafetensors(
  tensors: SavableTensors,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const entries = tensors instanceof Map ? [...tensors] : Object.entries(tensors as NamedTensors);
  const raws = new Map<string, Raw>();
  for (const [name, value] of entries) {
    if (!(value instanceof Tensor || value instanceof Indices || value instanceof StoredTensor))
      throw new TypeError(
        `formatSafetensors: ${shown(name)} is ${kindOf(value)}; what can be written is a tensor, Indices, or a tensor of a parsed file.`,
      );
    raws.set(name, value instanceof StoredTensor ? value : rawOf(value));
  }
  return formatRaw('formatSafetensors', raws, metadata);
}

/** Files of raw tensors: what `formatSafetensors` and checkpoints write. */
export function formatRaw(
  who: string,
  tensors: ReadonlyMap<string, Raw>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const inOrder = [...tensors].sort(
    ([a, { dtype: first }], [b, { dtype: second }]) => itemSizes[second] - itemSizes[first] || compare(a, b),
  );
  const members: string[] = [];
  const texts = Object.entries(metadata).sort(([a], [b]) => compare(a, b));
  for (const [key, value] of texts)
    if (typeof value !== 'string')
      throw new TypeError(
        `${who}: metadata are strings, but ${shown(key)} is ${kindOf(value)}. JSON.stringify it, say.`,
      );
  if (texts.length > 0) members.push(`"${METADATA}":${JSON.stringify(Object.fromEntries(texts))}`);
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of inOrder) {
    if (name === METADATA) throw new Error(`${who}: no tensor can be named ${METADATA}: the format keeps text there.`);
    const begin = end;
    end += bytes.byteLength;
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
  }
  for (const text of [...tensors.keys(), ...texts.flat()])
    if (!isWellFormed(text))
      throw new Error(`${who}: ${shown(text)} holds half of a surrogate pair, which UTF-8 cannot write.`);
  const header = new TextEncoder().encode(`{${members.join(',')}}`);
  const length = Math.ceil(header.byteLength / 8) * 8;
  if (length > LONGEST_HEADER)
    throw new Error(`${who}: the header would have ${length} bytes, and more than ${LONGEST_HEADER} nobody reads.`);
  const file = new Uint8Array(lengthBytes + length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(header, lengthBytes);
  file.fill(0x20, lengthBytes + header.byteLength, lengthBytes + length);
  let at = lengthBytes + length;
  for (const [, { bytes }] of inOrder) {
    file.set(bytes, at);
    at += bytes.byteLength;
  }
  return file;
}

/** The order of UTF-16 code units: the same in every language setting. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

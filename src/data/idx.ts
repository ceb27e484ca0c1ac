/**
 * IDX, the file format of MNIST and its relatives.
 *
 * A file is two zero bytes, one byte for the element type (8: unsigned byte), one byte for the number of axes, each
 * axis's size as a big-endian unsigned 32-bit integer, then the elements in row-major order and nothing after them.
 *
 * The bytes are not trusted: every refusal is an Error of one sentence, and a header that promises more than the bytes
 * hold costs nothing, since the result is a view of the bytes given.
 */

import { gunzip, gunzipStart, isGzip } from './gzip.ts';

/** An array of unsigned bytes with its shape, e.g. [60000, 28, 28] for images or [60000] for labels. */
export interface IdxArray {
  shape: number[];
  data: Uint8Array;
}

/** The largest file that `readIdx` unpacks when the caller names no limit: 1 GiB. */
const DEFAULT_LIMIT = 2 ** 30;

/** A header is never longer than this: 4 bytes and 255 axes of 4 bytes each. */
const LONGEST_HEADER = 4 + 255 * 4;

const UNSIGNED_BYTE = 0x08;

const OTHER_TYPES: Record<number, string> = {
  9: 'signed bytes',
  11: '16-bit integers',
  12: '32-bit integers',
  13: '32-bit floats',
  14: '64-bit floats',
};

/**
 * The unsigned bytes and shape of an unpacked IDX file.
 *
 * `data` is a view: it shares memory with `bytes`. Throws an Error whose message is one sentence where the bytes are no
 * IDX file, hold another element type, end too early or go on too long.
 *
 *     parseIdx(new Uint8Array([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))   // { shape: [3], data: Uint8Array [5, 0, 4] }
 */
export function parseIdx(bytes: Uint8Array): IdxArray {
  const header = parseHeader(bytes);
  const total = header.length + header.count;
  if (bytes.length < total) {
    throw new Error(
      `parseIdx: the file is truncated: with ${describeShape(header.shape)} elements it has ${total} bytes, but there are ${bytes.length}.`,
    );
  }
  if (bytes.length > total) {
    throw new Error(
      `parseIdx: ${bytes.length - total} bytes too many after the ${describeShape(header.shape)} elements that the header declares.`,
    );
  }
  return { shape: header.shape, data: new Uint8Array(bytes.buffer, bytes.byteOffset + header.length, header.count) };
}

/**
 * `parseIdx` for a file that may be packed with gzip.
 *
 * A packed file is unpacked only as far as its own header allows, and never beyond `limit` bytes (default 1 GiB), so a
 * small file that unpacks to a huge one is refused early. Rejects with an Error of one sentence, as `parseIdx` does.
 */
export async function readIdx(bytes: Uint8Array, limit: number = DEFAULT_LIMIT): Promise<IdxArray> {
  if (!isGzip(bytes)) return parseIdx(bytes);
  const header = parseHeader(await gunzipStart(bytes, LONGEST_HEADER));
  const total = header.length + header.count;
  if (total > limit) {
    throw new Error(
      `readIdx: ${describeShape(header.shape)} elements unpack to more than the limit of ${limit} bytes.`,
    );
  }
  return parseIdx(await gunzip(bytes, total));
}

/** The shape, the number of elements and the header's own length in bytes. */
function parseHeader(bytes: Uint8Array): { shape: number[]; count: number; length: number } {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`parseIdx: the bytes must be a Uint8Array, not ${typeof bytes}.`);
  if (bytes.length === 0) throw new Error('parseIdx: the file is empty.');
  if (bytes.length < 4)
    throw new Error(`parseIdx: the file is truncated: a header has at least 8 bytes, but there are ${bytes.length}.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(0) !== 0) {
    const magic = view.getUint32(0).toString(16).padStart(8, '0');
    throw new Error(`parseIdx: not an IDX file: it must start with two zero bytes, but it starts with 0x${magic}.`);
  }
  const type = view.getUint8(2);
  if (type !== UNSIGNED_BYTE) {
    const known = OTHER_TYPES[type];
    throw new Error(
      known
        ? `parseIdx: the file holds ${known}, but only unsigned bytes (type 8) can be read.`
        : `parseIdx: not an IDX file: the element type must be 8 (unsigned bytes), but it is ${type}.`,
    );
  }
  const axes = view.getUint8(3);
  if (axes === 0) throw new Error('parseIdx: the header must declare at least 1 axis, but it declares 0.');
  const length = 4 + 4 * axes;
  if (bytes.length < length) {
    throw new Error(
      `parseIdx: the file is truncated: a header of ${axes} axes has ${length} bytes, but there are ${bytes.length}.`,
    );
  }
  const shape = Array.from({ length: axes }, (_, axis) => view.getUint32(4 + 4 * axis));
  // A product beyond 2^53 is rounded or infinite, but then it exceeds any file anyway; only infinity * 0 must not happen.
  const count = shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
  return { shape, count, length };
}

/** "60000 x 28 x 28"; a header may declare 255 axes, a message shows 6. */
function describeShape(shape: number[]): string {
  const shown = shape.slice(0, 6).join(' x ');
  return shape.length > 6 ? `${shown} x ... (${shape.length} axes)` : shown;
}

/**
 * Unpacking gzip with a hard limit on the output.
 *
 * Deflate shrinks zeros a thousandfold, so a file of a few MB can unpack to several GB. Output is therefore taken chunk by
 * chunk from the web-standard DecompressionStream, and unpacking stops as soon as the limit is passed.
 */

/** The packed bytes are handed over in pieces of this size, so that stopping early leaves the rest untouched. */
const PIECE = 1 << 16;

/** Whether the bytes start as a gzip file does (0x1f 0x8b). */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * The unpacked bytes of a gzip file; `limit` is the most bytes they may be.
 *
 * Rejects with an Error of one sentence where the output would pass the limit, or the bytes are no gzip file, corrupt or
 * truncated.
 *
 *     const bytes = await gunzip(packed, 2 ** 26)   // at most 64 MiB
 */
export async function gunzip(bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw new RangeError(`gunzip: limit must be a number of bytes from 0 up, but it is ${String(limit)}.`);
  }
  const { chunks, length, complete } = await unpack(bytes, limit);
  if (!complete) throw new Error(`gunzip: the data unpack to more than the limit of ${limit} bytes.`);
  return join(chunks, length);
}

/** The first `count` unpacked bytes, or all where there are fewer. What follows them is neither unpacked nor checked. */
export async function gunzipStart(bytes: Uint8Array, count: number): Promise<Uint8Array> {
  const { chunks, length } = await unpack(bytes, count);
  return join(chunks, length).slice(0, count);
}

interface Unpacked {
  chunks: Uint8Array[];
  /** Bytes in all chunks together; passes the limit by less than a chunk where the data go on. */
  length: number;
  /** False where unpacking was stopped because more than the limit came out. */
  complete: boolean;
}

/** Unpacks until the end or until more than `limit` bytes are there. */
async function unpack(bytes: Uint8Array, limit: number): Promise<Unpacked> {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`gunzip: the bytes must be a Uint8Array, not ${typeof bytes}.`);
  if (!isGzip(bytes)) throw new Error('gunzip: these are no gzip data: they must start with the bytes 0x1f 0x8b.');
  const reader = pieces(bytes).pipeThrough(new DecompressionStream('gzip')).getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    // Engines word their errors differently, and none says whether the end or the middle is wrong.
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new Error('gunzip: the gzip data are corrupt or truncated.', { cause });
    });
    if (done) return { chunks, length, complete: true };
    chunks.push(value);
    length += value.length;
    if (length > limit) {
      await reader.cancel().catch(() => {}); // what the rest of the data holds no longer matters
      return { chunks, length, complete: false };
    }
  }
}

function pieces(bytes: Uint8Array): ReadableStream<Uint8Array<ArrayBuffer>> {
  let position = 0;
  return new ReadableStream({
    pull(controller) {
      // Copied: the bytes may lie in shared memory, which streams refuse.
      controller.enqueue(new Uint8Array(bytes.subarray(position, position + PIECE)));
      position += PIECE;
      if (position >= bytes.length) controller.close();
    },
  });
}

function join(chunks: Uint8Array[], length: number): Uint8Array {
  const joined = new Uint8Array(length);
  let position = 0;
  for (const chunk of chunks) {
    joined.set(chunk, position);
    position += chunk.length;
  }
  return joined;
}

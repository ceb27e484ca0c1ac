import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIdx, readIdx } from '../../src/data/idx.ts';
import { Generator } from '../../src/random/generator.ts';

/** An IDX file of these sizes and bytes; whether they fit together is the test's affair. */
function idxFile(shape: number[], data: ArrayLike<number>, type = 8): Uint8Array {
  const header = new Uint8Array(4 + 4 * shape.length);
  const view = new DataView(header.buffer);
  view.setUint8(2, type);
  view.setUint8(3, shape.length);
  shape.forEach((size, axis) => {
    view.setUint32(4 + 4 * axis, size);
  });
  return new Uint8Array([...header, ...Array.from(data)]);
}

/** "name: one sentence." on one line. */
const SENTENCE = /^(parseIdx|readIdx|gunzip): [^\n]+\.$/;

describe('parseIdx', () => {
  it('reads shape and bytes', () => {
    expect(parseIdx(idxFile([2, 1, 3], [1, 2, 3, 4, 5, 255]))).toEqual({
      shape: [2, 1, 3],
      data: new Uint8Array([1, 2, 3, 4, 5, 255]),
    });
    expect(parseIdx(idxFile([0, 28, 28], []))).toEqual({ shape: [0, 28, 28], data: new Uint8Array(0) });
  });

  it('reads from the middle of a buffer and copies nothing', () => {
    const padded = new Uint8Array([9, 9, ...idxFile([2], [7, 8]), 9]);
    const { data } = parseIdx(padded.subarray(2, -1));
    expect(data).toEqual(new Uint8Array([7, 8]));
    expect(data.buffer).toBe(padded.buffer);
  });

  it.each([
    ['an empty file', new Uint8Array(0), 'parseIdx: the file is empty.'],
    ['three bytes', new Uint8Array(3), /truncated: a header has at least 8 bytes, but there are 3\./],
    ['half a header', idxFile([4, 4], []).subarray(0, 8), /a header of 2 axes has 12 bytes, but there are 8\./],
    ['a missing byte', idxFile([2, 2], [1, 2, 3]), /with 2 x 2 elements it has 16 bytes, but there are 15\./],
    ['a byte too many', idxFile([2], [1, 2, 3]), /1 bytes too many after the 2 elements/],
    ['another magic', new TextEncoder().encode('PNG image'), /must start with two zero bytes, but .* 0x504e4720\./],
    ['no axes', idxFile([], [1]), /at least 1 axis, but it declares 0\./],
    ['floats', idxFile([1], [0, 0, 0, 0], 13), /holds 32-bit floats, but only unsigned bytes/],
    ['an unknown type', idxFile([1], [0], 7), /element type must be 8 \(unsigned bytes\), but it is 7\./],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => parseIdx(bytes)).toThrow(message);
    expect(() => parseIdx(bytes)).toThrow(SENTENCE);
  });

  it('refuses sizes whose product overflows, and is not fooled by a zero among them', () => {
    const huge = 2 ** 32 - 1;
    expect(() => parseIdx(idxFile([huge, huge, huge], [1]))).toThrow(/truncated/);
    expect(() => parseIdx(idxFile(new Array(255).fill(huge), [1]))).toThrow(SENTENCE);
    expect(parseIdx(idxFile([...new Array(254).fill(huge), 0], [])).data).toHaveLength(0);
  });

  it('answers arbitrary bytes with an array that lies in them or with one sentence', () => {
    const anything = fc.uint8Array({ maxLength: 64 });
    // Half of the files begin well, or hardly one would come past the magic number.
    const nearly = fc
      .tuple(fc.constantFrom(8, 9, 13), fc.nat(4), fc.array(fc.constantFrom(0, 1, 2, 3, 255), { maxLength: 24 }))
      .map(([type, axes, rest]) => new Uint8Array([0, 0, type, axes, ...rest]));
    fc.assert(
      fc.property(fc.oneof(anything, nearly), (bytes) => {
        try {
          const { shape, data } = parseIdx(bytes);
          expect(data.buffer).toBe(bytes.buffer);
          expect(data.length).toBe(shape.reduce((product, size) => product * size, 1));
        } catch (error) {
          expect(String((error as Error).message)).toMatch(SENTENCE);
        }
      }),
      { seed: 20261120, numRuns: 2000 },
    );
  });
});

describe('readIdx', () => {
  it('reads packed and plain files alike', async () => {
    const file = idxFile([3, 2], [1, 2, 3, 4, 5, 6]);
    expect(await readIdx(new Uint8Array(gzipSync(file)))).toEqual(parseIdx(file));
    expect(await readIdx(file)).toEqual(parseIdx(file));
  });

  it('reads a packed file that is larger than one piece', async () => {
    const generator = new Generator(1); // noise, which gzip cannot shrink
    const data = Uint8Array.from({ length: 200_000 }, () => generator.integer(256));
    const file = new Uint8Array([...idxFile([200, 1000], []), ...data]);
    expect(Buffer.from(data).equals((await readIdx(new Uint8Array(gzipSync(file)))).data)).toBe(true);
  });

  it('stops where the header ends the file, however much follows', async () => {
    const bomb = gzipSync(new Uint8Array([...idxFile([4], []), ...new Uint8Array(2 ** 20)]));
    await expect(readIdx(new Uint8Array(bomb))).rejects.toThrow(/unpack to more than the limit of 12 bytes\./);
  });

  it('refuses a packed file whose header declares more than the limit', async () => {
    const file = new Uint8Array(gzipSync(idxFile([2 ** 31, 2 ** 31], [1])));
    await expect(readIdx(file)).rejects.toThrow(/2147483648 x 2147483648 elements unpack to more than the limit/);
    await expect(readIdx(new Uint8Array(gzipSync(idxFile([9], new Uint8Array(9)))), 16)).rejects.toThrow(/limit of 16/);
  });

  it('answers damaged packed files with one sentence', async () => {
    const packed = new Uint8Array(
      gzipSync(
        idxFile(
          [40],
          Uint8Array.from({ length: 40 }, (_, i) => i * 7),
        ),
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(packed.length - 1), fc.nat(255), fc.boolean(), async (place, value, cut) => {
        const damaged = cut ? packed.slice(0, place) : packed.with(place, value);
        const outcome = await readIdx(damaged).catch((error: Error) => error.message);
        if (typeof outcome === 'string') expect(outcome).toMatch(SENTENCE);
        else expect(outcome).toEqual(await readIdx(packed));
      }),
      { seed: 20261120, numRuns: 150 },
    );
  });

  const folder = process.env.DATA_DIR;
  it.skipIf(!folder)('reads the MNIST files (skipped: DATA_DIR does not name the folder of data sets)', async () => {
    const read = (name: string) => readIdx(new Uint8Array(readFileSync(join(String(folder), 'mnist', name))));
    const images = await read('t10k-images-idx3-ubyte.gz');
    const labels = await read('t10k-labels-idx1-ubyte.gz');
    expect(images.shape).toEqual([10_000, 28, 28]);
    expect(images.data.reduce((sum, pixel) => sum + pixel, 0) / images.data.length / 255).toBeCloseTo(0.1325, 4);
    const counts = new Array(10).fill(0);
    for (const label of labels.data) counts[label]++;
    expect(counts).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
  });
});

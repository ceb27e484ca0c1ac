import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { gunzip, gunzipStart, isGzip } from '../../src/data/gzip.ts';
import { Generator } from '../../src/random/generator.ts';

const generator = new Generator(1);
const plain = Uint8Array.from({ length: 100_000 }, () => generator.integer(256)); // noise: gzip cannot shrink it
const packed = new Uint8Array(gzipSync(plain));

/** toEqual takes half a second for an array of this size. */
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe('gunzip', () => {
  it('gives back what was packed', async () => {
    expect(same(await gunzip(packed, plain.length), plain)).toBe(true);
    expect(await gunzip(new Uint8Array(gzipSync(new Uint8Array(0))), 0)).toEqual(new Uint8Array(0));
  });

  it('reads bytes in shared memory', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(packed.length));
    shared.set(packed);
    expect(same(await gunzip(shared, plain.length), plain)).toBe(true);
  });

  it('refuses one byte beyond the limit', async () => {
    await expect(gunzip(packed, plain.length - 1)).rejects.toThrow(
      'gunzip: the data unpack to more than the limit of 99999 bytes.',
    );
  });

  it('stops a bomb at the limit instead of unpacking it', async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(2 ** 27)));
    const before = process.memoryUsage().arrayBuffers;
    await expect(gunzip(bomb, 2 ** 20)).rejects.toThrow(/more than the limit of 1048576 bytes/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24);
  });

  it.each([
    ['truncated', packed.subarray(0, packed.length - 4)],
    ['cut within the header', packed.subarray(0, 5)],
    ['flipped within', packed.with(30, (packed[30] as number) ^ 255)],
    ['with a wrong checksum', packed.with(packed.length - 6, (packed[packed.length - 6] as number) ^ 1)],
  ])('refuses data %s', async (_, bytes) => {
    await expect(gunzip(bytes, 2 ** 20)).rejects.toThrow('gunzip: the gzip data are corrupt or truncated.');
  });

  it('refuses what is no gzip, and a limit that is no size', async () => {
    await expect(gunzip(new Uint8Array([1, 2, 3]), 10)).rejects.toThrow(/no gzip data/);
    await expect(gunzip(packed, -1)).rejects.toThrow(
      'gunzip: limit must be a number of bytes from 0 up, but it is -1.',
    );
    await expect(gunzip(packed, Number.NaN)).rejects.toThrow(RangeError);
    await expect(gunzip('text' as unknown as Uint8Array, 10)).rejects.toThrow(/must be a Uint8Array, not string/);
  });
});

describe('gunzipStart', () => {
  it('gives the first bytes, or all where there are fewer', async () => {
    expect(await gunzipStart(packed, 10)).toEqual(plain.slice(0, 10));
    expect(same(await gunzipStart(packed, 300_000), plain)).toBe(true);
  });
});

describe('isGzip', () => {
  it('looks at the first two bytes', () => {
    expect(isGzip(packed)).toBe(true);
    expect(isGzip(plain)).toBe(false);
    expect(isGzip(new Uint8Array([0x1f]))).toBe(false);
  });
});

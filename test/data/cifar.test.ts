import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCifar, parseClassNames } from '../../src/data/cifar.ts';

/** Records of these labels, pixel p of image i being (7 i + p) mod 256. */
function file(labels: number[], before: number[] = []): Uint8Array {
  return Uint8Array.from(
    labels.flatMap((label, i) => [...before, label, ...Array.from({ length: 3072 }, (_, p) => (7 * i + p) % 256)]),
  );
}

const SENTENCE = /^(parseCifar|parseClassNames): [^\n]+\.$/;

describe('parseCifar', () => {
  it('reads labels and planes of each record', () => {
    const { shape, data, labels } = parseCifar(file([3, 0, 9]));
    expect(shape).toEqual([3, 3, 32, 32]);
    expect(Array.from(labels)).toEqual([3, 0, 9]);
    expect(data).toHaveLength(3 * 3072);
    // Image 1, green (plane 1), row 2, column 5.
    expect(data[3072 + 1024 + 2 * 32 + 5]).toBe((7 + 1024 + 64 + 5) % 256);
    expect(data[3 * 3072 - 1]).toBe((14 + 3071) % 256);
  });

  it('reads from the middle of a buffer, and does not keep it', () => {
    const bytes = Uint8Array.from([1, 2, ...file([4])]);
    const { data, labels } = parseCifar(bytes.subarray(2));
    expect(labels[0]).toBe(4);
    bytes.fill(0);
    expect(data[5]).toBe(5);
  });

  it('reads the fine class of records with two', () => {
    const { labels } = parseCifar(file([99, 0], [17]), { labelBytes: 2, classes: 100 });
    expect(Array.from(labels)).toEqual([99, 0]);
  });

  it.each([
    ['an empty file', new Uint8Array(0), {}, 'parseCifar: the file is empty.'],
    ['a byte short', file([1, 2]).subarray(0, -1), {}, /6145 bytes are 1 of them and 3072 bytes more/],
    ['a byte too many', new Uint8Array(3074), {}, /3074 bytes are 1 of them and 1 bytes more/],
    [
      'a class too large',
      file([1, 10]),
      {},
      /image 1 \(from 0\) is of class 10, but there are 10 classes, from 0 to 9/,
    ],
    ['fewer classes', file([1]), { classes: 1 }, /is of class 1, but there are 1 classes/],
    ['CIFAR-10 as CIFAR-100', file([1]), { labelBytes: 2, classes: 100 } as const, /records have 3074 bytes/],
  ])('refuses %s', (_, bytes, options, message) => {
    expect(() => parseCifar(bytes, options)).toThrow(message);
    expect(() => parseCifar(bytes, options)).toThrow(SENTENCE);
  });

  it('refuses options out of range, and what is no bytes', () => {
    expect(() => parseCifar(file([1]), { classes: 0 })).toThrow(/classes must be an integer from 1 to 256/);
    expect(() => parseCifar(file([1]), { labelBytes: 3 as 2 })).toThrow(/labelBytes is 1 \(CIFAR-10\) or 2/);
    expect(() => parseCifar('abc' as unknown as Uint8Array)).toThrow(/must be a Uint8Array, not string/);
  });

  it('takes any bytes with images or a sentence', () => {
    fc.assert(
      fc.property(fc.nat(4), fc.nat(3), fc.nat(255), (records, more, label) => {
        const bytes = new Uint8Array(records * 3073 + more).fill(label);
        try {
          const { labels } = parseCifar(bytes);
          expect([more, records > 0, label < 10]).toEqual([0, true, true]);
          expect(Array.from(labels)).toEqual(new Array(records).fill(label));
        } catch (error) {
          expect((error as Error).message).toMatch(SENTENCE);
          expect(more > 0 || records === 0 || label >= 10).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('parseClassNames', () => {
  it('reads a name a line, whatever ends lines, without empty ones', () => {
    expect(parseClassNames('cat\r\n  dog \n\n', 2)).toEqual(['cat', 'dog']);
  });

  it('refuses another number of names, and a name that comes twice', () => {
    expect(() => parseClassNames('cat\ndog')).toThrow(
      'parseClassNames: there are 2 names, but there must be one for each of 10 classes.',
    );
    expect(() => parseClassNames('cat\ncat', 2)).toThrow('parseClassNames: "cat" is named twice.');
    expect(() => parseClassNames(3 as unknown as string)).toThrow(SENTENCE);
  });
});

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { drawDigits } from '../../../bench/learning/digits.ts';
import { GLYPHS } from '../../../bench/learning/glyphs.ts';
import { Generator } from '../../../src/random/generator.ts';

const checksum = (...parts: Uint8Array[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');

describe('drawDigits', () => {
  it('draws the same images on every machine', () => {
    const { pixels, labels } = drawDigits(100, new Generator(1));
    expect(Array.from(labels.subarray(0, 10))).toEqual([2, 2, 1, 6, 7, 6, 5, 5, 1, 0]);
    expect(checksum(pixels, labels)).toBe('58aa1373b844833d8d2c2f090022d50428a8772a20fb842d98b0d162e91b2f72');
  });

  it('draws other images from another seed', () => {
    const first = drawDigits(20, new Generator(1));
    const other = drawDigits(20, new Generator(2));
    expect(checksum(first.pixels)).not.toBe(checksum(other.pixels));
  });

  it('draws every class equally often, none twice alike', () => {
    const { count, height, width, pixels, labels } = drawDigits(1000, new Generator(5));
    expect([count, height, width, pixels.length]).toEqual([1000, 28, 28, 1000 * 28 * 28]);
    const counts = new Array(10).fill(0);
    for (const label of labels) counts[label]++;
    expect(counts).toEqual(new Array(10).fill(100));
    const images = new Set(Array.from(labels, (_, i) => checksum(pixels.subarray(i * 784, (i + 1) * 784))));
    expect(images.size).toBe(1000);
  });

  it('shows ink in every image, and most of it away from the border', () => {
    const { pixels, count } = drawDigits(500, new Generator(9));
    let border = 0;
    let all = 0;
    for (let i = 0; i < count; i++) {
      const image = pixels.subarray(i * 784, (i + 1) * 784);
      expect(image.filter((pixel) => pixel > 60).length).toBeGreaterThan(10);
      image.forEach((pixel, p) => {
        all += pixel;
        if (p < 28 || p >= 27 * 28 || p % 28 === 0 || p % 28 === 27) border += pixel;
      });
    }
    expect(border / all).toBeLessThan(0.05);
  });
});

describe('the glyphs', () => {
  it('show each digit in several hands, inside the unit square', () => {
    expect(GLYPHS).toHaveLength(10);
    for (const hands of GLYPHS) {
      expect(hands.length).toBeGreaterThan(1);
      for (const { points } of hands.flat()) {
        expect(points.length).toBeGreaterThan(1);
        for (const place of points.flat()) expect(place > 0 && place < 1).toBe(true);
      }
    }
  });
});

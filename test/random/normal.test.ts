import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { logarithm, normalQuantile } from '../../src/random/normal.ts';

describe('logarithm', () => {
  it('is within 2 ulp of the platform over the whole range of normal numbers', () => {
    fc.assert(
      fc.property(fc.double({ min: 2 ** -1022, noNaN: true, noDefaultInfinity: true }), (x) => {
        const expected = Math.log(x);
        expect(Math.abs(logarithm(x) - expected)).toBeLessThanOrEqual(4 * Number.EPSILON * Math.abs(expected));
      }),
      { numRuns: 2000 },
    );
  });

  it('is exact at 1 and at powers of two', () => {
    expect(logarithm(1)).toBe(0);
    for (const e of [-1022, -53, -1, 1, 10, 1023]) expect(logarithm(2 ** e)).toBe(e * Math.LN2);
  });
});

describe('normalQuantile', () => {
  // sqrt(2) erfinv(2 p - 1) with 40 digits, p as the double that stands here.
  it.each([
    [2 ** -53, -8.209536151601387],
    [1e-12, -7.034483825301132],
    [1e-9, -5.9978070150076865],
    [1e-5, -4.264890793922825],
    [0.001, -3.0902323061678136],
    [0.025, -1.9599639845400543],
    [0.05, -1.6448536269514726],
    [0.1, -1.2815515655446004],
    [0.25, -0.6744897501960817],
    [0.4, -0.2533471031357997],
    [0.5, 0],
    [0.6, 0.2533471031357997],
    [0.9, 1.2815515655446006],
    [0.975, 1.9599639845400538],
    [0.999, 3.090232306167813],
  ])('of %d is %d', (p, z) => {
    expect(Math.abs(normalQuantile(p) - z)).toBeLessThanOrEqual(2e-15 * Math.abs(z));
  });

  it('rises without a break where its three formulas meet', () => {
    for (const seam of [0.075, Math.exp(-25), 0.925]) {
      const step = seam * 1e-7;
      const below = normalQuantile(seam - step);
      const above = normalQuantile(seam + step);
      expect(above).toBeGreaterThan(below);
      expect(above - below).toBeLessThan(1e-5);
    }
  });

  it('is odd about one half', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 51 - 1 }), (k) => {
        const p = (k + 0.5) * 2 ** -52;
        expect(normalQuantile(1 - p)).toBe(-normalQuantile(p));
      }),
    );
  });
});

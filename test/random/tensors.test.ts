import { describe, expect, it } from 'vitest';
import { Generator, manualSeed } from '../../src/random/generator.ts';
import { rand, randn } from '../../src/tensor/random.ts';

describe('rand and randn', () => {
  it('have the shape that was asked for, and numbers of their distributions', () => {
    const uniform = rand([3, 4], { generator: new Generator(1) });
    expect(uniform.shape).toEqual([3, 4]);
    expect(uniform.toFloat32Array().every((value) => value >= 0 && value < 1)).toBe(true);
    const normal = randn([5000], { generator: new Generator(1) }).toFloat32Array();
    const meanSquare = normal.reduce((sum, value) => sum + value * value, 0) / normal.length;
    expect(Math.abs(meanSquare - 1)).toBeLessThan(0.08);
    expect(rand([0, 2]).size).toBe(0);
    expect(randn([]).shape).toEqual([]);
  });

  it('come from the default generator unless told', () => {
    manualSeed(3);
    const first = [rand([2, 2]).toArray(), randn([2]).toArray()];
    manualSeed(3);
    expect([rand([2, 2]).toArray(), randn([2]).toArray()]).toEqual(first);
    expect(rand([2, 2]).toArray()).not.toEqual(first[0]);
  });

  it('refuse shapes that are none', () => {
    expect(() => rand([2, -1])).toThrow(/rand/);
    expect(() => randn([1.5])).toThrow(/randn/);
  });
});

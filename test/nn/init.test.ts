import { describe, expect, it } from 'vitest';
import { Conv2d } from '../../src/nn/convolution.ts';
import {
  calculateFans,
  calculateGain,
  kaimingNormal,
  kaimingUniform,
  type Nonlinearity,
  xavierNormal,
  xavierUniform,
} from '../../src/nn/init.ts';
import { Linear } from '../../src/nn/linear.ts';
import { Generator } from '../../src/random/generator.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const generator = new Generator(2);

/** Largest magnitude, mean and standard deviation. */
function spread(x: Tensor) {
  const data = x.toFloat32Array();
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  const variance = data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length;
  return {
    largest: data.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0),
    mean,
    std: Math.sqrt(variance),
  };
}

function expectUniform(x: Tensor, bound: number): void {
  const { largest, mean, std } = spread(x);
  expect(largest).toBeLessThanOrEqual(Math.fround(bound));
  expect(largest).toBeGreaterThan(0.99 * bound);
  expect(Math.abs(mean)).toBeLessThan(0.02 * bound);
  expect(Math.abs(std / (bound / Math.sqrt(3)) - 1)).toBeLessThan(0.03);
}

function expectNormal(x: Tensor, std: number): void {
  const found = spread(x);
  expect(Math.abs(found.mean)).toBeLessThan(0.04 * std);
  expect(Math.abs(found.std / std - 1)).toBeLessThan(0.03);
  expect(found.largest).toBeGreaterThan(3 * std);
}

describe('initial weights', () => {
  it('of Linear and Conv2d are U(+-1 / sqrt(fanIn)), as in PyTorch', () => {
    const dense = new Linear(100, 200, { generator });
    expectUniform(dense.weight, 0.1);
    expectUniform(new Linear(4, 20_000, { generator }).bias!, 0.5);
    expectUniform(new Conv2d(16, 100, 5, { groups: 2, generator }).weight, 1 / Math.sqrt(8 * 25));
    expectUniform(new Conv2d(2, 20_000, 1, { generator }).bias!, 1 / Math.sqrt(2));
  });

  it('by Xavier look at both fans', () => {
    expectUniform(xavierUniform([100, 200], { generator }), Math.sqrt(6 / 300));
    expectUniform(xavierUniform([10, 20, 5, 5], { gain: 2, generator }), 2 * Math.sqrt(6 / (30 * 25)));
    expectNormal(xavierNormal([100, 200], { generator }), Math.sqrt(2 / 300));
  });

  it('by Kaiming look at one fan and the nonlinearity', () => {
    expectUniform(kaimingUniform([100, 200], { nonlinearity: 'relu', generator }), Math.sqrt(6 / 200));
    expectUniform(kaimingUniform([100, 200], { mode: 'fanOut', generator }), Math.sqrt(6 / 100));
    expectNormal(kaimingNormal([100, 200], { nonlinearity: 'tanh', generator }), 5 / 3 / Math.sqrt(200));
    expectNormal(kaimingNormal([100, 200], { a: 0.5, generator }), Math.sqrt(2 / 1.25 / 200));
  });

  it('need no gradient yet, and come from the default generator unless told', () => {
    expect(kaimingUniform([2, 2]).requiresGrad).toBe(false);
    expect(xavierNormal([2, 2]).toArray()).not.toEqual(xavierNormal([2, 2]).toArray());
  });

  it('know their fans', () => {
    expect(calculateFans([4, 3])).toEqual({ fanIn: 3, fanOut: 4 });
    expect(calculateFans([4, 3, 5, 2])).toEqual({ fanIn: 30, fanOut: 40 });
    expect(() => calculateFans([4])).toThrow('[out, in, ...kernel]');
    expect(() => kaimingUniform([4, 0])).toThrow('[out, in, ...kernel]');
  });

  it("have PyTorch's gains", () => {
    expect(calculateGain('linear')).toBe(1);
    expect(calculateGain('sigmoid')).toBe(1);
    expect(calculateGain('tanh')).toBe(5 / 3);
    expect(calculateGain('relu')).toBe(Math.SQRT2);
    expect(calculateGain('leakyRelu')).toBeCloseTo(1.4141428569978354, 15);
    expect(calculateGain('selu')).toBe(0.75);
    expect(() => calculateGain('swish' as Nonlinearity)).toThrow('there is no gain for swish');
  });

  it('refuse options that are none', () => {
    expect(() => kaimingUniform([2, 2], { mode: 'fan_in' as 'fanIn' })).toThrow(/mode must be/);
    expect(() => kaimingNormal([2, 2], { a: NaN })).toThrow(/slope a/);
    expect(() => xavierUniform([2, 2], { gain: Infinity })).toThrow(/gain must be/);
  });
});

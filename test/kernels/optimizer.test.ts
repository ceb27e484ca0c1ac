/** Optimizer steps: known answers, and that the emitted twins do the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { optimizer } from '../../src/kernels/reference/optimizer.ts';
import { optimizerFamilies } from '../../src/kernels/wasm/optimizer.ts';
import { together } from './together.ts';
import { fixedSeed, realNumbers, Twins, within } from './twin.ts';

const memoryOf = (...values: number[]) => {
  const floats = Float64Array.from(values);
  return { floats, ints: floats };
};

describe('reference optimizers', () => {
  it('sgd steps against the slope, with weight decay', () => {
    const memory = memoryOf(0, 2, 3);
    optimizer.sgd(memory, 1, 2, 0, 1, 0.1, 0, 0, 0, 0.5, 0);
    expect(memory.floats[1]).toBeCloseTo(2 - 0.1 * (3 + 0.5 * 2), 14);
  });

  it('sgd starts its velocity with the slope, then averages', () => {
    const memory = memoryOf(0, 2, 3, Number.NaN);
    optimizer.sgd(memory, 1, 2, 3, 1, 0.1, 0.9, 0.5, 0, 0, 1);
    expect([memory.floats[1], memory.floats[3]]).toEqual([2 - 0.1 * 3, 3]);
    optimizer.sgd(memory, 1, 2, 3, 1, 0.1, 0.9, 0.5, 0, 0, 0);
    expect(memory.floats[3]).toBeCloseTo(0.9 * 3 + 0.5 * 3, 14);
    expect(memory.floats[1]).toBeCloseTo(1.7 - 0.1 * 4.2, 14);
    optimizer.sgd(memory, 1, 2, 3, 1, 0.1, 0.9, 0, 1, 0, 0);
    expect(memory.floats[3]).toBeCloseTo(0.9 * 4.2 + 3, 14);
    expect(memory.floats[1]).toBeCloseTo(1.28 - 0.1 * (3 + 0.9 * 6.78), 14);
  });

  it("adam's first step is the learning rate, whatever the slope", () => {
    const memory = memoryOf(0, 2, -1e-3, 0, 0);
    optimizer.adam(memory, 1, 2, 3, 4, 0, 1, 0.1, 0.9, 0.999, 0, 0, 0, 0.1, 0.001);
    expect(memory.floats[1]).toBeCloseTo(2.1, 12);
    expect(memory.floats[3]).toBeCloseTo(-1e-4, 14);
    expect(memory.floats[4]).toBeCloseTo(1e-9, 18);
  });

  it('adam decays the weight itself when decoupled, and keeps the largest square with amsgrad', () => {
    const memory = memoryOf(0, 2, 0, 0, 0.25, 4);
    optimizer.adam(memory, 1, 2, 3, 4, 5, 1, 0.1, 0.9, 0.5, 1e-8, 0.5, 1, 1, 1);
    expect(memory.floats[1]).toBeCloseTo(2 - 0.1 * 0.5 * 2, 14);
    expect([memory.floats[4], memory.floats[5]]).toEqual([0.125, 4]);
  });
});

describe('emitted optimizers', () => {
  const twins = new Twins(together(optimizerFamilies));
  const n = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 10, max: 60 }));
  const flag = fc.constantFrom(0, 1);
  const close = within(5e-7);

  it('sgd', () => {
    const settings = fc.tuple(fc.constantFrom(0, 0.9), fc.constantFrom(0, 0.25), flag, fc.constantFrom(0, 0.1), flag);
    fc.assert(
      fc.property(n, fc.integer(), settings, (n, seed, [momentum, dampening, nesterov, weightDecay, first]) => {
        const w = twins.clear().floats(realNumbers(n, seed));
        const g = twins.floats(realNumbers(n, seed + 1));
        const velocity =
          momentum === 0 ? 0 : twins.floats(first ? Array(n).fill(Number.NaN) : realNumbers(n, seed + 2));
        const args = [w, g, velocity, n, 0.3, momentum, dampening, nesterov, weightDecay, first] as const;
        twins.compare('sgd', optimizer.sgd, [...args], close);
      }),
      fixedSeed,
    );
  });

  it('adam', () => {
    const settings = fc.tuple(fc.boolean(), fc.constantFrom(0, 0.1), flag, fc.constantFrom(1, 5, 1000));
    fc.assert(
      fc.property(n, fc.integer(), settings, (n, seed, [amsgrad, weightDecay, decoupled, step]) => {
        const squares = (seed: number) => realNumbers(n, seed).map((x) => x * x);
        const w = twins.clear().floats(realNumbers(n, seed));
        const g = twins.floats(realNumbers(n, seed + 1));
        const m = twins.floats(realNumbers(n, seed + 2));
        const v = twins.floats(squares(seed + 3));
        const vMax = amsgrad ? twins.floats(squares(seed + 4)) : 0;
        const corrections = [1 - 0.9 ** step, 1 - 0.999 ** step] as const;
        const args = [w, g, m, v, vMax, n, 0.01, 0.9, 0.999, 1e-8, weightDecay, decoupled, ...corrections] as const;
        twins.compare('adam', optimizer.adam, [...args], close);
      }),
      fixedSeed,
    );
  });

  it('adam keeps six digits of the second moment', () => {
    const m = twins.clear().floats([0]);
    const [w, g, v] = [twins.floats([0]), twins.floats([1]), twins.floats([0])];
    const relative = (a: number, b: number) => Math.abs(a - b) <= 3e-7 * Math.abs(b);
    twins.compare('adam', optimizer.adam, [w, g, m, v, 0, 1, 0.01, 0.9, 0.999, 1e-8, 0, 0, 0.1, 0.001], relative);
  });
});

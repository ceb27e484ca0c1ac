/** Training ends with the same weights, to the last bit, on every platform. */
import { describe, expect, it, vi } from 'vitest';
import * as p from '../../src/index.ts';
import { withHeap } from '../../src/storage/dispatch.ts';
import { Heap } from '../../src/storage/heap.ts';
import { weightsByReference, weightsBySimd } from './expected.ts';
import { outcomeOf, runNames } from './training.ts';

/** Functions whose last bit the language leaves to the engine. */
const ofTheEngine = [
  ...(['exp', 'expm1', 'log', 'log1p', 'log2', 'log10', 'sin', 'cos', 'tan', 'asin', 'acos', 'atan'] as const),
  ...(['atan2', 'sinh', 'cosh', 'tanh', 'asinh', 'acosh', 'atanh', 'pow', 'cbrt', 'hypot'] as const),
] as const;

describe('200 steps of training', () => {
  it.each(runNames)('give the same weights everywhere with the default kernels: %s', async (name) => {
    expect(p.kernelSet()).toBe('wasm-simd');
    const { losses, hash } = await outcomeOf(p, name);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(hash).toBe(weightsBySimd[name]);
  });

  it.each(runNames)(
    'agree with the reference kernels at first, and give the weights known for these: %s',
    async (name) => {
      const { losses } = await outcomeOf(p, name);
      // The training is over when this returns; only the hash is awaited.
      const reference = await withHeap(new Heap('reference'), () => outcomeOf(p, name));
      for (let step = 0; step < 20; step++)
        expect(Math.abs(losses[step]! - reference.losses[step]!)).toBeLessThan(1e-4);
      expect(reference.hash).toBe(weightsByReference[name]);
    },
  );

  it('calls no function of Math whose last bit the engine chooses', async () => {
    const calls: string[] = [];
    for (const name of ofTheEngine) {
      const original: (...args: number[]) => number = Math[name];
      vi.spyOn(Math, name).mockImplementation((...args: number[]) => {
        calls.push(name);
        return original(...args);
      });
    }
    try {
      Math.exp(1);
      expect(calls).toEqual(['exp']);
      for (const name of runNames) await outcomeOf(p, name);
      expect(calls).toEqual(['exp']);
    } finally {
      vi.restoreAllMocks();
    }
  });
});

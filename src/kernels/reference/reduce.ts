/**
 * Reductions over the middle axis of [outer, n, inner], one output after the other, in plain order. An axis of size 0
 * gives the neutral value (argmax and argmin have none and need n >= 1).
 */
import type { Memory, ReduceName, ReferenceKernels } from '../table.ts';

/** Folds the axis with `combine`, from its neutral value. */
const reduction =
  (neutral: number, combine: (total: number, value: number) => number) =>
  ({ floats }: Memory, x: number, out: number, outer: number, n: number, inner: number, accumulate: number) => {
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const first = x + o * n * inner + i;
        let total = neutral;
        for (let j = 0; j < n; j++) total = combine(total, floats[first + j * inner]!);
        const slot = out + o * inner + i;
        floats[slot] = accumulate ? floats[slot]! + total : total;
      }
  };

/** Position of the first value that beats all before it; NaN beats every number, and nothing beats NaN. */
const position =
  (beats: (value: number, best: number) => boolean) =>
  ({ floats, ints }: Memory, x: number, out: number, outer: number, n: number, inner: number) => {
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const first = x + o * n * inner + i;
        let best = floats[first]!;
        let winner = 0;
        for (let j = 1; j < n && !Number.isNaN(best); j++) {
          const value = floats[first + j * inner]!;
          if (Number.isNaN(value) || beats(value, best)) {
            best = value;
            winner = j;
          }
        }
        ints[out + o * inner + i] = winner;
      }
  };

export const reduce = {
  sum: reduction(0, (total, value) => total + value),
  prod: reduction(1, (total, value) => total * value),
  max: reduction(Number.NEGATIVE_INFINITY, (total, value) => Math.max(total, value)),
  min: reduction(Number.POSITIVE_INFINITY, (total, value) => Math.min(total, value)),
  argmax: position((value, best) => value > best),
  argmin: position((value, best) => value < best),
} satisfies Pick<ReferenceKernels, ReduceName | 'argmax' | 'argmin'>;

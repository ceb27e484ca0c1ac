/** What tests of ops share: gradients as plain numbers, and comparing those. */
import { expect } from 'vitest';
import { full, gradients, type NestedArray, scope, type Tensor, tensor } from '../../src/index.ts';

export const flat = (numbers: NestedArray | Tensor): number[] =>
  typeof numbers === 'number' ? [numbers] : Array.isArray(numbers) ? numbers.flatMap(flat) : flat(numbers.toArray());

/** Same number of numbers, each within tolerance max(1, |expected|); NaN is NaN, an infinity itself, 0 is -0. */
export function expectClose(found: NestedArray | Tensor, expected: NestedArray | Tensor, tolerance = 1e-6): void {
  const [a, b] = [flat(found), flat(expected)];
  const close = (x: number, y: number) =>
    Object.is(x, y) || x === y || (Number.isFinite(y) && Math.abs(x - y) <= tolerance * Math.max(1, Math.abs(y)));
  if (a.length !== b.length || !a.every((x, i) => close(x, b[i]!))) expect(a).toEqual(b);
}

/** Runs `body` in memory in which other numbers stood: where something is not written, or added to what is there, they show. */
export function inUsedMemory<Result>(body: () => Result): Result {
  scope(() => {
    for (let i = 0; i < 8; i++) full([256], 7).add(0);
    full([2 ** 14], 7).add(0);
  });
  return scope(body);
}

/**
 * The gradients of the sum of f at the given points: by the kernels that backward uses, after it was made sure that the
 * recorded rules, which second derivatives use, say the same.
 */
export function slopes(f: (...xs: Tensor[]) => Tensor, ...points: NestedArray[]): NestedArray[] {
  return inUsedMemory(() => {
    const leaves = points.map((point) => tensor(point).requiresGrad_());
    f(...leaves)
      .sum()
      .backward();
    const found = leaves.map((leaf) => leaf.grad?.toArray() ?? leaf.mul(0).toArray());
    const ruled = gradients(f(...leaves).sum(), leaves, { createGraph: true });
    ruled.forEach((gradient, i) => {
      if (gradient !== null) expectClose(gradient, found[i]!, 1e-5);
    });
    return found;
  });
}

/** The gradient at one point. */
export const slope = (f: (x: Tensor) => Tensor, point: NestedArray): NestedArray =>
  slopes(f as (...xs: Tensor[]) => Tensor, point)[0]!;

/** What has to be refused, by the sentence that says so. */
export type Refusal = [sentence: string, call: () => unknown];

export function expectRefused(refusals: readonly Refusal[]): void {
  for (const [sentence, call] of refusals) {
    let said = 'nothing was thrown';
    try {
      call();
    } catch (error) {
      said = error instanceof Error ? error.message : String(error);
    }
    expect(said).toBe(sentence);
  }
}

/** A call as JavaScript can make it, past the types. */
// biome-ignore lint/suspicious/noExplicitAny: that is what is tested.
export const untyped = <F extends (...args: never[]) => unknown>(f: F) => f as unknown as (...args: any[]) => unknown;

/** What is no tensor. */
export const noTensors: readonly unknown[] = ['x', null, undefined, [1, 2], true, { shape: [2] }];

/** What tests of consistent rules share: random targets, and the law itself. */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { NodeRule } from '../../../src/autograd/rule.ts';
import {
  add,
  backward,
  inboxOf,
  type Message,
  seed,
  setRule,
  slope,
  spring,
  sub,
  type Tensor,
  tensor,
} from '../../../src/index.ts';
import { sizeOf } from '../../../src/tensor/layout.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';

export const fixedSeed = { seed: 20261121, numRuns: 40 };

/** Numbers for a tensor, drawn from a seed: fast-check picks the seed, so that a failure is one number. */
export function drawer(start: number): (shape: readonly number[], low?: number, high?: number) => Tensor {
  let state = start >>> 0;
  const next = (): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b) >>> 0;
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35) >>> 0;
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
  };
  return (shape, low = -1.5, high = 1.5) =>
    tensor(
      Array.from({ length: sizeOf(shape) }, () => low + (high - low) * next()),
      shape,
    );
}

export const forms = ['scalar', 'sample', 'last', 'element'] as const;
export type Form = (typeof forms)[number];

/** The shape of a precision of some form for a value. */
export function precisionShape(form: Form, shape: readonly number[]): number[] {
  if (form === 'scalar' || shape.length === 0) return [];
  if (form === 'last') return [shape.at(-1)!];
  return form === 'element' ? [...shape] : shape.map((size, axis) => (axis === 0 ? size : 1));
}

export const anySeed = fc.integer({ min: 0, max: 2 ** 31 - 1 });
export const anyForm = fc.constantFrom(...forms);
export const size = fc.integer({ min: 1, max: 4 });

/** Precisions of some form from 0 up, every sixth or so 0. */
export function precisions(draw: ReturnType<typeof drawer>, form: Form, shape: readonly number[]): Tensor {
  return draw(precisionShape(form, shape), -0.4, 2).relu();
}

/** A target, with a gradient beside it if asked for. */
export function message(
  draw: ReturnType<typeof drawer>,
  shape: readonly number[],
  form: Form,
  withGradient = false,
): Message {
  const target = spring(draw(shape), precisions(draw, form, shape));
  return withGradient ? target.plus(slope(draw(shape))) : target;
}

export const leaf = (x: Tensor): Tensor => x.detach().requiresGrad_();

/** Each within tolerance of the largest expected number (or of 1). */
export function expectNear(found: Tensor | null, expected: Tensor | null, tolerance: number): void {
  if (found === null || expected === null) {
    expect(found === null).toBe(expected === null);
    return;
  }
  expect(found.shape).toEqual(expected.shape);
  const [a, b] = [numbersOf(found), numbersOf(expected)];
  const scale = Math.max(1, ...Array.from(b, Math.abs));
  for (let i = 0; i < b.length; i++)
    if (!(Math.abs(a[i]! - b[i]!) <= tolerance * scale)) expect(Array.from(a)).toEqual(Array.from(b));
}

/**
 * The law: what the rule sends for a message, read as gradients at the leaves, is what the op's own gradient rule sends for the
 * message read as a gradient. `build` computes the value from the leaves; between leaf and op there may be views.
 */
export function expectConsistent(
  build: (...leaves: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  rule: NodeRule | null,
  sent: (shape: readonly number[]) => Message,
  tolerance: number,
): void {
  const [ruled, plain] = [inputs.map(leaf), inputs.map(leaf)];
  const y = build(...ruled);
  const given = sent(y.shape);
  backward(seed(rule === null ? y : setRule(y, rule), given));
  backward(seed(build(...plain), slope(given.gradient())), { rules: false });
  for (const [i, x] of ruled.entries()) {
    expectNear(x.grad, plain[i]!.grad, tolerance);
    const inbox = inboxOf(x);
    if (given.kind === 'target' && inbox !== null) expect(inbox.kind).toBe('target');
    // Precisions are numbers from 0 up, and never hold what is infinite.
    if (inbox?.springs) expect(numbersOf(inbox.springs.precision).every((p) => p >= 0 && p < Infinity)).toBe(true);
  }
}

/** How far the output of a linear map moves. */
export type LinearMap = (...inputs: Tensor[]) => Tensor;

/** For what a rule asks of these inputs together: the largest p_x, and where the output goes if they all move as asked. */
export function moved(map: LinearMap, values: readonly Tensor[], rule: NodeRule, d: Tensor, p: Tensor) {
  const leaves = values.map(leaf);
  const y = map(...leaves);
  backward(seed(setRule(y, rule), spring(d, p)));
  const steps = leaves.map((x) => inboxOf(x)!.step());
  const after = map(...leaves.map((x, i) => add(x.detach(), steps[i]!)));
  return { leaves, steps, movement: sub(after, y.detach()) };
}

export const total = (x: Tensor): number => Array.from(numbersOf(x)).reduce((a, b) => a + b, 0);

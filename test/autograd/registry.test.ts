/**
 * Driven by the registry of ops: for each op, on its own sample inputs, the gradient and the gradient of the gradient
 * against differences in float64, and the raw first-order kernel against the rule.
 */
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../src/autograd/check.ts';
import { type AnyOp, apply } from '../../src/autograd/define.ts';
import { checkGradients, Draw, Generator, gradients, registeredOps, type Tensor, tensor } from '../../src/index.ts';

const seed = 7;
const differentiable = [...registeredOps().values()].filter((op) => !('because' in op.gradient));

describe(`gradients of every op (seed ${seed})`, () => {
  it('knows the ops', () => {
    expect(differentiable.length).toBeGreaterThan(50);
  });

  for (const op of differentiable.filter(({ surrogate }) => surrogate))
    it(`${op.name}: a surrogate on purpose, and refused as a derivative`, () => {
      const [sample] = op.samples(new Draw(new Generator(seed)));
      expect(() => checkGradients((...xs) => apply(op, xs, attributesOf(op, 0)), sample!.inputs)).toThrow(/surrogate/);
    });

  for (const op of differentiable.filter(({ surrogate }) => !surrogate))
    it(`${op.name}: first and second derivative`, () => {
      const samples = inFloat64(() =>
        op.samples(new Draw(new Generator(seed))).map(({ inputs }) => inputs.map(copyOut)),
      );
      expect(samples.length).toBeGreaterThan(0);
      samples.forEach((inputs, i) => {
        checkGradients(
          (...xs) => apply(op, xs, attributesOf(op, i)),
          inputs.map(({ data, shape }) => tensor(data, shape)),
        );
      });
    });

  for (const op of differentiable.filter(({ raw }) => raw !== undefined))
    it(`${op.name}: the raw gradient is the rule's, written and added`, () => {
      op.samples(new Draw(new Generator(seed))).forEach(({ inputs, attributes }) => {
        const leaves = inputs.map((x) => x.detach().requiresGrad_());
        const output = apply(op, leaves, attributes);
        const seedGradient = tensor(
          Array.from({ length: output.size }, (_, i) => Math.cos(i)),
          output.shape,
        );
        const rule = gradients(output, leaves, { seed: seedGradient, createGraph: true }).map((g) =>
          g!.toFloat32Array(),
        );
        // Twice through the same graph: the first writes, the second adds.
        output.backward(seedGradient);
        for (const [i, leaf] of leaves.entries()) expectClose(leaf.grad!.toFloat32Array(), rule[i]!);
        output.backward(seedGradient);
        for (const [i, leaf] of leaves.entries()) {
          const twice = rule[i]!.map((x) => 2 * x);
          expectClose(leaf.grad!.toFloat32Array(), twice);
        }
      });
    });
});

/** Attributes may hold tensors, which must be made where they are used. */
const attributesOf = (op: AnyOp, i: number): unknown => op.samples(new Draw(new Generator(seed)))[i]!.attributes;

const copyOut = (x: Tensor) => ({ data: Array.from(x.toFloat32Array()), shape: x.shape });

function expectClose(found: Float32Array, expected: Float32Array): void {
  expect(found.length).toBe(expected.length);
  for (const [i, x] of found.entries())
    expect(Math.abs(x - expected[i]!)).toBeLessThanOrEqual(1e-5 * (1 + Math.abs(expected[i]!)));
}

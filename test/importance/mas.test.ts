/** Memory aware synapses against a loop over examples. */
import { expect, it } from 'vitest';
import { outputSensitivity } from '../../src/importance/mas.ts';
import { Generator, gradients, linear, parameter, type Tensor, tensor } from '../../src/index.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';
import { expectRefused } from '../ops/numbers.ts';

function normal(seed: number, shape: readonly number[]): Tensor {
  const generator = new Generator(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Array.from({ length: size }, () => generator.normal()),
    shape,
  );
}

const [w, b, v] = [parameter(normal(1, [4, 3])), parameter(normal(2, [4])), parameter(normal(3, [2, 4]))];
const parameters = [w, b, v];
const model = (x: Tensor) => linear(linear(x, w, b).tanh(), v);
const looped = (f: (x: Tensor) => Tensor, x: Tensor): number[][] => {
  const rows = Array.from({ length: x.shape[0]! }, (_, n) =>
    gradients(
      f(x.slice([[n, n + 1]]))
        .square()
        .sum(),
      parameters,
    ).map((g, i) => g?.toFloat32Array() ?? new Float32Array(parameters[i]!.size)),
  );
  return parameters.map(({ size }, i) =>
    Array.from({ length: size }, (_, k) => rows.reduce((sum, row) => sum + Math.abs(row[i]![k]!), 0) / rows.length),
  );
};

function expectNear(found: readonly Tensor[], expected: readonly (readonly number[])[]): void {
  for (const [i, numbers] of expected.entries()) {
    const largest = Math.max(1e-300, ...numbers);
    for (const [k, value] of numbersOf(found[i]!).entries())
      expect(Math.abs(value - numbers[k]!)).toBeLessThan(1e-5 * largest + 1e-30);
  }
}

it('is the mean over examples of the magnitude of each gradient of the squared norm', () => {
  const x = normal(4, [7, 3]);
  expectNear(outputSensitivity(model, parameters, [{ x }]), looped(model, x));
  const cut = [{ x: x.slice([[0, 1]]) }, { x: x.slice([[1, 1]]) }, { x: x.slice([[1, 7]]) }];
  expectNear(outputSensitivity(model, parameters, cut), looped(model, x));
  expectNear(outputSensitivity(model, parameters, [{ x: x.slice([[2, 3]]) }]), looped(model, x.slice([[2, 3]])));
});

it('does not let examples cancel: w x and -w x weigh as much as twice the one', () => {
  const one = parameter(tensor([[0.5]]));
  const of = (...x: number[]) =>
    outputSensitivity((batch) => linear(batch, one).add(1), [one], [{ x: tensor(x, [x.length, 1]) }])[0]!.item();
  // |2 f x|, f = 0.5 x + 1: 3 at x = 1, 1 at x = -1, where the sum of the gradients is 3 - 1.
  expect(of(1, -1)).toBe(2);
});

it('gives 0 to weights of dead units, and to parameters that have no part in the output', () => {
  const below = parameter(tensor([-50, -50, -50, -50]));
  const dead = outputSensitivity((x) => linear(linear(x, w, below).relu(), v), [w, b, v], [{ x: normal(4, [3, 3]) }]);
  for (const one of dead) expect(numbersOf(one).every((value) => value === 0)).toBe(true);
});

it('says in sentences what is wrong', () => {
  const x = normal(4, [3, 3]);
  expectRefused([
    [
      'outputSensitivity: there are no batches, so there is nothing to take a mean of. A generator that was walked through once gives nothing a second time.',
      () => outputSensitivity(model, parameters, []),
    ],
    [
      'outputSensitivity: for x of shape [3, 3] the model gave shape [3], not [n, outputs] with a row for each example, and at least one column.',
      () => outputSensitivity((y) => model(y).sum(1), parameters, [{ x }]),
    ],
    [
      'outputSensitivity: the result for parameter 0 of shape [4, 3] holds NaN: a gradient did.',
      () => outputSensitivity(model, parameters, [{ x: tensor([[Number.NaN, 0, 0]]) }]),
    ],
    [
      'outputSensitivity: parameter 0 requires no gradient. Call requiresGrad_() on it before computing the losses.',
      () => outputSensitivity(model, [x], [{ x }]),
    ],
  ]);
});

/**
 * Checking a derivative against differences, in float64.
 *
 * Everything inside `inFloat64` runs on a heap of doubles through the reference kernels, where central differences are
 * good to about ten digits; float32 would leave three.
 */
import { inFrame } from '../storage/context.ts';
import { withHeap } from '../storage/dispatch.ts';
import { Heap } from '../storage/heap.ts';
import { tensor } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { found, start } from './transforms.ts';

let doubles: Heap | null = null;

/** Runs `body` in double precision: tensors made inside hold float64, and must not leave it. */
export function inFloat64<Result>(body: () => Result): Result {
  doubles ??= new Heap('reference-float64');
  return withHeap(doubles, () => inFrame('inFloat64', body, () => []));
}

export interface GradientCheck {
  /** Largest difference allowed, relative to 1 or to the derivative where that is larger. Default 1e-6. */
  readonly tolerance?: number;
  /** Step of the differences. Default 1e-5. */
  readonly step?: number;
  /** 1: the gradient. 2: also the gradient of the gradient. Default 2. */
  readonly order?: 1 | 2;
  /** Whether rules and ops that are no derivatives on purpose may take part; false unless given: an error. */
  readonly allowSurrogate?: boolean;
}

/**
 * Compares the gradient of a function with central differences, and the gradient of its gradient too, each both as a plain
 * backward computes it and as it is recorded (createGraph); throws a sentence that names the entry. The inputs are copied into double precision.
 *
 *     checkGradients((x) => mySquare(x), [tensor([0.5, -2])]);
 */
export function checkGradients(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  { tolerance = 1e-6, step = 1e-5, order = 2, allowSurrogate = false }: GradientCheck = {},
): void {
  const values = inputs.map((input) => ({ numbers: Array.from(numbersOf(input)), shape: input.shape }));
  inFloat64(() => {
    const copies = values.map(({ numbers, shape }) => tensor(numbers, shape));
    // A fixed random-looking cotangent makes one number of any output, with every entry weighed differently.
    const weighed = (output: Tensor) => output.mul(cotangent(output.shape)).sum();
    compare('gradient', (...xs) => weighed(f(...xs)), copies, tolerance, step, allowSurrogate);
    if (order === 2) {
      const slopes = (...xs: Tensor[]): Tensor => {
        const found = gradientsOf((...ys) => weighed(f(...ys)), xs, true, allowSurrogate);
        return found.map((g, i) => g.mul(cotangent(g.shape, i + 1)).sum()).reduce((a, b) => a.add(b));
      };
      compare('second derivative', slopes, copies, tolerance, step, allowSurrogate);
    }
  });
}

function cotangent(shape: readonly number[], salt = 0): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Array.from({ length: size }, (_, i) => 0.6 + 0.4 * Math.sin(1 + 2.7 * i + 1.3 * salt)),
    shape,
  );
}

/** Gradients of a scalar function at xs; zeros where it does not depend on one. */
function gradientsOf(
  f: (...xs: Tensor[]) => Tensor,
  xs: readonly Tensor[],
  createGraph: boolean,
  allowed: boolean,
): Tensor[] {
  const leaves = xs.map((x) => (x.requiresGrad ? x : x.detach().requiresGrad_()));
  const value = f(...leaves);
  if (!value.requiresGrad) return leaves.map((x) => x.mul(0));
  const slopes = found('checkGradients', [start(value, undefined)], leaves, { createGraph }, !allowed);
  return slopes.map((g, i) => g ?? leaves[i]!.mul(0));
}

function compare(
  what: string,
  f: (...xs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  tolerance: number,
  step: number,
  allowed: boolean,
): void {
  // An op may have two first-order gradients: its raw kernel, and the rule, which the recorded form uses.
  const forms = [false, true].map((recorded) => ({
    name: recorded ? `recorded ${what}` : what,
    analytic: gradientsOf(f, inputs, recorded, allowed).map((g) => Array.from(numbersOf(g))),
  }));
  inputs.forEach((input, which) => {
    const numbers = Array.from(numbersOf(input));
    numbers.forEach((x, i) => {
      const at = (value: number): number => {
        const moved = inputs.map((other, j) =>
          (j === which ? tensor(numbers.with(i, value), input.shape) : other.detach()).requiresGrad_(),
        );
        return f(...moved).item();
      };
      const numeric = (at(x + step) - at(x - step)) / (2 * step);
      for (const { name, analytic } of forms) {
        const found = analytic[which]![i]!;
        if (!(Math.abs(numeric - found) <= tolerance * Math.max(1, Math.abs(numeric))))
          throw new Error(
            `checkGradients: the ${name} of entry ${i} of input ${which} (shape ${showShape(input.shape)}) is ${found}, ` +
              `differences give ${numeric}.`,
          );
      }
    });
  });
}

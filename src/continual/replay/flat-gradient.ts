/**
 * Gradients of all parameters as one vector: what methods that project gradients compute with.
 *
 * A gradient of another loss than that of the step is measured beside it: no `.grad` changes, and the memory of its graph is given
 * back. Sums are taken in double precision. A parameter that no gradient reached counts as 0.
 */
import { scope } from '../../autograd/modes.ts';
import { gradients } from '../../autograd/transforms.ts';
import { withData } from '../../tensor/access.ts';
import { tensor } from '../../tensor/create.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Learning } from '../method.ts';

/** One number for each weight, parameter after parameter. */
export type FlatGradient = Float32Array;

/** The parameters of a learner that learn. */
export const learned = ({ parameters }: Learning): readonly Tensor[] =>
  [...parameters.values()].filter(({ requiresGrad }) => requiresGrad);

export const sizeOfAll = (parameters: readonly Tensor[]): number => parameters.reduce((sum, { size }) => sum + size, 0);

/** Writes the gradient of a loss into `out`; where there is no loss, nothing. Returns whether there was one. */
export function measure(parameters: readonly Tensor[], out: FlatGradient, lossOf: () => Tensor | null): boolean {
  return scope(() => {
    const loss = lossOf();
    if (loss === null) return false;
    let at = 0;
    for (const [i, gradient] of gradients(loss, parameters).entries()) {
      const { size } = parameters[i]!;
      if (gradient === null) out.fill(0, at, at + size);
      else withData(gradient.layout.contiguous ? gradient : gradient.detach(), (view) => out.set(view, at));
      at += size;
    }
    return true;
  });
}

/** The inner product of the gradients in `.grad` with a vector. */
export function productWithGradients(who: string, parameters: readonly Tensor[], vector: FlatGradient): number {
  let at = 0;
  let sum = 0;
  for (const parameter of parameters) {
    const own = gradientOf(who, parameter);
    if (own !== null) sum += withData(own, (view) => product(view, vector.subarray(at, at + view.length)));
    at += parameter.size;
  }
  return sum;
}

/** The squared length of the gradients in `.grad`. */
export function squaredGradients(who: string, parameters: readonly Tensor[]): number {
  let sum = 0;
  for (const parameter of parameters) {
    const own = gradientOf(who, parameter);
    if (own !== null) sum += withData(own, (view) => product(view, view));
  }
  return sum;
}

/** Adds a multiple of a vector to the gradients in `.grad`. */
export function addToGradients(who: string, parameters: readonly Tensor[], vector: FlatGradient, factor: number): void {
  let at = 0;
  for (const parameter of parameters) {
    const { size, shape } = parameter;
    const part = vector.subarray(at, at + size);
    const own = gradientOf(who, parameter);
    if (own !== null) {
      const add = (view: Float32Array) => {
        for (let i = 0; i < size; i++) view[i] = view[i]! + factor * part[i]!;
      };
      withData(own, add, { write: true });
    } else if (part.some((x) => x !== 0))
      parameter.grad = tensor(
        part.map((x) => factor * x),
        shape,
      );
    at += size;
  }
}

/** The inner product of two vectors. */
export function product(a: Float32Array, b: Float32Array): number {
  // Four sums at a time: one alone would wait for itself at each addition.
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  const whole = a.length - (a.length % 4);
  for (let i = 0; i < whole; i += 4) {
    s0 += a[i]! * b[i]!;
    s1 += a[i + 1]! * b[i + 1]!;
    s2 += a[i + 2]! * b[i + 2]!;
    s3 += a[i + 3]! * b[i + 3]!;
  }
  for (let i = whole; i < a.length; i++) s0 += a[i]! * b[i]!;
  return s0 + s1 + (s2 + s3);
}

function gradientOf(who: string, parameter: Tensor): Tensor | null {
  if (parameter.node !== null && parameter.node.springs !== null)
    throw new Error(
      `${who}: targets arrived at a parameter, but ${who} changes gradients, and would leave the targets as they are. Use rules that send ` +
        'gradients to parameters, or another method.',
    );
  return parameter.grad;
}

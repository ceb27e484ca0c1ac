/**
 * Derivatives as functions of functions. Nothing is left behind in any `.grad`.
 */
import { packed } from '../tensor/access.ts';
import { zeros } from '../tensor/create.ts';
import { Tensor } from '../tensor/tensor.ts';
import { arithmetic } from './arithmetic.ts';
import { endWalk, Seed, walk } from './backward.ts';
import { asGradient, slope } from './message.ts';
import { mode, withRecording } from './modes.ts';
import { makeLeaf, type Node } from './node.ts';
import type { WalkOptions } from './walk.ts';

export interface GradientOptions {
  /** The gradient to start with at the output; left out: 1, for an output of one number. */
  readonly seed?: Tensor;
  /** Record the gradients, so that they can be differentiated in turn. */
  readonly createGraph?: boolean;
  /** Whether rules that are no derivatives may take part where gradients are recorded; false unless given. */
  readonly allowSurrogate?: boolean;
}

/**
 * The gradients of `output` with respect to `inputs` (tensors with a history or leaves), in their order; null for one
 * that the output does not depend on.
 *
 *     const [dx] = gradients(loss, [x], { createGraph: true });
 *     dx.square().sum().backward();                  // a gradient penalty
 */
export function gradients(output: Tensor, inputs: readonly Tensor[], options: GradientOptions = {}): (Tensor | null)[] {
  return found('gradients', [start(output, options.seed)], inputs, options);
}

/** A seed that is a gradient. */
export const start = (output: Tensor, gradient: Tensor | undefined): Seed =>
  new Seed(output, gradient === undefined ? null : () => slope(gradient));

/** What arrives at `inputs` in a walk from the seeds, read as gradients; no `.grad` is changed. */
export function found(
  who: string,
  seeds: readonly Seed[],
  inputs: readonly Tensor[],
  options: WalkOptions,
  exact?: boolean,
): (Tensor | null)[] {
  const nodes = inputs.map((input, i) => {
    if (input.node === null)
      throw new Error(
        `${who}: input ${i} requires no gradient. Call requiresGrad_() on it before computing the output.`,
      );
    return input.node as Node;
  });
  const kept = nodes.map((node) => {
    const { slope, ownsSlope, springs, versions } = node;
    return { node, inbox: { slope, ownsSlope, springs, versions } };
  });
  for (const node of nodes) node.slope = node.springs = null;
  let gradients: (Tensor | null)[];
  let id: number;
  try {
    id = walk(seeds, new Set(nodes), options, exact);
    gradients = nodes.map(take);
  } finally {
    for (const { node, inbox } of kept) Object.assign(node, inbox);
  }
  // Not before every leaf has its own .grad back: it moves out of a region that goes.
  if (options.createGraph !== true) endWalk(id);
  return gradients;
}

/** The gradient that arrived, as a tensor of its own: it may be one that others look at too, a constant even. */
function take(node: Node): Tensor | null {
  const { slope, ownsSlope, springs } = node;
  if (springs !== null) return asGradient(node, 'gradients');
  return slope === null || ownsSlope || slope.node !== null ? slope : packed(slope);
}

/** Tensors that a function may take: one, or several as its arguments. */
type Gradients<Inputs extends readonly Tensor[]> = Inputs extends readonly [Tensor]
  ? Tensor
  : { -readonly [Index in keyof Inputs]: Tensor };

export interface TransformOptions {
  /** Record the gradients, so that what is computed from them can be differentiated. On inside another transform. */
  readonly createGraph?: boolean;
}

/**
 * The gradient of a function that returns one number, as a function: grad(f)(x) is df/dx at x. With several arguments it
 * gives one gradient for each. Transforms nest: the gradient of a gradient is the second derivative.
 *
 *     const f = (x: Tensor) => x.pow(3).sum();
 *     grad(f)(tensor([1, 2])).toArray();                                   // [3, 12]
 *     grad((x: Tensor) => grad(f)(x).sum())(tensor([1, 2])).toArray();     // [6, 12]
 */
export function grad<Inputs extends readonly Tensor[]>(
  f: (...inputs: Inputs) => Tensor,
  options: TransformOptions = {},
): (...inputs: Inputs) => Gradients<Inputs> {
  const both = valueAndGrad(f, options);
  return (...inputs) => both(...inputs)[1];
}

/** As `grad`, giving [value, gradient(s)]. */
export function valueAndGrad<Inputs extends readonly Tensor[]>(
  f: (...inputs: Inputs) => Tensor,
  options: TransformOptions = {},
): (...inputs: Inputs) => [Tensor, Gradients<Inputs>] {
  return (...inputs) => {
    const createGraph = options.createGraph ?? mode.depth > 0;
    const fresh = inputs.map((input) => alias(input, createGraph)) as unknown as Inputs;
    mode.depth++;
    let value: Tensor;
    try {
      value = withRecording(true, () => f(...fresh));
    } finally {
      mode.depth--;
    }
    if (!(value instanceof Tensor)) throw new Error('grad: the function must return a tensor that holds one number.');
    const slopes = value.node === null ? fresh.map(() => null) : gradients(value, fresh, { createGraph });
    const all = slopes.map((gradient, i) => gradient ?? zeros(fresh[i]!.shape));
    return [value, (all.length === 1 ? all[0] : all) as Gradients<Inputs>];
  };
}

/** The same numbers as a tensor of its own, so that only what the function itself does with it counts. */
function alias(x: Tensor, linked: boolean): Tensor {
  if (linked && x.node !== null) return withRecording(true, () => arithmetic.identity(x));
  const leaf = new Tensor(x.storage, x.layout, x.offset);
  makeLeaf(leaf);
  return leaf;
}

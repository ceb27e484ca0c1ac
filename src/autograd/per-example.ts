/**
 * The gradient of each example of a batch, and sums over examples of its square or its magnitude, without a walk for each.
 *
 * What is computed is the Jacobian of the losses, row n the gradient of loss n. One walk of the whole batch, seeded with ones, leaves the
 * cotangent of every value. Where loss n depends on part n of a value alone (per-example-plan.ts), part n of the cotangent is
 * example n's own: nothing was lost by walking together. A parameter enters an op beside such values, and the op says what
 * each example sends to it (OpDefinition.perExample). For a linear layer with one row an example that is delta_n x_n^T, and the sums need
 * not even that: sum (delta_n x_n^T)^2 = (delta^2)^T x^2, one product as large as that of the ordinary gradient.
 *
 * A parameter that is used several times gets its per-example gradients added before they are squared. Gradients are formed for a few
 * examples at a time. Hooks, and rules of learning that were put in the place of gradients, do not count here; no `.grad` changes.
 */
import { run } from '../storage/dispatch.ts';
import { address, allocateShape, contiguous } from '../tensor/access.ts';
import { constant, full, tensor, zeros } from '../tensor/create.ts';
import { sameShape, showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, kindOf, numbersOf, type Tensor } from '../tensor/tensor.ts';
import { arithmetic } from './arithmetic.ts';
import { endWalk, walk } from './backward.ts';
import type { ExampleRange } from './define.ts';
import { adjoint } from './feasible.ts';
import { noGrad, scope } from './modes.ts';
import type { Node } from './node.ts';
import { onlyPart, type Plan, planOf, type Use } from './per-example-plan.ts';
import { found, start } from './transforms.ts';

/** Numbers of per-example gradients that are formed at a time: 16 MiB. */
const formedAtOnce = 2 ** 22;

/** 1: magnitudes. 2: squares. */
type Power = 1 | 2;

/**
 * The gradient of each loss by itself.
 *
 * @param losses [N], loss n of example n only; every value between lets its n-th part belong to example n (rows along axis 0).
 * Where examples meet on the way (normalization over the batch), the result is right too, and takes a walk for each example
 * @param parameters tensors that require a gradient; one that the losses do not depend on gets zeros
 * @returns for each parameter [N, ...its shape], detached
 *
 *     const w = tensor([1, 2]).requiresGrad_();
 *     const x = tensor([[3, 1], [0, 4]]);
 *     perExampleGradients(x.matmul(w).square(), [w])[0].toArray(); // [[30, 10], [0, 64]]
 */
export function perExampleGradients(losses: Tensor, parameters: readonly Tensor[]): Tensor[] {
  const who = 'perExampleGradients';
  const count = checkLosses(who, losses, parameters);
  if (count === 0) return parameters.map(({ shape }) => zeros([0, ...shape]));
  return onGraph(who, losses, count, parameters, (plan) => {
    const seed = full(losses.shape, 1);
    const everything = { from: 0, to: count, count };
    const all = parameters.map((_, i) => i);
    return formed(plan, seed, cotangents(plan, seed), all, everything);
  });
}

/**
 * The sum over examples of the squares of their gradients, element by element, for losses [N] as in `perExampleGradients`. Of a linear
 * layer with one row for each example it costs as much as the gradient of the sum of the losses.
 *
 * @returns for each parameter a tensor of its shape, detached
 *
 *     const w = tensor([1, 2]).requiresGrad_();
 *     const x = tensor([[3, 1], [0, 4]]);
 *     squaredGradients(x.matmul(w).square(), [w])[0].toArray(); // [900, 4196]
 */
export function squaredGradients(losses: Tensor, parameters: readonly Tensor[]): Tensor[] {
  return ofLosses('squaredGradients', losses, parameters, 2);
}

/**
 * The sum over examples of the magnitudes of their gradients, element by element: `squaredGradients` with |g| in the place of g^2.
 *
 *     const w = tensor([1, 2]).requiresGrad_();
 *     const x = tensor([[3, -1], [0, 4]]);
 *     absoluteGradients(x.matmul(w), [w])[0].toArray(); // [3, 5]
 */
export function absoluteGradients(losses: Tensor, parameters: readonly Tensor[]): Tensor[] {
  return ofLosses('absoluteGradients', losses, parameters, 1);
}

function ofLosses(who: string, losses: Tensor, parameters: readonly Tensor[], power: Power): Tensor[] {
  const count = checkLosses(who, losses, parameters);
  if (count === 0) return parameters.map(({ shape }) => zeros(shape));
  return sumsOfPowers(who, losses, count, [full(losses.shape, 1)], parameters, power);
}

/**
 * The sum, over seeds and over examples, of the powers of the gradients that a cotangent of `root` gives.
 *
 * @param root any value of which part n (of `count` equal ones) belongs to example n: losses, logits
 * @param seeds cotangents of root, of its shape
 */
export function sumsOfPowers(
  who: string,
  root: Tensor,
  count: number,
  seeds: Iterable<Tensor>,
  parameters: readonly Tensor[],
  power: Power,
): Tensor[] {
  return onGraph(who, root, count, parameters, (plan) => {
    const products = parameters.map((_, i) => productOf(plan, i));
    let sums: Sums = { totals: parameters.map(() => null), raised: new Map() };
    for (const seed of seeds) sums = scope(() => withSeed(plan, products, sums, seed, power));
    return parameters.map(({ shape }, i) => {
      const product = products[i];
      const raised = product && sums.raised.get(product.node);
      const total = raised
        ? plus(sums.totals[i]!, productSum(product, { powers: raised, scale: 1 }, power))
        : sums.totals[i];
      return total ?? zeros(shape);
    });
  });
}

/** Runs `body` unrecorded and without hooks. What it makes stays until it is done, the graph of `root` longer. */
function onGraph<Result>(
  who: string,
  root: Tensor,
  count: number,
  parameters: readonly Tensor[],
  body: (plan: Plan) => Result,
): Result {
  if (root.node === null)
    throw new Error(
      `${who}: what gradients start from, of shape ${showShape(root.shape)}, has no history: it was computed from nothing that requires ` +
        'a gradient, or inside noGrad, or it came through detach().',
    );
  const result = noGrad(() => {
    const plan = planOf(who, root, count, parameters);
    const hooks = plan.hooked.map((node) => node.hooks);
    for (const node of plan.hooked) node.hooks = null;
    try {
      return body(plan);
    } finally {
      for (const [i, node] of plan.hooked.entries()) node.hooks = hooks[i]!;
    }
  });
  // A walk that sends nothing: as after a backward pass, this graph stays and what belongs to older ones goes.
  endWalk(walk([start(root, full(root.shape, 0))], new Set(), { rules: false }));
  return result;
}

/** The cotangents of the values at which parameters come in, all examples together. */
function cotangents(plan: Plan, seed: Tensor): ReadonlyMap<Node, Tensor> {
  const result = new Map<Node, Tensor>();
  if (!plan.together || plan.watched.length === 0) return result;
  const sent = found(plan.who, [start(plan.root, seed)], plan.watched, { rules: false });
  for (const [i, g] of sent.entries()) if (g !== null) result.set(plan.watched[i]!.node as Node, g);
  return result;
}

/** The sums so far: those that are complete, and by node the powers of cotangents whose products are taken at the end. */
interface Sums {
  readonly totals: readonly (Tensor | null)[];
  readonly raised: ReadonlyMap<Node, Tensor>;
}

/** Adds what one seed gives. */
function withSeed(plan: Plan, products: readonly (Product | null)[], sums: Sums, seed: Tensor, power: Power): Sums {
  const g = cotangents(plan, seed);
  const totals = sums.totals.slice();
  const own = new Map<Node, Raised>();
  const toForm: number[] = [];
  for (const [i, route] of plan.routes.entries()) {
    const product = products[i]!;
    const delta = g.get(product?.node ?? (plan.parameters[i]!.node as Node));
    if (route.kind === 'apart' && delta !== undefined) totals[i] = plus(totals[i]!, raise(delta, power));
    else if (product !== null && delta !== undefined) {
      const raised = own.get(product.node) ?? raisedInRange(delta, power);
      own.set(product.node, raised);
      // What is of an ordinary size waits for what other seeds give: one product for all.
      if (raised.scale !== 1) totals[i] = plus(totals[i]!, productSum(product, raised, power));
    } else if (product === null && (route.kind === 'shared' || route.kind === 'alone')) toForm.push(i);
  }
  const raised = new Map(sums.raised);
  for (const [node, { powers, scale }] of own)
    if (scale === 1) raised.set(node, plus(raised.get(node) ?? null, powers));
  return { totals: formedSums(plan, seed, g, toForm, totals, power), raised };
}

/** Adds the powers of gradients that have to be formed, a few examples at a time. */
function formedSums(
  plan: Plan,
  seed: Tensor,
  g: ReadonlyMap<Node, Tensor>,
  which: readonly number[],
  before: readonly (Tensor | null)[],
  power: Power,
): readonly (Tensor | null)[] {
  const { count, parameters } = plan;
  const numbers = which.reduce((sum, i) => sum + parameters[i]!.size, 0);
  if (numbers === 0) return before;
  const step = Math.max(1, Math.floor(formedAtOnce / numbers));
  let totals = before;
  for (let from = 0; from < count; from += step)
    totals = scope(() => {
      const gradients = formed(plan, seed, g, which, { from, to: Math.min(count, from + step), count });
      const sums = totals.slice();
      for (const [k, i] of which.entries()) sums[i] = plus(sums[i]!, arithmetic.sum(raise(gradients[k]!, power), 0));
      return sums;
    });
  return totals;
}

/** The gradients of some examples: for each of these parameters [examples, ...shape]. */
function formed(
  plan: Plan,
  seed: Tensor,
  g: ReadonlyMap<Node, Tensor>,
  which: readonly number[],
  part: ExampleRange,
): Tensor[] {
  const { parameters, routes, together } = plan;
  if (!together) return walkedAlone(plan, seed, which, part);
  const chained = which.filter((i) => {
    const route = routes[i]!;
    return route.kind === 'shared' && route.computed;
  });
  const through = chained.length === 0 ? [] : throughComputed(plan, g, chained, part);
  return which.map((i) => {
    const route = routes[i]!;
    const parameter = parameters[i]!;
    const shape = [part.to - part.from, ...parameter.shape];
    if (route.kind === 'apart') return spreadOut(g.get(parameter.node as Node), parameter.shape, part);
    let sum: Tensor | null = through[chained.indexOf(i)] ?? null;
    if (route.kind === 'shared')
      for (const use of route.direct) {
        const sent = sentBy(plan.who, use, g, part);
        if (sent !== null) sum = plus(sum, sent);
      }
    return sum ?? zeros(shape);
  });
}

/** Every example by itself, the others silent: right whatever the graph does. */
function walkedAlone({ who, root, parameters }: Plan, seed: Tensor, which: readonly number[], part: ExampleRange) {
  const wanted = which.map((i) => parameters[i]!);
  return rowsFrom(wanted, part, (n) =>
    found(who, [start(root, onlyPart(seed, n, part.count))], wanted, { rules: false }),
  );
}

/** What reaches parameters through values that were computed from them and are shared: a mask times a weight, a transpose. */
function throughComputed(
  { who, uses, parameters }: Plan,
  g: ReadonlyMap<Node, Tensor>,
  which: readonly number[],
  part: ExampleRange,
): Tensor[] {
  const wanted = which.map((i) => parameters[i]!);
  const sent = uses
    .filter(({ node, index }) => node.inputs[index]!.node!.op !== null)
    .map((use) => ({ at: use.node.inputs[use.index]!, numbers: sentBy(who, use, g, part) }))
    .flatMap(({ at, numbers }) => (numbers === null ? [] : [{ at, numbers: numbersOf(numbers) }]));
  return rowsFrom(wanted, part, (n) => {
    const seeds = sent.map(({ at, numbers }) => {
      const first = (n - part.from) * at.size;
      return start(at, tensor(numbers.subarray(first, first + at.size), at.shape));
    });
    return seeds.length === 0 ? wanted.map(() => null) : found(who, seeds, wanted, { rules: false });
  });
}

/** Gradients that come example by example, as one tensor for each of these parameters. */
function rowsFrom(
  wanted: readonly Tensor[],
  { from, to }: ExampleRange,
  gradientsOf: (example: number) => readonly (Tensor | null)[],
): Tensor[] {
  const rows = wanted.map(({ size }) => new Float64Array((to - from) * size));
  for (let n = from; n < to; n++) {
    const sent = scope(() => gradientsOf(n).map((g) => g && numbersOf(g)));
    for (const [i, numbers] of sent.entries())
      if (numbers !== null) rows[i]!.set(numbers, (n - from) * wanted[i]!.size);
  }
  return wanted.map(({ shape }, i) => tensor(rows[i]!, [to - from, ...shape]));
}

/** What some examples send to an input that they share. null: nothing arrived there. */
function sentBy(who: string, { node, index }: Use, g: ReadonlyMap<Node, Tensor>, part: ExampleRange): Tensor | null {
  const delta = g.get(node);
  if (delta === undefined) return null;
  const input = node.inputs[index]!;
  const said = node.op!.perExample?.gradients?.(node, delta, index, part) ?? null;
  if (said === null) return rowsFrom([input], part, (n) => [adjoint(node, onlyPart(delta, n, part.count), index)])[0]!;
  const shape = [part.to - part.from, ...input.shape];
  if (sameShape(said.shape, shape)) return said;
  throw new Error(
    `${who}: perExample.gradients of ${node.op!.name} gave shape ${showShape(said.shape)} for its input ${index} of shape ` +
      `${showShape(input.shape)}; for ${part.to - part.from} examples it is ${showShape(shape)}.`,
  );
}

/** Gradients of a value of which part n belongs to example n: the others send nothing there. */
function spreadOut(g: Tensor | undefined, shape: readonly number[], { from, to, count }: ExampleRange): Tensor {
  const size = sizeOf(shape);
  const rows = new Float64Array((to - from) * size);
  if (g !== undefined) {
    const numbers = numbersOf(g);
    const each = size / count;
    for (let n = from; n < to; n++) rows.set(numbers.subarray(n * each, (n + 1) * each), (n - from) * size + n * each);
  }
  return tensor(rows, [to - from, ...shape]);
}

/** A use in which each example adds one product to each entry: of g and of entries of other inputs, `factors`. */
interface Product extends Use {
  readonly factors: readonly number[];
}

/** The use of a parameter, if it is the only one and a product. */
function productOf({ routes, count }: Plan, i: number): Product | null {
  const route = routes[i]!;
  if (route.kind !== 'shared' || route.computed || route.direct.length !== 1) return null;
  const { node, index } = route.direct[0]!;
  const factors = node.op!.perExample?.factors?.(node, index, count) ?? null;
  return factors && { node, index, factors };
}

/** The gradient rule on powers: sum over n of |g_n x_n|^p. */
function productSum({ node, index, factors }: Product, { powers, scale }: Raised, power: Power): Tensor {
  let back = 1 / scale;
  const inputs = node.inputs.map((x, k) => {
    if (!factors.includes(k)) return x;
    const raised = raisedInRange(x, power);
    back /= raised.scale;
    return raised.powers;
  });
  const { op, attributes, output } = node;
  const sum = adjoint({ op, inputs, attributes, output, saved: null }, powers, index);
  if (back === 1) return sum;
  // Twice, as it was multiplied before squaring: the square of `back` may be no float32 where the result is one.
  const factor = constant(Math.min(back, 2 ** 126));
  return arithmetic.mul(arithmetic.mul(sum, factor), factor);
}

/** |x| or x^2. */
const raise = (x: Tensor, power: Power): Tensor =>
  power === 2 ? arithmetic.mul(x, x) : arithmetic.maximum(x, arithmetic.neg(x));

/** |scale x|^p */
interface Raised {
  readonly powers: Tensor;
  readonly scale: number;
}

/** Squares of numbers whose product has a square in float32 may have none: such numbers are brought to about 1 by a power of 2. */
function raisedInRange(x: Tensor, power: Power): Raised {
  const powers = raise(x, power);
  if (power === 1) return { powers, scale: 1 };
  const largest = largestOf(powers);
  if ((largest > 2 ** -80 && largest < 2 ** 60) || Number.isNaN(largest)) return { powers, scale: 1 };
  const magnitude = largestOf(raise(x, 1));
  if (magnitude === 0 || magnitude === Number.POSITIVE_INFINITY) return { powers, scale: 1 };
  const scale = 2 ** Math.min(126, -Math.floor(Math.log2(magnitude)));
  return { powers: raise(arithmetic.mul(x, constant(scale)), power), scale };
}

function largestOf(x: Tensor): number {
  if (x.size === 0) return 0;
  const largest = allocateShape([]);
  run.max(address(contiguous(x)), address(largest), 1, x.size, 1, 0);
  return largest.item();
}

const plus = (a: Tensor | null, b: Tensor): Tensor => (a === null ? b : arithmetic.add(a, b));

function checkLosses(who: string, losses: Tensor, parameters: readonly Tensor[]): number {
  checkTensor(who, losses);
  if (losses.ndim !== 1)
    throw new Error(
      `${who}: losses are one number for each example, [N], not of shape ${showShape(losses.shape)}. Ask the loss for ` +
        "{ reduction: 'none' }, and sum what belongs to one example.",
    );
  checkParameters(who, parameters);
  return losses.shape[0]!;
}

/** Throws unless it is a list of tensors that require a gradient. */
export function checkParameters(who: string, parameters: readonly Tensor[]): void {
  if (!Array.isArray(parameters))
    throw new Error(`${who}: parameters are a list of tensors, [...model.parameters()], not ${kindOf(parameters)}.`);
  for (const [i, parameter] of (parameters as readonly Tensor[]).entries()) {
    checkTensor(who, parameter);
    if (parameter.node === null)
      throw new Error(
        `${who}: parameter ${i} requires no gradient. Call requiresGrad_() on it before computing the losses.`,
      );
  }
}

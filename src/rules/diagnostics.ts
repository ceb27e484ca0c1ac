/**
 * How far what the rules ask is from backpropagation, parameter by parameter, at one point of the parameters. Nothing is moved:
 * no `.grad`, no inbox, no parameter.
 */
import { type Seed, walk } from '../autograd/backward.ts';
import { withEmptyInboxes } from '../autograd/inbox.ts';
import { asGradient, Message } from '../autograd/message.ts';
import { withRecording } from '../autograd/modes.ts';
import type { Node } from '../autograd/node.ts';
import { seedsOf } from '../autograd/seeds.ts';
import type { WalkOptions } from '../autograd/walk.ts';
import { inFrame } from '../storage/context.ts';
import { numbersOf, Tensor } from '../tensor/tensor.ts';

export interface CompareOptions extends Pick<WalkOptions, 'broadcast' | 'stiffness'> {
  /**
   * The compliance eta of the parameters, 1 / stiffness: what arrives is read as the step that an optimizer of this learning
   * rate makes, eta (r - g) / (1 + eta p); Infinity: (r - g) / p. Left out: minus the gradient where only gradients arrive,
   * (r - g) / p where a target does.
   */
  readonly compliance?: number;
  /**
   * What backpropagation minimizes, for comparison. Left out: the losses and targets of the seeds, each target as 1/2 sum
   * precision (value - target)^2, for which its precision must be stated.
   */
  readonly loss?: Tensor | (() => Tensor);
}

export interface UpdateComparison {
  readonly name: string;
  /** Degrees between the update and the direction against backpropagation's gradient; null: one of them is 0. */
  readonly angle: number | null;
  /** |update| / |gradient|; null: the gradient is 0. */
  readonly ratio: number | null;
  /** |update|, the Euclidean norm; 0 where the rules sent nothing. */
  readonly update: number;
  /** |gradient| of backpropagation. */
  readonly gradient: number;
}

type Seeds = Tensor | Seed | readonly (Tensor | Seed)[];

/**
 * Compares what the rules in force ask of each parameter with backpropagation's gradient, in one graph: 0 degrees where both move
 * it the same way, 90 where they have nothing to do with each other, 180 where they contradict. Rules of feedback alignment
 * are expected to start near 90 and to come below.
 *
 * Rules are called as in any walk: one that learns something by itself learns it.
 *
 * @param seeds losses and targets, or a function that computes them; what it computes is given back at the end
 * @param parameters leaves, or pairs of a name and a leaf: `model.namedParameters()`
 *
 * Throws what `backward` throws; a RangeError for a compliance below 0.
 *
 *     const reversed = gradientRule('reversed', (visit, g, i) => visit.gradientFor(i, neg(g)), { surrogate: true });
 *     const w = parameter(tensor([1, 2]));
 *     const [found] = compareUpdates(() => sum(setRule(mul(w, 3), reversed)), [['w', w]]);
 *     found.angle; // 180
 *     found.ratio; // 1
 */
export function compareUpdates(
  seeds: Seeds | (() => Seeds),
  parameters: readonly Tensor[] | Iterable<readonly [name: string, parameter: Tensor]>,
  { compliance, loss, ...options }: CompareOptions = {},
): UpdateComparison[] {
  if (compliance !== undefined && !(compliance >= 0))
    throw new RangeError(`compareUpdates: a compliance is a step size of at least 0, not ${compliance}.`);
  const named = namedLeaves(parameters);
  const leaves = named.map(({ leaf }) => leaf);
  const updateOf = (message: Message | null) => (message === null ? null : numbersOf(updateFor(message, compliance)));
  const gradientOf = (message: Message | null) => message && numbersOf(asGradient(message, 'compareUpdates')!);
  return inFrame(
    'compareUpdates',
    () => {
      const starts = seedsOf(typeof seeds === 'function' ? withRecording(true, seeds) : seeds);
      const updates = arriving(starts, leaves, options, updateOf);
      const other = typeof loss === 'function' ? withRecording(true, loss) : loss;
      const from = other === undefined ? starts : seedsOf(other);
      const gradients = arriving(from, leaves, { rules: false }, gradientOf);
      return named.map(({ name }, i) => ({ name, ...compared(updates[i] ?? null, gradients[i] ?? null) }));
    },
    () => [],
  );
}

function namedLeaves(
  parameters: readonly Tensor[] | Iterable<readonly [name: string, parameter: Tensor]>,
): { readonly name: string; readonly leaf: Node }[] {
  if (typeof parameters?.[Symbol.iterator as keyof typeof parameters] !== 'function')
    throw new Error(
      'compareUpdates: parameters are a list of leaves, or of names and leaves: model.parameters(), model.namedParameters().',
    );
  return Array.from(parameters as Iterable<Tensor | readonly [string, Tensor]>, (given, i) => {
    const [name, parameter] = given instanceof Tensor ? [`parameter ${i}`, given] : given;
    const node = parameter.node as Node | null;
    if (node === null || node.op !== null)
      throw new Error(`compareUpdates: ${name} is no leaf that requires a gradient, so no messages stay at it.`);
    return { name, leaf: node };
  });
}

/** What `read` makes of the messages that arrive at the leaves in a walk of its own. */
function arriving<Result>(
  seeds: readonly Seed[],
  leaves: readonly Node[],
  options: WalkOptions,
  read: (message: Message | null) => Result,
): Result[] {
  return withEmptyInboxes(leaves, () => {
    walk(seeds, new Set(leaves), options, false);
    return withRecording(false, () =>
      leaves.map(({ slope, springs }) => read(slope === null && springs === null ? null : new Message(slope, springs))),
    );
  });
}

/** The step that the message asks for. */
function updateFor(message: Message, compliance: number | undefined): Tensor {
  if (compliance === undefined) return message.kind === 'gradient' ? message.step(1) : message.step(0);
  // No stiffness stands for eta = 0: nothing moves, whatever pulls.
  return compliance === 0 ? message.scale(0).step(1) : message.step(1 / compliance);
}

type Numbers = Float32Array | Float64Array;

function compared(update: Numbers | null, gradient: Numbers | null): Omit<UpdateComparison, 'name'> {
  const [u, g] = [norm(update), norm(gradient)];
  return {
    angle: update === null || gradient === null || u === 0 || g === 0 ? null : degrees(update, u, gradient, g),
    ratio: g === 0 ? null : u / g,
    update: u,
    gradient: g,
  };
}

function norm(x: Numbers | null): number {
  let sum = 0;
  for (const number of x ?? []) sum += number * number;
  return Math.sqrt(sum);
}

/** The angle between u and -g, by Kahan's formula, which is exact for small angles too: 2 atan(|a - b| / |a + b|) of unit vectors. */
function degrees(update: Numbers, u: number, gradient: Numbers, g: number): number {
  let [apart, together] = [0, 0];
  for (let i = 0; i < update.length; i++) {
    const [a, b] = [update[i]! / u, -gradient[i]! / g];
    apart += (a - b) ** 2;
    together += (a + b) ** 2;
  }
  return (2 * Math.atan2(Math.sqrt(apart), Math.sqrt(together)) * 180) / Math.PI;
}

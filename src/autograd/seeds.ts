/**
 * Where a backward walk starts: at losses, at values that have a target, at several of them at once.
 */
import { showShape } from '../tensor/layout.ts';
import { checkTensor, kindOf, Tensor } from '../tensor/tensor.ts';
import { arithmetic } from './arithmetic.ts';
import { endWalk, Seed, walk } from './backward.ts';
import { Message, spring } from './message.ts';
import { ErrorAt, type WalkOptions } from './walk.ts';

export interface TargetOptions {
  /**
   * How firmly the target is meant, from 0 up: a number, or a tensor that broadcasts to the value ([B, 1]: one for each
   * sample). Beside a mean loss over a batch, 1 / batch size says the same as the loss 1/2 mean |v - t|^2. Infinity is a
   * hard target. It may be left out where only rules that take targets see it.
   */
  readonly precision?: number | Tensor;
}

/**
 * Says where a value should be: a seed for `backward`. It pulls like the loss 1/2 sum precision (value - wanted)^2.
 *
 * @param value what was computed, or a leaf
 * @param wanted where it should be, of the value's shape or what broadcasts to it; a constant: no message goes to it
 *
 *     const w = tensor([1, 2]).requiresGrad_();
 *     backward(target(mul(w, 3), tensor([5, 9]), { precision: 0.5 }));
 *     w.grad!.toArray(); // [-3, -4.5]
 */
export function target(value: Tensor, wanted: Tensor, options: TargetOptions = {}): Seed {
  checkTensor('target', value);
  if (typeof wanted !== 'number') checkTensor('target', wanted);
  if (typeof options !== 'object' || options === null || options instanceof Tensor)
    throw new Error(
      `target: options are an object, target(value, wanted, { precision: 0.5 }), not ${options instanceof Tensor ? 'a tensor' : kindOf(options)}.`,
    );
  return new Seed(value, () => {
    if (wanted instanceof Tensor) checkFits(value, wanted);
    return spring(arithmetic.sub(wanted, value), options.precision, 'target');
  });
}

/** A wanted value that made the difference larger than the value, or fits it nowhere, is told of as it was given. */
function checkFits({ shape }: Tensor, wanted: Tensor): void {
  const shift = shape.length - wanted.ndim;
  if (shift < 0 || wanted.shape.some((size, axis) => size !== 1 && size !== shape[axis + shift]))
    throw new Error(
      `backward: a target of shape ${showShape(wanted.shape)} does not fit an output of shape ${showShape(shape)}. Give the output's ` +
        'shape, or what broadcasts to it.',
    );
}

/** A message to start with at a value: a seed for `backward`. */
export const seed = (value: Tensor, message: Message): Seed => new Seed(value, () => message);

/** For `backward`'s broadcast: the gradient that will have arrived at `value`, the error at the output layer, say. */
export const errorAt = (value: Tensor): ErrorAt => new ErrorAt(value);

export interface BackwardOptions extends WalkOptions {}

/** A list of seeds from what people give: losses, targets. */
export function seedsOf(given: Tensor | Seed | readonly (Tensor | Seed)[]): Seed[] {
  const list = Array.isArray(given) ? (given as readonly (Tensor | Seed)[]) : [given as Tensor | Seed];
  if (list.length === 0) throw new Error('backward: the list of losses and targets is empty.');
  return list.map((one) => (one instanceof Seed ? one : new Seed(one, null)));
}

/**
 * Sends messages from losses and targets to every leaf they were computed from, in one walk: each value sums what all its
 * consumers say before its rule answers. What reaches a leaf adds to its inbox: `.grad` shows it as a gradient, and the
 * optimizers read it as it came.
 *
 * @param seeds a loss of one element, a `target(value, wanted)`, or a list of them
 *
 *     const w = tensor([1, 2]).requiresGrad_();
 *     const hidden = mul(w, 3);
 *     backward([hidden.sum(), target(hidden, tensor([5, 9]), { precision: 0.5 })]);
 *     w.grad!.toArray(); // [0, -1.5]
 */
export function backward(seeds: Tensor | Seed | readonly (Tensor | Seed)[], options: BackwardOptions = {}): void {
  if (options.stiffness !== undefined && !(options.stiffness >= 0 && options.stiffness < Infinity))
    throw new Error(`backward: stiffness is a number of at least 0, 1 / step size, not ${options.stiffness}.`);
  const id = walk(seedsOf(seeds), null, options);
  if (options.createGraph !== true) endWalk(id);
}

/** What lies in the inbox of a leaf: the sum of the messages since it was last cleared; null: nothing. */
export function inboxOf(leaf: Tensor): Message | null {
  if (leaf.node === null || leaf.node.op !== null)
    throw new Error(
      'inboxOf: only leaves that require a gradient keep their messages; call requiresGrad_() on the leaf.',
    );
  const { slope, springs } = leaf.node;
  return slope === null && springs === null ? null : new Message(slope, springs);
}

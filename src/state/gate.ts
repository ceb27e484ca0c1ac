/**
 * Gates: factors from 0 (nothing passes) to 1 that protect weights. They stand in three places, because they are three things.
 *
 * - On the leaf (`leafGate`): what arrives at the parameter is scaled, g, p and r alike, before the optimizer's moments. In
 *   plain SGD that is a learning rate of its own for each weight; Adam divides a constant factor out again.
 * - On the update (`plasticity`): the compliance of the weight, after the moments, where nothing cancels it. At 0 the weight
 *   does not move at all, momentum and decay included.
 * - On the edge (`edgeGate` in src/rules): what a layer sends to the layers below.
 *
 * A gate is a number, a tensor, or a function of them. It is read as it stands before the step, and no derivative goes
 * through it. Observers see what arrives before any gate does: a confidence that watched gated gradients would protect
 * what it protects, and fade with it.
 */
import { type Hook, onValue } from '../autograd/hooks.ts';
import type { Message } from '../autograd/message.ts';
import { withRecording } from '../autograd/modes.ts';
import { sub } from '../ops/binary.ts';
import { heap, run } from '../storage/dispatch.ts';
import { constant } from '../tensor/create.ts';
import { broadcastShapes, sameShape, showShape } from '../tensor/layout.ts';
import { checkTensor, numbersOf, Tensor } from '../tensor/tensor.ts';
import { inTiles } from '../tensor/tiles.ts';
import { putInto, stateFor } from './side-state.ts';

/** A factor for each weight: a number, a tensor that broadcasts to the parameter, or a function that gives one. */
export type Gate = number | Tensor | (() => number | Tensor);

/** A gate as it stands now, checked: finite, from 0 up, and of a shape that broadcasts to the parameter's. */
export function readGate(who: string, gate: Gate, { shape }: Tensor): Tensor {
  const given = withRecording(false, () => (typeof gate === 'function' ? gate() : gate));
  const value = typeof given === 'number' ? constant(given) : given;
  checkTensor(who, value);
  if (!isGate(value)) {
    const wrong = numbersOf(value).find((x) => !(x >= 0 && x < Infinity));
    throw new Error(`${who}: a gate is a finite number from 0 (nothing passes) up, not ${wrong}. Usual is 0 to 1.`);
  }
  if (!sameShape(broadcastShapes(who, value.shape, shape), shape))
    throw new Error(
      `${who}: a gate of shape ${showShape(value.shape)} does not broadcast to a parameter of shape ${showShape(shape)}.`,
    );
  return value.node === null ? value : value.detach();
}

/** Whether all numbers are finite and from 0 up. It is asked at every step, so kernels find the least and the largest. */
function isGate(value: Tensor): boolean {
  let yes = true;
  inTiles([value], [], ([x], n, least, largest) => {
    run.min(x!, least, 1, n, 1, 0);
    run.max(x!, largest, 1, n, 1, 0);
    const { floats } = heap;
    // Of a NaN neither is true.
    yes &&= floats[least]! >= 0 && floats[largest]! < Infinity;
  });
  return yes;
}

/** A gate must be of the right kind at once, not at the first step. Functions are asked when they are needed. */
function checkGate(who: string, gate: Gate, parameter: Tensor): void {
  if (typeof gate === 'function') return;
  if (typeof gate !== 'number' && !(gate instanceof Tensor))
    throw new Error(`${who}: a gate is a number, a tensor, or a function that gives one, not ${typeof gate}.`);
  readGate(who, gate, parameter);
}

/**
 * The gate 1 - confidence, read anew each time: full confidence lets nothing pass.
 *
 *     const confidence = tensor([0, 0.25, 1]);
 *     unless(confidence)().toArray(); // [1, 0.75, 0]
 */
export const unless =
  (confidence: Tensor | (() => Tensor)): (() => Tensor) =>
  () =>
    sub(1, typeof confidence === 'function' ? confidence() : confidence);

/**
 * Says how readily a parameter moves: its compliance is learning rate times plasticity, weight by weight. 1 is as without;
 * 0 does not move at all, by no gradient, target, momentum or decay, while the optimizer's moments go on. Several
 * multiply. A tensor is not copied: the optimizer reads what stands in it before the step.
 *
 * @returns a function that takes it off
 *
 *     const w = parameter(tensor([1, 1]));
 *     const remove = plasticity(w, tensor([1, 0]));
 *     w.sum().backward();
 *     new SGD([w], { lr: 0.5 }).step();
 *     w.toArray(); // [0.5, 1]
 *     remove();
 */
export function plasticity(parameter: Tensor, gate: Gate): () => void {
  const state = stateFor('plasticity', parameter);
  checkGate('plasticity', gate, parameter);
  return putInto(state.plasticities, { gate }, state.changed);
}

/** The one hook that a parameter's gates and observers share, so that observers come first whatever the order of adding. */
export class GateKeeper {
  readonly observers: { readonly observe: (message: Message) => void }[] = [];
  readonly gates: { readonly gate: Gate }[] = [];
  readonly #parameter: Tensor;
  #unhook: (() => void) | null = null;

  constructor(parameter: Tensor) {
    this.#parameter = parameter;
  }

  readonly changed = (): void => {
    const { observers, gates } = this;
    const empty = observers.length + gates.length === 0;
    if (!empty) this.#unhook ??= onValue(this.#parameter, this.#hook);
    else {
      this.#unhook?.();
      this.#unhook = null;
    }
  };

  readonly #hook: Hook = (message) => {
    const { observers, gates } = this;
    for (const { observe } of observers.slice()) observe(message);
    let passed = message;
    for (const { gate } of gates) passed = passed.scale(readGate('leafGate', gate, this.#parameter));
    return passed;
  };
}

function keeperOf(who: string, parameter: Tensor): GateKeeper {
  const state = stateFor(who, parameter);
  state.keeper ??= new GateKeeper(parameter);
  return state.keeper;
}

/**
 * Scales what arrives at a parameter, once a backward call, before it is added to `.grad`: g, p and r alike, elementwise.
 * Several multiply. Hard targets pass as they are.
 *
 * @returns a function that takes it off
 *
 *     const w = parameter(tensor([1, 1]));
 *     leafGate(w, tensor([1, 0.25]));
 *     w.sum().backward();
 *     w.grad!.toArray(); // [1, 0.25]
 */
export function leafGate(parameter: Tensor, gate: Gate): () => void {
  const keeper = keeperOf('leafGate', parameter);
  checkGate('leafGate', gate, parameter);
  return putInto(keeper.gates, { gate }, keeper.changed);
}

/**
 * Calls `body` once a backward call with what arrives at a parameter, before any leaf gate changed it.
 *
 * @returns a function that takes the observer off
 *
 *     const w = parameter(tensor([1, 1]));
 *     leafGate(w, 0);
 *     let seen = zeros([2]);
 *     observe(w, (message) => {
 *       seen = message.gradient();
 *     });
 *     w.sum().backward();
 *     seen.toArray(); // [1, 1]
 */
export function observe(parameter: Tensor, body: (message: Message) => void): () => void {
  const keeper = keeperOf('observe', parameter);
  return putInto(keeper.observers, { observe: body }, keeper.changed);
}

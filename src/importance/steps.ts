/**
 * Watching an optimizer take steps, and what all trackers share: their parameters by name, and reading numbers where they
 * stand.
 */
import { settle } from '../storage/context.ts';
import { heap } from '../storage/dispatch.ts';
import { address, contiguous, withData, wroteTo } from '../tensor/access.ts';
import { showShape } from '../tensor/layout.ts';
import { numbersOf, Tensor } from '../tensor/tensor.ts';

/** What is called around each step of an optimizer. */
export interface StepHooks {
  before?(): void;
  after?(): void;
}

/** What takes steps: any optimizer of this library. */
export interface Steps {
  step(): void;
}

interface Hooked {
  readonly hooks: StepHooks[];
  readonly restore: () => void;
}

const hooked = new WeakMap<Steps, Hooked>();

/**
 * Calls hooks around each `step()` of an optimizer, in the order in which they came; those after a step that throws are not
 * called.
 *
 * @returns a function that takes them off
 *
 *     let steps = 0;
 *     const detach = aroundSteps(optimizer, { after: () => steps++ });
 *     optimizer.step();
 *     detach();
 *     optimizer.step();
 *     steps; // 1
 */
export function aroundSteps(optimizer: Steps, hooks: StepHooks): () => void {
  if (typeof optimizer?.step !== 'function')
    throw new TypeError('aroundSteps: an optimizer is needed, something with a step() method.');
  const found = hooked.get(optimizer) ?? hook(optimizer);
  const own = { ...hooks };
  found.hooks.push(own);
  return () => {
    const at = found.hooks.indexOf(own);
    if (at < 0) return;
    found.hooks.splice(at, 1);
    if (found.hooks.length === 0) found.restore();
  };
}

function hook(optimizer: Steps): Hooked {
  const hooks: StepHooks[] = [];
  const before = Object.getOwnPropertyDescriptor(optimizer, 'step');
  const original = optimizer.step;
  const step = (): void => {
    // Copies: a hook may take itself off.
    for (const { before } of hooks.slice()) before?.();
    original.call(optimizer);
    for (const { after } of hooks.slice()) after?.();
  };
  Object.defineProperty(optimizer, 'step', { value: step, configurable: true, writable: true, enumerable: false });
  const found: Hooked = {
    hooks,
    restore: () => {
      // Somebody else may have put something over this one since: then it stays, and does nothing.
      if (optimizer.step !== step) return;
      hooked.delete(optimizer);
      if (before === undefined) delete (optimizer as Partial<Steps>).step;
      else Object.defineProperty(optimizer, 'step', before);
    },
  };
  hooked.set(optimizer, found);
  return found;
}

/** Parameters with names: `model.namedParameters()`, or a Map. */
export type NamedParameters = Iterable<readonly [name: string, parameter: Tensor]>;

export function watched(who: string, parameters: NamedParameters): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const [name, parameter] of parameters) {
    if (!(parameter instanceof Tensor)) throw new TypeError(`${who}: ${name} is not a Tensor.`);
    if (parameter.node === null || parameter.node.op !== null)
      throw new Error(
        `${who}: ${name}, of shape ${showShape(parameter.shape)}, is no parameter: give model.namedParameters().`,
      );
    found.set(name, parameter);
  }
  if (found.size === 0)
    throw new RangeError(
      `${who}: there are no parameters to watch. Does the model have any (model.namedParameters())?`,
    );
  return found;
}

export type Numbers = Float32Array | Float64Array;

/** The numbers of a tensor where they stand, or a copy where they do not stand in a row. */
export function reading<Result>(x: Tensor, body: (numbers: Numbers) => Result): Result {
  return x.layout.contiguous ? withData(x, body) : body(numbersOf(x));
}

/** As many as tensors were given. */
type Views = [a: Numbers, b: Numbers, c: Numbers, d: Numbers, e: Numbers];

/**
 * Calls `body` with the numbers of several tensors where they stand, no copy made: good only inside the call, in which no tensor may
 * be computed. `written` says which of them it writes.
 */
export function withNumbers(
  tensors: readonly Tensor[],
  written: readonly Tensor[],
  body: (...views: Views) => void,
): void {
  const dense = tensors.map(contiguous);
  // All addresses first: finding a place for one may enlarge the memory, and with it replace `floats`.
  const starts = dense.map(address);
  const { floats } = heap;
  body(...(starts.map((start, i) => floats.subarray(start, start + (dense[i] as Tensor).size)) as Views));
  for (const one of written) wroteTo(one);
  settle();
}

/** What a tracker asks for and it does not watch. */
export function entry<Entry>(who: string, entries: ReadonlyMap<string, Entry>, name: string): Entry {
  const found = entries.get(name);
  if (found === undefined)
    throw new RangeError(`${who}: no parameter named ${name} is watched; there are ${[...entries.keys()].join(', ')}.`);
  return found;
}

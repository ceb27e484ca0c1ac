/**
 * Resets: weights that start anew, and everyone who holds something about the old ones hears of it.
 *
 * A weight that continual learning draws anew is another weight in the same place. What belonged to the old one (moments of
 * an optimizer, an anchor, an importance, a gate that protects it) would drag the newborn back, freeze it or push it. So a
 * reset is an event of the parameter: `reset` writes the new numbers and then tells all holders which elements are new.
 * Optimizers, anchors, gates and named state of this library listen by themselves; `onReset` is the door for others: gates
 * that are numbers or functions are the program's, and so is what they read.
 *
 * A holder that outlives nobody's interest (an optimizer, say) listens weakly: the parameter does not keep it alive.
 */
import { noGrad } from '../autograd/modes.ts';
import { copy_ } from '../ops/inplace.ts';
import { withData } from '../tensor/access.ts';
import { tensor } from '../tensor/create.ts';
import { sameShape, showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, numbersOf, type Tensor } from '../tensor/tensor.ts';

/**
 * Which weights of a parameter: rows (first axis: what comes into units), columns (second axis: what leaves them), or
 * single elements by their row-major index.
 */
export type Part =
  | { readonly rows: readonly number[] }
  | { readonly columns: readonly number[] }
  | { readonly index: ArrayLike<number> };

/** Told after weights of a parameter were drawn anew: their row-major indices, each once, and how they were named. */
export type ResetListener = (elements: Int32Array, part: Part) => void;

interface Entry {
  /** null: a strong listener. */
  readonly owner: WeakRef<object> | null;
  readonly listener: (owner: object | null, elements: Int32Array, part: Part) => void;
}

class Listeners {
  entries: Entry[] = [];
  /** Number of entries at which the dead are looked for. */
  crowded = 8;

  add(entry: Entry): void {
    if (this.entries.length >= this.crowded) {
      this.entries = this.entries.filter(({ owner }) => owner === null || owner.deref() !== undefined);
      this.crowded = Math.max(8, 2 * this.entries.length);
    }
    this.entries.push(entry);
  }
}

const registry = new WeakMap<Tensor, Listeners>();

function listenersOf(parameter: Tensor): Listeners {
  let listeners = registry.get(parameter);
  if (listeners === undefined) {
    listeners = new Listeners();
    registry.set(parameter, listeners);
  }
  return listeners;
}

/**
 * Calls `listener` whenever weights of a parameter were drawn anew, after the new numbers stand there.
 *
 * @returns a function that takes it off
 *
 *     const w = parameter(ones([2, 2]));
 *     const heard = [];
 *     const remove = onReset(w, (elements) => heard.push(...elements));
 *     reset(w, { columns: [1] }, 0);
 *     heard; // [1, 3]
 *     remove();
 */
export function onReset(parameter: Tensor, listener: ResetListener): () => void {
  checkTensor('onReset', parameter);
  const listeners = listenersOf(parameter);
  const entry: Entry = { owner: null, listener: (_, elements, part) => listener(elements, part) };
  listeners.add(entry);
  return () => {
    listeners.entries = listeners.entries.filter((one) => one !== entry);
  };
}

/**
 * The same for as long as `owner` lives, which the parameter does not prolong; `listener` is handed the owner, and must
 * not hold it.
 */
export function onResetWhile<Owner extends object>(
  parameter: Tensor,
  owner: Owner,
  listener: (owner: Owner, elements: Int32Array, part: Part) => void,
): void {
  listenersOf(parameter).add({
    owner: new WeakRef(owner),
    listener: (alive, elements, part) => listener(alive as Owner, elements, part),
  });
}

/** The row-major indices of a part, checked: each in range and named once. */
export function elementsOf(who: string, { shape }: Tensor, part: Part): Int32Array {
  const [axis, listed] = 'rows' in part ? [0, part.rows] : 'columns' in part ? [1, part.columns] : [null, part.index];
  if (axis !== null && shape.length <= axis)
    throw new RangeError(`${who}: a parameter of shape ${showShape(shape)} has no ${axis === 0 ? 'rows' : 'columns'}.`);
  const count = axis === null ? sizeOf(shape) : shape[axis]!;
  const seen = new Set<number>();
  for (let i = 0; i < listed.length; i++) {
    const one = listed[i]!;
    if (!Number.isInteger(one) || one < 0 || one >= count)
      throw new RangeError(
        `${who}: ${axis === null ? 'element' : axis === 0 ? 'row' : 'column'} ${one} is not in a parameter of shape ` +
          `${showShape(shape)}: give integers from 0 to ${count - 1}.`,
      );
    if (seen.has(one)) throw new RangeError(`${who}: ${one} is named twice.`);
    seen.add(one);
  }
  if (axis === null) return Int32Array.from(listed);
  const inner = sizeOf(shape.slice(axis + 1));
  const outer = axis === 0 ? 1 : shape[0]!;
  const elements = new Int32Array(outer * listed.length * inner);
  let next = 0;
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < listed.length; i++)
      for (let k = 0; k < inner; k++) elements[next++] = (o * count + listed[i]!) * inner + k;
  return elements;
}

/**
 * Draws weights of a parameter anew: writes `values` there (one number for all, or one for each, in the order rows, columns
 * or index name them, row-major), and tells everyone who holds state about them. To be called between steps: an
 * optimizer step that comes after with gradients of before would be the old weights' step.
 *
 *     const w = parameter(ones([2, 2]));
 *     reset(w, { rows: [0] }, [3, 4]);
 *     w.toArray(); // [[3, 4], [1, 1]]
 */
export function reset(parameter: Tensor, part: Part, values: number | ArrayLike<number>): void {
  checkTensor('reset', parameter);
  if (parameter.node !== null && parameter.node.op !== null)
    throw new Error(
      `reset: a tensor of shape ${showShape(parameter.shape)} that is the result of an operation has no weights of its own. ` +
        'Reset the parameter it was made from.',
    );
  const elements = elementsOf('reset', parameter, part);
  if (typeof values !== 'number' && values.length !== elements.length)
    throw new RangeError(
      `reset: ${values.length} numbers for ${elements.length} weights. Give one number, or one for each.`,
    );
  if (elements.length === 0) return;
  writeAt(parameter, elements, typeof values === 'number' ? () => values : (_, i) => values[i]!);
  const { entries } = listenersOf(parameter);
  for (const { owner, listener } of entries.slice()) {
    const alive = owner === null ? null : owner.deref();
    if (alive !== undefined) listener(alive, elements, part);
  }
}

/** Where in a tensor that broadcasts to `shape` the number stands that entry i of `shape` sees. */
export function placesIn({ shape: own, size }: Tensor, shape: readonly number[]): (i: number) => number {
  if (size === 1) return () => 0;
  if (sameShape(own, shape)) return (i) => i;
  return (i) => {
    let [rest, place, step] = [i, 0, 1];
    for (let back = 1; back <= own.length; back++) {
      const length = shape[shape.length - back]!;
      const ownLength = own[own.length - back]!;
      if (ownLength !== 1) place += (rest % length) * step;
      rest = Math.floor(rest / length);
      step *= ownLength;
    }
    return place;
  };
}

/** Which elements of a tensor that broadcasts to a parameter belong to these weights alone. One number for all: none. */
export function ownersOf(x: Tensor, parameter: Tensor, elements: Int32Array): ArrayLike<number> {
  if (x.size === parameter.size) return elements;
  if (x.size === 1) return [];
  const place = placesIn(x, parameter.shape);
  const shares = parameter.size / x.size;
  const counts = new Map<number, number>();
  for (const element of elements) counts.set(place(element), (counts.get(place(element)) ?? 0) + 1);
  return [...counts].filter(([, count]) => count === shares).map(([owner]) => owner);
}

/** Writes numbers at row-major indices of a tensor. */
export function writeAt(
  x: Tensor,
  elements: ArrayLike<number>,
  value: (element: number, position: number) => number,
): void {
  const write = (numbers: Float32Array | Float64Array): void => {
    for (let i = 0; i < elements.length; i++) numbers[elements[i]!] = value(elements[i]!, i);
  };
  if (x.layout.contiguous) return withData(x, write, { write: true });
  const numbers = numbersOf(x);
  write(numbers);
  noGrad(() => copy_(x, tensor(numbers, x.shape)));
}

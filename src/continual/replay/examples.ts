/**
 * Examples that are kept to be learned from again, and what is drawn of them.
 *
 * A store has room for so many examples; the memory is taken once, when the first comes and their shape is known. Inputs
 * stand in it as float32, one after the other, each with its label, its head, its context and, where somebody asks for them,
 * the outputs of the model when it came. Labels and outputs are columns of the whole output.
 */

import type { Head } from '../../data/scenarios.ts';
import { add, mul } from '../../ops/binary.ts';
import type { Generator } from '../../random/generator.ts';
import { tensor } from '../../tensor/create.ts';
import { sameShape, showShape, sizeOf } from '../../tensor/layout.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import type { Batch, Learning } from '../method.ts';
import { checkFields } from '../state.ts';

/** Examples that were drawn, those of one head beside each other. */
export interface Drawn {
  /** [n, ...] */
  readonly x: Tensor;
  readonly labels: Int32Array;
  /** What the model said of each when it came, [n, outputs]; null where that is not kept. */
  readonly logits: Tensor | null;
  /** Which rows, from the first up to but not including the second, have which head. Their weights add up to 1. */
  readonly groups: readonly Group[];
}

export interface Group {
  readonly rows: readonly [from: number, to: number];
  readonly head: Head;
  /** What the mean over these rows counts. */
  readonly weight: number;
}

/** Copies of all that a store holds: plain data for a checkpoint. */
export interface StoreState {
  /** Shape of one input; null: none came yet. */
  readonly shape: readonly number[] | null;
  readonly inputs: Float32Array;
  readonly labels: Int32Array;
  readonly contexts: Int32Array;
  /** Two numbers an example. */
  readonly heads: Int32Array;
  /** null: not kept. */
  readonly logits: Float32Array | null;
}

export class ExampleStore {
  readonly capacity: number;
  readonly labels: Int32Array;
  readonly contexts: Int32Array;
  readonly heads: Int32Array;
  /** Examples that it holds: those in the places 0 to count - 1. */
  count = 0;
  #shape: readonly number[] | null = null;
  #inputs = new Float32Array(0);
  #logits: Float32Array | null = null;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.labels = new Int32Array(capacity);
    this.contexts = new Int32Array(capacity);
    this.heads = new Int32Array(2 * capacity);
  }

  /** Puts rows of a batch in these places; a place below 0 is none. Places that are new follow the last without a gap. */
  put(places: ArrayLike<number>, { x, labels, head, context }: Batch, output: Tensor | null = null): void {
    const numbers = numbersOf(x);
    const logits = output === null ? null : numbersOf(output);
    const [size, width] = [this.#sizeFor(x), this.#widthFor(output)];
    for (let row = 0; row < places.length; row++) {
      const place = places[row]!;
      if (place < 0) continue;
      this.#inputs.set(numbers.subarray(row * size, (row + 1) * size), place * size);
      if (logits !== null) this.#logits!.set(logits.subarray(row * width, (row + 1) * width), place * width);
      this.labels[place] = labels[row]!;
      this.contexts[place] = context;
      this.heads[2 * place] = head[0];
      this.heads[2 * place + 1] = head[1];
      this.count = Math.max(this.count, place + 1);
    }
  }

  #sizeFor({ shape: [, ...shape] }: Tensor): number {
    const size = sizeOf(shape);
    if (this.#shape === null) {
      this.#shape = shape;
      this.#inputs = new Float32Array(this.capacity * size);
    } else if (!sameShape(this.#shape, shape))
      throw new Error(
        `replay: inputs of shape ${showShape(shape)} came to a buffer of inputs of shape ${showShape(this.#shape)}. All contexts ` +
          'must have inputs of one shape.',
      );
    return size;
  }

  #widthFor(output: Tensor | null): number {
    const width = output?.shape[1] ?? 0;
    if (output === null) return width;
    this.#logits ??= new Float32Array(this.capacity * width);
    if (this.#logits.length !== this.capacity * width)
      throw new Error(
        `replay: an output of ${width} columns came to a buffer of outputs of ${this.#logits.length / this.capacity}.`,
      );
    return width;
  }

  headAt(place: number): Head {
    return [this.heads[2 * place]!, this.heads[2 * place + 1]!];
  }

  state(): StoreState {
    const { count } = this;
    const part = <A extends Float32Array | Int32Array>(array: A): A =>
      array.slice(0, (array.length / this.capacity) * count) as A;
    return {
      ...{ shape: this.#shape?.slice() ?? null, inputs: part(this.#inputs), labels: part(this.labels) },
      ...{ contexts: part(this.contexts), heads: part(this.heads) },
      logits: this.#logits === null ? null : part(this.#logits),
    };
  }

  /** A store that holds what was saved. What does not fit is an error. */
  static from(who: string, capacity: number, state: StoreState): ExampleStore {
    checkFields(`${who}.loadStateDict, examples`, state, ['shape', 'inputs', 'labels', 'contexts', 'heads', 'logits']);
    const { shape, inputs, labels, contexts, heads, logits } = state;
    const count = labels.length;
    const size = shape === null ? 0 : sizeOf(shape);
    const fits = inputs.length === count * size && contexts.length === count && heads.length === 2 * count;
    if (!fits || count > capacity || (logits !== null && count > 0 && logits.length % count !== 0))
      throw new RangeError(
        `${who}.loadStateDict: ${count} examples and their inputs, contexts, heads and logits do not belong together, or do not fit ` +
          `into a buffer of ${capacity}. Give the state of a buffer of the same options.`,
      );
    const store = new ExampleStore(capacity);
    store.count = count;
    store.labels.set(labels);
    store.contexts.set(contexts);
    store.heads.set(heads);
    if (shape !== null) {
      store.#shape = shape.slice();
      store.#inputs = new Float32Array(capacity * size);
      store.#inputs.set(inputs);
    }
    if (logits !== null && count > 0) {
      store.#logits = new Float32Array((capacity * logits.length) / count);
      store.#logits.set(logits);
    }
    return store;
  }

  /** Copies the examples in these places behind one another, from row `at` of a batch on. */
  copyTo(places: ArrayLike<number>, inputs: Float32Array, labels: Int32Array, at: number): void {
    const size = this.inputSize;
    for (let i = 0; i < places.length; i++) {
      const place = places[i]!;
      inputs.set(this.#inputs.subarray(place * size, (place + 1) * size), (at + i) * size);
      labels[at + i] = this.labels[place]!;
    }
  }

  /** The outputs that were kept with the examples in these places; null: none were. */
  logitsAt(places: ArrayLike<number>): Tensor | null {
    const from = this.#logits;
    if (from === null) return null;
    const width = from.length / this.capacity;
    const out = new Float32Array(places.length * width);
    for (let i = 0; i < places.length; i++)
      out.set(from.subarray(places[i]! * width, (places[i]! + 1) * width), i * width);
    return tensor(out, [places.length, width]);
  }

  get inputSize(): number {
    return this.#inputs.length / this.capacity;
  }

  /** Shape of one input. */
  get shape(): readonly number[] {
    return this.#shape ?? [];
  }
}

/** Inputs and labels of examples of several stores, one part behind the other. */
export function gathered(
  parts: readonly { readonly store: ExampleStore; readonly places: ArrayLike<number> }[],
): Pick<Drawn, 'x' | 'labels'> {
  const count = parts.reduce((sum, { places }) => sum + places.length, 0);
  const { shape, inputSize } = parts[0]!.store;
  const inputs = new Float32Array(count * inputSize);
  const labels = new Int32Array(count);
  let at = 0;
  for (const { store, places } of parts) {
    store.copyTo(places, inputs, labels, at);
    at += places.length;
  }
  return { x: tensor(inputs, [count, ...shape]), labels };
}

/** `count` of the numbers 0 to n - 1, each once, every such set equally likely (Floyd's algorithm). */
export function choose(count: number, n: number, generator: Generator): Int32Array {
  const chosen = new Set<number>();
  for (let last = n - count; last < n; last++) {
    const one = generator.integer(last + 1);
    chosen.add(chosen.has(one) ? last : one);
  }
  return Int32Array.from(chosen);
}

/** Whether all columns of a head are columns of another. */
export const within = ([from, to]: Head, [low, high]: Head): boolean => low <= from && to <= high;

/**
 * Mean cross-entropy of what was drawn. Examples whose head lies within the present one (the same, or one that has grown since)
 * are asked for among the columns of the present head, others through their own.
 */
export function replayLoss(learning: Learning, { x, labels, groups }: Drawn, present: Head): Tensor {
  const output = learning.output(x);
  if (groups.every(({ head }) => within(head, present))) return learning.lossOf(output, labels, present);
  return weighted(groups, ({ rows: [from, to], head }) => {
    const part = output.slice([[from, to]]);
    return learning.lossOf(part, labels.subarray(from, to), within(head, present) ? present : head);
  });
}

/** The sum over groups of weight times a mean over their rows. */
export function weighted(groups: readonly Group[], meanOf: (group: Group) => Tensor): Tensor {
  return groups
    .map((group) => (group.weight === 1 ? meanOf(group) : mul(meanOf(group), group.weight)))
    .reduce((sum, term) => add(sum, term));
}

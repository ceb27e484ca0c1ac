/**
 * A buffer by class and context: when a context ends, so many examples of each of its classes are chosen at random, and stay.
 *
 * Draws go through what is kept in passes, each example once in a pass; what is left at the end of a pass and makes no whole batch
 * is not drawn. Where all contexts share the present head, a pass is over all that earlier contexts left, mixed. Where they have
 * heads of their own, each context has its own passes, and gives an equal part of the batch.
 * van de Ven, Tuytelaars and Tolias, "Three types of incremental learning" (2022), experience replay.
 */

import type { Context, Head } from '../../data/scenarios.ts';
import type { Generator, GeneratorState } from '../../random/generator.ts';
import { given } from '../../tensor/given.ts';
import type { Batch } from '../method.ts';
import { checkFields, checkList, takingGenerator } from '../state.ts';
import { checkCount, checkGenerator } from './check.ts';
import { choose, type Drawn, ExampleStore, gathered, type StoreState, within } from './examples.ts';

export interface ContextBufferOptions {
  /** Examples of each class of each context; a class that has fewer gives all. */
  readonly perClass: number;
  /** Decides what is kept, and in which order it is drawn. */
  readonly generator: Generator;
}

/** A pass under way: examples by number, and how many have been drawn. */
interface Pass {
  readonly order: Int32Array;
  drawn: number;
}

interface Kept {
  readonly store: ExampleStore;
  readonly head: Head;
  pass: Pass | null;
}

export interface ContextBufferState {
  readonly contexts: readonly {
    readonly context: number;
    readonly head: Head;
    readonly store: StoreState;
    readonly pass: Readonly<Pass> | null;
  }[];
  /** The pass over several contexts, and which these are. */
  readonly mixed: { readonly contexts: readonly number[]; readonly pass: Readonly<Pass> } | null;
  readonly generator: GeneratorState;
}

/**
 *     const part = { inputs: [10, 11, 12, 13, 14, 15], labels: [0, 0, 0, 1, 1, 1] };
 *     const { contexts } = splitScenario({ train: part, test: part, shape: [1] }, { kind: 'domain' });
 *     const kept = new ContextBuffer({ perClass: 2, generator: new Generator(1) });
 *     kept.keep(contexts[0]);
 *     kept.count; // 4
 *     kept.draw(3, { context: 1, head: [0, 2] }).x.shape; // [3, 1]
 */
export class ContextBuffer {
  readonly perClass: number;
  readonly generator: Generator;
  #kept = new Map<number, Kept>();
  #mixed: { readonly contexts: readonly number[]; readonly pass: Pass } | null = null;

  /** A number of examples that is no whole number from 1 up, or a missing generator, is an error. */
  constructor(options: ContextBufferOptions) {
    const call = 'new ContextBuffer({ perClass: 100, generator: new Generator(1) })';
    const { perClass, generator } = given(call, 'options', options);
    checkCount('ContextBuffer', 'perClass', perClass);
    checkGenerator('ContextBuffer', generator);
    this.perClass = perClass;
    this.generator = generator;
  }

  /** Examples that it holds. */
  get count(): number {
    return [...this.#kept.values()].reduce((sum, { store }) => sum + store.count, 0);
  }

  /** Contexts other than this one of which it holds examples. */
  others(context: number): number {
    return this.#kept.size - (this.#kept.has(context) ? 1 : 0);
  }

  /** Chooses examples of a context. What was kept of this context before goes. */
  keep({ index, train, head }: Context): void {
    const { labels } = train;
    const byClass = new Map<number, number[]>();
    labels.forEach((label, row) => {
      const rows = byClass.get(label);
      if (rows === undefined) byClass.set(label, [row]);
      else rows.push(row);
    });
    const chosen = [...byClass.keys()]
      .sort((a, b) => a - b)
      .flatMap((label) => {
        const rows = byClass.get(label)!;
        return Array.from(choose(Math.min(this.perClass, rows.length), rows.length, this.generator), (i) => rows[i]!);
      });
    const store = new ExampleStore(chosen.length);
    const batch = {
      x: train.inputs(chosen),
      labels: Int32Array.from(chosen, (row) => labels[row]!),
      head,
      context: index,
    };
    store.put(
      chosen.map((_, place) => place),
      batch,
    );
    this.#kept.set(index, { store, head, pass: null });
    this.#mixed = null;
  }

  /** About `count` examples of contexts other than that of the batch: see above; null where there are none. */
  draw(count: number, { context, head }: Pick<Batch, 'context' | 'head'>): Drawn | null {
    const others = [...this.#kept].filter(([number, { store }]) => number !== context && store.count > 0);
    if (others.length === 0) return null;
    const mixed = others.every(([, one]) => within(one.head, head));
    const parts = mixed
      ? this.#drawMixed(count, others)
      : others.map(([, one]) => ({ ...one, places: this.#drawFrom(one, Math.ceil(count / others.length)) }));
    const drawn = parts.filter(({ places }) => places.length > 0);
    const examples = gathered(drawn);
    let to = 0;
    const groups = drawn.map(({ places, head }) => {
      const from = to;
      to += places.length;
      return {
        rows: [from, to] as const,
        head,
        weight: mixed ? places.length / examples.labels.length : 1 / drawn.length,
      };
    });
    return { ...examples, logits: null, groups };
  }

  #drawMixed(count: number, others: readonly (readonly [number, Kept])[]) {
    const contexts = others.map(([number]) => number);
    if (this.#mixed === null || String(this.#mixed.contexts) !== String(contexts)) {
      const total = others.reduce((sum, [, { store }]) => sum + store.count, 0);
      this.#mixed = { contexts, pass: { order: new Int32Array(total), drawn: total } };
    }
    const numbers = this.#next(this.#mixed.pass, count);
    let first = 0;
    return others.map(([, one]) => {
      const end = first + one.store.count;
      const places = numbers.filter((number) => number >= first && number < end).map((number) => number - first);
      first = end;
      return { ...one, places };
    });
  }

  #drawFrom(one: Kept, count: number): Int32Array {
    one.pass ??= { order: new Int32Array(one.store.count), drawn: one.store.count };
    return this.#next(one.pass, count);
  }

  /** The next `count` numbers of a pass, at most all; a new pass where there are not so many left. */
  #next(pass: Pass, count: number): Int32Array {
    const { order } = pass;
    const size = Math.min(count, order.length);
    if (pass.drawn + size > order.length) {
      order.set(this.generator.permutation(order.length));
      pass.drawn = 0;
    }
    pass.drawn += size;
    return order.subarray(pass.drawn - size, pass.drawn);
  }

  /** All that it holds, where its passes stand, and its generator's state: plain data for a checkpoint. */
  stateDict(): ContextBufferState {
    return {
      contexts: Array.from(this.#kept, ([context, { store, head, pass }]) => ({
        ...{ context, head: [head[0], head[1]] as const, store: store.state(), pass: pass && copied(pass) },
      })),
      mixed: this.#mixed && { contexts: this.#mixed.contexts.slice(), pass: copied(this.#mixed.pass) },
      generator: this.generator.state,
    };
  }

  /** Takes over the state of such a buffer. What does not fit is an error that changes nothing. */
  loadStateDict(state: ContextBufferState): void {
    const who = 'ContextBuffer.loadStateDict';
    checkFields(who, state, ['contexts', 'mixed', 'generator']);
    const { contexts, mixed, generator } = state;
    checkList(who, 'contexts', contexts);
    const commit = takingGenerator(who, this.generator, generator);
    const loaded = contexts.map(({ context, head, store, pass }): [number, Kept] => [
      context,
      { head, store: ExampleStore.from('ContextBuffer', store.labels.length, store), pass: pass && copied(pass) },
    ]);
    commit();
    this.#kept = new Map(loaded);
    this.#mixed = mixed && { contexts: mixed.contexts.slice(), pass: copied(mixed.pass) };
  }
}

const copied = ({ order, drawn }: Readonly<Pass>): Pass => ({ order: order.slice(), drawn });

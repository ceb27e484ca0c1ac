/**
 * A reservoir: of all examples that were ever shown to it, a random sample of fixed size, every example equally likely.
 *
 * The n-th example (from 1) comes in with probability capacity / n, in a random place. By induction each of the n so far is in
 * it with this probability, without anybody knowing how many will come.
 * Vitter, "Random sampling with a reservoir" (1985), algorithm R.
 */

import type { Generator, GeneratorState } from '../../random/generator.ts';
import { given } from '../../tensor/given.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Batch } from '../method.ts';
import { checkCounted, checkFields, takingGenerator } from '../state.ts';
import { checkCount, checkGenerator } from './check.ts';
import { choose, type Drawn, ExampleStore, type Group, gathered, type StoreState } from './examples.ts';

export interface ReservoirOptions {
  /** Examples that there is room for. */
  readonly capacity: number;
  /** Decides what is kept, and what is drawn. */
  readonly generator: Generator;
}

export interface ReservoirState {
  readonly seen: number;
  readonly store: StoreState;
  readonly generator: GeneratorState;
}

/**
 *     const reservoir = new Reservoir({ capacity: 2, generator: new Generator(1) });
 *     reservoir.add({ x: randn([5, 3]), labels: Int32Array.of(0, 1, 2, 3, 4), head: [0, 5], context: 0 });
 *     reservoir.draw(2).x.shape; // [2, 3]
 */
export class Reservoir {
  readonly capacity: number;
  readonly generator: Generator;
  #store: ExampleStore;
  #seen = 0;

  /** A capacity that is no whole number from 1 up, or a missing generator, is an error. */
  constructor(options: ReservoirOptions) {
    const call = 'new Reservoir({ capacity: 500, generator: new Generator(1) })';
    const { capacity, generator } = given(call, 'options', options);
    checkCount('Reservoir', 'capacity', capacity);
    checkGenerator('Reservoir', generator);
    this.capacity = capacity;
    this.generator = generator;
    this.#store = new ExampleStore(capacity);
  }

  /** Examples that it holds. */
  get count(): number {
    return this.#store.count;
  }
  /** Examples that were shown to it. */
  get seen(): number {
    return this.#seen;
  }

  /** Shows it the examples of a batch; with `output`, [n, outputs], what the model says of each is kept beside it. */
  add(batch: Batch, output: Tensor | null = null): void {
    const { capacity, generator } = this;
    const places = new Int32Array(batch.labels.length);
    let any = false;
    for (let row = 0; row < places.length; row++) {
      this.#seen++;
      const place = this.#seen <= capacity ? this.#seen - 1 : generator.integer(this.#seen);
      places[row] = place < capacity ? place : -1;
      any ||= place < capacity;
    }
    if (any) this.#store.put(places, batch, output);
  }

  /** `count` examples, or all if there are fewer, each at most once; null where there are none. */
  draw(count: number): Drawn | null {
    const store = this.#store;
    if (store.count === 0) return null;
    const { heads } = store;
    const order = (a: number, b: number) => heads[2 * a]! - heads[2 * b]! || heads[2 * a + 1]! - heads[2 * b + 1]!;
    const places = choose(Math.min(count, store.count), store.count, this.generator).sort(order);
    const groups: Group[] = [];
    for (let from = 0, to = 1; to <= places.length; to++) {
      if (to < places.length && order(places[from]!, places[to]!) === 0) continue;
      groups.push({ rows: [from, to], head: store.headAt(places[from]!), weight: (to - from) / places.length });
      from = to;
    }
    return { ...gathered([{ store, places }]), logits: store.logitsAt(places), groups };
  }

  /** All that it holds, and its generator's state: plain data for a checkpoint. */
  stateDict(): ReservoirState {
    return { seen: this.#seen, store: this.#store.state(), generator: this.generator.state };
  }

  /** Takes over the state of a reservoir of this capacity. What does not fit is an error that changes nothing. */
  loadStateDict(state: ReservoirState): void {
    const { capacity } = this;
    const who = 'Reservoir.loadStateDict';
    checkFields(who, state, ['seen', 'store', 'generator']);
    const { seen, store, generator } = state;
    checkCounted(who, 'seen', seen);
    const commit = takingGenerator(who, this.generator, generator);
    if (store.labels.length !== Math.min(seen, capacity))
      throw new RangeError(
        `${who}: a reservoir of ${capacity} that has seen ${seen} examples holds ${Math.min(seen, capacity)}, not ` +
          `${store.labels.length}. Make it with the capacity of the one that was saved.`,
      );
    const loaded = ExampleStore.from('Reservoir', capacity, store);
    commit();
    this.#store = loaded;
    this.#seen = seen;
  }
}

/**
 * From contexts to mini-batches: one context after the other, all at once (joint training), or as a stream that does not tell where
 * a context begins.
 *
 * Within a pass over a context's examples none comes twice; each pass has an order of its own; examples that are left over at the
 * end of a pass, too few for a batch, are dropped. Published comparisons draw them so. All checks come before the first batch.
 */

import { defaultGenerator, type Generator } from '../random/generator.ts';
import { tensor } from '../tensor/create.ts';
import { given } from '../tensor/given.ts';
import { showShape } from '../tensor/layout.ts';
import { numbersOf } from '../tensor/tensor.ts';
import { batches } from './batches.ts';
import { checkWhole } from './check.ts';
import type { Batch, Context, Examples, Scenario } from './scenarios.ts';

export interface ContextBatchesOptions {
  /** Examples of a batch. */
  readonly batchSize: number;
  /** Batches in all. */
  readonly iterations: number;
  /** Where orders come from; the default generator unless given. */
  readonly generator?: Generator;
}

function check(who: string, contexts: readonly Context[], { batchSize, iterations }: ContextBatchesOptions): void {
  if (contexts.length === 0) throw new RangeError(`${who}: the scenario has no contexts.`);
  checkWhole(who, 'batchSize', batchSize, 1);
  checkWhole(who, 'iterations', iterations, 0);
  for (const { index, train } of contexts)
    if (train.labels.length < batchSize)
      throw new RangeError(
        `${who}: context ${index} has ${train.labels.length} training examples, too few for one batch of ${batchSize} (incomplete ` +
          'ones are dropped). Choose a smaller batchSize.',
      );
}

/** Batches of one context without end. */
function* endless({ index, train, head }: Context, batchSize: number, generator: Generator): Iterator<Batch, never> {
  const pass = batches(train.labels.length, batchSize, { generator, dropLast: true });
  for (;;)
    for (const rows of pass) {
      const labels = Int32Array.from(rows, (row) => train.labels[row]!);
      yield { x: train.inputs(rows), labels, head, context: index };
    }
}

/**
 * So many batches of a context's training examples, in as many passes as it takes. Each loop over the result draws anew.
 *
 * Errors: fewer examples than a batch holds.
 *
 *     const part = { inputs: [1, 2, 3, 4, 5, 6], labels: [0, 1, 0, 1, 0, 1] };
 *     const { contexts } = splitScenario({ train: part, test: part, shape: [1] }, { kind: 'task' });
 *     const options = { batchSize: 2, iterations: 5, generator: new Generator(1) };
 *     for (const batch of contextBatches(contexts[0], options)) console.log(batch.x.shape); // [2, 1], five times
 */
export function contextBatches(context: Context, options: ContextBatchesOptions): Iterable<Batch> {
  const call = 'contextBatches(context, { batchSize: 32, iterations: 100 })';
  given(call, 'a context and options', context);
  const { batchSize, iterations, generator = defaultGenerator } = given(call, 'options', options);
  check('contextBatches', [context], options);
  return {
    *[Symbol.iterator]() {
      const source = endless(context, batchSize, generator);
      for (let i = 0; i < iterations; i++) yield source.next().value;
    },
  };
}

/**
 * A context that holds all examples of a scenario: what joint training learns from, the bound that methods against forgetting are
 * measured by. Its number is 0, its examples are those of all contexts one after the other, its head is the last context's, which
 * is the widest.
 *
 * Error: a scenario of the kind 'task', whose contexts have heads of their own, so that their examples share no batch. There
 * it is `mixedBatches`.
 *
 *     const part = { inputs: [1, 2, 3, 4], labels: [0, 1, 2, 3] };
 *     const all = joint(splitScenario({ train: part, test: part, shape: [1] }, { kind: 'class' }));
 *     Array.from(all.train.labels); // [0, 1, 2, 3]
 */
export function joint(scenario: Scenario): Context {
  const { kind, contexts, inputShape } = given('joint(scenario)', 'the contexts of a scenario', scenario);
  const last = contexts.at(-1);
  if (last === undefined) throw new RangeError('joint: the scenario has no contexts.');
  if (kind === 'task')
    throw new RangeError(
      "joint: in a scenario of the kind 'task' each context has a head of its own, so their examples share no batch. Use mixedBatches.",
    );
  const together = (part: 'train' | 'test'): Examples =>
    concatenated(
      contexts.map((context) => context[part]),
      inputShape,
    );
  return { index: 0, kind, train: together('train'), test: together('test'), head: last.head };
}

/** The examples of several sets, one set after the other. */
function concatenated(sets: readonly Examples[], shape: readonly number[]): Examples {
  const total = sets.reduce((sum, { labels }) => sum + labels.length, 0);
  const labels = new Int32Array(total);
  // Of each example, its set and its row there.
  const [setOf, rowOf] = [new Int32Array(total), new Int32Array(total)];
  let next = 0;
  sets.forEach((set, index) => {
    labels.set(set.labels, next);
    for (let row = 0; row < set.labels.length; row++, next++) {
      setOf[next] = index;
      rowOf[next] = row;
    }
  });
  return {
    labels,
    inputs(rows) {
      // One batch from each set, its rows then put where they belong.
      const places = sets.map((): number[] => []);
      for (let i = 0; i < rows.length; i++) {
        const set = setOf[rows[i]!];
        if (set === undefined)
          throw new RangeError(`joint: there is no example ${rows[i]} in this context; it has 0 to ${total - 1}.`);
        places[set]!.push(i);
      }
      const size = shape.reduce((product, length) => product * length, 1);
      const out = new Float32Array(rows.length * size);
      places.forEach((own, index) => {
        if (own.length === 0) return;
        const x = sets[index]!.inputs(own.map((place) => rowOf[rows[place]!]!));
        if (x.size !== own.length * size)
          throw new RangeError(
            `joint: context ${index} gave inputs of shape ${showShape(x.shape)}, but the scenario says ${showShape(shape)} for each.`,
          );
        const numbers = numbersOf(x);
        own.forEach((place, i) => {
          out.set(numbers.subarray(i * size, (i + 1) * size), place * size);
        });
      });
      return tensor(out, [rows.length, ...shape]);
    },
  };
}

/**
 * For joint training with heads of their own: each time a batch of every context, of ceil(batchSize / contexts) examples. The loss is
 * the mean of theirs, each through its head: `learner.learnTogether(batches)`.
 *
 *     const part = { inputs: [1, 2, 3, 4], labels: [0, 1, 2, 3] };
 *     const scenario = splitScenario({ train: part, test: part, shape: [1] }, { kind: 'task' });
 *     const heads = [];
 *     for (const both of mixedBatches(scenario, { batchSize: 4, iterations: 1 })) for (const { head } of both) heads.push(head);
 *     heads; // [[0, 2], [2, 4]]
 */
export function mixedBatches(scenario: Scenario, options: ContextBatchesOptions): Iterable<readonly Batch[]> {
  const call = 'mixedBatches(scenario, { batchSize: 32, iterations: 100 })';
  const { contexts } = given(call, 'a scenario and options', scenario);
  const { iterations, generator = defaultGenerator } = given(call, 'options', options);
  const who = 'mixedBatches';
  checkWhole(who, 'batchSize', options.batchSize, 1);
  const batchSize = Math.ceil(options.batchSize / Math.max(1, contexts.length));
  check(who, contexts, { ...options, batchSize });
  return {
    *[Symbol.iterator]() {
      const sources = contexts.map((context) => endless(context, batchSize, generator.fork()));
      for (let i = 0; i < iterations; i++) yield sources.map((source) => source.next().value);
    },
  };
}

export interface ScenarioStreamOptions extends ContextBatchesOptions {
  /** Batches of each context. */
  readonly iterations: number;
  /**
   * Over so many batches around each boundary, at most `iterations`, the next context takes over gradually: each batch is of one
   * or the other by lot, and the next one's chance rises along a line. 0 unless given: from one batch to the next.
   */
  readonly blend?: number;
}

/**
 * A scenario as a stream: contexts x iterations batches, and no word of where a context begins; for learners that do without
 * `begin` and `end`. All examples of a batch are of one context, blended or not; with a batch size of 1 contexts blend example
 * by example. (A batch has its context's number, by which the kind 'task' chooses the head; task-free methods do not look.)
 *
 *     const part = { inputs: [1, 2, 3, 4], labels: [0, 1, 2, 3] };
 *     const scenario = splitScenario({ train: part, test: part, shape: [1] }, { kind: 'class' });
 *     const seen = [];
 *     for (const { context } of scenarioStream(scenario, { batchSize: 1, iterations: 3 })) seen.push(context);
 *     seen; // [0, 0, 0, 1, 1, 1]
 */
export function scenarioStream(scenario: Scenario, options: ScenarioStreamOptions): Iterable<Batch> {
  const call = 'scenarioStream(scenario, { batchSize: 1, iterations: 1000 })';
  const { contexts } = given(call, 'a scenario and options', scenario);
  const { batchSize, iterations, generator = defaultGenerator, blend = 0 } = given(call, 'options', options);
  const who = 'scenarioStream';
  check(who, contexts, options);
  checkWhole(who, 'blend', blend, 0, iterations);
  return {
    *[Symbol.iterator]() {
      const lots = generator.fork();
      const sources = contexts.map((context) => endless(context, batchSize, generator.fork()));
      for (let i = 0; i < contexts.length * iterations; i++) {
        // The nearest boundary, and how far behind it this batch is, from its middle.
        const boundary = Math.min(Math.max(1, Math.round((i + 0.5) / iterations)), contexts.length - 1);
        const beyond = i + 0.5 - boundary * iterations;
        const later = Math.abs(beyond) < blend / 2 ? lots.uniform() < 0.5 + beyond / blend : beyond > 0;
        // With one context there is no boundary, and nothing before it.
        yield sources[later ? boundary : Math.max(0, boundary - 1)]!.next().value;
      }
    },
  };
}

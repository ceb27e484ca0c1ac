/**
 * What experience replay and A-GEM remember: a buffer by class and context, or a reservoir, behind one face.
 */

import type { Context } from '../../data/scenarios.ts';
import type { Generator } from '../../random/generator.ts';
import type { Batch } from '../method.ts';
import { checkFields, checkList } from '../state.ts';
import { checkCount, checkGenerator } from './check.ts';
import { ContextBuffer, type ContextBufferState } from './context-buffer.ts';
import type { Drawn } from './examples.ts';
import { Reservoir, type ReservoirState } from './reservoir.ts';

export interface MemoryOptions {
  /**
   * What is kept: 'class', a fixed number of each class of each context, chosen when the context ends (as published, and unless
   * given); or 'reservoir', a random sample of all that was ever learned, for which contexts need not end.
   */
  readonly buffer?: 'class' | 'reservoir';
  /** For 'class': examples of each class and context; 100 unless given. */
  readonly perClass?: number;
  /** For 'reservoir': examples in all. */
  readonly capacity?: number;
  /** Examples that are drawn each step; 128 unless given, or the capacity of a smaller reservoir. As long as fewer are kept, all of them. */
  readonly batchSize?: number;
  /** Decides what is kept and what is drawn. */
  readonly generator: Generator;
}

/** State of a method with such a memory: plain data for a checkpoint. */
export type MemoryState =
  | { readonly buffer: 'class'; readonly examples: ContextBufferState }
  | { readonly buffer: 'reservoir'; readonly examples: ReservoirState; readonly contexts: readonly number[] };

export interface Memory {
  /** Examples to learn from beside this batch; null: there are none. */
  draw(batch: Batch): Drawn | null;
  /** Contexts other than that of the batch of which something was learned. */
  others(batch: Batch): number;
  learned(batch: Batch): void;
  ended(context: Context): void;
  stateDict(): MemoryState;
  loadStateDict(state: MemoryState): void;
}

export function memoryFor(who: string, options: MemoryOptions): Memory {
  const { buffer = 'class', perClass, capacity, batchSize = usualBatch(capacity), generator } = options;
  checkGenerator(who, generator);
  checkCount(who, 'batchSize', batchSize);
  if (buffer === 'class') {
    if (capacity !== undefined)
      throw new Error(
        `${who}: capacity is for a reservoir. For the buffer 'class', say perClass, or buffer: 'reservoir'.`,
      );
    if (perClass !== undefined) checkCount(who, 'perClass', perClass);
    return byClass(who, new ContextBuffer({ perClass: perClass ?? 100, generator }), batchSize);
  }
  if (buffer !== 'reservoir') throw new Error(`${who}: buffer is 'class' or 'reservoir', not ${String(buffer)}.`);
  if (perClass !== undefined)
    throw new Error(
      `${who}: perClass is for the buffer 'class'. For a reservoir, say how many there are in all: capacity.`,
    );
  checkReservoir(who, capacity, batchSize);
  return reservoir(who, new Reservoir({ capacity: capacity!, generator }), batchSize);
}

/** How many are drawn at once unless it is said: at most all that there is room for. */
export const usualBatch = (capacity: unknown): number =>
  Number.isInteger(capacity) && Number(capacity) >= 1 ? Math.min(128, Number(capacity)) : 128;

/** Capacity of a reservoir, and how many are drawn from it at once. */
export function checkReservoir(who: string, capacity: unknown, batchSize: number): void {
  checkCount(who, 'capacity', capacity);
  checkCount(who, 'batchSize', batchSize);
  if (batchSize > (capacity as number))
    throw new RangeError(
      `${who}: ${batchSize} examples cannot be drawn from a reservoir of ${String(capacity)}. Choose a batchSize of at most the capacity.`,
    );
}

function byClass(who: string, examples: ContextBuffer, batchSize: number): Memory {
  return {
    draw: (batch) => examples.draw(batchSize, batch),
    others: ({ context }) => examples.others(context),
    learned: () => {},
    ended: (context) => examples.keep(context),
    stateDict: () => ({ buffer: 'class', examples: examples.stateDict() }),
    loadStateDict(state) {
      if (state?.buffer !== 'class') throw otherBuffer(who, state?.buffer, 'class');
      checkFields(`${who}.loadStateDict`, state, ['buffer', 'examples']);
      examples.loadStateDict(state.examples);
    },
  };
}

function reservoir(who: string, examples: Reservoir, batchSize: number): Memory {
  let contexts = new Set<number>();
  return {
    draw: () => examples.draw(batchSize),
    others: ({ context }) => contexts.size - (contexts.has(context) ? 1 : 0),
    learned(batch) {
      contexts.add(batch.context);
      examples.add(batch);
    },
    ended: () => {},
    stateDict: () => ({ buffer: 'reservoir', examples: examples.stateDict(), contexts: [...contexts] }),
    loadStateDict(state) {
      if (state?.buffer !== 'reservoir') throw otherBuffer(who, state?.buffer, 'reservoir');
      checkFields(`${who}.loadStateDict`, state, ['buffer', 'examples', 'contexts']);
      checkList(`${who}.loadStateDict`, 'contexts', state.contexts);
      const known = new Set(state.contexts);
      examples.loadStateDict(state.examples);
      contexts = known;
    },
  };
}

const otherBuffer = (who: string, saved: string | undefined, own: string): Error =>
  new Error(`${who}.loadStateDict: the state is of the buffer '${saved}', this method has the buffer '${own}'.`);

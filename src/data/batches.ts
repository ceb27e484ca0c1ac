/**
 * Cutting a data set into batches: which rows belong together, in which order.
 *
 * Only row numbers are produced, so it serves data of any kind: arrays of bytes, lists of labels, tensors (`indexSelect`).
 */

import type { Generator } from '../random/generator.ts';

export interface BatchOptions {
  /** Shuffles the rows with this generator; without it they come in order. */
  readonly generator?: Generator | undefined;
  /** Leaves out a last batch that is smaller than the others. Default false. */
  readonly dropLast?: boolean | undefined;
}

/**
 * The rows 0 to `count` - 1 in batches of `batchSize` row numbers.
 *
 * Each loop over the result is one epoch, and draws a new order from the generator as it starts. Each batch is an array
 * of its own. Throws a RangeError where `count` is no integer from 0 up, or `batchSize` none from 1 up.
 *
 *     const epoch = batches(5, 2);
 *     for (const rows of epoch) console.log(rows);   // Int32Array [0, 1], [2, 3], [4]
 */
export function batches(count: number, batchSize: number, options: BatchOptions = {}): Iterable<Int32Array> {
  if (!Number.isInteger(count) || count < 0 || count > 2 ** 31 - 1) {
    throw new RangeError(`batches: count must be an integer from 0 to 2^31 - 1, but it is ${String(count)}.`);
  }
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`batches: batchSize must be an integer from 1 up, but it is ${String(batchSize)}.`);
  }
  const { generator, dropLast = false } = options;
  const end = dropLast ? count - (count % batchSize) : count;
  return {
    *[Symbol.iterator]() {
      const order = generator?.permutation(count);
      for (let start = 0; start < end; start += batchSize) {
        const stop = Math.min(start + batchSize, end);
        yield order ? order.slice(start, stop) : Int32Array.from({ length: stop - start }, (_, row) => start + row);
      }
    },
  };
}

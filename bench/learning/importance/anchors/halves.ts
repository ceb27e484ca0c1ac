/**
 * A task in two: the first half of its classes, and the second. Both are answered in the same columns of the output, the k-th class of
 * a half in column k, and nobody says which half an example is of. So the second half takes the very outputs of the first, and what
 * is forgotten is not merely hidden by a head that nobody asks.
 */

import type { Examples, Task } from '../tasks.ts';

/** Of an odd number of classes the last is left out. */
export function halvesOf(task: Task, classes: number): readonly [first: Task, second: Task] {
  const half = Math.floor(classes / 2);
  const part = (from: number): Task => {
    const own = (examples: Examples) => withClasses(examples, from, from + half);
    return { ...task, outputs: half, train: own(task.train), heldOut: own(task.heldOut) };
  };
  return [part(0), part(half)];
}

/** The examples of some classes, which begin at 0. */
function withClasses({ count, labels, inputs }: Examples, from: number, to: number): Examples {
  const rows = Int32Array.from({ length: count }, (_, row) => row).filter(
    (row) => labels[row]! >= from && labels[row]! < to,
  );
  return {
    count: rows.length,
    labels: rows.map((row) => labels[row]! - from),
    inputs: (own) => inputs(own.map((row) => rows[row]!)),
  };
}

/** The examples with all of their numbers in memory, for those that are read many times and dear to compute. */
export function inMemory({ count, labels, inputs }: Examples): Examples {
  const all = inputs(Int32Array.from({ length: count }, (_, row) => row));
  const size = count === 0 ? 0 : all.length / count;
  return {
    count,
    labels,
    inputs(rows) {
      const out = new Float32Array(rows.length * size);
      rows.forEach((row, i) => {
        out.set(all.subarray(row * size, (row + 1) * size), i * size);
      });
      return out;
    },
  };
}

/**
 * Two tasks in a row for the demonstration of selective backpropagation, from the embedded digits, in two ways. Permuted: all
 * ten classes as they are, then with the pixels of every image permuted. Split: 0 to 4, then 5 to 9, on the same five
 * outputs. Either way one output layer serves both tasks, and nothing tells the network which it sees.
 */

import { Generator, type Tensor, tensor } from '../../src/index.ts';
import { drawDigits } from './digits.ts';
import type { LabelledImages } from './images.ts';

/** Images as rows of numbers around 0. */
export interface Examples {
  readonly rows: readonly Float32Array[];
  readonly labels: Uint8Array;
}

export interface Task {
  readonly train: Examples;
  readonly test: Examples;
}

const TRAIN = 2000;
const TEST = 1000;

/** Drawn at the first use; the same for every seed. */
let drawn: { train: LabelledImages; test: LabelledImages } | null = null;
function images(): { train: LabelledImages; test: LabelledImages } {
  drawn ??= { train: drawDigits(TRAIN, new Generator(1)), test: drawDigits(TEST, new Generator(2)) };
  return drawn;
}

export type Pair = readonly [a: Task, b: Task];

export const PAIRS = { permuted: permutedTasks, split: splitTasks } as const;

/** 0 to 4, then 5 to 9, as classes 0 to 4 both times. */
function splitTasks(): Pair {
  const { train, test } = images();
  const task = (first: number): Task => ({
    train: classesFrom(examples(train), first),
    test: classesFrom(examples(test), first),
  });
  return [task(0), task(5)];
}

function classesFrom({ rows, labels }: Examples, first: number): Examples {
  const inside = (label: number): boolean => label >= first && label < first + 5;
  return {
    rows: rows.filter((_, i) => inside(labels[i]!)),
    labels: labels.filter(inside).map((label) => label - first),
  };
}

/** The permutation is the seed's. */
function permutedTasks(seed: number): Pair {
  const { train, test } = images();
  const order = new Generator(seed).permutation(train.height * train.width);
  return [
    { train: examples(train), test: examples(test) },
    { train: examples(train, order), test: examples(test, order) },
  ];
}

function examples({ count, height, width, pixels, labels }: LabelledImages, order?: ArrayLike<number>): Examples {
  const size = height * width;
  const rows = Array.from({ length: count }, (_, image) =>
    Float32Array.from({ length: size }, (_, i) => (pixels[image * size + (order?.[i] ?? i)]! - 30) / 80),
  );
  return { rows, labels };
}

/** The examples of these places as one batch. */
export function batchOf({ rows, labels }: Examples, places: ArrayLike<number>): [images: Tensor, labels: Int32Array] {
  const size = rows[0]!.length;
  const values = new Float32Array(places.length * size);
  for (let i = 0; i < places.length; i++) values.set(rows[places[i]!]!, i * size);
  return [tensor(values, [places.length, size]), Int32Array.from(places, (place) => labels[place]!)];
}

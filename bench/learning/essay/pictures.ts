/** Small pictures to learn from: the embedded digits, averaged over squares of pixels, as rows of numbers around 0. */

import { argmax, Generator, noGrad, type Tensor, tensor } from '../../../src/index.ts';
import { drawDigits, SIDE } from '../digits.ts';
import type { Examples } from '../selective-tasks.ts';

/**
 * `count` digits of side x side numbers, side a divisor of 28; standardized with fixed numbers, so that any two sets are on
 * one scale.
 */
export function pictures(count: number, seed: number, side: number): Examples {
  const { pixels, labels } = drawDigits(count, new Generator(seed));
  const block = SIDE / side;
  const rows = Array.from({ length: count }, (_, image) => {
    const row = new Float32Array(side * side);
    for (let y = 0; y < SIDE; y++)
      for (let x = 0; x < SIDE; x++)
        row[Math.floor(y / block) * side + Math.floor(x / block)]! += pixels[(image * SIDE + y) * SIDE + x]!;
    return row.map((ink) => (ink / (block * block) - 30) / 60);
  });
  return { rows, labels };
}

/** Those of the classes first to first + 4, as classes 0 to 4. */
export function fiveClasses({ rows, labels }: Examples, first: number): Examples {
  const inside = (label: number): boolean => label >= first && label < first + 5;
  return {
    rows: rows.filter((_, i) => inside(labels[i]!)),
    labels: labels.filter(inside).map((label) => label - first),
  };
}

/** The same pictures with their pixels in another order. */
export function permuted({ rows, labels }: Examples, order: ArrayLike<number>): Examples {
  return { rows: rows.map((row) => Float32Array.from(row, (_, i) => row[order[i]!]!)), labels };
}

/** A whole set as one tensor, with its labels. */
export function whole({ rows, labels }: Examples): { images: Tensor; labels: Int32Array } {
  const size = rows[0]!.length;
  const values = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) values.set(row, i * size);
  return { images: tensor(values, [rows.length, size]), labels: Int32Array.from(labels) };
}

/** The share of pictures whose largest logit is that of their class. */
export function accuracy(model: { forward(x: Tensor): Tensor }, images: Tensor, labels: Int32Array): number {
  const guesses = noGrad(() => argmax(model.forward(images), 1)).data;
  return labels.reduce((right, label, i) => right + (guesses[i] === label ? 1 : 0), 0) / labels.length;
}

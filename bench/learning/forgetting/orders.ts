/** Which digits a run learns one after the other. The order is part of the task: it says which digits are told apart. */

import { Generator } from '../../../src/index.ts';
import { CLASSES } from '../images.ts';

/** The digits of each context, in the order of their classes. */
export type Digits = readonly (readonly number[])[];

export const ORDERS = ['natural', 'reference'] as const;
export type Order = (typeof ORDERS)[number];

const PER_CONTEXT = 2;

/**
 * What the published code of van de Ven (GMvandeVen/continual-learning) learns with the seeds 1 to 3: digit d is class p[d] of
 * numpy.random.seed(seed); p = numpy.random.permutation(10), and classes 2k and 2k + 1 are context k.
 */
const PUBLISHED: Readonly<Record<number, Digits>> = {
  1: pairs([4, 6, 0, 5, 3, 9, 2, 7, 8, 1]),
  2: pairs([3, 1, 5, 6, 0, 2, 7, 4, 9, 8]),
  3: pairs([7, 2, 3, 8, 1, 0, 5, 6, 9, 4]),
};

/** natural: 0 and 1 first. reference: as published where it is known for this seed, otherwise drawn from the seed. */
export function digitsOf(order: Order, seed: number): Digits {
  if (order === 'natural') return pairs(Array.from({ length: CLASSES }, (_, digit) => digit));
  return PUBLISHED[seed] ?? pairs([...new Generator(seed).permutation(CLASSES)]);
}

function pairs(digits: readonly number[]): Digits {
  return Array.from({ length: digits.length / PER_CONTEXT }, (_, k) =>
    digits.slice(PER_CONTEXT * k, PER_CONTEXT * (k + 1)),
  );
}

/**
 * From an order of weights to how firmly each is held.
 *
 * Measures have units of their own, and spread over few powers of ten or many: used as precisions as they are, they would be compared by
 * their spread and not by what they know. So the precision of a weight depends on its rank alone: of the weights that are compared with each
 * other, the one above a share q of them has strength 10^(-decades (1 - q)). Every measure gives the same set of precisions, a random one
 * too; only who gets which differs. It is the same order, ties by the same lots, as that by which weights are removed.
 *
 * Weights that the order does not hold (biases, where weights are single) all have the mean of those precisions, by every measure.
 */

import type { Ranking } from '../../../../src/importance/ranking.ts';
import { type Module, type Tensor, tensor } from '../../../../src/index.ts';

/** Steps of the ladder: weights are put in so many groups as near to equal as they come. */
export const LEVELS = 100;

/** By level, from the least important. */
export const precisionsOf = (decades: number): Float64Array =>
  Float64Array.from({ length: LEVELS }, (_, level) => 10 ** (-decades * (1 - (level + 0.5) / LEVELS)));

/** The level of each weight that takes part, 0 for the least important up to LEVELS - 1. */
export function levelsOf(ranking: Ranking): Uint8Array {
  const levels = new Uint8Array(ranking.size);
  // What has gone at a threshold has gone at all above it: a weight's level is how many thresholds it outlives.
  levels.fill(LEVELS - 1);
  for (let level = LEVELS - 1; level >= 1; level--)
    for (const place of ranking.removed(level / LEVELS)) levels[place] = level - 1;
  return levels;
}

/** Precisions of all parameters of a model at strength 1, each of its parameter's shape. */
export function precisions(model: Module, ranking: Ranking, decades: number): Map<string, Tensor> {
  const [ladder, levels] = [precisionsOf(decades), levelsOf(ranking)];
  const offsets = new Map(ranking.parameters.map(({ name, offset }) => [name, offset]));
  const mean = meanPrecision(decades);
  return new Map(
    model.namedParameters().map(([name, parameter]) => {
      const offset = offsets.get(name);
      const own = new Float32Array(parameter.size).fill(mean);
      if (offset !== undefined) for (let i = 0; i < own.length; i++) own[i] = ladder[levels[offset + i]!]!;
      return [name, tensor(own, parameter.shape)];
    }),
  );
}

export const meanPrecision = (decades: number): number =>
  precisionsOf(decades).reduce((sum, precision) => sum + precision, 0) / LEVELS;

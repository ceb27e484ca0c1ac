/**
 * Ranking: the order in which weights are removed, sorted once for any number of thresholds.
 *
 * At a threshold t as many weights are removed as come nearest to the fraction t of those that are compared with each other:
 * exactly round(t n) of n single weights, whatever ties there are, and whole groups of others. Ties are broken at random.
 * (Comparing with a quantile, as has been published, removes none of the weights that share the largest importance, at any
 * threshold.) The fraction that was achieved is recorded.
 */
import type { Module } from '../nn/module.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { type AggregateOptions, checkOneOf, type Groups, groupsOf } from './aggregate.ts';
import type { Comparison, Importance } from './measure.ts';
import { randomlyTiedOrder, sortedByKey } from './order.ts';
import type { ParameterKind, Placed } from './structure.ts';

export interface RankOptions extends AggregateOptions {
  /**
   * Which kinds of parameters take part. Unless given, kernels where weights are single, and kernels and biases where they
   * are grouped: a unit has a bias.
   */
  readonly parameters?: readonly ParameterKind[] | undefined;
  /** With which others a group is compared: those of its unit, of its layer, or all; 'model' unless given. */
  readonly compare?: Comparison | undefined;
  /**
   * Whether kernels, biases and norms are compared with each other; false unless given: each kind has an order of its own.
   */
  readonly pooled?: boolean | undefined;
  /** For the order of ties; the default generator unless given. */
  readonly generator?: Generator | undefined;
}

/** Which end of the order goes: the least important first, or the most important. */
export type Direction = 'least' | 'most';

/** What is compared with each other: a run of groups and of weights in the order. */
interface Part {
  readonly groups: readonly [from: number, to: number];
  readonly weights: readonly [from: number, to: number];
}

/** A stretch of a parameter that takes part, at `offset` among all weights that do. */
export type Ranked = Pick<Placed, 'name' | 'parameter' | 'kind' | 'layer'> & { readonly offset: number };

export class Ranking {
  readonly parameters: readonly Ranked[];
  /** Parameters that do not take part: of other kinds or layers, or not measured. */
  readonly aside: readonly string[];
  /** Weights that take part. */
  readonly size: number;
  /** All weights that take part, from the least important to the most, part after part. */
  readonly #order: Uint32Array;
  /** By position in the order of groups: how many weights come up to its end. */
  readonly #ends: Float64Array;
  readonly #parts: readonly Part[];

  constructor(groups: Groups, compare: Comparison, pooled: boolean, generator: Generator) {
    this.parameters = groups.participants;
    this.aside = groups.aside;
    this.size = groups.groupOf.length;
    const partOf = partsOf(groups, compare, pooled);
    const count = partOf.reduce((most, part) => Math.max(most, part + 1), 0);
    const order = sortedByKey(randomlyTiedOrder(groups.values, generator), count, partOf);
    const rankOf = new Uint32Array(order.length);
    const ends = new Float64Array(order.length);
    const parts: Part[] = [];
    let total = 0;
    for (let from = 0; from < order.length; ) {
      const before = total;
      let to = from;
      for (; to < order.length && partOf[order[to]!] === partOf[order[from]!]; to++) {
        rankOf[order[to]!] = to;
        total += groups.sizes[order[to]!]!;
        ends[to] = total;
      }
      parts.push({ groups: [from, to], weights: [before, total] });
      from = to;
    }
    this.#ends = ends;
    this.#parts = parts;
    const [all, ranks] = [new Uint32Array(this.size), new Uint32Array(this.size)];
    for (let i = 0; i < all.length; i++) {
      all[i] = i;
      ranks[i] = rankOf[groups.groupOf[i]!]!;
    }
    this.#order = sortedByKey(all, order.length, ranks);
  }

  /**
   * The weights that go at a threshold, as positions among all that take part (a parameter's begin at its `offset`).
   *
   * @param threshold the fraction of weights that go, 0 to 1
   */
  removed(threshold: number, from: Direction = 'least'): Uint32Array {
    checkThreshold('removed', threshold);
    checkOneOf('removed', 'direction', from, ['least', 'most']);
    const stretches = this.#parts.map(({ groups, weights: [start, end] }) => {
      const length = end - start;
      if (from === 'least') return this.#order.subarray(start, this.#cut(groups, start, start + threshold * length));
      // The groups that go are at the end: so many stay as come nearest from that side.
      return this.#order.subarray(this.#cut(groups, start, end - threshold * length, true), end);
    });
    const out = new Uint32Array(stretches.reduce((sum, { length }) => sum + length, 0));
    let next = 0;
    for (const stretch of stretches) {
      out.set(stretch, next);
      next += stretch.length;
    }
    return out;
  }

  /** The border between groups that is nearest to a number of weights; of two as near, the one that removes fewer. */
  #cut([from, to]: readonly [number, number], start: number, wanted: number, keepMore = false): number {
    let [low, high] = [from, to];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    const below = low === from ? start : this.#ends[low - 1]!;
    const above = low === to ? below : this.#ends[low]!;
    const [down, up] = [wanted - below, above - wanted];
    return up < down || (keepMore && up === down) ? above : below;
  }
}

/** The number of the part that each group is compared in. */
function partsOf({ participants, first, unit }: Groups, compare: Comparison, pooled: boolean): Int32Array {
  const known = new Map<string, number>();
  const parts = new Int32Array(first.length);
  let [lastIndex, lastUnit, part] = [-1, -1, 0];
  for (let group = 0; group < parts.length; group++) {
    const [index, own] = [first[group]!, unit[group]!];
    // Neighbours are mostly of one part: no key is written out for them.
    if (index !== lastIndex || (compare === 'row' && own !== lastUnit)) {
      const { kind, layer } = participants[index]!;
      const where = compare === 'model' ? '' : compare === 'layer' ? layer : `${layer}\n${own}`;
      const key = pooled ? where : `${kind}\n${where}`;
      part = known.get(key) ?? known.size;
      known.set(key, part);
      [lastIndex, lastUnit] = [index, own];
    }
    parts[group] = part;
  }
  return parts;
}

/** A sentence unless it is a number from 0 to 1. */
export function checkThreshold(who: string, threshold: number): void {
  if (!(threshold >= 0 && threshold <= 1))
    throw new RangeError(
      `${who}: a threshold is the fraction of weights that go, from 0 to 1, and not ${String(threshold)}.`,
    );
}

/**
 * Orders weights, or groups of them, by importance.
 *
 *     const net = new Sequential(new Linear(4, 1));
 *     const importance = new Map([['0.weight', tensor([[3, 1, 2, 9]])]]);
 *     const ranking = rank(net, importance);
 *     Array.from(ranking.removed(0.5)); // [1, 2]
 *     Array.from(ranking.removed(0.25, 'most')); // [3]
 */
export function rank(model: Module, importance: Importance, options: RankOptions = {}): Ranking {
  const { by = 'none', compare = 'model', pooled = false, generator = defaultGenerator } = options;
  checkOneOf('rank', 'comparison', compare, ['row', 'layer', 'model']);
  const parameters = options.parameters ?? (by === 'none' ? ['kernel'] : ['kernel', 'bias']);
  if (compare === 'row' && by !== 'none')
    throw new RangeError(
      `rank: within a row single weights are compared, and these are grouped by ${by}. Compare by layer or model.`,
    );
  return new Ranking(groupsOf('rank', model, importance, { ...options, parameters }), compare, pooled, generator);
}

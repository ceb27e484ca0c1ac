/**
 * Statistics of comparisons: whether several methods differ on the same blocks (seeds, tasks), which of them do, by how much,
 * and whether two orders agree. The procedure is that of Demšar, "Statistical comparisons of classifiers over multiple data
 * sets" (2006). Distribution functions are jstat's.
 *
 * Numbers that are not finite have no rank and no order: they are an error here, and the caller leaves them out.
 */

import jStat from 'jstat';
import type { Generator } from '../../../src/index.ts';

function checkFinite(who: string, values: Iterable<number>): void {
  for (const value of values)
    if (!Number.isFinite(value)) throw new RangeError(`${who}: ${value} is no finite number.`);
}

const sum = (values: Iterable<number>): number => {
  let total = 0;
  for (const value of values) total += value;
  return total;
};
export const meanOf = (values: readonly number[]): number => sum(values) / values.length;

/** The rank of each number, 1 for the least; equal ones share the mean of their ranks. */
export function ranksOf(values: readonly number[]): number[] {
  checkFinite('ranksOf', values);
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Array<number>(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) ranks[order[i]!] = (from + to + 1) / 2;
    from = to;
  }
  return ranks;
}

/** The sum of t^3 - t over groups of t equal numbers, which ties take from the spread of ranks. */
function tieTerm(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return sum(Array.from(counts.values(), (t) => t ** 3 - t));
}

export interface FriedmanTest {
  readonly blocks: number;
  /** Mean rank of each method, 1 for the best. */
  readonly meanRanks: readonly number[];
  /** Friedman's statistic, corrected for ties, and its probability by chi-squared. */
  readonly chiSquare: number;
  readonly chiSquareP: number;
  /** Iman and Davenport's form, which is less conservative; Infinity where all blocks have one and the same order. */
  readonly f: number;
  readonly p: number;
}

/**
 * Whether methods differ: table[block][method], larger is better. Methods need at least two, blocks too. Where all numbers of
 * every block are equal, nothing differs, and p is 1.
 *
 * Friedman (1937); the F form: Iman and Davenport, "Approximations of the critical region of the Friedman statistic" (1980).
 */
export function friedman(table: readonly (readonly number[])[]): FriedmanTest {
  const [n, k] = [table.length, table[0]?.length ?? 0];
  if (n < 2 || k < 2 || table.some(({ length }) => length !== k))
    throw new RangeError(`friedman: at least 2 blocks of the same 2 or more methods are needed, not ${n} of ${k}.`);
  const ranks = table.map((block) => ranksOf(block.map((value) => -value)));
  const sums = Array.from({ length: k }, (_, method) => sum(ranks.map((block) => block[method]!)));
  const untied = n * k * (k + 1) - sum(table.map(tieTerm)) / (k - 1);
  const chiSquare = untied === 0 ? 0 : (12 * sum(sums.map((r) => (r - (n * (k + 1)) / 2) ** 2))) / untied;
  // Rounding may leave the least bit where all blocks agree.
  const left = Math.max(0, n * (k - 1) - chiSquare);
  const f = left < 1e-9 ? Number.POSITIVE_INFINITY : ((n - 1) * chiSquare) / left;
  return {
    blocks: n,
    meanRanks: sums.map((r) => r / n),
    chiSquare,
    chiSquareP: 1 - jStat.chisquare.cdf(chiSquare, k - 1),
    f,
    p: f === Number.POSITIVE_INFINITY ? 0 : 1 - jStat.centralF.cdf(f, k - 1, (k - 1) * (n - 1)),
  };
}

/**
 * How far apart two mean ranks must be for two of k methods to differ on n blocks (Nemenyi): q sqrt(k (k + 1) / 6 n), q the
 * studentised range of k over infinitely many degrees of freedom, divided by sqrt(2).
 */
export function criticalDifference(methods: number, blocks: number, level = 0.05): number {
  const q = jStat.tukey.inv(1 - level, methods, Number.POSITIVE_INFINITY) / Math.SQRT2;
  return q * Math.sqrt((methods * (methods + 1)) / (6 * blocks));
}

/**
 * Groups that do not differ: the longest runs of mean ranks that are less than the critical difference apart, as letters, 'a'
 * for the best. Two methods that share a letter are not told apart; one that is between two groups has the letters of both.
 */
export function groupsOf(meanRanks: readonly number[], difference: number): string[] {
  const order = meanRanks.map((_, i) => i).sort((a, b) => meanRanks[a]! - meanRanks[b]!);
  const letters = meanRanks.map(() => '');
  let [reached, next] = [0, 0];
  for (let from = 0; from < order.length; from++) {
    let to = from;
    while (to < order.length && meanRanks[order[to]!]! - meanRanks[order[from]!]! < difference) to++;
    // A run within the one before tells nothing new.
    if (to <= reached) continue;
    reached = to;
    for (let i = from; i < to; i++) letters[order[i]!] += letterOf(next);
    next++;
  }
  return letters;
}

const letterOf = (number: number): string =>
  number < 26 ? String.fromCharCode(97 + number) : `${letterOf(Math.floor(number / 26) - 1)}${letterOf(number % 26)}`;

export interface WilcoxonTest {
  /** Differences that are not 0. */
  readonly n: number;
  /** The sum of the ranks of positive differences, and of negative ones. */
  readonly plus: number;
  readonly minus: number;
  /** Two-sided. */
  readonly p: number;
}

/** So many differences are counted out exactly. */
const MOST_EXACT = 50;

/**
 * Whether differences of pairs lie about 0 (Wilcoxon's signed ranks, 1945). Differences of 0 are left out; equal sizes share their
 * ranks. The probability is exact, ties included, for up to 50 differences, and beyond by the normal distribution.
 */
export function wilcoxon(differences: readonly number[]): WilcoxonTest {
  checkFinite('wilcoxon', differences);
  const own = differences.filter((d) => d !== 0);
  const n = own.length;
  const ranks = ranksOf(own.map(Math.abs));
  const plus = sum(ranks.filter((_, i) => own[i]! > 0));
  const total = (n * (n + 1)) / 2;
  const least = Math.min(plus, total - plus);
  if (n === 0) return { n, plus: 0, minus: 0, p: 1 };
  if (n <= MOST_EXACT) return { n, plus, minus: total - plus, p: Math.min(1, 2 * atMost(ranks, least)) };
  const variance = (n * (n + 1) * (2 * n + 1)) / 24 - tieTerm(own.map(Math.abs)) / 48;
  const z = Math.min(0, (least + 0.5 - total / 2) / Math.sqrt(variance));
  return { n, plus, minus: total - plus, p: 2 * jStat.normal.cdf(z, 0, 1) };
}

/** How likely the ranks that coins choose add up to at most so much. Ranks are multiples of a half. */
function atMost(ranks: readonly number[], limit: number): number {
  const doubled = ranks.map((rank) => Math.round(2 * rank));
  const chances = new Float64Array(sum(doubled) + 1);
  chances[0] = 1;
  for (const rank of doubled)
    for (let s = chances.length - 1; s >= 0; s--) chances[s] = (chances[s]! + (s >= rank ? chances[s - rank]! : 0)) / 2;
  return sum(chances.subarray(0, Math.round(2 * limit) + 1));
}

/** Probabilities of several tests, raised so that one of them is below a level by chance no more often than that (Holm, 1979). */
export function holm(probabilities: readonly number[]): number[] {
  const order = probabilities.map((_, i) => i).sort((a, b) => probabilities[a]! - probabilities[b]!);
  const adjusted = new Array<number>(probabilities.length);
  let so = 0;
  order.forEach((i, place) => {
    so = Math.max(so, Math.min(1, (order.length - place) * probabilities[i]!));
    adjusted[i] = so;
  });
  return adjusted;
}

export interface BootstrapOptions {
  readonly generator: Generator;
  /** Samples that are drawn anew; 2,000 unless given. */
  readonly samples?: number;
  /** 0.95 unless given. */
  readonly confidence?: number;
  /** 'bca' unless given: corrected for bias and skewness. */
  readonly kind?: 'bca' | 'percentile';
}

/**
 * An interval of the mean, from samples drawn from the numbers with replacement; null for a single number, of which nothing is
 * known. Efron, "Better bootstrap confidence intervals" (1987). Of few numbers it is too narrow: of five, some 85 % of the
 * intervals of 95 % hold the mean.
 */
export function bootstrap(
  values: readonly number[],
  { generator, samples = 2000, confidence = 0.95, kind = 'bca' }: BootstrapOptions,
): readonly [low: number, high: number] | null {
  checkFinite('bootstrap', values);
  const n = values.length;
  if (n < 2) return null;
  const means = drawnAnew(n, samples, generator, (places) => {
    let total = 0;
    for (const place of places) total += values[place]!;
    return total / n;
  });
  const mean = meanOf(values);
  const tail = (1 - confidence) / 2;
  const at = (share: number): number => quantileOf(means, share);
  if (kind === 'percentile') return [at(tail), at(1 - tail)];
  const [squares, cubes] = [2, 3].map((power) => sum(values.map((value) => (value - mean) ** power)));
  if (squares === 0) return [mean, mean];
  const below = (means.filter((m) => m < mean).length + means.filter((m) => m === mean).length / 2) / samples;
  const bias = jStat.normal.inv(Math.min(Math.max(below, 0.5 / samples), 1 - 0.5 / samples), 0, 1);
  const acceleration = cubes! / (6 * squares! ** 1.5);
  const corrected = (share: number): number => {
    const z = bias + jStat.normal.inv(share, 0, 1);
    return jStat.normal.cdf(bias + z / (1 - acceleration * z), 0, 1);
  };
  return [at(corrected(tail)), at(corrected(1 - tail))];
}

/**
 * An interval of any number that is computed from several things (seeds, say), from samples of them drawn with replacement: the
 * quantiles of what comes out. `statistic` is told which things are in a sample. null for fewer than two, of which nothing
 * is known. Efron, "Bootstrap methods: another look at the jackknife" (1979).
 */
export function bootstrapOf(
  count: number,
  statistic: (places: Int32Array) => number,
  { generator, samples = 2000, confidence = 0.95 }: Omit<BootstrapOptions, 'kind'>,
): readonly [low: number, high: number] | null {
  if (count < 2) return null;
  const found = drawnAnew(count, samples, generator, statistic);
  checkFinite('bootstrapOf', found);
  const tail = (1 - confidence) / 2;
  return [quantileOf(found, tail), quantileOf(found, 1 - tail)];
}

/** What comes of samples drawn with replacement, ascending. */
function drawnAnew(
  count: number,
  samples: number,
  generator: Generator,
  statistic: (places: Int32Array) => number,
): Float64Array {
  const [found, drawn, places] = [new Float64Array(samples), new Float32Array(count), new Int32Array(count)];
  for (let sample = 0; sample < samples; sample++) {
    generator.fillUniform(drawn);
    for (let i = 0; i < count; i++) places[i] = Math.floor(drawn[i]! * count);
    found[sample] = statistic(places);
  }
  return found.sort();
}

/** The number below which a share of ascending numbers lies, between two of them as much as need be. */
function quantileOf(sorted: Float64Array, share: number): number {
  const place = Math.min(Math.max(share * (sorted.length + 1) - 1, 0), sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
  return low + (high - low) * (place - Math.floor(place));
}

/**
 * Kendall's tau-b of two runs of numbers: how much more often pairs stand in the same order than in opposite ones, from -1 to
 * 1; ties are taken out of the whole. null where one of them is all ties. n log n (Knight, 1966).
 */
export function kendall(a: ArrayLike<number>, b: ArrayLike<number>): number | null {
  const n = a.length;
  if (b.length !== n) throw new RangeError(`kendall: ${n} numbers cannot be paired with ${b.length}.`);
  for (let i = 0; i < n; i++)
    if (Number.isNaN(a[i]) || Number.isNaN(b[i])) throw new RangeError(`kendall: pair ${i} holds NaN.`);
  const order = Uint32Array.from({ length: n }, (_, i) => i).sort(
    (i, j) => compare(a[i]!, a[j]!) || compare(b[i]!, b[j]!),
  );
  const pairs = (t: number): number => (t * (t - 1)) / 2;
  const tied = (same: (i: number, j: number) => boolean): number => {
    let [count, run] = [0, 1];
    for (let i = 1; i <= n; i++)
      if (i < n && same(order[i - 1]!, order[i]!)) run++;
      else {
        count += pairs(run);
        run = 1;
      }
    return count;
  };
  const tiedA = tied((i, j) => a[i] === a[j]);
  const tiedBoth = tied((i, j) => a[i] === a[j] && b[i] === b[j]);
  const swaps = sortCounting(order, b);
  const tiedB = tied((i, j) => b[i] === b[j]);
  const all = pairs(n);
  if (tiedA === all || tiedB === all) return null;
  return (all - tiedA - tiedB + tiedBoth - 2 * swaps) / Math.sqrt((all - tiedA) * (all - tiedB));
}

const compare = (x: number, y: number): number => (x < y ? -1 : x > y ? 1 : 0);

/** Sorts these positions by their numbers, and counts the pairs that stood the wrong way round. */
function sortCounting(order: Uint32Array, numbers: ArrayLike<number>): number {
  const n = order.length;
  let [from, to] = [order.slice(), new Uint32Array(n)];
  let swaps = 0;
  for (let width = 1; width < n; width *= 2) {
    for (let start = 0; start < n; start += 2 * width) {
      const [middle, end] = [Math.min(start + width, n), Math.min(start + 2 * width, n)];
      let [left, right] = [start, middle];
      for (let i = start; i < end; i++)
        if (left < middle && (right === end || numbers[from[left]!]! <= numbers[from[right]!]!)) to[i] = from[left++]!;
        else {
          to[i] = from[right++]!;
          swaps += middle - left;
        }
    }
    [from, to] = [to, from];
  }
  order.set(from);
  return swaps;
}

/** Cliff's delta: how much more often a number of the first is larger than one of the second than smaller, from -1 to 1. */
export function cliffsDelta(a: readonly number[], b: readonly number[]): number {
  checkFinite('cliffsDelta', a);
  checkFinite('cliffsDelta', b);
  if (a.length === 0 || b.length === 0) throw new RangeError('cliffsDelta: there is nothing to compare.');
  return sum(a.flatMap((x) => b.map((y) => Math.sign(x - y)))) / (a.length * b.length);
}

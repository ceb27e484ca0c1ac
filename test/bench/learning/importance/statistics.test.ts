import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bootstrap,
  bootstrapOf,
  cliffsDelta,
  criticalDifference,
  friedman,
  groupsOf,
  holm,
  kendall,
  ranksOf,
  wilcoxon,
} from '../../../../bench/learning/importance/statistics.ts';
import { Generator } from '../../../../src/index.ts';

describe('ranks', () => {
  it('begin at the least, and equal numbers share the mean of theirs', () => {
    expect(ranksOf([30, 10, 20])).toEqual([3, 1, 2]);
    expect(ranksOf([5, 1, 5, 0, 5])).toEqual([4, 2, 4, 1, 4]);
    expect(ranksOf([0, -0])).toEqual([1.5, 1.5]);
    expect(ranksOf([])).toEqual([]);
    expect(() => ranksOf([1, Number.NaN])).toThrow('ranksOf: NaN is no finite number.');
  });
});

/** Hollander and Wolfe's times of rounding first base by three ways, 22 players: what R's friedman.test shows. Short is good. */
const ROUNDING =
  `5.40 5.50 5.55  5.85 5.70 5.75  5.20 5.60 5.50  5.55 5.50 5.40  5.90 5.85 5.70  5.45 5.55 5.60  5.40 5.40 5.35
5.45 5.50 5.35  5.25 5.15 5.00  5.85 5.80 5.70  5.25 5.20 5.10  5.65 5.55 5.45  5.60 5.35 5.45  5.05 5.00 4.95
5.50 5.50 5.40  5.45 5.55 5.50  5.55 5.55 5.35  5.45 5.50 5.55  5.50 5.45 5.25  5.65 5.60 5.40  5.70 5.65 5.55  6.30 6.30 6.25`
    .split(/\s{2,}|\n/)
    .map((block) => block.split(' ').map((time) => -Number(time)));

describe("Friedman's test", () => {
  it('gives what is published for times of rounding first base, which have ties', () => {
    const { blocks, chiSquare, chiSquareP } = friedman(ROUNDING);
    expect(blocks).toBe(22);
    expect(chiSquare).toBeCloseTo(11.1429, 4);
    expect(chiSquareP).toBeCloseTo(0.003805, 6);
  });

  it('worked by hand: four blocks of three methods', () => {
    // Ranks 1 2 3, 1 3 2, 1 2 3, 2 1 3: sums 5, 8, 11. 12 / (4 3 4) (25 + 64 + 121) - 3 4 4 = 4.5; F = 3 4.5 / (8 - 4.5).
    const found = friedman([
      [9, 5, 1],
      [8, 2, 3],
      [0.3, 0.2, 0.1],
      [5, 6, 4],
    ]);
    expect(found.meanRanks).toEqual([1.25, 2, 2.75]);
    expect(found.chiSquare).toBeCloseTo(4.5, 12);
    expect(found.chiSquareP).toBeCloseTo(Math.exp(-2.25), 10);
    expect(found.f).toBeCloseTo(27 / 7, 12);
    // With 2 and 6 degrees of freedom P(F > f) = (1 + f / 3)^-3.
    expect(found.p).toBeCloseTo((1 + 27 / 21) ** -3, 10);
  });

  it("gives Demšar's example: 14 data sets, mean ranks 3.143, 2.000, 2.893, 1.964, chi-squared 9.28 before ties, F 3.69", () => {
    // Ranks as printed there; a higher number is better here.
    const ranks = [
      '4321',
      '1234',
      '4123',
      '4132',
      '4231',
      '1 2.5 4 2.5',
      '3241',
      '2.5 2.5 4 1',
      '4321',
      '2.5 2.5 2.5 2.5',
    ]
      .concat(['4 2.5 1 2.5', '3241', '4123', '3142'])
      .map((text) => (text.includes(' ') ? text.split(' ') : [...text]).map(Number));
    // His columns are C4.5, +m, +cf, +m+cf; rows list +cf third.
    const table = [
      [4, 3, 2, 1],
      [1, 2, 3, 4],
      [4, 1, 2, 3],
      [4, 1, 3, 2],
      [4, 2, 3, 1],
      [1, 2.5, 4, 2.5],
      [3, 2, 4, 1],
      [2.5, 2.5, 4, 1],
      [4, 3, 2, 1],
      [2.5, 2.5, 2.5, 2.5],
      [4, 2.5, 1, 2.5],
      [3, 2, 4, 1],
      [4, 1, 2, 3],
      [3, 1, 4, 2],
    ];
    expect(ranks).toEqual(table);
    const { meanRanks, chiSquare } = friedman(table.map((block) => block.map((rank) => -rank)));
    expect(meanRanks.map((rank) => Number(rank.toFixed(3)))).toEqual([3.143, 2, 2.893, 1.964]);
    // Ties: three pairs (6 each) and one of four (60), of 14 (64 - 4).
    const untied = chiSquare * (1 - 78 / 840);
    expect(untied).toBeCloseTo(9.28, 2);
    expect((13 * untied) / (42 - untied)).toBeCloseTo(3.69, 2);
    expect(criticalDifference(4, 14)).toBeCloseTo(1.25, 2);
  });

  it('finds nothing where all are equal, and everything where all blocks agree', () => {
    expect(
      friedman([
        [1, 1],
        [2, 2],
        [3, 3],
      ]),
    ).toMatchObject({ chiSquare: 0, f: 0, p: 1, meanRanks: [1.5, 1.5] });
    expect(
      friedman([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    ).toMatchObject({ f: Number.POSITIVE_INFINITY, p: 0, meanRanks: [3, 2, 1] });
  });

  it('refuses a single block, a single method, and blocks that differ in their methods', () => {
    for (const table of [
      [[1, 2]],
      [[1], [2]],
      [
        [1, 2],
        [1, 2, 3],
      ],
      [],
    ])
      expect(() => friedman(table)).toThrow(/^friedman: at least 2 blocks of the same 2 or more methods/);
    expect(() =>
      friedman([
        [1, Number.NaN],
        [1, 2],
      ]),
    ).toThrow('is no finite number');
  });
});

describe("Nemenyi's critical difference", () => {
  it('has the published q of two to ten methods (Demšar, table 5)', () => {
    const published = [1.96, 2.343, 2.569, 2.728, 2.85, 2.949, 3.031, 3.102, 3.164];
    const tenth = [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.78, 2.855, 2.92];
    const q = (k: number, level: number) => criticalDifference(k, 1, level) / Math.sqrt((k * (k + 1)) / 6);
    for (const [i, value] of published.entries()) expect(Math.abs(q(i + 2, 0.05) - value)).toBeLessThan(0.001);
    for (const [i, value] of tenth.entries()) expect(Math.abs(q(i + 2, 0.1) - value)).toBeLessThan(0.001);
    expect(criticalDifference(5, 30)).toBeCloseTo(1.11, 2);
  });

  it('makes groups that share letters where ranks are less apart than it, longest runs alone', () => {
    expect(groupsOf([1, 2, 3], 5)).toEqual(['a', 'a', 'a']);
    expect(groupsOf([1, 3, 5], 1)).toEqual(['a', 'b', 'c']);
    // 1 and 2 are alike, 2 and 3 are alike, 1 and 3 are not.
    expect(groupsOf([3, 1, 2], 1.5)).toEqual(['b', 'a', 'ab']);
    expect(groupsOf([1, 1.2, 4, 4.1, 2.55], 1.5)).toEqual(['a', 'ab', 'cd', 'd', 'bc']);
    // Exactly the difference apart is apart, as it is the least that is told apart.
    expect(groupsOf([1, 2], 1)).toEqual(['a', 'b']);
    expect(groupsOf([2], 1)).toEqual(['a']);
  });
});

describe("Wilcoxon's signed ranks", () => {
  /** p of n differences of sizes 1 .. n whose negative ones have this sum of ranks. */
  const pOf = (n: number, least: number): number => {
    const differences = Array.from({ length: n }, (_, i) => i + 1);
    for (let rank = n, left = least; rank > 0; rank--)
      if (rank <= left) {
        differences[rank - 1]! *= -1;
        left -= rank;
      }
    const found = wilcoxon(differences);
    expect(found).toMatchObject({ n, minus: least, plus: (n * (n + 1)) / 2 - least });
    return found.p;
  };

  it('has the published table: the largest sum that is significant at 5 %, two-sided', () => {
    const table = { 6: 0, 7: 2, 8: 3, 9: 5, 10: 8, 11: 10, 12: 13, 13: 17, 14: 21, 15: 25, 16: 29, 20: 52, 25: 89 };
    for (const [n, largest] of Object.entries(table)) {
      expect(pOf(Number(n), largest)).toBeLessThanOrEqual(0.05);
      expect(pOf(Number(n), largest + 1)).toBeGreaterThan(0.05);
    }
    expect(pOf(5, 0)).toBe(0.0625);
    expect(pOf(6, 0)).toBe(0.03125);
    // Three of 2^8 choices of ranks have a sum of at most 2, five one of at most 3.
    expect(pOf(8, 3)).toBeCloseTo((2 * 5) / 256, 12);
  });

  it('counts ties out exactly: both of two equal sizes have rank 1.5', () => {
    // Ranks 1.5, 1.5, 3; of 8 choices of signs, 1 has a sum of 0, and 3 have at most 1.5.
    expect(wilcoxon([1, 1, 2])).toEqual({ n: 3, plus: 6, minus: 0, p: 0.25 });
    expect(wilcoxon([-1, 1, 2])).toEqual({ n: 3, plus: 4.5, minus: 1.5, p: 0.75 });
  });

  it('leaves out zeros, is the same with all signs turned, and is 1 where nothing differs', () => {
    expect(wilcoxon([0, 3, 1, 0, 2]).n).toBe(3);
    expect(wilcoxon([0, 0])).toEqual({ n: 0, plus: 0, minus: 0, p: 1 });
    const some = [3, -1, 4, 1.5, -9, 2.6];
    expect(wilcoxon(some).p).toBe(wilcoxon(some.map((d) => -d)).p);
    expect(() => wilcoxon([Number.NaN])).toThrow('no finite number');
  });

  it('goes over to the normal distribution without a leap', () => {
    const generator = new Generator(3);
    const differences = Array.from({ length: 51 }, () => generator.normal() + 0.3);
    const exact = wilcoxon(differences.slice(0, 50)).p;
    const approximate = wilcoxon(differences).p;
    // The 51st is one of many.
    expect(Math.abs(Math.log(approximate / exact))).toBeLessThan(0.5);
    const equal = Array.from({ length: 60 }, (_, i) => (i % 2 ? 1 : -1));
    expect(wilcoxon(equal).p).toBe(1);
  });
});

describe("Holm's correction", () => {
  it('multiplies by how many are left, and never falls', () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
    expect(holm([0.5, 0.4])).toEqual([0.8, 0.8]);
    expect(holm([0.9, 0.8, 0.7])).toEqual([1, 1, 1]);
    expect(holm([])).toEqual([]);
  });
});

describe('the bootstrap', () => {
  const samples = { samples: 400 };

  it('holds the mean in 93 to 97 % of simulated experiments, skewed ones too', { timeout: 20_000 }, () => {
    for (const [kind, draw, mean] of [
      ['percentile', (g: Generator) => g.normal(), 0],
      ['bca', (g: Generator) => g.normal(), 0],
      ['bca', (g: Generator) => -Math.log(1 - g.uniform()), 1],
    ] as const) {
      const generator = new Generator(7);
      let inside = 0;
      const experiments = 500;
      for (let i = 0; i < experiments; i++) {
        const values = Array.from({ length: 60 }, () => draw(generator));
        const [low, high] = bootstrap(values, { generator, kind, ...samples })!;
        if (low <= mean && mean <= high) inside++;
      }
      expect(inside / experiments).toBeGreaterThanOrEqual(0.93);
      expect(inside / experiments).toBeLessThanOrEqual(0.97);
    }
  });

  it('is the same for the same seed, wider for more confidence, and leans with skewed numbers', () => {
    const values = [1, 2, 2, 3, 3, 3, 4, 4, 30];
    const of = (more = {}) => bootstrap(values, { generator: new Generator(1), ...more })!;
    expect(of()).toEqual(of());
    const [[low, high], [lower, higher]] = [of(), of({ confidence: 0.99 })];
    expect(lower).toBeLessThanOrEqual(low);
    expect(higher).toBeGreaterThan(high);
    // The long tail is on the right: the corrected interval reaches further there.
    expect(high).toBeGreaterThan(of({ kind: 'percentile' })[1]);
  });

  it('knows nothing of one number, and all of equal ones', () => {
    expect(bootstrap([1], { generator: new Generator(1) })).toBe(null);
    expect(bootstrap([2, 2, 2], { generator: new Generator(1) })).toEqual([2, 2]);
    expect(bootstrap([2, 2, 2], { generator: new Generator(1), kind: 'percentile' })).toEqual([2, 2]);
  });
});

describe('the bootstrap of any number', () => {
  const of = (values: readonly number[], statistic: (own: readonly number[]) => number, more = {}) =>
    bootstrapOf(values.length, (places) => statistic(Array.from(places, (place) => values[place]!)), {
      ...{ generator: new Generator(1), ...more },
    });
  const mean = (own: readonly number[]): number => own.reduce((sum, value) => sum + value, 0) / own.length;

  it('of a mean is the interval of quantiles of means', () => {
    const values = [1, 2, 2, 3, 3, 3, 4, 4, 30];
    const found = of(values, mean);
    for (const [i, bound] of bootstrap(values, { generator: new Generator(1), kind: 'percentile' })!.entries())
      expect(found![i]).toBeCloseTo(bound, 12);
  });

  it('draws things with replacement, as many as there are', () => {
    const seen = new Set<string>();
    bootstrapOf(
      2,
      (places) => {
        seen.add(places.join(' '));
        return 0;
      },
      { generator: new Generator(3), samples: 100 },
    );
    expect([...seen].sort()).toEqual(['0 0', '0 1', '1 0', '1 1']);
    // The largest of three is itself in 19 of 27 samples, the least in one of 27, above 2.5 %.
    expect(of([1, 2, 3], (own) => Math.max(...own))).toEqual([1, 3]);
    expect(of([1, 2, 3], (own) => Math.max(...own), { confidence: 0.5 })).toEqual([2, 3]);
  });

  it('knows nothing of one thing, and refuses what is no number', () => {
    expect(of([1], mean)).toBe(null);
    expect(() => of([1, 2], () => Number.NaN)).toThrow('bootstrapOf: NaN is no finite number.');
  });
});

describe("Kendall's tau", () => {
  it('is 1 for the same order, -1 for the opposite, and between by pairs that are turned', () => {
    const five = [1, 2, 3, 4, 5];
    expect(kendall(five, five)).toBe(1);
    expect(kendall(five, [5, 4, 3, 2, 1])).toBe(-1);
    // One of ten pairs is turned, then two.
    expect(kendall(five, [2, 1, 3, 4, 5])).toBeCloseTo(0.8, 12);
    expect(kendall(five, [2, 1, 3, 5, 4])).toBeCloseTo(0.6, 12);
  });

  it('takes ties out of the whole', () => {
    // Pairs: 1 same order, none opposite; one tied in each: 1 / sqrt(2 2)... of three pairs, two are untied in each.
    expect(kendall([1, 1, 2], [1, 2, 2])).toBeCloseTo(0.5, 12);
    expect(kendall([1, 1], [1, 2])).toBe(null);
    expect(kendall([], [])).toBe(null);
    expect(kendall([0, -0, 1], [5, 5, 6])).toBe(1);
    expect(kendall([Number.NEGATIVE_INFINITY, 0, Number.POSITIVE_INFINITY], [1, 2, 3])).toBe(1);
  });

  it('is what counting all pairs gives', () => {
    const numbers = fc.integer({ min: 0, max: 12 });
    fc.assert(
      fc.property(fc.array(fc.tuple(numbers, numbers), { minLength: 2, maxLength: 40 }), (pairs) => {
        const [a, b] = [pairs.map(([x]) => x), pairs.map(([, y]) => y)];
        const found = kendall(a, b);
        if (new Set(a).size === 1 || new Set(b).size === 1) expect(found).toBe(null);
        else expect(found).toBeCloseTo(kendallBySlow(a, b), 12);
      }),
      { seed: 20261121 },
    );
  });

  it('refuses what cannot be paired', () => {
    expect(() => kendall([1], [1, 2])).toThrow('kendall: 1 numbers cannot be paired with 2.');
    expect(() => kendall([1, Number.NaN], [1, 2])).toThrow('kendall: pair 1 holds NaN.');
  });
});

function kendallBySlow(a: readonly number[], b: readonly number[]): number {
  let [score, x, y] = [0, 0, 0];
  for (let i = 0; i < a.length; i++)
    for (let j = 0; j < i; j++) {
      const [s, t] = [Math.sign(a[i]! - a[j]!), Math.sign(b[i]! - b[j]!)];
      score += s * t;
      x += s * s;
      y += t * t;
    }
  return score / Math.sqrt(x * y);
}

describe("Cliff's delta", () => {
  it('is 1 where all of the first are larger, 0 where none is the larger more often', () => {
    expect(cliffsDelta([4, 5], [1, 2, 3])).toBe(1);
    expect(cliffsDelta([1, 2, 3], [4, 5])).toBe(-1);
    expect(cliffsDelta([1, 3], [2])).toBe(0);
    expect(cliffsDelta([1, 2, 3], [2])).toBe(0);
    // Of six pairs four are larger, one smaller, one tied.
    expect(cliffsDelta([2, 5, 6], [1, 5])).toBeCloseTo(0.5, 12);
    expect(() => cliffsDelta([], [1])).toThrow('nothing to compare');
  });
});

import { describe, expect, it } from 'vitest';
import {
  deadUnits,
  dormantUnits,
  effectiveRank,
  OnlineMean,
  rankHolding,
  stableRank,
  weightMagnitude,
} from '../../src/continual/metrics.ts';
import { eye, ones, randn, tensor, zeros } from '../../src/index.ts';
import { Generator } from '../../src/random/generator.ts';

const diagonal = (...values: number[]) => tensor(values.map((value, i) => values.map((_, j) => (i === j ? value : 0))));

describe('OnlineMean', () => {
  it('is the mean of each full bin, in order', () => {
    const mean = new OnlineMean(3);
    expect([mean.means, mean.pending]).toEqual([[], 0]);
    for (const value of [1, 2, 6, -1, 0, 1, 5]) mean.add(value);
    expect(mean.means).toEqual([3, 0]);
    expect(mean.pending).toBe(1);
  });

  it('does not let its bins be written to', () => {
    const mean = new OnlineMean(1);
    mean.add(4);
    mean.means.push(5);
    expect(mean.means).toEqual([4]);
  });

  it('takes whole bins only', () => {
    for (const size of [0, 1.5, Number.NaN])
      expect(() => new OnlineMean(size)).toThrow(/binSize must be an integer from 1 up/);
  });

  it('goes on from a state in the middle of a bin, and refuses that of other bins', () => {
    const [whole, first, second] = [new OnlineMean(3), new OnlineMean(3), new OnlineMean(3)];
    const values = [0.1, 0.2, 0.3, Number.NaN, 5, 6, 0.7, 0.8, 0.9, 1];
    for (const value of values) whole.add(value);
    for (const value of values.slice(0, 8)) first.add(value);
    second.add(17);
    second.loadStateDict(first.stateDict());
    for (const value of values.slice(8)) second.add(value);
    expect(second.stateDict()).toEqual(whole.stateDict());
    expect(second.means).toEqual(whole.means);
    const before = second.stateDict();
    const other = new OnlineMean(4);
    expect(() => other.loadStateDict(before)).toThrow(
      'OnlineMean.loadStateDict: the state is of bins of 3, 1 of the last one; these are of 4.',
    );
    for (const wrong of [{ count: 3 }, { count: 0.5 }, { sum: null }, { means: ['1'] }, { means: null }])
      expect(() => second.loadStateDict({ ...before, ...wrong } as never)).toThrow(/^OnlineMean\.loadStateDict/);
    expect(second.stateDict()).toEqual(before);
  });
});

describe('dead and dormant units', () => {
  const h = tensor([
    [0, 1, -3, 0, 0.1],
    [0, 1, 3, 0, 0],
    [0, 1, 3, 0.001, 0],
  ]);

  it('are dead where they are 0 for every sample: one small number is life', () => {
    expect(deadUnits(h)).toEqual([0]);
    expect(deadUnits(ones([2, 3]))).toEqual([]);
    expect(deadUnits(zeros([2, 3]))).toEqual([0, 1, 2]);
    expect(
      deadUnits(
        tensor([
          [0, Number.NaN],
          [-0, 0],
        ]),
      ),
    ).toEqual([0]);
  });

  it('are tau-dormant where their mean size is at most tau times that of the layer', () => {
    // Mean sizes: 0, 1, 3, 0.00033, 0.033; of the layer 0.8067.
    expect(dormantUnits(h, 0)).toEqual([0]);
    expect(dormantUnits(h, 0.01)).toEqual([0, 3]);
    expect(dormantUnits(h, 0.1)).toEqual([0, 3, 4]);
    expect(dormantUnits(h, 1.2)).toEqual([0, 3, 4]);
    expect(dormantUnits(h, 1.25)).toEqual([0, 1, 3, 4]);
    expect(dormantUnits(ones([2, 3]), 1)).toEqual([0, 1, 2]);
    expect(dormantUnits(zeros([2, 2]), 0.1)).toEqual([0, 1]);
  });

  it('takes a channel as a unit, and each place as a sample', () => {
    const maps = zeros([2, 3, 2, 2]);
    expect(deadUnits(maps)).toEqual([0, 1, 2]);
    const numbers = new Float32Array(24);
    numbers[4 + 3] = 1; // sample 0, channel 1
    numbers[12 + 8] = -1; // sample 1, channel 2
    expect(deadUnits(tensor(numbers, [2, 3, 2, 2]))).toEqual([0]);
  });

  it('does not judge on nothing', () => {
    expect(() => deadUnits(zeros([0, 3]))).toThrow(/at least one of each/);
    expect(() => dormantUnits(zeros([3]), 0.1)).toThrow(/\[3\] do not tell of any unit/);
    expect(() => dormantUnits(h, -1)).toThrow(/tau must be a number from 0 up, but it is -1/);
  });
});

describe('ranks', () => {
  it('are n for an orthogonal matrix, 1 for an outer product, 0 for zeros', () => {
    for (const rank of [effectiveRank, stableRank, (x: typeof h) => rankHolding(x, 0.99)]) {
      expect(rank(eye(4))).toBeCloseTo(4, 12);
      expect(rank(ones([5, 3]))).toBeCloseTo(1, 6);
      expect(rank(zeros([3, 2]))).toBe(0);
    }
  });
  const h = eye(1);

  it('are those of their formulas', () => {
    const a = diagonal(3, 1);
    expect(effectiveRank(a)).toBeCloseTo(Math.exp(-0.75 * Math.log(0.75) - 0.25 * Math.log(0.25)), 12);
    expect(stableRank(a)).toBeCloseTo(10 / 9, 12);
    const b = diagonal(5, 3, 1, 1);
    expect([0.1, 0.5, 0.51, 0.8, 0.81, 0.9, 0.91, 1].map((share) => rankHolding(b, share))).toEqual([
      1, 1, 2, 2, 3, 3, 4, 4,
    ]);
    expect(rankHolding(diagonal(5, 0, 0), 1)).toBe(1);
  });

  it('do not depend on the scale, and order as stable <= effective here', () => {
    const x = randn([30, 8], { generator: new Generator(1) });
    for (const rank of [effectiveRank, stableRank]) expect(rank(x.mul(1000))).toBeCloseTo(rank(x), 5);
    expect(stableRank(x)).toBeLessThan(effectiveRank(x));
    expect(effectiveRank(x)).toBeLessThan(8);
  });

  it('refuses a share that is none', () => {
    for (const share of [0, 1.1, Number.NaN]) expect(() => rankHolding(eye(2), share)).toThrow(/share must be above 0/);
  });
});

describe('weightMagnitude', () => {
  it('is the mean size of all weights, large tensors counting for more', () => {
    expect(weightMagnitude([tensor([-1, 1, 1]), tensor([[5]])])).toBe(2);
    expect(() => weightMagnitude([])).toThrow(/there are no weights/);
  });
});

import { describe, expect, it } from 'vitest';
import type { Anchored, AnchorRun, Trial } from '../../../../bench/learning/importance/anchors/run.ts';
import { anchorOrderingOf, bothOf, forgettingOf } from '../../../../bench/learning/importance/anchors/summary.ts';
import { anchorRows, anchorSentences } from '../../../../bench/learning/importance/anchors/table.ts';
import { report } from '../../../../bench/learning/importance/report.ts';

const [before, free] = [
  { first: 0.9, second: 0.2 },
  { first: 0.5, second: 0.8 },
];
const trial = (strength: number, first: number, second: number): Trial => ({ strength, first, second });

describe('forgetting at matched learning', () => {
  it('is what the first half had, less the mean height of the path, by hand', () => {
    // Without trials the path is a straight line: 0.9 - (0.9 + 0.5) / 2.
    expect(forgettingOf(before, free, [])).toBeCloseTo(0.2, 12);
    // 0.3 of learning at a mean height of 0.85, and 0.3 at 0.65.
    expect(forgettingOf(before, free, [trial(1, 0.8, 0.5)])).toBeCloseTo(0.9 - (0.85 + 0.65) / 2, 12);
    // What keeps all up to the end forgets almost nothing; what loses all at once forgets all that there is.
    expect(forgettingOf(before, free, [trial(1, 0.9, 0.8)])).toBeCloseTo(0, 12);
    expect(forgettingOf(before, free, [trial(1, 0.5, 0.2)])).toBeCloseTo(0.4, 12);
  });

  it('takes trials from the firmest on, in whatever order they come, and is no worse for ones that change nothing', () => {
    const trials = [trial(10, 0.85, 0.4), trial(1, 0.7, 0.6), trial(100, 0.9, 0.3)];
    const found = forgettingOf(before, free, trials)!;
    expect(forgettingOf(before, free, trials.toReversed())).toBe(found);
    expect(forgettingOf(before, free, [...trials, trial(1e9, 0.9, 0.2), trial(0, 0.5, 0.8)])).toBeCloseTo(found, 12);
    expect(found).toBeCloseTo(0.9 - (0.1 * 0.9 + 0.1 * 0.875 + 0.2 * 0.775 + 0.2 * 0.6) / 0.6, 12);
  });

  it('goes back over what it went too far', () => {
    // To 0.9 at 0.7 and back to 0.8 at 0.5: the way back, at a mean height of 0.6, is taken away.
    const path = 0.7 * ((0.9 + 0.7) / 2) - 0.1 * ((0.7 + 0.5) / 2);
    expect(forgettingOf(before, free, [trial(1, 0.7, 0.9)])).toBeCloseTo(0.9 - path / 0.6, 12);
  });

  it('is not known where nothing was learned', () => {
    expect(forgettingOf(before, { first: 0.5, second: 0.2 }, [trial(1, 0.7, 0.3)])).toBe(null);
  });
});

describe('the mean of both accuracies', () => {
  it('is at the strength that is best on the other networks', () => {
    // The first has its best at the first strength, the others at the second.
    const networks = [
      [trial(2, 1, 0.8), trial(1, 0.5, 0.5)],
      [trial(2, 0.2, 0.2), trial(1, 0.7, 0.5)],
      [trial(2, 0.4, 0.2), trial(1, 0.6, 0.6)],
    ];
    const found = bothOf(networks)!;
    // Others of the first: 0.25 and 0.6; of the second: 0.6 and 0.55; of the third: 0.55 and 0.55, the firmer of equal ones.
    for (const [i, value] of [0.5, 0.2, 0.3].entries()) expect(found[i]).toBeCloseTo(value, 12);
    expect(bothOf(networks.slice(0, 1))).toBe(null);
    expect(bothOf([])).toBe(null);
  });
});

/** A network whose measures keep so much of the first half when half of the second is learned, and have these areas. */
const run = (seed: number, kept: Readonly<Record<string, readonly [first: number, area: number]>>): AnchorRun => {
  const place = { aggregation: 'none', comparison: 'layer' } as const;
  return {
    ...{ task: 'embedded', model: 'tiny', seed, epoch: 5, parameters: 65, examples: { first: 10, second: 10 } },
    ...{ before, free, equal: [trial(1, 0.75, 0.5)], left: [] },
    anchored: Object.entries(kept).map(
      ([measure, [first]]): Anchored => ({ measure, ...place, trials: [trial(1, first, 0.5)] }),
    ),
    removed: Object.entries(kept).flatMap(([measure, [, area]]) => [
      { measure, ...place, replacement: 'noise' as const, area, tau90: 0.5 },
      { measure, ...place, replacement: 'zero' as const, area: -area, tau90: 0.5 },
    ]),
    seconds: { training: 1, costs: [], anchors: 2 },
  };
};
const runs = [1, 2, 3].map((seed) =>
  run(seed, {
    random: [0.7, 0],
    magnitude: [0.8, 0.3 + 0.01 * seed],
    oracle: [0.9, 0.5],
    lamp: [0.68 + 0.03 * seed, 0.1],
    obd: [0.75, 0.2],
  }),
);

describe('the order of measures as anchors', () => {
  const [noise, zero, ...more] = anchorOrderingOf(runs);

  it('begins at the least forgetting, the oracle without a rank', () => {
    expect(more).toEqual([]);
    expect(noise!.setting).toEqual({
      ...{ task: 'embedded', model: 'tiny', epoch: 5, aggregation: 'none', comparison: 'layer', replacement: 'noise' },
    });
    // Lamp is before obd in the third network alone.
    expect(noise!.rows.map(({ measure, rank }) => [measure, rank])).toEqual([
      ['oracle', null],
      ['magnitude', 1],
      ['obd', expect.closeTo(7 / 3, 12)],
      ['lamp', expect.closeTo(8 / 3, 12)],
      ['random', 4],
    ]);
    const [, magnitude] = noise!.rows;
    // A corner of (0.5, y) between the ends has a mean height of (0.9 + 2 y + 0.5) / 4.
    expect(magnitude!.forgetting).toBeCloseTo(0.9 - (0.9 + 1.6 + 0.5) / 4, 12);
    expect(magnitude!.difference!.mean).toBeCloseTo(0.05, 12);
    expect(magnitude!.difference!.delta).toBe(1);
    expect(magnitude).toMatchObject({ seeds: 3, areaRank: 1, both: expect.closeTo(0.65, 12) });
    expect(magnitude!.area).toBeCloseTo(0.32, 12);
    // Student's t at 2 degrees of freedom.
    expect(magnitude!.areaHigh! - magnitude!.area).toBeCloseTo((4.303 * 0.01) / Math.sqrt(3), 4);
    const lamp = noise!.rows.find(({ measure }) => measure === 'lamp')!;
    expect(lamp.high! - lamp.forgetting).toBeCloseTo((4.303 * 0.015) / Math.sqrt(3), 4);
    expect(lamp.low! + lamp.high!).toBeCloseTo(2 * lamp.forgetting, 12);
  });

  it('has the tau of both orders by their means, with an interval over seeds, and without the oracle', () => {
    const { measures, tau, low, high } = noise!.byForgetting!;
    expect([measures, tau]).toEqual([4, 1]);
    // Areas with their signs turned.
    expect(zero!.byForgetting!.tau).toBe(-1);
    // The third network twice or more often, in 4 of 27 samples: there lamp is the better, and one of six pairs is turned.
    expect(low).toBeCloseTo(4 / 6, 12);
    expect(high).toBeCloseTo(1, 12);
  });

  it('compares with networks that are held all alike, and not at all', () => {
    expect(noise!.reference).toEqual({ before: expect.anything(), free: expect.anything(), equal: expect.anything() });
    expect(noise!.reference.before.first).toBeCloseTo(0.9, 12);
    expect(noise!.reference.equal.forgetting).toBeCloseTo(0.9 - (0.9 + 1.5 + 0.5) / 4, 12);
    expect(noise!.reference.equal.both).toBeCloseTo(0.625, 12);
  });

  it('leaves out a network in which nothing was learned, and a measure that a network lacks', () => {
    const [still] = anchorOrderingOf([...runs, { ...runs[0]!, seed: 4, free: before }]);
    expect(still!.rows[0]!.seeds).toBe(3);
    const [fewer] = anchorOrderingOf([...runs, run(4, { random: [0.7, 0], lamp: [0.8, 0.1] })]);
    expect(fewer!.rows.map(({ measure, seeds }) => [measure, seeds])).toEqual([
      ['lamp', 4],
      ['random', 4],
    ]);
    expect(anchorOrderingOf([{ ...runs[0]!, free: before }])).toEqual([]);
    expect(anchorOrderingOf([])).toEqual([]);
  });

  it('of one network tests nothing, and of one measure has no tau', () => {
    const [one] = anchorOrderingOf([run(1, { random: [0.7, 0], lamp: [0.8, 0.1] })]);
    expect(one!.byForgetting).toEqual({ measures: 2, tau: 1, low: null, high: null });
    expect([one!.test!.p, one!.byBoth, one!.rows[0]!.both, one!.rows[0]!.low]).toEqual([null, null, null, null]);
    const [alone] = anchorOrderingOf([run(1, { lamp: [0.8, 0.1] })]);
    expect([alone!.test, alone!.byForgetting]).toEqual([null, null]);
    expect(alone!.rows[0]).toMatchObject({ rank: 1, areaRank: 1, group: 'a', difference: null });
  });

  it('stands in a table and in sentences', () => {
    const [head, ...lines] = anchorRows(noise!);
    for (const line of lines) expect(line).toHaveLength(head!.length);
    expect(lines[1]!.slice(0, 4)).toEqual(['magnitude', '1.00', 'a', '0.150']);
    expect(lines.at(-1)).toEqual(expect.arrayContaining(['random', '0.200']));
    expect(anchorSentences(noise!)).toEqual([
      'Without an anchor the accuracy on the first half falls from 0.900 to 0.500, that on the second rises from 0.200 to 0.800.',
      'With the same precision for all weights: forgetting 0.175, both 0.625.',
      "The order by removal and the order by forgetting as an anchor: Kendall's tau 1.00 (95 %: 0.667 to 1.000), over 4 measures.",
      expect.stringMatching(/^The order by removal and the order by both accuracies: Kendall's tau /),
    ]);
    const [one] = anchorOrderingOf([run(1, { lamp: [0.8, 0.1] })]);
    expect(anchorSentences(one!).at(-1)).toBe(
      'The order by removal and the order by both accuracies: there is no tau.',
    );
  });

  it('has a part of the page, with every name in the plot', () => {
    const about = {
      ...{ data: 'embedded', machine: 'm', versions: { palimpsest: '0', node: '20' }, kernels: 'wasm-simd' as const },
      ...{ date: 'd', command: 'c' },
    };
    const page = report({
      ...{ runs: [], ordering: [], overall: [], anchorRuns: runs, anchors: anchorOrderingOf(runs), about },
    });
    expect(page).not.toMatch(/NaN|undefined|Infinity|https?:/);
    const [scatter] = page.match(/<svg role="img" aria-label="Area between the curves of removal.*?<\/svg>/s)!;
    for (const name of ['random', 'magnitude', 'oracle', 'lamp', 'obd']) expect(scatter).toContain(`>${name}</text>`);
    expect(page).toContain('aria-label="Mean ranks by forgetting: tiny on embedded, epoch 5; by none');
    expect(page).toContain('tiny on embedded: one hidden layer of 16 ReLU units');
    expect(page).toContain('<dt>lamp</dt>');
    const without = report({ runs: [], ordering: [], overall: [], anchorRuns: [], anchors: [], about });
    expect(without).not.toContain('As anchors');
  });
});

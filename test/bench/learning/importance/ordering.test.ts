import { describe, expect, it } from 'vitest';
import type { About } from '../../../../bench/learning/about.ts';
import { criticalDifferenceDiagram, groupBars } from '../../../../bench/learning/importance/critical-difference.ts';
import { curvePlot } from '../../../../bench/learning/importance/curve-plot.ts';
import {
  areaBetween,
  bandOf,
  orderingOf,
  orderingRows,
  overallOf,
  testOf,
} from '../../../../bench/learning/importance/ordering.ts';
import { report } from '../../../../bench/learning/importance/report.ts';
import type { Run } from '../../../../bench/learning/importance/run.ts';
import type { Curve } from '../../../../bench/learning/importance/validation.ts';

const place = { epoch: 1, aggregation: 'none', comparison: 'layer', replacement: 'noise' } as const;

/** A curve at fractions 0, 0.5 and 1 with these accuracies. */
const curve = (
  measure: string,
  direction: 'least' | 'most',
  accuracies: readonly number[],
  more: Partial<Curve> = {},
): Curve => ({
  ...{ ...place, measure, direction },
  points: accuracies.map((accuracy, i) => {
    const at = i / (accuracies.length - 1);
    return { threshold: at, fraction: at, loss: 1, validationLoss: 1, accuracy };
  }),
  ...more,
});

/** From 1 to 0 by way of 0.5 + area or 0.5 - area: so large is the area between. */
const both = (measure: string, area: number, more: Partial<Curve> = {}): Curve[] => [
  curve(measure, 'least', [1, 0.5 + area, 0], more),
  curve(measure, 'most', [1, 0.5 - area, 0], more),
];

const run = (seed: number, areas: Readonly<Record<string, number>>, told: Partial<Run> = {}): Run => ({
  ...{ task: 'function', model: 'tiny', seed, parameters: 65, examples: 100, left: [] },
  curves: Object.entries(areas).flatMap(([measure, area]) => both(measure, area)),
  agreement: [{ epoch: 1, measure: 'magnitude', aggregation: 'none', tau: 0.1 * seed }],
  seconds: {
    training: 2,
    costs: Object.keys(areas).map((measure) => ({ epoch: 1, measure, measuring: 3, curves: 4 })),
  },
  ...told,
});

describe('the area of a measure', () => {
  it('is that between its two curves, by hand', () => {
    // 0.25 (1 + 0.9) + 0.25 (0.9 + 0.1) less 0.25 (1 + 0.2) + 0.25 (0.2 + 0.1).
    const found = areaBetween(curve('a', 'least', [1, 0.9, 0.1]), curve('a', 'most', [1, 0.2, 0.1]));
    expect(found.area).toBeCloseTo(0.725 - 0.375, 12);
    expect(found.tau90).toBe(0.5);
  });

  it('is over the fractions that were achieved, not those asked for', () => {
    const least = curve('a', 'least', [1, 1, 0]);
    const moved = { ...least, points: least.points.map((point, i) => (i === 1 ? { ...point, fraction: 0.8 } : point)) };
    expect(areaBetween(moved, curve('a', 'most', [1, 0, 0])).area).toBeCloseTo(0.8 + 0.1 - 0.25, 12);
    expect(areaBetween(moved, least).tau90).toBe(0.8);
  });

  it('turns its sign with the order: a random order has 0 on average', () => {
    const [least, most] = [curve('a', 'least', [1, 0.7, 0]), curve('a', 'most', [1, 0.4, 0])];
    expect(areaBetween(least, most).area).toBeCloseTo(-areaBetween(most, least).area, 12);
  });
});

describe('the order of measures', () => {
  const three = [1, 2, 3].map((seed) =>
    run(seed, { random: 0.01 * (seed - 2), oracle: 0.2 + 0.01 * seed, magnitude: 0.11, lamp: 0.05 + 0.01 * seed }),
  );
  const [{ rows, test, setting }] = orderingOf(three) as [ReturnType<typeof orderingOf>[0]];

  it('divides by the mean area of the oracle, which is 1 and has no rank', () => {
    expect(setting).toEqual({ task: 'function', model: 'tiny', ...place });
    expect(rows.map(({ measure }) => measure)).toEqual(['oracle', 'magnitude', 'lamp', 'random']);
    const [oracle, magnitude, lamp, random] = rows;
    expect(oracle).toMatchObject({ scale: 'oracle', rank: null, group: null, difference: null, seeds: 3 });
    expect(oracle!.area).toBeCloseTo(1, 12);
    expect(magnitude!.area).toBeCloseTo(0.5, 12);
    expect(magnitude!.plain).toBeCloseTo(0.11, 12);
    expect(lamp!.area).toBeCloseTo(0.07 / 0.22, 12);
    expect(random!.area).toBeCloseTo(0, 12);
    // Student's t at 2 degrees of freedom: 4.303 s / sqrt(3), s = 0.01.
    expect(lamp!.high! - lamp!.area).toBeCloseTo((4.303 * 0.01) / Math.sqrt(3) / 0.22, 4);
  });

  it('has mean ranks over networks, and differences from random in pairs', () => {
    expect(rows.map(({ rank }) => rank)).toEqual([null, 1, 2, 3]);
    expect(test).toMatchObject({
      blocks: 3,
      measures: ['random', 'magnitude', 'lamp'],
      ranks: [3, 1, 2],
      f: null,
      p: 0,
    });
    const [, magnitude, lamp, random] = rows;
    expect(lamp!.difference!.mean).toBeCloseTo(0.07, 12);
    // The same in every pair: nothing is left to chance.
    expect(lamp!.difference!.high! - lamp!.difference!.low!).toBeCloseTo(0, 12);
    // Two tests of three pairs each: the least p there is, 0.25, twice.
    expect(magnitude!.difference).toMatchObject({ p: 0.5, delta: 1 });
    expect(random!.difference).toBe(null);
    expect([magnitude!.tau, lamp!.tau]).toEqual([expect.closeTo(0.2, 12), null]);
    // Student's t at 2 degrees of freedom of 0.1, 0.2, 0.3.
    expect(magnitude!.tauHigh! - 0.2).toBeCloseTo((4.303 * 0.1) / Math.sqrt(3), 4);
    expect(0.2 - magnitude!.tauLow!).toBeCloseTo((4.303 * 0.1) / Math.sqrt(3), 4);
    expect([lamp!.tauLow, lamp!.tauHigh]).toEqual([null, null]);
    expect(magnitude!.seconds).toEqual({ measuring: 3, curves: 4 });
  });

  it('ties measures that the difference of ranks does not tell apart, and all where the test finds nothing', () => {
    const of = (seeds: number, table: (seed: number) => Record<string, number>) =>
      orderingOf(Array.from({ length: seeds }, (_, i) => run(i, table(i))))[0]!;
    const clear = of(20, (i) => ({ a: 0.3, b: i % 2 ? 0.2 : 0.19, c: i % 2 ? 0.19 : 0.2, d: 0.1 }));
    expect(Object.fromEntries(clear.rows.map(({ measure, group }) => [measure, group]))).toEqual({
      a: 'a',
      b: 'b',
      c: 'b',
      d: 'c',
    });
    const nothing = of(4, (i) => ({ a: i % 2, b: 1 - (i % 2), c: 0.5 }));
    expect(nothing.rows.map(({ group }) => group)).toEqual(['a', 'a', 'a']);
    expect(nothing.test!.p!).toBeGreaterThan(0.5);
    const equal = of(3, () => ({ a: 0.1, b: 0.1 }));
    expect(equal.rows.map(({ rank, group }) => [rank, group])).toEqual([
      [1.5, 'a'],
      [1.5, 'a'],
    ]);
  });

  it('of one network ranks, and tests nothing', () => {
    const [only] = orderingOf([run(1, { random: 0, magnitude: 0.2 })]) as [ReturnType<typeof orderingOf>[0]];
    expect(only.test).toMatchObject({
      blocks: 1,
      p: null,
      f: null,
      chiSquare: null,
      groups: ['a', 'a'],
      ranks: [2, 1],
    });
    expect(only.rows[0]).toMatchObject({
      measure: 'magnitude',
      scale: 'accuracy',
      low: null,
      high: null,
      rank: 1,
      group: 'a',
    });
    expect(only.rows[0]!.difference).toMatchObject({ low: null, high: null, p: 1 });
    expect(testOf(['a'], [[1]])).toBe(null);
    expect(orderingOf([run(1, { lamp: 0.1 })])[0]!.rows[0]).toMatchObject({ rank: 1, group: 'a' });
  });

  it('keeps areas in accuracy where the oracle is no better than chance', () => {
    expect(orderingOf([run(1, { oracle: -0.1, lamp: 0.2 })])[0]!.rows[0]!.scale).toBe('accuracy');
    // A mean of 0.1, and an interval down to -0.15: a share of what may be 0 says nothing.
    const wide = [0, 0.1, 0.2].map((oracle, seed) => run(seed, { oracle, lamp: 0.2 }));
    const [lamp] = orderingOf(wide)[0]!.rows.filter(({ measure }) => measure === 'lamp');
    expect(lamp).toMatchObject({ scale: 'accuracy', area: expect.closeTo(0.2, 12) });
  });

  it('keeps settings apart, and joins tasks and networks at their last epoch', () => {
    const early = both('lamp', 0.4, { epoch: 0 }).concat(both('random', 0, { epoch: 0 }));
    const one = run(1, { random: 0, lamp: 0.1 });
    const runs = [
      { ...one, curves: [...early, ...one.curves] },
      run(2, { random: 0, lamp: 0.2 }),
      run(1, { random: 0.3, lamp: 0.2 }, { model: 'mlp' }),
    ];
    expect(
      orderingOf(runs).map(({ setting: { model, epoch }, rows: [first] }) => [model, epoch, first!.seeds]),
    ).toEqual([
      ['tiny', 0, 1],
      ['tiny', 1, 2],
      ['mlp', 1, 1],
    ]);
    const [all, ...more] = overallOf(runs);
    expect(more).toEqual([]);
    expect(all!.test).toMatchObject({ blocks: 3, measures: ['random', 'lamp'], ranks: [5 / 3, 4 / 3] });
    expect(overallOf(three)).toEqual([]);
  });

  it('stands in a table, the best first', () => {
    const [head, ...lines] = orderingRows({ rows, test, setting });
    expect(head!.slice(0, 5)).toEqual(['measure', 'rank', 'group', 'area', '95 %']);
    expect(lines.map((line) => line.slice(0, 4))).toEqual([
      ['oracle', '-', '-', '1.000'],
      ['magnitude', '1.00', 'a', '0.500'],
      ['lamp', '2.00', 'ab', '0.318'],
      ['random', '3.00', 'b', '0.000'],
    ]);
    for (const line of lines) expect(line).toHaveLength(head!.length);
    const tau = head!.indexOf('tau with oracle');
    expect(lines.map((line) => line.slice(tau, tau + 2))).toEqual([
      ['-', '-'],
      ['0.20', '-0.05 to 0.45'],
      ['-', '-'],
      ['-', '-'],
    ]);
  });

  it('has bands of the mean accuracy over the mean fraction', () => {
    const curves = [curve('a', 'least', [1, 0.5, 0]), curve('a', 'least', [1, 0.7, 0])];
    const [, middle] = bandOf(curves);
    expect(middle!.x).toBe(0.5);
    expect(middle!.y.mean).toBeCloseTo(0.6, 12);
    expect(bandOf([])).toEqual([]);
  });
});

const drawn = (svg: string): string[] => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text!);

describe('the diagram of a critical difference', () => {
  const test = testOf(
    ['a', 'b', 'c', 'd<'],
    Array.from({ length: 20 }, (_, i) => [0.3, i % 2 ? 0.2 : 0.19, i % 2 ? 0.19 : 0.2, 0.1]),
  )!;
  const svg = criticalDifferenceDiagram('ranks & groups', test);

  it('has a label with rank and group for each measure, a tick for each rank, and its difference to scale', () => {
    expect(drawn(svg)).toEqual([
      ...['1', '2', '3', '4', 'critical difference 1.05'],
      ...['a 1.00 a', 'b 2.50 b', 'c 2.50 b', 'd&lt; 4.00 c'],
    ]);
    const lines = [...svg.matchAll(/<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"[^>]*/g)].map(
      (found) => ({
        length: Number(found[3]) - Number(found[1]),
        y: Number(found[2]),
        width: /stroke-width="(\d)"/.exec(found[0])?.[1],
      }),
    );
    const axis = lines.find(({ y, length }) => y === 64 && length > 100)!;
    const scale = lines.find(({ width }) => width === '2')!;
    expect(scale.length / axis.length).toBeCloseTo(test.criticalDifference / 3, 2);
    // One bar: b and c.
    expect(lines.filter(({ width }) => width === '4')).toHaveLength(1);
    expect(svg).toContain('aria-label="ranks &amp; groups"');
  });

  it('has a bar for each group of two or more', () => {
    expect(groupBars({ ranks: [1, 2, 3, 4], groups: ['a', 'ab', 'b', 'c'] })).toEqual([
      [1, 2],
      [2, 3],
    ]);
  });
});

describe('a plot of curves', () => {
  it('draws a line and a band for each, on an axis from 0 to 1', () => {
    const y = { mean: 0.5, low: 0.4, high: 0.6 };
    const points = [
      { x: 0, y },
      { x: 1, y: { mean: 0, low: -0.3, high: 0.3 } },
    ];
    const svg = curvePlot({ label: 'a<b', series: [{ name: 'one', points }], xTitle: 'x', yTitle: 'y', range: [0, 1] });
    expect(svg).toContain('aria-label="a&lt;b"');
    const [line] = [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, text]) =>
      text!.split(' ').map((p) => p.split(',').map(Number)),
    );
    const [band] = [...svg.matchAll(/<polygon points="([^"]*)"/g)].map(([, text]) =>
      text!.split(' ').map((p) => p.split(',').map(Number)),
    );
    expect(line).toHaveLength(2);
    expect(line![0]![0]!).toBeLessThan(line![1]![0]!);
    // Up is less; the band is about the line, and does not leave the axis.
    expect(band!.map(([, at]) => at! < line![0]![1]!)).toEqual([true, false, false, false]);
    expect(band![2]![1]).toBe(line![1]![1]);
    expect(drawn(svg)).toEqual(expect.arrayContaining(['0', '1', 'x', 'y', 'one']));
  });
});

const about: About = {
  ...{ data: 'function', machine: 'm', versions: { palimpsest: '0', node: '20' }, kernels: 'wasm-simd', date: 'd' },
  command: 'npm start -- importance <here>',
};

describe('the report', () => {
  const runs = [1, 2, 3].flatMap((seed) => {
    const one = run(seed, { random: 0.001 * seed, magnitude: 0.2, oracle: 0.3 });
    const more = both('magnitude', 0.1, { aggregation: 'unit' }).concat(both('random', 0, { aggregation: 'unit' }));
    const later = both('magnitude', 0.1, { epoch: 2 }).concat(
      both('random', 0, { epoch: 2 }),
      both('magnitude', 0.1, { epoch: 2, aggregation: 'unit' }),
    );
    return [
      { ...one, curves: [...one.curves, ...more, ...later] },
      run(seed, { random: 0, magnitude: 0.1 }, { model: 'mlp' }),
    ];
  });
  const page = report({
    ...{ runs, ordering: orderingOf(runs), overall: overallOf(runs), anchorRuns: [], anchors: [], about },
  });
  const prose = page.replaceAll(/<svg.*?<\/svg>/gs, '');

  it('is one page that loads nothing and runs nothing', () => {
    expect(page).not.toMatch(/https?:|url\((?!#)|@import|<script|<link|<img|\bsrc=|\bon[a-z]+=/i);
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
    expect(page).toMatch(/^<!doctype html>\n/);
    expect(prose).toContain('npm start -- importance &lt;here&gt;');
  });

  it('gives a measure the same colour in all plots', () => {
    const colours = new Map<string, Set<string>>();
    for (const svg of page.match(
      /<svg role="img" aria-label="(Accuracy without the \w+ important weights:|Areas over).*?<\/svg>/gs,
    ) ?? [])
      for (const [, colour, name] of svg.matchAll(
        /stroke="(var\(--series-\d\))" stroke-width="4"[^>]*>\n<text[^>]*>(\w+)</g,
      ))
        colours.set(name!, (colours.get(name!) ?? new Set()).add(colour!));
    expect([...colours.keys()].sort()).toEqual(['magnitude', 'oracle', 'random']);
    expect([...colours.values()].map(({ size }) => size)).toEqual([1, 1, 1]);
  });

  it('has networks, measures, curves of every epoch, diagrams, tables, and curves by aggregation', () => {
    expect(prose).toContain('tiny on function: one hidden layer of 16 ReLU units');
    expect(prose).toContain('<dt>magnitude</dt><dd>|w|</dd>');
    const labels = [...page.matchAll(/<svg role="img" aria-label="([^"]*)"/g)].map(([, label]) => label!);
    const setting = (epoch: number, by: string, model = 'tiny') =>
      `${model} on function, epoch ${epoch}; by ${by}, compared by layer, replaced by noise`;
    for (const by of ['none', 'unit']) {
      expect(labels).toContain(`Accuracy without the least important weights: ${setting(1, by)}`);
      expect(labels).toContain(`Accuracy without the most important weights: ${setting(2, by)}`);
      expect(labels).not.toContain(`Accuracy without the most important weights: ${setting(1, by)}`);
    }
    expect(labels).toContain(`Mean ranks: ${setting(2, 'none')}`);
    expect(labels).toContain(`Mean ranks: ${setting(1, 'none', 'mlp')}`);
    expect(labels.filter((label) => label.startsWith('Areas over epochs'))).toHaveLength(2);
    expect(labels).toContain('Accuracy without the least important weights by magnitude, by aggregation');
    expect(labels[0]).toBe('All tasks and networks together, by none, compared by layer, replaced by noise');
    expect(prose).toMatch(/<tr><td>magnitude<\/td><td>1\.00<\/td><td>a/);
  });
});

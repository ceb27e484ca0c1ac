import { describe, expect, it } from 'vitest';
import type { About } from '../../../../bench/learning/about.ts';
import { planePlot } from '../../../../bench/learning/composition/plane.ts';
import { report } from '../../../../bench/learning/composition/report.ts';
import {
  compositionRows,
  curveOf,
  groupsOf,
  inPercent,
  MEASURES,
  tuningRows,
} from '../../../../bench/learning/composition/summary.ts';
import { row } from './tiny.ts';

const joint = row({
  ...{ combination: 'joint', learned: null, remembered: null, forgetting: null, plasticity: null },
  average: 0.85,
});
const late = (seed: number, value: number) => row({ seed, plasticity: { early: 0.9, late: value } });
const about: About = {
  ...{ data: 'a <b>', machine: 'm', versions: { palimpsest: '0', node: '20' }, kernels: 'wasm-simd', date: 'd' },
  command: 'npm start -- composition',
};

describe('the table', () => {
  it('has a line for each combination in their order, in percent with intervals', () => {
    const reset = row({ combination: 'continual-backprop', replaced: 7 });
    expect(compositionRows([joint, reset, late(1, 0.79), late(2, 0.81)])).toEqual([
      [
        ...['combination', 'seeds', 'all, at the end, %', 'forgetting', 'new, early, %', 'new, late, %', 'both, %'],
        ...['dead, %', 'replaced', 's'],
      ],
      // t at 97.5 % with 1 degree of freedom is 12.706; half the distance of two numbers is the error of their mean.
      ['none', '2', '70.0 ± 0.0', '30.0 ± 0.0', '90.0 ± 0.0', '80.0 ± 12.7', '75.0 ± 6.4', '25', '-', '2.0'],
      ['continual-backprop', '1', '70.0', '30.0', '90.0', '80.0', '75.0', '25', '7', '2.0'],
      ['joint', '1', '85.0', '-', '-', '-', '-', '25', '-', '2.0'],
    ]);
  });

  it('shows what was tried, the best of each combination first', () => {
    const tried = (lambda: number, average: number) => row({ combination: 'ewc', settings: { lambda }, average });
    const [head, ...lines] = tuningRows([tried(1, 0.5), tried(2, 0.7), tried(3, 0.6)]);
    expect(head).toEqual(['combination', 'strengths', 'all, at the end, %', 'new, late, %', 'both, %']);
    expect(lines).toEqual([
      ['ewc', 'lambda 2', '70.0', '80.0', '75.0'],
      ['ewc', 'lambda 3', '60.0', '80.0', '70.0'],
      ['ewc', 'lambda 1', '50.0', '80.0', '65.0'],
    ]);
  });

  it('counts both as the mean of what is known at the end and what is reached late', () => {
    expect(MEASURES.both(row({ average: 0.4, plasticity: { early: 1, late: 0.8 } }))).toBeCloseTo(0.6, 12);
    expect(MEASURES.both(joint)).toBe(null);
  });

  it('has nothing to say of what is not there', () => {
    expect(inPercent(null)).toBe('-');
    expect(groupsOf([])).toEqual([]);
    expect(curveOf([joint], 'learned')).toEqual([]);
    expect(curveOf([row(), row({ learned: [0.7, 0.8] })], 'learned')[0]!.mean).toBeCloseTo(0.8, 12);
  });
});

describe('the plane', () => {
  const about = (mean: number, half: number | null) => ({
    mean,
    low: half === null ? null : mean - half,
    high: half === null ? null : mean + half,
  });

  it('has a dot for each name in the middle of its intervals, and no line where there is one seed', () => {
    const svg = planePlot({
      ...{ label: 'a "label"', xTitle: 'across', yTitle: 'up' },
      points: [
        { name: 'one', x: about(0.2, 0.1), y: about(0.5, null) },
        { name: 'two', x: about(0.6, null), y: about(0.5, 0.2) },
      ],
    });
    for (const text of ['one', 'two', 'across', 'up', 'aria-label="a &quot;label&quot;"']) expect(svg).toContain(text);
    const bars = [...svg.matchAll(/<path d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"[^>]*stroke="var\(--series-(\d)\)"/g)];
    const dots = [...svg.matchAll(/matrix\([^)]*,([\d.]+),([\d.]+)\)" fill="var\(--series-(\d)\)"/g)].map((found) =>
      found.slice(1).map(Number),
    );
    expect(dots.map(([, , series]) => series)).toEqual([1, 2]);
    expect(bars).toHaveLength(2);
    for (const [place, bar] of bars.entries()) {
      const [x1, y1, x2, y2, series] = bar.slice(1).map(Number) as [number, number, number, number, number];
      expect([(x1 + x2) / 2, (y1 + y2) / 2, series]).toEqual(dots[place]!.map((number) => expect.closeTo(number, 0)));
      expect([x1 === x2, y1 === y2]).toEqual(place === 0 ? [false, true] : [true, false]);
    }
    expect(svg).not.toMatch(/NaN|undefined/);
  });
});

describe('the report', () => {
  it('is one page with the table, planes and curves, and loads nothing', () => {
    const others = ['ewc', 'all', 'fresh'].map((combination) => row({ combination, settings: { lambda: 3 } }));
    const html = report({ runs: [row(), row({ seed: 2 }), ...others, joint], about });
    expect(html.match(/<svg /g)).toHaveLength(6);
    // What stands alone and what is together is drawn apart; without a method both times.
    const legendOf = (label: string) =>
      [
        ...html
          .split(`aria-label="${label}"`)[1]!
          .split('</svg>')[0]!
          .matchAll(/>([a-z-]+)<\/text>/g),
      ].map(([, t]) => t);
    for (const curve of ['accuracy on a new context', 'mean accuracy on contexts so far']) {
      expect(legendOf(`${curve}, alone`)).toEqual(['none', 'ewc', 'fresh']);
      expect(legendOf(`${curve}, together`)).toEqual(['none', 'all']);
    }
    expect(html).toContain('a &lt;b&gt;: ten digits');
    expect(html).toContain('lambda 3');
    expect(html).toContain('<td>70.0 ± 0.0</td>');
    expect(html).toContain('npm start -- composition');
    expect(html).not.toMatch(/NaN|undefined|<script|https?:|<b>/);
  });

  it('draws only what there is', () => {
    expect(report({ runs: [joint], about }).match(/<svg /g)).toBe(null);
    expect(() => report({ runs: [], about })).toThrow('report: there are no runs.');
  });
});

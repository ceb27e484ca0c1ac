import { describe, expect, it } from 'vitest';
import { aboutRun } from '../../../../bench/learning/about.ts';
import { linePlot } from '../../../../bench/learning/rules/charts.ts';
import type { Configuration } from '../../../../bench/learning/rules/configuration.ts';
import type { Measurement } from '../../../../bench/learning/rules/measure.ts';
import { report } from '../../../../bench/learning/rules/report.ts';

const none = { count: 1000, height: 28, width: 28, pixels: new Uint8Array(0), labels: new Uint8Array(0) };
const data = { name: 'a<b>&"c', train: none, test: { ...none, count: 200 } };

const configuration = (name: string): Configuration => ({
  ...{ name, about: `What ${name} does.`, layers: [784, 30, 10], batch: 10, epochs: 1 },
  make: () => ({ step: () => 0, predict: () => new Int32Array(0) }),
});

const measurement = (rule: string, seed: number, degrees: number | null): Measurement => {
  const angles = degrees === null ? null : { 'layer 1': degrees, 'layer 2': null };
  return {
    row: {
      ...{ rule, layers: [784, 30, 10], batch: 10, epochs: 1, seed, accuracy: 0.91234, prequential: 0.83 },
      ...{ angles, multiplyAdds: 123_456, stepsPerSecond: 2345.6 },
    },
    curve: [
      { samples: 500, accuracy: 0.4 },
      { samples: 1000, accuracy: 0.8 },
    ],
    angles: angles === null ? [] : [500, 1000].map((samples) => ({ samples, angles })),
  };
};

const page = report({
  configurations: ['plain', 'other&rule'].map(configuration),
  measurements: [measurement('plain', 1, null), measurement('plain', 2, null), measurement('other&rule', 1, 33.33)],
  data,
  about: aboutRun(data.name, ['rules', '--data', data.name]),
});

/** The text of the page without its plots. */
const prose = page.replaceAll(/<svg.*?<\/svg>/gs, '');

describe('report', () => {
  it('is one page that loads nothing and runs nothing', () => {
    expect(page).not.toMatch(/https?:|\/\/|url\((?!#)|@import|<script|<link|<img|\bsrc=|\bon[a-z]+=/i);
    for (const [, target] of page.matchAll(/(?:href|url)[=(]["']?([^"')]*)/g)) expect(target).toMatch(/^#/);
    expect(page).toMatch(/^<!doctype html>\n/);
  });

  it('names every rule with its sentence, and gives its numbers', () => {
    for (const name of ['plain', 'other&amp;rule'])
      expect(prose).toContain(`<dt>${name}</dt><dd>What ${name} does.</dd>`);
    const cells = ['784-30-10', '10', '1', '2', '91.23 %', '83.00 %', '123,456', '2,346'];
    expect(prose).toContain(`<tr><td>plain</td><td>${cells.join('</td><td>')}</td><td>-</td></tr>`);
    expect(prose).toContain('<tr><td>other&amp;rule</td>');
    expect(prose).toContain('<td>33.3° -</td></tr>');
    expect(prose).toContain('2 seeds (1, 2)');
    expect(prose).toContain('1,000 training and 200 held-out images of 28 x 28 pixels');
  });

  it('plots learning curves, held-out accuracy, and the angles of the rules that have some', () => {
    const labels = [...page.matchAll(/<svg role="img" aria-label="([^"]*)"/g)].map(([, label]) => label);
    expect(labels).toEqual([
      'Prequential accuracy of each rule over the images learned from',
      'Held-out accuracy of each rule',
      'Angle of other&amp;rule to backpropagation, by layer, over the images learned from',
    ]);
    expect(prose).toContain('<p>Without updates to compare: plain.</p>');
    const [curves, dots] = [...page.matchAll(/<svg.*?<\/svg>/gs)].map(([plot]) => plot) as [string, string];
    for (const plot of [curves, dots]) {
      expect(plot).toContain('>plain</text>');
      expect(plot).toContain('>other&amp;rule</text>');
    }
    // Two seeds of the first rule in its colour, one of the second in its own.
    expect(curves.match(/<path[^>]*fill="none"[^>]*stroke="var\(--series-1\)"/g)?.length).toBeGreaterThanOrEqual(2);
    expect(dots.match(/fill="var\(--series-1\)"/g)).toHaveLength(2);
    expect(dots.match(/fill="var\(--series-2\)"/g)).toHaveLength(1);
  });

  it('has a sentence under every plot', () => {
    expect(page.match(/<figcaption>/g)).toHaveLength(2);
    expect(prose).toContain('<p>Degrees between the rule');
  });

  it('shows text from outside as text', () => {
    expect(page).not.toContain('a<b>');
    expect(page).not.toContain('other&rule');
    expect(page).toContain('<p>a&lt;b&gt;&amp;&quot;c: 1,000 training');
    expect(page).toContain('<dd>npm start -- rules --data &#39;a&lt;b&gt;&amp;&quot;c&#39;</dd>');
  });

  it('takes its colours from the page, for light and dark', () => {
    expect(page).toContain('@media (prefers-color-scheme: dark)');
    for (const [, color] of page.matchAll(/<(?:text|path)[^>]* stroke="([^"]*)"(?![^>]*stroke-width="0")/g)) {
      expect(color).toMatch(/^var\(--(grid|series-\d)\)$/);
    }
    for (const [, color] of page.matchAll(/<text[^>]* fill="([^"]*)"/g)) expect(color).toBe('currentColor');
    for (const [, name] of page.matchAll(/var\((--[a-z0-9-]+)\)/g)) expect(page).toContain(`${name}: #`);
  });
});

describe('linePlot', () => {
  const plot = { label: 'p', xTitle: 'x', yTitle: 'y', from: 0, to: 1, interval: 0.5 };
  const points = [
    [0, 0.5],
    [1, 1],
  ] as const;

  it('tells more lines apart than there are colours', () => {
    const lines = Array.from({ length: 9 }, (_, i) => ({ name: `rule ${i}`, points }));
    const drawn = linePlot({ ...plot, lines });
    expect(
      drawn.match(/<path[^>]*stroke-dasharray[^>]*var\(--series-1\)|<path[^>]*var\(--series-1\)[^>]*stroke-dasharray/),
    ).not.toBeNull();
    for (const { name } of lines) expect(drawn).toContain(`>${name}</text>`);
  });

  it('draws no line and a single point without complaint', () => {
    expect(linePlot({ ...plot, lines: [] })).toContain('</svg>');
    expect(linePlot({ ...plot, lines: [{ name: 'r', points: [[0, 0.5]] }] })).toContain('fill="var(--series-1)"');
  });
});

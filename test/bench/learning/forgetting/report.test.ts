import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { About } from '../../../../bench/learning/about.ts';
import { heatMap } from '../../../../bench/learning/forgetting/heat-map.ts';
import { type Reference, readReference } from '../../../../bench/learning/forgetting/reference.ts';
import { report } from '../../../../bench/learning/forgetting/report.ts';
import type { Run } from '../../../../bench/learning/forgetting/run.ts';
import {
  cellsOf,
  forgettingRows,
  meanMatrix,
  meeting,
  otherOrders,
} from '../../../../bench/learning/forgetting/summary.ts';
import { temporaryFolder } from '../folder.ts';

const run = (told: Partial<Run> = {}): Run => ({
  ...{ problem: 'split', scenario: 'task', method: 'none', settings: {}, seed: 1 },
  digits: [
    [0, 1],
    [2, 3],
  ],
  ...{ contexts: 2, hidden: [40, 30], lr: 0.001, batch: 128, iterations: 2000, initial: [0.5, 0.5] },
  matrix: [
    [1, 0.5],
    [0.6, 0.9],
  ],
  ...{ average: 0.75, forgetting: 0.4, bwt: -0.4, fwt: 0, seconds: 61.4 },
  ...told,
});
const joint = run({ method: 'joint', matrix: [[1, 1]], average: 1, forgetting: null, bwt: null, fwt: null });

const theirs = (average: number, told = {}) => ({
  ...{ scenario: 'task', method: 'none', seed: 1, average, digits: null },
  ...told,
});
const reference = (...runs: Reference['runs']): Reference => ({ name: 'a <published> code', runs });

const about: About = {
  ...{ data: 'mnist', machine: 'm', versions: { palimpsest: '0', node: '20' }, kernels: 'wasm-simd', date: 'd' },
  command: 'npm start -- forgetting',
};

describe('the table', () => {
  it('has a line for each scenario and method, in percent with intervals', () => {
    const rows = forgettingRows([joint, run(), run({ seed: 2, average: 0.77 }), run({ scenario: 'domain' })]);
    expect(rows).toEqual([
      ['scenario', 'method', 'seeds', 'accuracy, %', 'forgetting', 'backward', 'forward', 's a run'],
      // t at 97.5 % with 1 degree of freedom is 12.706; half the distance of two numbers is the error of their mean.
      ['task', 'none', '2', '76.00 ± 12.71', '40.00 ± 0.00', '-40.00 ± 0.00', '0.00 ± 0.00', '61'],
      ['task', 'joint', '1', '100.00', '-', '-', '-', '61'],
      ['domain', 'none', '1', '75.00', '40.00', '-40.00', '0.00', '61'],
    ]);
  });

  it('sets the means of a reference beside ours, and says whether intervals meet', () => {
    const runs = [joint, run(), run({ seed: 2, average: 0.76 }), run({ scenario: 'domain' })];
    const near = [theirs(0.7), theirs(0.8, { seed: 2 }), theirs(0.1, { method: 'other' })];
    const far = [theirs(0.2, { scenario: 'domain' })];
    const [head, none, all, domain] = forgettingRows(runs, reference(...near, ...far)).map((row) => row.slice(8));
    expect(head).toEqual(['reference, %', 'its seeds', 'intervals meet']);
    expect(none).toEqual(['75.00 ± 63.53', '2', 'yes']);
    expect(all).toEqual(['-', '-', '-']);
    expect(domain).toEqual(['20.00', '1', 'one seed']);
  });

  it('calls intervals that share a number meeting, and no others', () => {
    const between = (low: number, high: number) => ({ mean: (low + high) / 2, low, high });
    expect(meeting(between(0, 1), between(1, 2))).toBe('yes');
    expect(meeting(between(1, 2), between(0, 1))).toBe('yes');
    expect(meeting(between(0, 3), between(1, 2))).toBe('yes');
    expect(meeting(between(0, 1), between(1.1, 2))).toBe('no');
    expect(meeting(between(1.1, 2), between(0, 1))).toBe('no');
    expect(meeting({ mean: 1, low: null, high: null }, between(0, 2))).toBe('one seed');
    expect(meeting(null, between(0, 2))).toBe('-');
  });

  it('takes means of matrices cell by cell', () => {
    expect(
      meanMatrix([
        run(),
        run({
          matrix: [
            [0, 0.5],
            [0.2, 0.7],
          ],
        }),
      ]),
    ).toEqual([
      [0.5, 0.5],
      [0.4, 0.8],
    ]);
    expect(cellsOf([run({ scenario: 'class' }), run()]).map(({ scenario }) => scenario)).toEqual(['task', 'class']);
  });

  it('knows seeds whose digits come in another order', () => {
    const same = theirs(1, {
      digits: [
        [0, 1],
        [2, 3],
      ],
    });
    const other = theirs(1, {
      seed: 2,
      digits: [
        [2, 3],
        [0, 1],
      ],
    });
    const unknown = theirs(1, {
      seed: 3,
      digits: [
        [2, 3],
        [0, 1],
      ],
    });
    expect(otherOrders([run(), run({ seed: 2 })], reference(same, other, unknown, theirs(1)))).toEqual([2]);
  });
});

describe('a reference', () => {
  const read = (text: string) => {
    const path = join(temporaryFolder(), 'r.json');
    writeFileSync(path, text);
    return readReference('--reference', path, 'split');
  };

  it('is read from a file, the runs of this problem alone', () => {
    const one = { scenario: 'task', method: 'none', seed: 1, average_accuracy: 0.9 };
    const found = read(
      JSON.stringify({
        ...{ code: 'a/b', commit: 'c1' },
        runs: [
          { ...one, experiment: 'splitMNIST', digits: [[1, 0]] },
          { ...one, experiment: 'permMNIST' },
          { ...one, seed: 2 },
        ],
      }),
    );
    expect(found).toEqual({
      name: 'a/b, commit c1',
      runs: [
        { scenario: 'task', method: 'none', seed: 1, average: 0.9, digits: [[1, 0]] },
        { scenario: 'task', method: 'none', seed: 2, average: 0.9, digits: null },
      ],
    });
  });

  it('that is none is refused in a sentence that names the file', () => {
    expect(() => read('{')).toThrow(/^--reference .*r\.json: this is no JSON\.$/);
    expect(() => read('[]')).toThrow(/r\.json: it has no list "runs"\.$/);
    expect(() => read('null')).toThrow(/r\.json: it has no list "runs"\.$/);
    const good = { scenario: 'task', method: 'none', seed: 1, average_accuracy: 0.9 };
    for (const bad of [{ average_accuracy: 90 }, { seed: 'x' }, { scenario: 1 }, { method: null }])
      expect(() => read(JSON.stringify({ runs: [good, { ...good, ...bad }] }))).toThrow(/r\.json: runs\[1\] must have/);
    expect(() => read(JSON.stringify({ runs: [{ ...good, digits: [1, 2] }] }))).toThrow(/runs\[0\]\.digits must be/);
    expect(() => readReference('--reference', temporaryFolder(), 'split')).toThrow(/cannot be read \(EISDIR\)/);
  });
});

describe('the report', () => {
  const runs = [run({ settings: { lambda: 5 } }), run({ scenario: 'class', settings: { lambda: 7 } }), joint];
  const page = report({
    runs,
    reference: reference(
      theirs(0.7, {
        digits: [
          [9, 8],
          [2, 3],
        ],
      }),
    ),
    about,
  });
  const prose = page.replaceAll(/<svg.*?<\/svg>/gs, '');

  it('is one page that loads nothing and runs nothing', () => {
    expect(page).not.toMatch(/https?:|url\((?!#)|@import|<script|<link|<img|\bsrc=|\bon[a-z]+=/i);
    expect(page).not.toMatch(/NaN|undefined/);
    expect(page).toMatch(/^<!doctype html>\n/);
  });

  it('names every method with its sentence and its settings, by scenario where they differ', () => {
    expect(prose).toContain(
      '<dt>none</dt><dd>the network just goes on learning; in task: lambda 5; in class: lambda 7</dd>',
    );
    expect(prose).toMatch(
      /<dt>joint<\/dt><dd>all contexts at once, for as many steps as all of them together have<\/dd>/,
    );
    expect(prose).not.toContain('<dt>er</dt>');
    expect(prose).toContain('Hidden layers of 40 and 30 ReLU units; 2 contexts of 2,000 steps with 128 images each');
  });

  it('has the table, the reference and its orders, and the matrices of each scenario', () => {
    expect(prose).toContain('<td>task</td><td>none</td><td>1</td><td>75.00</td><td>40.00</td>');
    expect(prose).toContain('Reference: a &lt;published&gt; code.');
    expect(prose).toContain('Its digits came in other orders than here with the seed 1.');
    expect(prose).toContain('<h2>Scenario: task</h2>');
    expect(prose).toContain('<h2>Scenario: class</h2>');
    expect(prose).not.toContain('<h2>Scenario: domain</h2>');
    const labels = [...page.matchAll(/<svg role="img" aria-label="([^"]*)"/g)].map(([, label]) => label);
    expect(labels).toEqual([
      'Accuracy of none on each context after each context, scenario task',
      'Accuracy of joint on each context after each context, scenario task',
      'Accuracy of none on each context after each context, scenario class',
    ]);
    // All contexts at once are one row.
    const svgs = page.match(/<svg.*?<\/svg>/gs) ?? [];
    expect(svgs.map((svg) => svg.includes('>all</text>'))).toEqual([false, true, false]);
    expect(prose).toContain('npm start -- forgetting');
  });

  it('says where its runs are not like those of the reference', () => {
    const unlike = 'it is no comparison of like with like';
    const published = run({ hidden: [400, 400], contexts: 5 });
    const pageOf = (one: Run, data = 'mnist') =>
      report({ runs: [one], reference: reference(theirs(0.7)), about: { ...about, data } });
    expect(pageOf(published)).not.toContain(unlike);
    expect(pageOf(published)).not.toContain('other orders');
    expect(pageOf(published, 'embedded digits')).toContain(unlike);
    for (const told of [{ hidden: [400, 40] }, { iterations: 200 }, { batch: 12 }, { lr: 0.1 }, { contexts: 2 }])
      expect(pageOf({ ...published, ...told })).toContain(unlike);
  });

  it('says nothing of a reference where there is none', () => {
    expect(report({ runs, reference: null, about })).not.toMatch(/reference/i);
  });
});

describe('a matrix of accuracies', () => {
  const svg = heatMap(
    'a < b',
    [
      [1, 0.5],
      [0.25, 0],
    ],
    ['1', '2'],
  );

  it('has a cell for each pair, the darker the better, with its accuracy in percent', () => {
    const cells = [
      ...svg.matchAll(/<path d="M([\d.]+) ([\d.]+)[^>]* fill="var\(--series-1\)"(?: fill-opacity="([\d.]+)")?/g),
    ];
    const [a, b, c, d] = cells.map(([, x, y, opacity]) => ({ x: Number(x), y: Number(y), opacity: Number(opacity) }));
    expect(cells).toHaveLength(4);
    expect([a!.opacity, b!.opacity, c!.opacity, d!.opacity]).toEqual([0.6, 0.3, 0.15, 0]);
    // Rows from above, columns from the left.
    expect([a!.x < b!.x, a!.y === b!.y, a!.x === c!.x, a!.y < c!.y]).toEqual([true, true, true, true]);
    const texts = [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text);
    expect(texts.slice(-4)).toEqual(['100', '50', '25', '0']);
    expect(texts).toContain('after context');
    expect(texts).toContain('asked about context');
  });

  it('names itself to who does not see it', () => {
    expect(svg).toContain('aria-label="a &lt; b"');
  });
});

import { describe, expect, it } from 'vitest';
import { pageOf, sentencesOf } from '../../../bench/speed/page.ts';
import type { Report, ReportRow } from '../../../bench/speed/report.ts';

const missing = { error: "Kernel 'Conv2DBackpropFilter' not registered for backend 'wasm'" };

function row(name: string, ours: number, peers: Partial<ReportRow['peers']> = {}): ReportRow {
  return {
    suite: 'array',
    name,
    unit: 'M elements/s',
    ours,
    peers: { 'tfjs-cpu': 1, 'tfjs-wasm': 100, 'jax-jit': 50, 'jax-eager': 40, ...peers },
  };
}

const report: Report = {
  machine: 'a processor, 2 cores',
  node: 'v24.0.0',
  date: '2026-11-21T05:00:00.000Z',
  quick: true,
  note: 'Other work was on.',
  versions: { palimpsest: '0.1.0', '@jax-js/jax': '0.1.25' },
  rows: [row('exp', 250), row('sigmoid', 70), { ...row('10 ops', 30), suite: 'overhead', unit: 'calls/s' }],
};

describe('the sentences', () => {
  it('name what is won, level and lost against the fastest peer of each row', () => {
    const rows = [
      row('exp', 250),
      row('add', 104),
      row('sum', 96),
      row('sigmoid', 70),
      row('max', 45, { 'tfjs-wasm': missing }),
    ];
    expect(sentencesOf(rows).slice(0, 3)).toEqual([
      '- Ahead of every peer in 1 of 5 rows: exp (2.50 times tfjs-wasm).',
      '- Level with the fastest peer, within 5 %, in 2: add (1.04 times tfjs-wasm), sum (0.960 times tfjs-wasm).',
      '- Behind in 2: sigmoid (0.700 times tfjs-wasm), max (0.900 times jax-jit).',
    ]);
  });

  it('say so where nothing is lost', () => {
    expect(sentencesOf([row('exp', 250)])).toEqual([
      '- Ahead of every peer in 1 of 1 rows: exp (2.50 times tfjs-wasm).',
      '- Behind in none.',
    ]);
  });

  it('give the ends of a long list', () => {
    const rows = [3, 9, 2, 5, 4, 8, 6, 7, 10].map((ratio) => row(`row ${ratio}`, 100 * ratio));
    expect(sentencesOf(rows)[0]).toBe(
      '- Ahead of every peer in 9 of 9 rows: from row 2 (2.00 times tfjs-wasm) to row 10 (10.0 times tfjs-wasm).',
    );
  });

  it('give the reason of what a peer cannot do', () => {
    const rows = [row('3x3', 1, { 'tfjs-wasm': missing }), row('1x1', 1, { 'tfjs-wasm': missing })];
    expect(sentencesOf(rows).at(-1)).toBe(`- tfjs-wasm cannot compute 3x3, 1x1: "${missing.error}".`);
  });

  it('turn starts a second into milliseconds', () => {
    const rows = [{ ...row('import', 5, { 'jax-jit': missing }), unit: 'starts/s' }];
    expect(sentencesOf(rows)).toContain(
      '- In milliseconds, import: ours 200, tfjs-cpu 1000, tfjs-wasm 10, jax-eager 25.',
    );
  });

  it('bear a row that no peer can do', () => {
    const alone = { 'tfjs-cpu': missing, 'tfjs-wasm': missing, 'jax-jit': missing, 'jax-eager': missing };
    expect(sentencesOf([row('exp', 250, alone)])[0]).toBe('- Ahead of every peer in 0 of 1 rows.');
  });
});

describe('the page', () => {
  const page = pageOf(report);

  it('says on what, when and how it was measured', () => {
    for (const fact of [
      'a processor, 2 cores',
      'v24.0.0',
      '2026-11-21',
      '@jax-js/jax 0.1.25',
      '--quick',
      'Other work was on.',
    ]) {
      expect(page).toContain(fact);
    }
    expect(page).not.toContain('T05:00');
    expect(pageOf({ ...report, quick: false, note: null })).not.toContain('--quick');
  });

  it('has a table for each suite that was measured, with every row', () => {
    expect(page).toContain('| array, M elements/s | ours | tfjs-cpu | tfjs-wasm | jax-jit | jax-eager |');
    expect(page).toContain('| sigmoid | 70.0 | 1.00 (70.0x) | 100 (0.700x) | 50.0 (1.40x) | 40.0 (1.75x) |');
    expect(page).toContain('| overhead, calls/s |');
    expect(page).not.toContain('## Matrix products');
  });

  it('writes as many cells in every line of a table', () => {
    const tables = page.split('\n\n').filter((block) => block.startsWith('| array'));
    for (const line of tables.join('\n').split('\n')) expect(line.split('|')).toHaveLength(8);
  });
});

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ContestantName, Outcome } from '../../../bench/speed/harness.ts';
import {
  createReport,
  errorLines,
  formatNumber,
  type Measurement,
  tableHeader,
  tableLine,
  writeReport,
} from '../../../bench/speed/report.ts';
import { type Row, rows } from '../../../bench/speed/rows.ts';

const row = rows.find(({ name }) => name === 'CNN 16-32 batch 32') as Row;
const missing = { error: "Kernel 'Conv2DBackpropFilter' not registered for backend 'wasm'" };

function measured(ours: Outcome): Measurement {
  const outcomes = new Map<ContestantName, Outcome>([
    ['ours', ours],
    ['tfjs-cpu', 0.25],
    ['tfjs-wasm', missing],
    ['jax-jit', 20],
    ['jax-eager', 4],
  ]);
  return { row, outcomes };
}

describe('the table', () => {
  it('shows how many times faster we are, and the beginning of an error', () => {
    const line = tableLine(measured(120));
    expect(line).toMatch(/^CNN 16-32 batch 32 +120 +0\.250 +480x .*\.\.\. +20\.0 +6\.00x +4\.00 +30\.0x$/);
  });

  it('keeps its columns below their heads, whatever stands in them', () => {
    expect(tableLine(measured(120))).toHaveLength(tableHeader(row).length);
    expect(tableLine(measured({ error: 'a sentence that is far too long for its column' }))).toHaveLength(
      tableHeader(row).length,
    );
  });

  it('has every error in full below it, once', () => {
    expect(errorLines([measured(120)])).toEqual([`tfjs-wasm, CNN 16-32 batch 32: ${missing.error}`]);
    const everywhere = Array.from({ length: 9 }, () => measured(120));
    expect(errorLines(everywhere)).toEqual([`tfjs-wasm, 9 rows: ${missing.error}`]);
  });

  it('writes numbers with three digits', () => {
    expect([0.27658, 45.21, 477.8, 4743.83, 1234567].map(formatNumber)).toEqual([
      '0.277',
      '45.2',
      '478',
      '4,744',
      '1,234,567',
    ]);
  });
});

describe('the report', () => {
  it('holds our number, and a number or an error for every peer', () => {
    const report = createReport([measured(120)], { '@tensorflow/tfjs': '4.22.0' }, { quick: true, note: 'busy' });
    expect(report).toMatchObject({
      node: process.version,
      quick: true,
      note: 'busy',
      versions: { '@tensorflow/tfjs': '4.22.0' },
    });
    expect(Number.isNaN(Date.parse(report.date))).toBe(false);
    expect(report.machine).not.toBe('');
    expect(report.rows).toEqual([
      {
        suite: 'step',
        name: 'CNN 16-32 batch 32',
        unit: 'steps/s',
        ours: 120,
        peers: { 'tfjs-cpu': 0.25, 'tfjs-wasm': missing, 'jax-jit': 20, 'jax-eager': 4 },
      },
    ]);
  });

  it('says of a peer that was not there that it was not measured', () => {
    const [reported] = createReport([{ row, outcomes: new Map([['ours', 1]]) }], {}, { quick: true, note: null }).rows;
    expect(reported?.peers['jax-eager']).toEqual({ error: 'not measured' });
  });

  it('is refused without a number of our own', () => {
    expect(() => createReport([measured({ error: 'broken' })], {}, { quick: false, note: null })).toThrow(
      'no number of our own',
    );
  });

  it('is written whole, and leaves nothing else behind', () => {
    const folder = mkdtempSync(join(tmpdir(), 'speed-report-'));
    try {
      const report = createReport([measured(120)], {}, { quick: false, note: null });
      writeReport(join(folder, 'speed.json'), report);
      expect(readdirSync(folder)).toEqual(['speed.json']);
      expect(JSON.parse(readFileSync(join(folder, 'speed.json'), 'utf8'))).toEqual(report);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

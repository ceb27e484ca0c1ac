/** What was measured, in two forms: a table for the terminal, printed as it grows, and a JSON file. */

import { renameSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { type ContestantName, type Outcome, type Outcomes, type PeerName, peerNames } from './harness.ts';
import type { Versions } from './peers.ts';
import type { Row } from './rows.ts';

export interface Measurement {
  readonly row: Row;
  readonly outcomes: Outcomes;
}

/** Higher is better everywhere. */
export interface Report {
  readonly machine: string;
  readonly node: string;
  /** ISO 8601. */
  readonly date: string;
  readonly quick: boolean;
  readonly versions: Versions;
  readonly rows: readonly {
    readonly suite: string;
    readonly name: string;
    readonly unit: string;
    readonly ours: number;
    readonly peers: Readonly<Record<PeerName, Outcome>>;
  }[];
}

const nameWidth = 30;
const oursWidth = 11;
const peerWidth = 22;

/** A suite's first line: who stands in which column. */
export function tableHeader({ suite, unit }: Row): string {
  const peers = peerNames.map((name) => name.padStart(peerWidth));
  return `${`${suite}, ${unit}`.padEnd(nameWidth)}${'ours'.padStart(oursWidth)}${peers.join('')}`;
}

/** Our speed, and every peer's with how many times faster we are; an error is cut to its column. */
export function tableLine({ row, outcomes }: Measurement): string {
  const ours = outcomeOf(outcomes, 'ours');
  const peers = peerNames.map((name) => peerCell(ours, outcomeOf(outcomes, name)).padStart(peerWidth));
  const first = typeof ours === 'number' ? formatNumber(ours) : shortened(ours.error, oursWidth);
  return `${row.name.padEnd(nameWidth)}${first.padStart(oursWidth)}${peers.join('')}`;
}

/** The sentences that the table had no room for, each once, with the rows it stands in. */
export function errorLines(measurements: readonly Measurement[]): string[] {
  const places = new Map<string, { name: ContestantName; error: string; rows: string[] }>();
  for (const { row, outcomes } of measurements) {
    for (const [name, outcome] of outcomes) {
      if (typeof outcome === 'number') continue;
      const place = places.get(`${name}: ${outcome.error}`) ?? { name, error: outcome.error, rows: [] };
      places.set(`${name}: ${outcome.error}`, place);
      place.rows.push(row.name);
    }
  }
  return [...places.values()].map(
    ({ name, error, rows }) => `${name}, ${rows.length > 3 ? `${rows.length} rows` : rows.join(' and ')}: ${error}`,
  );
}

export function createReport(measurements: readonly Measurement[], versions: Versions, quick: boolean): Report {
  return {
    machine: `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, ${platform()} ${arch()}`,
    node: process.version,
    date: new Date().toISOString(),
    quick,
    versions,
    rows: measurements.map(({ row, outcomes }) => {
      const ours = outcomeOf(outcomes, 'ours');
      if (typeof ours !== 'number') throw new Error(`${row.name}: no number of our own to report (${ours.error})`);
      const peer = (name: PeerName) => outcomeOf(outcomes, name);
      const peers = { 'tfjs-cpu': peer('tfjs-cpu'), 'tfjs-wasm': peer('tfjs-wasm'), 'jax-jit': peer('jax-jit') };
      return { suite: row.suite, name: row.name, unit: row.unit, ours, peers };
    }),
  };
}

/** Written beside its place and renamed, so that nobody reads half a report. */
export function writeReport(file: string, report: Report): void {
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(report, null, 2)}\n`);
  renameSync(temporary, file);
}

function outcomeOf(outcomes: Outcomes, name: ContestantName): Outcome {
  return outcomes.get(name) ?? { error: 'not measured' };
}

function peerCell(ours: Outcome, peer: Outcome): string {
  if (typeof peer !== 'number') return shortened(peer.error, peerWidth - 2);
  const ratio = typeof ours === 'number' ? `${formatNumber(ours / peer)}x` : '';
  return `${formatNumber(peer)}${ratio.padStart(9)}`;
}

/** Three significant digits, thousands separated. */
export function formatNumber(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function shortened(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 3)}...`;
}

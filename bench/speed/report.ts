/** What was measured, in two forms: a table for the terminal, printed as it grows, and a report, which is also a JSON file. */

import { renameSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { type ContestantName, type Outcome, type Outcomes, type PeerName, peerNames } from './harness.ts';
import type { Versions } from './peers.ts';
import type { SuiteName } from './rows/row.ts';
import type { Row } from './rows.ts';

export interface Measurement {
  readonly row: Row;
  readonly outcomes: Outcomes;
}

export interface ReportRow {
  readonly suite: SuiteName;
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  readonly peers: Readonly<Record<PeerName, Outcome>>;
}

/** Higher is better everywhere. */
export interface Report {
  readonly machine: string;
  readonly node: string;
  /** ISO 8601. */
  readonly date: string;
  readonly quick: boolean;
  /** What whoever measured said about the circumstances. */
  readonly note: string | null;
  readonly versions: Versions;
  readonly rows: readonly ReportRow[];
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
  const found = failures(measurements.map(({ row, outcomes }) => ({ name: row.name, outcomes: [...outcomes] })));
  return found.map(
    ({ contestant, error, rows }) =>
      `${contestant}, ${rows.length > 3 ? `${rows.length} rows` : rows.join(' and ')}: ${error}`,
  );
}

/** Who could not do what, and why: the rows of each contestant and reason together. */
export function failures(
  rows: readonly { readonly name: string; readonly outcomes: readonly (readonly [ContestantName, Outcome])[] }[],
): { readonly contestant: ContestantName; readonly error: string; readonly rows: readonly string[] }[] {
  const found = new Map<string, { contestant: ContestantName; error: string; rows: string[] }>();
  for (const { name, outcomes } of rows) {
    for (const [contestant, outcome] of outcomes) {
      if (typeof outcome === 'number') continue;
      const key = `${contestant}: ${outcome.error}`;
      const failure = found.get(key) ?? { contestant, error: outcome.error, rows: [] };
      found.set(key, failure);
      failure.rows.push(name);
    }
  }
  return [...found.values()];
}

export function createReport(
  measurements: readonly Measurement[],
  versions: Versions,
  { quick, note }: Pick<Report, 'quick' | 'note'>,
): Report {
  return {
    machine: `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, ${platform()} ${arch()}`,
    node: process.version,
    date: new Date().toISOString(),
    quick,
    note,
    versions,
    rows: measurements.map(({ row, outcomes }) => {
      const ours = outcomeOf(outcomes, 'ours');
      if (typeof ours !== 'number') throw new Error(`${row.name}: no number of our own to report (${ours.error})`);
      const peers = Object.fromEntries(peerNames.map((name) => [name, outcomeOf(outcomes, name)]));
      return { suite: row.suite, name: row.name, unit: row.unit, ours, peers: peers as ReportRow['peers'] };
    }),
  };
}

export function writeReport(file: string, report: Report): void {
  writeWhole(file, `${JSON.stringify(report, null, 2)}\n`);
}

/** Written beside its place and renamed, so that nobody reads half of it. */
export function writeWhole(file: string, text: string): void {
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, text);
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

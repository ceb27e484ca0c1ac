/**
 * How it is measured: all contestants in one process, five rounds in rotating order, one short Benchmark.js run each a
 * round, and the median counts. Before the clock starts every contestant has shown that it computes the same numbers
 * and has been warmed up (kernels compiled, memory grown). Everything that is timed is synchronous and ends with the
 * result in JavaScript's hands. Only work that has to begin in a new process times itself; its turns go round likewise.
 */

import Benchmark from 'benchmark';
import type { Row } from './rows.ts';

export const peerNames = ['tfjs-cpu', 'tfjs-wasm', 'jax-jit', 'jax-eager'] as const;
export type PeerName = (typeof peerNames)[number];
export type ContestantName = 'ours' | PeerName;

export interface Contestant {
  readonly name: ContestantName;
  /** Makes this contestant's backend the current one; awaited before anything else of it runs. */
  activate(): Promise<void>;
  /** Puts the row's numbers where the contestant likes them best. */
  prepare(row: Row): Workload;
}

export interface Workload {
  /** The work that is timed: the numbers that were computed, or the loss of one more training step. */
  run(): Float32Array | number;
  /** The numbers of `run` in the row's layout, for the comparison alone; left out where the side keeps that layout. */
  inRowLayout?(result: Float32Array): Float32Array;
  /** Seconds of one call, of work that is done in a process of its own; left out where the harness times `run`. */
  seconds?(): number;
  dispose(): void;
}

export interface Failure {
  /** The first line of what went wrong. */
  readonly error: string;
}

export type Outcome = number | Failure;
export type Outcomes = ReadonlyMap<ContestantName, Outcome>;

/** Times are in seconds. `minTime`, `maxTime` and `minSamples` are Benchmark.js's options of one run. */
export interface Pace {
  /** Spent once a row and contestant, before the rounds. */
  readonly warmUp: number;
  /** A contestant that has spent so much on a row's rounds sits out the rest of them: hundreds of times too slow anyway. */
  readonly patience: number;
  readonly minTime: number;
  readonly maxTime: number;
  readonly minSamples: number;
}

export const fullPace: Pace = { warmUp: 0.5, patience: 120, minTime: 0.05, maxTime: 0.6, minSamples: 3 };
export const quickPace: Pace = { warmUp: 0.25, patience: 10, minTime: 0.02, maxTime: 0.1, minSamples: 1 };

export const roundCount = 5;

/** Training steps whose losses have to agree before a row is timed; of anything else one call is enough. */
const checkedSteps = 3;
const tolerance = 1e-3;

/** A contestant's way through one row. */
interface Entry {
  readonly contestant: Contestant;
  workload: Workload | null;
  failure: Failure | null;
  /** One a round, in the row's unit. */
  readonly speeds: number[];
  secondsSpent: number;
}

/** Every contestant's speed on one row, in the row's unit; what the first one computes is what all have to compute. */
export async function measureRow(row: Row, contestants: readonly Contestant[], pace: Pace): Promise<Outcomes> {
  const entries = contestants.map(
    (contestant): Entry => ({ contestant, workload: null, failure: null, speeds: [], secondsSpent: 0 }),
  );

  let expected: ArrayLike<number> | undefined;
  for (const entry of entries) {
    await attempt(entry, () => {
      entry.workload = entry.contestant.prepare(row);
      const results = warmUp(entry.workload, pace.warmUp);
      expected ??= results;
      assertAgreement(expected, results);
    });
  }

  for (let round = 0; round < roundCount; round++) {
    for (const entry of rotated(entries, round)) {
      const { workload } = entry;
      if (workload === null || entry.failure !== null || entry.secondsSpent > pace.patience) continue;
      await macrotask();
      const start = performance.now();
      await attempt(entry, () => entry.speeds.push(row.workPerCall * speedOf(workload, pace)));
      entry.secondsSpent += (performance.now() - start) / 1000;
    }
  }

  for (const entry of entries) await attempt(entry, () => entry.workload?.dispose());
  return new Map(entries.map(({ contestant, failure, speeds }) => [contestant.name, failure ?? median(speeds)]));
}

/** Does one part of a contestant's work; the first one that throws puts the contestant out of the row. */
async function attempt(entry: Entry, work: () => void): Promise<void> {
  try {
    await entry.contestant.activate();
    work();
  } catch (error) {
    entry.failure ??= { error: firstLine(error) };
  }
}

/** Calls a second. */
function speedOf(workload: Workload, pace: Pace): number {
  return workload.seconds === undefined ? callsPerSecond(() => workload.run(), pace) : 1 / workload.seconds();
}

/** One run of Benchmark.js, synchronous. */
export function callsPerSecond(
  run: () => unknown,
  { minTime, maxTime, minSamples }: Pick<Pace, 'minTime' | 'maxTime' | 'minSamples'>,
): number {
  const benchmark = new Benchmark({ fn: run, minTime, maxTime, minSamples });
  benchmark.run({ async: false });
  if (benchmark.error) throw benchmark.error;
  return benchmark.hz;
}

/** Calls until `seconds` have passed, and returns what is compared: the numbers of the first call, or the first losses. */
function warmUp(workload: Workload, seconds: number): ArrayLike<number> {
  const start = performance.now();
  const waiting = () => performance.now() - start < 1000 * seconds;
  const losses: number[] = [];
  let numbers: Float32Array | undefined;
  while (numbers === undefined && losses.length < checkedSteps) {
    const result = workload.run();
    if (typeof result === 'number') losses.push(result);
    else numbers = workload.inRowLayout?.(result) ?? result.slice();
  }
  while (waiting()) workload.run();
  return numbers ?? losses;
}

/** Throws when two lists of results differ by more than a thousandth of the largest expected one. */
export function assertAgreement(expected: ArrayLike<number>, actual: ArrayLike<number>): void {
  if (actual.length !== expected.length) {
    throw new Error(`computes something else: ${actual.length} numbers instead of ${expected.length}`);
  }
  let scale = 0;
  for (let index = 0; index < expected.length; index++) scale = Math.max(scale, Math.abs(expected[index] as number));
  for (let index = 0; index < expected.length; index++) {
    const [wanted, found] = [expected[index] as number, actual[index] as number];
    if (Math.abs(found - wanted) <= tolerance * scale) continue;
    throw new Error(`computes something else: result ${index} is ${found} instead of ${wanted}`);
  }
}

/** The list with its first `count` items moved to the end, so that everybody is first, and last, in some round. */
export function rotated<T>(items: readonly T[], count: number): T[] {
  const start = items.length === 0 ? 0 : count % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split('\n')[0] || 'an error without a message';
}

/** Lets finalizers and other tasks that wait for the end of a synchronous job run, outside the measured time. */
function macrotask(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

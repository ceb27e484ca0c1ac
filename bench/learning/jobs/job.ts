/**
 * Jobs: pieces of an experiment that do not know of each other, so they may run at the same time, on several machines, today and
 * tomorrow. A job is its settings: plain data that says everything its result depends on. Its id follows from them.
 */

import { createHash } from 'node:crypto';

export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [name: string]: Plain };
export type Settings = { readonly [name: string]: Plain };

export interface Job {
  /** Readable words, then a hash of the settings: the job's name in folders and lists. */
  readonly id: string;
  readonly settings: Settings;
  /** Settings that hold on this machine only, such as where a file lies: handed over in the place of those of the same names. */
  readonly here?: Settings;
}

/** Where a job may keep how far it is; see JobCheckpoint. */
export interface CheckpointPlace {
  /** The id of the job. */
  readonly job: string;
  /** A file that is its own. */
  readonly path: string;
}

/** What a module that runs jobs exports. It is loaded in a process of its own for each job. */
export interface JobModule {
  /**
   * Does the job, and tells at every step which share of it is done: others can only be heard at `await report(...)`. Its result
   * must not depend on whether it went on from a checkpoint; where `checkpoint` is null it keeps none.
   */
  runJob(
    settings: Settings,
    report: (done: number) => Promise<void>,
    checkpoint: CheckpointPlace | null,
  ): Promise<Plain>;
}

/** A job whose id begins with these words, letters and digits in small. */
export function makeJob(words: readonly (string | number)[], settings: Settings, here?: Settings): Job {
  const readable = words.map((word) =>
    String(word)
      .toLowerCase()
      .replaceAll(/[^a-z0-9.]+/g, '-'),
  );
  const hash = createHash('sha256').update(canonical(settings)).digest('hex').slice(0, 10);
  return { id: [...readable, hash].join('_'), settings, ...(here !== undefined && { here }) };
}

/** The same text for the same settings, in whatever order they were written. */
export function canonical(value: Plain): string {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`canonical: ${value} is no plain data.`);
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const entries = Object.entries(value).sort(([a], [b]) => compare(a, b));
  return `{${entries.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}

/** By code units, the same in every locale. */
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export const byId = (a: { readonly id: string }, b: { readonly id: string }): number => compare(a.id, b.id);

/** One of several parts of a list of jobs, counted from 1. */
export interface Part {
  readonly index: number;
  readonly count: number;
}

/** The jobs of a part: dealt out one by one in the order of their ids, so that parts differ by one job at most. */
export function jobsOfPart<Kind extends Job>(jobs: readonly Kind[], { index, count }: Part): Kind[] {
  return [...jobs].sort(byId).filter((_, place) => place % count === index - 1);
}

/**
 * How far a job is, kept in a file while it runs, so that a job that was killed goes on and does not start over.
 *
 * The result must not depend on it. What is kept comes back to the bit, and a file that is damaged, of another job or of
 * other kernels is not gone on from: the job says so and starts at the beginning, which costs time and nothing else. So the file
 * is a checkpoint of the library with a hash behind it, of the job's id and of all its bytes: a checkpoint alone does not know
 * of numbers that were changed on the disk, nor whose it is.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type CheckpointParts, formatCheckpoint, restoreCheckpoint } from '../../../src/io/checkpoint.ts';
import { writeFileAtomically } from '../../../src/io/files.ts';
import type { CheckpointTargets } from '../../../src/io/places.ts';
import type { CheckpointPlace } from './job.ts';

/** Milliseconds between two checkpoints: a tenth of the process's time, so that a kill costs little of what was done, within these. */
const [LEAST, MOST] = [250, 30_000];
/** A checkpoint that takes long to write comes more seldom: so many times what it took lie between two. */
const SPARING = 20;

export class JobCheckpoint {
  readonly #place: CheckpointPlace;
  readonly #say: (word: string) => void;
  readonly #start = performance.now();
  #next = this.#start + LEAST;
  #saving = 0;

  /** `say` is told, in a sentence, of what cannot be read or written. */
  constructor(place: CheckpointPlace, say: (word: string) => void = (word) => void process.stderr.write(`${word}\n`)) {
    this.#place = place;
    this.#say = say;
  }

  /**
   * Brings objects, as they are at the beginning of the job, to where it was left. Returns the steps that were done; 0, and nothing
   * has been changed, where the job starts at the beginning.
   */
  resume(targets: CheckpointTargets): number {
    const { path, job } = this.#place;
    try {
      const bytes = readFileSync(path);
      const body = bytes.subarray(0, -HASH);
      if (!hashOf(job, body).equals(bytes.subarray(-HASH))) throw new Error('It is damaged, or of another job.');
      const { step } = restoreCheckpoint(body, targets);
      return step ?? 0;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
      this.#say(`${job} starts over: it cannot go on from ${path}. ${messageOf(error)}`);
      return 0;
    }
  }

  /** Whether it is time for `save`. */
  get isDue(): boolean {
    return performance.now() >= this.#next;
  }

  /** Milliseconds that saving has taken. */
  get saving(): number {
    return this.#saving;
  }

  /** Keeps these objects as they are now, whole or not at all. A job that cannot keep them goes on without. */
  async save(parts: CheckpointParts & { readonly step: number }): Promise<void> {
    const { path, job } = this.#place;
    const start = performance.now();
    const body = formatCheckpoint(parts);
    try {
      await writeFileAtomically(path, new Uint8Array(Buffer.concat([body, hashOf(job, body)])));
    } catch (error) {
      this.#say(`${job} goes on, but would start over after a kill. ${messageOf(error)}`);
    }
    const now = performance.now();
    const took = now - start;
    this.#saving += took;
    this.#next = now + Math.max(Math.min(Math.max(LEAST, 0.1 * (now - this.#start)), MOST), SPARING * took);
  }
}

/** Bytes of a hash. */
const HASH = 32;

const hashOf = (job: string, body: Uint8Array): Buffer =>
  createHash('sha256').update(job).update('\0').update(body).digest();

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

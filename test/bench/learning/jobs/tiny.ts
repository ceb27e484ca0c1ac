/** Jobs that take no time, for tests: they square a number, wait to be let go, fail, or end their process. */

import { appendFileSync, existsSync } from 'node:fs';
import {
  type CheckpointPlace,
  type Job,
  makeJob,
  type Plain,
  type Settings,
} from '../../../../bench/learning/jobs/job.ts';

interface Tiny {
  readonly number: number;
  /** Waits until this file is there. */
  readonly gate?: string;
  /** Writes its process id to this file, a line. */
  readonly log?: string;
  readonly end?: 'throw' | 'exit';
  /** Its result is where it may keep a checkpoint. */
  readonly shows?: 'checkpoint';
}

export const tiny = (job: Tiny): Job => makeJob(['tiny', job.number], job as unknown as Settings);

export async function runJob(
  settings: Settings,
  report: (done: number) => Promise<void>,
  checkpoint: CheckpointPlace | null,
): Promise<Plain> {
  const { number, gate, log, end, shows } = settings as unknown as Tiny;
  if (shows === 'checkpoint') return checkpoint as Plain;
  if (log !== undefined) appendFileSync(log, `${number} ${process.pid}\n`);
  await report(0.5);
  while (gate !== undefined && !existsSync(gate)) {
    // As jobs that compute do, it hears nothing meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    await report(0.5);
  }
  if (end === 'throw') throw new Error(`${number} is not to my taste.`);
  if (end === 'exit') process.exit(3);
  return { square: number * number, notFinite: number / 0 };
}

/** Jobs that take no time, for tests: they square a number, wait to be let go, fail, or end their process. */

import { appendFileSync, existsSync } from 'node:fs';
import { type Job, makeJob, type Plain, type Settings } from '../../../../bench/learning/jobs/job.ts';

interface Tiny {
  readonly number: number;
  /** Waits until this file is there. */
  readonly gate?: string;
  /** Writes its process id to this file, a line. */
  readonly log?: string;
  readonly end?: 'throw' | 'exit';
}

export const tiny = (job: Tiny): Job => makeJob(['tiny', job.number], job as unknown as Settings);

export async function runJob(settings: Settings, report: (done: number) => Promise<void>): Promise<Plain> {
  const { number, gate, log, end } = settings as unknown as Tiny;
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

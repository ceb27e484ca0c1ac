/**
 * Runs jobs in child processes, several at once, and writes each result to a folder when it is there. Jobs that the folder has are
 * not run again: after a kill, the same command goes on with what is missing, and with jobs that were running from their
 * checkpoints. A job's checkpoint is in the folder until its result is.
 */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { UserError } from '../user-error.ts';
import type { Order, Word } from './child.ts';
import { checkpointPath, type Done, openFolder, readResult, removeCheckpoint, writeResult } from './folder.ts';
import type { CheckpointPlace, Job, Plain } from './job.ts';

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
/** Where `--import tsx` finds it, from whatever folder the program was started. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Where all of the jobs stand. */
export interface JobsStatus {
  readonly jobs: number;
  readonly finished: number;
  /** Those of the finished jobs that were in the folder before. */
  readonly found: number;
  readonly running: number;
  readonly failed: number;
  /** Share of the work done, 0 to 1, each job counting the same. */
  readonly done: number;
  /** Seconds since the first job was started. */
  readonly seconds: number;
}

export interface RunOptions {
  /** The URL of the JobModule that does the jobs. */
  readonly module: string;
  /** Jobs at a time, from 1 up. */
  readonly atOnce: number;
  readonly folder: string;
  /** Whether jobs may keep checkpoints in the folder; true unless given. */
  readonly checkpoints?: boolean;
  /** Called when anything changes; `job` has just been finished, if any. */
  readonly watch?: (status: JobsStatus, job: Job | null) => void;
}

/**
 * Runs all jobs that the folder does not have. Returns all results, in the order of the jobs. A job that fails does not stop the others;
 * when they are done, a UserError tells of it.
 */
export async function runJobs(
  jobs: readonly Job[],
  { module, atOnce, folder, checkpoints = true, watch }: RunOptions,
): Promise<Done[]> {
  openFolder('--results', folder);
  const waiting = jobs.filter((job) => readResult(folder, job) === null);
  const found = jobs.length - waiting.length;
  // Whoever was killed right after a result may have left them.
  const undone = new Set(waiting);
  for (const job of jobs) if (!undone.has(job)) removeCheckpoint(folder, job.id);
  const shares = new Map<Job, number>();
  const failures: string[] = [];
  const start = performance.now();
  let finished = found;
  const tell = (job: Job | null): void => {
    const running = [...shares.values()].reduce((sum, share) => sum + share, 0);
    watch?.(
      {
        ...{ jobs: jobs.length, finished, found, running: shares.size, failed: failures.length },
        done: jobs.length === 0 ? 1 : (finished + running) / jobs.length,
        seconds: (performance.now() - start) / 1000,
      },
      job,
    );
  };
  const worker = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      const current = job;
      shares.set(current, 0);
      tell(null);
      try {
        const place = checkpoints ? { job: current.id, path: checkpointPath(folder, current.id) } : null;
        const result = await inChild(module, current, place, (done) => {
          shares.set(current, done);
          tell(null);
        });
        writeResult(folder, { ...current, result });
        removeCheckpoint(folder, current.id);
        finished++;
        shares.delete(current);
        tell(current);
      } catch (error) {
        shares.delete(current);
        failures.push(`${current.id}: ${error instanceof Error ? error.message : String(error)}`);
        tell(null);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, waiting.length) }, worker));
  if (failures.length > 0)
    throw new UserError(
      `${failures.length} of ${jobs.length} jobs failed. With --results, the same command runs only these again.\n${failures.join('\n')}`,
    );
  return jobs.map((job) => readResult(folder, job) as Done);
}

/** The result of a job, computed in a process of its own. */
function inChild(
  module: string,
  { settings, here }: Job,
  checkpoint: CheckpointPlace | null,
  progress: (done: number) => void,
): Promise<Plain> {
  return new Promise((resolve, reject) => {
    const child = fork(CHILD, [], {
      cwd: ROOT,
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let last: Word | null = null;
    child.on('message', (word: Word) => {
      if ('done' in word) progress(word.done);
      else last = word;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (last !== null && 'result' in last) resolve(last.result);
      else if (last !== null && 'error' in last) reject(new Error(last.error));
      else reject(new Error(`its process ended before the job was done (${signal ?? `exit code ${code}`}).`));
    });
    child.send({ module, settings: { ...settings, ...here }, checkpoint } satisfies Order, (error) => {
      if (error !== null) reject(error);
    });
  });
}

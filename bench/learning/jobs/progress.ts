/** How all of the jobs stand: a bar that is redrawn on a terminal, a line for each finished job everywhere else. */

import { type Params, SingleBar } from 'cli-progress';
import type { Job } from './job.ts';
import type { JobsStatus } from './run.ts';

export interface JobsProgress {
  watch(status: JobsStatus, job: Job | null): void;
  /** After the last job, and where running fails: gives the terminal line free. */
  stop(): void;
}

export function createJobsProgress(output: NodeJS.WriteStream): JobsProgress {
  return output.isTTY ? barProgress(output) : lineProgress(output);
}

function lineProgress(output: NodeJS.WriteStream): JobsProgress {
  return {
    watch(status, job) {
      if (job !== null) output.write(`${describe(status)}  ${job.id}\n`);
    },
    stop() {},
  };
}

function barProgress(output: NodeJS.WriteStream): JobsProgress {
  // linewrap: see the bar of training.
  const bar = new SingleBar({ stream: output, format: draw, linewrap: true, fps: 10 });
  let started = false;
  return {
    watch(status) {
      if (!started) bar.start(1, 0, status);
      started = true;
      bar.update(status.done, status);
    },
    stop: () => bar.stop(),
  };
}

function draw(_options: unknown, params: Params, status: JobsStatus): string {
  const text = describe(status);
  const width = Math.min(30, params.maxWidth - text.length - 4);
  if (width < 5) return text.slice(0, Math.max(0, params.maxWidth - 1));
  const filled = Math.round(width * status.done);
  return `[${'='.repeat(filled)}${' '.repeat(width - filled)}] ${text}`;
}

/** "3/12 jobs  41 %  35 s left"; what was there before has cost no time and says nothing about the rest. */
export function describe({ jobs, finished, found, failed, done, seconds }: JobsStatus): string {
  const [own, all] = [done * jobs - found, jobs - found];
  const left = own > 0 ? Math.ceil((seconds * (all - own)) / own) : null;
  return [
    `${finished}/${jobs} jobs`,
    `${Math.floor(100 * done)} %`,
    ...(left === null ? [] : [`${left} s left`]),
    ...(found === 0 ? [] : [`${found} were done before`]),
    ...(failed === 0 ? [] : [`${failed} failed`]),
  ].join('  ');
}

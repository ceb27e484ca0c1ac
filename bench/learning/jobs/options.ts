/** The options of a command that runs jobs, and what they say. */

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Option, textOption, wholeNumberOption } from '../command-line.ts';
import { UserError } from '../user-error.ts';
import type { Done } from './folder.ts';
import { byId, type Job, jobsOfPart, type Part } from './job.ts';
import { createJobsProgress } from './progress.ts';
import { runJobs } from './run.ts';

export const MOST_JOBS = 1_000_000;

/** 'i/n': the i-th of n parts, from 1. */
function partOption(about: string): Option<Part | null> {
  return {
    placeholder: 'I/N',
    about,
    initial: null,
    read(option, text) {
      const [, index, count] = /^(\d+)\/(\d+)$/.exec(text)?.map(Number) ?? [];
      if (index === undefined || count === undefined || index < 1 || index > count || count > MOST_JOBS)
        throw new UserError(`${option} must be I/N with I from 1 to N, such as 2/8, but it is '${text}'.`);
      return { index, count };
    },
  };
}

export const JOBS_OPTIONS = {
  results: textOption('DIR', 'keep the result of each job in this folder; jobs that it has are not run again'),
  'jobs-at-once': wholeNumberOption('N', 'jobs that run at the same time (default: one for each core)', {
    least: 1,
    most: 4096,
    initial: null,
  }),
  jobs: partOption('run only part I of N of the jobs, for array jobs; needs --results'),
};

export interface JobsOptions {
  readonly results: string | null;
  readonly 'jobs-at-once': number | null;
  readonly jobs: Part | null;
}

/**
 * Runs what the options say of these jobs, showing how it goes. Returns the results sorted by id; those of its part where there is
 * one. Without --results, nothing is left on the disk.
 */
export async function runAsTold(
  all: readonly Job[],
  module: string,
  options: JobsOptions,
  output: NodeJS.WriteStream,
): Promise<Done[]> {
  const { results, jobs: part } = options;
  if (part !== null && results === null)
    throw new UserError('--jobs needs --results: a part of the jobs is of use only where its results are kept.');
  const jobs = part === null ? [...all].sort(byId) : jobsOfPart(all, part);
  const folder = results === null ? mkdtempSync(join(tmpdir(), 'palimpsest-jobs-')) : resolve(results);
  const progress = createJobsProgress(output);
  try {
    return await runJobs(jobs, {
      module,
      folder,
      atOnce: options['jobs-at-once'] ?? availableParallelism(),
      checkpoints: results !== null,
      watch: progress.watch,
    });
  } finally {
    progress.stop();
    if (results === null) rmSync(folder, { recursive: true, force: true });
  }
}

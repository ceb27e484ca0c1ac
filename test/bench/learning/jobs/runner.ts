/** A process that runs the jobs of a file, for tests that kill it: `runner.ts JOBS FOLDER`. */

import { readFileSync } from 'node:fs';
import type { Job } from '../../../../bench/learning/jobs/job.ts';
import { runJobs } from '../../../../bench/learning/jobs/run.ts';

const [jobs = '', folder = ''] = process.argv.slice(2);
await runJobs(JSON.parse(readFileSync(jobs, 'utf8')) as Job[], {
  module: new URL('./tiny.ts', import.meta.url).href,
  atOnce: 2,
  folder,
});

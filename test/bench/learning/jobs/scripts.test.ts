import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseOptions } from '../../../../bench/learning/command-line.ts';
import { jobsOfPart } from '../../../../bench/learning/jobs/job.ts';
import { jobsOf, PLASTICITY_OPTIONS } from '../../../../bench/learning/plasticity/command.ts';

const page = readFileSync(join(import.meta.dirname, '../../../../docs/jobs.md'), 'utf8');

/** The part that a line of the page runs where the environment is such, in the shell that runs it. */
async function partOf(line: string, environment: Record<string, string>) {
  const shown = execFileSync('sh', ['-c', `npm() { printf '%s\\n' "$@"; }; ${line}`], {
    env: environment,
    encoding: 'utf8',
  });
  const [start, dashes, command, ...words] = shown.trimEnd().split('\n');
  expect([start, dashes, command]).toEqual(['start', '--', 'plasticity']);
  const options = parseOptions(PLASTICITY_OPTIONS, words);
  if (options === 'help' || options.jobs === null) throw new Error('There is no part.');
  const all = await jobsOf(options);
  return { index: options.jobs.index, count: options.jobs.count, jobs: jobsOfPart(all, options.jobs), all };
}

async function expectWhole(started: ReturnType<typeof partOf>[]): Promise<void> {
  const parts = await Promise.all(started);
  expect(parts.map(({ index }) => index)).toEqual(parts.map((_, i) => i + 1));
  const ids = parts.flatMap(({ jobs }) => jobs.map(({ id }) => id));
  expect(ids.sort()).toEqual(parts[0]!.all.map(({ id }) => id).sort());
}

const find = (pattern: RegExp): string[] => [...(pattern.exec(page) ?? [])].map(String);

describe('the scripts of docs/jobs.md', () => {
  it('run every job once under Slurm', async () => {
    const [, last] = find(/#SBATCH --array=1-(\d+)/);
    const [line] = find(/npm start -- plasticity [^\n]*\\\n[^\n]*SLURM_ARRAY_TASK_ID[^\n]*/);
    const environment = { SLURM_CPUS_PER_TASK: '4', SLURM_ARRAY_TASK_COUNT: last! };
    await expectWhole(
      Array.from({ length: Number(last) }, (_, i) =>
        partOf(line!, { ...environment, SLURM_ARRAY_TASK_ID: String(i + 1) }),
      ),
    );
  });

  it('run every job once under Kubernetes', async () => {
    const [, completions] = find(/completions: (\d+)/);
    const [, line] = find(/- (npm start -- plasticity .*JOB_COMPLETION_INDEX.*)/);
    await expectWhole(
      Array.from({ length: Number(completions) }, (_, i) => partOf(line!, { JOB_COMPLETION_INDEX: String(i) })),
    );
  });

  it('run every job once under GNU parallel', async () => {
    const [, line, inputs] = find(/'cd palimpsest && (npm start -- plasticity [^']*)' ::: ([\d ]+)/);
    await expectWhole(inputs!.split(' ').map((input) => partOf(line!.replaceAll('{}', input), {})));
  });
});

/**
 * `npm start -- plasticity`: streams that go on changing, and whether a network goes on learning. Every algorithm with every seed
 * is a job.
 */

import { resolve } from 'node:path';
import { aboutRun } from '../about.ts';
import {
  choiceOption,
  defineCommand,
  namesOption,
  textOption,
  type ValuesOf,
  wholeNumberOption,
} from '../command-line.ts';
import { fingerprintOf } from '../idx-folder.ts';
import { type Job, makeJob, type Settings } from '../jobs/job.ts';
import { JOBS_OPTIONS, runAsTold } from '../jobs/options.ts';
import { quickCommand, quickened, quickOption, wordsOf } from '../quick.ts';
import { checkWritable, writeJson, writeText } from '../result-file.ts';
import { UserError } from '../user-error.ts';
import { PROBLEM_NAMES, type ProblemName } from './algorithm.ts';
import { ALGORITHMS, algorithmOf } from './algorithms.ts';
import type { Run, RunSettings } from './run.ts';
import { plasticityTable } from './summary.ts';

/** Steps unless --steps says otherwise, and of a bin. Both are whole tasks: 10,000 steps of regression, the embedded digits once, 5,000 steps. */
const LENGTHS: Readonly<Record<ProblemName, { steps: number; binSize: number }>> = {
  regression: { steps: 1_000_000, binSize: 20_000 },
  permuted: { steps: 400_000, binSize: 20_000 },
  'permuted-short': { steps: 1_000_000, binSize: 5000 },
};
/** Of `permuted` with --data: MNIST once. */
const DATA_BIN = 60_000;
const QUICK = {
  problem: 'regression',
  algorithms: ['backprop', 'continual-backprop'],
  seeds: 3,
  steps: 1_000_000,
} as const;
const MODULE = new URL('./run.ts', import.meta.url).href;

export const PLASTICITY_OPTIONS = {
  problem: choiceOption(
    'regression: slowly changing regression; permuted: images with their pixels permuted anew each time all were seen; permuted-short: every 5,000 steps',
    PROBLEM_NAMES,
  ),
  algorithms: namesOption(
    'NAMES',
    'only these algorithms, separated by commas (default: all, see below)',
    ALGORITHMS.map(({ name }) => name),
  ),
  steps: wholeNumberOption(
    'N',
    'steps of a run, one example each, in whole bins of 20,000 (permuted with --data: 60,000; permuted-short: 5,000) (default: 1,000,000; permuted: 400,000)',
    {
      ...{ least: 1, most: Number.MAX_SAFE_INTEGER, initial: null },
    },
  ),
  seeds: wholeNumberOption('N', 'runs of each algorithm, with the seeds 1 to N (default: 3)', {
    ...{ least: 1, most: 100_000, initial: 3 },
  }),
  change: choiceOption(
    'regression: what changes every 10,000 steps, all slow bits (the published runs) or one of them',
    ['all', 'one'],
  ),
  data: textOption(
    'DIR',
    'permuted, permuted-short: the IDX files in this folder (MNIST) instead of the embedded digits',
  ),
  quick: quickOption(
    `regression, ${QUICK.algorithms.join(' and ')}, ${QUICK.seeds} seeds, ${QUICK.steps.toLocaleString('en-US')} steps each`,
  ),
  ...JOBS_OPTIONS,
  json: textOption('FILE', 'write all runs to this file'),
  html: textOption('FILE', 'write a report with plots to this file, one page that needs nothing else'),
};

export type PlasticityOptions = ValuesOf<typeof PLASTICITY_OPTIONS>;

export const plasticityCommand = quickCommand(
  defineCommand({
    name: 'plasticity',
    about: 'measures whether networks go on learning while their task changes',
    description: `Learns from streams that go on changing, one example a step, and reports how well every stretch of the stream was predicted before
it was learned from. Each algorithm with each seed is a job of its own; see docs/jobs.md for many of them on many machines.`,
    epilogue: `The algorithms:

${ALGORITHMS.map(({ name, about }) => `  ${name}: ${about}\n`).join('')}`,
    options: PLASTICITY_OPTIONS,
    run: runPlasticity,
  }),
);

export async function runPlasticity(given: PlasticityOptions, output: NodeJS.WriteStream): Promise<void> {
  const options = given.quick ? quickened(given, QUICK, PLASTICITY_OPTIONS) : given;
  const json = checkWritable('--json', options.json);
  const html = checkWritable('--html', options.html);
  if (json !== null && json.path === html?.path)
    throw new UserError(`--html ${options.html}: --json names the same file.`);
  const jobs = await jobsOf(options);
  const about = aboutRun(dataName(options), wordsOf('plasticity', given, PLASTICITY_OPTIONS));
  const runs = (await runAsTold(jobs, MODULE, options, output)).map(({ result }) => result as unknown as Run);
  output.write(`\n${plasticityTable(runs)}`);
  if (json !== null) writeJson(json, { runs, about });
  if (html !== null && runs.length === 0) output.write(`No report is written to ${options.html}.\n`);
  else if (html !== null) {
    // Only now: the plotting library takes longer to load than the rest of the program.
    const { report } = await import('./report.ts');
    const settings = (name: string) => algorithmOf(name).settings[options.problem];
    writeText(
      html,
      report({
        runs,
        about,
        algorithms: options.algorithms.map((name) => ({ ...algorithmOf(name), settings: settings(name) })),
      }),
    );
  }
}

/** A job for each algorithm and seed. */
export async function jobsOf(options: PlasticityOptions): Promise<Job[]> {
  const { problem, algorithms, steps: wished, seeds, change, data } = options;
  const { steps: usual, binSize: usualBin } = LENGTHS[problem];
  const binSize = problem === 'permuted' && data !== null ? DATA_BIN : usualBin;
  const steps = wished ?? usual - (usual % binSize);
  if (steps % binSize !== 0)
    throw new UserError(`--steps must be a multiple of ${binSize}, the steps of a bin, but it is ${steps}.`);
  if (problem === 'regression' && data !== null)
    throw new UserError('--data: slowly changing regression makes its own data. It is for --problem permuted.');
  if (problem !== 'regression' && change !== 'all')
    throw new UserError('--change: permuted images change all at once. It is for --problem regression.');
  // A job is the same wherever its data lie.
  const content = data === null ? null : await fingerprintOf(data);
  return algorithms.flatMap((algorithm) =>
    Array.from({ length: seeds }, (_, i) => {
      const settings: RunSettings = {
        ...{ problem, algorithm, settings: algorithmOf(algorithm).settings[problem], seed: i + 1, steps, binSize },
        // Nothing but regression depends on it: their jobs have one and the same.
        ...{ change: problem === 'regression' ? change : 'one', data: content },
      };
      const here = data === null ? undefined : { data: resolve(data) };
      return makeJob([problem, algorithm, `seed${i + 1}`], settings as unknown as Settings, here);
    }),
  );
}

const dataName = ({ problem, data }: PlasticityOptions): string =>
  problem === 'regression' ? 'slowly changing regression' : (data ?? 'embedded digits');

/**
 * `npm start -- forgetting`: data that come in contexts, and what a network still knows of the first when it has learned the last.
 * Every method in every scenario with every seed is a job.
 */

import { resolve } from 'node:path';
import { aboutRun } from '../about.ts';
import {
  choiceOption,
  defineCommand,
  namesOption,
  type Option,
  textOption,
  type ValuesOf,
  wholeNumberOption,
} from '../command-line.ts';
import { fingerprintOf } from '../idx-folder.ts';
import { type Job, makeJob, type Settings } from '../jobs/job.ts';
import { JOBS_OPTIONS, runAsTold } from '../jobs/options.ts';
import { quickCommand, quickened, quickOption, wordsOf } from '../quick.ts';
import { checkWritable, writeJson, writeText } from '../result-file.ts';
import { table } from '../table.ts';
import { UserError } from '../user-error.ts';
import { PROBLEM_NAMES, SCENARIOS } from './method.ts';
import { METHODS, methodOf } from './methods.ts';
import { digitsOf, ORDERS } from './orders.ts';
import { BATCH, EMBEDDED, PROBLEMS } from './problem.ts';
import { readReference } from './reference.ts';
import type { Run, RunSettings } from './run.ts';
import { forgettingRows } from './summary.ts';

const MODULE = new URL('./run.ts', import.meta.url).href;

const QUICK = {
  problem: 'split',
  methods: ['none', 'joint', 'ewc', 'si', 'er'],
  seeds: 1,
  iterations: 100,
  hidden: [100, 100],
} as const;

/** Widths of hidden layers. */
const widthsOption: Option<readonly number[] | null> = {
  placeholder: 'N,N',
  about: 'units of each hidden layer, separated by commas (default: 400,400; permuted: 1000,1000)',
  initial: null,
  read(option, text) {
    const widths = text.split(',').map((part) => (/^\s*\d+\s*$/.test(part) ? Number(part) : 0));
    if (!widths.every((width) => width >= 1 && width <= 100_000))
      throw new UserError(`${option} must be whole numbers from 1 to 100000 with commas between, but it is '${text}'.`);
    return widths;
  },
};

export const FORGETTING_OPTIONS = {
  problem: choiceOption('split: two digits a context; permuted: all digits, their pixels permuted', PROBLEM_NAMES),
  scenario: namesOption(
    'NAMES',
    'only these, separated by commas: task (it is told which context), domain (it is not, and need not say), class (it has to tell all classes apart) (default: all)',
    SCENARIOS,
  ),
  methods: namesOption(
    'NAMES',
    'only these methods, separated by commas (default: all, see below)',
    METHODS.map(({ name }) => name),
  ),
  seeds: wholeNumberOption('N', 'runs of each method in each scenario, with the seeds 1 to N (default: 3)', {
    ...{ least: 1, most: 100_000, initial: 3 },
  }),
  order: choiceOption(
    'split: which digits come first; natural: 0 and 1; reference: as in the published code with the seeds 1 to 3, drawn from others',
    ORDERS,
  ),
  iterations: wholeNumberOption('N', 'steps of a context (default: 2,000; permuted: 5,000)', {
    ...{ least: 1, most: 1_000_000_000, initial: null },
  }),
  hidden: widthsOption,
  batch: wholeNumberOption('N', `images of a step (default: ${BATCH})`, { least: 1, most: 1_000_000, initial: BATCH }),
  data: textOption('DIR', 'the IDX files in this folder (MNIST) instead of the embedded digits'),
  reference: textOption('FILE', 'set the accuracies of another implementation, in this JSON file, beside ours'),
  quick: quickOption(
    `${QUICK.methods.join(', ')}; one seed, ${QUICK.iterations} steps a context, two hidden layers of ${QUICK.hidden[0]}`,
  ),
  ...JOBS_OPTIONS,
  json: textOption('FILE', 'write all runs to this file'),
  html: textOption('FILE', 'write a report with plots to this file, one page that needs nothing else'),
};

export type ForgettingOptions = ValuesOf<typeof FORGETTING_OPTIONS>;

export const forgettingCommand = quickCommand(
  defineCommand({
    name: 'forgetting',
    about: 'measures what networks forget of what they learned before',
    description: `Learns data that come in contexts, one after the other, and reports how well each context is known after each. Each method in each
scenario with each seed is a job of its own; see docs/jobs.md for many of them on many machines.`,
    epilogue: `The methods:

${METHODS.map(({ name, about, scenarios }) => `  ${name}: ${about}${scenarios.length < SCENARIOS.length ? ` (only ${scenarios.join(', ')})` : ''}\n`).join('')}`,
    options: FORGETTING_OPTIONS,
    run: runForgetting,
  }),
);

export async function runForgetting(given: ForgettingOptions, output: NodeJS.WriteStream): Promise<void> {
  const options = planned(given);
  const json = checkWritable('--json', options.json);
  const html = checkWritable('--html', options.html);
  if (json !== null && json.path === html?.path)
    throw new UserError(`--html ${options.html}: --json names the same file.`);
  const reference =
    options.reference === null ? null : readReference('--reference', options.reference, options.problem);
  const { jobs, left } = await jobsOf(options);
  for (const sentence of left) output.write(`${sentence}\n`);
  const about = aboutRun(options.data ?? EMBEDDED, wordsOf('forgetting', given, FORGETTING_OPTIONS));
  const runs = (await runAsTold(jobs, MODULE, options, output)).map(({ result }) => result as unknown as Run);
  output.write(`\n${runs.length === 0 ? 'No runs.\n' : table(forgettingRows(runs, reference))}`);
  if (json !== null) writeJson(json, { runs, about });
  if (html !== null && runs.length === 0) output.write(`No report is written to ${options.html}.\n`);
  else if (html !== null) {
    // Only now: the plotting library takes longer to load than the rest of the program.
    const { report } = await import('./report.ts');
    writeText(html, report({ runs, reference, about }));
  }
}

/** The options with what --quick stands for. */
export const planned = (given: ForgettingOptions): ForgettingOptions =>
  given.quick ? quickened(given, QUICK, FORGETTING_OPTIONS) : given;

/** A job for each method, scenario and seed; and a sentence for each method that has no meaning in some of the scenarios. */
export async function jobsOf(options: ForgettingOptions): Promise<{ jobs: Job[]; left: string[] }> {
  const { problem, scenario: scenarios, methods, seeds, order, data } = options;
  if (problem === 'permuted' && order !== 'natural')
    throw new UserError('--order: permuted images have all digits in every context. It is for --problem split.');
  const left = methods.flatMap((name) => {
    const missing = scenarios.filter((scenario) => !methodOf(name).scenarios.includes(scenario));
    return missing.length === 0
      ? []
      : [`${name} is for ${methodOf(name).scenarios.join(' and ')}; it has no run in ${missing.join(' and ')}.`];
  });
  const { contexts, lr, ...usual } = PROBLEMS[problem];
  // A job is the same wherever its data lie.
  const content = data === null ? null : await fingerprintOf(data);
  const jobs = scenarios.flatMap((scenario) =>
    methods
      .filter((name) => methodOf(name).scenarios.includes(scenario))
      .flatMap((method) =>
        Array.from({ length: seeds }, (_, i) => {
          const seed = i + 1;
          const settings: RunSettings = {
            ...{ problem, scenario, method, settings: methodOf(method).settings(problem, scenario), seed },
            ...{ digits: problem === 'split' ? digitsOf(order, seed) : null, contexts },
            ...{ hidden: options.hidden ?? usual.hidden, lr, batch: options.batch },
            ...{ iterations: options.iterations ?? usual.iterations, data: content },
          };
          const here = data === null ? undefined : { data: resolve(data) };
          return makeJob([problem, scenario, method, `seed${seed}`], settings as unknown as Settings, here);
        }),
      ),
  );
  if (jobs.length === 0) throw new UserError(`--methods: nothing is left to run. ${left.join(' ')}`);
  return { jobs, left };
}

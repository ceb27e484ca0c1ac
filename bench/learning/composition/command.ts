/**
 * `npm start -- composition`: one network that is to remember and to go on learning, with methods for the one, for the other, and for
 * both at once. Every combination with every seed is a job.
 */

import { resolve } from 'node:path';
import { aboutRun } from '../about.ts';
import { defineCommand, namesOption, textOption, type ValuesOf, wholeNumberOption } from '../command-line.ts';
import { EMBEDDED } from '../forgetting/problem.ts';
import { fingerprintOf } from '../idx-folder.ts';
import { type Job, makeJob, type Settings } from '../jobs/job.ts';
import { JOBS_OPTIONS, runAsTold } from '../jobs/options.ts';
import { settingsText } from '../page.ts';
import { quickCommand, quickened, quickOption, wordsOf } from '../quick.ts';
import { checkWritable, writeJson, writeText } from '../result-file.ts';
import { table } from '../table.ts';
import { UserError } from '../user-error.ts';
import { COMBINATIONS, type Combination, combinationOf, type Strengths } from './combinations.ts';
import type { Run, RunSettings } from './run.ts';
import { SETUP } from './stream.ts';
import { compositionRows, tuningRows } from './summary.ts';
import { pointOf, TUNING_POINTS, TUNING_SEED } from './tuning.ts';

const MODULE = new URL('./run.ts', import.meta.url).href;

const QUICK = { methods: ['none', 'ewc', 'continual-backprop', 'all-protected'], seeds: 1, contexts: 6 } as const;

export const COMPOSITION_OPTIONS = {
  seeds: wholeNumberOption('N', 'runs of each combination, with the seeds 1 to N (default: 5)', {
    ...{ least: 1, most: 1000, initial: 5 },
  }),
  methods: namesOption(
    'NAMES',
    'only these combinations, separated by commas (default: all, see below)',
    COMBINATIONS.map(({ name }) => name),
  ),
  contexts: wholeNumberOption('N', `contexts of the stream (default: ${SETUP.contexts})`, {
    ...{ least: 2, most: 10_000, initial: SETUP.contexts },
  }),
  iterations: wholeNumberOption(
    'N',
    `steps of a context, of ${SETUP.batch} images each (default: ${SETUP.iterations})`,
    {
      ...{ least: 1, most: 1_000_000_000, initial: SETUP.iterations },
    },
  ),
  tune: wholeNumberOption(
    'N',
    `try N points of the strengths of each combination on seed ${TUNING_SEED} instead; those below were chosen among ${TUNING_POINTS}`,
    { least: 1, most: 10_000, initial: null },
  ),
  data: textOption('DIR', 'the IDX files in this folder (MNIST) instead of the embedded digits'),
  quick: quickOption(`${QUICK.methods.join(', ')}; one seed, ${QUICK.contexts} contexts`),
  ...JOBS_OPTIONS,
  json: textOption('FILE', 'write all runs to this file'),
  html: textOption('FILE', 'write a report with plots to this file, one page that needs nothing else'),
};

export type CompositionOptions = ValuesOf<typeof COMPOSITION_OPTIONS>;

const strengthsText = ({ strengths }: Combination): string => {
  const text = settingsText(strengths);
  return text === '' ? '' : ` (${text})`;
};

export const compositionCommand = quickCommand(
  defineCommand({
    name: 'composition',
    about: 'measures memory and plasticity together, of methods alone and on one network',
    description: `Learns images whose pixels are permuted anew in each context, one context after the other, and reports what is forgotten of the earlier ones
and how well the newest are still learned. Each combination with each seed is a job of its own; see docs/jobs.md.`,
    epilogue: `The combinations:

${COMBINATIONS.map((combination) => `  ${combination.name}: ${combination.about}${strengthsText(combination)}\n`).join('')}`,
    options: COMPOSITION_OPTIONS,
    run: runComposition,
  }),
);

export async function runComposition(given: CompositionOptions, output: NodeJS.WriteStream): Promise<void> {
  const options = planned(given);
  const json = checkWritable('--json', options.json);
  const html = checkWritable('--html', options.html);
  if (json !== null && json.path === html?.path)
    throw new UserError(`--html ${options.html}: --json names the same file.`);
  const jobs = await jobsOf(options);
  const about = aboutRun(options.data ?? EMBEDDED, wordsOf('composition', given, COMPOSITION_OPTIONS));
  const runs = (await runAsTold(jobs, MODULE, options, output)).map(({ result }) => result as unknown as Run);
  const rows = options.tune === null ? compositionRows(runs) : tuningRows(runs);
  output.write(`\n${runs.length === 0 ? 'No runs.\n' : table(rows)}`);
  if (json !== null) writeJson(json, { runs, about });
  if (html !== null && runs.length === 0) output.write(`No report is written to ${options.html}.\n`);
  else if (html !== null) {
    // Only now: the plotting library takes longer to load than the rest of the program.
    const { report } = await import('./report.ts');
    writeText(html, report({ runs, about }));
  }
}

/** The options with what --quick stands for. */
export function planned(given: CompositionOptions): CompositionOptions {
  if (given.tune !== null && given.seeds !== COMPOSITION_OPTIONS.seeds.initial)
    throw new UserError(`--tune tries strengths on seed ${TUNING_SEED}; leave --seeds out.`);
  if (given.tune !== null && given.html !== null)
    throw new UserError('--html: the report is of runs with chosen strengths. Leave it out, or --tune.');
  return given.quick ? quickened(given, QUICK, COMPOSITION_OPTIONS) : given;
}

/** A job for each combination and seed; or with --tune, for each combination that has strengths and each point. */
export async function jobsOf({ methods, seeds, contexts, iterations, tune, data }: CompositionOptions): Promise<Job[]> {
  // A job is the same wherever its data lie.
  const content = data === null ? null : await fingerprintOf(data);
  const here = data === null ? undefined : { data: resolve(data) };
  const job = (combination: string, settings: Strengths, seed: number, ...words: string[]): Job => {
    const { batch, hidden, lr } = SETUP;
    const told: RunSettings = { combination, settings, seed, contexts, iterations, batch, hidden, lr, data: content };
    return makeJob([combination, `seed${seed}`, ...words], told as unknown as Settings, here);
  };
  const chosen = methods.map(combinationOf);
  if (tune === null)
    return chosen.flatMap(({ name, strengths }) =>
      Array.from({ length: seeds }, (_, i) => job(name, strengths, i + 1)),
    );
  const tuned = chosen.filter(({ strengths }) => Object.keys(strengths).length > 0);
  if (tuned.length === 0) throw new UserError('--methods: there is nothing to tune, none of these has a strength.');
  return tuned.flatMap((combination) =>
    Array.from({ length: tune }, (_, i) =>
      job(combination.name, pointOf(combination, i), TUNING_SEED, `point${i + 1}`),
    ),
  );
}

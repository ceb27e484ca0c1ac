/**
 * `npm start -- importance`: which measures of importance know the weights that matter. Networks are trained, ever more of their
 * weights are replaced in the order of each measure, and the measures are ranked by what the networks still do. Another experiment
 * with the same measures holds weights where they are, in the same order, and looks at what is forgotten. Every network is a job.
 */

import { resolve } from 'node:path';
import { measureNamed } from '../../../src/index.ts';
import { aboutRun } from '../about.ts';
import {
  defineCommand,
  namesOption,
  type Option,
  textOption,
  type ValuesOf,
  wholeNumberOption,
} from '../command-line.ts';
import { JOBS_OPTIONS, runAsTold } from '../jobs/options.ts';
import { quickCommand, quickened, quickOption, wordsOf } from '../quick.ts';
import { checkWritable, writeText } from '../result-file.ts';
import { table } from '../table.ts';
import { UserError } from '../user-error.ts';
import { anchorJobsOf } from './anchors/grid.ts';
import type { AnchorRun } from './anchors/run.ts';
import { anchorOrderingOf } from './anchors/summary.ts';
import { anchorRows, anchorSentences } from './anchors/table.ts';
import { checkSameGrid, checkSameJson, csvOf } from './csv.ts';
import { AGGREGATIONS, COMPARISONS, jobsOf, MEASURE_NAMES, REPLACEMENTS } from './grid.ts';
import { jsonText } from './json.ts';
import { NETWORK_NAMES, NETWORKS } from './models.ts';
import { orderingOf, orderingRows, overallOf, settingText } from './ordering.ts';
import type { Run } from './run.ts';
import { TASK_NAMES, TASKS } from './tasks.ts';

const REMOVAL = new URL('./run.ts', import.meta.url).href;
const ANCHORS = new URL('./anchors/run.ts', import.meta.url).href;

export const EXPERIMENTS = ['removal', 'anchors'] as const;

const QUICK = {
  models: ['tiny'],
  measures: ['random', 'magnitude', 'signFlips', 'fisherExact', 'synapticIntelligence', 'oracle'],
  aggregations: ['none', 'unit'],
  thresholds: 11,
  epochs: [1, 3],
  seeds: 4,
  'held-out': 1000,
} as const;

/** The published five, magnitude, and the two that its author wished for. */
const USUAL = [
  ...['random', 'magnitude', 'signFlips', 'directionReversals', 'weightChange'],
  ...['fisherExact', 'memoryAwareSynapses', 'synapticIntelligence'],
] as const;

/** Epochs in ascending order, 0 being before any. */
const epochsOption: Option<readonly number[] | null> = {
  placeholder: 'N,N',
  about: `validate after these epochs, ascending, 0 being before the first (default: the last alone; ${Object.entries(
    TASKS,
  )
    .map(([name, { epochs }]) => `${name} ${epochs}`)
    .join(', ')})`,
  initial: null,
  read(option, text) {
    const epochs = text.split(',').map((part) => (/^\s*\d{1,6}\s*$/.test(part) ? Number(part) : -1));
    if (!epochs.every((epoch, i) => epoch >= 0 && epoch > (epochs[i - 1] ?? -1)))
      throw new UserError(`${option} must be ascending whole numbers with commas between, but it is '${text}'.`);
    return epochs;
  },
};

/** Names with a default other than all of them. */
const someOf = <Name extends string>(about: string, names: readonly Name[], initial: readonly Name[]) => ({
  ...namesOption('NAMES', `${about}, separated by commas (default: ${initial.join(',')})`, names),
  initial,
});

export const IMPORTANCE_OPTIONS = {
  experiments: someOf(
    'what is done with each order of weights: removal, what is left when ever more of them go; anchors, what is forgotten when they are held',
    EXPERIMENTS,
    ['removal'],
  ),
  tasks: someOf('what is learned, see below', TASK_NAMES, ['embedded']),
  models: someOf('the networks, see below', NETWORK_NAMES, ['mlp']),
  measures: someOf('the measures, see below', MEASURE_NAMES, USUAL),
  aggregations: someOf(`what goes together, of ${AGGREGATIONS.join(', ')}`, AGGREGATIONS, ['none', 'unit', 'filter']),
  comparison: someOf(`with which others a weight is compared, of ${COMPARISONS.join(', ')}`, COMPARISONS, ['layer']),
  replacement: someOf(`what takes a weight's place, of ${REPLACEMENTS.join(', ')}`, REPLACEMENTS, ['noise']),
  thresholds: wholeNumberOption('N', 'fractions that go, evenly from 0 to 1 (default: 21)', {
    ...{ least: 2, most: 10_001, initial: 21 },
  }),
  epochs: epochsOption,
  seeds: wholeNumberOption('N', 'networks of each kind, with the seeds 1 to N (default: 3)', {
    ...{ least: 1, most: 100_000, initial: 3 },
  }),
  'held-out': wholeNumberOption('N', 'held-out examples at most (default: 2,000)', {
    ...{ least: 1, most: 1_000_000, initial: 2000 },
  }),
  data: textOption(
    'DIR',
    'the folder of the files of a task, or one with folders mnist, fashion-mnist, cifar10, digits, iris',
  ),
  quick: quickOption(
    `a small network with ${QUICK.measures.join(', ')}; ${QUICK.seeds} seeds, ${QUICK.thresholds} thresholds, epochs ${QUICK.epochs.join(' and ')}`,
  ),
  ...JOBS_OPTIONS,
  json: textOption('FILE', 'write the order, its tests and all that it comes from to this file'),
  csv: textOption('FILE', 'write a row for each point of each curve of removal to this file'),
  html: textOption('FILE', 'write a report with plots to this file, one page that needs nothing else'),
};

export type ImportanceOptions = ValuesOf<typeof IMPORTANCE_OPTIONS>;

const list = (entries: Readonly<Record<string, { about: string }>>): string =>
  Object.entries(entries)
    .map(([name, { about }]) => `  ${name}: ${about}\n`)
    .join('');

export const importanceCommand = quickCommand(
  defineCommand({
    name: 'importance',
    about: 'ranks measures of which weights matter',
    description: `Trains networks, replaces ever more of their weights in the order of each measure of importance, and ranks the measures by what the
networks still do. With --experiments anchors, networks learn half of the classes and then the other half, held by anchors in the order of each
measure, and the measures are ranked by what is forgotten. Each network is a job of its own; see docs/jobs.md for many of them on many machines.`,
    epilogue: `The tasks:

${list(TASKS)}
The networks:

${list(NETWORKS)}
The measures:

${list(Object.fromEntries(MEASURE_NAMES.map((name) => [name, measureNamed(name)])))}`,
    options: IMPORTANCE_OPTIONS,
    run: runImportance,
  }),
);

export async function runImportance(given: ImportanceOptions, output: NodeJS.WriteStream): Promise<void> {
  const options = planned(given);
  const [json, csv, html] = (['json', 'csv', 'html'] as const).map((name) => checkWritable(`--${name}`, options[name]));
  const files = [json, csv, html].flatMap((file) => (file ? [file] : []));
  const twice = files.find(({ path }, i) => files.findIndex((other) => other.path === path) < i);
  if (twice !== undefined) throw new UserError(`${twice.option} ${twice.path}: another option names the same file.`);
  const isWanted = (name: (typeof EXPERIMENTS)[number]): boolean => options.experiments.includes(name);
  if (csv && !isWanted('removal'))
    throw new UserError(`${csv.option}: its rows are of removal. Add removal to --experiments, or leave it out.`);
  const wanted = { ...options, data: options.data === null ? null : resolve(options.data) };
  const nothing = { jobs: [], left: [] };
  const removal = isWanted('removal') ? await jobsOf(wanted) : nothing;
  const anchors = isWanted('anchors') ? await anchorJobsOf(wanted) : nothing;
  if (csv) checkSameGrid(csv.option, csv.path, removal.jobs);
  if (json) checkSameJson(json.option, json.path, [...removal.jobs, ...anchors.jobs]);
  for (const sentence of new Set([...removal.left, ...anchors.left])) output.write(`${sentence}\n`);
  const about = aboutRun(options.tasks.join(', '), wordsOf('importance', given, IMPORTANCE_OPTIONS));
  const done = isWanted('removal') ? await runAsTold(removal.jobs, REMOVAL, options, output) : [];
  const held = isWanted('anchors') ? await runAsTold(anchors.jobs, ANCHORS, options, output) : [];
  const runs = done.map(({ result }) => result as unknown as Run);
  const anchorRuns = held.map(({ result }) => result as unknown as AnchorRun);
  for (const sentence of new Set([...runs, ...anchorRuns].flatMap((run) => run.left))) output.write(`${sentence}\n`);
  const ordering = orderingOf(runs);
  const anchored = anchorOrderingOf(anchorRuns);
  for (const one of ordering) output.write(`\n${settingText(one.setting)}\n${table(orderingRows(one))}`);
  for (const one of anchored)
    output.write(
      `\nAnchors: ${settingText(one.setting)}\n${table(anchorRows(one))}${anchorSentences(one).join('\n')}\n`,
    );
  if (ordering.length + anchored.length === 0) output.write('\nNo runs.\n');
  if (csv) writeText(csv, csvOf(done));
  const overall = overallOf(runs);
  if (json)
    writeText(
      json,
      jsonText({
        ordering: ordering.flatMap(({ rows }) => rows),
        tests: ordering.map(({ setting, test }) => ({ ...setting, test })),
        ...{ overall, cells: runs },
        ...(isWanted('anchors') && { anchors: { ordering: anchored, runs: anchorRuns } }),
        ...{ jobs: [...done, ...held].map(({ id }) => id), about },
      }),
    );
  if (html && ordering.length + anchored.length === 0) output.write(`No report is written to ${options.html}.\n`);
  else if (html) {
    // Only now: it takes longer to load than the rest of the program.
    const { report } = await import('./report.ts');
    writeText(html, report({ runs, ordering, overall, anchorRuns, anchors: anchored, about }));
  }
}

/** The options with what --quick stands for. */
export const planned = (given: ImportanceOptions): ImportanceOptions =>
  given.quick ? quickened(given, QUICK, IMPORTANCE_OPTIONS) : given;

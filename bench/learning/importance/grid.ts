/**
 * The grid: which cells there are, in their order, and the jobs that compute them. A job is one network (task, model, seed), which is
 * trained once and validated at the wanted epochs in all of its cells. A cell is a curve: an epoch, a measure, how weights are
 * grouped and compared, what takes their place, and which end goes first.
 */

import type { Level } from '../../../src/importance/aggregate.ts';
import type { Comparison } from '../../../src/importance/measure.ts';
import type { Direction } from '../../../src/importance/ranking.ts';
import { measures as MEASURES, measureNamed } from '../../../src/index.ts';
import { type Job, makeJob, type Settings } from '../jobs/job.ts';
import { UserError } from '../user-error.ts';
import { NETWORKS, type NetworkName } from './models.ts';
import { contentOf, folderOf, TASKS, type TaskName } from './tasks.ts';

export const MEASURE_NAMES = Object.keys(MEASURES) as readonly (keyof typeof MEASURES)[];
export const AGGREGATIONS = ['none', 'unit', 'filter', 'layer'] as const satisfies readonly Level[];
export const COMPARISONS = ['layer', 'row', 'model'] as const satisfies readonly Comparison[];
export const REPLACEMENTS = ['noise', 'zero', 'mean', 'initial'] as const;
export const DIRECTIONS = ['least', 'most'] as const satisfies readonly Direction[];

export type Replacement = (typeof REPLACEMENTS)[number];
export type Grouping = readonly [aggregation: Level, comparison: Comparison];

/** What a job of this experiment is told. */
export interface RunSettings {
  readonly task: TaskName;
  readonly model: NetworkName;
  readonly seed: number;
  /** Validated when so many have ended, in ascending order. */
  readonly epochs: readonly number[];
  readonly measures: readonly string[];
  readonly groupings: readonly Grouping[];
  readonly replacements: readonly Replacement[];
  /** How many, evenly from 0 to 1. */
  readonly thresholds: number;
  /** Examples at most: held out; of the training data for measures, and for the loss beside. */
  readonly heldOut: number;
  readonly measured: number;
  readonly trained: number;
  readonly batch: number;
  readonly lr: number;
  /** A folder, or the fingerprint of its files; null for what is drawn. */
  readonly data: string | null;
}

/** Where a curve stands in the grid of its job. */
export interface Place {
  readonly epoch: number;
  readonly measure: string;
  readonly aggregation: Level;
  readonly comparison: Comparison;
  readonly replacement: Replacement;
  readonly direction: Direction;
}

export const thresholdsOf = ({ thresholds }: Pick<RunSettings, 'thresholds'>): number[] =>
  Array.from({ length: thresholds }, (_, i) => i / (thresholds - 1));

/** All curves of a job in the order of the grid. */
export const placesOf = ({ epochs, measures, groupings, replacements }: RunSettings): Place[] =>
  epochs.flatMap((epoch) =>
    measures.flatMap((measure) =>
      groupings.flatMap(([aggregation, comparison]) =>
        replacements.flatMap((replacement) =>
          DIRECTIONS.map((direction) => ({ epoch, measure, aggregation, comparison, replacement, direction })),
        ),
      ),
    ),
  );

/** Measures that read answers as classes. */
const OF_CLASSES = /^fisher/;
/** Training examples for measures, and for the loss that stands beside the validation loss. */
const [MEASURED, TRAINED] = [1000, 250];

/** What the options of the command say of the grid. */
export interface Wanted {
  readonly tasks: readonly TaskName[];
  readonly models: readonly NetworkName[];
  readonly measures: readonly string[];
  readonly aggregations: readonly Level[];
  readonly comparison: readonly Comparison[];
  readonly replacement: readonly Replacement[];
  readonly thresholds: number;
  readonly epochs: readonly number[] | null;
  readonly seeds: number;
  readonly 'held-out': number;
  readonly data: string | null;
}

/** A network to be trained, and on this machine the folder of its data. */
export interface Planned<Told extends RunSettings> {
  readonly told: Told;
  readonly folder: string | null;
}

/** A job for each network, and a sentence for each part of the grid that has no meaning. */
export async function jobsOf(wanted: Wanted): Promise<{ jobs: Job[]; left: string[] }> {
  const { networks, left } = await networksOf(wanted);
  return { jobs: asJobs(networks, [], left), left };
}

/** Jobs whose ids begin with these words. That there are none is an error. */
export function asJobs(
  networks: readonly Planned<RunSettings>[],
  words: readonly string[],
  left: readonly string[],
): Job[] {
  if (networks.length === 0) throw new UserError(`Nothing is left of this grid. ${left.join(' ')}`);
  return networks.map(({ told, folder }) => {
    const { task, model, seed } = told;
    const here = folder === null ? undefined : { data: folder };
    return makeJob([...words, task, model, `seed${seed}`], told as unknown as Settings, here);
  });
}

/** The networks of the grid. */
export async function networksOf(wanted: Wanted): Promise<{ networks: Planned<RunSettings>[]; left: string[] }> {
  const left = new Set<string>();
  const networks: Planned<RunSettings>[] = [];
  for (const task of wanted.tasks) {
    const recipe = TASKS[task];
    const folder = folderOf(task, wanted.data);
    const data = await contentOf(task, wanted.data);
    const measures = wanted.measures.filter((name) => {
      const fits = recipe.classes > 0 || !OF_CLASSES.test(name);
      if (!fits) left.add(`${name} reads answers as classes; it has no cells in ${task}.`);
      return fits && measureNamed(name) !== undefined;
    });
    for (const model of wanted.models) {
      if (NETWORKS[model].convolutions && !recipe.images) {
        left.add(`${model} is for images; it has no cells in ${task}.`);
        continue;
      }
      const groupings = groupingsOf(model, wanted, left);
      if (groupings.length === 0 || measures.length === 0) continue;
      for (let seed = 1; seed <= wanted.seeds; seed++) {
        const told: RunSettings = {
          ...{ task, model, seed, epochs: wanted.epochs ?? [recipe.epochs], measures, groupings },
          ...{ replacements: wanted.replacement, thresholds: wanted.thresholds },
          ...{ heldOut: wanted['held-out'], measured: MEASURED, trained: TRAINED },
          ...{ batch: recipe.batch, lr: recipe.lr, data },
        };
        networks.push({ told, folder });
      }
    }
  }
  return { networks, left: [...left] };
}

/** Ways of grouping and comparing that have a meaning for a network. */
function groupingsOf(model: NetworkName, wanted: Wanted, left: Set<string>): Grouping[] {
  return wanted.aggregations.flatMap((aggregation) =>
    wanted.comparison.flatMap((comparison): Grouping[] => {
      const reason = withoutMeaning(model, aggregation, comparison);
      if (reason !== null) left.add(reason);
      return reason === null ? [[aggregation, comparison]] : [];
    }),
  );
}

function withoutMeaning(model: NetworkName, aggregation: Level, comparison: Comparison): string | null {
  if (aggregation === 'filter' && !NETWORKS[model].convolutions)
    return `${model} has no convolutions and so no filters: --aggregations filter has no cells there.`;
  if (aggregation === 'layer' && comparison !== 'model')
    return 'Whole layers have no others to be compared with within a layer: --aggregations layer needs --comparison model.';
  if (comparison === 'row' && aggregation !== 'none')
    return `Within a row single weights are compared: --comparison row has no cells by ${aggregation}.`;
  return null;
}

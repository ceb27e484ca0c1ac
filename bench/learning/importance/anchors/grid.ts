/** The jobs of anchors: a network learns one half of the classes, then the other, held by every measure at every strength. */

import type { Job } from '../../jobs/job.ts';
import { asJobs, networksOf, type Planned, type RunSettings, type Wanted } from '../grid.ts';
import { TASKS } from '../tasks.ts';

/** What a job of this experiment is told: that of a removal, of the first half of the classes, and how it is anchored. */
export interface AnchorSettings extends RunSettings {
  readonly experiment: 'anchors';
  /** Passes over each half; the one that there is. */
  readonly epochs: readonly [number];
  /** Precision of the most important weights, descending. */
  readonly strengths: readonly number[];
  /** Powers of ten between the precisions of the most important weights and of the least. */
  readonly decades: number;
}

/**
 * From so firm that nothing new is learned to so loose that it might as well not be there, three to a decade or so: tried on
 * seeds other than those that are reported.
 */
const STRENGTHS = [1000, 300, 100, 30, 10, 3, 1, 0.3, 0.1, 0.03, 0.01] as const;
/**
 * About as far as the Fisher information of the small network reaches: on half of the embedded digits it was from 0.0023 to 0.31,
 * a factor of 130.
 */
const DECADES = 2;

/** A job for each network, and a sentence for each part of the grid that has no meaning. */
export async function anchorJobsOf(wanted: Wanted): Promise<{ jobs: Job[]; left: string[] }> {
  const { networks, left } = await networksOf(wanted);
  const few = new Set<string>();
  const planned = networks.flatMap(({ told, folder }): Planned<AnchorSettings>[] => {
    const { classes } = TASKS[told.task];
    const last = told.epochs.at(-1) ?? 0;
    if (last === 0) {
      few.add('Anchors hold what was learned: the last of --epochs must be 1 or more.');
      return [];
    }
    if (classes < 4) {
      few.add(
        `Anchors need two sets of at least two classes, and ${told.task} has ${classes || 'none'}: it has no cells there.`,
      );
      return [];
    }
    const more = { experiment: 'anchors', epochs: [last], strengths: STRENGTHS, decades: DECADES } as const;
    return [{ told: { ...told, ...more }, folder }];
  });
  const all = [...left, ...few];
  return { jobs: asJobs(planned, ['anchors'], all), left: all };
}

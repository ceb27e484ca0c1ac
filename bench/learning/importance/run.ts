/**
 * One network as a job: trained once, and at the wanted epochs validated with ever more of its weights gone, in every order that there
 * is. A checkpoint holds the curves that are done.
 */

import type { JobCheckpoint } from '../jobs/checkpoint.ts';
import { asJob, type Report } from '../jobs/module.ts';
import { placesOf, type RunSettings } from './grid.ts';
import { Kept } from './kept.ts';
import { NETWORKS } from './models.ts';
import { openTask, shrunk } from './tasks.ts';
import { Training } from './train.ts';
import { type Agreement, type Cost, type Curve, type Findings, inSeconds, Validation } from './validation.ts';

/** What came of a job. */
export interface Run {
  readonly task: RunSettings['task'];
  readonly model: RunSettings['model'];
  readonly seed: number;
  readonly parameters: number;
  /** Held-out examples. */
  readonly examples: number;
  /** In the order of the grid. */
  readonly curves: readonly Curve[];
  readonly agreement: readonly Agreement[];
  /** What of the grid there is not, and why. */
  readonly left: readonly string[];
  readonly seconds: { readonly training: number; readonly costs: readonly Cost[] };
}

export const runJob = asJob(runOne);

export async function runOne(
  told: RunSettings,
  report: Report = async () => {},
  checkpoint: JobCheckpoint | null = null,
): Promise<Run> {
  const { task: name, model: network, seed, epochs, measures: names } = told;
  const whole = await openTask(name, told.data);
  const task = NETWORKS[network].shrinks ? shrunk(whole) : whole;
  const training = new Training(task, told);
  const { model } = training;
  const kept = new Kept<Findings>({ curves: [], agreement: [], left: [], costs: [] });
  // So many measures, epoch by epoch, were there before.
  const before = checkpoint?.resume({ algorithm: kept }) ?? 0;
  const validation = new Validation(task, told, training, kept.lists);

  const steps = (epochs.at(-1) ?? 0) * training.stepsOfEpoch;
  const work = {
    steps: 3 * steps * told.batch,
    curves: placesOf(told).length * told.thresholds * (told.heldOut + told.trained),
  };
  const total = Math.max(1, work.steps + work.curves);
  let units = 0;
  const tell = (): Promise<void> => {
    const trained = steps === 0 ? 0 : (work.steps * training.steps) / steps;
    return report((trained + (work.curves * units) / (epochs.length * names.length)) / total);
  };
  for (const epoch of epochs) {
    for (const _ of training.until(epoch)) await tell();
    validation.begin(epoch);
    for (const measure of names) {
      if (units++ < before) continue;
      for (const _ of validation.of(measure)) await tell();
      if (checkpoint?.isDue) await checkpoint.save({ algorithm: kept, step: units });
    }
  }
  const { curves, agreement, left, costs } = kept.lists;
  return {
    ...{ task: name, model: network, seed },
    parameters: model.parameters().reduce((sum, { size }) => sum + size, 0),
    examples: validation.examples,
    ...{ curves, agreement, left },
    seconds: { training: inSeconds(training.milliseconds), costs },
  };
}

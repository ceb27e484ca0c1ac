/**
 * One network as a job: it learns the first half of the classes, its weights are put in order by every measure, and it learns the second
 * half, held where it was by an anchor whose precisions follow that order, anew at every strength. How much of the first half is
 * left, and how much of the second is learned?
 *
 * All begin at the same weights with a new Adam and see the same batches: they differ in the anchor alone. A checkpoint holds the measures
 * that are done.
 */

import type { Level } from '../../../../src/importance/aggregate.ts';
import { performance as performanceOf } from '../../../../src/importance/curve.ts';
import type { Comparison, LabelledBatch } from '../../../../src/importance/measure.ts';
import { writeNumbers } from '../../../../src/importance/removal.ts';
import { Adam, batches, crossEntropy, type Module, type Tensor } from '../../../../src/index.ts';
import { anchor } from '../../../../src/state/anchor.ts';
import { numbersOf } from '../../../../src/tensor/tensor.ts';
import type { JobCheckpoint } from '../../jobs/checkpoint.ts';
import { asJob, type Report } from '../../jobs/module.ts';
import { UserError } from '../../user-error.ts';
import { placesOf, type Replacement } from '../grid.ts';
import { Kept } from '../kept.ts';
import { NETWORKS } from '../models.ts';
import { areaBetween } from '../ordering.ts';
import { batchOf, openTask, shrunk, TASKS, type Task } from '../tasks.ts';
import { Training } from '../train.ts';
import { type Cost, type Curve, generatorFor, inSeconds, sample, Validation } from '../validation.ts';
import type { AnchorSettings } from './grid.ts';
import { halvesOf, inMemory } from './halves.ts';
import { meanPrecision, precisions } from './precision.ts';

/** Accuracies on the held-out examples of both halves. */
export interface Accuracies {
  readonly first: number;
  readonly second: number;
}

/** What is left, and what is learned, with an anchor of this strength. */
export interface Trial extends Accuracies {
  readonly strength: number;
}

/** A measure whose order decides how firmly each weight is held. */
export interface Anchored {
  readonly measure: string;
  readonly aggregation: Level;
  readonly comparison: Comparison;
  /** In the order of the strengths. */
  readonly trials: readonly Trial[];
}

/** What the order of a measure is worth for removal, in the network that has learned the first half: see areaBetween. */
export interface Removed extends Omit<Anchored, 'trials'> {
  readonly replacement: Replacement;
  readonly area: number;
  readonly tau90: number;
}

/** What came of a job. */
export interface AnchorRun {
  readonly task: AnchorSettings['task'];
  readonly model: AnchorSettings['model'];
  readonly seed: number;
  readonly epoch: number;
  readonly parameters: number;
  /** Held-out examples of each half. */
  readonly examples: Accuracies;
  /** When the first half was learned: as a network that no weight of may move would stay. */
  readonly before: Accuracies;
  /** When the second half was learned without an anchor. */
  readonly free: Accuracies;
  /** With the same precision for all weights. */
  readonly equal: readonly Trial[];
  readonly anchored: readonly Anchored[];
  readonly removed: readonly Removed[];
  /** What of the grid there is not, and why. */
  readonly left: readonly string[];
  readonly seconds: { readonly training: number; readonly costs: readonly Cost[]; readonly anchors: number };
}

export const runJob = asJob(runOne);

interface Lists {
  readonly curves: Curve[];
  readonly left: string[];
  readonly costs: Cost[];
  /** `before`, `free`, in this order. */
  readonly without: Accuracies[];
  readonly equal: Trial[];
  readonly anchored: Anchored[];
  readonly removed: Removed[];
  /** Milliseconds. */
  readonly spent: number[];
}

export async function runOne(
  told: AnchorSettings,
  report: Report = async () => {},
  checkpoint: JobCheckpoint | null = null,
): Promise<AnchorRun> {
  const { task: name, model: network, seed, measures, groupings, strengths, decades } = told;
  const [epoch] = told.epochs;
  const whole = await openTask(name, told.data);
  const [first, second] = halvesOf(NETWORKS[network].shrinks ? shrunk(whole) : whole, TASKS[name].classes);
  const training = new Training(first, told);
  const { model } = training;
  const kept = new Kept<Lists>({
    ...{ curves: [], left: [], costs: [] },
    ...{ without: [], equal: [], anchored: [], removed: [], spent: [] },
  });
  const { lists } = kept;
  // So many parts, those without a measure first, were there before.
  const parts = checkpoint?.resume({ algorithm: kept }) ?? 0;
  // The comparison with the oracle is the business of removal.
  const validation = new Validation(first, told, training, { ...lists, agreement: [] });

  const heldOut = [first, second].map((half) => sample(half, half.heldOut, told.heldOut));
  const accuracyOf = (own: readonly LabelledBatch[] | undefined): number =>
    performanceOf({ model, batches: () => own ?? [] }).accuracy;
  const accuracies = (): Accuracies => ({ first: accuracyOf(heldOut[0]), second: accuracyOf(heldOut[1]) });

  const course = new Course(second, told);
  const trials = 1 + strengths.length * (1 + measures.length * groupings.length);
  // A point of a curve costs about as much as so many steps.
  const point = (told.heldOut + told.trained) / told.batch / 3;
  const points = placesOf(told).length * told.thresholds;
  const total = Math.max(1, training.stepsOfEpoch * epoch + points * point + trials * course.steps);
  let done = 0;
  const tell = (work: number): Promise<void> => {
    done += work;
    return report(Math.min(1, done / total));
  };

  for (const _ of training.until(epoch)) await tell(1);
  validation.begin(epoch);
  const home = model.parameters().map((parameter) => numbersOf(parameter));
  const goHome = (): void => {
    for (const [i, parameter] of model.parameters().entries()) writeNumbers(parameter, home[i]!);
  };
  /** Learns the second half from where the first ended, held as it is said. */
  const learned = async (precisionOf: (name: string) => number | Tensor | null): Promise<Accuracies> => {
    const start = performance.now();
    const held = model.namedParameters().flatMap(([own, parameter]) => {
      const precision = precisionOf(own);
      return precision === null ? [] : [anchor(parameter, { precision })];
    });
    try {
      for (const _ of course.learn(model)) await tell(1);
      return accuracies();
    } finally {
      for (const { remove } of held) remove();
      goHome();
      lists.spent.push(performance.now() - start);
    }
  };
  const finished = async (part: number): Promise<void> => {
    if (checkpoint?.isDue) await checkpoint.save({ algorithm: kept, step: part });
  };

  if (parts === 0) {
    const [start, end] = [accuracies(), await learned(() => null)];
    lists.without.push(start, end);
    if (end.second <= start.second)
      lists.left.push(
        `${network} on ${name}, seed ${seed}, learns nothing of the second half even without an anchor: it is left out.`,
      );
    for (const strength of strengths)
      lists.equal.push({ strength, ...(await learned(() => strength * meanPrecision(decades))) });
    await finished(1);
  }
  for (const [i, measure] of measures.entries()) {
    if (i + 1 < parts) continue;
    for (const _ of validation.of(measure)) await tell(point);
    lists.removed.push(...areasOf(lists.curves.splice(0)));
    for (const [aggregation, comparison] of groupings) {
      const ranking = validation.ranking(measure, aggregation, comparison);
      if (ranking === null) continue;
      const own = precisions(model, ranking, decades);
      const found: Trial[] = [];
      for (const strength of strengths)
        found.push({ strength, ...(await learned((parameter) => own.get(parameter)?.mul(strength) ?? null)) });
      lists.anchored.push({ measure, aggregation, comparison, trials: found });
    }
    await finished(i + 2);
  }
  const [before, free] = lists.without as [Accuracies, Accuracies];
  const count = (own: readonly LabelledBatch[] | undefined): number =>
    (own ?? []).reduce((sum, { labels }) => sum + labels.length, 0);
  return {
    ...{ task: name, model: network, seed, epoch },
    parameters: model.parameters().reduce((sum, { size }) => sum + size, 0),
    examples: { first: count(heldOut[0]), second: count(heldOut[1]) },
    ...{ before, free, equal: lists.equal, anchored: lists.anchored, removed: lists.removed, left: lists.left },
    seconds: {
      training: inSeconds(training.milliseconds),
      costs: lists.costs,
      anchors: inSeconds(lists.spent.reduce((sum, each) => sum + each, 0)),
    },
  };
}

/** Curves come in pairs, least important first and then most. */
function areasOf(curves: readonly Curve[]): Removed[] {
  return curves.flatMap((least, i) => {
    const most = curves[i + 1];
    if (i % 2 === 1 || most === undefined) return [];
    const { measure, aggregation, comparison, replacement } = least;
    return [{ measure, aggregation, comparison, replacement, ...areaBetween(least, most) }];
  });
}

/** How the second half is learned: as long as the first and as fast, by a new Adam. */
class Course {
  readonly steps: number;
  readonly #task: Task;
  readonly #told: AnchorSettings;

  constructor(task: Task, told: AnchorSettings) {
    // A small network sees means of blocks, and to take them costs more than the step.
    this.#task = NETWORKS[told.model].shrinks ? { ...task, train: inMemory(task.train) } : task;
    this.#told = told;
    this.steps = told.epochs[0] * Math.ceil(task.train.count / told.batch);
  }

  /** Pauses after each step. The same batches every time. */
  *learn(model: Module): Iterable<void> {
    const { batch, lr, seed, task, model: network } = this.#told;
    const { train } = this.#task;
    const optimizer = new Adam(model.parameters(), { lr });
    const epochs = batches(train.count, batch, { generator: generatorFor(seed, 'second half') });
    for (let step = 0; step < this.steps; )
      for (const rows of epochs) {
        const { x, labels } = batchOf(this.#task, train, rows);
        model.train();
        const loss = crossEntropy(model.forward(x), labels);
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        if (!Number.isFinite(loss.item()))
          throw new UserError(`The loss of ${network} on the second half of ${task} is no longer finite.`);
        step++;
        yield;
      }
  }
}

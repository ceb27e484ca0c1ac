/**
 * What a network still does with ever more of its weights gone, in every order that there is.
 *
 * Everything random has a generator of its own, by the place in the grid and not by the order of doing: a run that goes on from
 * its middle comes to the same numbers. All measures of an epoch see the same noise: they are compared in pairs.
 */

import { createHash } from 'node:crypto';
import { groupsOf, type Level } from '../../../src/importance/aggregate.ts';
import { performance as performanceOf } from '../../../src/importance/curve.ts';
import {
  type Comparison,
  type Importance,
  inUse,
  type LabelledBatch,
  lossesOf,
  type Subject,
} from '../../../src/importance/measure.ts';
import { measureNamed, measures } from '../../../src/importance/measures.ts';
import { type Ranking, rank } from '../../../src/importance/ranking.ts';
import { Removal } from '../../../src/importance/removal.ts';
import { Generator, type Module, noGrad } from '../../../src/index.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import { DIRECTIONS, type Place, type RunSettings, thresholdsOf } from './grid.ts';
import { kendall } from './statistics.ts';
import { batchOf, squaredErrors, type Task } from './tasks.ts';
import type { Training } from './train.ts';

/** A network with some of its weights gone. Losses are null where they are not finite. */
export interface Point {
  /** The fraction that was to go, and that which went. */
  readonly threshold: number;
  readonly fraction: number;
  /** On a part of the training data. */
  readonly loss: number | null;
  readonly validationLoss: number | null;
  /** On the held-out examples. */
  readonly accuracy: number;
}

export interface Curve extends Place {
  readonly points: readonly Point[];
}

/** Kendall's tau of a measure and the oracle; null where one of them is all ties. */
export interface Agreement {
  readonly epoch: number;
  readonly measure: string;
  readonly aggregation: Level;
  readonly tau: number | null;
}

/** Seconds of a measure at an epoch: its numbers, and its curves. */
export interface Cost {
  readonly epoch: number;
  readonly measure: string;
  readonly measuring: number;
  readonly curves: number;
}

/** More removals than this are not tried one by one. */
export const ORACLE_LIMIT = 2000;
/** Examples that are evaluated together: what lies between the layers then stays in the cache. */
const TOGETHER = 50;
/** A generator for one purpose of a run. */
export function generatorFor(seed: number, ...purpose: readonly (string | number)[]): Generator {
  const hash = createHash('sha256')
    .update([seed, ...purpose].join('\n'))
    .digest();
  return new Generator(hash.readUIntBE(0, 6));
}

export const inSeconds = (milliseconds: number): number => Math.round(milliseconds) / 1000;
const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

type Judgement = Pick<Point, 'loss' | 'validationLoss' | 'accuracy'>;

/** Where a validation writes what it finds. */
export interface Findings {
  readonly curves: Curve[];
  readonly agreement: Agreement[];
  readonly left: string[];
  readonly costs: Cost[];
}

/** The curves of a network at an epoch, measure by measure. */
export class Validation {
  readonly #told: RunSettings;
  readonly #task: Task;
  readonly #training: Training;
  readonly #findings: Findings;
  readonly #heldOut: readonly LabelledBatch[];
  readonly #trained: readonly LabelledBatch[];
  readonly #measured: readonly LabelledBatch[];
  #epoch = 0;
  /** The network as it is, and with all weights replaced, by what they are replaced with and which they are. */
  #judged = new Map<string, Judgement>();
  #truth = new Map<Level, Importance | null>();
  /** What was measured last. */
  #known: { readonly measure: string; readonly importance: Importance } | null = null;
  /** Milliseconds that the oracle took. It is asked for the comparison too, before its own turn. */
  #asking = 0;

  constructor(task: Task, told: RunSettings, training: Training, findings: Findings) {
    [this.#task, this.#told, this.#training, this.#findings] = [task, told, training, findings];
    this.#heldOut = sample(task, task.heldOut, told.heldOut);
    this.#measured = sample(task, task.train, told.measured);
    this.#trained = sample(task, task.train, told.trained);
  }

  get examples(): number {
    return this.#heldOut.reduce((sum, { labels }) => sum + labels.length, 0);
  }

  begin(epoch: number): void {
    this.#epoch = epoch;
    this.#judged = new Map();
    this.#truth = new Map();
    this.#known = null;
    this.#asking = 0;
  }

  /** Does all curves of a measure; pauses after each point. */
  *of(measure: string): Iterable<void> {
    const { seed, groupings, replacements, measures: names } = this.#told;
    const epoch = this.#epoch;
    const start = performance.now();
    for (const [aggregation] of groupings) this.#importance(measure, aggregation);
    const measured = performance.now();
    for (const [aggregation, comparison] of groupings) {
      const ranking = this.ranking(measure, aggregation, comparison);
      if (ranking === null) continue;
      for (const replacement of replacements) {
        const removal = new Removal(ranking, {
          replacement,
          generator: generatorFor(seed, 'noise', epoch, replacement),
        });
        const which = `${replacement}\n${ranking.parameters.map(({ name }) => name).join('\n')}`;
        try {
          for (const direction of DIRECTIONS) {
            const points: Point[] = [];
            let last = { count: -1, judgement: null as Judgement | null };
            for (const threshold of thresholdsOf(this.#told)) {
              const { count, fraction } = removal.to(threshold, direction);
              // Removal is nested: so many weights are the same weights.
              const key = count === 0 ? '' : count === ranking.size ? which : null;
              const known =
                count === last.count ? last.judgement : key === null ? null : (this.#judged.get(key) ?? null);
              const judgement = known ?? this.#judge();
              if (key !== null) this.#judged.set(key, judgement);
              last = { count, judgement };
              points.push({ threshold, fraction, ...judgement });
              yield;
            }
            this.#findings.curves.push({ epoch, measure, aggregation, comparison, replacement, direction, points });
          }
        } finally {
          removal.restore();
        }
      }
    }
    const ended = performance.now();
    if (measure !== 'oracle' && names.includes('oracle')) this.#agree(measure);
    this.#findings.costs.push({
      ...{ epoch, measure },
      measuring: inSeconds(measure === 'oracle' ? this.#asking : measured - start),
      curves: inSeconds(ended - measured),
    });
  }

  /** The order of the weights by a measure, the same whenever it is asked for; null where the oracle has none. */
  ranking(measure: string, aggregation: Level, comparison: Comparison): Ranking | null {
    const importance = this.#importance(measure, aggregation);
    if (importance === null) return null;
    const generator = generatorFor(this.#told.seed, 'ties', this.#epoch, measure, aggregation, comparison);
    return rank(this.#training.model, importance, { by: aggregation, compare: comparison, generator });
  }

  #importance(measure: string, aggregation: Level): Importance | null {
    if (measure === 'oracle') return this.#oracle(aggregation);
    if (this.#known?.measure !== measure) this.#known = { measure, importance: this.#measure(measure) };
    return this.#known.importance;
  }

  #measure(measure: string): Importance {
    const { movement, path, walk, model } = this.#training;
    const subject: Subject = {
      ...{ model, movement, path, walk, batches: () => this.#measured },
      losses: this.#task.targets === null ? undefined : squaredErrors(this.#task.targets),
      generator: generatorFor(this.#told.seed, 'measure', this.#epoch, measure),
    };
    return measureNamed(measure).measure(subject);
  }

  /** What really happens on the held-out examples; null where that are too many removals. */
  #oracle(by: Level): Importance | null {
    const known = this.#truth.get(by);
    if (known !== undefined) return known;
    const start = performance.now();
    const { model } = this.#training;
    const parameters = new Map(model.namedParameters());
    const removals = groupsOf('oracle', model, parameters, { by }).sizes.length;
    let found: Importance | null = null;
    if (removals <= ORACLE_LIMIT)
      found = measures.oracle({ by, limit: ORACLE_LIMIT }).measure({
        ...{ model, batches: () => this.#heldOut },
        losses: this.#task.targets === null ? undefined : squaredErrors(this.#task.targets),
      });
    else {
      const sentence = `oracle has no cells in ${this.#told.model} by ${by}: ${removals} removals are more than ${ORACLE_LIMIT}.`;
      const { left } = this.#findings;
      if (!left.includes(sentence)) left.push(sentence);
    }
    this.#truth.set(by, found);
    this.#asking += performance.now() - start;
    return found;
  }

  #agree(measure: string): void {
    const { model } = this.#training;
    for (const aggregation of new Set(this.#told.groupings.map(([by]) => by))) {
      const [importance, truth] = [this.#importance(measure, aggregation), this.#oracle(aggregation)];
      if (importance === null || truth === null) continue;
      const options = {
        by: aggregation,
        parameters: aggregation === 'none' ? (['kernel'] as const) : (['kernel', 'bias'] as const),
      };
      const own = groupsOf(measure, model, importance, options);
      // A measure may leave layers out.
      const layers = [...new Set(own.participants.map(({ layer }) => layer))];
      const theirs = groupsOf('oracle', model, truth, { ...options, layers });
      this.#findings.agreement.push({
        epoch: this.#epoch,
        measure,
        aggregation,
        tau: kendall(own.values, theirs.values),
      });
    }
  }

  #judge(): Judgement {
    const { model } = this.#training;
    const { targets } = this.#task;
    if (targets !== null) {
      const [loss, { mean, explained }] = [
        errorsOf(model, this.#trained, targets),
        errorsOf(model, this.#heldOut, targets),
      ];
      return { loss: finite(loss.mean), validationLoss: finite(mean), accuracy: explained };
    }
    const { loss, accuracy } = performanceOf({ model, batches: () => this.#heldOut });
    const trained = performanceOf({ model, batches: () => this.#trained });
    return { loss: finite(trained.loss), validationLoss: finite(loss), accuracy };
  }
}

/** The same examples in every run: up to so many, drawn from all. */
export function sample(task: Task, examples: Task['train'], most: number): LabelledBatch[] {
  const rows = new Generator(2).permutation(examples.count).slice(0, most);
  return Array.from({ length: Math.ceil(rows.length / TOGETHER) }, (_, i) =>
    batchOf(task, examples, rows.slice(i * TOGETHER, (i + 1) * TOGETHER)),
  );
}

/** Mean squared error, and the share of the variance that is explained, at least 0. */
function errorsOf(model: Module, batches: readonly LabelledBatch[], targets: Float32Array) {
  return inUse(model, () => {
    const own: number[] = [];
    let error = 0;
    for (const { x, labels } of batches) {
      const losses = noGrad(() =>
        numbersOf(lossesOf('performance', { model, losses: squaredErrors(targets) }, model.forward(x), labels)),
      );
      for (const loss of losses) error += loss;
      for (const label of labels) own.push(targets[label]!);
    }
    const mean = own.reduce((sum, y) => sum + y, 0) / own.length;
    const variance = own.reduce((sum, y) => sum + (y - mean) ** 2, 0);
    return { mean: error / own.length, explained: Math.max(0, 1 - error / variance) || 0 };
  });
}

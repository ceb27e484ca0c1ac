/**
 * One run: a combination with a seed, from the first step to the last, as a job. Combinations with the same seed see the same
 * batches and start from the same weights.
 */

import { forgetting } from '../../../src/continual/accuracy-matrix.ts';
import { evaluate } from '../../../src/continual/evaluate.ts';
import { ContinualLearner } from '../../../src/continual/learner.ts';
import { deadUnits } from '../../../src/continual/metrics.ts';
import type { Context, Scenario } from '../../../src/data/scenarios.ts';
import { contextBatches, joint } from '../../../src/data/scenarios-batches.ts';
import { Adam, Generator, noGrad, ReLU, type Sequential, type Tensor } from '../../../src/index.ts';
import { mlp } from '../forgetting/problem.ts';
import { asJob, type Report } from '../jobs/module.ts';
import { combinationOf, compose, type Strengths } from './combinations.ts';
import { openStream } from './stream.ts';

/** What a job of this experiment is told. */
export interface RunSettings {
  readonly combination: string;
  /** The strengths of its methods. */
  readonly settings: Strengths;
  readonly seed: number;
  readonly contexts: number;
  /** Steps of a context. */
  readonly iterations: number;
  /** Images of a step. */
  readonly batch: number;
  /** Widths of the hidden layers. */
  readonly hidden: readonly number[];
  /** Of Adam. */
  readonly lr: number;
  /** A folder of IDX files, or their fingerprint; null for the embedded digits. */
  readonly data: string | null;
}

/** What came of a run: a row of the JSON file. Nulls: all contexts were learned at once. */
export interface Run extends Omit<RunSettings, 'data'> {
  /** learned[i]: the accuracy on context i when it had just been learned. */
  readonly learned: readonly number[] | null;
  /** remembered[i]: the mean accuracy on the contexts 0 to i when i had just been learned. */
  readonly remembered: readonly number[] | null;
  /** last[i]: the accuracy on context i at the end. */
  readonly last: readonly number[];
  /** Mean of `last`. */
  readonly average: number;
  /** The best accuracy on a context before the end less that at the end, mean over all but the last (Chaudhry et al. 2018). */
  readonly forgetting: number | null;
  /** Mean accuracy on new contexts: the first and the last sixth of `learned`. */
  readonly plasticity: { readonly early: number; readonly late: number } | null;
  /** Units that continual backprop replaced; null where it is not there. */
  readonly replaced: number | null;
  /** Share of the hidden units that are 0 for all test images of the last context, at the end. */
  readonly dead: number;
  /** Time of learning with all that methods do for it, without reading data and without the questions. */
  readonly seconds: number;
}

export const runJob = asJob(runOne);

export async function runOne(told: RunSettings, report: Report = async () => {}): Promise<Run> {
  const { combination, settings, seed, contexts, iterations, batch, hidden, lr } = told;
  const { course } = combinationOf(combination);
  const scenario = await openStream(told.data, contexts, seed);
  const generator = new Generator(seed);
  const generators = { weights: generator.fork(), batches: generator.fork(), methods: generator.fork() };
  const inputs = scenario.inputShape.reduce((size, length) => size * length, 1);
  const begun = (): Learner => {
    const model = mlp([inputs, ...hidden, scenario.outputs], generators.weights);
    const { methods, resets } = compose(settings, generators.methods);
    return {
      model,
      learner: new ContinualLearner({ model, optimizer: new Adam(model.parameters(), { lr }), methods }),
      resets,
    };
  };
  let now = begun();
  const parts = course === 'joint' ? [joint(scenario)] : scenario.contexts;
  const steps = contexts * iterations;
  const matrix: number[][] = [];
  let [milliseconds, done] = [0, 0];
  for (const part of parts) {
    if (course === 'fresh' && part !== parts[0]) now = begun();
    const { learner } = now;
    learner.begin(part);
    let resumed = performance.now();
    for (const examples of contextBatches(part, {
      ...{ batchSize: batch, iterations: steps / parts.length, generator: generators.batches },
    })) {
      learner.learn(examples);
      done++;
      milliseconds += performance.now() - resumed;
      await report(done / steps);
      resumed = performance.now();
    }
    // What methods would keep of the last context is for nothing.
    if (part !== parts.at(-1)) learner.end();
    milliseconds += performance.now() - resumed;
    const known = course === 'joint' ? scenario.contexts : scenario.contexts.slice(0, matrix.length + 1);
    matrix.push(known.map((context) => evaluate(learner, context)));
  }
  const last = matrix.at(-1)!;
  return {
    ...{ combination, settings, seed, contexts, iterations, batch, hidden, lr },
    ...(course === 'joint' ? { learned: null, remembered: null } : curvesOf(matrix)),
    last,
    average: mean(last),
    forgetting: course === 'joint' || matrix.length < 2 ? null : forgetting(matrix),
    plasticity: course === 'joint' ? null : plasticityOf(curvesOf(matrix).learned),
    replaced: now.resets?.replaced ?? null,
    dead: deadShare(now.model, scenario),
    seconds: Math.round(milliseconds) / 1000,
  };
}

interface Learner {
  readonly model: Sequential;
  readonly learner: ContinualLearner;
  readonly resets: { readonly replaced: number } | null;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const curvesOf = (matrix: readonly (readonly number[])[]) => ({
  learned: matrix.map((row) => row.at(-1)!),
  remembered: matrix.map(mean),
});

/** The first and the last sixth, at least one context each. */
export function plasticityOf(learned: readonly number[]): { early: number; late: number } {
  const sixth = Math.max(1, Math.round(learned.length / 6));
  return { early: mean(learned.slice(0, sixth)), late: mean(learned.slice(-sixth)) };
}

function deadShare(model: Sequential, { contexts }: Scenario): number {
  const { test } = contexts.at(-1) as Context;
  return noGrad(() => {
    let h: Tensor = test.inputs(Int32Array.from(test.labels, (_, row) => row));
    let [dead, units] = [0, 0];
    for (const layer of model) {
      h = layer.forward(h);
      if (!(layer instanceof ReLU)) continue;
      dead += deadUnits(h).length;
      units += h.shape[1]!;
    }
    return units === 0 ? 0 : dead / units;
  });
}

/**
 * One run: an algorithm on a problem with a seed, from the first step to the last, as a job. Algorithms with the same seed see the
 * same stream and start from the same weights. Wherever a run is interrupted, it goes on to the same bits: a stream is a
 * function of the step, and all else that changes is in the learner's parts and in `Progress`.
 */

import { CReLU } from '../../../src/continual/everyday.ts';
import {
  deadUnits,
  dormantUnits,
  effectiveRank,
  OnlineMean,
  type OnlineMeanState,
  weightMagnitude,
} from '../../../src/continual/metrics.ts';
import { Generator, noGrad, ReLU, type Sequential, type Tensor } from '../../../src/index.ts';
import type { JobCheckpoint } from '../jobs/checkpoint.ts';
import type { Settings } from '../jobs/job.ts';
import { asJob, type Report } from '../jobs/module.ts';
import { type LearnerParts, PROBLEM_NAMES, type ProblemName } from './algorithm.ts';
import { algorithmOf } from './algorithms.ts';
import { CHUNK, openProblem, type ProblemSettings } from './problem.ts';

/** What a job of this experiment is told. */
export type RunSettings = {
  readonly problem: ProblemName;
  readonly algorithm: string;
  /** Of the algorithm. */
  readonly settings: Settings;
  readonly seed: number;
  /** A multiple of binSize, which is one of CHUNK. */
  readonly steps: number;
  readonly binSize: number;
} & ProblemSettings;

/** How a network stands at the end of each bin. Null where it has no hidden units, or numbers are not finite. */
export const CONDITIONS = ['dead', 'dormant', 'rank', 'magnitude'] as const;
export type Condition = (typeof CONDITIONS)[number];

/** A hidden unit is dormant where its mean |h| is at most this share of its layer's mean, as in ReDo's defaults. */
export const DORMANT_TAU = 0.1;

/** What came of a run: a row of the JSON file. Where numbers are null, they were not finite. */
export interface Run {
  readonly problem: ProblemName;
  readonly algorithm: string;
  readonly settings: Settings;
  readonly seed: number;
  /** What `bins` are means of. */
  readonly metric: 'mean squared error' | 'online accuracy';
  readonly steps: number;
  readonly binSize: number;
  /** The metric over each binSize steps, every one scored before it was learned from. */
  readonly bins: readonly (number | null)[];
  /** Share of the hidden units that are dead at the end of each bin: 0 for all of the last CHUNK examples. Null where there are none. */
  readonly dead: readonly (number | null)[];
  /** Share that is dormant over these examples: see DORMANT_TAU. */
  readonly dormant: readonly (number | null)[];
  /** Effective rank of the last hidden layer over these examples. */
  readonly rank: readonly (number | null)[];
  /** Mean |w| over all weights, without the biases. */
  readonly magnitude: readonly (number | null)[];
  /** Time of the steps and their measures, without reading data and keeping checkpoints. Of a run that was interrupted, of all pieces that count. */
  readonly seconds: number;
}

export const runJob = asJob(runOne);

type Conditions = Readonly<Record<Condition, readonly (number | null)[]>>;

/** What is known of a run so far. */
class Progress {
  readonly means: OnlineMean;
  readonly conditions: Record<Condition, (number | null)[]> = { dead: [], dormant: [], rank: [], magnitude: [] };
  /** Of what went before this process. */
  milliseconds = 0;

  constructor(binSize: number) {
    this.means = new OnlineMean(binSize);
  }

  stateDict(): ProgressState {
    const { means, conditions, milliseconds } = this;
    return { means: means.stateDict(), ...conditions, milliseconds };
  }

  loadStateDict({ means, milliseconds, ...conditions }: ProgressState): void {
    this.means.loadStateDict(means);
    for (const name of CONDITIONS) this.conditions[name].splice(0, this.conditions[name].length, ...conditions[name]);
    this.milliseconds = milliseconds;
  }
}

interface ProgressState extends Conditions {
  readonly means: OnlineMeanState;
  readonly milliseconds: number;
}

export async function runOne(
  told: RunSettings,
  report: Report = async () => {},
  checkpoint: JobCheckpoint | null = null,
): Promise<Run> {
  const { problem: name, algorithm, settings, seed, steps, binSize } = told;
  if (!PROBLEM_NAMES.includes(name) || binSize % CHUNK !== 0 || steps % binSize !== 0)
    throw new Error(`A run of ${steps} steps of ${name} in bins of ${binSize}: this is no run.`);
  const problem = await openProblem(name, seed, told);
  const generator = new Generator(seed);
  const network = problem.network(generator.fork());
  const learner = algorithmOf(algorithm).make(network, generator.fork(), settings);
  const { x, targets, fill, inputs } = problem.chunk();
  const progress = new Progress(binSize);
  const parts = { ...learner.parts, algorithm: { progress, ...named(learner.parts.algorithm) } };
  const first = checkpoint?.resume(parts) ?? 0;
  const { means, conditions } = progress;
  const start = performance.now();
  const earlier = progress.milliseconds;
  const spent = (): number => earlier + performance.now() - start - (checkpoint?.saving ?? 0);
  for (let step = first; step < steps; step += CHUNK) {
    fill(step);
    for (let i = 0; i < CHUNK; i++) {
      const loss = learner.learn(x[i]!, targets[i]!);
      means.add(problem.score(loss, learner.output, targets[i]!));
    }
    if ((step + CHUNK) % binSize === 0) {
      const condition = conditionOf(learner.model, inputs);
      for (const name of CONDITIONS) conditions[name].push(condition[name]);
    }
    if (checkpoint?.isDue) {
      progress.milliseconds = spent();
      await checkpoint.save({ ...parts, step: step + CHUNK });
    }
    await report((step + CHUNK) / steps);
  }
  const seconds = Math.round(spent()) / 1000;
  const bins = means.means.map(finite);
  return {
    ...{ problem: name, algorithm, settings, seed, metric: problem.metric, steps, binSize, bins },
    ...conditions,
    seconds,
  };
}

const named = (algorithm: LearnerParts['algorithm']) => (algorithm === undefined ? {} : { learner: algorithm });

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** How the network stands on these inputs. A unit of CReLU is dead where it is 0 before it: then both of its numbers are. */
function conditionOf(model: Sequential, inputs: Tensor): Readonly<Record<Condition, number | null>> {
  const magnitude = finite(weightMagnitude(model.parameters().filter(({ ndim }) => ndim > 1)));
  return noGrad(() => {
    const hidden: Tensor[] = [];
    let last: Tensor | null = null;
    let h = inputs;
    for (const layer of model) {
      const before = h;
      h = layer.forward(h);
      if (!(layer instanceof ReLU || layer instanceof CReLU)) continue;
      hidden.push(layer instanceof ReLU ? h : before);
      last = h;
    }
    if (last === null) return { dead: null, dormant: null, rank: null, magnitude };
    const units = hidden.reduce((sum, { shape }) => sum + shape[1]!, 0);
    const share = (found: (layer: Tensor) => readonly number[]): number =>
      hidden.reduce((sum, layer) => sum + found(layer).length, 0) / units;
    const allFinite = hidden.every((layer) => layer.toFloat32Array().every(Number.isFinite));
    return {
      dead: share(deadUnits),
      dormant: allFinite ? share((layer) => dormantUnits(layer, DORMANT_TAU)) : null,
      rank: allFinite ? effectiveRank(last) : null,
      magnitude,
    };
  });
}

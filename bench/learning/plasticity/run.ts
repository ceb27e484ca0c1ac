/**
 * One run: an algorithm on a problem with a seed, from the first step to the last, as a job. Algorithms with the same seed see the
 * same stream and start from the same weights. Wherever a run is interrupted, it goes on to the same bits: a stream is a
 * function of the step, and all else that changes is in the learner's parts and in `Progress`.
 */

import { CReLU } from '../../../src/continual/everyday.ts';
import { deadUnits, effectiveRank, OnlineMean, type OnlineMeanState } from '../../../src/continual/metrics.ts';
import { Generator, noGrad, ReLU, type Sequential, type Tensor } from '../../../src/index.ts';
import { JobCheckpoint } from '../jobs/checkpoint.ts';
import type { CheckpointPlace, Plain, Settings } from '../jobs/job.ts';
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
  /** Effective rank of the last hidden layer over these examples. */
  readonly rank: readonly (number | null)[];
  /** Time of the steps and their measures, without reading data and keeping checkpoints. Of a run that was interrupted, of all pieces that count. */
  readonly seconds: number;
}

/** Milliseconds between two words on how far it is. */
const REPORT_EVERY = 200;

export async function runJob(
  settings: Settings,
  report: (done: number) => Promise<void>,
  checkpoint: CheckpointPlace | null,
): Promise<Plain> {
  const kept = checkpoint === null ? null : new JobCheckpoint(checkpoint);
  const run = await runOne(settings as unknown as RunSettings, report, kept);
  return run as unknown as Plain;
}

/** What is known of a run so far. */
class Progress {
  readonly means: OnlineMean;
  readonly dead: (number | null)[] = [];
  readonly rank: (number | null)[] = [];
  /** Of what went before this process. */
  milliseconds = 0;

  constructor(binSize: number) {
    this.means = new OnlineMean(binSize);
  }

  stateDict(): ProgressState {
    const { means, dead, rank, milliseconds } = this;
    return { means: means.stateDict(), dead, rank, milliseconds };
  }

  loadStateDict({ means, dead, rank, milliseconds }: ProgressState): void {
    this.means.loadStateDict(means);
    this.dead.splice(0, this.dead.length, ...dead);
    this.rank.splice(0, this.rank.length, ...rank);
    this.milliseconds = milliseconds;
  }
}

interface ProgressState {
  readonly means: OnlineMeanState;
  readonly dead: readonly (number | null)[];
  readonly rank: readonly (number | null)[];
  readonly milliseconds: number;
}

export async function runOne(
  told: RunSettings,
  report: (done: number) => Promise<void> = async () => {},
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
  const { means, dead, rank } = progress;
  const start = performance.now();
  const earlier = progress.milliseconds;
  const spent = (): number => earlier + performance.now() - start - (checkpoint?.saving ?? 0);
  let reported = start;
  for (let step = first; step < steps; step += CHUNK) {
    fill(step);
    for (let i = 0; i < CHUNK; i++) {
      const loss = learner.learn(x[i]!, targets[i]!);
      means.add(problem.score(loss, learner.output, targets[i]!));
    }
    if ((step + CHUNK) % binSize === 0) {
      const condition = conditionOf(learner.model, inputs);
      dead.push(condition.dead);
      rank.push(condition.rank);
    }
    if (checkpoint?.isDue) {
      progress.milliseconds = spent();
      await checkpoint.save({ ...parts, step: step + CHUNK });
    }
    if (performance.now() - reported > REPORT_EVERY) {
      reported = performance.now();
      await report((step + CHUNK) / steps);
    }
  }
  const seconds = Math.round(spent()) / 1000;
  const bins = means.means.map(finite);
  return {
    problem: name,
    algorithm,
    settings,
    seed,
    metric: problem.metric,
    steps,
    binSize,
    bins,
    dead,
    rank,
    seconds,
  };
}

const named = (algorithm: LearnerParts['algorithm']) => (algorithm === undefined ? {} : { learner: algorithm });

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** How the hidden units stand on these inputs. A unit of CReLU is dead where it is 0 before it: then both of its numbers are. */
function conditionOf(model: Sequential, inputs: Tensor): { dead: number | null; rank: number | null } {
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
    if (last === null) return { dead: null, rank: null };
    const units = hidden.reduce((sum, { shape }) => sum + shape[1]!, 0);
    const dead = hidden.reduce((sum, layer) => sum + deadUnits(layer).length, 0);
    const allFinite = last.toFloat32Array().every(Number.isFinite);
    return { dead: dead / units, rank: allFinite ? effectiveRank(last) : null };
  });
}

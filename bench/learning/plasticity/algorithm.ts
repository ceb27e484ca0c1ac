/**
 * What an algorithm is to the experiment: how to make a learner of a network.
 *
 * A learner gets one batch at a time, and must not keep it: its numbers are written over. Everything random in it comes from the
 * generator it was made with, so that a seed gives the same bits. And all that it goes on with is in its parts, so that a
 * run that was interrupted gives the same bits too.
 */

import { type Generator, type Sequential, type Tensor, zeros } from '../../../src/index.ts';
import type { Stateful } from '../../../src/io/places.ts';
import type { Settings } from '../jobs/job.ts';

export const PROBLEM_NAMES = ['regression', 'permuted', 'permuted-short'] as const;
export type ProblemName = (typeof PROBLEM_NAMES)[number];

/** Targets of a batch: numbers [n, 1], or classes. */
export type Targets = Tensor | Int32Array;

/** The network to learn with, and what is to become small. */
export interface Network {
  /** Linear and ReLU layers in turn. */
  readonly model: Sequential;
  readonly lossOf: (output: Tensor, targets: Targets) => Tensor;
}

/** What decides how a learner goes on; between two steps there is nothing else. See the parts of a checkpoint. */
export interface LearnerParts {
  readonly model: Sequential;
  readonly optimizer: Stateful;
  /** Where its random numbers come from, if it draws any. */
  readonly generator?: Generator | undefined;
  /** Whatever else it remembers: ages, uses, counts of steps. */
  readonly algorithm?: Stateful | undefined;
}

export interface Learner {
  /** Learns from a batch. Returns the loss before it learned. */
  learn(x: Tensor, targets: Targets): number;
  /** What it learns with: the network it was given, unless it says otherwise. */
  readonly model: Sequential;
  /** The network's output in the last `learn`, before it learned; good until the next one. */
  readonly output: Tensor;
  /** For checkpoints. Loaded into a learner that was made the same way, they make it go on as this one. */
  readonly parts: LearnerParts;
}

/** `Own` is the settings of this algorithm, by name: what the report shows, and what a job's id depends on. */
export interface Algorithm<Own extends Settings = Settings> {
  /** One word, for --algorithms and tables. */
  readonly name: string;
  /** One sentence: what it does. */
  readonly about: string;
  readonly settings: Readonly<Record<ProblemName, Own>>;
  make(network: Network, generator: Generator, settings: Own): Learner;
}

/** An algorithm among others: its settings were checked where it was defined. */
export const defineAlgorithm = <Own extends Settings>(algorithm: Algorithm<Own>): Algorithm =>
  algorithm as unknown as Algorithm;

/** An output of the network, in whose graph units are found. */
export const probe = (model: Sequential): Tensor => model.forward(zeros([1, model.parameters()[0]!.shape[1]!]));

interface Stepper extends Stateful {
  zeroGrad(): void;
  step(): void;
}

/** What a learner has beside its optimizer. */
export interface Extra {
  /** Called after each step, with the output of before it and its input. */
  afterStep?(output: Tensor, x: Tensor): void;
  readonly generator?: Generator;
  readonly algorithm?: Stateful;
}

/** Forward, loss, backward, step, and what comes after each step. */
export function gradientLearner({ model, lossOf }: Network, optimizer: Stepper, extra: Extra = {}): Learner {
  let output: Tensor | null = null;
  return {
    model,
    parts: { model, optimizer, generator: extra.generator, algorithm: extra.algorithm },
    learn(x, targets) {
      output = model.forward(x);
      const loss = lossOf(output, targets);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      extra.afterStep?.(output, x);
      return loss.item();
    },
    get output() {
      if (output === null) throw new Error('This learner has not learned anything yet.');
      return output;
    },
  };
}

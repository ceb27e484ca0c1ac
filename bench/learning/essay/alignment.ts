/**
 * Claim 4: backpropagation needs an exact correspondence of the forward and the backward passage.
 *
 * Feedback alignment breaks the correspondence: errors go down through fixed random weights. How far the update of each layer is from
 * backpropagation's is measured as an angle, before training and during it, beside the accuracy. Sign-symmetric feedback shares the signs
 * of the forward weights and nothing else.
 */

import {
  attachRules,
  batches,
  crossEntropy,
  Generator,
  Linear,
  type Rules,
  Sequential,
  SGD,
  Tanh,
} from '../../../src/index.ts';
import { compareUpdates } from '../../../src/rules/diagnostics.ts';
import { feedbackAlignment, signSymmetric } from '../../../src/rules/feedback.ts';
import { batchOf } from '../selective-tasks.ts';
import { accuracy, pictures, whole } from './pictures.ts';
import { type Estimate, estimate } from './statistics.ts';

export const FEEDBACKS = ['backpropagation', 'feedback alignment', 'sign-symmetric', 'last layer only'] as const;
export type Feedback = (typeof FEEDBACKS)[number];

export interface AlignmentRow {
  readonly feedback: Feedback;
  readonly step: number;
  /** Degrees between the rule's update and backpropagation's, by layer from the input; null where nothing is to be compared. */
  readonly angles: readonly Estimate[] | null;
  /** Share of the test pictures that are classified right. */
  readonly accuracy: Estimate;
}

export interface AlignmentOptions {
  readonly side?: number;
  readonly hidden?: readonly number[];
  readonly count?: number;
  /** Steps at which to measure, rising. */
  readonly steps?: readonly number[];
  readonly seeds?: readonly number[];
  readonly feedbacks?: readonly Feedback[];
}

const BATCH = 32;
const LEARNING_RATE = 0.1;

export function alignment({
  side = 14,
  hidden = [64, 32],
  count = 2000,
  steps = [0, 25, 100, 400, 1600],
  seeds = [1, 2, 3, 4, 5],
  feedbacks = FEEDBACKS,
}: AlignmentOptions = {}): AlignmentRow[] {
  const train = pictures(count, 1, side);
  const test = whole(pictures(count / 2, 2, side));
  const probe = whole({ rows: train.rows.slice(0, 256), labels: train.labels.slice(0, 256) });
  return feedbacks.flatMap((feedback) => {
    const runs = seeds.map((seed) => {
      const generator = new Generator(seed);
      const widths = [side * side, ...hidden, 10];
      const layers = widths.slice(1).map((to, l) => new Linear(widths[l]!, to, { generator }));
      const model = new Sequential(...layers.flatMap((layer, l) => (l === 0 ? [layer] : [new Tanh(), layer])));
      const rules = rulesOf(feedback, generator);
      if (rules !== null) attachRules(model, rules);
      const learned = feedback === 'last layer only' ? layers.slice(-1) : layers;
      const optimizer = new SGD(
        learned.flatMap((layer) => layer.parameters()),
        { lr: LEARNING_RATE },
      );
      const measured: { angles: number[] | null; accuracy: number }[] = [];
      const measure = (): void => {
        const angles =
          rules &&
          compareUpdates(
            () => crossEntropy(model.forward(probe.images), probe.labels),
            layers.map(({ weight }) => weight),
          ).map(({ angle }) => angle ?? Number.NaN);
        measured.push({ angles, accuracy: accuracy(model, test.images, test.labels) });
      };
      let step = 0;
      const last = Math.max(...steps);
      while (step <= last)
        for (const places of batches(count, BATCH, { generator, dropLast: true })) {
          if (steps.includes(step)) measure();
          if (step++ === last) break;
          const [images, labels] = batchOf(train, places);
          const loss = crossEntropy(model.forward(images), labels);
          model.zeroGrad();
          loss.backward();
          optimizer.step();
        }
      return measured;
    });
    return steps.map((step, i) => ({
      feedback,
      step,
      angles: runs[0]![i]!.angles?.map((_, l) => estimate(runs.map((run) => run[i]!.angles![l]!))) ?? null,
      accuracy: estimate(runs.map((run) => run[i]!.accuracy)),
    }));
  });
}

function rulesOf(feedback: Feedback, generator: Generator): Rules | null {
  if (feedback === 'feedback alignment') return { ...feedbackAlignment({ generator }) };
  if (feedback === 'sign-symmetric') return { ...signSymmetric() };
  return null;
}

/**
 * Claim 6: a network trained by backpropagation loses its plasticity.
 *
 * A stream of tasks, each as hard as any other: the same digits with their pixels permuted anew, or with random labels in the place of
 * theirs. A network goes through all of them, each for the same number of steps. If it stays plastic, it is as good on the last
 * tasks as on the first. Dohare et al., "Loss of plasticity in deep continual learning" (2024), do this over hundreds of tasks
 * of 60,000 images; here tasks are small, and there are as many.
 */

import { deadUnits, effectiveRank } from '../../../src/continual/metrics.ts';
import { Adam, batches, crossEntropy, Generator, Linear, noGrad, relu, SGD, type Tensor } from '../../../src/index.ts';
import { randn } from '../../../src/tensor/random.ts';
import { batchOf, type Examples } from '../selective-tasks.ts';
import { permuted, pictures, whole } from './pictures.ts';
import { doubles, type Estimate, estimate, slopeOf } from './statistics.ts';

export const ARMS = {
  SGD: { adam: false, lr: 0.05, decay: 0, noise: 0 },
  'SGD + L2': { adam: false, lr: 0.05, decay: 1e-3, noise: 0 },
  'SGD + shrink and perturb': { adam: false, lr: 0.05, decay: 1e-3, noise: 1e-3 },
  Adam: { adam: true, lr: 1e-3, decay: 0, noise: 0 },
} as const;
export type Arm = keyof typeof ARMS;
export type Stream = 'permuted' | 'relabelled';

/** How the network stands at the end of a task. */
export interface Condition {
  /** Share of hidden units that are 0 for every picture of the task. */
  readonly dead: number;
  /** Effective rank of the last hidden layer over the pictures of the task. */
  readonly rank: number;
  /** Mean |w| of the weights. */
  readonly weight: number;
}

/** Means over some of the tasks, over seeds. */
export interface Stretch extends Readonly<Record<keyof Condition, Estimate>> {
  /** Share of right answers, each asked before the step that learns it; of permuted tasks in the first pass, of random labels in the last. */
  readonly accuracy: Estimate;
}

export interface PlasticityRow {
  readonly stream: Stream;
  readonly arm: Arm;
  readonly tasks: number;
  /** The first and the last tenth of the tasks. */
  readonly first: Stretch;
  readonly last: Stretch;
  /** Change of the accuracy a hundred tasks, by least squares over all of them. */
  readonly slope: Estimate;
  /** Accuracies by task, the mean over seeds, in twenty stretches: for a plot. */
  readonly curve: readonly number[];
}

export interface PlasticityOptions {
  readonly streams?: readonly Stream[];
  readonly arms?: readonly Arm[];
  readonly tasks?: number;
  /** Pictures of a task. */
  readonly count?: number;
  readonly hidden?: number;
  readonly seeds?: readonly number[];
}

const BATCH = 8;
const SIDE = 7;
/** Passes over the pictures of a task. */
const EPOCHS: Readonly<Record<Stream, number>> = { permuted: 2, relabelled: 20 };
/** Pictures of a task, in parts of `count`: random labels must be learned by heart. */
const SHARE: Readonly<Record<Stream, number>> = { permuted: 1, relabelled: 0.1 };

export function plasticity({
  streams = ['permuted', 'relabelled'],
  arms = Object.keys(ARMS) as Arm[],
  tasks = 150,
  count = 800,
  hidden = 32,
  seeds = [1, 2, 3],
}: PlasticityOptions = {}): PlasticityRow[] {
  const digits = pictures(count, 1, SIDE);
  return streams.flatMap((stream) =>
    arms.map((arm) => {
      const tenth = Math.max(1, Math.round(tasks / 10));
      const ends = (task: number): boolean => task < tenth || task >= tasks - tenth;
      const runs = seeds.map((seed) => throughStream(stream, arm, digits, { tasks, ends, hidden, seed }));
      const over = (from: number, to: number): Stretch => {
        const of = (pick: (task: Outcome) => number): Estimate =>
          estimate(runs.map((run) => mean(run.slice(from, to).map(pick))));
        const condition = (key: keyof Condition) => of((task) => task.condition![key]);
        return {
          accuracy: of((task) => task.accuracy),
          dead: condition('dead'),
          rank: condition('rank'),
          weight: condition('weight'),
        };
      };
      const pieces = Math.min(20, tasks);
      return {
        stream,
        arm,
        tasks,
        first: over(0, tenth),
        last: over(tasks - tenth, tasks),
        slope: estimate(runs.map((run) => 100 * slopeOf(run.map(({ accuracy }) => accuracy)))),
        curve: Array.from({ length: pieces }, (_, i) =>
          mean(
            runs.flatMap((run) =>
              run
                .slice(Math.round((i * tasks) / pieces), Math.round(((i + 1) * tasks) / pieces))
                .map(({ accuracy }) => accuracy),
            ),
          ),
        ),
      };
    }),
  );
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

interface Outcome {
  readonly accuracy: number;
  /** null: nobody looked. */
  readonly condition: Condition | null;
}

interface Course {
  readonly tasks: number;
  /** After which tasks to look at the network. */
  readonly ends: (task: number) => boolean;
  readonly hidden: number;
  readonly seed: number;
}

function throughStream(stream: Stream, arm: Arm, digits: Examples, { tasks, ends, hidden, seed }: Course): Outcome[] {
  const generator = new Generator(seed);
  const { adam, lr, decay, noise } = ARMS[arm];
  const layers = [
    new Linear(SIDE * SIDE, hidden, { generator }),
    new Linear(hidden, hidden, { generator }),
    new Linear(hidden, 10, { generator }),
  ] as const;
  const parameters = layers.flatMap((layer) => layer.parameters());
  const optimizer = adam
    ? new Adam(parameters, { lr, weightDecay: decay })
    : new SGD(parameters, { lr, weightDecay: decay });
  return Array.from({ length: tasks }, (_, i) => {
    const task = taskOf(stream, digits, generator);
    let [right, seen] = [0, 0];
    for (let epoch = 0; epoch < EPOCHS[stream]; epoch++) {
      const counts = epoch === (stream === 'permuted' ? 0 : EPOCHS[stream] - 1);
      for (const places of batches(task.rows.length, BATCH, { generator })) {
        const [images, labels] = batchOf(task, places);
        const logits = forward(layers, images).logits;
        if (counts) {
          right += rightOf(logits, labels);
          seen += labels.length;
        }
        const loss = crossEntropy(logits, labels);
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        if (noise > 0) perturb(parameters, noise, generator);
      }
    }
    return { accuracy: right / seen, condition: ends(i) ? conditionOf(layers, task) : null };
  });
}

function taskOf(stream: Stream, digits: Examples, generator: Generator): Examples {
  if (stream === 'permuted') return permuted(digits, generator.permutation(SIDE * SIDE));
  const count = Math.round(SHARE.relabelled * digits.rows.length);
  return { rows: digits.rows.slice(0, count), labels: Uint8Array.from({ length: count }, () => generator.integer(10)) };
}

type Layers = readonly [Linear, Linear, Linear];

function forward(
  [first, second, third]: Layers,
  images: Tensor,
): { hidden: readonly [Tensor, Tensor]; logits: Tensor } {
  const below = relu(first.forward(images));
  const above = relu(second.forward(below));
  return { hidden: [below, above], logits: third.forward(above) };
}

function rightOf(logits: Tensor, labels: Int32Array): number {
  const values = logits.toFloat32Array();
  const classes = logits.shape[1]!;
  return labels.reduce((right, label, i) => {
    const row = values.subarray(i * classes, (i + 1) * classes);
    return right + (row.every((value) => value <= row[label]!) ? 1 : 0);
  }, 0);
}

/** Shrinking is the optimizer's L2; this is the other half. Ash and Adams, "On warm-starting neural network training" (2020). */
function perturb(parameters: readonly Tensor[], noise: number, generator: Generator): void {
  noGrad(() => {
    for (const parameter of parameters) parameter.add_(randn(parameter.shape, { generator }).mul(noise));
  });
}

function conditionOf(layers: Layers, task: Examples): Condition {
  const { images } = whole({ rows: task.rows.slice(0, 200), labels: task.labels.slice(0, 200) });
  const { hidden } = noGrad(() => forward(layers, images));
  const units = hidden.reduce((sum, h) => sum + h.shape[1]!, 0);
  const weights = layers.flatMap(({ weight }) => [...doubles(weight)]);
  return {
    dead: hidden.reduce((sum, h) => sum + deadUnits(h).length, 0) / units,
    rank: effectiveRank(hidden[1]!),
    weight: mean(weights.map(Math.abs)),
  };
}

/**
 * The problems: what a learner sees, step by step, and the network it learns with. Batches are of one example; a thousand of
 * them stand in one buffer of kernel memory at a time, and each step sees a view of it that was made once.
 */

import { permutedStream, slowlyChangingRegression, type TaskStreamOptions } from '../../../src/data/streams.ts';
import {
  buffer,
  crossEntropy,
  type Generator,
  init,
  Linear,
  type Module,
  mseLoss,
  noGrad,
  ReLU,
  Sequential,
  type Tensor,
  withData,
  zeros,
} from '../../../src/index.ts';
import { loadData } from '../data.ts';
import type { Network, ProblemName, Targets } from './algorithm.ts';

/** What a run's problem depends on, beside its name and seed. */
export interface ProblemSettings {
  /** Regression: what changes every 10,000 steps, one slow bit or all of them. */
  readonly change: 'one' | 'all';
  /** Permuted: a folder of IDX files; null for the embedded digits. */
  readonly data: string | null;
}

/** Steps that are drawn at once. */
export const CHUNK = 1000;

/** A chunk of steps: one example each. */
export interface Chunk {
  /** Step i of the chunk: x [1, inputs] and its target. */
  readonly x: readonly Tensor[];
  readonly targets: readonly Targets[];
  /** Draws the steps start, ..., start + CHUNK - 1 in the place of those before. */
  fill(start: number): void;
  /** The inputs of a chunk, [CHUNK, inputs]. */
  readonly inputs: Tensor;
}

export interface Problem {
  readonly metric: 'mean squared error' | 'online accuracy';
  network(generator: Generator): Network;
  chunk(): Chunk;
  /** What goes into the metric for step i of a chunk, by the loss and the output before it was learned from. */
  score(loss: number, output: Tensor, targets: Targets): number;
}

export async function openProblem(name: ProblemName, seed: number, settings: ProblemSettings): Promise<Problem> {
  if (name === 'regression') return regression(seed, settings);
  // All of the data once a task, as in Dohare et al. (2024), or the short tasks of Elsayed and Mahmood (2024).
  return name === 'permuted'
    ? permuted(seed, settings, [100, 100, 100], { epochs: 1 })
    : permuted(seed, settings, [300, 150], { steps: 5000 });
}

function regression(seed: number, { change }: ProblemSettings): Problem {
  const stream = slowlyChangingRegression({ seed, change });
  return {
    metric: 'mean squared error',
    network: (generator) => ({
      model: mlp([stream.size, 5, 1], generator),
      lossOf: (output, targets) => mseLoss(output, targets as Tensor),
    }),
    chunk() {
      const [inputs, targets] = [buffer(zeros([CHUNK, stream.size])), buffer(zeros([CHUNK, 1]))];
      const drawn = new Float32Array(CHUNK);
      return {
        ...{ x: rowsOf(inputs), targets: rowsOf(targets), inputs },
        fill(start) {
          withData(inputs, (numbers) => stream.fill(start, numbers, drawn), { write: true });
          withData(targets, (numbers) => numbers.set(drawn), { write: true });
        },
      };
    },
    score: (loss) => loss,
  };
}

async function permuted(
  seed: number,
  { data: folder }: ProblemSettings,
  hidden: readonly number[],
  task: NonNullable<TaskStreamOptions['task']>,
): Promise<Problem> {
  const { train } = await loadData(folder);
  const stream = permutedStream({ inputs: train.pixels, labels: train.labels }, { seed, task });
  return {
    metric: 'online accuracy',
    network: (generator) => ({
      model: mlp([stream.size, ...hidden, stream.classes], generator),
      lossOf: (output, targets) => crossEntropy(output, targets as Int32Array),
    }),
    chunk() {
      const inputs = buffer(zeros([CHUNK, stream.size]));
      const labels = new Int32Array(CHUNK);
      return {
        ...{ x: rowsOf(inputs), targets: Array.from(labels, (_, i) => labels.subarray(i, i + 1)), inputs },
        fill(start) {
          withData(
            inputs,
            (numbers) => {
              stream.fill(start, numbers, labels);
              // Pixels from 0 to 1, as published.
              for (let i = 0; i < numbers.length; i++) numbers[i] = numbers[i]! / 255;
            },
            { write: true },
          );
        },
      };
    },
    score(_, output, targets) {
      const [label] = targets as Int32Array;
      return withData(output, (logits) => (logits.every((logit) => logit <= logits[label!]!) ? 1 : 0));
    },
  };
}

const rowsOf = (x: Tensor): Tensor[] => Array.from({ length: x.shape[0]! }, (_, i) => x.slice([[i, i + 1]]));

/** What stands between linear layers: how it is made, and how many numbers it gives for each unit. */
export interface Between {
  make(): Module;
  readonly numbers: number;
}

/** Linear layers with ReLU between them, or something else: Kaiming's uniform weights, and biases of 0, as published. */
export function mlp(
  widths: readonly number[],
  generator: Generator,
  between: Between = { make: () => new ReLU(), numbers: 1 },
): Sequential {
  const layers = widths.slice(1).map((width, i) => {
    const layer = new Linear(i === 0 ? widths[i]! : between.numbers * widths[i]!, width, { generator });
    const nonlinearity = i === widths.length - 2 ? 'linear' : 'relu';
    noGrad(() => {
      layer.weight.copy_(init.kaimingUniform(layer.weight.shape, { nonlinearity, generator }));
      layer.bias!.zero_();
    });
    return layer;
  });
  return new Sequential(...layers.flatMap((layer, i) => (i === 0 ? [layer] : [between.make(), layer])));
}

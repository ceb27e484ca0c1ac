/**
 * Training one classifier of images and testing it: the loop that every reader of this library will write, and nothing
 * else. Adam, with a learning rate that falls to 0 in half a cosine wave.
 */

import {
  Adam,
  argmax,
  batches,
  CosineAnnealingLR,
  crossEntropy,
  Generator,
  type Module,
  noGrad,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { type DataSet, type LabelledImages, labelsOf, pixelsOf, standardization } from './images.ts';
import { MODELS, type ModelName } from './models.ts';
import type { Progress, Status } from './progress.ts';
import { UserError } from './user-error.ts';

export interface TrainingSettings {
  model: ModelName;
  epochs: number;
  batchSize: number;
  learningRate: number;
  seed: number;
}

/** What came of training one model. */
export interface Run {
  model: ModelName;
  /** Numbers that the model learned. */
  parameters: number;
  epochs: number;
  seed: number;
  /** Share of the held-out images that are classified rightly, 0 to 1. */
  accuracy: number;
  /** Time of training, without drawing or reading the data and without the test. */
  seconds: number;
  /** Training images a second. */
  samplesPerSecond: number;
}

/** Images that are tested together: few enough for the memory, enough for speed. */
const TEST_BATCH = 100;

/** Trains a new model on data.train and tests it on data.test. The same settings give the same bits. */
export function trainAndTest(data: DataSet, settings: TrainingSettings, progress: Progress): Run {
  const { model: name, epochs, seed } = settings;
  const { count, height, width } = data.train;
  const generator = new Generator(seed);
  const model = MODELS[name].build(height, width, generator);
  const scale = standardization(data.train.pixels);
  const seconds = train(model, data.train, scale, settings, generator, progress);
  return {
    model: name,
    parameters: model.parameters().reduce((sum, parameter) => sum + parameter.size, 0),
    epochs,
    seed,
    accuracy: accuracyOn(data.test, model, scale),
    seconds,
    samplesPerSecond: (epochs * count) / seconds,
  };
}

/** Trains in place; returns the seconds it took. */
function train(
  model: Module,
  images: LabelledImages,
  scale: Float32Array,
  { model: name, epochs, batchSize, learningRate }: TrainingSettings,
  generator: Generator,
  progress: Progress,
): number {
  const optimizer = new Adam(model.parameters(), { lr: learningRate });
  const schedule = new CosineAnnealingLR(optimizer, { tMax: epochs * Math.ceil(images.count / batchSize) });
  const epochBatches = batches(images.count, batchSize, { generator });
  const total = epochs * images.count;
  const start = performance.now();
  model.train();
  try {
    for (let epoch = 1, done = 0; epoch <= epochs; epoch++) {
      let seen = 0;
      let lossSum = 0;
      let right = 0;
      const status = (): Status => {
        const seconds = (performance.now() - start) / 1000;
        return { name, epoch, epochs, done, total, loss: lossSum / seen, accuracy: right / seen, seconds };
      };
      for (const rows of epochBatches) {
        const labels = labelsOf(images, rows);
        const logits = model.forward(batchOf(images, rows, scale));
        const loss = crossEntropy(logits, labels);
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        schedule.step();

        const value = loss.item();
        if (!Number.isFinite(value)) {
          throw new UserError(`--lr ${learningRate}: the loss of ${name} is no longer finite, choose a smaller rate.`);
        }
        seen += rows.length;
        done += rows.length;
        lossSum += value * rows.length;
        right += countRight(logits, labels);
        progress.step(status());
      }
      progress.epoch(status());
    }
  } finally {
    progress.stop();
  }
  return (performance.now() - start) / 1000;
}

function accuracyOn(images: LabelledImages, model: Module, scale: Float32Array): number {
  let right = 0;
  model.eval();
  for (const rows of batches(images.count, TEST_BATCH)) {
    const labels = labelsOf(images, rows);
    right += noGrad(() => countRight(model.forward(batchOf(images, rows, scale)), labels));
  }
  return right / images.count;
}

function countRight(logits: Tensor, labels: Int32Array): number {
  const guesses = noGrad(() => argmax(logits, 1)).data;
  return labels.reduce((right, label, i) => right + (guesses[i] === label ? 1 : 0), 0);
}

/** The images of these rows as a tensor [rows, 1, height, width]. */
function batchOf(images: LabelledImages, rows: Int32Array, scale: Float32Array): Tensor {
  return tensor(pixelsOf(images, rows, scale), [rows.length, 1, images.height, images.width]);
}

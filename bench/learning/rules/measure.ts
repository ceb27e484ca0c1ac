/**
 * Training one network by one rule, and what is measured by the way: how well it predicts before and after, what a step
 * costs, and how far its updates point away from those of backpropagation.
 *
 * Runs with the same seed see the same images in the same order (where their batches are equally large), whatever
 * random numbers their rules draw; measuring draws from a generator of its own and moves neither.
 */

import { batches, Generator, tensor } from '../../../src/index.ts';
import { type DataSet, type LabelledImages, labelsOf, pixelsOf, standardization, unitScale } from '../images.ts';
import type { Progress } from '../progress.ts';
import { type Angles, type Batch, measureAngles } from './angles.ts';
import type { Configuration, Trainer } from './configuration.ts';
import { countMultiplyAdds } from './multiply-adds.ts';

/** What came of one rule with one seed: a row of the JSON file. */
export interface Row {
  readonly rule: string;
  readonly layers: readonly number[];
  readonly batch: number;
  readonly epochs: number;
  readonly seed: number;
  /** Share of the held-out images that the trained network classifies rightly, 0 to 1. */
  readonly accuracy: number;
  /** Share of the training images that were classified rightly just before they were learned from, in the last epoch. */
  readonly prequential: number;
  /** After training; null where the rule has none to compare. */
  readonly angles: Angles | null;
  /** Of one training step, for each of its images; the mean over the first steps. */
  readonly multiplyAdds: number;
  /** 1 / the median time of a step. */
  readonly stepsPerSecond: number;
}

/** A row, and the curves that led to it. `samples` counts the images learned from so far, over all epochs. */
export interface Measurement {
  readonly row: Row;
  /** Prequential accuracy over the images since the point before. */
  readonly curve: readonly { readonly samples: number; readonly accuracy: number }[];
  /** Empty where the rule has no angles to compare. */
  readonly angles: readonly { readonly samples: number; readonly angles: Angles }[];
}

export interface MeasureSettings {
  readonly epochs: number;
  readonly seed: number;
  /** What the progress line calls the run. */
  readonly label: string;
}

/** Images that are tested together: few enough for the memory, enough for speed. */
const TEST_BATCH = 100;
/** Points of a learning curve, at most. */
const CURVE_POINTS = 100;
/** How often angles are measured during training, beside once before and once after. */
const ANGLE_POINTS = 20;
/** Batches whose angles are averaged. */
const ANGLE_BATCHES = 4;
/** Steps whose products are counted: a rule need not do the same in every step. */
const COUNTED_STEPS = 16;

/** Trains a new network on data.train and tests it on data.test. The same settings give the same bits, but for the time. */
export function measure(
  { train, test }: DataSet,
  configuration: Configuration,
  { epochs, seed, label }: MeasureSettings,
  progress: Progress,
): Measurement {
  const { name, layers, batch } = configuration;
  const generator = new Generator(seed);
  const order = generator.fork();
  const probes = generator.fork();
  const scale = configuration.pixels === 'unit' ? unitScale() : standardization(train.pixels);
  const trainer = configuration.make(seed, generator);
  const some = [...batches(train.count, batch, { generator: probes })].slice(0, ANGLE_BATCHES);
  const angleBatches = some.map((rows) => batchOf(train, rows, scale));

  const stepsPerEpoch = Math.ceil(train.count / batch);
  const steps = epochs * stepsPerEpoch;
  const curve = new Curve(Math.ceil((epochs * train.count) / CURVE_POINTS));
  const angles: { samples: number; angles: Angles }[] = [];
  const addAngles = (samples: number): Angles | null => {
    const now = measureAngles(trainer, angleBatches);
    if (now !== null) angles.push({ samples, angles: now });
    return now;
  };
  const times: number[] = [];
  let multiplyAdds = 0;
  let counted = 0;
  let prequential = 0;
  let done = 0;
  const anglesEvery = Math.ceil(steps / (ANGLE_POINTS + 1));
  const start = performance.now();
  try {
    addAngles(0);
    for (let epoch = 1; epoch <= epochs; epoch++) {
      let seen = 0;
      let right = 0;
      const status = () => ({
        ...{ name: label, epoch, epochs, done, total: epochs * train.count, loss: null, accuracy: right / seen },
        seconds: (performance.now() - start) / 1000,
      });
      for (const rows of batches(train.count, batch, { generator: order })) {
        const one = batchOf(train, rows, scale);
        const before = performance.now();
        let rightNow: number;
        if (times.length < COUNTED_STEPS) {
          const count = countMultiplyAdds(() => trainer.step(one.images, one.labels));
          rightNow = count.result;
          multiplyAdds += count.multiplyAdds;
          counted += rows.length;
        } else {
          rightNow = trainer.step(one.images, one.labels);
        }
        times.push(performance.now() - before);
        checkCount(name, rightNow, rows.length);
        seen += rows.length;
        done += rows.length;
        right += rightNow;
        curve.add(rightNow, rows.length);
        if (times.length % anglesEvery === 0 && times.length < steps) addAngles(done);
        progress.step(status());
      }
      progress.epoch(status());
      prequential = right / seen;
    }
  } finally {
    progress.stop();
  }
  const row: Row = {
    ...{ rule: name, layers, batch, epochs, seed },
    accuracy: accuracyOn(test, trainer, scale),
    prequential,
    angles: addAngles(done),
    multiplyAdds: multiplyAdds / counted,
    stepsPerSecond: 1000 / median(times),
  };
  return { row, curve: curve.finish(), angles };
}

/** Right answers in windows of so many images (or a few more, as batches are not cut). */
class Curve {
  readonly #window: number;
  readonly #points: { samples: number; accuracy: number }[] = [];
  #samples = 0;
  #seen = 0;
  #right = 0;

  constructor(window: number) {
    this.#window = window;
  }

  add(right: number, seen: number): void {
    this.#right += right;
    this.#seen += seen;
    if (this.#seen >= this.#window) this.#close();
  }

  finish(): readonly { samples: number; accuracy: number }[] {
    if (this.#seen > 0) this.#close();
    return this.#points;
  }

  #close(): void {
    this.#samples += this.#seen;
    this.#points.push({ samples: this.#samples, accuracy: this.#right / this.#seen });
    this.#seen = 0;
    this.#right = 0;
  }
}

/** The images of these rows as a tensor [rows, pixels], with their labels. */
function batchOf(images: LabelledImages, rows: Int32Array, scale: Float32Array): Batch {
  const pixels = tensor(pixelsOf(images, rows, scale), [rows.length, images.height * images.width]);
  return { images: pixels, labels: labelsOf(images, rows) };
}

function accuracyOn(images: LabelledImages, trainer: Trainer, scale: Float32Array): number {
  let right = 0;
  for (const rows of batches(images.count, TEST_BATCH)) {
    const { images: pixels, labels } = batchOf(images, rows, scale);
    const guesses = trainer.predict(pixels);
    right += labels.reduce((sum, label, i) => sum + (guesses[i] === label ? 1 : 0), 0);
  }
  return right / images.count;
}

/** A mistake in a configuration, not of the user. */
function checkCount(rule: string, right: number, size: number): void {
  if (Number.isInteger(right) && right >= 0 && right <= size) return;
  throw new Error(
    `${rule}: a step on ${size} images told ${right} right answers, expected a whole number up to ${size}.`,
  );
}

function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2;
}

/**
 * Removal curves: what a model still does when ever more of its weights are gone, by an order of importance.
 *
 * A good order removes much before anything happens, least important first, and destroys all at once, most important first.
 * Loss alone misleads: between, it climbs above that of guessing. So beside it stand accuracy and the loss capped at
 * guessing, ln(classes).
 */
import { noGrad } from '../autograd/modes.ts';
import { argmax } from '../ops/reduce.ts';
import type { Generator } from '../random/generator.ts';
import { showShape } from '../tensor/layout.ts';
import { numbersOf } from '../tensor/tensor.ts';
import { inUse, type LabelledBatch, lossesOf, type Subject } from './measure.ts';
import { checkThreshold, type Direction, type Ranking } from './ranking.ts';
import { Removal, type Removed, type WeightReplacement } from './removal.ts';

/** How a model does on some examples. */
export interface Performance {
  /** Mean loss. */
  readonly loss: number;
  /** Fraction of right answers, ties going to the first class. */
  readonly accuracy: number;
  readonly examples: number;
  /** Columns of the output. */
  readonly classes: number;
}

/** What is evaluated: a model, held-out data, and how losses are counted; see Subject. */
export type Evaluated = Pick<Subject, 'model' | 'losses'> & { readonly batches: () => Iterable<LabelledBatch> };

/**
 * Mean loss and accuracy of a model in its mode of use.
 *
 *     const batches = () => [{ x: zeros([2, 784]), labels: Int32Array.of(1, 3) }];
 *     performance({ model, batches }).examples; // 2
 */
export function performance(subject: Evaluated): Performance {
  const { model, batches } = subject;
  if (typeof batches !== 'function')
    throw new Error(
      'performance: there are no data. Give batches, a function that gives { x, labels } after { x, labels }.',
    );
  return inUse(model, () => {
    let [loss, right, examples, classes] = [0, 0, 0, 0];
    for (const { x, labels } of batches())
      noGrad(() => {
        if (labels.length === 0) return;
        const output = model.forward(x);
        if (output.ndim !== 2 || output.shape[0] !== labels.length)
          throw new RangeError(
            `performance: for ${labels.length} labels the model gives ${showShape(output.shape)}. Answers are counted in an output of [n, classes].`,
          );
        const losses = numbersOf(lossesOf('performance', subject, output, labels));
        const answers = argmax(output, 1).data;
        for (let i = 0; i < labels.length; i++) {
          loss += losses[i]!;
          if (answers[i] === labels[i]) right++;
        }
        examples += labels.length;
        classes = output.shape[1]!;
      });
    if (examples === 0) throw new Error('performance: there are no data: batches() gave no examples.');
    return { loss: loss / examples, accuracy: right / examples, examples, classes };
  });
}

/** A point of a curve: what was removed, and how the model did without. */
export interface CurvePoint extends Removed {
  readonly loss: number;
  /** The loss, or ln(classes) where it is more (or is NaN): that of guessing. */
  readonly cappedLoss: number;
  readonly accuracy: number;
}

export interface CurveOptions {
  /** Fractions, 0 to 1, in any order; 0, 0.05, ... 1 unless given. */
  readonly thresholds?: readonly number[] | undefined;
  /** Which end of the order goes; 'least' unless given. */
  readonly from?: Direction | undefined;
  /** 'noise' unless given. */
  readonly replacement?: WeightReplacement | undefined;
  /** For noise and new numbers; the default generator unless given. */
  readonly generator?: Generator | undefined;
  /** What else changes when these weights are gone (1 in the masks): the compensation of optimal brain surgeon, say. */
  readonly repair?: Repair | undefined;
}

/** Changes weights that remain, given which are gone; what it wrote to is put back by `restore`. */
export interface Repair {
  apply(gone: ReadonlyMap<string, Uint8Array>): void;
  restore(): void;
}

const everyTwentieth = Array.from({ length: 21 }, (_, i) => i / 20);

/**
 * How the model does at each threshold. Afterwards its weights are what they were, bit for bit, even if an evaluation throws.
 *
 *     const net = new Sequential(new Linear(2, 2, { bias: false }));
 *     const importance = new Map([['0.weight', tensor([[4, 1], [2, 3]])]]);
 *     const batches = () => [{ x: tensor([[1, 0]]), labels: Int32Array.of(0) }];
 *     const points = removalCurve({ model: net, batches }, rank(net, importance), { thresholds: [0, 0.5, 1], replacement: 'zero' });
 *     points.map(({ fraction }) => fraction); // [0, 0.5, 1]
 */
export function removalCurve(subject: Evaluated, ranking: Ranking, options: CurveOptions = {}): CurvePoint[] {
  const { thresholds = everyTwentieth, from = 'least', replacement, generator, repair } = options;
  for (const threshold of thresholds) checkThreshold('removalCurve', threshold);
  const removal = new Removal(ranking, { replacement, generator });
  try {
    return thresholds.map((threshold) => {
      repair?.restore();
      const removed = removal.to(threshold, from);
      repair?.apply(removal.mask(threshold, from));
      const { loss, accuracy, classes } = performance(subject);
      const guessing = Math.log(classes);
      return { ...removed, loss, accuracy, cappedLoss: loss < guessing ? loss : guessing };
    });
  } finally {
    repair?.restore();
    removal.restore();
  }
}

/** What of a point is drawn upwards. */
export type Height = 'loss' | 'cappedLoss' | 'accuracy';

const byFraction = (points: readonly CurvePoint[]): CurvePoint[] => points.toSorted((a, b) => a.fraction - b.fraction);

/**
 * The area under a curve over the fractions that were achieved (not those asked for), by the trapezoid rule.
 *
 *     const point = { threshold: 0, fraction: 0, count: 0, loss: 0, cappedLoss: 0, accuracy: 1 };
 *     areaUnder([point, { ...point, fraction: 1, accuracy: 0.5 }], 'accuracy'); // 0.75
 */
export function areaUnder(points: readonly CurvePoint[], height: Height): number {
  if (points.length < 2)
    throw new RangeError(`areaUnder: a curve has at least 2 points, and this one ${points.length}.`);
  const sorted = byFraction(points);
  let area = 0;
  for (let i = 1; i < sorted.length; i++) {
    const [a, b] = [sorted[i - 1]!, sorted[i]!];
    area += ((b.fraction - a.fraction) * (a[height] + b[height])) / 2;
  }
  return area;
}

/**
 * The largest fraction removed up to which the accuracy never falls below a share of what it is where least is removed; 0.9
 * unless given.
 */
export function bearable(points: readonly CurvePoint[], share = 0.9): number {
  const [first, ...rest] = byFraction(points);
  if (first === undefined) throw new RangeError('bearable: the curve has no points.');
  let largest = first.fraction;
  for (const { fraction, accuracy } of rest) {
    if (accuracy < share * first.accuracy) break;
    largest = fraction;
  }
  return largest;
}

/** The mean of several curves at a threshold, and its standard error. */
export interface MeanPoint {
  readonly threshold: number;
  /** Mean of the fractions that were achieved. */
  readonly fraction: number;
  readonly mean: number;
  /** Sample standard deviation / sqrt(number of curves); null for one curve. */
  readonly standardError: number | null;
}

/** Means of curves over the same thresholds (of several trials), with standard errors: s / sqrt(N), not s / N. */
export function meanCurve(curves: readonly (readonly CurvePoint[])[], height: Height): MeanPoint[] {
  const [first] = curves;
  if (first === undefined) throw new RangeError('meanCurve: there are no curves.');
  for (const curve of curves)
    if (curve.length !== first.length || curve.some(({ threshold }, i) => threshold !== first[i]!.threshold))
      throw new RangeError(
        'meanCurve: the curves differ in their thresholds. Give curves over the same ones, in the same order.',
      );
  const n = curves.length;
  return first.map(({ threshold }, i) => {
    const heights = curves.map((curve) => curve[i]![height]);
    const mean = heights.reduce((sum, x) => sum + x, 0) / n;
    const squares = heights.reduce((sum, x) => sum + (x - mean) ** 2, 0);
    return {
      threshold,
      fraction: curves.reduce((sum, curve) => sum + curve[i]!.fraction, 0) / n,
      mean,
      standardError: n === 1 ? null : Math.sqrt(squares / (n - 1) / n),
    };
  });
}

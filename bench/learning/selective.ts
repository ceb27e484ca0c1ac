/**
 * Selective backpropagation on two tasks in a row, beside plain backpropagation and an anchor by importance (EWC).
 *
 * Each method that has a strength chooses it on one trial seed, by the mean accuracy on both tasks at the end; the seeds that
 * are reported had no part in the choice. Accuracies are shares of the test images.
 *
 *     npx tsx bench/learning/selective.ts docs/results/selective.json
 */

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  argmax,
  batches,
  crossEntropy,
  Generator,
  Linear,
  type Module,
  noGrad,
  ReLU,
  Sequential,
} from '../../src/index.ts';
import { type Learner, METHODS, type Method } from './selective-methods.ts';
import { batchOf, type Examples, PAIRS, type Task } from './selective-tasks.ts';

const HIDDEN = 100;
const EPOCHS = 5;
const BATCH = 32;
const TRIAL_SEED = 100;
const SEEDS = [1, 2, 3, 4, 5];

type PairName = keyof typeof PAIRS;

/** Accuracies of one run. */
export interface Outcome {
  aAfterA: number;
  aAfterB: number;
  bAfterB: number;
}

/** One run: task A, then task B. */
export function runTwoTasks(pair: PairName, method: Method, strength: number, seed: number, epochs = EPOCHS): Outcome {
  const [a, b] = PAIRS[pair](seed);
  const generator = new Generator(seed);
  const model = new Sequential(
    new Linear(a.train.rows[0]!.length, HIDDEN, { generator }),
    new ReLU(),
    new Linear(HIDDEN, pair === 'split' ? 5 : 10, { generator }),
  );
  const learner = method.learner(model, strength);
  train(model, learner, a, epochs, generator);
  const aAfterA = accuracy(model, a.test);
  learner.between(a.train, generator);
  train(model, learner, b, epochs, generator);
  return { aAfterA, aAfterB: accuracy(model, a.test), bAfterB: accuracy(model, b.test) };
}

function train(model: Module, learner: Learner, { train: examples }: Task, epochs: number, generator: Generator): void {
  for (let epoch = 0; epoch < epochs; epoch++)
    for (const places of batches(examples.rows.length, BATCH, { generator })) {
      const [images, labels] = batchOf(examples, places);
      const logits = model.forward(images);
      const loss = crossEntropy(logits, labels);
      model.zeroGrad();
      loss.backward();
      const guesses = argmax(logits, 1).data;
      const correct = labels.reduce((right, label, i) => right + (guesses[i] === label ? 1 : 0), 0);
      learner.step(correct, labels.length);
    }
}

function accuracy(model: Module, examples: Examples): number {
  const all = Int32Array.from({ length: examples.rows.length }, (_, i) => i);
  const [images, labels] = batchOf(examples, all);
  const guesses = noGrad(() => argmax(model.forward(images), 1)).data;
  return labels.reduce((right, label, i) => right + (guesses[i] === label ? 1 : 0), 0) / labels.length;
}

const both = ({ aAfterB, bAfterB }: Outcome): number => (aAfterB + bAfterB) / 2;

interface Summary {
  mean: number;
  /** Standard deviation over seeds, of a sample. */
  spread: number;
}

function summary(values: readonly number[]): Summary {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, spread: Math.sqrt(square) };
}

export interface MethodResult {
  method: string;
  strength: number | null;
  /** Mean of both accuracies on the trial seed, by strength. */
  trials: { strength: number; both: number }[];
  aAfterA: Summary;
  aAfterB: Summary;
  bAfterB: Summary;
  runs: (Outcome & { seed: number })[];
}

function evaluate(pair: PairName, method: Method): MethodResult {
  const trials = (method.strengths ?? []).map((strength) => ({
    strength,
    both: both(runTwoTasks(pair, method, strength, TRIAL_SEED)),
  }));
  const best = trials.reduce<{ strength: number; both: number } | null>(
    (most, trial) => (most === null || trial.both > most.both ? trial : most),
    null,
  );
  const runs = SEEDS.map((seed) => ({ seed, ...runTwoTasks(pair, method, best?.strength ?? 0, seed) }));
  const over = (pick: (outcome: Outcome) => number): Summary => summary(runs.map(pick));
  return {
    method: method.name,
    strength: best?.strength ?? null,
    trials,
    aAfterA: over((run) => run.aAfterA),
    aAfterB: over((run) => run.aAfterB),
    bAfterB: over((run) => run.bAfterB),
    runs,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const started = process.cpuUsage();
  const show = ({ mean, spread }: Summary): string => `${(100 * mean).toFixed(1)} ± ${(100 * spread).toFixed(1)}`;
  const results = (['permuted', 'split'] as const).map((pair) => ({
    tasks: pair,
    methods: METHODS.map((method) => {
      const result = evaluate(pair, method);
      const { strength, aAfterA, aAfterB, bAfterB } = result;
      const name = `${pair.padEnd(9)} ${method.name.padEnd(42)} ${String(strength ?? '').padEnd(7)}`;
      console.log(`${name} A ${show(aAfterA)}  then A ${show(aAfterB)}  B ${show(bAfterB)}`);
      return result;
    }),
  }));
  const settings = { hidden: HIDDEN, epochs: EPOCHS, batch: BATCH, seeds: SEEDS, trialSeed: TRIAL_SEED };
  const cpuSeconds = Math.round(process.cpuUsage(started).user / 1e6);
  const result = {
    experiment: 'selective',
    settings,
    node: process.version,
    cpuSeconds,
    results,
  };
  const [, , path] = process.argv;
  if (path !== undefined) writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`${cpuSeconds} s of one core`);
}

/**
 * Claim 7: as every step adjusts all paths, learning something new destroys what was known.
 *
 * Digits 0 to 4 (task A), then 5 to 9 (task B), on the same five outputs (a network that is not told which task it sees), or on
 * five outputs each (one that is told, and shares all but its last layer). Each method learns A until it knows it, then B only
 * until it is as good on B as all the others, whatever that takes; then A is asked again. A method that never gets there has no
 * figure. Methods that protect have a strength, chosen on trial seeds that are not reported.
 */

import {
  attachRules,
  backward,
  batches,
  crossEntropy,
  Generator,
  Linear,
  Module,
  noGrad,
  oneHot,
  ReLU,
  Sequential,
  SGD,
  type Tensor,
  target,
} from '../../../src/index.ts';
import { prospectiveConfiguration } from '../../../src/rules/predictive/rule.ts';
import { oneHotTarget, targetFromLoss } from '../../../src/rules/target/outputs.ts';
import { targetPropagation } from '../../../src/rules/target/propagation.ts';
import { anchor } from '../../../src/state/anchor.ts';
import { plasticity } from '../../../src/state/gate.ts';
import { diagonalFisher } from '../selective-methods.ts';
import { batchOf, type Examples } from '../selective-tasks.ts';
import { accuracy, fiveClasses, pictures, whole } from './pictures.ts';
import { type Estimate, estimate } from './statistics.ts';

const BATCH = 16;
/** Steps between two looks at the test pictures. */
const LOOK = 4;
const TRIAL_SEEDS = [100, 101, 102];

/** Adds to the gradients or targets of the parameters what this batch says; and steps. */
type Step = (images: Tensor, labels: Int32Array) => void;

export const OUTPUTS = ['shared', 'own'] as const;
export type Outputs = (typeof OUTPUTS)[number];

/** One hidden layer, and a last layer for both tasks or for each. */
class Network extends Module {
  readonly first: Linear;
  readonly last: readonly Linear[];
  task = 0;

  constructor(inputs: number, hidden: number, outputs: Outputs, generator: Generator) {
    super();
    this.first = new Linear(inputs, hidden, { generator });
    this.last = Array.from({ length: outputs === 'shared' ? 1 : 2 }, () => new Linear(hidden, 5, { generator }));
  }

  /** What the task of now goes through. */
  get path(): Sequential {
    return new Sequential(this.first, new ReLU(), this.last[this.task] ?? this.last[0]!);
  }

  override forward(images: Tensor): Tensor {
    return this.path.forward(images);
  }
}

interface Method {
  /** Strengths to choose from; [0]: there is nothing to choose. */
  readonly strengths: readonly number[];
  readonly prepare: (model: Network) => Step;
  /** When A is known. What it gives takes the protection off again. */
  readonly protect?: (model: Network, known: Examples, strength: number, generator: Generator) => (() => void)[];
}

const byBackpropagation = (model: Network): Step => {
  const optimizer = new SGD(model.parameters(), { lr: 0.1 });
  return (images, labels) => {
    const loss = crossEntropy(model.forward(images), labels);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
  };
};

const FISHER_SAMPLES = 100;

export const METHODS = {
  backpropagation: { strengths: [0], prepare: byBackpropagation },
  /** Elastic weight consolidation; the strength is its lambda. */
  anchored: {
    strengths: [1, 10, 100, 1000],
    prepare: byBackpropagation,
    protect(model, known, lambda, generator) {
      const fisher = diagonalFisher(model.path, known, FISHER_SAMPLES, generator);
      return model.path.parameters().map((parameter) => {
        const precision = noGrad(() => fisher.get(parameter)!.mul(lambda));
        return anchor(parameter, { precision }).remove;
      });
    },
  },
  /** Weights move by eps / (F + eps) of what they would, eps the strength times the mean importance of their layer. */
  gated: {
    strengths: [1, 0.1, 0.01, 0.001],
    prepare: byBackpropagation,
    protect(model, known, share, generator) {
      const fisher = diagonalFisher(model.path, known, FISHER_SAMPLES, generator);
      return model.path.parameters().map((parameter) => {
        const importance = fisher.get(parameter)!;
        const eps = share * noGrad(() => importance.mean()).item() + 1e-12;
        return plasticity(
          parameter,
          noGrad(() => importance.add(eps).reciprocal().mul(eps)),
        );
      });
    },
  },
  /** With targets a gradient step away, and samples that count by the size of their input: the steadiest form here. */
  'target propagation': {
    strengths: [0],
    prepare(model) {
      // Minimum-norm steps never shrink what was there, so they begin small.
      noGrad(() => {
        for (const parameter of model.parameters()) parameter.mul_(0.1);
      });
      attachRules(model, targetPropagation({ signal: 'ridge', weighting: 'natural' }));
      const optimizer = new SGD(model.parameters(), { lr: Infinity });
      return (images, labels) => {
        const logits = model.forward(images);
        optimizer.zeroGrad();
        backward(targetFromLoss(logits, crossEntropy(logits, labels), { gamma: 5 }));
        optimizer.step();
      };
    },
  },
  /** Targets of 1 and 0 where they are not exceeded, samples that count alike. */
  'target propagation, as published': {
    strengths: [0],
    prepare(model) {
      noGrad(() => {
        for (const parameter of model.parameters()) parameter.mul_(0.1);
      });
      attachRules(model, targetPropagation());
      const optimizer = new SGD(model.parameters(), { lr: Infinity });
      return (images, labels) => {
        optimizer.zeroGrad();
        backward(oneHotTarget(model.forward(images), labels));
        optimizer.step();
      };
    },
  },
  /** Prospective configuration: values relax with the outputs held at the answer, then weights learn. */
  'predictive coding': {
    strengths: [0],
    prepare(model) {
      attachRules(model, prospectiveConfiguration({ maxSteps: 30, tolerance: 1e-2 }));
      const optimizer = new SGD(model.parameters(), { lr: 0.3 / BATCH });
      return (images, labels) => {
        optimizer.zeroGrad();
        backward(target(model.forward(images), oneHot(labels, 5), { precision: Infinity }));
        optimizer.step();
      };
    },
  },
  /** What predictive coding is to be compared with: the same loss, the same rate. */
  'backpropagation, squares': {
    strengths: [0],
    prepare(model) {
      const optimizer = new SGD(model.parameters(), { lr: 0.3 / BATCH });
      return (images, labels) => {
        optimizer.zeroGrad();
        backward(target(model.forward(images), oneHot(labels, 5), { precision: 1 }));
        optimizer.step();
      };
    },
  },
} as const satisfies Record<string, Method>;
export type MethodName = keyof typeof METHODS;

export interface ForgettingRun {
  /** Accuracies on the test pictures. */
  readonly aAfterA: number;
  readonly aAfterB: number;
  readonly bAfterB: number;
  readonly stepsA: number;
  readonly stepsB: number;
  /** Whether both tasks got known in the steps that there were. */
  readonly matched: boolean;
}

export interface ForgettingRow {
  readonly outputs: Outputs;
  readonly method: MethodName;
  readonly strength: number;
  readonly known: number;
  /** A after B, mean over the trial seeds, by strength; null: B was not learned with all of them. */
  readonly trials: readonly { readonly strength: number; readonly aAfterB: number | null }[];
  readonly aAfterA: Estimate;
  readonly aAfterB: Estimate;
  readonly bAfterB: Estimate;
  readonly stepsB: Estimate;
  readonly matched: number;
  /** A after B beyond backpropagation's, seed by seed; null for itself. */
  readonly beyond: Estimate | null;
}

export interface ForgettingOptions {
  readonly outputs?: readonly Outputs[];
  readonly methods?: readonly MethodName[];
  readonly count?: number;
  readonly side?: number;
  readonly hidden?: number;
  /** Accuracy on the test pictures of a task at which it counts as known. */
  readonly known?: number;
  readonly mostSteps?: number;
  readonly seeds?: readonly number[];
  /** Strengths that are known, so that they need no trials. */
  readonly strengths?: Readonly<Partial<Record<MethodName, number>>>;
}

export function forgetting({ outputs = OUTPUTS, ...options }: ForgettingOptions = {}): ForgettingRow[] {
  return outputs.flatMap((kind) => ofOutputs(kind, options));
}

function ofOutputs(
  outputs: Outputs,
  {
    methods = Object.keys(METHODS) as MethodName[],
    count = 2000,
    side = 14,
    hidden = 64,
    known = 0.9,
    mostSteps = 1000,
    seeds = [1, 2, 3, 4, 5],
    strengths = {},
  }: ForgettingOptions,
): ForgettingRow[] {
  const [train, test] = [pictures(count, 1, side), pictures(count, 2, side)];
  const tasks = [0, 5].map((first) => ({ train: fiveClasses(train, first), test: whole(fiveClasses(test, first)) }));
  const limits = { known, mostSteps };
  const run = (method: Method, strength: number, seed: number): ForgettingRun => {
    const generator = new Generator(seed);
    const model = new Network(side * side, hidden, outputs, generator);
    const step = method.prepare(model);
    const [a, b] = tasks as [Task, Task];
    const stepsA = learn(model, step, a, limits, generator);
    const aAfterA = scoreOf(model, a);
    const removals = method.protect?.(model, a.train, strength, generator) ?? [];
    model.task = 1;
    const stepsB = learn(model, step, b, limits, generator);
    for (const remove of removals) remove();
    const bAfterB = scoreOf(model, b);
    model.task = 0;
    const aAfterB = scoreOf(model, a);
    return { aAfterA, aAfterB, bAfterB, stepsA, stepsB, matched: aAfterA >= known && bAfterB >= known };
  };
  const rows: ForgettingRow[] = [];
  for (const name of methods) {
    const method: Method = METHODS[name];
    const candidates = strengths[name] === undefined ? method.strengths : [strengths[name]];
    const trials =
      candidates.length === 1
        ? []
        : candidates.map((strength) => {
            const tried = TRIAL_SEEDS.map((seed) => run(method, strength, seed));
            const mean = tried.reduce((sum, { aAfterB }) => sum + aAfterB, 0) / tried.length;
            return { strength, aAfterB: tried.every(({ matched }) => matched) ? mean : null };
          });
    const best = trials.reduce((a, b) => ((b.aAfterB ?? -1) > (a.aAfterB ?? -1) ? b : a), {
      strength: candidates[0]!,
      aAfterB: null,
    } as (typeof trials)[number]);
    const runs = seeds.map((seed) => run(method, best.strength, seed));
    const over = (pick: (one: ForgettingRun) => number): Estimate => estimate(runs.map(pick));
    const aAfterB = over((one) => one.aAfterB);
    const reference = rows.find((row) => row.method === 'backpropagation');
    rows.push({
      outputs,
      method: name,
      strength: best.strength,
      known,
      trials,
      aAfterA: over((one) => one.aAfterA),
      aAfterB,
      bAfterB: over((one) => one.bAfterB),
      stepsB: over((one) => one.stepsB),
      matched: runs.filter(({ matched }) => matched).length,
      beyond: reference ? estimate(aAfterB.values.map((value, i) => value - reference.aAfterB.values[i]!)) : null,
    });
  }
  return rows;
}

interface Task {
  readonly train: Examples;
  readonly test: ReturnType<typeof whole>;
}

const scoreOf = (model: Network, { test }: Task): number => accuracy(model, test.images, test.labels);

/** Learns until the task is known, at most so many steps; gives the steps that it took. */
function learn(
  model: Network,
  step: Step,
  task: Task,
  { known, mostSteps }: { known: number; mostSteps: number },
  generator: Generator,
): number {
  for (let steps = 0; ; )
    for (const places of batches(task.train.rows.length, BATCH, { generator, dropLast: true })) {
      if (steps % LOOK === 0 && scoreOf(model, task) >= known) return steps;
      if (steps++ === mostSteps) return mostSteps;
      const [images, labels] = batchOf(task.train, places);
      step(images, labels);
    }
}

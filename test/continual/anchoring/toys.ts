/** Small problems and parameters for the tests of anchoring methods. */

import { type ContinualLearner, headLoss } from '../../../src/continual/learner.ts';
import type { Method, Step } from '../../../src/continual/method.ts';
import type { Context, Examples, Head, ScenarioKind } from '../../../src/data/scenarios.ts';
import {
  Generator,
  Linear,
  Module,
  mul,
  noGrad,
  parameter,
  ReLU,
  Sequential,
  type Tensor,
  tensor,
} from '../../../src/index.ts';

export const read = (x: Tensor): number[] => [...x.toFloat32Array()];

/** Rows of numbers as examples. */
export function examplesFrom(rows: readonly (readonly number[])[], labels: readonly number[]): Examples {
  const width = rows[0]?.length ?? 0;
  return {
    labels: Int32Array.from(labels),
    inputs: (chosen) =>
      tensor(Float32Array.from(Array.from(chosen).flatMap((row) => [...rows[row]!])), [chosen.length, width]),
  };
}

export function contextFrom(
  index: number,
  rows: readonly (readonly number[])[],
  labels: readonly number[],
  head: Head = [0, 2],
  kind: ScenarioKind = 'domain',
): Context {
  const examples = examplesFrom(rows, labels);
  return { index, kind, train: examples, test: examples, head };
}

/** Two blobs; which coordinate tells them apart is the context's affair. Labels count from the head's first column. */
export function blobs(index: number, seed: number, head: Head = [0, 2], count = 40): Context {
  const generator = new Generator(seed);
  const labels = Array.from({ length: count }, (_, i) => head[0] + (i % 2));
  const rows = labels.map((label) => {
    const side = label - head[0] === 0 ? -1 : 1;
    const row = Array.from({ length: 4 }, () => 0.4 * generator.normal());
    row[2 * (index % 2)]! += side;
    row[2 * (index % 2) + 1]! += 1;
    return row;
  });
  return contextFrom(index, rows, labels, head);
}

export function network(seed: number, outputs = 2): Sequential {
  const generator = new Generator(seed);
  return new Sequential(new Linear(4, 16, { generator }), new ReLU(), new Linear(16, outputs, { generator }));
}

/** Full batches, so many steps. */
export function learn(learner: ContinualLearner, context: Context, steps: number): void {
  const { train, head, index } = context;
  const x = train.inputs(train.labels.map((_, i) => i));
  for (let i = 0; i < steps; i++) learner.learn({ x, labels: train.labels, head, context: index });
}

export function learnAll(learner: ContinualLearner, contexts: readonly Context[], steps: number): void {
  for (const context of contexts) {
    learner.begin(context);
    learn(learner, context, steps);
    learner.end();
  }
}

export function accuracy(learner: ContinualLearner, { test, head, index }: Context): number {
  const said = learner.predict(test.inputs(test.labels.map((_, i) => i)), head, index);
  return said.filter((label, i) => label === test.labels[i]).length / said.length;
}

/** A model that is one parameter: what methods see of it can be worked out by hand. */
class Bare extends Module {
  readonly w: Tensor;

  constructor(values: readonly number[]) {
    super();
    this.w = parameter(tensor(values));
  }

  override forward(x: Tensor): Tensor {
    return mul(x, this.w);
  }
}

export interface Bench {
  readonly w: Tensor;
  /** One step: the loss is sum g w, so that g is the gradient. `move` changes the weights as an optimizer would. */
  step(g: readonly number[], move: () => void): number[];
  begin(): void;
  end(): void;
}

/** Calls the hooks of one method around steps with given gradients. Gives the gradient that the optimizer would see. */
export function bench(method: Method, values: readonly number[]): Bench {
  const model = new Bare(values);
  const { w } = model;
  const learning = {
    model,
    output: (x: Tensor) => model.forward(x),
    lossOf: headLoss,
    parameters: new Map([['w', w]]),
  };
  let index = 0;
  const context = contextFrom(0, [values.map(() => 1)], [0]);
  return {
    w,
    begin: () => method.begin?.(context, learning),
    end: () => method.end?.(context, learning),
    step(g, move) {
      const own = mul(w, tensor([...g])).sum();
      const step = { index: index++, learning, own } as unknown as Step;
      w.grad = null;
      (method.loss?.(own, step) ?? own).backward();
      method.gradients?.(step);
      const seen = read(w.grad as unknown as Tensor);
      noGrad(move);
      method.stepped?.(step);
      return seen;
    },
  };
}

export const setTo = (w: Tensor, values: readonly number[]) => (): void => {
  w.copy_(tensor([...values]));
};

export const closeTo = (found: readonly number[], expected: readonly number[], relative = 1e-5): void => {
  if (found.length !== expected.length) throw new Error(`${found.length} numbers, expected ${expected.length}.`);
  found.forEach((x, i) => {
    const allowed = relative * Math.max(1, Math.abs(expected[i]!));
    if (!(Math.abs(x - expected[i]!) <= allowed)) throw new Error(`entry ${i}: ${x}, expected ${expected[i]}.`);
  });
};

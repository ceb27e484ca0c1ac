/** Two small contexts, of which plain training forgets the first; and steps by hand. */
import '../../../src/autograd/leaf.ts';
import '../../../src/ops/methods.ts';
import { ContinualLearner, headLoss } from '../../../src/continual/learner.ts';
import type { Batch, Learning, Method, Step } from '../../../src/continual/method.ts';
import type { Context, Examples, Head, ScenarioKind } from '../../../src/data/scenarios.ts';
import { ReLU } from '../../../src/nn/activation.ts';
import { Sequential } from '../../../src/nn/container.ts';
import { Linear } from '../../../src/nn/linear.ts';
import { Adam } from '../../../src/optim/adam.ts';
import { Generator } from '../../../src/random/generator.ts';
import { tensor } from '../../../src/tensor/create.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';

export const read = (x: Tensor | null): number[] => (x === null ? [] : [...x.toFloat32Array()]);

/** Examples whose inputs are these rows. */
export function examples(rows: readonly (readonly number[])[], labels: readonly number[]): Examples {
  return {
    labels: Int32Array.from(labels),
    inputs: (which) =>
      tensor(
        Array.from(which).flatMap((row) => [...rows[row]!]),
        [which.length, rows[0]!.length],
      ),
  };
}

export function context(index: number, data: Examples, head: Head = [0, 2], kind: ScenarioKind = 'domain'): Context {
  return { index, kind, train: data, test: data, head };
}

/**
 * Two contexts of 200 examples and four inputs, two classes each. domain, class: the first input says which context it is, and the
 * second which class, the other way round in the second context. task: the same kind of inputs, of which the first two decide in one
 * context, the last two in the other.
 */
export function twoContexts(kind: ScenarioKind): Context[] {
  const generator = new Generator(11);
  return [0, 1].map((index) => {
    const inputs = Array.from({ length: 200 }, () => {
      const row = Array.from({ length: 4 }, () => generator.normal());
      if (kind !== 'task') row[0]! += index === 0 ? 2 : -2;
      return row;
    });
    const isSecond = (row: readonly number[]): boolean =>
      kind === 'task' ? row[2 * index]! * row[2 * index + 1]! > 0 : row[1]! > 0 === (index === 0);
    const first = kind === 'domain' ? 0 : 2 * index;
    const labels = inputs.map((row) => first + (isSecond(row) ? 1 : 0));
    const head: Head = kind === 'task' ? [first, first + 2] : [0, kind === 'domain' ? 2 : 4];
    return context(index, examples(inputs, labels), head, kind);
  });
}

export function network(outputs: number, hidden = 16, inputs = 4): Sequential {
  const generator = new Generator(5);
  return new Sequential(
    new Linear(inputs, hidden, { generator }),
    new ReLU(),
    new Linear(hidden, outputs, { generator }),
  );
}

export const rowsOf = (count: number, size: number, generator: Generator): number[] =>
  Array.from({ length: size }, () => generator.integer(count));

export function batchOf({ index, train, head }: Context, rows: readonly number[]): Batch {
  const labels = Int32Array.from(rows, (row) => train.labels[row]!);
  return { x: train.inputs(rows), labels, head, context: index };
}

/** Accuracy on each context after both were learned, one after the other. */
export function accuracies(kind: ScenarioKind, methods: readonly Method[]): [first: number, second: number] {
  const contexts = twoContexts(kind);
  const model = network(kind === 'domain' ? 2 : 4);
  const learner = new ContinualLearner({
    model,
    optimizer: new Adam(model.parameters(), { lr: kind === 'task' ? 0.03 : 0.01 }),
    methods,
  });
  const generator = new Generator(3);
  for (const one of contexts) {
    learner.begin(one);
    for (let i = 0; i < 300; i++) learner.learn(batchOf(one, rowsOf(200, 32, generator)));
    learner.end();
  }
  const accuracyOn = ({ index, test, head }: Context): number => {
    const said = learner.predict(test.inputs(Array.from(test.labels.keys())), head, index);
    return said.filter((answer, row) => answer === test.labels[row]).length / said.length;
  };
  return [accuracyOn(contexts[0]!), accuracyOn(contexts[1]!)];
}

export function learningOf(model: Sequential): Learning {
  const parameters = new Map(model.namedParameters());
  return { model, parameters, lossOf: headLoss, output: (x) => model.forward(x) };
}

/** A step up to where a hook is called. */
export function stepOf(learning: Learning, batch: Batch): Step {
  const output = learning.output(batch.x);
  return { batch, learning, output, own: learning.lossOf(output, batch.labels, batch.head), index: 0 };
}

/** Mean cross-entropy of rows of logits among the columns of a head, in double precision. */
export function surprise(logits: readonly (readonly number[])[], labels: ArrayLike<number>, [from, to]: Head): number {
  const losses = logits.map((row, i) => {
    const all = row.slice(from, to).reduce((sum, z) => sum + Math.exp(z), 0);
    return Math.log(all) - row[labels[i]!]!;
  });
  return losses.reduce((sum, one) => sum + one, 0) / losses.length;
}

/** The output of a model for some inputs, as rows. */
export const outputsOf = (model: Sequential, x: Tensor): number[][] => model.forward(x).toArray() as number[][];

/**
 * A measure of importance: a number for each weight of a model; larger is more important, so what is least goes first.
 *
 * All measures have one form, whether they look at the weights alone, at data, or at what training left behind. They read the
 * model in its mode of use (dropout passes everything on), change no weight, no `.grad` and no mode, and give numbers that
 * are copies. A measure that says nothing of some parameters (of biases, say) leaves them out. None gives NaN: that is an
 * error.
 */
import { scope, withRecording } from '../autograd/modes.ts';
import { found, start } from '../autograd/transforms.ts';
import type { Module } from '../nn/module.ts';
import { crossEntropy } from '../ops/loss.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { tensor } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { checkTensor, kindOf, numbersOf, type Tensor } from '../tensor/tensor.ts';
import type { WeightMovement } from './movement.ts';
import type { PathIntegral, RiemannianWalk } from './trackers.ts';

/** Examples with the class of each. */
export interface LabelledBatch {
  /** [n, ...] */
  readonly x: Tensor;
  /** n classes. */
  readonly labels: Int32Array;
}

/** What importance is asked of. */
export interface Subject {
  readonly model: Module;
  /** The data, from the start each time it is called. */
  readonly batches?: (() => Iterable<LabelledBatch>) | undefined;
  /** The loss of each example, [n], from the model's output; cross-entropy of logits [n, classes] unless given. */
  readonly losses?: ((output: Tensor, labels: Int32Array) => Tensor) | undefined;
  /** For measures that draw; the default generator unless given. */
  readonly generator?: Generator | undefined;
  /** What watched the training, for the measures that need it. */
  readonly movement?: WeightMovement | undefined;
  readonly path?: PathIntegral | undefined;
  readonly walk?: RiemannianWalk | undefined;
}

/** Importance by the name of the parameter (`model.namedParameters()`), of its shape. */
export type Importance = ReadonlyMap<string, Tensor>;

/** With which others a weight is compared: those of its unit (a row of the kernel), of its layer, or all. */
export type Comparison = 'row' | 'layer' | 'model';

export interface Measure {
  /** As in `measures`. */
  readonly name: string;
  /** What it says of a weight w, in one line. */
  readonly about: string;
  /** Where it is from; null: folklore. */
  readonly paper: string | null;
  readonly needs: 'nothing' | 'data' | 'training';
  /** How those who proposed it compare weights. */
  readonly compared: Comparison;
  measure(subject: Subject): Importance;
}

/**
 * A measure whose `measure` gives numbers by name; what it gives is checked here, and so is that there are data if it needs
 * them.
 */
export function defineMeasure(
  definition: Omit<Measure, 'measure'> & {
    readonly measure: (subject: Subject, who: string) => ReadonlyMap<string, ArrayLike<number>>;
  },
): Measure {
  const who = definition.name;
  return {
    ...definition,
    measure(subject) {
      const parameters = parametersOf(who, subject.model);
      if (definition.needs === 'data') checkData(who, subject);
      const found = new Map<string, Tensor>();
      for (const [name, values] of definition.measure(subject, who)) {
        const parameter = parameters.get(name);
        if (parameter === undefined)
          throw new Error(
            `${who}: the model has no parameter named ${name}; it has ${[...parameters.keys()].join(', ')}.`,
          );
        for (let i = 0; i < values.length; i++)
          if (Number.isNaN(values[i]))
            throw new Error(
              `${who}: the importance of element ${i} of ${name} is NaN. Do the weights and the losses of the data hold finite numbers?`,
            );
        found.set(name, tensor(values, parameter.shape));
      }
      return found;
    },
  };
}

/** The parameters by name; a model without any is an error. */
export function parametersOf(who: string, model: Module): ReadonlyMap<string, Tensor> {
  if (typeof model?.namedParameters !== 'function')
    throw new TypeError(`${who}: the model must be a Module, not ${kindOf(model)}.`);
  const parameters = new Map(model.namedParameters());
  if (parameters.size === 0) throw new Error(`${who}: the model has no parameters, so there is nothing to measure.`);
  return parameters;
}

/** Numbers for each weight, from its value. */
export function forEachWeight(
  who: string,
  { model }: Subject,
  importance: (weights: Float32Array | Float64Array, name: string, parameter: Tensor) => ArrayLike<number>,
): Map<string, ArrayLike<number>> {
  const found = new Map<string, ArrayLike<number>>();
  for (const [name, parameter] of parametersOf(who, model))
    found.set(name, importance(numbersOf(parameter), name, parameter));
  return found;
}

function checkData(who: string, { batches }: Subject): void {
  if (typeof batches !== 'function')
    throw new Error(
      `${who}: there are no data. Give the subject batches, a function that gives { x, labels } after { x, labels }.`,
    );
}

/**
 * Calls `visit` with each batch, in the model's mode of use and with recording on. What a visit computes is given back when
 * it ends.
 *
 * @returns the number of examples
 */
export function overBatches(
  who: string,
  subject: Subject,
  visit: (batch: LabelledBatch, count: number) => void,
): number {
  checkData(who, subject);
  return inUse(subject.model, () => {
    let examples = 0;
    for (const batch of subject.batches!()) {
      checkTensor(`${who}: x of a batch`, batch?.x);
      const count = batch.x.shape[0] ?? 0;
      if (!(batch.labels instanceof Int32Array) || batch.labels.length !== count)
        throw new RangeError(
          `${who}: a batch has x of shape ${showShape(batch.x.shape)} and ${batch.labels?.length ?? 'no'} labels. Give an Int32Array ` +
            'with one label for each example.',
        );
      if (count === 0) continue;
      withRecording(true, () => scope(() => visit(batch, count)));
      examples += count;
    }
    if (examples === 0) throw new Error(`${who}: there are no data: batches() gave no examples.`);
    return examples;
  });
}

/** Runs `body` with the model in its mode of use, and puts every layer back into the mode it was in. */
export function inUse<Result>(model: Module, body: () => Result): Result {
  const modes = model.namedModules().map(([, module]) => ({ module, training: module.training }));
  model.eval();
  try {
    return body();
  } finally {
    for (const { module, training } of modes) module.training = training;
  }
}

/** The loss of each example of a batch, [n]. */
export function lossesOf(who: string, subject: Subject, output: Tensor, labels: Int32Array): Tensor {
  const losses =
    subject.losses === undefined ? crossEntropy(output, labels, { reduction: 'none' }) : subject.losses(output, labels);
  checkTensor(`${who}: losses`, losses);
  if (!sameShape(losses.shape, [labels.length]))
    throw new RangeError(
      `${who}: the losses of a batch of ${labels.length} have shape ${showShape(losses.shape)}. Give one number for each example, ` +
        `[${labels.length}].`,
    );
  return losses;
}

/** The losses of a batch by the model as it is. */
export const forwardLosses = (who: string, subject: Subject, { x, labels }: LabelledBatch): Tensor =>
  lossesOf(who, subject, subject.model.forward(x), labels);

/** Sums over batches by parameter, in double precision. */
export class Sums {
  readonly byName: ReadonlyMap<string, Float64Array>;

  constructor(parameters: ReadonlyMap<string, Tensor>) {
    this.byName = new Map(Array.from(parameters, ([name, { size }]) => [name, new Float64Array(size)]));
  }

  /** Adds tensors in the order of the parameters; null adds nothing. */
  add(terms: readonly (Tensor | null)[], factor = 1): void {
    let next = 0;
    for (const sum of this.byName.values()) {
      const term = terms[next++] ?? null;
      if (term === null) continue;
      const numbers = numbersOf(term);
      for (let i = 0; i < sum.length; i++) sum[i]! += factor * numbers[i]!;
    }
  }

  scale(factor: number): this {
    for (const sum of this.byName.values()) for (let i = 0; i < sum.length; i++) sum[i]! *= factor;
    return this;
  }
}

/**
 * Gradients of a number, by the gradient rule of every op whatever rules of learning there are; null where it depends on
 * none.
 */
export function slopesOf(
  who: string,
  output: Tensor,
  leaves: readonly Tensor[],
  { seed, createGraph = false }: { readonly seed?: Tensor; readonly createGraph?: boolean } = {},
): (Tensor | null)[] {
  if (output.node === null) return leaves.map(() => null);
  return found(who, [start(output, seed)], leaves, { rules: false, createGraph });
}

/** The gradient of the mean loss over all examples, by name; zeros where the loss does not depend on a parameter. */
export function meanGradients(who: string, subject: Subject): ReadonlyMap<string, Float64Array> {
  const parameters = parametersOf(who, subject.model);
  const leaves = [...parameters.values()];
  const sums = new Sums(parameters);
  const examples = overBatches(who, subject, (batch) =>
    sums.add(slopesOf(who, forwardLosses(who, subject, batch).sum(), leaves)),
  );
  return sums.scale(1 / examples).byName;
}

export const generatorOf = ({ generator }: Subject): Generator => generator ?? defaultGenerator;

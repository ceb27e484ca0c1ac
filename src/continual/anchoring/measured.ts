/**
 * What an importance is measured on when a context has ended: its training examples, all or some, and what the model answers
 * in the context's own columns.
 */
import { batches } from '../../data/batches.ts';
import { checkWhole } from '../../data/check.ts';
import type { Context, Head } from '../../data/scenarios.ts';
import { slice } from '../../ops/shape.ts';
import { Generator } from '../../random/generator.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Learning } from '../method.ts';

export interface MeasureOptions {
  /** How many of a context's training examples are measured, drawn at random without repetition; a smaller context gives all. All unless given. */
  readonly samples?: number;
  /** Examples that are measured at a time; 128 unless given. A matter of memory and speed, and part of the result only of a Fisher of kind 'batched'. */
  readonly batchSize?: number;
  /** Where the drawn examples come from; the default generator unless given. */
  readonly generator?: Generator;
}

export function checkMeasure(who: string, { samples, batchSize, generator }: MeasureOptions): void {
  if (samples !== undefined) checkWhole(who, 'samples (the number of examples that are measured)', samples, 1);
  if (batchSize !== undefined) checkWhole(who, 'batchSize', batchSize, 1);
  if (generator !== undefined && !(generator instanceof Generator))
    throw new TypeError(`${who}: generator must be a Generator, new Generator(seed), not ${typeof generator}.`);
}

/** Examples with labels that count from the first column of the head. */
export interface Measured {
  readonly x: Tensor;
  readonly labels: Int32Array;
}

/** The examples, batch by batch. Draws from the generator only where not all are asked for. */
export function* examplesOf(
  { train, head: [from] }: Context,
  { samples = Infinity, batchSize = 128, generator }: MeasureOptions & { readonly generator: Generator },
): Iterable<Measured> {
  const count = train.labels.length;
  const order = samples < count ? generator.permutation(count).subarray(0, samples) : null;
  for (const places of batches(order?.length ?? count, batchSize)) {
    const rows = order === null ? places : places.map((place) => order[place]!);
    yield { x: train.inputs(rows), labels: rows.map((row) => train.labels[row]! - from) };
  }
}

/** Calls `body` with the model's answers in the columns of a head, its layers in the mode of use meanwhile. */
export function whileAsked<Result>(
  { model, output }: Learning,
  [from, to]: Head,
  body: (answer: (x: Tensor) => Tensor) => Result,
): Result {
  const modes = model.namedModules().map(([, module]) => ({ module, training: module.training }));
  model.eval();
  try {
    return body((x) => {
      const all = output(x);
      return from === 0 && to === all.shape[1] ? all : slice(all, [null, [from, to]]);
    });
  } finally {
    for (const { module, training } of modes) module.training = training;
  }
}

/** How well a learner does on a context's test examples. */
import { scope } from '../autograd/modes.ts';
import { batches } from '../data/batches.ts';
import type { Context, Head } from '../data/scenarios.ts';
import { given } from '../tensor/given.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Who can be asked: a `ContinualLearner`, `SeparateNetworks`, or whatever else answers. */
export interface Answering {
  /** A column of the head for each row of x; `context` is null where it is not told. */
  predict(x: Tensor, head: Head, context: number | null): Int32Array;
}

export interface EvaluateOptions {
  /** Examples that are asked about at once; 1,000 unless given. It changes the speed and the memory, not the result. */
  readonly batchSize?: number;
  /**
   * Where answers are sought; the context's head unless given. Where heads grow from context to context (`activeClasses: 'seen'`), a
   * context of the past is to be asked with the head of the one learned last.
   */
  readonly head?: Head;
}

/**
 * The share of a context's test examples that are answered right, 0 to 1. The learner is told which context it is only where the
 * scenario is of the kind 'task'. Nothing is recorded, and what it takes of memory is given back batch by batch.
 *
 *     const part = { inputs: [1, 2, 3, 4], labels: [0, 1, 2, 3] };
 *     const { contexts } = splitScenario({ train: part, test: part, shape: [1] }, { kind: 'class' });
 *     const always2 = { predict: (x) => new Int32Array(x.shape[0]).fill(2) };
 *     contexts.map((context) => evaluate(always2, context)).join(); // '0,0.5'
 */
export function evaluate(learner: Answering, context: Context, options: EvaluateOptions = {}): number {
  const call = 'evaluate(learner, context)';
  given(call, 'a learner and a context', learner);
  given(call, 'examples of a context', context);
  const { batchSize = 1000, head = context.head } = given(call, 'options', options);
  const { labels } = context.test;
  if (labels.length === 0) throw new Error(`evaluate: context ${context.index} has no test examples.`);
  const told = context.kind === 'task' ? context.index : null;
  let right = 0;
  for (const rows of batches(labels.length, batchSize)) {
    const answers = scope(() => learner.predict(context.test.inputs(rows), head, told));
    rows.forEach((row, i) => {
      if (answers[i] === labels[row]) right++;
    });
  }
  return right / labels.length;
}

/**
 * Selective backpropagation as a method of a learner: weights in which the network is confident change less
 * (src/rules/selective.ts). Importance is measured in every backward pass; gates are worked out after the optimizer's step, from
 * what was measured up to it; and what a context has made sure of is kept when it ends.
 */
import { attachRules } from '../autograd/rule.ts';
import type { Head } from '../data/scenarios.ts';
import { SelectiveBackpropagation, type SelectiveOptions } from '../rules/selective.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import type { Learning, Method } from './method.ts';

export interface ConfidenceOptions extends Omit<SelectiveOptions, 'published' | 'optimizer'> {
  /** Which parameters are guarded; all that the learner learns unless given. */
  readonly parameters?: readonly Tensor[];
  /** Whether errors are led away from confident weights within the backward pass, too (`edgeGate`); false unless given. */
  readonly edges?: boolean;
}

export interface Confidence extends Method {
  /** C of a parameter, 0 to 1, as the next step will read it; null: no step was taken, or it is not guarded. */
  of(parameter: Tensor): Tensor | null;
  /** Takes off gates, observers and rules. */
  remove(): void;
}

/** The learner moves the parameters. */
const nobody = { step: (): void => {} };

/**
 * The gates of selective backpropagation around the steps of a learner, whose optimizer must be one of this library. Its
 * options are those of `SelectiveBackpropagation`. Where a context ends, confidence is consolidated; without contexts
 * (nobody calls `end`) it follows the stream. Weights that are drawn anew have no confidence, and open gates.
 *
 *     const guard = confidence({ decay: 0.99, online: false });
 *     const learner = new ContinualLearner({ model, optimizer, methods: [guard] });
 *     learner.learn({ x, labels: new Int32Array(64), head: [0, 4], context: 0 });
 *     guard.of(model.parameters()[0]).shape; // [4, 784]
 */
export function confidence({ parameters, edges = false, ...options }: ConfidenceOptions = {}): Confidence {
  const given: SelectiveOptions = { ...options, optimizer: nobody };
  // Options are wrong now, not at the first step.
  new SelectiveBackpropagation([], given);
  let selective: SelectiveBackpropagation | null = null;
  let guarded: ReadonlySet<Tensor> = new Set();
  let detach: (() => void) | null = null;
  let correct = 0;
  const start = (learning: Learning): SelectiveBackpropagation => {
    if (selective !== null) return selective;
    guarded = new Set(parameters ?? learning.parameters.values());
    selective = new SelectiveBackpropagation([...guarded], given);
    if (edges) detach = attachRules(learning.model, selective.rules);
    return selective;
  };
  return {
    name: 'confidence',
    begin: (_, learning) => void start(learning),
    loss(loss, { batch, output, learning }) {
      start(learning);
      correct = countRight(output, batch.labels, batch.head);
      return loss;
    },
    stepped: ({ batch, learning }) => start(learning).step({ correct, total: batch.labels.length }),
    end: (_, learning) => start(learning).consolidate(),
    of: (parameter) => (selective !== null && guarded.has(parameter) ? selective.confidence(parameter) : null),
    remove() {
      selective?.remove();
      detach?.();
      [selective, detach, guarded] = [null, null, new Set()];
    },
  };
}

/** How many rows of the output are largest, among the columns of a head, in the column of their label; of equals the first. */
function countRight(output: Tensor, labels: Int32Array, [from, to]: Head): number {
  const numbers = numbersOf(output);
  const width = output.shape[1]!;
  let right = 0;
  for (let row = 0; row < labels.length; row++) {
    let best = from;
    for (let column = from; column < to; column++)
      if (numbers[row * width + column]! > numbers[row * width + best]!) best = column;
    if (best === labels[row]) right++;
  }
  return right;
}

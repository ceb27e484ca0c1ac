/**
 * Selective backpropagation as a method of a learner: weights in which the network is confident change less
 * (src/rules/selective.ts). Importance is measured in every backward pass; gates are worked out after the optimizer's step, from
 * what was measured up to it; and what a context has made sure of is kept when it ends.
 */
import { attachRules } from '../autograd/rule.ts';
import type { Head } from '../data/scenarios.ts';
import { overwrite } from '../importance/passes.ts';
import { SelectiveBackpropagation, type SelectiveOptions } from '../rules/selective.ts';
import { kept } from '../state/side-state.ts';
import { given } from '../tensor/given.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import type { Learning, StatefulMethod } from './method.ts';
import { checkCounted, checkFields, copyOf } from './state.ts';

export interface ConfidenceOptions extends Omit<SelectiveOptions, 'published' | 'optimizer'> {
  /** Which parameters are guarded; all that the learner learns unless given. */
  readonly parameters?: readonly Tensor[];
  /** Whether errors are led away from confident weights within the backward pass, too (`edgeGate`); false unless given. */
  readonly edges?: boolean;
}

/**
 * How many steps it has guarded, and of how many answers how many were right; null: it guards nothing. Importance, confidence and gates
 * travel with the model.
 */
export type ConfidenceState = { readonly steps: number; readonly correct: number; readonly total: number } | null;

export interface Confidence extends StatefulMethod<ConfidenceState> {
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
 * (nobody calls `end`) it follows the stream. Weights that are drawn anew have no confidence, and open gates. What it knows of
 * weights stands at them, from the time when its learner is made.
 *
 *     const guard = confidence({ decay: 0.99, online: false });
 *     const learner = new ContinualLearner({ model, optimizer, methods: [guard] });
 *     learner.learn({ x, labels: new Int32Array(64), head: [0, 4], context: 0 });
 *     guard.of(model.parameters()[0]).shape; // [4, 784]
 */
export function confidence(all: ConfidenceOptions = {}): Confidence {
  const { parameters, edges = false, ...options } = given('confidence({ decay: 0.99 })', 'options', all);
  const selection: SelectiveOptions = { ...options, optimizer: nobody };
  // Options are wrong now, not at the first step.
  new SelectiveBackpropagation([], selection);
  let selective: SelectiveBackpropagation | null = null;
  let guarded: ReadonlySet<Tensor> = new Set();
  let detach: (() => void) | null = null;
  let own: Learning | null = null;
  let correct = 0;
  const nothing = { steps: 0, correct: 0, total: 0 };
  /** All that `selective` was told. */
  let told = nothing;
  const start = (learning: Learning): SelectiveBackpropagation => {
    if (selective !== null) return selective;
    guarded = new Set(parameters ?? learning.parameters.values());
    selective = new SelectiveBackpropagation([...guarded], selection);
    if (edges) detach = attachRules(learning.model, selective.rules);
    return selective;
  };
  const remove = (): void => {
    selective?.remove();
    detach?.();
    [selective, detach, guarded, told] = [null, null, new Set(), nothing];
  };
  const tell = (learning: Learning, answers: { readonly correct: number; readonly total: number }): void => {
    start(learning).step(answers);
    told = { steps: told.steps + 1, correct: told.correct + answers.correct, total: told.total + answers.total };
  };
  return {
    name: 'confidence',
    attach(learning) {
      own = learning;
      start(learning);
    },
    begin: (_, learning) => void start(learning),
    loss(loss, { batch, output, learning }) {
      start(learning);
      correct = countRight(output, batch.labels, batch.head);
      return loss;
    },
    stepped: ({ batch, learning }) => tell(learning, { correct, total: batch.labels.length }),
    end: (_, learning) => start(learning).consolidate(),
    of: (parameter) => (selective !== null && guarded.has(parameter) ? selective.confidence(parameter) : null),
    remove,
    stateDict: () => (selective === null ? null : { ...told }),
    loadStateDict(state) {
      if (state === null) return remove();
      checkCounts(state);
      if (own === null)
        throw new Error(
          'confidence.loadStateDict: the method belongs to no learner yet, so there is nothing to guard. Make the learner with it first.',
        );
      // What the model brought along stays; only the counts come from here.
      const learning = own;
      start(learning);
      const before = Array.from(guarded, (parameter) => tensorsOf(parameter).map(copyOf));
      if (told.steps > 0) {
        remove();
        start(learning);
      }
      for (const answers of stepsThatAdd(state, selection.every ?? 20)) tell(learning, answers);
      for (const [i, parameter] of [...guarded].entries())
        for (const [j, one] of tensorsOf(parameter).entries()) overwrite(one, before[i]![j]!);
      told = { ...state };
    },
  };
}

function checkCounts(state: NonNullable<ConfidenceState>): void {
  const who = 'confidence.loadStateDict';
  checkFields(who, state, ['steps', 'correct', 'total']);
  for (const [name, count] of Object.entries(state)) checkCounted(who, name, count);
  const { steps, correct, total } = state;
  if (correct > total || steps > total)
    throw new RangeError(`${who}: of ${total} answers in ${steps} steps ${correct} cannot be right.`);
}

/** What selective backpropagation keeps at a parameter. */
const tensorsOf = (parameter: Tensor): Tensor[] =>
  ['confidence', 'importance', 'kept', 'gate'].flatMap((name) => kept(parameter, `selective.${name}`) ?? []);

/**
 * A few steps that add up to the same answers, and stand at the same place between two refreshments: it takes counts in no other
 * way. All but the last are of one answer.
 */
function* stepsThatAdd({ steps, correct, total }: NonNullable<ConfidenceState>, every: number) {
  if (steps === 0) return;
  const count = steps % every || every;
  const ones = Math.min(count - 1, correct);
  for (let i = 0; i < count - 1; i++) yield { correct: i < ones ? 1 : 0, total: 1 };
  yield { correct: correct - ones, total: total - (count - 1) };
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

/** A scenario from its first context to its last: the loop that comparisons of methods share. */
import type { Scenario } from '../data/scenarios.ts';
import { type ContextBatchesOptions, contextBatches } from '../data/scenarios-batches.ts';
import { given } from '../tensor/given.ts';
import type { AccuracyMatrix } from './accuracy-matrix.ts';
import { evaluate } from './evaluate.ts';
import type { ContinualLearner } from './learner.ts';

export interface LearnScenarioOptions extends ContextBatchesOptions {
  /** Called when a context has been learned and asked about, with its row of the matrix. */
  readonly learned?: (context: number, accuracies: readonly number[]) => void;
}

/**
 * Learns one context after the other, so many batches of each, and after each asks about all of them, those to come included.
 *
 * @returns the accuracy matrix: row i holds the accuracies on all contexts after context i was learned
 *
 *     const generator = new Generator(1);
 *     const inputs = Array.from({ length: 40 }, (_, i) => i / 10);
 *     const part = { inputs, labels: inputs.map((x) => Math.floor(x)) };
 *     const scenario = splitScenario({ train: part, test: part, shape: [1] }, { kind: 'task' });
 *     const model = new Sequential(new Linear(1, 16, { generator }), new ReLU(), new Linear(16, 4, { generator }));
 *     const learner = new ContinualLearner({ model, optimizer: new Adam(model.parameters(), { lr: 0.01 }) });
 *     const matrix = learnScenario(learner, scenario, { batchSize: 10, iterations: 100, generator });
 *     averageAccuracy(matrix) > 0.5; // true
 */
export function learnScenario(
  learner: ContinualLearner,
  scenario: Scenario,
  options: LearnScenarioOptions,
): AccuracyMatrix {
  const call = 'learnScenario(learner, scenario, { batchSize: 32, iterations: 200, generator })';
  given(call, 'a learner, a scenario and options', learner);
  given(call, 'a scenario and options', scenario);
  given(call, 'options', options);
  const { contexts } = scenario;
  // Checked for all contexts before the first is learned.
  const courses = contexts.map((context) => contextBatches(context, options));
  return contexts.map((context, i) => {
    learner.begin(context);
    for (const batch of courses[i]!) learner.learn(batch);
    learner.end();
    const row = contexts.map((asked) => evaluate(learner, asked, { head: headOf(asked.head, context.head) }));
    options.learned?.(context.index, row);
    return row;
  });
}

/** Where heads grow, a context of the past is asked about among all columns that there are by now. */
const headOf = (own: readonly [number, number], learned: readonly [number, number]): readonly [number, number] =>
  own[0] === learned[0] && own[1] < learned[1] ? learned : own;

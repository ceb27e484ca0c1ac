/** One run: a method in a scenario with a seed, from the first step to the last, as a job. */

import { backwardTransfer, forgetting, forwardTransfer } from '../../../src/continual/accuracy-matrix.ts';
import { type Answering, evaluate } from '../../../src/continual/evaluate.ts';
import type { ScenarioKind } from '../../../src/data/scenarios.ts';
import type { Settings } from '../jobs/job.ts';
import { asJob, type Report } from '../jobs/module.ts';
import { PROBLEM_NAMES, type ProblemName, SCENARIOS } from './method.ts';
import { methodOf } from './methods.ts';
import type { Digits } from './orders.ts';
import { openScenario } from './problem.ts';
import { training } from './train.ts';

/** What a job of this experiment is told. */
export interface RunSettings {
  readonly problem: ProblemName;
  readonly scenario: ScenarioKind;
  readonly method: string;
  /** Of the method. */
  readonly settings: Settings;
  readonly seed: number;
  /** Of split: which digits come in which context. Null for permuted. */
  readonly digits: Digits | null;
  readonly contexts: number;
  /** Widths of the hidden layers. */
  readonly hidden: readonly number[];
  readonly lr: number;
  readonly batch: number;
  /** Steps of a context. */
  readonly iterations: number;
  /** A folder of IDX files, or their fingerprint; null for the embedded digits. */
  readonly data: string | null;
}

/** What came of a run: a row of the JSON file. All accuracies are of whole test sets. */
export interface Run extends Omit<RunSettings, 'data'> {
  /** initial[j]: the accuracy on context j before anything was learned. */
  readonly initial: readonly number[];
  /** matrix[i][j]: the accuracy on context j when i + 1 contexts were learned; one row where all were learned at once. */
  readonly matrix: readonly (readonly number[])[];
  /** Mean of the last row. */
  readonly average: number;
  /** What was once known of a context and is no more: mean over all contexts but the last (Chaudhry et al. 2018). Null for one row. */
  readonly forgetting: number | null;
  /** Backward and forward transfer (Lopez-Paz and Ranzato 2017). */
  readonly bwt: number | null;
  readonly fwt: number | null;
  /** Time of learning with all that methods do for it, without reading data and without the questions. */
  readonly seconds: number;
}

export const runJob = asJob(runOne);

export async function runOne(told: RunSettings, report: Report = async () => {}): Promise<Run> {
  const { problem, scenario: kind, method, settings, seed, digits, contexts, hidden, lr, batch, iterations } = told;
  if (!PROBLEM_NAMES.includes(problem) || !SCENARIOS.includes(kind))
    throw new Error(`A run of ${problem} in the scenario ${kind}: this is no run.`);
  const scenario = await openScenario(told);
  const contender = methodOf(method);
  const plan = { scenario, contender, settings, hidden, lr, batch, iterations, seed };
  const { steps, untrained, learner, course } = training(plan);
  const ask = (of: Answering): number[] => scenario.contexts.map((context) => evaluate(of, context));
  const initial = ask(untrained);
  const matrix: number[][] = [];
  let [milliseconds, done] = [0, 0];
  let resumed = performance.now();
  for (const event of course()) {
    milliseconds += performance.now() - resumed;
    if (event === 'ended') matrix.push(ask(learner));
    else done++;
    await report(done / steps);
    resumed = performance.now();
  }
  const several = matrix.length < 2 ? null : matrix;
  return {
    ...{ problem, scenario: kind, method, settings, seed, digits, contexts, hidden, lr, batch, iterations },
    ...{ initial, matrix },
    average: matrix.at(-1)!.reduce((sum, accuracy) => sum + accuracy, 0) / scenario.contexts.length,
    forgetting: several && forgetting(several),
    bwt: several && backwardTransfer(several),
    fwt: several && forwardTransfer(several, initial),
    seconds: Math.round(milliseconds) / 1000,
  };
}

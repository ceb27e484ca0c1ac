/** What a method is to the experiment: its settings, by problem and scenario, and how it is made for a run. */

import type { Method } from '../../../src/continual/method.ts';
import type { Scenario, ScenarioKind } from '../../../src/data/scenarios.ts';
import type { Generator, Module, Tensor } from '../../../src/index.ts';
import type { Settings } from '../jobs/job.ts';

export const PROBLEM_NAMES = ['split', 'permuted'] as const;
export type ProblemName = (typeof PROBLEM_NAMES)[number];

export const SCENARIOS = ['task', 'domain', 'class'] as const satisfies readonly ScenarioKind[];

/** What there is when a run begins. */
export interface Parts {
  readonly scenario: Scenario;
  /** Examples of a batch. */
  readonly batch: number;
  /** Steps of a context. */
  readonly iterations: number;
  /** For everything random in the method. */
  readonly generator: Generator;
}

/**
 * How a run goes. sequence: context after context. joint: all contexts at once, for as many steps: what can be had without anything to
 * forget. separate: a network of its own for each context.
 */
export type Course = 'sequence' | 'joint' | 'separate';

/** `Own` is the settings of this method, by name: what the report shows, and what a job's id depends on. */
export interface Contender<Own extends Settings = Settings> {
  /** One word, for --methods and tables. */
  readonly name: string;
  /** One sentence: what it does. */
  readonly about: string;
  /** Where it has a meaning. */
  readonly scenarios: readonly ScenarioKind[];
  readonly course: Course;
  /** false: what it does when the last context has ended takes time and is for nothing, and is left out. */
  readonly endsLast?: false;
  settings(problem: ProblemName, scenario: ScenarioKind): Own;
  /** What stands behind the activation of so many hidden units, where it needs something there. */
  behind?(units: number, parts: Parts): Module & { forward(x: Tensor): Tensor };
  /** The methods of src/continual that it is made of; called once a run. */
  make(parts: Parts, settings: Own): readonly Method[];
}

/** A method among others: its settings were checked where it was defined. */
export const defineContender = <Own extends Settings>(contender: Contender<Own>): Contender =>
  contender as unknown as Contender;

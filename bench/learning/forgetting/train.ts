/**
 * The three courses of a run, step by step. One Adam serves all contexts and keeps its moments from one to the next, as in the
 * published runs. Methods with the same seed start from the same weights and see the same batches.
 */

import type { Answering } from '../../../src/continual/evaluate.ts';
import { ContinualLearner } from '../../../src/continual/learner.ts';
import type { Scenario } from '../../../src/data/scenarios.ts';
import { contextBatches, joint, mixedBatches } from '../../../src/data/scenarios-batches.ts';
import { Adam, Generator } from '../../../src/index.ts';
import type { Settings } from '../jobs/job.ts';
import type { Contender, Course } from './method.ts';
import { mlp } from './problem.ts';

export interface Plan {
  readonly scenario: Scenario;
  readonly contender: Contender;
  /** Of the contender. */
  readonly settings: Settings;
  readonly hidden: readonly number[];
  readonly lr: number;
  /** Examples of a step. */
  readonly batch: number;
  /** Steps of a context. */
  readonly iterations: number;
  readonly seed: number;
}

export interface Training {
  /** Steps in all. */
  readonly steps: number;
  /** Who is asked before anything is learned: the network without a method. */
  readonly untrained: Answering;
  /** Who is asked from then on. */
  readonly learner: Answering;
  /** Learns. Pauses after every step, and says where a context, or all that there is, has ended. */
  course(): Iterable<'step' | 'ended'>;
}

export const training = (plan: Plan): Training => COURSES[plan.contender.course](plan);

const COURSES: Readonly<Record<Course, (plan: Plan) => Training>> = { sequence, joint: together, separate };

/** Context after context. */
function sequence(plan: Plan): Training {
  const { scenario, iterations } = plan;
  const { generators, learner, untrained } = begun(plan);
  return {
    steps: scenario.contexts.length * iterations,
    ...{ untrained, learner },
    *course() {
      for (const context of scenario.contexts) {
        learner.begin(context);
        for (const batch of contextBatches(context, batchOptions(plan, generators.batches))) {
          learner.learn(batch);
          yield 'step';
        }
        if (plan.contender.endsLast !== false || context !== scenario.contexts.at(-1)) learner.end();
        yield 'ended';
      }
    },
  };
}

/** All contexts at once, for as many steps. Where contexts have heads of their own, a step has some examples of each. */
function together(plan: Plan): Training {
  const { scenario } = plan;
  const { generators, learner, untrained } = begun(plan);
  const steps = scenario.contexts.length * plan.iterations;
  const options = { ...batchOptions(plan, generators.batches), iterations: steps };
  return {
    steps,
    ...{ untrained, learner },
    *course() {
      if (scenario.kind === 'task')
        for (const batches of mixedBatches(scenario, options)) {
          learner.learnTogether(batches);
          yield 'step';
        }
      else
        for (const batch of contextBatches(joint(scenario), options)) {
          learner.learn(batch);
          yield 'step';
        }
      yield 'ended';
    },
  };
}

/** A network and an optimizer for each context, all with the same weights at first. */
function separate(plan: Plan): Training {
  const { scenario, iterations } = plan;
  const { generators, untrained } = begun(plan);
  const learners = scenario.contexts.map(() => begun(plan).learner);
  const learnerOf = (context: number | null): ContinualLearner => {
    const found = context === null ? undefined : learners[context];
    if (found === undefined) throw new Error(`There is no network for context ${context}.`);
    return found;
  };
  return {
    steps: learners.length * iterations,
    untrained,
    learner: { predict: (x, head, context) => learnerOf(context).predict(x, head, context) },
    *course() {
      for (const context of scenario.contexts) {
        for (const batch of contextBatches(context, batchOptions(plan, generators.batches))) {
          learnerOf(context.index).learn(batch);
          yield 'step';
        }
        yield 'ended';
      }
    },
  };
}

/** A learner that has learned nothing, and where the run's batches come from. */
function begun({ scenario, contender, settings, hidden, lr, batch, iterations, seed }: Plan) {
  const generator = new Generator(seed);
  const generators = { weights: generator.fork(), batches: generator.fork(), method: generator.fork() };
  const parts = { scenario, batch, iterations, generator: generators.method };
  const inputs = scenario.inputShape.reduce((size, length) => size * length, 1);
  const { behind } = contender;
  const model = mlp([inputs, ...hidden, scenario.outputs], generators.weights, (units) =>
    behind === undefined ? [] : [behind(units, parts)],
  );
  const optimizer = new Adam(model.parameters(), { lr });
  const methods = contender.make(parts, settings);
  return {
    generators,
    learner: new ContinualLearner({ model, optimizer, methods }),
    untrained: new ContinualLearner({ model, optimizer }),
  };
}

const batchOptions = ({ batch, iterations }: Plan, generator: Generator) => ({
  batchSize: batch,
  iterations,
  generator,
});

/** Small contexts for tests of methods: which side of a plane of its own an input lies on, two outputs for each context. */

import { evaluate } from '../../src/continual/evaluate.ts';
import type { ContinualLearner } from '../../src/continual/learner.ts';
import type { Context, Examples, ScenarioKind } from '../../src/data/scenarios.ts';
import { Generator } from '../../src/random/generator.ts';
import { tensor } from '../../src/tensor/create.ts';

export interface ToyOptions {
  readonly contexts: number;
  readonly kind?: ScenarioKind;
  /** Numbers of an input. */
  readonly size?: number;
  readonly examples?: number;
  readonly seed?: number;
}

export function toyContexts({ contexts, kind = 'task', size = 6, examples = 96, seed = 1 }: ToyOptions): Context[] {
  const generator = new Generator(seed);
  return Array.from({ length: contexts }, (_, index) => {
    const plane = new Float32Array(size);
    generator.fillNormal(plane, 0, 1);
    const from = kind === 'task' ? 2 * index : 0;
    const draw = (): Examples => {
      const all = new Float32Array(examples * size);
      generator.fillNormal(all, 0, 1);
      const labels = Int32Array.from({ length: examples }, (_, i) => {
        let side = 0;
        for (let j = 0; j < size; j++) side += plane[j]! * all[i * size + j]!;
        return from + (side > 0 ? 1 : 0);
      });
      return {
        labels,
        inputs: (rows) => {
          const out = new Float32Array(rows.length * size);
          for (let i = 0; i < rows.length; i++) out.set(all.subarray(rows[i]! * size, (rows[i]! + 1) * size), i * size);
          return tensor(out, [rows.length, size]);
        },
      };
    };
    return { index, kind, train: draw(), test: draw(), head: [from, from + 2] };
  });
}

/** So many steps on a context, each on the next examples of it. */
export function learnSteps(
  learner: ContinualLearner,
  { train, head, index }: Context,
  steps: number,
  batch = 16,
): void {
  const count = train.labels.length;
  for (let step = 0; step < steps; step++) {
    const rows = Array.from({ length: batch }, (_, i) => (step * batch + i) % count);
    learner.learn({
      x: train.inputs(rows),
      labels: Int32Array.from(rows, (row) => train.labels[row]!),
      head,
      context: index,
    });
  }
}

/** A whole context: begin, so many steps, end. */
export function learnContext(learner: ContinualLearner, context: Context, steps: number): void {
  learner.begin(context);
  learnSteps(learner, context, steps);
  learner.end();
}

export const accuracy = (learner: ContinualLearner, context: Context): number => evaluate(learner, context);

/**
 * What is measured: every row of the benchmark as plain data.
 *
 * A row says what has to be computed and never how. All sides get the same inputs, labels and initial weights, as flat
 * Float32Arrays in one fixed layout (images NCHW, linear weights [out, in], convolution weights [out, in, height, width]);
 * a side that prefers another layout rearranges them before the clock starts. The rows of each suite, and the numbers they
 * are run with, stand in rows/.
 */

import { type ArrayTask, arrayRows } from './rows/arrays.ts';
import { type Chain, chainRows } from './rows/chains.ts';
import { type Convolution, convolutionRows } from './rows/convolutions.ts';
import { type Product, productRows } from './rows/products.ts';
import type { RowOf } from './rows/row.ts';
import { type Start, startRows } from './rows/starts.ts';
import { type Training, trainingRows } from './rows/trainings.ts';

export type Task = Product | Training | ArrayTask | Convolution | Chain | Start;
export type Row = RowOf<Task>;

export const rows: readonly Row[] = [
  ...productRows,
  ...trainingRows,
  ...arrayRows,
  ...convolutionRows,
  ...chainRows,
  ...startRows,
];

/** What somebody has to say for every kind of task. */
export type ByKind<Answer> = { readonly [Kind in Task['kind']]: (task: Extract<Task, { kind: Kind }>) => Answer };

/** The answer for this task. */
export function answerFor<Answer>(answers: ByKind<Answer>, task: Task): Answer {
  return (answers[task.kind] as (task: Task) => Answer)(task);
}

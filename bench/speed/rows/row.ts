/** What every row has, whatever is computed in it. */

export const suiteNames = ['matmul', 'step', 'array', 'conv', 'overhead', 'start-up'] as const;
export type SuiteName = (typeof suiteNames)[number];

export interface RowOf<Task> {
  readonly suite: SuiteName;
  readonly name: string;
  readonly unit: string;
  /** What one call is worth in the row's unit, a second: GFLOP of a product, 1 of a step. */
  readonly workPerCall: number;
  readonly task: Task;
}

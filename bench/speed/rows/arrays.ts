/**
 * Single operations on arrays of a million elements, the result read whole.
 *
 * The unit is a million elements a second, counted on the longest array that takes part, operand or result: a million in every row,
 * so that a row's number is also how many such calls are done in a second.
 */

import { elementCount, type Matrix, randomMatrix, uniformNumbers } from './numbers.ts';
import type { RowOf } from './row.ts';

/**
 * add: operands broadcast as NumPy's do. softmax, logSoftmax, layerNorm (operands x, weight, bias; epsilon 1e-5): over rows, the last
 * axis. sum, max: over `axis`, all axes when it is null. transpose: of a matrix, copied into its new order. cat: joined along
 * `axis`. gather: the rows that `ArrayData.indices` lists.
 */
export type ArrayOperation =
  | 'add'
  | 'exp'
  | 'tanh'
  | 'sigmoid'
  | 'softmax'
  | 'logSoftmax'
  | 'layerNorm'
  | 'sum'
  | 'max'
  | 'transpose'
  | 'cat'
  | 'gather';

export interface ArrayTask {
  readonly kind: 'array';
  readonly operation: ArrayOperation;
  /** Of the operands, in their order. */
  readonly shapes: readonly (readonly number[])[];
  readonly axis: number | null;
}

export const layerNormEpsilon = 1e-5;

const square = [1000, 1000];
const cube = [100, 100, 100];

function array(
  name: string,
  operation: ArrayOperation,
  shapes: ArrayTask['shapes'] = [square],
  axis: number | null = null,
): RowOf<ArrayTask> {
  const task: ArrayTask = { kind: 'array', operation, shapes, axis };
  return { suite: 'array', name, unit: 'M elements/s', workPerCall: 1, task };
}

export const arrayRows: readonly RowOf<ArrayTask>[] = [
  array('add', 'add', [square, square]),
  array('add a row', 'add', [square, [1000]]),
  array('exp', 'exp'),
  array('tanh', 'tanh'),
  array('sigmoid', 'sigmoid'),
  array('softmax', 'softmax'),
  array('logSoftmax', 'logSoftmax'),
  array('layerNorm', 'layerNorm', [square, [1000], [1000]]),
  array('sum axis 0', 'sum', [square], 0),
  array('sum axis 1', 'sum', [square], 1),
  array('sum all', 'sum'),
  array('sum axis 1 of 100x100x100', 'sum', [cube], 1),
  array('max axis 0', 'max', [square], 0),
  array('max axis 1', 'max', [square], 1),
  array('max all', 'max'),
  array('transpose', 'transpose'),
  array(
    'cat axis 1',
    'cat',
    [
      [1000, 500],
      [1000, 500],
    ],
    1,
  ),
  array('gather rows', 'gather'),
];

export interface ArrayData {
  readonly operands: readonly Matrix[];
  /** Of every row once, in a scattered order; empty but for gather. */
  readonly indices: Int32Array;
}

/** Numbers in [-4, 4): where exp is neither flat nor huge, and the tails of tanh and sigmoid are reached. */
export function arrayData({ operation, shapes }: ArrayTask): ArrayData {
  const uniform = uniformNumbers(3);
  const rows = operation === 'gather' ? ((shapes[0]?.[0] ?? 0) as number) : 0;
  return {
    operands: shapes.map((shape) => randomMatrix(shape, 4, uniform)),
    // 617 shares no divisor with the number of rows, so every row comes once.
    indices: Int32Array.from({ length: rows }, (_, i) => (617 * i) % rows),
  };
}

/** How many numbers the result has. */
export function arrayResultSize({ operation, shapes, axis }: ArrayTask): number {
  const first = shapes[0] ?? [];
  if (operation === 'cat') return shapes.reduce((count, shape) => count + elementCount(shape), 0);
  if (operation !== 'sum' && operation !== 'max') return elementCount(first);
  return axis === null ? 1 : elementCount(first) / (first[axis] as number);
}

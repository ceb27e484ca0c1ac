/**
 * From the import of a library to its first result, in a process of its own: a product of two 16x16 matrices, read back. The unit is
 * starts a second, so that more is better here too; a thousand divided by it is milliseconds.
 */

import { randomMatrix, uniformNumbers } from './numbers.ts';
import type { RowOf } from './row.ts';

export interface Start {
  readonly kind: 'start';
  readonly size: number;
}

export const startRows: readonly RowOf<Start>[] = [
  {
    suite: 'start-up',
    name: 'import to first product',
    unit: 'starts/s',
    workPerCall: 1,
    task: { kind: 'start', size: 16 },
  },
];

/** Both operands, [size, size] each, as plain numbers: they travel to the process as text. */
export function startData({ size }: Start): { a: number[]; b: number[] } {
  const uniform = uniformNumbers(6);
  const [a, b] = [randomMatrix([size, size], 1, uniform), randomMatrix([size, size], 1, uniform)];
  return { a: [...a.data], b: [...b.data] };
}

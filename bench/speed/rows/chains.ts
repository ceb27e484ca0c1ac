/** What an operation costs when there is next to nothing to compute: ops on 16 numbers, one after the other. */

import { type Matrix, randomMatrix, uniformNumbers } from './numbers.ts';
import type { RowOf } from './row.ts';

/** One op on what the chain has come to; add, sub and mul take `ChainData.operand` as their second. */
export type Link = 'add' | 'sub' | 'mul' | 'tanh' | 'sigmoid' | 'exp';

/** Each link takes what the one before it made. The last result is read. */
export interface Chain {
  readonly kind: 'chain';
  readonly size: number;
  readonly links: readonly Link[];
  /** Instead of the result, the gradient of its sum with respect to the chain's input is computed and read. */
  readonly backward: boolean;
}

function chain(name: string, links: readonly Link[], backward = false): RowOf<Chain> {
  const task: Chain = { kind: 'chain', size: 16, links, backward };
  return { suite: 'overhead', name, unit: 'calls/s', workPerCall: 1, task };
}

const ten: readonly Link[] = ['mul', 'add', 'tanh', 'mul', 'sub', 'sigmoid', 'exp', 'mul', 'add', 'tanh'];

export const chainRows: readonly RowOf<Chain>[] = [
  chain('add of 16 numbers', ['add']),
  chain('10 ops on 16 numbers', ten),
  chain('10 ops and backward', ten, true),
];

export interface ChainData {
  readonly input: Matrix;
  readonly operand: Matrix;
}

export function chainData({ size }: Chain): ChainData {
  const uniform = uniformNumbers(5);
  return { input: randomMatrix([size], 1, uniform), operand: randomMatrix([size], 1, uniform) };
}

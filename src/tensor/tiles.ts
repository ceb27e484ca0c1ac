/**
 * Several elementwise passes over large tensors as one: tile by tile, so that what one pass wrote is still in the cache when the
 * next one reads it. Such work is bound by memory: four passes over half a million numbers take about as long as one this way.
 */
import { settle } from '../storage/context.ts';
import { heap, run } from '../storage/dispatch.ts';
import type { Heap } from '../storage/heap.ts';
import { address, contiguous, wroteTo } from './access.ts';
import { buffer, zeros } from './create.ts';
import type { Tensor } from './tensor.ts';

/** Numbers of a tile. */
const tile = 8192;

/** Addresses of tiles to work in; what stands there is left over from others. */
type WorkTiles = [work: number, other: number, third: number, fourth: number, fifth: number];

/** Room for the tiles to work in, for each heap that is in use. */
const rooms = new WeakMap<Heap, Tensor>();

function roomOf(current: Heap): Tensor {
  let room = rooms.get(current);
  if (room === undefined) {
    room = buffer(zeros([5 * tile]));
    rooms.set(current, room);
  }
  return room;
}

/**
 * Calls `body` for one tile after the other with the addresses of the tile in each tensor, the number of its elements and the
 * addresses of tiles to work in. All tensors are of the first one's size, or hold one number, which then stands for all tiles;
 * `written` are those that the body writes, which must be contiguous.
 */
export function inTiles(
  tensors: readonly Tensor[],
  written: readonly Tensor[],
  body: (at: readonly number[], n: number, ...work: WorkTiles) => void,
): void {
  const size = tensors[0]?.size ?? 0;
  const work = address(roomOf(heap));
  const at = tensors.map((one) => address(contiguous(one)));
  for (let start = 0; start < size; start += tile) {
    const n = Math.min(tile, size - start);
    body(at, n, work, work + tile, work + 2 * tile, work + 3 * tile, work + 4 * tile);
    for (let i = 0; i < at.length; i++) if (tensors[i]!.size !== 1) at[i]! += n;
  }
  for (const one of written) wroteTo(one);
  settle();
}

/**
 * Passes over n numbers at addresses: out = a op b, elementwise. `out` may be an operand. Where `step` is 0, b is one number for
 * all.
 */
const binary =
  (kernel: 'add' | 'sub' | 'mul' | 'div') =>
  (a: number, b: number, out: number, n: number, step: 0 | 1 = 1): void =>
    run[kernel](a, 0, 1, b, 0, step, out, 1, n);

export const plus = binary('add');
export const minus = binary('sub');
export const times = binary('mul');
export const over = binary('div');

/** out += factor x, in one pass: what plain gradient descent does, at rate -factor. */
export const plusScaled = (out: number, x: number, n: number, factor: number): void =>
  run.sgd(out, x, 0, n, -factor, 0, 0, 0, 0, 0);

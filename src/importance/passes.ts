/**
 * Passes over the n numbers of a tile (src/tensor/tiles.ts) that trackers and anchoring methods share. What is done at every step
 * is made of kernels, since a loop over the numbers would take about four times as long.
 */
import { settle } from '../storage/context.ts';
import { run } from '../storage/dispatch.ts';
import { address, contiguous, wroteTo } from '../tensor/access.ts';
import { buffer } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { minus, over, plus, times } from '../tensor/tiles.ts';

/** out = factor x + shift */
export const scaled = (x: number, out: number, n: number, factor: number, shift = 0): void =>
  run.scale(x, out, n, factor, shift);

/** out = p (w - at): the gradient of a pull. */
export function pullOf(w: number, at: number, precision: number, out: number, n: number): void {
  minus(w, at, out, n);
  times(out, precision, out, n);
}

/** mean += gain (news - mean), or with ages += (gain / ages) (news - mean); `news` is overwritten. Age 0: none. */
export function approach(mean: number, news: number, n: number, gain: number, ages: number): void {
  minus(news, mean, news, n);
  if (ages !== 0) over(news, ages, news, n);
  scaled(news, news, n, gain);
  plus(mean, news, mean, n);
}

/** Writes the numbers of a tensor over those of a contiguous one of the same shape; no graph hears of it. */
export function overwrite(out: Tensor, x: Tensor): void {
  run.copy(address(contiguous(x)), address(out), out.size);
  wroteTo(out);
  settle();
}

/**
 * A parameter's values before a step. They are copied only where somebody wrote since: whoever brings them up to date while it
 * reads the new values (`followed`) spares itself the copy.
 */
export class Before {
  readonly parameter: Tensor;
  readonly values: Tensor;
  #version: number;

  constructor(parameter: Tensor) {
    this.parameter = parameter;
    this.values = buffer(parameter);
    this.#version = parameter.storage.root.version;
  }

  note(): void {
    const { parameter, values } = this;
    if (this.#version === parameter.storage.root.version) return;
    overwrite(values, parameter);
    this.followed();
  }

  /** `values` are the present ones. */
  followed(): void {
    this.#version = this.parameter.storage.root.version;
  }
}

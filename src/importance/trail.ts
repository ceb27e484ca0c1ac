/**
 * The trail of a parameter through training: where it began, and what its own steps have brought since,
 *
 *     path += -g (w after - w before)
 *
 * whose sum over all weights is, for small steps, what the loss fell by (Zenke, Poole and Ganguli, 2017, equation 3); and what a
 * Riemannian walk makes of it. One form for all who ask: the trackers (trackers.ts) and the methods `si` and `rwalk`.
 *
 * All is float32 and done by kernels, one pass over the weights a step. Nothing aliases a live weight. A weight that is drawn anew
 * (state/reset.ts) has gone no way.
 */
import { zero_ } from '../ops/inplace.ts';
import { onResetWhile, writeAt } from '../state/reset.ts';
import { run } from '../storage/dispatch.ts';
import { buffer, zeros } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { inTiles, minus, plus, times } from '../tensor/tiles.ts';
import { approach, Before, overwrite, pullOf } from './passes.ts';
import type { Numbers } from './steps.ts';

/** A pull of which `.grad` says too much or too little: sign p (w - at) is added to it, w the values before the step. */
export interface Pull {
  readonly at: Tensor;
  readonly precision: Tensor;
  readonly sign: 1 | -1;
}

export class Trail {
  readonly parameter: Tensor;
  readonly path: Tensor;
  /** Values where it began. */
  readonly start: Tensor;
  readonly before: Before;

  constructor(parameter: Tensor) {
    this.parameter = parameter;
    this.path = buffer(zeros(parameter.shape));
    this.start = buffer(parameter);
    this.before = new Before(parameter);
    onResetWhile(parameter, this, ({ path, start, before }, elements) => {
      const values = numbersOf(parameter);
      writeAt(path, elements, () => 0);
      for (const one of [start, before.values]) writeAt(one, elements, (element) => values[element]!);
    });
  }

  /** Begins anew, at the present values. */
  begin(): void {
    overwrite(this.start, this.parameter);
    zero_(this.path);
  }

  /**
   * After the optimizer's step, ahead of which `before.note()` was called: adds what it brought. g is the gradient of the step, with the pull if one is given; `squares`, if
   * given, follow g^2 by their share.
   */
  follow(
    gradient: Tensor,
    { pull = null, squares = null }: { readonly pull?: Pull | null; readonly squares?: RunningSquares | null } = {},
  ): void {
    const { parameter, path, before } = this;
    const { values } = before;
    const operands = [parameter, gradient, values, path];
    const place = (x: Tensor): number => operands.push(x) - 1;
    const [f, at, precision] = [
      squares === null ? -1 : place(squares.mean),
      pull === null ? -1 : place(pull.at),
      pull === null ? -1 : place(pull.precision),
    ];
    const written = [values, path, ...(squares === null ? [] : [squares.mean])];
    inTiles(operands, written, (tile, n, work, other) => {
      const [w, given, from, total] = tile as [number, number, number, number];
      let g = given;
      if (pull !== null) {
        pullOf(from, tile[at]!, tile[precision]!, other, n);
        if (pull.sign > 0) plus(g, other, other, n);
        else minus(g, other, other, n);
        g = other;
      }
      minus(w, from, work, n);
      times(work, g, work, n);
      minus(total, work, total, n);
      squares?.take(g, tile[f]!, work, n);
      run.copy(w, from, n);
    });
    squares?.taken();
    before.followed();
  }
}

/** F = share g^2 + (1 - share) F, and g^2 at first: the running Fisher information of a Riemannian walk. */
export class RunningSquares {
  readonly mean: Tensor;
  readonly share: number;
  /** Whether a gradient has come. */
  begun = false;

  constructor(parameter: Tensor, share: number) {
    this.mean = buffer(zeros(parameter.shape));
    this.share = share;
    onResetWhile(parameter, this, ({ mean }, elements) => writeAt(mean, elements, () => 0));
  }

  add(gradient: Tensor): void {
    inTiles([this.mean, gradient], [this.mean], ([f, g], n, work) => this.take(g!, f!, work, n));
    this.taken();
  }

  /** One tile of a pass, g and F at their addresses; `taken` when it has come to its end. */
  take(g: number, f: number, work: number, n: number): void {
    run.square(g, work, n, 0, 0);
    if (this.begun) approach(f, work, n, this.share, 0);
    else run.copy(work, f, n);
  }

  taken(): void {
    this.begun = true;
  }

  /** Begins anew. */
  begin(): void {
    zero_(this.mean);
    this.begun = false;
  }
}

/** One stretch of a Riemannian walk; all of one length. */
export interface Stretch {
  /** What the loss fell by. */
  readonly fall: Numbers;
  /** F */
  readonly fisher: Numbers;
  readonly from: Numbers;
  readonly to: Numbers;
}

/**
 * score += max(0, fall / (1/2 F (to - from)^2 + damping)): what the loss fell by, for how far the answers moved. Chaudhry et al.,
 * "Riemannian walk for incremental learning: understanding forgetting and intransigence" (2018).
 */
export function addScores(score: Numbers, { fall, fisher, from, to }: Stretch, damping: number): void {
  for (let i = 0; i < score.length; i++) {
    const away = to[i]! - from[i]!;
    if (fall[i]! > 0) score[i]! += fall[i]! / (0.5 * fisher[i]! * away * away + damping);
  }
}

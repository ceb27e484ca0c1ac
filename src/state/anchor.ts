/**
 * Anchors: a parameter is drawn to where it was, 1/2 sum p (w - w*)^2. With p = lambda Omega this is the penalty of elastic
 * weight consolidation and its relatives; Omega is any measure of importance.
 *
 * An anchor joins once a step, when the optimizer applies it, however many backward calls came before: gradients that are
 * accumulated over several do not multiply lambda. It joins in one of two forms. Explicit: p (w - w*) is added to the
 * gradient, and goes through the optimizer's moments; a step overshoots where learning rate times p is above 1, and
 * diverges above 2. Implicit: it stays a spring, and the step goes to the minimum of what the gradient and the spring say
 * together, which is stable for any p. It has no momentum: under SGD with momentum mu and no dampening, gradients count
 * 1 / (1 - mu) times against it.
 */
import { buffer, constant } from '../tensor/create.ts';
import { broadcastShapes, sameShape, showShape } from '../tensor/layout.ts';
import { checkTensor, numbersOf, type Tensor } from '../tensor/tensor.ts';
import { ownersOf, placesIn, writeAt } from './reset.ts';
import { putInto, stateFor } from './side-state.ts';

export interface AnchorOptions {
  /** Where the parameter is drawn to, copied; its present value unless given. */
  readonly at?: Tensor;
  /** lambda Omega, from 0 up and finite: a number, or a tensor that broadcasts to the parameter, copied. */
  readonly precision: number | Tensor;
  /** Whether the pull is a spring beside the gradient ('implicit', the default) or a part of the gradient ('explicit'). */
  readonly step?: 'implicit' | 'explicit';
}

export class Anchor {
  readonly parameter: Tensor;
  /** w*, of the parameter's shape. */
  readonly at: Tensor;
  /** lambda Omega, a scalar or what broadcasts to the parameter. */
  readonly precision: Tensor;
  readonly step: 'implicit' | 'explicit';
  /** Takes the anchor off. */
  readonly remove: () => void;
  /** Whether one number is the precision of all weights, so that it belongs to none. */
  readonly #common: boolean;

  constructor(parameter: Tensor, { at = parameter, precision, step = 'implicit' }: AnchorOptions) {
    const state = stateFor('anchor', parameter);
    checkTensor('anchor', at);
    if (!sameShape(at.shape, parameter.shape))
      throw new Error(
        `anchor: 'at' has shape ${showShape(at.shape)}, the parameter ${showShape(parameter.shape)}. They must be equal.`,
      );
    if (step !== 'implicit' && step !== 'explicit')
      throw new Error(`anchor: step is 'implicit' or 'explicit', not ${String(step)}.`);
    const given = typeof precision === 'number' ? constant(precision) : precision;
    checkTensor('anchor', given);
    if (!numbersOf(given).every((x) => x >= 0 && x < Infinity))
      throw new Error(
        'anchor: precision (lambda Omega) must be finite numbers from 0 up. What shall not move at all has plasticity 0.',
      );
    if (!sameShape(broadcastShapes('anchor: precision', given.shape, parameter.shape), parameter.shape))
      throw new Error(
        `anchor: a precision of shape ${showShape(given.shape)} does not broadcast to a parameter of shape ${showShape(parameter.shape)}.`,
      );
    this.parameter = parameter;
    this.at = buffer(at);
    this.precision = buffer(given);
    this.step = step;
    this.#common = typeof precision === 'number';
    this.remove = putInto(state.anchors, this as Anchor, state.changed);
  }

  /** 1/2 sum lambda Omega (w - w*)^2 now, in double precision: for reports. It is no part of any graph. */
  penalty(): number {
    const [w, at, precision] = [this.parameter, this.at, this.precision].map(numbersOf) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const place = placesIn(this.precision, this.parameter.shape);
    let sum = 0;
    for (let i = 0; i < w.length; i++) {
      const away = w[i]! - at[i]!;
      sum += precision[place(i)]! * away * away;
    }
    return sum / 2;
  }

  /**
   * Weights were drawn anew: what held the old ones lets go. w* moves to the new values, and a precision that belongs to them
   * alone becomes 0; one that other weights share (a number for all) stays, and draws the new ones to where they began.
   */
  restart(elements: Int32Array): void {
    const values = numbersOf(this.parameter);
    writeAt(this.at, elements, (element) => values[element]!);
    if (!this.#common) writeAt(this.precision, ownersOf(this.precision, this.parameter, elements), () => 0);
  }
}

/**
 * Draws a parameter to a value, with lambda Omega as precision. Every step of an optimizer of this library that holds the
 * parameter applies it, even if no gradient arrived. A parameter may have several anchors: they add.
 * Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks" (2017), equation 3, without its division by 2
 * in lambda: the penalty is 1/2 lambda Omega (w - w*)^2.
 *
 *     const w = parameter(tensor([1, 2]));
 *     const held = anchor(w, { at: zeros([2]), precision: tensor([1000000, 0]) });
 *     new SGD([w], { lr: 1 }).step();
 *     w.toArray().map((x) => Number(x.toFixed(3))); // [0, 2]
 *     held.remove();
 */
export function anchor(parameter: Tensor, options: AnchorOptions): Anchor {
  if (options?.precision === undefined)
    throw new Error('anchor: say how firmly it holds, anchor(w, { precision: lambda }) or lambda times an importance.');
  return new Anchor(parameter, options);
}

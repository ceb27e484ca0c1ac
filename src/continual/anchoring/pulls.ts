/**
 * Pulls: what all methods of this folder leave behind at a parameter, 1/2 sum p (w - at)^2, and the three ways in which it joins.
 *
 * - 'loss': a penalty in the loss, as published. Its gradient goes through the optimizer's moments; where lr p is large, SGD
 *   overshoots.
 * - 'explicit': the same gradient, added by the optimizer as it steps (src/state/anchor.ts). `.grad` does not hold it.
 * - 'implicit': a spring beside the gradient; the optimizer steps to the minimum of both, which is stable for any p.
 *
 * One centre and one precision a weight, however many contexts there were. The tensors are the whole state: where weights are
 * drawn anew (src/state/reset.ts), the centre moves to the new value and the precision becomes 0.
 */
import { overwrite } from '../../importance/passes.ts';
import { type Numbers, withNumbers } from '../../importance/steps.ts';
import { add } from '../../ops/binary.ts';
import { quadraticPenalty } from '../../ops/penalty.ts';
import { type Anchor, anchor } from '../../state/anchor.ts';
import { onResetWhile, writeAt } from '../../state/reset.ts';
import { buffer, zeros } from '../../tensor/create.ts';
import { showShape } from '../../tensor/layout.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import type { Learning, StatefulMethod } from '../method.ts';
import { type Commit, checkFields, type KeptByName, type OwnParameters } from '../state.ts';
import type { AnchoringState } from './state.ts';

/** How a pull joins a step; see above. */
export type PullStep = 'loss' | 'implicit' | 'explicit';

/** Where a parameter is drawn to, and how firmly. Both of its shape. */
export interface Held {
  readonly at: Tensor;
  readonly precision: Tensor;
}

/** What pulls, as plain data. */
export interface PullsState {
  readonly step: PullStep;
  /** Centres and precisions by parameter; null: they are anchors, and stand in the state of the model that they are at. */
  readonly held: KeptByName | null;
}

/**
 * A method that draws weights to values. With the steps 'explicit' and 'implicit' its learner puts an anchor at each parameter when it
 * is made, with precision 0 until something is held.
 */
export interface AnchoringMethod extends StatefulMethod<AnchoringState> {
  /** What holds a parameter now; null: nothing yet. The tensors are the method's own. */
  held(parameter: Tensor): Held | null;
  /** 1/2 sum p (w - at)^2 over all parameters as they now are, in double precision. */
  penalty(): number;
  /**
   * Lets all parameters go; what is learned of them later holds anew. Where anchors held them, a checkpoint of after that is loaded
   * into a method that was released, too.
   */
  release(): void;
}

/** A penalty's tensors: what an anchor is without an optimizer that hears of it. */
class Penalty implements Held {
  readonly parameter: Tensor;
  readonly at: Tensor;
  readonly precision: Tensor;

  constructor(parameter: Tensor) {
    this.parameter = parameter;
    this.at = buffer(parameter);
    this.precision = buffer(zeros(parameter.shape));
    onResetWhile(parameter, this, ({ at, precision }, elements) => {
      const values = numbersOf(parameter);
      writeAt(at, elements, (element) => values[element]!);
      writeAt(precision, elements, () => 0);
    });
  }
}

export class Pulls {
  readonly #who: string;
  readonly step: PullStep;
  readonly #held = new Map<Tensor, Held>();
  readonly #anchors: Anchor[] = [];

  /** @param who the method, for errors */
  constructor(who: string, step: PullStep) {
    checkStep(who, step);
    this.#who = who;
    this.step = step;
  }

  readonly held = (parameter: Tensor): Held | null => this.#held.get(parameter) ?? null;

  /** What holds a parameter; where nothing does, its present value with precision 0. */
  heldFor(parameter: Tensor): Held {
    return entryOf(this.#held, parameter, () => this.#made(parameter));
  }

  #made(parameter: Tensor): Held {
    if (this.step === 'loss') return new Penalty(parameter);
    const made = anchor(parameter, { precision: zeros(parameter.shape), step: this.step });
    this.#anchors.push(made);
    return made;
  }

  /** Anchors travel with the model: they are there from the start, so that a saved model finds them again. */
  attach({ parameters }: Learning): void {
    if (this.step !== 'loss') for (const parameter of parameters.values()) this.heldFor(parameter);
  }

  state(parameters: OwnParameters): PullsState {
    const { step } = this;
    const held = step === 'loss' ? parameters.saved(this.#held, ({ at, precision }) => ({ at, precision })) : null;
    return { step, held };
  }

  taking(state: PullsState, parameters: OwnParameters): Commit {
    const who = `${this.#who}.loadStateDict`;
    checkFields(`${who}, pulls`, state, ['step', 'held']);
    const { step, held } = state;
    if (step !== this.step || (held === null) !== (step !== 'loss'))
      throw new Error(
        `${who}: the state is of a method with the step '${String(step)}', this one has '${this.step}'. Make it with that of the one that was ` +
          'saved.',
      );
    if (held === null) return () => {};
    const found = parameters.found(held, { at: 'tensor', precision: 'tensor' });
    return () => {
      this.#held.clear();
      for (const [parameter, saved] of found) {
        const { at, precision } = this.heldFor(parameter);
        overwrite(at, saved.at);
        overwrite(precision, saved.precision);
      }
    };
  }

  /**
   * Writes where a parameter is drawn to, `c`, and how firmly, `p`, from its values `w` and importances `f`: `body` writes one number
   * of each after the other. A precision that is NaN or infinite is an error.
   */
  write(
    parameter: Tensor,
    importance: Tensor,
    body: (w: Numbers, f: Numbers, c: Numbers, p: Numbers, i: number) => void,
  ): void {
    const { at, precision } = this.heldFor(parameter);
    let finite = true;
    withNumbers([parameter, importance, at, precision], [at, precision], (w, f, c, p) => {
      for (let i = 0; i < w.length; i++) {
        body(w, f, c, p, i);
        if (!(Math.abs(p[i]!) < Infinity)) finite = false;
      }
    });
    if (!finite)
      throw new Error(
        `${this.#who}: the precision of weights of a parameter of shape ${showShape(parameter.shape)} is NaN or infinite. Did training ` +
          'diverge, or is the strength too large for float32?',
      );
  }

  /** Draws a parameter to where it now is, with a precision made of its importance and of the precision so far. */
  move(parameter: Tensor, importance: Tensor, precisionOf: (importance: number, before: number) => number): void {
    this.write(parameter, importance, (w, f, c, p, i) => {
      p[i] = precisionOf(f[i]!, p[i]!);
      c[i] = w[i]!;
    });
  }

  /** The loss with the penalties, where they belong to it. */
  addedTo(loss: Tensor): Tensor {
    if (this.step !== 'loss') return loss;
    let sum = loss;
    for (const [parameter, { at, precision }] of this.#held) sum = add(sum, quadraticPenalty(parameter, at, precision));
    return sum;
  }

  readonly penalty = (): number => {
    let sum = 0;
    for (const [parameter, held] of this.#held) {
      const [w, at, p] = [parameter, held.at, held.precision].map(numbersOf) as [Numbers, Numbers, Numbers];
      for (let i = 0; i < w.length; i++) sum += p[i]! * (w[i]! - at[i]!) ** 2;
    }
    return sum / 2;
  };

  readonly release = (): void => {
    for (const one of this.#anchors) one.remove();
    this.#anchors.length = 0;
    this.#held.clear();
  };
}

/** What a method knows of a parameter, made when it first asks. */
export function entryOf<Entry>(
  known: Map<Tensor, Entry>,
  parameter: Tensor,
  make: (parameter: Tensor) => Entry,
): Entry {
  const found = known.get(parameter);
  if (found !== undefined) return found;
  const made = make(parameter);
  known.set(parameter, made);
  return made;
}

/** A sentence unless the strength is a finite number from 0 up. */
export function checkStrength(who: string, option: string, value: number): void {
  if (!(value >= 0 && value < Infinity))
    throw new RangeError(`${who}: ${option} must be a finite number from 0 up, but it is ${String(value)}.`);
}

/** A sentence unless a running mean can keep this share of itself. */
export function checkDecay(who: string, option: string, value: number): void {
  if (!(value >= 0 && value < 1))
    throw new RangeError(`${who}: ${option} must be a number from 0 up and below 1, but it is ${String(value)}.`);
}

function checkStep(who: string, step: PullStep): void {
  if (step !== 'loss' && step !== 'implicit' && step !== 'explicit')
    throw new RangeError(`${who}: step is 'loss', 'implicit' or 'explicit', not ${String(step)}.`);
}

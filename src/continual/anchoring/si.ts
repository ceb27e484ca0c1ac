/**
 * Synaptic intelligence: what each weight's own way through training brought. While a context is learned, each step adds
 *
 *     W += -g (w after - w before)
 *
 * so that the sum of W over all weights is, for small steps, what the loss fell by. When it has ended,
 *
 *     Omega += W / ((w - w at its start)^2 + damping),     W = 0,     loss + strength sum Omega (w - w*)^2
 *
 * with w* the values at its end. There is NO 1/2: the precision is 2 strength Omega.
 */

import { noGrad } from '../../autograd/modes.ts';
import { copy_ } from '../../ops/inplace.ts';
import { onResetWhile, writeAt } from '../../state/reset.ts';
import { run } from '../../storage/dispatch.ts';
import { buffer, zeros } from '../../tensor/create.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import { inTiles, minus, plus, times } from '../../tensor/tiles.ts';
import type { Learning } from '../method.ts';
import { Before, pullOf } from './passes.ts';
import { type AnchoringMethod, checkStrength, entryOf, type PullStep, Pulls, withNumbers } from './pulls.ts';

export interface SIOptions {
  /** c of the penalty c Omega (w - w*)^2, without 1/2. 0: ways are measured, and nothing is held. */
  readonly strength: number;
  /** Added to the squared distance (xi of the paper); 0.1 unless given. */
  readonly damping?: number;
  /** How the penalty joins a step; 'loss' unless given. */
  readonly step?: PullStep;
  /**
   * Whose gradient g is. 'total': of the whole loss, this method's penalty included, as in published code. 'loss': without this
   * method's penalty, as in the paper. 'total' unless given.
   */
  readonly path?: 'total' | 'loss';
  /**
   * Whether an Omega below 0 (a weight whose way made the loss worse) counts as 0 when it holds. Published code lets it push the
   * weight away from w*. Anchors cannot push: true for the steps 'implicit' and 'explicit', false for 'loss' unless given.
   */
  readonly clip?: boolean;
}

/** What is known of a parameter's way; the method's own tensors, of the parameter's shape, for reading. */
export interface Way {
  /** W so far in this context. */
  readonly path: Tensor;
  /** Omega of the contexts that have ended; may be negative. */
  readonly omega: Tensor;
  /** Values at the start of this context. */
  readonly start: Tensor;
}

export interface SIMethod extends AnchoringMethod {
  /** A parameter's way; null: it has not begun. */
  way(parameter: Tensor): Way | null;
}

class Walked implements Way {
  readonly parameter: Tensor;
  readonly path: Tensor;
  readonly omega: Tensor;
  readonly start: Tensor;
  readonly before: Before;

  constructor(parameter: Tensor) {
    const empty = () => buffer(zeros(parameter.shape));
    this.parameter = parameter;
    this.path = empty();
    this.omega = empty();
    this.start = buffer(parameter);
    this.before = new Before(parameter);
    // A weight that is drawn anew has gone no way, and is of no importance.
    onResetWhile(parameter, this, ({ path, omega, start, before }, elements) => {
      const values = numbersOf(parameter);
      for (const one of [path, omega]) writeAt(one, elements, () => 0);
      for (const one of [start, before.values]) writeAt(one, elements, (element) => values[element]!);
    });
  }
}

/**
 * Synaptic intelligence, see above. g is what the optimizer was given: gradients that another method changed count as changed.
 * Zenke, Poole and Ganguli, "Continual learning through synaptic intelligence" (2017), equations 3 to 5.
 *
 *     const learner = new ContinualLearner({ model, optimizer, methods: [si({ strength: 10 })] });
 */
export function si({
  strength,
  damping = 0.1,
  step = 'loss',
  path = 'total',
  clip = step !== 'loss',
}: SIOptions): SIMethod {
  checkStrength('si', 'strength', strength);
  if (!(damping > 0 && damping < Infinity))
    throw new RangeError(`si: damping must be a finite number above 0, but it is ${String(damping)}.`);
  const pulls = new Pulls('si', step);
  if (path !== 'total' && path !== 'loss') throw new RangeError(`si: path is 'total' or 'loss', not ${String(path)}.`);
  if (typeof clip !== 'boolean') throw new TypeError(`si: clip is true or false, not ${String(clip)}.`);
  if (!clip && step !== 'loss')
    throw new RangeError(
      `si: an anchor cannot push, so the step '${step}' clips. Leave clip out, or take step 'loss'.`,
    );
  const ways = new Map<Tensor, Walked>();
  // `.grad` holds the penalty's gradient if the penalty is in the loss; 1 adds it where it is missing, -1 takes it out.
  const own = (path === 'total' ? 1 : 0) - (step === 'loss' ? 1 : 0);
  const all = ({ parameters }: Learning): Walked[] =>
    [...parameters.values()].map((parameter) => entryOf(ways, parameter, (one) => new Walked(one)));

  return {
    name: 'si',
    begin(_, learning) {
      for (const { parameter, start } of all(learning)) noGrad(() => copy_(start, parameter));
    },
    loss: (loss) => pulls.addedTo(loss),
    gradients({ learning }) {
      for (const { before } of all(learning)) before.note();
    },
    stepped({ learning }) {
      for (const way of all(learning)) walk(way);
    },
    end(_, learning) {
      for (const way of all(learning)) arrive(way);
    },
    held: pulls.held,
    penalty: pulls.penalty,
    release: pulls.release,
    way: (parameter) => ways.get(parameter) ?? null,
  };

  function walk({ parameter, path: sum, before }: Walked): void {
    const { grad } = parameter;
    if (grad === null) return;
    const held = own === 0 ? null : pulls.held(parameter);
    const pulling = held === null ? [] : [held.at, held.precision];
    const { values } = before;
    inTiles([parameter, values, grad, sum, ...pulling], [sum, values], ([w, from, g, total, at, p], n, work, other) => {
      minus(w!, from!, work, n);
      if (held === null) times(work, g!, work, n);
      else {
        pullOf(from!, at!, p!, other, n);
        if (own > 0) plus(g!, other, other, n);
        else minus(g!, other, other, n);
        times(work, other, work, n);
      }
      minus(total!, work, total!, n);
      run.copy(w!, from!, n);
    });
    before.followed();
  }

  /** The context has ended: W becomes Omega. */
  function arrive({ parameter, path: sum, omega, start }: Walked): void {
    withNumbers([parameter, sum, omega, start], [sum, omega, start], (w, brought, total, from) => {
      for (let i = 0; i < w.length; i++) {
        total[i]! += brought[i]! / ((w[i]! - from[i]!) ** 2 + damping);
        from[i] = w[i]!;
        brought[i] = 0;
      }
    });
    if (strength > 0) pulls.move(parameter, omega, (total) => 2 * strength * (clip && total < 0 ? 0 : total));
  }
}

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

import { overwrite } from '../../importance/passes.ts';
import { withNumbers } from '../../importance/steps.ts';
import { Trail } from '../../importance/trail.ts';
import { onResetWhile, writeAt } from '../../state/reset.ts';
import { buffer, zeros } from '../../tensor/create.ts';
import { given } from '../../tensor/given.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Learning } from '../method.ts';
import { type AnchoringMethod, checkStrength, entryOf, type PullStep, Pulls } from './pulls.ts';
import { remembering } from './state.ts';

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

class Walked extends Trail implements Way {
  readonly omega: Tensor;

  constructor(parameter: Tensor) {
    super(parameter);
    this.omega = buffer(zeros(parameter.shape));
    // A weight that is drawn anew is of no importance.
    onResetWhile(parameter, this, ({ omega }, elements) => writeAt(omega, elements, () => 0));
  }
}

/**
 * Synaptic intelligence, see above. g is what the optimizer was given: gradients that another method changed count as changed.
 * Zenke, Poole and Ganguli, "Continual learning through synaptic intelligence" (2017), equations 3 to 5.
 *
 *     const learner = new ContinualLearner({ model, optimizer, methods: [si({ strength: 10 })] });
 */
export function si(options: SIOptions): SIMethod {
  const {
    strength,
    damping = 0.1,
    step = 'loss',
    path = 'total',
    clip = step !== 'loss',
  } = given('si({ strength: 10 })', 'options', options);
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
  const sign = path === 'total' ? (step === 'loss' ? 0 : 1) : step === 'loss' ? -1 : 0;
  const all = ({ parameters }: Learning): Walked[] =>
    [...parameters.values()].map((parameter) => entryOf(ways, parameter, (one) => new Walked(one)));

  return {
    name: 'si',
    begin(_, learning) {
      for (const way of all(learning)) way.begin();
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
    ...remembering({
      ...{ who: 'si', name: 'si', pulls, holds: strength > 0 },
      known: {
        map: ways,
        kinds: { path: 'tensor', omega: 'tensor', start: 'tensor' },
        read: ({ path, omega, start }) => ({ path, omega, start }),
        make(parameter, { path, omega, start }) {
          const way = new Walked(parameter);
          overwrite(way.path, path);
          overwrite(way.omega, omega);
          overwrite(way.start, start);
          return way;
        },
      },
    }),
    way: (parameter) => ways.get(parameter) ?? null,
  };

  function walk(way: Walked): void {
    const { parameter } = way;
    const { grad } = parameter;
    if (grad === null) return;
    const held = pulls.held(parameter);
    way.follow(grad, { pull: held !== null && sign !== 0 ? { at: held.at, precision: held.precision, sign } : null });
  }

  /** The context has ended: W becomes Omega. */
  function arrive(way: Walked): void {
    const { parameter, path: sum, omega, start } = way;
    withNumbers([parameter, sum, omega, start], [omega], (w, brought, total, from) => {
      for (let i = 0; i < w.length; i++) total[i]! += brought[i]! / ((w[i]! - from[i]!) ** 2 + damping);
    });
    way.begin();
    if (strength > 0) pulls.move(parameter, omega, (total) => 2 * strength * (clip && total < 0 ? 0 : total));
  }
}

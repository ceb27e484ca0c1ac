/**
 * Riemannian walk: online elastic weight consolidation and a path integral in one. At each step, with g the gradient of the loss
 * without this method's penalty,
 *
 *     F = alpha g^2 + (1 - alpha) F     (F = g^2 at first)          fall += -g (w after - w before)
 *
 * and after every few steps (and the rest, when the context ends) the stretch that began at w' adds
 *
 *     score += max(0, fall / (1/2 F (w - w')^2 + damping)),     fall = 0,     w' = w
 *
 * what the loss fell by, for how far the answers moved. When a context has ended, its score and the one before are averaged,
 * and the loss gets lambda sum (F / max F + score / max score) (w - w*)^2; the maxima are over all weights. There is NO 1/2:
 * the precision is 2 lambda times the bracket. g is a batch's mean gradient, so F is no mean over examples: other sizes of
 * batches ask for another lambda, unless it is normalized.
 */

import { noGrad } from '../../autograd/modes.ts';
import { checkWhole } from '../../data/check.ts';
import { overwrite } from '../../importance/passes.ts';
import { withNumbers } from '../../importance/steps.ts';
import { addScores, RunningSquares, Trail } from '../../importance/trail.ts';
import { add, mul } from '../../ops/binary.ts';
import { copy_, zero_ } from '../../ops/inplace.ts';
import { onResetWhile, writeAt } from '../../state/reset.ts';
import { buffer, zeros } from '../../tensor/create.ts';
import { given } from '../../tensor/given.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import type { Learning } from '../method.ts';
import { type AnchoringMethod, checkStrength, entryOf, type PullStep, Pulls } from './pulls.ts';
import { remembering } from './state.ts';

export interface RWalkOptions {
  /** Strength of the penalty lambda (F + score) (w - w*)^2, without 1/2. 0: ways are measured, and nothing is held. */
  readonly lambda: number;
  /** Share of the newest squared gradient in F, above 0 up to 1; 0.9 unless given. */
  readonly alpha?: number;
  /** Steps of a stretch; 10 unless given. */
  readonly every?: number;
  /** Added to the distance, against division by 0; 2^-23 unless given. */
  readonly damping?: number;
  /** Whether F and score are divided by their largest values, so that neither drowns the other; true unless given. */
  readonly normalize?: boolean;
  /** How the penalty joins a step; 'loss' unless given. */
  readonly step?: PullStep;
}

/** What is known of a parameter; the method's own tensors, of the parameter's shape, for reading. */
export interface Walk {
  readonly fisher: Tensor;
  /** Of the stretches of this context that have ended. */
  readonly score: Tensor;
  /** Of the contexts that have ended. */
  readonly past: Tensor;
}

export interface RWalkMethod extends AnchoringMethod {
  /** What is known of a parameter; null: nothing yet. */
  walk(parameter: Tensor): Walk | null;
}

/** Its path and start are those of the present stretch. */
class Walker extends Trail implements Walk {
  readonly squares: RunningSquares;
  readonly score: Tensor;
  readonly past: Tensor;

  constructor(parameter: Tensor, alpha: number) {
    super(parameter);
    this.squares = new RunningSquares(parameter, alpha);
    this.score = buffer(zeros(parameter.shape));
    this.past = buffer(zeros(parameter.shape));
    // A weight that is drawn anew has no score.
    onResetWhile(parameter, this, ({ score, past }, elements) => {
      for (const one of [score, past]) writeAt(one, elements, () => 0);
    });
  }

  get fisher(): Tensor {
    return this.squares.mean;
  }
}

/**
 * Riemannian walk, see above. Scores below 0 count as 0, stretch by stretch.
 * Chaudhry et al., "Riemannian walk for incremental learning: understanding forgetting and intransigence" (2018), equations 6 to 8.
 *
 *     const learner = new ContinualLearner({ model, optimizer, methods: [rwalk({ lambda: 0.1 })] });
 */
export function rwalk(options: RWalkOptions): RWalkMethod {
  const {
    lambda,
    alpha = 0.9,
    every = 10,
    damping = 2 ** -23,
    normalize = true,
    step = 'loss',
  } = given('rwalk({ lambda: 0.1 })', 'options', options);
  checkStrength('rwalk', 'lambda', lambda);
  if (!(alpha > 0 && alpha <= 1))
    throw new RangeError(`rwalk: alpha must be a number above 0 and up to 1, but it is ${String(alpha)}.`);
  checkWhole('rwalk', 'every (the steps of a stretch)', every, 1);
  if (!(damping > 0 && damping < Infinity))
    throw new RangeError(`rwalk: damping must be a finite number above 0, but it is ${String(damping)}.`);
  if (typeof normalize !== 'boolean')
    throw new TypeError(`rwalk: normalize is true or false, not ${String(normalize)}.`);
  const pulls = new Pulls('rwalk', step);
  const walkers = new Map<Tensor, Walker>();
  /** Contexts that have ended, and steps of this one. */
  const so = { contexts: 0, steps: 0 };

  const all = ({ parameters }: Learning): Walker[] =>
    [...parameters.values()].map((parameter) => entryOf(walkers, parameter, (one) => new Walker(one, alpha)));

  return {
    name: 'rwalk',
    begin(_, learning) {
      for (const walker of all(learning)) walker.begin();
    },
    loss: (loss) => pulls.addedTo(loss),
    gradients({ learning }) {
      for (const { before } of all(learning)) before.note();
    },
    stepped({ learning }) {
      for (const walker of all(learning)) stepOf(walker);
      so.steps++;
      if (so.steps % every === 0) for (const walker of all(learning)) endStretch(walker);
    },
    end(_, learning) {
      const known = all(learning);
      for (const walker of known) endStretch(walker);
      so.steps = 0;
      // The first context's score is its own; later ones count as much as all before them.
      for (const { score, past } of known) {
        noGrad(() => copy_(past, so.contexts === 0 ? score : mul(add(past, score), 0.5)));
        zero_(score);
      }
      so.contexts++;
      if (lambda > 0) holdAll(known);
    },
    held: pulls.held,
    penalty: pulls.penalty,
    release: pulls.release,
    ...remembering({
      ...{ who: 'rwalk', name: 'rwalk', pulls, holds: lambda > 0, counts: so },
      known: {
        map: walkers,
        kinds: {
          ...{ fisher: 'tensor', begun: 'flag', score: 'tensor', past: 'tensor' },
          ...{ path: 'tensor', start: 'tensor' },
        } as const,
        read: ({ fisher, squares: { begun }, score, past, path, start }) => ({
          fisher,
          begun,
          score,
          past,
          path,
          start,
        }),
        make(parameter, { fisher, begun, score, past, path, start }) {
          const walker = new Walker(parameter, alpha);
          overwrite(walker.fisher, fisher);
          walker.squares.begun = begun;
          overwrite(walker.score, score);
          overwrite(walker.past, past);
          overwrite(walker.path, path);
          overwrite(walker.start, start);
          return walker;
        },
      },
    }),
    walk: (parameter) => walkers.get(parameter) ?? null,
  };

  function stepOf(walker: Walker): void {
    const { parameter, squares } = walker;
    const { grad } = parameter;
    if (grad === null) return;
    // The penalty's own gradient is no part of g: it is in .grad only if the penalty is in the loss.
    const held = step === 'loss' ? pulls.held(parameter) : null;
    walker.follow(grad, { pull: held && { at: held.at, precision: held.precision, sign: -1 }, squares });
  }

  function endStretch(walker: Walker): void {
    const { parameter, fisher, score, start, path } = walker;
    withNumbers([score, path, fisher, start, parameter], [score], (scores, fall, squares, from, to) =>
      addScores(scores, { fall, fisher: squares, from, to }, damping),
    );
    walker.begin();
  }

  function holdAll(known: readonly Walker[]): void {
    const [mostFisher, mostPast] = normalize
      ? [largest(known.map(({ fisher }) => fisher)), largest(known.map(({ past }) => past))]
      : [1, 1];
    for (const { parameter, fisher, past } of known) {
      const { precision } = pulls.heldFor(parameter);
      withNumbers([fisher, past, precision], [precision], (f, s, p) => {
        for (let i = 0; i < f.length; i++) p[i] = 2 * lambda * (f[i]! / mostFisher + s[i]! / mostPast);
      });
      pulls.move(parameter, precision, (made) => made);
    }
  }
}

/** The largest number of all, 1 if none is above 0. */
function largest(tensors: readonly Tensor[]): number {
  let most = 0;
  for (const one of tensors) for (const x of numbersOf(one)) if (x > most) most = x;
  return most > 0 ? most : 1;
}

/**
 * Anchors without contexts: nobody says where one context ends and the next begins. Each weight is drawn to a running mean of its
 * own past, as firmly as a running importance says. At each step, before the optimizer's, with w the values and g the gradient,
 *
 *     at = mean of w          fisher: Omega = mean of g^2          mas: Omega = mean of |g|
 *     si: Omega = m / (d^2 + damping), m the mean of -g (w after - w before), d the mean of w after - w before, up to the last step
 *
 * and the pull is lambda Omega (w - at): the precision is lambda Omega, of a penalty WITH 1/2. Means forget exponentially and
 * are corrected for their start, in the form x += (1 - decay) / (1 - decay^age) (new - x), so a mean is its first number at first.
 *
 * g is a batch's mean gradient, not an example's: with 'fisher' other sizes of batches ask for another lambda. The gradient of
 * the very step is in Omega; so with the step 'loss' the penalty is no node of the graph, but its gradient is added to `.grad`.
 */
import { slopeToAddTo } from '../../autograd/inbox.ts';
import type { Node } from '../../autograd/node.ts';
import { approach, Before, overwrite, pullOf, scaled } from '../../importance/passes.ts';
import { onResetWhile, writeAt } from '../../state/reset.ts';
import { run } from '../../storage/dispatch.ts';
import { buffer, full, zeros } from '../../tensor/create.ts';
import { given } from '../../tensor/given.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import { inTiles, minus, over, plus, times } from '../../tensor/tiles.ts';
import type { Method } from '../method.ts';
import { type AnchoringMethod, checkDecay, checkStrength, entryOf, type Held, type PullStep, Pulls } from './pulls.ts';
import { remembering } from './state.ts';

export interface OnlineAnchorsOptions {
  /** Strength of the penalty lambda/2 Omega (w - at)^2. 0: plain training. */
  readonly lambda: number;
  /** What makes a weight important; see above. 'fisher' unless given. */
  readonly importance?: 'fisher' | 'mas' | 'si';
  /** Share of the importance that is kept from step to step, from 0 up and below 1; 0.999 unless given. */
  readonly decay?: number;
  /** Share of the mean of weights that is kept from step to step, from 0 up and below 1; 0.999 unless given. */
  readonly anchorDecay?: number;
  /** Of 'si': added to the squared distance; 0.001 unless given. */
  readonly damping?: number;
  /** How the pull joins a step; 'explicit' unless given. */
  readonly step?: PullStep;
  /** Of 'si': whether Omega below 0 counts as 0. Anchors cannot push: true for their two steps, false for 'loss' unless given. */
  readonly clip?: boolean;
}

class Known {
  readonly parameter: Tensor;
  readonly held: Held;
  /** Steps with a gradient. */
  steps = 0;
  /**
   * 1 - decay^age and 1 - anchorDecay^age of each weight, once weights of this parameter are of different ages; null: all are of
   * one, that of `steps`.
   */
  ages: { readonly importance: Tensor; readonly anchor: Tensor } | null = null;
  /** Of 'si' only. */
  readonly way: { readonly before: Before; readonly brought: Tensor; readonly moved: Tensor } | null;

  constructor(parameter: Tensor, held: Held, ofPath: boolean) {
    const empty = () => buffer(zeros(parameter.shape));
    this.parameter = parameter;
    this.held = held;
    this.way = ofPath ? { before: new Before(parameter), brought: empty(), moved: empty() } : null;
  }
}

/**
 * Anchors for streams, see above; begin and end of contexts mean nothing to it. With SGD and the step 'explicit' it is
 * w -= lr (g + lambda Omega (w - at)).
 * Elsayed and Mahmood, "Addressing loss of plasticity and catastrophic forgetting in continual learning" (2024), the forms of
 * EWC, MAS and SI that they compare with. (Their si sees the gradient after a movement, here it is the one that caused it.)
 *
 *     const learner = new ContinualLearner({ model, optimizer, methods: [onlineAnchors({ lambda: 0.1 })] });
 *     learner.learn({ x: randn([2, 784]), labels: Int32Array.of(0, 3), head: [0, 4], context: 0 });
 */
export function onlineAnchors(options: OnlineAnchorsOptions): AnchoringMethod {
  const {
    lambda,
    importance = 'fisher',
    decay = 0.999,
    anchorDecay = 0.999,
    damping = 1e-3,
    step = 'explicit',
    clip = step !== 'loss',
  } = given('onlineAnchors({ lambda: 0.1 })', 'options', options);
  const who = 'onlineAnchors';
  checkStrength(who, 'lambda', lambda);
  if (importance !== 'fisher' && importance !== 'mas' && importance !== 'si')
    throw new RangeError(`${who}: importance is 'fisher', 'mas' or 'si', not ${String(importance)}.`);
  checkDecay(who, 'decay', decay);
  checkDecay(who, 'anchorDecay', anchorDecay);
  if (!(damping > 0 && damping < Infinity))
    throw new RangeError(`${who}: damping must be a finite number above 0, but it is ${String(damping)}.`);
  const pulls = new Pulls(who, step);
  if (typeof clip !== 'boolean') throw new TypeError(`${who}: clip is true or false, not ${String(clip)}.`);
  if (!clip && step !== 'loss')
    throw new RangeError(
      `${who}: an anchor cannot push, so the step '${step}' clips. Leave clip out, or take step 'loss'.`,
    );
  const known = new Map<Tensor, Known>();
  const ofPath = importance === 'si';

  const hooks: Pick<Method, 'gradients' | 'stepped'> = {
    gradients({ learning }) {
      for (const parameter of learning.parameters.values()) {
        const node = parameter.node as Node | null;
        if (node !== null && node.slope !== null) learnFrom(parameter, slopeToAddTo(node, parameter.shape));
      }
    },
  };
  if (ofPath)
    hooks.stepped = ({ learning }) => {
      for (const parameter of learning.parameters.values()) {
        const slope = (parameter.node as Node | null)?.slope ?? null;
        const one = known.get(parameter);
        if (slope !== null && one !== undefined) learnPath(one, slope);
      }
    };

  const name = `online-${importance}`;
  return {
    name,
    ...(lambda > 0 ? hooks : {}),
    held: pulls.held,
    penalty: pulls.penalty,
    release: () => {
      pulls.release();
      known.clear();
    },
    ...remembering({
      ...{ who, name, pulls, holds: lambda > 0 },
      known: {
        map: known,
        kinds: {
          steps: 'count',
          ...({ importanceAge: 'tensor or null', anchorAge: 'tensor or null' } as const),
          ...({ brought: ofPath ? 'tensor' : 'tensor or null', moved: ofPath ? 'tensor' : 'tensor or null' } as const),
        },
        read: ({ steps, ages, way }) => ({
          steps,
          ...{ importanceAge: ages?.importance ?? null, anchorAge: ages?.anchor ?? null },
          ...{ brought: way?.brought ?? null, moved: way?.moved ?? null },
        }),
        make(parameter, { steps, importanceAge, anchorAge, brought, moved }) {
          const one = newKnown(parameter);
          one.steps = steps;
          if (importanceAge !== null && anchorAge !== null)
            one.ages = { importance: buffer(importanceAge), anchor: buffer(anchorAge) };
          if (one.way !== null && brought !== null && moved !== null) {
            overwrite(one.way.brought, brought);
            overwrite(one.way.moved, moved);
          }
          return one;
        },
      },
    }),
  };

  function newKnown(parameter: Tensor): Known {
    const one = new Known(parameter, pulls.heldFor(parameter), ofPath);
    onResetWhile(parameter, one, restart);
    return one;
  }

  /** Weights were drawn anew: their means begin again. Centre and precision are the pull's affair. */
  function restart(one: Known, elements: Int32Array): void {
    const { parameter, steps, way } = one;
    if (steps === 0) return;
    const grown = (share: number) => buffer(full(parameter.shape, 1 - share ** steps));
    one.ages ??= { importance: grown(decay), anchor: grown(anchorDecay) };
    for (const ages of Object.values(one.ages)) writeAt(ages, elements, () => newborn);
    if (way === null) return;
    const values = numbersOf(parameter);
    writeAt(way.before.values, elements, (element) => values[element]!);
    for (const mean of [way.brought, way.moved]) writeAt(mean, elements, () => 0);
  }

  function learnFrom(parameter: Tensor, slope: Tensor): void {
    const one = entryOf(known, parameter, newKnown);
    one.steps++;
    one.way?.before.note();
    const { held, ages } = one;
    const [gain, anchorGain] = [gainOf(one, decay), gainOf(one, anchorDecay)];
    const agesOf = ages === null ? [] : [ages.importance, ages.anchor];
    const written = [held.at, held.precision, ...(step === 'loss' ? [slope] : []), ...agesOf];
    const tensors = [parameter, slope, held.at, held.precision, ...agesOf];
    inTiles(tensors, written, ([w, g, at, p, age, anchorAge], n, news) => {
      if (ages !== null) {
        scaled(age!, age!, n, decay, 1 - decay);
        scaled(anchorAge!, anchorAge!, n, anchorDecay, 1 - anchorDecay);
      }
      if (!ofPath) {
        if (importance === 'fisher') run.square(g!, news, n, 0, 0);
        else run.abs(g!, news, n, 0, 0);
        scaled(news, news, n, lambda);
        approach(p!, news, n, gain, age ?? 0);
      }
      run.copy(w!, news, n);
      approach(at!, news, n, anchorGain, anchorAge ?? 0);
      if (step !== 'loss') return;
      pullOf(w!, at!, p!, news, n);
      plus(g!, news, g!, n);
    });
  }

  /** What a mean is moved by: all the way at first. With ages of their own, weights divide it themselves. */
  function gainOf({ steps, ages }: Known, share: number): number {
    return ages === null ? (1 - share) / (1 - share ** steps) : 1 - share;
  }

  function learnPath(one: Known, slope: Tensor): void {
    const { parameter, held, ages, way } = one;
    if (way === null) return;
    const { before, brought, moved } = way;
    const gain = gainOf(one, decay);
    const written = [before.values, brought, moved, held.precision];
    const tensors = [parameter, slope, held.at, ...written, ...(ages === null ? [] : [ages.importance])];
    inTiles(tensors, written, ([w, g, at, from, mean, distance, p, age], n, by, work) => {
      minus(w!, from!, by, n);
      // With the step 'loss' the pull was added to the gradient, and is no part of what the loss fell by.
      if (step === 'loss') {
        pullOf(from!, at!, p!, work, n);
        minus(g!, work, work, n);
        times(work, by, work, n);
      } else times(g!, by, work, n);
      scaled(work, work, n, -1);
      approach(mean!, work, n, gain, age ?? 0);
      approach(distance!, by, n, gain, age ?? 0);
      run.square(distance!, work, n, 0, 0);
      scaled(work, work, n, 1, damping);
      over(mean!, work, work, n);
      if (clip) run.relu(work, work, n, 0, 0);
      scaled(work, p!, n, lambda);
      run.copy(w!, from!, n);
    });
    before.followed();
  }
}

/** 1 - decay^0, but a number that can be divided by: a weight that is drawn anew within a step has nothing to divide. */
const newborn = 2 ** -100;

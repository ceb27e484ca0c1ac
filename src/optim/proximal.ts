/**
 * How a parameter moves that is told more than a gradient: by targets in its inbox, by anchors, by its plasticity.
 *
 * The optimizer's moments see the gradient g alone (with what is part of it: L2 decay, explicit anchors) and make a direction
 * d of it. Then comes one step to the minimum of all that is said about the displacement x of a weight,
 *
 *     d x + p/2 (x - r/p)^2 + rho/2 x^2        x = (r - d) / (rho + p)
 *
 * where p and r sum the springs (targets, implicit anchors), and rho is the stiffness: 1 / (eta plasticity) for SGD,
 * (sqrt(v) + eps) / (eta plasticity) for Adam. It is stable however large p is. AdamW's decay is no spring: it moves the weight
 * first, and the springs pull from there. A hard target sets its elements. What has plasticity 0 does not move: same bits.
 *
 * All of this is done to a tile of the weights before the next (tensor/tiles.ts), by passes of kernels over numbers that are in
 * the cache. Where no springs are, x = plasticity (-eta d / ...), and what is in brackets is the optimizer's own step from 0.
 */
import { checkFresh } from '../autograd/inbox.ts';
import type { Node } from '../autograd/node.ts';
import { copy_ } from '../ops/inplace.ts';
import { expand } from '../ops/sum.ts';
import { heap, run } from '../storage/dispatch.ts';
import { packed } from '../tensor/access.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { inTiles, minus, over, plus, plusScaled, times } from '../tensor/tiles.ts';
import { type Guide, unguided } from './guided.ts';

/** A tile of the weights: n numbers of each operand, and tiles to work in. */
export interface Tile {
  /** Addresses of the operands. */
  readonly at: readonly number[];
  readonly n: number;
  readonly slope: number;
  /** r - d, and then the step. */
  readonly force: number;
  /** rho + p */
  readonly stiffness: number;
  /** The weights after decay. */
  readonly decayed: number;
  readonly work: number;
}

/** What an optimizer makes of the gradients of one parameter. */
export interface Mover {
  readonly name: string;
  readonly lr: number;
  /** Strength of the L2 penalty, which is part of the gradient. */
  readonly l2: number;
  /** Of AdamW: the share of a weight that lr times this takes off. */
  readonly decay: number;
  /** Whether the stiffness rho may be 0: lr is infinite, or eps is 0. */
  readonly unbounded: boolean;
  /** Tensors of the parameter's size that it writes (moments), and those that it reads besides: the first operands. */
  readonly written: readonly Tensor[];
  readonly read: readonly Tensor[];
  /**
   * Moves the moments of a tile by the slopes at an address, which it leaves as they are, and writes the step from 0 at learning
   * rate `rate`, -d / rho, to `force`. null: it has no shorter way than by d and rho.
   */
  readonly step: ((tile: Tile, slope: number, rate: number) => void) | null;
  /** The same, but takes d from what stands in `force`, and writes rho to `stiffness`. It may use `work`. */
  advance(tile: Tile, slope: number, rate: number): void;
}

/** What follows are places of operands: of a precision (step 0: one number for all weights), of an anchor, of all there are. */
interface Precision {
  readonly place: number;
  readonly step: 0 | 1;
}

interface Pull {
  readonly goal: number;
  readonly precision: Precision;
}

interface Plan {
  readonly mover: Mover;
  /** Learning rate times the plasticity that all weights share. */
  readonly rate: number;
  readonly weight: number;
  readonly gradient: number | null;
  readonly plasticity: number | null;
  readonly explicit: readonly Pull[];
  readonly implicit: readonly Pull[];
  /** The targets that arrived. */
  readonly springs: { readonly pull: number; readonly precision: Precision } | null;
  readonly hard: { readonly mask: number; readonly displacement: number } | null;
}

/** Moves a parameter by one step, proximal where springs are. To be called inside noGrad. */
export function moveGuided(parameter: Tensor, node: Node, guide: Guide = unguided, mover: Mover): void {
  checkFresh(node);
  const { name, lr, unbounded, written } = mover;
  const { shape } = parameter;
  const { springs } = node;
  // An error that shows on the way must find the parameter as it was.
  const apart = unbounded || !parameter.layout.contiguous;
  const weights = apart ? packed(parameter) : parameter;

  const operands = [...written, ...mover.read];
  const place = (x: Tensor): number =>
    operands.push(x.size === 1 || sameShape(x.shape, shape) ? x : expand(x, shape)) - 1;
  const precise = (p: Tensor): Precision => ({ place: place(p), step: p.size === 1 ? 0 : 1 });
  const pulls = (form: 'explicit' | 'implicit'): Pull[] =>
    guide.anchors
      .filter(({ step }) => step === form)
      .map(({ at, precision }) => ({ goal: place(at), precision: precise(precision) }));
  const hard = springs?.hard ?? null;
  const plan: Plan = {
    mover,
    rate: guide.share === 0 ? 0 : lr * guide.share,
    weight: place(weights),
    gradient: node.slope && place(node.slope),
    plasticity: guide.plasticity && place(guide.plasticity),
    explicit: pulls('explicit'),
    implicit: pulls('implicit'),
    springs: springs && { pull: place(springs.pull), precision: precise(springs.precision) },
    hard: hard && { mask: place(hard.mask), displacement: place(hard.displacement) },
  };

  const stays = plan.rate === 0;
  const proximal = unbounded || springs !== null || plan.implicit.length > 0;
  let boundless = false;
  const outcome = stays || apart ? written : [...written, parameter];
  inTiles(operands, outcome, (at, n, slope, force, stiffness, decayed, work) => {
    const tile: Tile = { at, n, slope, force, stiffness, decayed, work };
    const seen = slopeOf(plan, tile);
    if (stays) mover.advance(tile, seen, 0);
    else if (!proximal) ownStep(plan, tile, seen);
    else if (!proximalStep(plan, tile, seen)) boundless = true;
  });
  if (boundless)
    throw new Error(
      `${name}: a gradient arrived at a parameter of shape ${showShape(shape)} where no target says how far to go, and nothing ` +
        'else does. Give a step size: lr below Infinity and, for Adam, eps above 0.',
    );
  if (apart && !stays) copy_(parameter, weights);
}

/** What the moments see: g, L2 decay, and explicit anchors. Returns where it stands: at g itself, if that is all. */
function slopeOf({ mover, weight, gradient, explicit }: Plan, { at, n, slope, work }: Tile): number {
  const w = at[weight]!;
  let seen = gradient === null ? slope : at[gradient]!;
  if (gradient === null) run.fill(slope, n, 0);
  const addWork = (): void => {
    plus(seen, work, slope, n);
    seen = slope;
  };
  if (mover.l2 !== 0) {
    run.scale(w, work, n, mover.l2, 0);
    addWork();
  }
  for (const { goal, precision } of explicit) {
    minus(w, at[goal]!, work, n);
    times(work, at[precision.place]!, work, n, precision.step);
    addWork();
  }
  return seen;
}

/** w += plasticity (own step - eta decay w) */
function ownStep({ mover, rate, weight, plasticity }: Plan, tile: Tile, slope: number): void {
  const { at, n, force, stiffness } = tile;
  const w = at[weight]!;
  if (mover.step !== null) mover.step(tile, slope, rate);
  else {
    run.fill(force, n, 0);
    mover.advance(tile, slope, rate);
    over(force, stiffness, force, n);
  }
  if (mover.decay !== 0) plusScaled(force, w, n, -rate * mover.decay);
  if (plasticity === null) return plus(w, force, w, n);
  times(force, at[plasticity]!, force, n);
  plus(w, force, force, n);
  run.where(at[plasticity]!, force, w, w, n);
}

/** w += (r - d) / (rho + p), after decay. False: somewhere no step is long enough. */
function proximalStep(plan: Plan, tile: Tile, slope: number): boolean {
  const { mover, rate, weight, plasticity, implicit, springs, hard } = plan;
  const { at, n, force, stiffness, decayed, work } = tile;
  const w = at[weight]!;
  const share = plasticity === null ? 0 : at[plasticity]!;
  let from = w;
  if (mover.decay !== 0) {
    run.scale(w, decayed, n, rate * mover.decay, 0);
    if (share !== 0) times(decayed, share, decayed, n);
    minus(w, decayed, decayed, n);
    from = decayed;
  }

  // r, whose first part is written, and others added.
  let isFirst = true;
  const pullTo = (goal: number, { place, step }: Precision): void => {
    const out = isFirst ? force : work;
    minus(goal, from, out, n);
    times(out, at[place]!, out, n, step);
    if (!isFirst) plus(force, work, force, n);
    isFirst = false;
  };
  for (const { goal, precision } of implicit) pullTo(at[goal]!, precision);
  // A target's displacement starts from the weight before decay.
  if (springs !== null && from !== w) pullTo(w, springs.precision);
  if (isFirst) run.fill(force, n, 0);
  if (springs !== null) plus(force, at[springs.pull]!, force, n);

  mover.advance(tile, slope, rate);
  if (share !== 0) over(stiffness, share, stiffness, n);
  for (const { precision } of springs === null ? implicit : [...implicit, springs])
    plus(stiffness, at[precision.place]!, stiffness, n, precision.step);

  const bounded = !mover.unbounded || bound(tile, hard === null ? 0 : at[hard.mask]!);
  over(force, stiffness, force, n);
  const last = share === 0 ? w : force;
  plus(from, force, hard === null ? last : force, n);
  if (hard !== null) {
    plus(w, at[hard.displacement]!, work, n);
    run.where(at[hard.mask]!, work, force, last, n);
  }
  if (share !== 0) run.where(share, force, w, w, n);
  return bounded;
}

/**
 * Where force and stiffness are both 0 nothing asks for a step: the stiffness becomes 1. False: where only the stiffness is 0,
 * and no step is long enough. Weights that a hard target sets (`mask` is an address; 0: none) ask for nothing; where plasticity
 * is 0 the stiffness never is: it was divided by it.
 */
function bound({ n, force, stiffness }: Tile, mask: number): boolean {
  const { floats } = heap;
  let bounded = true;
  for (let i = 0; i < n; i++) {
    if (floats[stiffness + i] !== 0) continue;
    floats[stiffness + i] = 1;
    const isSet = mask !== 0 && floats[mask + i] !== 0;
    if (!isSet && floats[force + i] !== 0) bounded = false;
  }
  return bounded;
}

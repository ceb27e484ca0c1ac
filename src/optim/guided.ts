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
 */
import { checkFresh } from '../autograd/inbox.ts';
import type { Node } from '../autograd/node.ts';
import { add, div, eq, mul, sub, where } from '../ops/binary.ts';
import { copy_ } from '../ops/inplace.ts';
import type { Anchor } from '../state/anchor.ts';
import { readGate } from '../state/gate.ts';
import { guided, stateOf } from '../state/side-state.ts';
import { tensor, zeros } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import type { Slot } from './optimizer.ts';

/** What guides a parameter besides its inbox. */
export interface Guide {
  readonly anchors: readonly Anchor[];
  /** The product of all plasticities as they stood before the step; null: 1. */
  readonly plasticity: Tensor | null;
}

const unguided: Guide = { anchors: [], plasticity: null };

/** The guides of all parameters that have any, read before anything moves; null: no parameter anywhere has one. */
export function readGuides(groups: readonly { readonly slots: readonly Slot[] }[]): Map<Tensor, Guide> | null {
  if (guided.count === 0) return null;
  const guides = new Map<Tensor, Guide>();
  for (const { slots } of groups)
    for (const { parameter } of slots) {
      const state = stateOf(parameter);
      if (state === null || state.anchors.length + state.plasticities.length === 0) continue;
      let plasticity: Tensor | null = null;
      for (const { gate } of state.plasticities) {
        const one = readGate('plasticity', gate, parameter);
        plasticity = plasticity === null ? one : mul(plasticity, one);
      }
      guides.set(parameter, { anchors: state.anchors, plasticity });
    }
  return guides;
}

/** Whether a step is due: something arrived, or an anchor pulls. A gradient that did not arrive then counts as 0. */
export const isDue = ({ slope, springs }: Node, guide: Guide = unguided): boolean =>
  slope !== null || springs !== null || guide.anchors.length > 0;

/** What the moments see: g, L2 decay, and explicit anchors. Targets that are stale are an error, before anything changes. */
export function slopeOf(parameter: Tensor, node: Node, { anchors }: Guide = unguided, weightDecay: number): Tensor {
  checkFresh(node);
  let slope = node.slope ?? zeros(parameter.shape);
  if (weightDecay !== 0) slope = add(slope, mul(parameter, weightDecay));
  for (const { at, precision, step } of anchors)
    if (step === 'explicit') slope = add(slope, mul(precision, sub(parameter, at)));
  return slope;
}

/** What an optimizer has made of the gradient. */
export interface Move {
  readonly direction: Tensor;
  /** Adam's sqrt(v) + eps, by which a weight resists; null: 1. */
  readonly resistance: Tensor | null;
  readonly lr: number;
  /** Of AdamW. */
  readonly decay: number;
  /** Whether the stiffness rho may be 0: lr is infinite, or eps is 0. */
  readonly unbounded: boolean;
}

/** Moves a parameter by one proximal step. To be called inside noGrad. */
export function moveGuided(name: string, parameter: Tensor, node: Node, guide: Guide = unguided, move: Move): void {
  const { direction, resistance, lr, decay, unbounded } = move;
  const { plasticity, anchors } = guide;
  const { springs } = node;
  if (lr === 0) return;
  // eta plasticity, the same for decay and step.
  const rate = tensor(lr);
  const compliance = plasticity === null ? rate : mul(plasticity, rate);
  const decayed = decay === 0 ? parameter : sub(parameter, mul(mul(compliance, decay), parameter));

  let precision: Tensor | null = springs?.precision ?? null;
  let pull: Tensor | null = springs?.pull ?? null;
  if (springs !== null && decay !== 0) pull = add(springs.pull, mul(springs.precision, sub(parameter, decayed)));
  for (const one of anchors) {
    if (one.step === 'explicit') continue;
    const own = mul(one.precision, sub(one.at, decayed));
    pull = pull === null ? own : add(pull, own);
    precision = precision === null ? one.precision : add(precision, one.precision);
  }

  const force = pull === null ? mul(direction, -1) : sub(pull, direction);
  const rho = div(resistance ?? 1, compliance);
  const stiffness = precision === null ? rho : add(rho, precision);
  const hard = springs?.hard ?? null;
  const step = unbounded
    ? boundedStep(name, hard === null ? force : where(hard.mask, 0, force), stiffness, plasticity, parameter)
    : div(force, stiffness);
  let moved = add(decayed, step);
  if (hard !== null) moved = where(hard.mask, add(parameter, hard.displacement), moved);
  if (plasticity !== null) moved = where(eq(plasticity, 0), parameter, moved);
  copy_(parameter, moved);
}

/** force / stiffness. Where both are 0 nothing asks for a step; where only the stiffness is, no step is long enough. */
function boundedStep(
  name: string,
  force: Tensor,
  stiffness: Tensor,
  plasticity: Tensor | null,
  { shape }: Tensor,
): Tensor {
  const free = eq(stiffness, 0);
  const asked = plasticity === null ? force : where(eq(plasticity, 0), 0, force);
  if (numbersOf(mul(free, asked)).some((x) => x !== 0))
    throw new Error(
      `${name}: a gradient arrived at a parameter of shape ${showShape(shape)} where no target says how far to go, and nothing ` +
        'else does. Give a step size: lr below Infinity and, for Adam, eps above 0.',
    );
  return div(asked, add(stiffness, free));
}

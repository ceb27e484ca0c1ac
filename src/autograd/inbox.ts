/**
 * The inbox of a value: the sum of all messages that its consumers send it in a backward walk.
 *
 * A message is a quadratic function of the value's displacement x. A gradient is a slope <g, x>; a target is a spring
 * 1/2 sum p (x - d)^2, that pulls towards the displacement d with precision p >= 0. Quadratics add, so three sums hold
 * any number of messages of either kind:
 *
 *     g = sum g_k        p = sum p_k        r = sum p_k d_k
 *     as gradient:  g - r            as step under stiffness rho:  (r - g) / (rho + p)
 *
 * g is the node's `slope`; p and r are its `springs`, which do not exist until a target comes: a graph of gradients
 * alone costs what plain backpropagation costs. Messages are summed in the fixed order of the consumers, so the bits
 * are the same every time.
 */
import { run } from '../storage/dispatch.ts';
import { address, allocateShape, contiguous, packed, wroteTo } from '../tensor/access.ts';
import { constant } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { arithmetic } from './arithmetic.ts';
import { mode } from './modes.ts';
import type { Node } from './node.ts';

/** p and r of the targets that arrived. p is a scalar or anything that broadcasts to the value's shape. */
export class Springs {
  /** How many were made since the program started: what shows that gradients alone make none. */
  static made = 0;
  precision: Tensor;
  pull: Tensor;

  constructor(precision: Tensor, pull: Tensor) {
    Springs.made++;
    this.precision = precision;
    this.pull = pull;
  }
}

/** Adds a gradient. With recording on (derivatives of derivatives) the sum is recorded too. */
export function receiveGradient(inbox: Node, g: Tensor): void {
  const { slope } = inbox;
  if (mode.recording) {
    inbox.slope = slope === null ? g : arithmetic.add(slope, g);
    inbox.ownsSlope = false;
  } else if (slope === null) {
    // A leaf keeps its gradient beyond the walk, and people change it in place (clipping): it gets a copy of its own.
    const own = inbox.op === null;
    setSlope(inbox, own ? packed(g) : g, own);
  } else {
    const sum = ownSlope(inbox, slope);
    const target = address(sum);
    const from = address(contiguous(g));
    run.add(target, 0, 1, from, 0, 1, target, 1, sum.size);
    wroteTo(sum);
  }
}

/**
 * Where a raw gradient kernel writes its message, or adds it, if there is a slope already: contiguous, of `shape`. After
 * adding, its caller says wroteTo.
 */
export function slopeToAddTo(inbox: Node, shape: readonly number[]): Tensor {
  const { slope } = inbox;
  if (slope !== null) return ownSlope(inbox, slope);
  const fresh = allocateShape(shape);
  setSlope(inbox, fresh, true);
  return fresh;
}

function setSlope(inbox: Node, slope: Tensor, own: boolean): void {
  inbox.slope = slope;
  inbox.ownsSlope = own;
  outlive(inbox, slope);
}

/** What arrives at a leaf outlives its region: the leaf is told when that goes. */
function outlive(inbox: Node, message: Tensor): void {
  if (inbox.op === null) message.storage.region.addDependent(inbox);
}

/** The slope so far as something that may be changed in place: a copy, if others look at the same numbers. */
function ownSlope(inbox: Node, slope: Tensor): Tensor {
  if (inbox.ownsSlope && slope.layout.contiguous) return slope;
  const copy = packed(slope);
  setSlope(inbox, copy, true);
  return copy;
}

/** Adds a target: displacement d, of the value's shape, with precision p. */
export function receiveSpring(inbox: Node, d: Tensor, precision: Tensor | number): void {
  const p = typeof precision === 'number' ? constant(precision) : precision;
  if (numbersOf(p).some((x) => !(x >= 0 && x < Infinity)))
    throw new Error('target: a precision is a finite number of at least 0; it says how firmly the target is meant.');
  const pull = arithmetic.mul(p, d);
  if (!sameShape(pull.shape, d.shape))
    throw new Error(
      `target: a precision of shape ${showShape(p.shape)} does not broadcast to a value of shape ${showShape(d.shape)}.`,
    );
  const { springs } = inbox;
  if (springs === null) inbox.springs = new Springs(p, pull);
  else {
    springs.precision = arithmetic.add(springs.precision, p);
    springs.pull = arithmetic.add(springs.pull, pull);
  }
  outlive(inbox, inbox.springs!.precision);
  outlive(inbox, inbox.springs!.pull);
}

/** All messages read as one gradient, g - r; null if none came. */
export function asGradient(inbox: Node): Tensor | null {
  const { slope, springs } = inbox;
  if (springs === null) return slope;
  return slope === null ? arithmetic.neg(springs.pull) : arithmetic.sub(slope, springs.pull);
}

/**
 * The displacement that the messages ask for of a value of stiffness rho >= 0, (r - g) / (rho + p). Where both are 0 and
 * g is not, no step is the right one: an error that asks for a step size.
 */
export function asStep(inbox: Node, rho: number): Tensor | null {
  const gradient = asGradient(inbox);
  if (gradient === null) return null;
  const { springs } = inbox;
  const stiffness = springs === null ? constant(rho) : arithmetic.add(springs.precision, constant(rho));
  const free = arithmetic.eq(stiffness, constant(0));
  if (numbersOf(free).some((x) => x !== 0)) {
    if (numbersOf(arithmetic.mul(free, gradient)).some((x) => x !== 0))
      throw new Error(
        'step: a gradient arrived at a value without stiffness (rho + p = 0), so no step is long enough. Give a step size.',
      );
    return arithmetic.div(arithmetic.neg(gradient), arithmetic.add(stiffness, free));
  }
  return arithmetic.div(arithmetic.neg(gradient), stiffness);
}

/**
 * Messages: what travels backward through a graph.
 *
 * A message to a value is a quadratic function of the value's displacement x. A gradient is a slope <g, x>. A target is a
 * spring 1/2 sum p (x - d)^2: it pulls towards the displacement d = t - v with precision p >= 0. Quadratics add, so three
 * sums hold any number of messages of either kind:
 *
 *     g = sum g_k        p = sum p_k        r = sum p_k d_k
 *     as gradient:  g - r            as step under stiffness rho:  (r - g) / (rho + p)
 *
 * A target may be hard (p infinite): then it is a mask, never arithmetic with infinity; it beats every soft one, and has no
 * form as a gradient. Springs are kept as displacements, not as targets, because t - v cancels in float32.
 */
import { constant, zeros } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { checkTensor, numbersOf, Tensor, kindOf as typeName } from '../tensor/tensor.ts';
import { arithmetic } from './arithmetic.ts';
import { mode, withRecording } from './modes.ts';

/** Targets of infinite precision: 1 in `mask` where there is one. */
export interface Hard {
  readonly mask: Tensor;
  readonly displacement: Tensor;
  /** Who sent them, for errors. */
  readonly from: string;
}

/** p and r of the targets that arrived. p is a scalar or anything that broadcasts to the value's shape. */
export class Springs {
  /** How many were made since the program started: what shows that gradients alone make none. */
  static made = 0;
  readonly precision: Tensor;
  readonly pull: Tensor;
  readonly hard: Hard | null;
  /** Whether somebody said how firmly the targets are meant. If nobody did, they weigh 1 among each other. */
  readonly stated: boolean;
  /**
   * 1/2 sum p_k d_k^2, the part of the energy that p and r do not hold; kept only where an energy monitor asks. Hard
   * targets have none.
   */
  readonly energy: number;

  constructor(precision: Tensor, pull: Tensor, hard: Hard | null, stated: boolean, energy: number) {
    Springs.made++;
    this.precision = precision;
    this.pull = pull;
    this.hard = hard;
    this.stated = stated;
    this.energy = energy;
  }

  /** All tensors that belong to it. */
  get tensors(): readonly Tensor[] {
    const { precision, pull, hard } = this;
    return hard === null ? [precision, pull] : [precision, pull, hard.mask, hard.displacement];
  }
}

/** The sums g, p and r: what an inbox holds, and what a message is. */
export interface Quadratic {
  readonly slope: Tensor | null;
  readonly springs: Springs | null;
}

/**
 * A message to a value: a gradient, a target, or both at once. Made by `slope` and `spring`; rules and hooks get and give them.
 */
export class Message implements Quadratic {
  /** g, of the value's shape; null: no gradient in it. */
  readonly slope: Tensor | null;
  /** p and r; null: no target in it. */
  readonly springs: Springs | null;

  constructor(slope: Tensor | null, springs: Springs | null) {
    if (slope === null && springs === null)
      throw new Error('Message: a message is a gradient, a target, or both. Where there is nothing to say, say null.');
    this.slope = slope;
    this.springs = springs;
  }

  /** gradient, target, or mixed. */
  get kind(): MessageKind {
    return kindOf(this);
  }

  /** The shape of the value that it is about. */
  get shape(): readonly number[] {
    return (this.slope ?? this.springs!.pull).shape;
  }

  /** Read as a gradient, g - r. Throws for hard targets, and for targets whose precision nobody stated. */
  gradient(): Tensor {
    return asGradient(this, 'this message')!;
  }

  /** The displacement that it asks for of a value of stiffness rho (1 / step size): (r - g) / (rho + p). */
  step(stiffness: number | Tensor = 0): Tensor {
    return asStep(this, stiffness)!;
  }

  /** rho + p: how firmly that displacement is meant. Hard targets do not count in it: see `springs.hard`. */
  precision(stiffness: number | Tensor = 0): Tensor {
    return stiffnessOf(this, stiffness);
  }

  /** The same with g, p and r times k, elementwise where k is a tensor; hard targets stay. */
  scale(k: number | Tensor): Message {
    const factor = typeof k === 'number' ? constant(k) : k;
    const { slope, springs } = this;
    if (springs !== null && numbersOf(factor).some((x) => !(x >= 0 && x < Infinity)))
      throw new Error(
        'scale: targets are scaled by finite numbers from 0 up; a negative precision would push them away.',
      );
    const scaled =
      springs &&
      new Springs(
        arithmetic.mul(springs.precision, factor),
        arithmetic.mul(springs.pull, factor),
        springs.hard,
        springs.stated,
        energyOfPart(springs, (energies) => arithmetic.mul(energies, factor)),
      );
    return new Message(slope && arithmetic.mul(slope, factor), scaled);
  }

  /** The sum of two messages to one value. */
  plus(other: Message): Message {
    const { slope } = this;
    if (!sameShape(this.shape, other.shape))
      throw new Error(
        `plus: messages of shape ${showShape(this.shape)} and ${showShape(other.shape)} are not about one value.`,
      );
    const sum = slope === null ? other.slope : other.slope === null ? slope : arithmetic.add(slope, other.slope);
    return new Message(sum, addSprings(this.springs, other.springs));
  }
}

export type MessageKind = 'gradient' | 'target' | 'mixed';

export function kindOf({ slope, springs }: Quadratic): MessageKind {
  return springs === null ? 'gradient' : slope === null ? 'target' : 'mixed';
}

/** A message that is a gradient: the slope <g, x> in the displacement x of the value. */
export function slope(g: Tensor): Message {
  checkTensor('slope', g);
  return new Message(g, null);
}

/**
 * A message that is a target: it asks a value to move by `displacement` (of the value's shape).
 *
 * @param precision how firmly, from 0 up: a number, or a tensor that broadcasts to the shape ([B, 1]: one for each
 *   sample). Infinity: a hard target. Left out: nobody said, which is enough among targets but not to become a gradient.
 * @param from who sends it, for errors
 */
export function spring(displacement: Tensor, precision?: number | Tensor, from = 'a target'): Message {
  checkTensor('spring', displacement);
  const given = precision === undefined ? 1 : precision;
  const p = typeof given === 'number' ? constant(given) : given;
  if (!(p instanceof Tensor))
    throw new Error(`${from}: a precision is a number or a tensor of at least 0, not ${typeName(p)}.`);
  if (!broadcastsTo(p.shape, displacement.shape))
    throw new Error(
      `${from}: a precision of shape ${showShape(p.shape)} does not broadcast to a value of shape ` +
        `${showShape(displacement.shape)}. Give a number, one for each sample ([B, 1]), or one for each element.`,
    );
  const values = numbersOf(p);
  let [zero, infinite] = [false, false];
  for (const x of values) {
    if (!(x >= 0))
      throw new Error(
        `${from}: a precision is a number of at least 0 that says how firmly the target is meant, not ${x}.` +
          (Number.isNaN(x) ? ' A rule makes NaN of values that are NaN: look at the inputs, and at the weights.' : ''),
      );
    if (x === 0) zero = true;
    if (x === Infinity) infinite = true;
  }
  const { mul, where, eq, add } = arithmetic;
  let finite = p;
  let hard: Hard | null = null;
  if (infinite) {
    const mask = eq(p, constant(Infinity));
    finite = where(mask, constant(0), p);
    hard = { mask: add(mask, zeros(displacement.shape)), displacement, from };
  }
  // 0 times an infinite displacement would be NaN: what is asked with precision 0 (or as a mask) is not asked here.
  const pull =
    zero || infinite
      ? where(eq(finite, constant(0)), constant(0), mul(finite, displacement))
      : mul(finite, displacement);
  const energy = mode.energy ? 0.5 * dot(pull, displacement) : 0;
  return new Message(null, new Springs(finite, pull, hard, precision !== undefined, energy));
}

/** Whether a tensor of the one shape can stand for one of the other: sizes agree from the last axis on, or are 1. */
function broadcastsTo(shape: readonly number[], whole: readonly number[]): boolean {
  const shift = whole.length - shape.length;
  return shift >= 0 && shape.every((size, axis) => size === 1 || size === whole[axis + shift]);
}

/** The inner product of two tensors of one shape, in double precision; entries where the first is 0 count nothing. */
function dot(a: Tensor, b: Tensor): number {
  const [x, y] = [numbersOf(a), numbersOf(b)];
  let sum = 0;
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) sum += x[i]! * y[i]!;
  return sum;
}

/**
 * The energy of some of the elements, or of all of them weighed: what `take` leaves of r^2 / p, which is how a target's energy
 * is spread over the elements. Of a sum of targets that disagree p and r do not say where: that part is split alike.
 */
export function energyOfPart({ energy, pull, precision }: Springs, take: (energies: Tensor) => Tensor): number {
  if (energy === 0) return 0;
  return withRecording(false, () => {
    const { mul, div, eq, where } = arithmetic;
    const energies = where(eq(pull, constant(0)), constant(0), div(mul(pull, pull), precision));
    const total = sumOf(energies);
    return total === 0 ? energy : (energy * sumOf(take(energies))) / total;
  });
}

function sumOf(x: Tensor): number {
  let sum = 0;
  for (const number of numbersOf(x)) sum += number;
  return sum;
}

/**
 * Counts in-place writes to what a message is made of. Several inboxes may look at the same numbers (an addition sends one
 * tensor both ways), so who is shown a message may not write to it.
 */
export function writesTo({ slope, springs }: Quadratic): number {
  let writes = slope === null ? 0 : slope.storage.root.version;
  for (const { storage } of springs?.tensors ?? []) writes += storage.root.version;
  return writes;
}

/** What to say when it happened. */
export const wroteInPlace = (who: string): string =>
  `${who} changed the message in place. Other values may be looking at the same numbers. Make another one instead, message.scale(k) or ` +
  'slope(message.gradient().mul(k)), and return it.';

/** The sum of springs on one value. */
export function addSprings(a: Springs | null, b: Springs | null): Springs | null {
  if (a === null || b === null) return a ?? b;
  return new Springs(
    arithmetic.add(a.precision, b.precision),
    arithmetic.add(a.pull, b.pull),
    addHard(a.hard, b.hard),
    a.stated && b.stated,
    a.energy + b.energy,
  );
}

/** Two hard targets may stand side by side, and agree where they meet. */
function addHard(a: Hard | null, b: Hard | null): Hard | null {
  if (a === null || b === null) return a ?? b;
  const [inA, inB] = [numbersOf(a.mask), numbersOf(b.mask)];
  const [x, y] = [numbersOf(a.displacement), numbersOf(b.displacement)];
  for (let i = 0; i < x.length; i++)
    if (inA[i] !== 0 && inB[i] !== 0 && x[i] !== y[i])
      throw new Error(
        `target: ${a.from} and ${b.from} send hard targets that differ to one value of shape ${showShape(a.mask.shape)} ` +
          `(displacements ${x[i]} and ${y[i]} at entry ${i}). Give at least one of them a finite precision.`,
      );
  const { where, sub, add, mul } = arithmetic;
  return {
    mask: sub(add(a.mask, b.mask), mul(a.mask, b.mask)),
    displacement: where(a.mask, a.displacement, b.displacement),
    from: `${a.from} and ${b.from}`,
  };
}

/** All messages read as one gradient, g - r; null if none came. `who` needs it, for errors. */
export function asGradient({ slope: g, springs }: Quadratic, who: string): Tensor | null {
  if (springs === null) return g;
  if (springs.hard !== null)
    throw new Error(
      `${who}: a hard target (of ${springs.hard.from}) has no form as a gradient. Give it a finite precision, or put a rule that ` +
        'accepts targets at this place.',
    );
  if (!springs.stated)
    throw new Error(
      `${who}: a target arrived whose precision nobody stated, and a gradient is needed: p (v - t). Say how firmly it is meant, ` +
        'target(value, t, { precision: 1 / batchSize }) beside a mean loss.',
    );
  return g === null ? arithmetic.neg(springs.pull) : arithmetic.sub(g, springs.pull);
}

/** rho + p. */
function stiffnessOf({ springs }: Quadratic, rho: number | Tensor): Tensor {
  const own = typeof rho === 'number' ? constant(rho) : rho;
  if (numbersOf(own).some((x) => !(x >= 0)))
    throw new Error('step: a stiffness is a number of at least 0, 1 / step size.');
  if (springs === null) return own;
  return rho === 0 ? springs.precision : arithmetic.add(springs.precision, own);
}

/**
 * The displacement that the messages ask for of a value of stiffness rho >= 0, (r - g) / (rho + p). Where both are 0 and
 * g is not, no step is the right one: an error that asks for a step size. `who` needs it, for errors.
 */
export function asStep(message: Quadratic, rho: number | Tensor, who = 'step'): Tensor | null {
  const { slope: g, springs } = message;
  if (g === null && springs === null) return null;
  const { sub, neg, add, div, eq, where } = arithmetic;
  const force = springs === null ? neg(g!) : g === null ? springs.pull : sub(springs.pull, g);
  const stiffness = stiffnessOf(message, rho);
  const hard = springs?.hard ?? null;
  let step: Tensor;
  if (numbersOf(stiffness).some((x) => x === 0)) {
    const free = eq(stiffness, constant(0));
    const bound = hard === null ? force : where(hard.mask, constant(0), force);
    if (numbersOf(where(free, bound, constant(0))).some((x) => x !== 0))
      throw new Error(
        `${who}: a gradient arrived at a value without stiffness (rho + p = 0), so no step is long enough. Give a step size: ` +
          'backward(..., { stiffness: 1 / stepSize }), or the stiffness option of the rule that needs a target here.',
      );
    step = div(bound, add(stiffness, free));
  } else step = div(force, stiffness);
  return hard === null ? step : where(hard.mask, hard.displacement, step);
}

/**
 * What the world outside of a block asks of one of its values: a gradient and soft targets (a `Pull`), and hard targets (a
 * `Clamp`). Both are said of the displacement u of the value from rest, where the forward pass left it.
 */
import { arithmetic } from '../../autograd/arithmetic.ts';
import type { BlockNode } from '../../autograd/block.ts';
import { type Hard, type Message, spring } from '../../autograd/message.ts';
import { contiguous } from '../../tensor/access.ts';
import { constant, zeros } from '../../tensor/create.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';

/** The energy <g, u> + 1/2 sum p (u - r / p)^2 of the gradients and soft targets of one value. */
export class Pull {
  /** dF/du at rest, g - r. */
  readonly #atRest: Tensor;
  /** p, of the value's shape; null: no soft target. */
  readonly #precision: Tensor | null;
  readonly #rest: Tensor;
  readonly #slope: Tensor | null;
  readonly #pull: Tensor | null;
  /** Added to the energy: what makes a loss count with its own value. */
  readonly #offset: number;

  constructor({ slope, springs }: Message, rest: Tensor, isLoss: boolean) {
    const { add, sub, neg } = arithmetic;
    this.#rest = rest;
    this.#slope = slope;
    this.#pull = springs?.pull ?? null;
    this.#precision = springs && contiguous(add(springs.precision, zeros(rest.shape)));
    this.#atRest = springs === null ? (slope as Tensor) : slope === null ? neg(springs.pull) : sub(slope, springs.pull);
    this.#offset = slope !== null && isLoss ? slope.item() * rest.item() : 0;
  }

  /** dF/du = g - r + p u where the value is `value`. */
  gradient(value: Tensor): Tensor {
    const { add, sub, mul } = arithmetic;
    if (this.#precision === null) return this.#atRest;
    return add(this.#atRest, mul(this.#precision, sub(value, this.#rest)));
  }

  /** Of a merged target as of the single one that says the same. */
  energy(value: Tensor): number {
    const [at, rest] = [numbersOf(value), numbersOf(this.#rest)];
    let sum = this.#offset;
    if (this.#slope !== null) {
      const g = numbersOf(this.#slope);
      for (let i = 0; i < at.length; i++) sum += g[i]! * (at[i]! - rest[i]!);
    }
    if (this.#precision !== null && this.#pull !== null) {
      const [p, r] = [numbersOf(this.#precision), numbersOf(this.#pull)];
      for (let i = 0; i < at.length; i++) if (p[i] !== 0) sum += 0.5 * p[i]! * (at[i]! - rest[i]! - r[i]! / p[i]!) ** 2;
    }
    return sum;
  }
}

/** Where a value is held, and at what. */
export class Clamp {
  /** 1 where it is held. */
  readonly mask: Tensor;
  /** The displacement from rest at which it is held; 0 where it is not. */
  readonly displacement: Tensor;
  /** Whether all of it is held: then it never moves. */
  readonly whole: boolean;
  readonly zero: Tensor;

  constructor({ mask, displacement }: Hard) {
    this.zero = zeros(mask.shape);
    this.mask = contiguous(mask);
    this.displacement = arithmetic.where(mask, displacement, this.zero);
    this.whole = numbersOf(mask).every((x) => x !== 0);
  }
}

/**
 * Hard targets by node, those of ops that only move numbers (a reshape behind a layer) handed down to the node whose
 * numbers they are, since it is that one which has to be held.
 *
 * @param isValue whether a node is a value of the relaxation anyway
 */
export function hardTargets(
  nodes: readonly BlockNode[],
  isValue: (node: BlockNode) => boolean,
): ReadonlyMap<BlockNode, Hard> {
  const found = new Map<BlockNode, Message>();
  const give = (node: BlockNode, { mask, displacement, from }: Hard): void => {
    const precision = arithmetic.where(mask, constant(Infinity), constant(0));
    const message = spring(displacement, precision, from);
    // Says so where two of them differ.
    found.set(node, found.get(node)?.plus(message) ?? message);
  };
  for (const node of nodes) {
    const hard = node.message?.springs?.hard ?? null;
    if (hard !== null) give(node, hard);
  }
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    const hard = found.get(node)?.springs?.hard ?? null;
    const moved = hard === null || isValue(node) ? null : handedDown(node, hard);
    if (moved === null) continue;
    found.delete(node);
    for (const [source, below] of moved) give(source, below);
  }
  const hard = new Map<BlockNode, Hard>();
  // An empty value is held nowhere.
  for (const [node, { springs }] of found) if (springs?.hard) hard.set(node, springs.hard);
  return hard;
}

/**
 * The hard targets of the sources of an op that moves every number from inside the block, once; null of any other. (Of a
 * number that is repeated, each copy is a value of its own.)
 */
function handedDown(node: BlockNode, { mask, displacement, from }: Hard): [BlockNode, Hard][] | null {
  if (node.node.op!.carries !== true) return null;
  const held = arithmetic.where(mask, displacement, zeros(mask.shape));
  const moved: [BlockNode, Hard][] = [];
  for (const [index, source] of node.sources.entries()) {
    const count = node.gradientFor(node.evaluation, index, mask);
    const sum = node.gradientFor(node.evaluation, index, held);
    if (count === null || sum === null) continue;
    const copies = numbersOf(count);
    if (copies.every((x) => x === 0)) continue;
    if (source === null || copies.some((x) => x > 1)) return null;
    moved.push([source, { mask: count, displacement: sum, from }]);
  }
  return moved;
}

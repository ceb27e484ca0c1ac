/**
 * What a tensor remembers of how it was made, and where messages about it arrive in a backward walk.
 *
 * A node belongs to one tensor, its output. A leaf (a parameter, an input somebody wants derivatives for) has a node
 * too, without inputs; its inbox outlives the walk and is what `.grad` shows. Every tensor that derivatives may reach
 * has a node, and no other tensor has one.
 *
 * All fields are set in the constructor and never added: every node has one hidden class.
 */
import { currentRegion } from '../storage/context.ts';
import type { Dependent, Region } from '../storage/region.ts';
import { permanent } from '../storage/region.ts';
import { makePermanent } from '../storage/storage.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { AnyOp } from './define.ts';
import type { Hooks } from './hooks.ts';
import type { Springs } from './message.ts';
import { mode } from './modes.ts';
import { type Rule, ruleOf } from './rule.ts';

declare module '../tensor/tensor.ts' {
  interface GraphNode extends Node {}
}

export class Node implements Dependent {
  /** null: a leaf. */
  readonly op: AnyOp | null;
  inputs: readonly Tensor[];
  readonly attributes: unknown;
  output: Tensor;
  /** What forward kept for a raw gradient kernel: winners, probabilities. */
  saved: Tensor | null;
  /**
   * Sum of the version counts of what the rule will read: counts only rise, so the sum tells of any write. Of a leaf: the
   * version of its value when its springs arrived.
   */
  versions: number;
  /** What answers the messages in place of the op's gradient rule; null: that. */
  rule: Rule | null;
  /** What wants to see or change the messages to this value, or those that it sends; null: nobody. */
  hooks: Hooks | null;
  /** The region that was open when it was made: the node goes when the region goes. */
  readonly region: Region;

  /** The inbox (inbox.ts): g of the messages so far, null if none came; whether its storage may be added to in place. */
  slope: Tensor | null;
  ownsSlope: boolean;
  /** p and r of the messages so far; null in a graph of gradients alone, which never makes one. */
  springs: Springs | null;

  /** The walk that last reached it, the one that wants to send to it, and how far the search got through its inputs. */
  reachedBy: number;
  wantedBy: number;
  cursor: number;
  /** Where it was made, kept under detectAnomaly only. */
  trace: string | null;

  constructor(op: AnyOp | null, inputs: readonly Tensor[], attributes: unknown, output: Tensor, region: Region) {
    this.op = op;
    this.inputs = inputs;
    this.attributes = attributes;
    this.output = output;
    this.saved = null;
    this.versions = 0;
    this.rule = op === null || mode.rules === null ? null : ruleOf(mode.rules, op.name);
    this.hooks = null;
    this.region = region;
    this.slope = null;
    this.ownsSlope = false;
    this.springs = null;
    this.reachedBy = 0;
    this.wantedBy = 0;
    this.cursor = 0;
    this.trace = null;
  }

  /** Its region goes: a node lets go of its graph; a leaf moves messages that live there to memory of their own. */
  regionGoes(region: Region): void {
    if (this.op === null) {
      for (const kept of [this.slope, ...(this.springs?.tensors ?? [])])
        if (kept?.storage.region === region) makePermanent(kept.storage);
      return;
    }
    this.inputs = [];
    this.saved = null;
  }
}

/** Records that `output` was made by `op`: the node goes with the open region. */
export function record(op: AnyOp, inputs: readonly Tensor[], attributes: unknown, output: Tensor): Node {
  const region = currentRegion();
  const node = new Node(op, inputs, attributes, output, region);
  region.addNode(node);
  return node;
}

/** Makes a tensor a leaf: derivatives with respect to it can be asked for. */
export function makeLeaf(x: Tensor): void {
  x.node = new Node(null, [], undefined, x, permanent);
}

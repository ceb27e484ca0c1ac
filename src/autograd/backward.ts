/**
 * The backward walk.
 *
 * From the roots it finds every node that messages can reach (a depth-first search over inputs), then visits them in
 * reverse topological order: all consumers of a value have spoken before it is visited. A visited node seals its inbox, and
 * its rule (visit.ts) sends each input what is due: the op's gradient rule, unless another stands in its place. At leaves
 * the messages stay: that is `.grad`. Rules that learn from settled values need a finer order: schedule.ts.
 *
 * The sum at a value is taken in the order in which its consumers are visited, which the graph alone decides, so the
 * bits are the same every run.
 */
import { endStep, startWalk } from '../storage/context.ts';
import { constant, full } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { checkTensor, Tensor } from '../tensor/tensor.ts';
import { throughHooks } from './hooks.ts';
import { receive, receiveGradient } from './inbox.ts';
import { Message } from './message.ts';
import { mode } from './modes.ts';
import type { Node } from './node.ts';
import { needsSchedule, runSchedule, settlingLeaves } from './schedule.ts';
import { needsCare, propagate, seal, sendGradients } from './visit.ts';
import { type Observer, type Stash, Walk, type WalkOptions } from './walk.ts';

/** Walks under way: a rule may differentiate something of its own, within the walk that called it. */
let depth = 0;

/** Where a walk starts, and with what. */
export class Seed {
  readonly at: Tensor;
  /** null: the gradient 1, for a value of one element. */
  readonly message: (() => Message) | null;

  constructor(at: Tensor, message: (() => Message) | null) {
    checkTensor('backward', at);
    this.at = at;
    this.message = message;
  }
}

const noOptions: WalkOptions = {};

/**
 * Sends messages from the seeds to the leaves.
 *
 * @param targets only messages towards these nodes are sent, and they stay in their inboxes; null: all leaves
 * @param exact whether surrogates are refused
 * @returns the number of the walk, for `endWalk`
 */
export function walk(
  seeds: readonly Seed[],
  targets: ReadonlySet<Node> | null,
  options: WalkOptions = noOptions,
  exact = options.createGraph === true && options.allowSurrogate !== true,
  observer: Observer | null = null,
): number {
  const id = startWalk();
  const order: Node[] = [];
  const current = new Walk(id, options, exact, observer);
  for (let i = 0; i < seeds.length; i++) {
    const { at } = seeds[i]!;
    const { node } = at;
    if (node === null) throw new Error(noHistory(at));
    if (node.reachedBy !== id) search(node, current, targets, order);
  }
  const { recording, within, rules, energy } = mode;
  mode.recording = options.createGraph === true;
  // What the rules compute on their way is not theirs to rule.
  mode.rules = null;
  mode.energy = options.energy === true;
  depth++;
  try {
    const scheduled = current.ruled && needsSchedule(order, current);
    if (scheduled) for (const leaf of settlingLeaves(order, current)) stash(leaf, current);
    for (let i = 0; i < seeds.length; i++) {
      const seed = seeds[i]!;
      const first = seedFor(seed);
      const node = seed.at.node!;
      if (node.wantedBy !== id) continue;
      if (first instanceof Tensor) receiveGradient(node, first);
      else receive(node, first);
    }
    if (scheduled) runSchedule(order, current, targets);
    else
      for (let i = order.length - 1; i >= 0; i--) {
        const node = order[i]!;
        if (node.slope === null && node.springs === null) continue;
        if (needsCare(node, current)) {
          const message = seal(node);
          if (message !== null) propagate(node, message, current);
        } else sendGradients(node, node.slope!, current);
        forget(node, targets);
      }
    if (current.stashed !== null) unstash(current.stashed);
  } finally {
    depth--;
    mode.recording = recording;
    mode.within = within;
    mode.rules = rules;
    mode.energy = energy;
    for (let i = 0; i < order.length; i++) forget(order[i]!, targets);
    if (current.stashed !== null)
      for (const { node, slope, ownsSlope, springs, versions } of current.stashed)
        Object.assign(node, { slope, ownsSlope, springs, versions });
  }
  return id;
}

/** Sets the inbox of a leaf aside, so that the messages of this walk gather by themselves. */
function stash(leaf: Node, current: Walk): void {
  current.stashed ??= [];
  if (current.stashed.some(({ node }) => node === leaf)) return;
  const { slope, ownsSlope, springs, versions } = leaf;
  current.stashed.push({ node: leaf, slope, ownsSlope, springs, versions });
  clear(leaf);
}

/** Adds the messages of this walk, as the hooks leave them, to what stood in the inboxes that were set aside. */
function unstash(stashed: Stash[]): void {
  for (let kept = stashed.pop(); kept !== undefined; kept = stashed.pop()) {
    const { node, slope, ownsSlope, springs, versions } = kept;
    const came = node.slope === null && node.springs === null ? null : new Message(node.slope, node.springs);
    Object.assign(node, { slope, ownsSlope, springs, versions });
    const passed = came && throughHooks(node.hooks?.value ?? [], came, 'onValue of a leaf');
    if (passed !== null) receive(node, passed);
  }
}

/** Gives back what the walk did not touch, unless it stands within something that may still need it. */
export function endWalk(id: number): void {
  if (depth === 0 && mode.depth === 0) endStep(id);
}

/** Empties the inbox of a node that has answered, unless somebody asked for what lies in it. */
function forget(node: Node, targets: ReadonlySet<Node> | null): void {
  if (targets === null || !targets.has(node)) clear(node);
}

function clear(node: Node): void {
  node.slope = null;
  node.springs = null;
}

function seedFor({ at, message }: Seed): Tensor | Message {
  if (message !== null) {
    const given = message();
    if (sameShape(given.shape, at.shape)) return given;
    throw new Error(
      `backward: a ${given.kind} of shape ${showShape(given.shape)} does not fit an output of shape ${showShape(at.shape)}.`,
    );
  }
  if (at.size !== 1)
    throw new Error(
      `backward: the output has shape ${showShape(at.shape)}; gradients start from a single number. Take its sum() or ` +
        'mean() first, pass the gradient to start with, or say where it should be: target(output, wanted).',
    );
  return at.ndim === 0 ? constant(1) : full(at.shape, 1);
}

function noHistory(output: Tensor): string {
  return (
    `backward: this tensor of shape ${showShape(output.shape)} has no history to walk back through. None of the tensors it was ` +
    'computed from requires a gradient (requiresGrad_()), or it was made inside noGrad, or it came through detach() or an ' +
    'operation without a derivative (a comparison, argmax).'
  );
}

/** Nodes of the search under way. Searches never nest: a walk searches before it calls any rule. */
const stack: Node[] = [];

/** Depth-first from `root`: appends nodes to `order`, inputs before outputs; marks what is reached and what is wanted. */
function search(root: Node, current: Walk, targets: ReadonlySet<Node> | null, order: Node[]): void {
  const { id } = current;
  reach(root, current, targets);
  stack.push(root);
  while (stack.length > 0) {
    const node = stack[stack.length - 1]!;
    if (node.cursor < node.inputs.length) {
      const input = node.inputs[node.cursor++]!;
      input.storage.region.touchedBy = id;
      const next = input.node;
      if (next !== null && next.reachedBy !== id) {
        reach(next, current, targets);
        stack.push(next);
      }
    } else {
      stack.pop();
      if (node.op !== null) order.push(node);
      if (targets !== null && node.wantedBy !== id)
        for (let i = 0; i < node.inputs.length; i++) if (node.inputs[i]!.node?.wantedBy === id) node.wantedBy = id;
    }
  }
}

function reach(node: Node, current: Walk, targets: ReadonlySet<Node> | null): void {
  const { id } = current;
  if (!node.region.alive) {
    stack.length = 0;
    throw new Error(
      `backward: the graph of this result (made by ${node.op?.name ?? 'a leaf'}) was given back. A graph lives until the second ` +
        'backward call after the last one that went through it, and inside scope or noGrad until that ends: call backward ' +
        'sooner, compute the result again, or sum the losses and call backward once.',
    );
  }
  node.reachedBy = id;
  node.cursor = 0;
  node.region.touchedBy = id;
  if (node.saved !== null) node.saved.storage.region.touchedBy = id;
  if (targets === null || targets.has(node)) node.wantedBy = id;
  if (node.rule !== null) current.ruled = true;
  if (node.hooks !== null && node.op === null) stash(node, current);
}

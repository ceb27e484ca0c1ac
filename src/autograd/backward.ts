/**
 * The backward walk.
 *
 * From the roots it finds every node that messages can reach (a depth-first search over inputs), then visits them in
 * reverse topological order: all consumers of a value have spoken before it is visited. A visited node seals its inbox,
 * reads it as a gradient, and its op's rule sends each input what is due. At leaves the messages stay: that is `.grad`.
 *
 * The sum at a value is taken in the order in which its consumers are visited, which the graph alone decides, so the
 * bits are the same every run.
 */
import { endStep, settle, startWalk } from '../storage/context.ts';
import { address, contiguous, wroteTo } from '../tensor/access.ts';
import { constant, full } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkFinite } from './anomaly.ts';
import { type AnyOp, versionsRead } from './define.ts';
import { asGradient, receiveGradient, slopeToAddTo } from './inbox.ts';
import { mode } from './modes.ts';
import type { Node } from './node.ts';

/** Walks under way: a rule may differentiate something of its own, within the walk that called it. */
let depth = 0;

export interface Root {
  readonly output: Tensor;
  /** The gradient that the walk starts with; left out: 1, for an output of one element. */
  readonly seed?: Tensor | undefined;
}

/**
 * Sends gradients from `roots` to the leaves.
 *
 * @param targets only messages towards these nodes are sent, and they stay in their inboxes; null: all leaves
 * @param createGraph whether the messages are recorded, so that they can be differentiated in turn
 * @returns the number of the walk, for `endWalk`
 */
export function walk(roots: readonly Root[], targets: ReadonlySet<Node> | null, createGraph: boolean): number {
  const id = startWalk();
  const order: Node[] = [];
  for (const root of roots) {
    const { node } = root.output;
    if (node === null) throw new Error(noHistory(root.output));
    if (node.reachedBy !== id) search(node, id, targets, order);
  }
  const { recording, within } = mode;
  mode.recording = createGraph;
  depth++;
  try {
    for (const { output, seed } of roots) {
      const first = seedFor(output, seed);
      if (output.node!.wantedBy === id) receiveGradient(output.node!, first);
    }
    for (let i = order.length - 1; i >= 0; i--) {
      const node = order[i]!;
      if (node.slope === null && node.springs === null) continue;
      visit(node, id);
      if (targets === null || !targets.has(node)) clear(node);
    }
  } finally {
    depth--;
    mode.recording = recording;
    mode.within = within;
    for (const node of order) if (targets === null || !targets.has(node)) clear(node);
  }
  return id;
}

/** Gives back what the walk did not touch, unless it stands within something that may still need it. */
export function endWalk(id: number): void {
  if (depth === 0 && mode.depth === 0) endStep(id);
}

function clear(node: Node): void {
  node.slope = null;
  node.springs = null;
}

function seedFor(output: Tensor, seed: Tensor | undefined): Tensor {
  if (seed !== undefined) {
    if (sameShape(seed.shape, output.shape)) return seed;
    throw new Error(
      `backward: a gradient of shape ${showShape(seed.shape)} does not fit an output of shape ${showShape(output.shape)}.`,
    );
  }
  if (output.size !== 1)
    throw new Error(
      `backward: the output has shape ${showShape(output.shape)}; gradients start from a single number. Take its sum() or ` +
        'mean() first, or pass the gradient to start with.',
    );
  return output.ndim === 0 ? constant(1) : full(output.shape, 1);
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
function search(root: Node, id: number, targets: ReadonlySet<Node> | null, order: Node[]): void {
  reach(root, id, targets);
  stack.push(root);
  while (stack.length > 0) {
    const node = stack[stack.length - 1]!;
    if (node.cursor < node.inputs.length) {
      const input = node.inputs[node.cursor++]!;
      input.storage.region.touchedBy = id;
      const next = input.node;
      if (next !== null && next.reachedBy !== id) {
        reach(next, id, targets);
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

function reach(node: Node, id: number, targets: ReadonlySet<Node> | null): void {
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
}

/** Seals the inbox of a node, and lets its op's rule send to the inputs. */
function visit(node: Node, id: number): void {
  const op = node.op!;
  const g = asGradient(node);
  if (g === null) return;
  if (versionsRead(node) !== node.versions) throw new Error(overwritten(op, node));
  if (mode.anomaly) mode.within = node.trace ?? 'an unknown place';
  const { inputs } = node;
  for (let i = 0; i < inputs.length; i++) {
    const target = inputs[i]!.node;
    if (target === null || target.wantedBy !== id) continue;
    const raw = mode.recording ? null : rawFor(op, i);
    if (raw !== null) {
      const dense = contiguous(g);
      const adds = target.slope === null ? 0 : 1;
      const sum = slopeToAddTo(target, inputs[i]!.layout.shape);
      raw(node, dense, address(sum), adds, i);
      if (adds === 1) wroteTo(sum);
      settle();
    } else {
      const { gradient } = op;
      if ('because' in gradient) continue;
      const rule = typeof gradient === 'function' ? gradient : gradient[i]!;
      const message = rule(node, g, i);
      if (message === null) continue;
      if (!sameShape(message.shape, inputs[i]!.shape)) throw new Error(wrongShape(op, i, message, inputs[i]!));
      receiveGradient(target, message);
    }
    if (mode.within !== null && target.slope !== null)
      checkFinite(`the gradient of ${op.name}`, [g, ...inputs], target.slope, mode.within);
  }
}

function rawFor(op: AnyOp, index: number) {
  const { raw } = op;
  if (raw === undefined) return null;
  return typeof raw === 'function' ? raw : raw[index]!;
}

function overwritten(op: AnyOp, node: Node): string {
  return (
    `backward: a value that ${op.name} needs for its gradient was changed in place after ${op.name} read it (operands ` +
    `${node.inputs.map((input) => showShape(input.shape)).join(' and ')}). Call backward before the change (before ` +
    'optimizer.step(), say), or work on a copy: x.clone().'
  );
}

function wrongShape(op: AnyOp, index: number, message: Tensor, input: Tensor): string {
  return (
    `backward: the gradient rule of ${op.name} sent shape ${showShape(message.shape)} to its input ` +
    `${op.inputs[index] ?? index}, which has shape ${showShape(input.shape)}. A gradient has the shape of its input: sum over ` +
    'the axes that were broadcast.'
  );
}

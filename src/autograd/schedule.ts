/**
 * The order of a walk in which some rules learn from settled values, or answer for a block of nodes.
 *
 * Every node's answer is one or two events. `propagate` happens when all its consumers have spoken; `learn`, for rules that
 * have one, when its own inbox is sealed and so are those of its data inputs; a block's when all consumers outside have
 * spoken to all its nodes. An event that happened counts as its node's word to the inputs that it may have sent to. With
 * rules that do not learn this is the plain reverse order. A message to a computed weight (a tied transpose, a mask)
 * finds its way through that weight's ancestors because they wait for it. If no event can happen and some have not, values
 * wait for each other in a circle: an error.
 */
import { Block, BlockNode } from './block.ts';
import type { Message } from './message.ts';
import type { Node } from './node.ts';
import { type BlockRule, dataInputs, isBlockRule, type NodeRule } from './rule.ts';
import { deliver, describe, learn, propagate, ruleAt, seal, surrogateRefused } from './visit.ts';
import type { Walk } from './walk.ts';

/** Something that happens once, when as many words as `waits` have been said. Higher `position`s first. */
interface Event {
  readonly position: number;
  waits: number;
  happened: boolean;
  readonly run: () => void;
  readonly node: Node;
}

/** Whether rules of these nodes need more than the reverse order. */
export function needsSchedule(order: readonly Node[], walk: Walk): boolean {
  return order.some((node) => {
    const rule = ruleAt(node, walk);
    return rule !== null && (isBlockRule(rule) || rule.learn !== undefined);
  });
}

export function runSchedule(
  order: readonly Node[],
  walk: Walk,
  targets: ReadonlySet<Node> | null,
  stash: (leaf: Node, walk: Walk) => void,
): void {
  const found = new Map<Node, Message | null>();
  walk.sealed = found;
  const events: Event[] = [];
  const ready: Event[] = [];
  /** How many words of consumers each value still waits for, and what happens when it has them. */
  const pending = new Map<Node, number>();
  const whenSealed = new Map<Node, Event[]>();
  const blocks = new Map<BlockRule, { nodes: Node[]; event: Event }>();

  const count = (event: Event): void => {
    if (--event.waits > 0) return;
    const at = ready.findIndex(({ position }) => position > event.position);
    ready.splice(at < 0 ? ready.length : at, 0, event);
  };
  const event = (node: Node, position: number, waits: number, run: () => void): Event => {
    const made = { node, position, waits, happened: false, run };
    events.push(made);
    return made;
  };
  const waitFor = (value: Node, waiting: Event): void => {
    const list = whenSealed.get(value);
    if (list === undefined) whenSealed.set(value, [waiting]);
    else list.push(waiting);
  };
  const sealed = (value: Node): void => {
    found.set(value, seal(value));
    if (value.op !== null && !targets?.has(value)) value.slope = value.springs = null;
    for (const waiting of whenSealed.get(value) ?? []) count(waiting);
  };
  const spoke = (value: Node): void => {
    const left = pending.get(value)! - 1;
    pending.set(value, left);
    if (left === 0) sealed(value);
  };
  const reached = (node: Node, index: number): Node | null => {
    const source = node.inputs[index]!.node as Node | null;
    return source !== null && source.reachedBy === walk.id ? source : null;
  };
  const blockOf = (node: Node): BlockRule | null => {
    const rule = ruleAt(node, walk);
    return rule !== null && isBlockRule(rule) && node.op !== null ? rule : null;
  };
  const learns = (node: Node): boolean => {
    const rule = ruleAt(node, walk);
    return rule !== null && !isBlockRule(rule) && (rule as NodeRule).learn !== undefined;
  };
  const within = (node: Node, source: Node): boolean => blockOf(node) !== null && blockOf(node) === blockOf(source);

  // Who speaks to whom.
  for (const node of order) {
    pending.set(node, pending.get(node) ?? 0);
    for (let i = 0; i < node.inputs.length; i++) {
      const source = reached(node, i);
      if (source !== null && !within(node, source)) pending.set(source, (pending.get(source) ?? 0) + 1);
    }
  }
  // What happens, and what it waits for.
  for (const [position, node] of order.entries()) {
    const block = blockOf(node);
    if (block !== null) {
      let entry = blocks.get(block);
      if (entry === undefined) {
        const nodes: Node[] = [];
        entry = { nodes, event: event(node, position, 0, () => runBlock(block, nodes)) };
        blocks.set(block, entry);
      }
      entry.nodes.push(node);
      entry.event.waits++;
      waitFor(node, entry.event);
      continue;
    }
    const data = learns(node) ? dataInputs(node.op!, node.inputs.length) : node.inputs.length;
    const first = event(node, position, 1, () => {
      const message = found.get(node) ?? null;
      if (message !== null) propagate(node, message, walk);
      for (let i = 0; i < data; i++) {
        const source = reached(node, i);
        if (source !== null) spoke(source);
      }
      if (second !== null) count(second);
    });
    waitFor(node, first);
    let second: Event | null = null;
    if (learns(node)) {
      second = event(node, position, 1, () => {
        const message = found.get(node) ?? null;
        if (message !== null) learn(node, message, walk);
        for (let i = data; i < node.inputs.length; i++) {
          const source = reached(node, i);
          if (source !== null) spoke(source);
        }
      });
      for (let i = 0; i < data; i++) {
        const source = reached(node, i);
        if (source === null) continue;
        if (source.op === null) stash(source, walk);
        second.waits++;
        waitFor(source, second);
      }
    }
  }

  function runBlock(rule: BlockRule, nodes: readonly Node[]): void {
    if (walk.exact && rule.surrogate) throw new Error(surrogateRefused(nodes[0]!, rule.name));
    const members = new Map<Node, BlockNode>();
    for (const node of nodes) {
      const sources = node.inputs.map((_, i) => {
        const source = reached(node, i);
        return source === null ? null : (members.get(source) ?? null);
      });
      const message = found.get(node) ?? null;
      if (message !== null) {
        walk.capture(node, message);
        walk.observer?.visited(node, message, rule);
      }
      members.set(node, new BlockNode(node, sources, message));
    }
    if ([...members.values()].some(({ message }) => message !== null))
      rule.settle(
        new Block(
          [...members.values()],
          walk.stiffness,
          (node, i, message) => deliver(node, i, message, walk),
          (name) => walk.broadcast(name, describe(nodes[0]!)),
        ),
      );
    for (const node of nodes)
      for (let i = 0; i < node.inputs.length; i++) {
        const source = reached(node, i);
        if (source !== null && !within(node, source)) spoke(source);
      }
  }

  for (let i = order.length - 1; i >= 0; i--) if (pending.get(order[i]!) === 0) sealed(order[i]!);
  for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
    next.happened = true;
    next.run();
  }
  const stuck = events.find(({ happened }) => !happened);
  if (stuck !== undefined) throw new Error(circle(stuck, events, pending));
}

function circle(stuck: Event, events: readonly Event[], pending: ReadonlyMap<Node, number>): string {
  const value = stuck.node.inputs.find(({ node }) => node !== null && (pending.get(node as Node) ?? 0) > 0)?.node as
    | Node
    | undefined;
  const other = value ?? events.find(({ happened, node }) => !happened && node !== stuck.node)?.node;
  return (
    `backward: a value waits for itself. ${describe(stuck.node)} waits for all that is said about ` +
    `${other === undefined ? 'its inputs' : describe(other)}, which waits for what ${describe(stuck.node)} sends. Give one of them a rule that ` +
    'does not learn from settled values (the gradient rule, null), or detach() what one of them reads.'
  );
}

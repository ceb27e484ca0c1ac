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
import { type BlockRule, dataInputs, isBlockRule } from './rule.ts';
import { deliver, describe, given, learn, propagate, ruleAt, seal, surrogateRefused } from './visit.ts';
import type { Walk } from './walk.ts';

/** Something that happens once, when all the values that it awaits are sealed. Higher `position`s first. */
interface Event {
  readonly node: Node;
  /** Whose event it is, if it is a block's. */
  readonly block: BlockRule | null;
  readonly position: number;
  readonly awaits: Node[];
  /** The values that it says its word to. */
  readonly speaksTo: Node[];
  readonly run: () => void;
  /** How many of the values that it awaits are not sealed. */
  waits: number;
  happened: boolean;
}

/** Whether rules of these nodes need more than the reverse order. */
export function needsSchedule(order: readonly Node[], walk: Walk): boolean {
  return order.some((node) => {
    const rule = ruleAt(node, walk);
    return rule !== null && (isBlockRule(rule) || rule.learn !== undefined);
  });
}

/** The leaves that rules learn from: of those the messages of this walk alone say where they settle. */
export const settlingLeaves = (order: readonly Node[], walk: Walk): Node[] =>
  order.flatMap((node) => {
    if (!learns(node, walk)) return [];
    const data = node.inputs.slice(0, dataInputs(node.op!, node.inputs.length));
    return data.flatMap(({ node: leaf }) => (leaf !== null && leaf.op === null ? [leaf as Node] : []));
  });

function learns(node: Node, walk: Walk): boolean {
  const rule = ruleAt(node, walk);
  return rule !== null && !isBlockRule(rule) && rule.learn !== undefined;
}

export function runSchedule(order: readonly Node[], walk: Walk, targets: ReadonlySet<Node> | null): void {
  const found = new Map<Node, Message | null>();
  walk.sealed = found;
  const events: Event[] = [];
  const ready: Event[] = [];
  /** How many words of consumers each value still waits for, and what happens when it has them. */
  const pending = new Map<Node, number>();
  const whenSealed = new Map<Node, Event[]>();
  const blocks = new Map<BlockRule, { readonly nodes: Node[]; readonly event: Event }>();

  const plan = (node: Node, block: BlockRule | null, position: number, run: () => void): Event => {
    const event = { node, block, position, awaits: [], speaksTo: [], run, waits: 0, happened: false };
    events.push(event);
    return event;
  };
  const awaitSealed = (event: Event, value: Node): void => {
    event.awaits.push(value);
    event.waits++;
    addTo(whenSealed, value, event);
  };
  const willSpeak = (event: Event, value: Node): void => {
    event.speaksTo.push(value);
    pending.set(value, (pending.get(value) ?? 0) + 1);
  };
  const sealed = (value: Node): void => {
    found.set(value, seal(value));
    if (value.op !== null && !targets?.has(value)) value.slope = value.springs = null;
    for (const event of whenSealed.get(value) ?? []) {
      if (--event.waits > 0) continue;
      const at = ready.findIndex(({ position }) => position > event.position);
      ready.splice(at < 0 ? ready.length : at, 0, event);
    }
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
    return rule !== null && isBlockRule(rule) ? rule : null;
  };

  for (const [position, node] of order.entries()) {
    const block = blockOf(node);
    const sources = node.inputs.map((_, i) => reached(node, i));
    if (block !== null) {
      let entry = blocks.get(block);
      if (entry === undefined) {
        const nodes: Node[] = [];
        entry = { nodes, event: plan(node, block, position, () => runBlock(block, nodes)) };
        blocks.set(block, entry);
      }
      entry.nodes.push(node);
      awaitSealed(entry.event, node);
      for (const source of sources) if (source !== null && blockOf(source) !== block) willSpeak(entry.event, source);
      continue;
    }
    const data = learns(node, walk) ? dataInputs(node.op!, node.inputs.length) : node.inputs.length;
    const first = plan(node, null, position, () => {
      const message = found.get(node) ?? null;
      if (message !== null) propagate(node, message, walk);
    });
    awaitSealed(first, node);
    for (const source of sources.slice(0, data)) if (source !== null) willSpeak(first, source);
    if (!learns(node, walk)) continue;
    // Sealed with the first at the earliest, and behind it in the order.
    const second = plan(node, null, position - 0.5, () => {
      const message = found.get(node) ?? null;
      if (message !== null) learn(node, message, walk);
    });
    awaitSealed(second, node);
    for (const source of sources.slice(0, data)) if (source !== null) awaitSealed(second, source);
    for (const source of sources.slice(data)) if (source !== null) willSpeak(second, source);
  }

  function runBlock(rule: BlockRule, nodes: readonly Node[]): void {
    if (walk.exact && rule.surrogate) throw new Error(surrogateRefused(nodes[0]!, rule.name));
    const members = new Map<Node, BlockNode>();
    const messages: Message[] = [];
    for (const node of nodes) {
      const sources = node.inputs.map((_, i) => {
        const source = reached(node, i);
        return source === null ? null : (members.get(source) ?? null);
      });
      const message = found.get(node) ?? null;
      if (message !== null) {
        messages.push(message);
        walk.capture(node, message);
        walk.observer?.visited(node, message, rule);
      }
      members.set(node, new BlockNode(node, sources, message));
    }
    if (messages.length === 0) return;
    walk.observer?.begins(nodes, messages);
    try {
      rule.settle(
        new Block(
          [...members.values()],
          walk.stiffness,
          (node, i, message) => deliver(node, i, message, walk),
          (name) => given(() => walk.broadcast(name, describe(nodes[0]!))),
        ),
      );
    } finally {
      walk.observer?.ends();
    }
  }

  for (const node of order.toReversed()) if (!pending.has(node)) sealed(node);
  for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
    next.happened = true;
    next.run();
    for (const value of next.speaksTo) spoke(value);
  }
  if (events.some(({ happened }) => !happened)) throw new Error(circle(events));
}

function addTo<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

/**
 * Finds values that wait for each other among the events that did not happen, and says who they are: the rule that reads a
 * settled value (or the block), and the value that it waits for.
 */
function circle(events: readonly Event[]): string {
  /** For a value, the events that it waits for: those that have not spoken to it. */
  const silent = new Map<Node, Event[]>();
  const stuck = events.filter(({ happened }) => !happened);
  for (const event of stuck) for (const value of event.speaksTo) addTo(silent, value, event);
  // Every event that is stuck waits for another one that is: following them must come back.
  const path: { event: Event; through: Node }[] = [];
  let event = stuck[0]!;
  while (!path.some((step) => step.event === event)) {
    const through = event.awaits.find((value) => silent.has(value))!;
    path.push({ event, through });
    event = silent.get(through)![0]!;
  }
  const round = path.slice(path.findIndex((step) => step.event === event));
  const inBlock = round.find((step) => step.event.block !== null);
  if (inBlock !== undefined)
    return (
      `backward: a value waits for itself. The block of the rule ${inBlock.event.block!.name} settles only when all has been said about ` +
      `${describe(inBlock.through)}, which waits for what the block sends. Give what lies between the same rule.`
    );
  const { event: reader, through } = round.find((step) => step.through !== step.event.node) ?? round[0]!;
  const who = describe(reader.node);
  return (
    `backward: a value waits for itself. ${who} learns only when all has been said about ${describe(through)}, which waits for what ` +
    `${who} sends to what it learns. Give one of them a rule that does not learn from settled values (null: the gradient rule), or ` +
    'detach() what one of them reads.'
  );
}

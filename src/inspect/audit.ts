/**
 * Audit: a backward walk that is only looked at. It says which rule answers where, which messages passed, which reached nobody,
 * and what the rules read beyond their own node. No `.grad` and no inbox changes.
 */
import type { Seed } from '../autograd/backward.ts';
import { walk } from '../autograd/backward.ts';
import { withEmptyInboxes } from '../autograd/inbox.ts';
import type { Message, Quadratic } from '../autograd/message.ts';
import type { Node } from '../autograd/node.ts';
import { isBlockRule } from '../autograd/rule.ts';
import { seedsOf } from '../autograd/seeds.ts';
import type { Observer, WalkOptions } from '../autograd/walk.ts';
import { inFrame } from '../storage/context.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';
import { Locality } from './locality.ts';
import { type AuditedEdge, type AuditedNode, Report, type SeenMessage, type Sending } from './report.ts';

export interface AuditOptions extends Pick<WalkOptions, 'broadcast' | 'stiffness' | 'rules'> {
  /** Names for parameters and other tensors: `model.namedParameters()`, or a Map from names to tensors. */
  readonly names?: Iterable<readonly [name: string, value: Tensor]>;
}

/**
 * Walks back from losses and targets as `backward` would, and reports what happened: for each node the rule, what it accepts,
 * what it received and sent, and which tensors its rule read that are not its own (locality.ts says how that is told, and
 * what cannot be seen). Gradients and inboxes stay as they are, and the graph stays alive.
 *
 * Hooks and rules are called as in any walk: a hook that prints prints, a rule that learns something by itself (a feedback
 * matrix) learns it.
 *
 * Throws what `backward` would throw.
 *
 *     const report = audit(loss, { names: model.namedParameters() });
 *     report.surrogates.length; // 0
 *     console.log(String(report));
 *
 * @param seeds a loss of one element, a `target(value, wanted)`, or a list of them
 */
export function audit(seeds: Tensor | Seed | readonly (Tensor | Seed)[], options: AuditOptions = {}): Report {
  const { names = [], ...walkOptions } = options;
  const named = new Map<Tensor, string>();
  for (const [name, value] of names) {
    checkTensor('audit', value);
    named.set(value, name);
  }
  const starts = seedsOf(seeds);
  const order = graphOf(starts);
  const notes = new Notes(order, named, options.rules !== false);
  const leaves = order.filter(({ op }) => op === null);
  return inFrame(
    'audit',
    () =>
      withEmptyInboxes(leaves, () => {
        walk(starts, null, walkOptions, false, notes);
        return notes.report();
      }),
    () => [],
  );
}

/** Every node that the seeds were computed from, inputs first. */
function graphOf(seeds: readonly Seed[]): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  const stack: { readonly node: Node; next: number }[] = [];
  const enter = ({ node }: Tensor): void => {
    if (node === null || seen.has(node)) return;
    seen.add(node);
    stack.push({ node, next: 0 });
  };
  for (const { at } of seeds) {
    enter(at);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1))
      if (top.next < top.node.inputs.length) enter(top.node.inputs[top.next++]!);
      else order.push(stack.pop()!.node);
  }
  return order;
}

/** Writes down what happens in a walk. */
class Notes implements Observer {
  readonly #order: readonly Node[];
  readonly #ids: ReadonlyMap<Node, number>;
  readonly #names: ReadonlyMap<Tensor, string>;
  readonly #ruled: boolean;
  readonly #locality: Locality;
  readonly #received = new Map<Node, SeenMessage>();
  readonly #sent = new Map<Node, Map<number, Sending>>();

  constructor(order: readonly Node[], names: ReadonlyMap<Tensor, string>, ruled: boolean) {
    this.#order = order;
    this.#ids = new Map(order.map((node, id) => [node, id]));
    this.#names = names;
    this.#ruled = ruled;
    this.#locality = new Locality(order, names, (node) => this.#title(node));
  }

  visited(node: Node, message: Message): void {
    this.#received.set(node, seen(message));
    this.#locality.arrived(node, message);
  }

  sent(node: Node, input: number, message: Message | null, reached: boolean): void {
    const sent = this.#sent.get(node) ?? new Map<number, Sending>();
    this.#sent.set(node, sent);
    const before = sent.get(input)?.kind ?? null;
    const kind = message && seen(message);
    sent.set(input, { input, kind: together(before, kind), reached: reached && (before ?? kind) !== null });
  }

  begins(nodes: readonly Node[], messages: readonly Message[]): void {
    this.#locality.begins(nodes, messages);
  }

  ends(): void {
    this.#locality.ends();
  }

  broadcast(name: string, value: Tensor): void {
    this.#locality.broadcast(name, value);
  }

  /** What was written down; leaves are asked what arrived, so it is called before their inboxes are put back. */
  report(): Report {
    const nodes = this.#order.map((node, id) => this.#audited(node, id));
    const edges = this.#order.flatMap((node, consumer): AuditedEdge[] =>
      node.inputs.flatMap((value, input) => {
        const producer = value.node === null ? undefined : this.#ids.get(value.node);
        return producer === undefined ? [] : [{ producer, consumer, input, kind: nodes[consumer]!.sent[input]!.kind }];
      }),
    );
    return new Report(nodes, edges);
  }

  #audited(node: Node, id: number): AuditedNode {
    const { op, output, slope, springs } = node;
    const name = this.#names.get(output) ?? null;
    const sent = this.#sent.get(node);
    const rest = {
      ...{ id, name, op: op === null ? null : op.name, shape: output.shape.slice() },
      sent: node.inputs.map((_, input) => sent?.get(input) ?? { input, kind: null, reached: false }),
      reads: this.#locality.readsOf(node),
    };
    if (op === null) {
      const received = slope === null && springs === null ? null : seen({ slope, springs });
      return { ...rest, answers: 'leaf', rule: null, accepts: null, surrogate: false, received };
    }
    const received = this.#received.get(node) ?? null;
    const rule = this.#ruled ? node.rule : null;
    if (rule === null) {
      const accepts = op.carries === true ? 'any' : 'gradient';
      return { ...rest, answers: 'gradient', rule: 'gradient', accepts, surrogate: op.surrogate === true, received };
    }
    const block = isBlockRule(rule);
    return {
      ...rest,
      answers: block ? 'block' : 'rule',
      rule: rule.name,
      accepts: block ? 'any' : rule.accepts,
      surrogate: rule.surrogate,
      received,
    };
  }

  #title(node: Node): string {
    const id = this.#ids.get(node);
    return `${this.#names.get(node.output) ?? node.op?.name ?? 'the leaf'}${id === undefined ? '' : ` #${id}`}`;
  }
}

function seen({ slope, springs }: Quadratic): SeenMessage {
  if (springs === null) return 'gradient';
  const kind = slope === null ? 'target' : 'mixed';
  return springs.hard === null ? kind : `hard ${kind}`;
}

/** What two messages to one input make together. */
function together(a: SeenMessage | null, b: SeenMessage | null): SeenMessage | null {
  if (a === null || b === null || a === b) return a ?? b;
  const hard = a.startsWith('hard') || b.startsWith('hard');
  const same = a.replace('hard ', '') === b.replace('hard ', '');
  const kind = same && a.endsWith('target') ? 'target' : 'mixed';
  return hard ? `hard ${kind}` : kind;
}

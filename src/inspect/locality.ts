/**
 * Is a rule local? While a rule computes, every op tells its operands (mode.watch), and each is asked whose it is.
 *
 * A rule's own are its node's inputs and output, what the op saved, the messages that arrived, what the engine computes for it
 * (settled and feasible values), and whatever it made on the way, in this call or an earlier one at the same node. A block's
 * own are those of all its nodes. A broadcast that it asked for is listed as one. What belongs to another node (its
 * values, its weights, the messages to it, what a rule made there) is foreign, and so is what has a name. What is part of no
 * graph and has none is taken for the rule's own state.
 *
 * Tensors are told apart by the stretch of memory they look at, so a view of an input is the input.
 *
 * Not seen: numbers that leave as numbers (toArray, item, withData) or by detach(), operands of what writes in place, gradients that
 * run as raw kernels (they are given their node's numbers alone), and a foreign scalar without a history (it passes for a constant).
 */
import type { Message } from '../autograd/message.ts';
import { mode } from '../autograd/modes.ts';
import type { Node } from '../autograd/node.ts';
import { currentRegion } from '../storage/context.ts';
import { nowhere, permanent, type Region } from '../storage/region.ts';
import type { Storage } from '../storage/storage.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Reading } from './report.ts';

/** The stretch of a storage that a tensor looks at. */
interface Stretch {
  readonly storage: Storage;
  readonly low: number;
  readonly high: number;
}

/** Tensors by the memory they look at, each with what is known of it. */
class Places {
  readonly #byStorage = new Map<
    Storage,
    { readonly stretch: Stretch; readonly tensor: Tensor; readonly what: string }[]
  >();

  add(tensor: Tensor, what: string): void {
    const stretch = stretchOf(tensor);
    const list = this.#byStorage.get(stretch.storage);
    if (list === undefined) this.#byStorage.set(stretch.storage, [{ stretch, tensor, what }]);
    else list.push({ stretch, tensor, what });
  }

  /** Whether one of them covers all of this tensor. */
  cover(tensor: Tensor): boolean {
    const { storage, low, high } = stretchOf(tensor);
    return (this.#byStorage.get(storage) ?? []).some(({ stretch }) => stretch.low <= low && high <= stretch.high);
  }

  /** What is known of one that shares numbers with this tensor: the same one, if it is there. */
  find(tensor: Tensor): string | null {
    const { storage, low, high } = stretchOf(tensor);
    const list = this.#byStorage.get(storage) ?? [];
    const near = list.filter(({ stretch }) => stretch.low < high && low < stretch.high);
    return (near.find((one) => one.tensor === tensor) ?? near[0])?.what ?? null;
  }
}

function stretchOf({ storage, layout, offset }: Tensor): Stretch {
  let low = offset;
  if (storage.host !== null) low += storage.host.byteOffset / storage.host.BYTES_PER_ELEMENT;
  let high = low + 1;
  for (const [axis, stride] of layout.strides.entries()) {
    const reach = stride * (layout.shape[axis]! - 1);
    if (reach < 0) low += reach;
    else high += reach;
  }
  return { storage: storage.root, low, high: layout.size === 0 ? low : high };
}

/** A call of a rule. */
interface Call {
  readonly nodes: readonly Node[];
  readonly own: Places;
}

export class Locality {
  /** How a node is called in what people read. */
  readonly #title: (node: Node) => string;
  readonly #graph = new Places();
  readonly #messages = new Places();
  /** Who made a tensor, of those made in calls of rules. */
  readonly #makers = new Map<Tensor, Node>();
  readonly #reads = new Map<Node, Reading[]>();
  /** Regions that were opened since the audit began: what lies there was made in it. */
  readonly #fresh = new Set<Region>();
  #call: Call | null = null;

  /** @param names of tensors, also of those that are part of no graph */
  constructor(order: readonly Node[], names: ReadonlyMap<Tensor, string>, title: (node: Node) => string) {
    this.#title = title;
    for (const [tensor, name] of names) this.#graph.add(tensor, name);
    for (const node of order) {
      if (!names.has(node.output)) this.#graph.add(node.output, title(node));
      // One number without a history is a constant of a formula, and shared.
      for (const input of node.inputs)
        if (input.node === null && input.size > 1 && !names.has(input))
          this.#graph.add(input, `an input of ${title(node)}`);
    }
  }

  /** The message that arrived at a node. */
  arrived(node: Node, message: Message): void {
    for (const part of partsOf(message))
      if (part.size > 1) this.#messages.add(part, `the message to ${this.#title(node)}`);
  }

  begins(nodes: readonly Node[], messages: readonly Message[]): void {
    this.#fresh.add(currentRegion());
    const own = new Places();
    for (const { inputs, output, saved, attributes } of nodes) {
      const given = attributes instanceof Tensor ? [attributes] : Object.values(attributes ?? {});
      for (const tensor of [...inputs, output, saved, ...given]) if (tensor instanceof Tensor) own.add(tensor, '');
    }
    for (const message of messages) for (const part of partsOf(message)) own.add(part, '');
    this.#call = { nodes, own };
    mode.watch = (operands, output) => {
      for (const operand of operands) this.#read(operand);
      this.#makers.set(output, nodes[0]!);
    };
  }

  ends(): void {
    mode.watch = null;
    this.#call = null;
    this.#fresh.add(currentRegion());
  }

  broadcast(name: string, value: Tensor): void {
    if (this.#call === null) return;
    this.#note({ kind: 'broadcast', what: name, shape: value.shape });
  }

  readsOf(node: Node): readonly Reading[] {
    return this.#reads.get(node) ?? [];
  }

  #read(operand: Tensor): void {
    const { nodes, own } = this.#call!;
    const maker = this.#makers.get(operand);
    if (maker === nodes[0] || own.cover(operand)) return;
    const foreign = this.#foreign(operand, maker);
    const { shape, size } = operand;
    if (foreign !== null) this.#note({ kind: 'foreign', what: foreign, shape });
    else if ((size > 1 || operand.node !== null) && !this.#isFresh(operand))
      this.#note({ kind: 'state', what: 'state', shape });
  }

  /** Whose it is, if it is another node's. */
  #foreign(operand: Tensor, maker: Node | undefined): string | null {
    const known = this.#graph.find(operand) ?? (operand.size > 1 ? this.#messages.find(operand) : null);
    if (known !== null) return known;
    if (maker !== undefined) return `what the rule at ${this.#title(maker)} made`;
    // A leaf that nobody named and that the graph does not hold may be the rule's: a feedback matrix that is learned.
    const op = (operand.node as Node | null)?.op ?? null;
    return op === null ? null : `the output of ${op.name} of shape ${showShape(operand.shape)} outside the graph`;
  }

  /** Made on the way by something that is no op. */
  #isFresh({ storage }: Tensor): boolean {
    const { region, host } = storage;
    return host === null && region !== permanent && region !== nowhere && this.#fresh.has(region);
  }

  #note(reading: Reading): void {
    // A block's reads are written down at its first node.
    const node = this.#call!.nodes[0]!;
    const list = this.#reads.get(node) ?? [];
    this.#reads.set(node, list);
    const same = ({ kind, what, shape }: Reading) =>
      kind === reading.kind && what === reading.what && sameShape(shape, reading.shape);
    if (!list.some(same)) list.push(reading);
  }
}

function partsOf({ slope, springs }: Message): readonly Tensor[] {
  return [...(slope === null ? [] : [slope]), ...(springs?.tensors ?? [])];
}

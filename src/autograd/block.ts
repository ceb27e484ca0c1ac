/**
 * A block: all nodes of one walk that carry the same block rule, answered at once, when all messages from outside have
 * arrived. Its rule may evaluate the block anew at other values (predictive coding relaxes them), and sends messages out of
 * the block: to data that comes in, and to parameters.
 */
import type { Tensor } from '../tensor/tensor.ts';
import { versionsRead } from './define.ts';
import type { Message } from './message.ts';
import { withRecording } from './modes.ts';
import type { Node } from './node.ts';
import { dataInputs } from './rule.ts';

/** One evaluation of a node: its values, and what its gradient rule wants to know of them. */
export interface Evaluation {
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly saved: Tensor | null;
  readonly attributes: unknown;
}

export class BlockNode {
  readonly node: Node;
  /** For each input, the node of the block that computes it; null: it comes from outside. */
  readonly sources: readonly (BlockNode | null)[];
  /** The sum of the messages from outside; null: none. */
  readonly message: Message | null;
  /** For each input, whether it is what a layer learns. */
  readonly learned: readonly boolean[];

  constructor(node: Node, sources: readonly (BlockNode | null)[], message: Message | null) {
    this.node = node;
    this.sources = sources;
    this.message = message;
    const data = dataInputs(node.op!, node.inputs.length);
    this.learned = node.inputs.map((_, i) => i >= data);
  }

  get op(): string {
    return this.node.op!.name;
  }

  /** As the forward pass computed it. */
  get evaluation(): Evaluation {
    return this.node;
  }

  /** The node computed anew, from other inputs. */
  evaluate(inputs: readonly Tensor[]): Evaluation {
    const { op, attributes } = this.node;
    const kept = { saved: null as Tensor | null };
    const output = withRecording(false, () => op!.forward(inputs, attributes, kept));
    return { inputs, output, saved: kept.saved, attributes };
  }

  /** What the op's gradient rule sends to input number `index` at these values, for the gradient g of the output. */
  gradientFor(at: Evaluation, index: number, g: Tensor): Tensor | null {
    const { gradient } = this.node.op!;
    if ('because' in gradient) return null;
    return (typeof gradient === 'function' ? gradient : gradient[index]!)(at, g, index);
  }
}

export class Block {
  /** Inputs before outputs. */
  readonly nodes: readonly BlockNode[];
  readonly stiffness: number;
  readonly #send: (node: Node, index: number, message: Message) => void;
  readonly #broadcast: (name: string) => Tensor;

  constructor(
    nodes: readonly BlockNode[],
    stiffness: number,
    send: (node: Node, index: number, message: Message) => void,
    broadcast: (name: string) => Tensor,
  ) {
    for (const { node, op } of nodes)
      if (versionsRead(node) !== node.versions)
        throw new Error(
          `backward: a value that ${op} read, in a block that is answered at once, was changed in place since. Call backward before the ` +
            'change (before optimizer.step(), say), or work on a copy: x.clone().',
        );
    this.nodes = nodes;
    this.stiffness = stiffness;
    this.#send = send;
    this.#broadcast = broadcast;
  }

  /** Whether a message to this input would leave the block and reach somebody. */
  wanted({ node, sources }: BlockNode, index: number): boolean {
    return sources[index] === null && node.inputs[index]!.node !== null;
  }

  /** Sends a message out of the block, to input number `index` of one of its nodes. */
  send({ node, sources }: BlockNode, index: number, message: Message): void {
    if (sources[index] !== null)
      throw new Error(`block: input ${index} of ${node.op!.name} is computed inside the block; messages go out of it.`);
    this.#send(node, index, message);
  }

  broadcast(name: string): Tensor {
    return this.#broadcast(name);
  }
}

/**
 * What an audit of a backward walk found, as plain data, and as a table for the terminal. A report holds no tensor: it may be
 * kept, compared and written as JSON long after the graph is gone.
 *
 * Nodes are numbered inputs first, so a node's messages go to smaller numbers.
 */
import { showShape } from '../tensor/layout.ts';

/** What a message was: a slope, springs, or both; hard: some of the targets have infinite precision. */
export type SeenMessage = 'gradient' | 'target' | 'hard target' | 'mixed' | 'hard mixed';

/** What a node did for one of its inputs. */
export interface Sending {
  /** Which input of the op. */
  readonly input: number;
  /** What it sent, after the hooks of the edge; null: nothing. */
  readonly kind: SeenMessage | null;
  /** Whether somebody got it: false of a message to a constant, or to data that nobody wants messages about. */
  readonly reached: boolean;
}

/**
 * A tensor that a rule read and that is neither its node's own nor made on the way.
 *
 * - `broadcast`: a value that was broadcast to all rules; `what` is its name.
 * - `foreign`: something of another node's; `what` says whose.
 * - `state`: part of no graph and not named, so the rule's own: a feedback matrix (a leaf, if it is learned), a constant of more
 *   than one number.
 */
export interface Reading {
  readonly kind: 'broadcast' | 'foreign' | 'state';
  readonly what: string;
  readonly shape: readonly number[];
}

export interface AuditedNode {
  readonly id: number;
  /** As the options name it; null: not named. */
  readonly name: string | null;
  /** null: a leaf. */
  readonly op: string | null;
  readonly shape: readonly number[];
  /** What answers here: a leaf keeps its messages, a block answers for several nodes at once. */
  readonly answers: 'leaf' | 'gradient' | 'rule' | 'block';
  /** The name of the rule, `gradient` for the op's own; null for leaves. */
  readonly rule: string | null;
  readonly accepts: 'gradient' | 'target' | 'any' | null;
  readonly surrogate: boolean;
  /** The sum of what arrived, before the rule had it turned into what it accepts; null: nothing arrived. */
  readonly received: SeenMessage | null;
  /** One for each input of the op. */
  readonly sent: readonly Sending[];
  /** What its rule read beyond its own node. */
  readonly reads: readonly Reading[];
}

/** One op reading one value: values flow from producer to consumer, messages the other way. */
export interface AuditedEdge {
  readonly producer: number;
  readonly consumer: number;
  /** Which input of the consumer. */
  readonly input: number;
  readonly kind: SeenMessage | null;
}

export class Report {
  readonly nodes: readonly AuditedNode[];
  readonly edges: readonly AuditedEdge[];

  constructor(nodes: readonly AuditedNode[], edges: readonly AuditedEdge[]) {
    this.nodes = nodes;
    this.edges = edges;
  }

  /** Messages that reached nobody: who sent what to which of its inputs. */
  get unreached(): readonly { readonly from: number; readonly input: number; readonly kind: SeenMessage }[] {
    return this.nodes.flatMap(({ id, sent }) =>
      sent.flatMap(({ input, kind, reached }) => (kind === null || reached ? [] : [{ from: id, input, kind }])),
    );
  }

  /** The nodes whose answer is not the derivative, on purpose. */
  get surrogates(): readonly AuditedNode[] {
    return this.nodes.filter(({ surrogate }) => surrogate);
  }

  /** The nodes whose rules read something of another node's. */
  get foreign(): readonly AuditedNode[] {
    return this.nodes.filter(({ reads }) => reads.some(({ kind }) => kind === 'foreign'));
  }

  /** A table for the terminal: a line for each node, outputs first. */
  toString(): string {
    const rows = this.nodes
      .toReversed()
      .map((node) => [
        `#${node.id}`,
        titleOf(node),
        showShape(node.shape),
        node.rule ?? '',
        node.accepts ?? '',
        node.received ?? '-',
        node.sent
          .map(({ kind, reached }) => `${kind ?? '-'}${kind === null || reached ? '' : ' (to nobody)'}`)
          .join(', '),
        notesOn(node).join('; '),
      ]);
    const heads = ['node', 'value', 'shape', 'rule', 'accepts', 'received', 'sent to its inputs', 'notes'];
    const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]!.length)));
    const line = (row: readonly string[]) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd();
    return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line), this.#summary()].join('\n');
  }

  #summary(): string {
    const list = (nodes: readonly AuditedNode[]) => nodes.map(({ id }) => `#${id}`).join(', ') || 'none';
    const lost = this.unreached.map(({ from, input, kind }) => `${kind} of #${from} to its input ${input}`);
    return (
      `${this.nodes.length} nodes, ${this.edges.length} edges. Surrogates: ${list(this.surrogates)}. Foreign reads: ` +
      `${list(this.foreign)}. Messages that reached nobody: ${lost.join(', ') || 'none'}.`
    );
  }
}

/** A node's name and op. */
export function titleOf({ name, op }: AuditedNode): string {
  if (name === null) return op ?? 'leaf';
  // Whatever somebody calls it, it stands in one line.
  const title = name.replace(/\s+/g, ' ');
  return op === null ? title : `${title} = ${op}`;
}

/** What is unusual about a node, in words. */
export function notesOn({ surrogate, answers, reads }: AuditedNode): string[] {
  const notes = reads.map(({ kind, what, shape }) => {
    if (kind === 'broadcast') return `reads the broadcast '${what}'`;
    return kind === 'foreign' ? `reads ${what} (foreign)` : `state or constant ${showShape(shape)}`;
  });
  return [...(surrogate ? ['surrogate'] : []), ...(answers === 'block' ? ['in a block'] : []), ...notes];
}

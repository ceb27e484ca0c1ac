/**
 * Drawings of an audit: for Mermaid, for Graphviz, and as a tree in the terminal. All say the same of each node: its name and op,
 * shape, rule, what it received; and of each edge what was sent back along it. Values flow along the arrows, messages against
 * them.
 *
 * Gradients are solid lines, targets dashed (dotted in Mermaid), mixed ones thick, hard ones red; an edge that no message went
 * along has no arrow head. Nodes whose rule is a surrogate have a dashed (in Graphviz a double) border.
 */
import { showShape } from '../tensor/layout.ts';
import { type AuditedEdge, type AuditedNode, notesOn, Report, titleOf } from './report.ts';

/** What every drawing writes into a node. */
function linesOf(node: AuditedNode): string[] {
  const rule = node.rule === null ? [] : [`${node.rule} rule, accepts ${node.accepts}`];
  const received = node.received === null ? 'received nothing' : `received ${node.received}`;
  return [`#${node.id} ${titleOf(node)} ${showShape(node.shape)}`, ...rule, received, ...notesOn(node)];
}

/** A graph is drawn from what a walk through it showed. */
function checkReport(who: string, report: Report): void {
  if (!(report instanceof Report))
    throw new Error(`${who}: draws the report of an audit, not a tensor: ${who}(audit(loss)).`);
}

const isHard = ({ kind }: AuditedEdge): boolean => kind?.startsWith('hard') ?? false;

/**
 * A flowchart in the language of Mermaid, which GitHub and many editors draw.
 *
 *     console.log(mermaid(audit(loss, { names: model.namedParameters() })));
 */
export function mermaid(report: Report): string {
  checkReport('mermaid', report);
  const { nodes, edges } = report;
  const boxes = nodes.map((node) => {
    const text = linesOf(node).map(quotedForMermaid).join('<br/>');
    return `  n${node.id}${node.op === null ? `(["${text}"])` : `["${text}"]`}`;
  });
  const lines = edges.map(({ producer, consumer, kind }) => {
    if (kind === null) return `  n${producer} --- n${consumer}`;
    const arrow = kind.endsWith('mixed') ? '==>' : kind.endsWith('target') ? '-.->' : '-->';
    return `  n${producer} ${arrow}|"${kind}"| n${consumer}`;
  });
  const hard = edges.flatMap((edge, i) => (isHard(edge) ? [i] : []));
  const surrogates = nodes.filter(({ surrogate }) => surrogate).map(({ id }) => `n${id}`);
  return [
    'flowchart TD',
    ...boxes,
    ...lines,
    ...(hard.length === 0 ? [] : [`  linkStyle ${hard.join(',')} stroke:#c00000`]),
    ...(surrogates.length === 0
      ? []
      : ['  classDef surrogate stroke-dasharray: 5 5', `  class ${surrogates.join(',')} surrogate`]),
    '',
  ].join('\n');
}

/** Mermaid writes characters that mean something to it as #number; within quotes. */
const quotedForMermaid = (text: string): string =>
  text
    .replace(/[\s]+/g, ' ')
    .replace(/[^ \p{L}\p{N}.,:()[\]=/+*'_-]/gu, (character) => `#${character.codePointAt(0)};`);

/**
 * A graph in the language of Graphviz: `dot -Tsvg`.
 *
 *     console.log(dot(audit(loss, { names: model.namedParameters() })));
 */
export function dot(report: Report): string {
  checkReport('dot', report);
  const { nodes, edges } = report;
  const boxes = nodes.map((node) => {
    const shape = node.op === null ? 'ellipse' : 'box';
    const border = node.surrogate ? ', peripheries=2' : '';
    return `  n${node.id} [shape=${shape}${border}, label="${linesOf(node).map(quotedForDot).join('\\n')}"];`;
  });
  const lines = edges.map((edge) => {
    const { producer, consumer, kind } = edge;
    if (kind === null) return `  n${producer} -> n${consumer} [dir=none];`;
    const style = kind.endsWith('mixed') ? 'bold' : kind.endsWith('target') ? 'dashed' : 'solid';
    return `  n${producer} -> n${consumer} [label="${kind}", style=${style}${isHard(edge) ? ', color=red' : ''}];`;
  });
  return ['digraph backward {', ...boxes, ...lines, '}', ''].join('\n');
}

const quotedForDot = (text: string): string => text.replace(/["\\]/g, '\\$&');

/**
 * A tree for the terminal, from the outputs down. A node that several others read is shown once, and then referred to by
 * its number.
 *
 *     console.log(tree(audit(loss)));
 */
export function tree(report: Report): string {
  checkReport('tree', report);
  const { nodes, edges } = report;
  const read = new Set(edges.map(({ producer }) => producer));
  const below = new Map<number, AuditedEdge[]>(nodes.map(({ id }) => [id, []]));
  for (const edge of edges) below.get(edge.consumer)!.push(edge);
  const shown = new Set<number>();
  const lines: string[] = [];
  for (const root of nodes.toReversed()) {
    if (read.has(root.id)) continue;
    // A stack, not recursion: graphs are deeper than call stacks.
    const stack = [{ id: root.id, head: '', indent: '' }];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const { id, head, indent } = next;
      const node = nodes[id]!;
      if (shown.has(id)) {
        lines.push(`${head}#${id} ${titleOf(node)}, see above`);
        continue;
      }
      shown.add(id);
      lines.push(head + linesOf(node).join(' | '));
      const branches = below.get(id)!;
      for (let i = branches.length - 1; i >= 0; i--) {
        const { producer, kind } = branches[i]!;
        const last = i === branches.length - 1;
        const head = `${indent}${last ? '└─' : '├─'} ${kind ?? 'nothing'} to `;
        stack.push({ id: producer, head, indent: `${indent}${last ? '   ' : '│  '}` });
      }
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Audits as people see them: the table for the terminal, and the drawings, which have to be well formed. */
import { describe, expect, it } from 'vitest';
import {
  mul,
  type NodeRule,
  relu,
  reshape,
  type Sent,
  setRule,
  slope,
  sum,
  type Tensor,
  tanh,
  target,
  tensor,
  type Visit,
  zeros,
} from '../../src/index.ts';
import { audit } from '../../src/inspect/audit.ts';
import { dot, mermaid, tree } from '../../src/inspect/draw.ts';
import type { AuditedNode, Report } from '../../src/inspect/report.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();

const rule = (propagate: (visit: Visit) => Sent, rest: Partial<NodeRule> = {}): NodeRule => ({
  ...{ name: 'mine', accepts: 'gradient', surrogate: true, propagate },
  ...rest,
});
const nothing = (visit: Visit): Sent => visit.inputs.map(() => null);
const same = (visit: Visit): Sent =>
  visit.inputs.map((input, i) => (input.wanted ? slope(visit.gradientFor(i, visit.gradient)!) : null));

/** A network with a bit of everything: a surrogate, a shared value, a hard target, a mixed message, nothing sent, odd names. */
function everything(): Report {
  const [x, w] = [leaf([1, 2]), leaf([3, 4])];
  const shared = reshape(x, [1, 2]);
  const left = setRule(relu(shared), rule(same, { name: 'straight "through" | <b>' }));
  const right = setRule(mul(shared, w), rule(nothing));
  const loss = sum(left);
  return audit(
    [
      loss,
      sum(right),
      target(shared, zeros([1, 2]), { precision: 1 }),
      target(w, zeros([2]), { precision: Infinity }),
      target(reshape(w, [2, 1]), zeros([2, 1]), { precision: 2 }),
    ],
    {
      names: [
        ['say "x"\n#1; [x] `y` \\ {z} & <i>', x],
        ['weights', w],
      ],
    },
  );
}

describe('the table', () => {
  it('has a line for each node, outputs first, and a summary', () => {
    const report = everything();
    const lines = String(report).split('\n');
    expect(lines).toHaveLength(report.nodes.length + 3);
    expect(lines[0]).toMatch(/^node +value +shape +rule +accepts +received +sent to its inputs +notes$/);
    const line = (op: string) => lines.find((one) => one.includes(` ${op} `))!;
    expect(line('relu')).toMatch(
      /#2 +relu +\[1, 2\] +straight "through" \| <b> +gradient +gradient +gradient +surrogate$/,
    );
    expect(line('mul')).toMatch(/mine +gradient +gradient +-, - +surrogate$/);
    expect(line('weights')).toMatch(/\[2\] +hard target$/);
    expect(lines.at(-1)).toBe(
      '8 nodes, 7 edges. Surrogates: #2, #5. Foreign reads: none. Messages that reached nobody: none.',
    );
    const lost = audit(
      sum(
        setRule(
          mul(tensor([1, 2]), leaf([1, 2])),
          rule(() => [slope(zeros([2])), null]),
        ),
      ),
    );
    expect(String(lost)).toMatch(/gradient \(to nobody\), -/);
    expect(String(lost)).toMatch(/Messages that reached nobody: gradient of #1 to its input 0\.$/);
  });
});

describe('drawings', () => {
  const report = everything();
  /** What every drawing must say of a node. */
  const facts = (node: AuditedNode): string[] => [
    ...[node.op ?? 'weights', node.shape.join(', '), node.rule === null ? '' : node.rule.split(' ')[0]!],
    `received ${node.received ?? 'nothing'}`,
  ];

  it('in Mermaid are well formed, and say everything of every node and edge', () => {
    const text = mermaid(report);
    const lines = text.trimEnd().split('\n');
    expect(lines[0]).toBe('flowchart TD');
    // A quoted text holds no quote, and # only where it begins a character code; what stands bare is harmless.
    const quoted = String.raw`"(?:[^"#<>\x60\\;{}|&]|#\d+;|<br\/>)*"`;
    const grammar = [
      String.raw`n\d+(?:\[${quoted}\]|\(\[${quoted}\]\))`,
      String.raw`n\d+ (?:-->|-\.->|==>)\|${quoted}\| n\d+`,
      String.raw`n\d+ --- n\d+`,
      String.raw`linkStyle \d+(?:,\d+)* stroke:#[0-9a-f]{6}`,
      'classDef surrogate stroke-dasharray: 5 5',
      String.raw`class n\d+(?:,n\d+)* surrogate`,
    ];
    const line = new RegExp(`^  (?:${grammar.join('|')})$`);
    for (const one of lines.slice(1)) expect(one).toMatch(line);
    for (const node of report.nodes) {
      const box = lines.find((one) => one.startsWith(`  n${node.id}[`) || one.startsWith(`  n${node.id}(`))!;
      for (const fact of node.name?.startsWith('say') ? [`received ${node.received}`] : facts(node))
        expect(box).toContain(fact);
    }
    expect(lines.filter((one) => / (-->|-\.->|==>|---)/.test(one))).toHaveLength(report.edges.length);
    expect(text).toContain('say #34;x#34; #35;1#59; [x] #96;y#96; #92; #123;z#125; #38; #60;i#62;');
    expect(text).toMatch(/class n2,n5 surrogate/);
  });

  it('in DOT are well formed too', () => {
    const text = dot(report);
    const lines = text.trimEnd().split('\n');
    const quoted = String.raw`"(?:[^"\\\n]|\\["\\n])*"`;
    const value = String.raw`(?:${quoted}|\w+)`;
    const attributes = String.raw`\[\w+=${value}(?:, \w+=${value})*\]`;
    const line = new RegExp(`^  n\\d+(?: -> n\\d+)? ${attributes};$`);
    expect([lines[0], lines.at(-1)]).toEqual(['digraph backward {', '}']);
    for (const one of lines.slice(1, -1)) expect(one).toMatch(line);
    for (const node of report.nodes) {
      const box = lines.find((one) => one.startsWith(`  n${node.id} [`))!;
      for (const fact of node.name?.startsWith('say') ? [`received ${node.received}`] : facts(node))
        expect(box).toContain(fact);
      expect(box.includes('peripheries=2')).toBe(node.surrogate);
    }
    expect(lines.filter((one) => one.includes('->'))).toHaveLength(report.edges.length);
    expect(text).toContain(String.raw`say \"x\" #1; [x]`);
  });

  it('tell kinds of messages apart by their lines', () => {
    const x = leaf([1, 2]);
    const pull = (y: Tensor, precision: number) => target(y, zeros(y.shape), { precision });
    const arrows = (seeds: (y: Tensor) => Parameters<typeof audit>[0]) => {
      const found = audit(seeds(reshape(x, [2, 1])));
      return [
        mermaid(found).match(/n0 (\S+)/)![1],
        dot(found).match(/n0 -> n1 \[(.*)\]/)![1],
        mermaid(found).includes('linkStyle'),
      ];
    };
    expect(arrows((y) => sum(y))).toEqual(['-->|"gradient"|', 'label="gradient", style=solid', false]);
    expect(arrows((y) => pull(y, 1))).toEqual(['-.->|"target"|', 'label="target", style=dashed', false]);
    expect(arrows((y) => [sum(y), pull(y, 1)])).toEqual(['==>|"mixed"|', 'label="mixed", style=bold', false]);
    expect(arrows((y) => [sum(y), pull(y, Infinity)])).toEqual([
      ...['==>|"hard', 'label="hard mixed", style=bold, color=red', true],
    ]);
    expect(arrows((y) => sum(setRule(y, rule(nothing))))).toEqual(['---', 'dir=none', false]);
  });

  it('as a tree show a shared node once, and refer to it afterwards', () => {
    const text = tree(report);
    const lines = text.trimEnd().split('\n');
    for (const node of report.nodes) {
      const full = lines.filter((one) => one.includes(`#${node.id} `) && one.includes('received'));
      expect(full).toHaveLength(1);
      for (const fact of node.name?.startsWith('say') ? [`received ${node.received}`] : facts(node))
        expect(full[0]).toContain(fact);
    }
    const [x, shared] = [leaf([1]), [] as string[]];
    const h = tanh(x);
    shared.push(
      ...tree(audit(sum(mul(h, relu(h)))))
        .trimEnd()
        .split('\n'),
    );
    expect(shared).toEqual([
      '#4 sum [] | gradient rule, accepts gradient | received gradient',
      '└─ gradient to #3 mul [1] | gradient rule, accepts gradient | received gradient',
      '   ├─ gradient to #1 tanh [1] | gradient rule, accepts gradient | received gradient',
      '   │  └─ gradient to #0 leaf [1] | received gradient',
      '   └─ gradient to #2 relu [1] | gradient rule, accepts gradient | received gradient',
      '      └─ gradient to #1 tanh, see above',
    ]);
  });

  it('of several outputs are several trees', () => {
    const x = leaf([1]);
    expect(tree(audit([sum(x), sum(relu(x))])).match(/^#\d/gm)).toEqual(['#3', '#1']);
  });
});

it('what is no report is told what draws', () => {
  const x = tensor([1]).requiresGrad_();
  for (const draw of [mermaid, dot, tree])
    expect(() => draw(x.mul(2) as never)).toThrow(/draws the report of an audit/);
});

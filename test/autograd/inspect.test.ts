/** Audits: what they report of a walk, what rules read that is not theirs, and that nothing changes. */
import { describe, expect, it } from 'vitest';
import {
  type BlockRule,
  backward,
  buffer,
  cat,
  crossEntropy,
  defineOp,
  errorAt,
  gradientRule,
  inboxOf,
  Linear,
  linear,
  manualSeed,
  mul,
  type NodeRule,
  onEdge,
  onValue,
  parameter,
  ReLU,
  randn,
  relu,
  reshape,
  type Sent,
  Sequential,
  setRule,
  slice,
  slope,
  spring,
  sum,
  Tensor,
  tanh,
  target,
  tensor,
  transpose,
  type Visit,
  withRules,
  zeros,
} from '../../src/index.ts';
import { type AuditOptions, audit } from '../../src/inspect/audit.ts';
import type { AuditedNode, Report } from '../../src/inspect/report.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();
const byOp = (report: Report, op: string): AuditedNode[] => report.nodes.filter((node) => node.op === op);
const one = (report: Report, op: string): AuditedNode => {
  const [node] = byOp(report, op);
  return node!;
};
const named = (report: Report, name: string): AuditedNode => report.nodes.find((node) => node.name === name)!;

const rule = (propagate: (visit: Visit) => Sent, rest: Partial<NodeRule> = {}): NodeRule => ({
  ...{ name: 'mine', accepts: 'gradient', surrogate: true, propagate },
  ...rest,
});
const nothing = (visit: Visit): Sent => visit.inputs.map(() => null);
const same = (visit: Visit): Sent =>
  visit.inputs.map((input, i) => (input.wanted ? slope(visit.gradientFor(i, visit.gradient)!) : null));

describe('an audit', () => {
  it('lists every node, inputs first, with its op, shape, rule and messages', () => {
    const model = new Sequential(new Linear(4, 3), new ReLU(), new Linear(3, 2));
    const report = audit(crossEntropy(model.forward(zeros([5, 4])), [0, 1, 0, 1, 1]), {
      names: model.namedParameters(),
    });
    expect(report.nodes.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(report.nodes.map(({ op, name }) => op ?? name)).toEqual([
      ...['0.weight', '0.bias', 'linear', 'relu', '2.weight', '2.bias', 'linear', 'crossEntropy'],
    ]);
    expect(report.nodes.map(({ shape }) => shape)).toEqual([[3, 4], [3], [5, 3], [5, 3], [2, 3], [2], [5, 2], []]);
    expect(
      report.nodes.every(
        ({ received, surrogate, reads }) => received === 'gradient' && !surrogate && reads.length === 0,
      ),
    ).toBe(true);
    expect(one(report, 'relu')).toEqual({
      ...{ id: 3, name: null, op: 'relu', shape: [5, 3], answers: 'gradient', rule: 'gradient', accepts: 'gradient' },
      ...{ surrogate: false, received: 'gradient', sent: [{ input: 0, kind: 'gradient', reached: true }], reads: [] },
    });
    expect(byOp(report, 'linear')[0]!.sent).toEqual([
      { input: 0, kind: null, reached: false },
      { input: 1, kind: 'gradient', reached: true },
      { input: 2, kind: 'gradient', reached: true },
    ]);
    expect(report.edges).toHaveLength(7);
    expect(report.edges.at(-1)).toEqual({ producer: 6, consumer: 7, input: 0, kind: 'gradient' });
    expect([report.unreached, report.surrogates, report.foreign]).toEqual([[], [], []]);
  });

  it('takes names from a Map too, and for values in between', () => {
    const x = leaf([1, 2]);
    const hidden = relu(x);
    const report = audit(sum(hidden), {
      names: new Map([
        ['input', x],
        ['hidden', hidden],
      ]),
    });
    expect(report.nodes.map(({ name }) => name)).toEqual(['input', 'hidden', null]);
    expect(() => audit(sum(hidden), { names: [['x', 3 as unknown as Tensor]] })).toThrow(/audit: expected a tensor/);
  });

  it('says of what kind messages are', () => {
    const x = leaf([1, 2]);
    const [soft, hard] = [reshape(x, [2, 1]), reshape(x, [1, 2])];
    const pull = (y: Tensor, precision: number) => target(y, zeros(y.shape), { precision });
    const kinds = (seeds: Parameters<typeof audit>[0]) => {
      const report = audit(seeds);
      return report.nodes.map(({ op, received }) => `${op ?? 'x'} ${received}`).sort();
    };
    expect(kinds([pull(soft, 1)])).toEqual(['reshape target', 'x target']);
    expect(kinds([pull(soft, 1), sum(soft)])).toEqual(['reshape mixed', 'sum gradient', 'x mixed']);
    expect(kinds([pull(hard, Infinity)])).toEqual(['reshape hard target', 'x hard target']);
    expect(kinds([pull(hard, Infinity), sum(soft)])).toEqual([
      ...['reshape gradient', 'reshape hard target', 'sum gradient', 'x hard mixed'],
    ]);
    expect(one(audit([pull(soft, 1)]), 'reshape').accepts).toBe('any');
  });

  it('of rules, with a learn part or without: names, what they accept, surrogates', () => {
    const [x, a, b] = [leaf([[1, 2]]), parameter(zeros([2, 2])), parameter(zeros([2]))];
    const learner = rule((visit) => [spring(visit.inputs[0]!.value, 1), null, null], {
      ...{ name: 'learner', accepts: 'target', surrogate: true },
      learn: () => [null, spring(zeros([2, 2]), 2), slope(zeros([2]))],
    });
    const y = setRule(linear(tanh(x), a, b), learner);
    const report = audit(target(y, zeros([1, 2]), { precision: 1 }), { names: [['bias', b]], stiffness: 1 });
    expect(one(report, 'linear')).toMatchObject({
      ...{ answers: 'rule', rule: 'learner', accepts: 'target', surrogate: true, received: 'target' },
      sent: [
        { input: 0, kind: 'target', reached: true },
        { input: 1, kind: 'target', reached: true },
        { input: 2, kind: 'gradient', reached: true },
      ],
    });
    expect(report.surrogates).toEqual([one(report, 'linear')]);
    expect(named(report, 'bias').received).toBe('gradient');
    const plain = audit(target(y, zeros([1, 2]), { precision: 1 }), { rules: false });
    expect(one(plain, 'linear')).toMatchObject({ rule: 'gradient', surrogate: false, received: 'target' });
    expect(plain.surrogates).toEqual([]);
  });

  it('of blocks: each node, and what it sent out, several messages to one input as their sum', () => {
    const x = leaf([1, 2]);
    const block: BlockRule = {
      ...{ name: 'pc', surrogate: true },
      settle({ nodes, send }) {
        expect(typeof send).toBe('function');
        expect(nodes).toHaveLength(2);
      },
    };
    const sends: BlockRule = {
      ...block,
      settle(b) {
        b.send(b.nodes[0]!, 0, slope(zeros([2])));
        b.send(b.nodes[0]!, 0, spring(zeros([2]), Infinity));
      },
    };
    const report = (with_: BlockRule) => audit(sum(withRules({ '*': with_, sum: null }, () => tanh(relu(x)))));
    expect(one(report(block), 'relu').sent).toEqual([{ input: 0, kind: null, reached: false }]);
    const found = report(sends);
    expect(one(found, 'relu')).toMatchObject({
      ...{ answers: 'block', rule: 'pc', accepts: 'any', received: null, surrogate: true },
      sent: [{ input: 0, kind: 'hard mixed', reached: true }],
    });
    expect(one(found, 'tanh')).toMatchObject({ received: 'gradient', sent: [{ kind: null }] });
  });

  it('lists messages that reached nobody, and sees what hooks leave of them', () => {
    const [x, w] = [tensor([1, 2]), leaf([3, 4])];
    const y = setRule(
      mul(x, w),
      rule(() => [spring(zeros([2]), 1), slope(zeros([2]))]),
    );
    const report = audit(sum(y));
    expect(report.unreached).toEqual([{ from: one(report, 'mul').id, input: 0, kind: 'target' }]);
    onEdge(y, 1, () => null);
    onEdge(y, 0, () => slope(zeros([2])));
    const hooked = audit(sum(y));
    expect(one(hooked, 'mul').sent).toEqual([
      { input: 0, kind: 'gradient', reached: false },
      { input: 1, kind: null, reached: false },
    ]);
    expect(hooked.nodes[0]!.received).toBeNull();
    expect(audit(sum(mul(w, w))).unreached).toEqual([]);
  });

  it('of a node that nothing reached says so', () => {
    const x = leaf([1]);
    const report = audit(sum(setRule(tanh(relu(x)), rule(nothing))));
    expect(report.nodes.map(({ received }) => received)).toEqual([null, null, 'gradient', 'gradient']);
  });

  it('changes no .grad and no inbox, not even when it throws, and keeps the graph alive', () => {
    const [w, v] = [parameter(tensor([1, 2])), parameter(tensor([3, 4]))];
    sum(mul(w, 5)).backward();
    backward(target(w, zeros([2]), { precision: 2 }));
    const before = inboxOf(w)!;
    const numbers = () => [inboxOf(w)!.slope!.toArray(), inboxOf(w)!.springs!.pull.toArray()];
    const values = numbers();
    const loss = sum(mul(w, mul(v, 2)));
    for (let i = 0; i < 4; i++) expect(named(audit(loss, { names: [['w', w]] }), 'w').received).toBe('gradient');
    expect(numbers()).toEqual(values);
    expect([inboxOf(w)!.slope, inboxOf(w)!.springs]).toEqual([before.slope, before.springs]);
    expect(inboxOf(w)!.slope).toBe(before.slope);
    expect(v.grad).toBeNull();
    onValue(v, () => {
      throw new Error('no');
    });
    expect(() => audit(loss)).toThrow('no');
    expect(inboxOf(w)!.slope).toBe(before.slope);
    expect(v.grad).toBeNull();
    w.grad = null;
    expect(() => audit(loss)).toThrow('no');
    expect(w.grad).toBeNull();
  });

  it('and a backward after it gives the same bits', () => {
    manualSeed(4);
    const model = new Sequential(new Linear(4, 3), new ReLU(), new Linear(3, 2));
    const x = randn([5, 4]);
    const loss = () => crossEntropy(model.forward(x), [0, 1, 0, 1, 1]);
    loss().backward();
    const plain = model.parameters().map((p) => p.grad!.toArray());
    model.zeroGrad();
    const audited = loss();
    audit(audited);
    audited.backward();
    expect(model.parameters().map((p) => p.grad!.toArray())).toEqual(plain);
  });

  it('throws what backward throws', () => {
    const x = leaf([1, 2]);
    expect(() => audit([])).toThrow(/the list of losses and targets is empty/);
    expect(() => audit(tensor([1]))).toThrow(/has no history/);
    expect(() => audit(relu(x))).toThrow(/gradients start from a single number/);
    expect(() => audit(target(relu(x), zeros([2])))).toThrow(/precision nobody stated/);
  });

  it('walks chains of 15,000 nodes', () => {
    let y: Tensor = leaf(1);
    for (let i = 0; i < 15_000; i++) y = mul(y, 1);
    expect(audit(y).nodes).toHaveLength(15_001);
  });
});

describe('what a rule reads', () => {
  /** Two layers, and what the rule of the lower one is found to read. */
  function layers(
    propagate: (visit: Visit, other: Tensor, model: Model) => Sent,
    rest: Partial<NodeRule> = {},
    options: AuditOptions = {},
  ) {
    manualSeed(1);
    const [x, a, b] = [leaf([[1, 2]]), parameter(randn([3, 2])), parameter(randn([2, 3]))];
    const below = linear(x, a);
    const hidden = tanh(below);
    const above = linear(hidden, b);
    const model = { x, a, b, below, hidden, above };
    setRule(
      below,
      rule((visit) => propagate(visit, b, model), rest),
    );
    const report = audit(sum(above.square()), {
      names: [
        ['lower weight', a],
        ['upper weight', b],
      ],
      ...options,
    });
    const [lower] = byOp(report, 'linear');
    return { reads: lower!.reads, report, model };
  }
  type Model = { x: Tensor; a: Tensor; b: Tensor; below: Tensor; hidden: Tensor; above: Tensor };

  it('is its own: inputs, output, message, what it makes, constants', () => {
    const { reads, report } = layers((visit) => {
      const [x, w] = visit.inputs;
      const delta = mul(visit.gradient, visit.output.square().add(1));
      return [slope(delta.matmul(w!.value)), slope(transpose(delta).matmul(x!.value).mul(zeros([]).add(0.5)))];
    });
    expect(reads).toEqual([]);
    expect(report.foreign).toEqual([]);
  });

  it("of the ops' own gradient rules too, and of gradient rules put in their place", () => {
    const w = parameter(randn([3, 2]));
    const h = tanh(linear(leaf([[1, 2]]), w));
    const logits = cat([h.mul(2), reshape(h, [1, 3]).softmax(1)], 0);
    const loss = crossEntropy(logits.div(logits.square().mean().sqrt()), [0, 1]);
    const plain = audit([loss, target(h, zeros([1, 3]), { precision: 1 })]);
    expect(plain.nodes.flatMap(({ reads }) => reads)).toEqual([]);
    const same = gradientRule('same', (visit, g, i) => visit.gradientFor(i, g), { surrogate: false });
    const ruled = audit(withRules({ '*': same }, () => sum(tanh(linear(leaf([[1, 2]]), w)).square())));
    expect(ruled.nodes.flatMap(({ reads }) => reads)).toEqual([]);
    expect(byOp(ruled, 'tanh')[0]!.rule).toBe('same');
  });

  it('is its own where the op saved it, or has it among its attributes', () => {
    const keeps = defineOp<[Tensor], Tensor>({
      ...{ name: 'test keeps', inputs: ['x'], samples: () => [] },
      forward: ([x], mask, node) => {
        const kept = x.mul(mask);
        if (node !== null) node.saved = kept;
        return kept.mul(2);
      },
      gradient: [({ saved, attributes }, g) => g.mul(saved!).mul(attributes)],
    });
    const report = audit(sum(keeps(leaf([1, 2]), buffer(tensor([3, 4])))));
    expect(one(report, 'test keeps').reads).toEqual([]);
  });

  it('of what is computed for it may have been anything: the mask that says what is feasible', () => {
    const masked = mul(tanh(leaf([[1, 2]])), tensor([[1, 0]]));
    const found: unknown[] = [];
    const asking = rule(
      (visit) => {
        found.push(
          visit.inputs[0]!.feasible(tensor([[5, 5]]))
            .mul(1)
            .toArray(),
        );
        return [slope(tensor([[1, 1]])), null];
      },
      {
        learn(visit) {
          found.push(visit.inputs[0]!.settled(1).mul(1).toArray());
          return [null, null];
        },
      },
    );
    const report = audit(sum(setRule(linear(masked, parameter(zeros([1, 2]))), asking)));
    expect(found[0]).toEqual([[5, 0]]);
    expect(found).toHaveLength(2);
    expect(one(report, 'linear').reads).toEqual([]);
  });

  it('is its own where the engine computes it: settled and feasible values', () => {
    const { reads } = layers((visit) => [slope(visit.inputs[0]!.feasible(zeros([1, 2])).mul(1)), null], {
      learn: (visit) => [null, slope(transpose(visit.gradient).matmul(visit.inputs[0]!.settled(1)))],
    });
    expect(reads).toEqual([]);
  });

  it("is foreign if it is another layer's weight: by name and shape", () => {
    const { reads, report } = layers((visit, other) => [
      slope(visit.gradient.matmul(transpose(other)).matmul(zeros([2, 2]))),
      null,
    ]);
    expect(reads).toContainEqual({ kind: 'foreign', what: 'upper weight', shape: [2, 3] });
    expect(report.foreign).toEqual([byOp(report, 'linear')[0]]);
    expect(String(report)).toMatch(/reads upper weight \(foreign\)/);
  });

  it('also in the part that learns, and of a parameter that the graph does not hold, if it has a name', () => {
    const scalar = leaf(3);
    const reads = (names: AuditOptions['names']) =>
      layers(nothing, { learn: (visit) => [null, slope(mul(visit.inputs[1]!.value, scalar))] }, { names: names ?? [] })
        .reads;
    expect(reads([['elsewhere', scalar]])).toEqual([{ kind: 'foreign', what: 'elsewhere', shape: [] }]);
    expect(reads([])).toEqual([{ kind: 'state', what: 'state', shape: [] }]);
  });

  it("is foreign if it is another node's value, an input of another, a view of it, or something outside the graph", () => {
    const batch = randn([1, 3]);
    const outside = tanh(leaf([[1, 2]]));
    const reading = (read: (model: Model) => Tensor) =>
      layers((visit, _, model) => {
        sum(read(model));
        return nothing(visit);
      }).reads.map(({ kind, what }) => `${kind}: ${what}`);
    expect(reading(({ hidden }) => hidden)).toEqual(['foreign: tanh #3']);
    expect(reading(({ above }) => above)).toEqual(['foreign: linear #5']);
    expect(reading(({ b }) => new Tensor(b.storage, b.layout, b.offset))).toEqual(['foreign: upper weight']);
    expect(reading(() => outside)).toEqual(['foreign: the output of tanh of shape [1, 2] outside the graph']);
    expect(reading(({ a }) => a)).toEqual([]);
    // A part of it is its own, all of it is not.
    const whole = leaf([1, 2, 3]);
    const part = setRule(
      relu(slice(whole, [[0, 2]])),
      rule((visit) => {
        sum(whole);
        return nothing(visit);
      }),
    );
    expect(one(audit(sum(part), { names: [['whole', whole]] }), 'relu').reads).toEqual([
      { kind: 'foreign', what: 'whole', shape: [3] },
    ]);
    const report = () => {
      const lower = setRule(
        tanh(leaf([[1, 2, 3]])),
        rule((visit) => {
          sum(batch);
          return nothing(visit);
        }),
      );
      return audit(sum(mul(lower, batch)));
    };
    expect(one(report(), 'tanh').reads).toEqual([{ kind: 'foreign', what: 'an input of mul #2', shape: [1, 3] }]);
  });

  it('is foreign if it is what a rule was told or made at another node', () => {
    let heard: Tensor | null = null;
    let kept: Tensor | null = null;
    const keeping = rule((visit) => {
      heard = visit.gradient;
      kept = visit.output.square();
      return same(visit);
    });
    const reading = (which: () => Tensor | null) => {
      const hidden = setRule(
        tanh(leaf([[1, 2]])),
        rule((visit) => {
          sum(which()!);
          return same(visit);
        }),
      );
      return one(audit(sum(setRule(relu(hidden), keeping).mul(3))), 'tanh').reads.map(({ what }) => what);
    };
    expect(reading(() => heard)).toEqual(['the message to relu #2']);
    expect(reading(() => kept)).toEqual(['what the rule at relu #2 made']);
  });

  it('is its own if it was made at the same node, in the first part', () => {
    let kept: Tensor | null = null;
    const { reads } = layers(
      (visit) => {
        kept = visit.gradient.mul(2);
        return nothing(visit);
      },
      { learn: (visit) => [null, slope(transpose(kept!).matmul(visit.inputs[0]!.value))] },
    );
    expect(reads).toEqual([]);
  });

  it('is state if it is part of no graph: the matrix of feedback alignment', () => {
    for (const B of [randn([3, 2]), buffer(randn([3, 2])), parameter(randn([3, 2]))]) {
      const { reads, report } = layers((visit) => [
        slope(visit.gradient.matmul(B)),
        slope(transpose(visit.gradient).matmul(visit.inputs[0]!.value)),
      ]);
      expect(reads).toEqual([{ kind: 'state', what: 'state', shape: [3, 2] }]);
      expect(report.foreign).toEqual([]);
      expect(String(report)).toMatch(/state or constant \[3, 2\]/);
    }
  });

  it('is a broadcast if it asked for one: the error of direct feedback alignment', () => {
    const B = buffer(randn([2, 3]));
    const direct = (visit: Visit): Sent => {
      const delta = visit.broadcast('error').matmul(B).mul(visit.output.square());
      return [slope(delta.matmul(visit.inputs[1]!.value)), slope(transpose(delta).matmul(visit.inputs[0]!.value))];
    };
    manualSeed(1);
    const [x, a, b] = [leaf([[1, 2]]), parameter(randn([3, 2])), parameter(randn([2, 3]))];
    const below = setRule(linear(x, a), rule(direct));
    const logits = linear(tanh(below), b);
    for (const [seeds, error] of [
      [sum(logits.square()), errorAt(logits)],
      [target(logits, zeros([1, 2]), { precision: 1 }), errorAt(logits)],
      [sum(logits.square()), buffer(zeros([1, 2]))],
    ] as const) {
      const report = audit(seeds, { broadcast: { error } });
      expect(byOp(report, 'linear')[0]!.reads).toEqual([
        { kind: 'broadcast', what: 'error', shape: [1, 2] },
        { kind: 'state', what: 'state', shape: [2, 3] },
      ]);
      expect(report.foreign).toEqual([]);
      expect(String(report)).toMatch(/reads the broadcast 'error'/);
    }
  });

  it("of a block is its nodes' own, and foreign what is not", () => {
    const w = parameter(randn([1, 2]));
    const reading = (extra: Tensor | null): BlockRule => ({
      ...{ name: 'pc', surrogate: true },
      settle(block) {
        const [first, last] = block.nodes;
        const again = last!.evaluate([first!.evaluation.output.add(0.1)]);
        sum(again.output.sub(last!.evaluation.output).mul(last!.message!.gradient()));
        if (extra !== null) sum(extra);
        sum(block.broadcast('label'));
      },
    });
    const reads = (extra: Tensor | null) => {
      const inside = withRules({ '*': reading(extra) }, () => tanh(relu(leaf([[1, 2]]))));
      const report = audit(sum(mul(inside, w)), { broadcast: { label: buffer(zeros([3])) }, names: [['w', w]] });
      return one(report, 'relu').reads;
    };
    const label = { kind: 'broadcast', what: 'label', shape: [3] };
    expect(reads(null)).toEqual([label]);
    expect(reads(w)).toEqual([{ kind: 'foreign', what: 'w', shape: [1, 2] }, label]);
  });

  it('is no longer listened to afterwards', () => {
    const { model } = layers((visit, other) => [
      slope(visit.gradient.matmul(transpose(other)).matmul(zeros([2, 2]))),
      null,
    ]);
    const { report } = layers(nothing);
    sum(model.b);
    expect(report.foreign).toEqual([]);
    expect(() =>
      layers(() => {
        throw new Error('no');
      }),
    ).toThrow('no');
    sum(model.b);
  });
});

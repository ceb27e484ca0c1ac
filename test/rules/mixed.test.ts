/**
 * One graph, several ways backward: the mixtures that are to work, each held to formulas that know nothing of the engine's
 * way of computing them.
 */
import { describe, expect, it } from 'vitest';
import { drawDigits } from '../../bench/learning/digits.ts';
import { Springs } from '../../src/autograd/message.ts';
import {
  audit,
  backward,
  Conv2d,
  crossEntropy,
  errorAt,
  Flatten,
  Generator,
  gradients,
  inboxOf,
  Linear,
  linear,
  MaxPool2d,
  manualSeed,
  matmul,
  mul,
  noGrad,
  onValue,
  parameter,
  ReLU,
  randn,
  relu,
  Sequential,
  SGD,
  sum,
  Tanh,
  type Tensor,
  tanh,
  target,
  tensor,
  withRules,
} from '../../src/index.ts';
import { layerNorm } from '../../src/ops/normalization.ts';
import { directFeedbackAlignment } from '../../src/rules/direct-feedback.ts';
import { feedbackAlignment } from '../../src/rules/feedback.ts';
import { predictiveCoding } from '../../src/rules/predictive/rule.ts';
import { oneHotTarget } from '../../src/rules/target/outputs.ts';
import { targetPropagation } from '../../src/rules/target/propagation.ts';
import { anchor } from '../../src/state/anchor.ts';

const numbers = (x: Tensor): number[] => Array.from(x.toFloat32Array());

function expectClose(found: Tensor, expected: Tensor, tolerance = 1e-6): void {
  expect(found.shape).toEqual(expected.shape);
  const [a, b] = [numbers(found), numbers(expected)];
  const scale = Math.max(1e-3, ...b.map(Math.abs));
  for (const [i, x] of a.entries()) expect(Math.abs(x - b[i]!)).toBeLessThanOrEqual(tolerance * scale);
}

describe('a convolutional trunk by gradients under a head by targets', () => {
  const build = () => {
    manualSeed(4);
    const trunk = new Sequential(new Conv2d(1, 6, 5, { stride: 2 }), new ReLU(), new MaxPool2d(2), new Flatten());
    const head = new Sequential(new Linear(216, 32), new ReLU(), new Linear(32, 10));
    return { trunk, head };
  };
  const { pixels, labels } = drawDigits(400, new Generator(5));
  const images = tensor(
    Float32Array.from(pixels, (x) => x / 255),
    [400, 1, 28, 28],
  );
  const rules = targetPropagation({ signal: 'sum' });

  it('gets, as gradient, precision times minus the displacement that the head asks of the features', () => {
    const { trunk, head } = build();
    const features = trunk.forward(images.slice([[0, 8]]));
    const logits = withRules(rules, () => head.forward(features));
    let asked: Tensor | null = null;
    let kind = '';
    onValue(features, (message) => {
      kind = message.kind;
      asked = message.step(0).mul(message.precision()).neg().detach();
    });
    backward(oneHotTarget(logits, Array.from(labels.slice(0, 8)), { precision: 1 / 8 }));
    expect(kind).toBe('target');
    const kernel = trunk.parameters()[0]!;
    const found = kernel.grad!.detach();
    const again = trunk.forward(images.slice([[0, 8]]));
    expectClose(found, gradients(again, [kernel], { seed: asked! })[0]!, 1e-5);
    expect(Math.max(...numbers(found).map(Math.abs))).toBeGreaterThan(0);
  });

  it('learns the digits: no loss node anywhere', () => {
    const { trunk, head } = build();
    // Targets are met by small weights first (minimum-norm steps never shrink what was there), and all the way.
    noGrad(() => {
      for (const p of head.parameters()) p.mul_(0.05);
    });
    const optimizer = new SGD(
      [
        { parameters: trunk.parameters(), lr: 0.05 },
        { parameters: head.parameters(), lr: Infinity },
      ],
      { lr: 0.05 },
    );
    const generator = new Generator(6);
    for (let epoch = 0; epoch < 8; epoch++) {
      const order = generator.permutation(400);
      for (let at = 0; at < 400; at += 20) {
        const rows = Array.from(order.slice(at, at + 20));
        const batch = images.indexSelect(0, rows);
        const features = trunk.forward(batch);
        const logits = withRules(rules, () => head.forward(features));
        optimizer.zeroGrad();
        backward(
          oneHotTarget(
            logits,
            rows.map((row) => labels[row]!),
            { precision: 1 / 20 },
          ),
        );
        optimizer.step();
      }
    }
    const winners = head.forward(trunk.forward(images)).argmax(1).toArray() as number[];
    const right = winners.filter((winner, i) => winner === labels[i]).length;
    expect(right).toBeGreaterThan(250);
  });
});

describe('one weight under two branches, one by backpropagation, one by feedback alignment', () => {
  manualSeed(7);
  const w = parameter(randn([5, 4]));
  const top = parameter(randn([3, 5]));
  const [x1, x2] = [randn([6, 4]), randn([6, 4])];
  const labels = [0, 1, 2, 0, 1, 2];
  const alignment = feedbackAlignment({ generator: new Generator(3) });
  const branch = (x: Tensor) => linear(tanh(linear(x, w)), top);
  const losses = () => [
    crossEntropy(branch(x1), labels),
    crossEntropy(
      withRules(alignment, () => branch(x2)),
      labels,
    ),
  ];

  it('gets the sum of what each branch alone would send, in one walk', () => {
    w.grad = top.grad = null;
    backward(losses());
    const both = w.grad!.detach();
    const apart = losses().map((loss) => {
      w.grad = null;
      backward(loss);
      return w.grad!.detach();
    });
    expectClose(both, apart[0]!.add(apart[1]!));
    // And the second is what the formula says, B in the place of the top weight.
    const h = tanh(linear(x2, w));
    const p = linear(h, top).softmax(1);
    const onehot = tensor(
      labels.flatMap((label) => [0, 1, 2].map((k) => (k === label ? 1 : 0))),
      [6, 3],
    );
    const g = p.sub(onehot).div(6);
    const b = alignment.linear.feedbackOf(top);
    const delta = matmul(g, b).mul(h.square().neg().add(1));
    expectClose(apart[1]!, matmul(delta.transpose(0, 1), x2), 1e-5);
    expect(Math.max(...numbers(b.sub(top)).map(Math.abs))).toBeGreaterThan(0.1);
  });

  it.each(['implicit', 'explicit'] as const)('and an anchor on that same weight pulls beside both, %s', (step) => {
    w.grad = top.grad = null;
    const [lambda, lr] = [3, 0.1];
    const at = randn([5, 4]);
    const held = anchor(w, { at, precision: lambda, step });
    const before = w.detach();
    backward(losses());
    const g = w.grad!.detach();
    new SGD([w], { lr }).step();
    const away = before.sub(at);
    const expected =
      step === 'explicit'
        ? before.sub(g.add(away.mul(lambda)).mul(lr))
        : before.sub(g.add(away.mul(lambda)).div(1 / lr + lambda));
    expectClose(w.detach(), expected);
    held.remove();
  });
});

it('a trunk by direct feedback alignment trains norm layers by their own gradients', () => {
  manualSeed(11);
  const [first, second, last] = [new Linear(5, 8), new Linear(8, 8), new Linear(8, 3)];
  const [gain, shift] = [parameter(randn([8])), parameter(randn([8]))];
  const x = randn([4, 5]);
  const labels = [0, 2, 1, 1];
  const direct = directFeedbackAlignment({ generator: new Generator(2) });
  const forward = () => {
    const h = layerNorm(first.forward(x), [8], gain, shift);
    const logits = withRules(direct, () => last.forward(tanh(second.forward(tanh(h)))));
    return { h, logits };
  };
  const { logits } = forward();
  backward(crossEntropy(logits, labels), { broadcast: { error: errorAt(logits) } });

  const onehot = tensor(
    labels.flatMap((label) => [0, 1, 2].map((k) => (k === label ? 1 : 0))),
    [4, 3],
  );
  const error = logits.softmax(1).sub(onehot).div(4);
  // What reaches the value below `second` is e B, whatever lies between it and the loss.
  const signal = matmul(error, direct.linear.feedbackOf(second.weight)!);
  const h = layerNorm(first.forward(x), [8], gain, shift);
  const [dGain, dFirst] = gradients(tanh(h), [gain, first.weight], { seed: signal });
  expectClose(gain.grad!, dGain!, 1e-5);
  expectClose(first.weight.grad!, dFirst!, 1e-5);
});

it('two heads on one trunk, one sends gradients, one targets: the trunk hears g - r', () => {
  manualSeed(13);
  const trunk = new Sequential(new Linear(4, 6), new Tanh());
  const [a, b] = [new Linear(6, 3), new Linear(6, 2)];
  const x = randn([5, 4]);
  const wanted = randn([5, 2]);
  const labels = [0, 1, 2, 0, 1];
  const h = trunk.forward(x);
  const other = withRules(targetPropagation(), () => b.forward(h));
  let seen = '';
  onValue(h, ({ kind }) => {
    seen = kind;
  });
  backward([crossEntropy(a.forward(h), labels), target(other, wanted, { precision: 0.2 })]);
  expect(seen).toBe('mixed');
  // The target head asks h to move by the mean over its neurons of dy w, with a precision of their sum.
  const pull = matmul(wanted.sub(b.forward(h)).mul(0.2), b.weight);
  const [g] = gradients(crossEntropy(a.forward(h), labels), [h]);
  const [expected] = gradients(trunk.forward(x), [trunk.parameters()[0]!], { seed: g!.sub(pull) });
  expectClose(trunk.parameters()[0]!.grad!, expected!, 1e-5);
});

describe('a predictive coding block inside a backpropagation network', () => {
  const make = () => {
    manualSeed(17);
    return {
      below: new Linear(4, 6),
      block: new Sequential(new Linear(6, 7), new Tanh(), new Linear(7, 5)),
      above: new Linear(5, 3),
    };
  };
  const x = randn([3, 4], { generator: new Generator(1) });
  const labels = [2, 0, 1];
  const gradientsOf = (rules: Parameters<typeof withRules>[0]) => {
    const { below, block, above } = make();
    const inner = tanh(below.forward(x));
    const out = withRules(rules, () => block.forward(inner));
    crossEntropy(above.forward(tanh(out)), labels).backward();
    return [below, block, above].flatMap((module) => module.parameters().map((p) => p.grad!.detach()));
  };

  it('with fixed predictions and rate 1 is backpropagation, below it and above it too', () => {
    const plain = gradientsOf({});
    const fixed = gradientsOf(predictiveCoding({ mode: 'fixed-prediction', rate: 1, steps: 2 }));
    for (const [i, g] of plain.entries()) expectClose(fixed[i]!, g, 1e-6);
  });

  it('relaxed, sends its prediction errors below, which are no gradients', () => {
    const plain = gradientsOf({});
    const relaxed = gradientsOf(predictiveCoding({ steps: 10, rate: 0.2 }));
    const [a, b] = [numbers(plain[0]!), numbers(relaxed[0]!)];
    const dot = a.reduce((s, v, i) => s + v * b[i]!, 0);
    expect(dot).toBeGreaterThan(0);
    expect(b.some((v, i) => Math.abs(v - a[i]!) > 1e-3 * Math.abs(a[i]!))).toBe(true);
  });
});

describe('a graph in which every op answers by its default', () => {
  it('is plain backpropagation bit for bit, and makes no spring', () => {
    manualSeed(19);
    const model = new Sequential(new Conv2d(1, 3, 3), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(27, 4));
    const x = randn([2, 1, 8, 8]);
    const run = (body: (loss: Tensor) => void, around: <R>(body: () => R) => R = (inner) => inner()): string => {
      model.zeroGrad();
      const loss = around(() => crossEntropy(relu(model.forward(x)), [1, 3]));
      body(loss);
      return JSON.stringify(model.parameters().map((p) => numbers(p.grad!)));
    };
    const made = Springs.made;
    const plain = run((loss) => loss.backward());
    expect(run((loss) => backward(loss))).toBe(plain);
    expect(run((loss) => backward([loss], { stiffness: 3, broadcast: { unused: tensor(1) } }))).toBe(plain);
    expect(
      run(
        (loss) => backward(loss),
        (body) => withRules({ '*': null }, body),
      ),
    ).toBe(plain);
    expect(
      run(
        (loss) => backward(loss, { rules: false }),
        (body) => withRules(feedbackAlignment({ generator: new Generator(1) }), body),
      ),
    ).toBe(plain);
    expect(Springs.made).toBe(made);
  });

  it('and hooks that only look change no bit', () => {
    manualSeed(23);
    const w = parameter(randn([3, 4]));
    const x = randn([2, 4]);
    const run = (look: boolean): number[] => {
      w.grad = null;
      const y = linear(x, w);
      const loss = sum(mul(y, y));
      if (look) onValue(y, () => undefined);
      loss.backward();
      return numbers(w.grad!);
    };
    expect(run(true)).toEqual(run(false));
  });
});

it('target propagation alone carries targets through convolution, pooling, residual sums, norms and activations to every parameter', () => {
  manualSeed(29);
  const [stem, inner, head] = [new Conv2d(1, 4, 3), new Linear(36, 36), new Linear(36, 3)];
  const [gain, shift] = [parameter(randn([36])), parameter(randn([36]))];
  const parameters = [stem, inner, head].flatMap((module) => module.parameters()).concat(gain, shift);
  const out = withRules(targetPropagation(), () => {
    const h = new Flatten().forward(new MaxPool2d(2).forward(tanh(stem.forward(randn([2, 1, 8, 8])))));
    return head.forward(relu(layerNorm(h.add(tanh(inner.forward(h))), [36], gain, shift)));
  });
  const report = audit(oneHotTarget(out, [0, 2]));
  expect(new Set(report.nodes.map(({ received }) => received))).toEqual(new Set(['target']));
  expect(report.unreached).toEqual([]);
  backward(oneHotTarget(out, [0, 2]));
  for (const p of parameters) expect(inboxOf(p)!.kind).toBe('target');
});

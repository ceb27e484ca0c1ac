/**
 * Direct feedback alignment and direct random target projection, against explicit formulas: every hidden layer hears of
 * the error, or the label, and of nothing that the layers above sent.
 */
import { describe, expect, it } from 'vitest';
import {
  attachRules,
  backward,
  Conv2d,
  crossEntropy,
  errorAt,
  Flatten,
  Generator,
  gradients,
  Linear,
  linear,
  noGrad,
  oneHot,
  parameter,
  ReLU,
  randn,
  Sequential,
  SGD,
  Tanh,
  type Tensor,
  tensor,
  withRules,
} from '../../src/index.ts';
import { directFeedbackAlignment, directRandomTargetProjection } from '../../src/rules/direct-feedback.ts';
import { feedbackAlignment } from '../../src/rules/feedback.ts';
import { differenceOf, hadamard, type Matrix, mapped, matrixOf, times, transposed } from './numbers.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();
const generator = (): Generator => new Generator(11);
const gradOf = (x: Tensor): Tensor => x.grad as Tensor;
const labels = [0, 2, 1, 2, 0];

function threeLayers(): { net: Sequential; weights: Tensor[]; biases: Tensor[]; x: Tensor } {
  const draw = generator();
  const net = new Sequential(
    new Linear(6, 5, { generator: draw }),
    new Tanh(),
    new Linear(5, 4, { generator: draw }),
    new Tanh(),
    new Linear(4, 3, { generator: draw }),
  );
  const parameters = net.parameters();
  return {
    net,
    weights: parameters.filter((_, i) => i % 2 === 0),
    biases: parameters.filter((_, i) => i % 2 === 1),
    x: randn([5, 6], { generator: draw }),
  };
}

/** Hidden values and the error (softmax - one-hot) / batch, by the formula. */
function forwardOf({ weights, biases, x }: ReturnType<typeof threeLayers>) {
  const affine = (h: Matrix, l: number): Matrix => {
    const b = biases[l]!.toArray() as number[];
    return times(h, transposed(matrixOf(weights[l]!))).map((row) => row.map((a, j) => a + b[j]!));
  };
  const x0 = matrixOf(x);
  const h1 = mapped(affine(x0, 0), Math.tanh);
  const h2 = mapped(affine(h1, 1), Math.tanh);
  const error = affine(h2, 2).map((row, i) => {
    const exps = row.map(Math.exp);
    const total = exps.reduce((a, b) => a + b, 0);
    return exps.map((e, c) => (e / total - (labels[i] === c ? 1 : 0)) / labels.length);
  });
  return { x0, h1, h2, error };
}
const slopeAt = (h: Matrix): Matrix => mapped(h, (y) => 1 - y * y);

describe('direct feedback alignment', () => {
  it('delta_l = (e B_l) f’, on three layers, by the formula', () => {
    const parts = threeLayers();
    const rules = directFeedbackAlignment({ generator: generator() });
    attachRules(parts.net, rules);
    const logits = parts.net.forward(parts.x);
    backward(crossEntropy(logits, labels), { broadcast: { error: errorAt(logits) } });
    const { x0, h1, h2, error } = forwardOf(parts);
    const [w1, w2, w3] = parts.weights as [Tensor, Tensor, Tensor];
    expect(rules.linear.feedbackOf(w1)).toBeNull();
    const [b2, b3] = [w2, w3].map((w) => matrixOf(rules.linear.feedbackOf(w) as Tensor)) as [Matrix, Matrix];
    expect([b2.length, b2[0]!.length, b3.length, b3[0]!.length]).toEqual([3, 5, 3, 4]);
    const d1 = hadamard(times(error, b2), slopeAt(h1));
    const d2 = hadamard(times(error, b3), slopeAt(h2));
    expect(differenceOf(gradOf(w1), times(transposed(d1), x0))).toBeLessThan(1e-5);
    expect(differenceOf(gradOf(w2), times(transposed(d2), h1))).toBeLessThan(1e-5);
    // The last layer learns from the loss itself.
    expect(differenceOf(gradOf(w3), times(transposed(error), h2))).toBeLessThan(1e-5);
    expect(
      differenceOf(gradOf(parts.biases[0] as Tensor), [transposed(d1).map((c) => c.reduce((a, b) => a + b, 0))]),
    ).toBeLessThan(1e-5);
  });

  it('of two layers is feedback alignment: the same numbers for the same generator', () => {
    const gradientsBy = (direct: boolean): unknown => {
      const draw = generator();
      const net = new Sequential(
        new Linear(6, 5, { generator: draw }),
        new ReLU(),
        new Linear(5, 3, { generator: draw }),
      );
      const x = randn([5, 6], { generator: draw });
      attachRules(net, (direct ? directFeedbackAlignment : feedbackAlignment)({ generator: new Generator(4) }));
      const logits = net.forward(x);
      backward(crossEntropy(logits, labels), { broadcast: { error: errorAt(logits) } });
      return net.parameters().map((p) => gradOf(p).toArray());
    };
    expect(gradientsBy(true)).toEqual(gradientsBy(false));
  });

  it('does not look at the weights above: a change of them changes the error only', () => {
    const parts = threeLayers();
    attachRules(parts.net, directFeedbackAlignment({ generator: generator() }));
    const error = randn([5, 3], { generator: generator() });
    const first = (): unknown => {
      for (const p of parts.net.parameters()) p.grad = null;
      backward(crossEntropy(parts.net.forward(parts.x), labels), { broadcast: { error } });
      return gradOf(parts.weights[0] as Tensor).toArray();
    };
    const before = first();
    noGrad(() => {
      parts.weights[1]!.mul_(-3);
      parts.weights[2]!.mul_(5);
    });
    expect(first()).toEqual(before);
  });

  it('finds the error where something stands between the logits and the last layer', () => {
    const w = parameter(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    );
    const rules = directFeedbackAlignment({ generator: generator() });
    const x = leaf([[1, 1]]);
    const logits = withRules(rules, () => linear(x, w)).mul(3);
    backward(logits.mul(tensor([[1, -2]])).sum(), { broadcast: { error: errorAt(logits) } });
    const b = matrixOf(rules.linear.feedbackOf(w) as Tensor);
    expect(differenceOf(gradOf(x), times([[1, -2]], b))).toBeLessThan(1e-6);
    expect(gradOf(w).toArray()).toEqual([
      [3, 3],
      [-6, -6],
    ]);
  });

  it('sends a convolution one number for each element of a sample', () => {
    const draw = generator();
    const conv = new Conv2d(2, 3, 3, { stride: 2, padding: 1, generator: draw });
    const net = new Sequential(conv, new Tanh(), new Flatten(), new Linear(3 * 3 * 2, 4, { generator: draw }));
    const rules = directFeedbackAlignment({ generator: draw });
    attachRules(net, rules);
    const x = randn([3, 2, 5, 4], { generator: draw }).requiresGrad_();
    const logits = net.forward(x);
    const loss = crossEntropy(logits, [3, 0, 1]);
    backward(loss, { broadcast: { error: errorAt(logits) } });
    const [error] = gradients(crossEntropy(logits, [3, 0, 1]), [logits]);
    const e = matrixOf(error as Tensor);
    const b = matrixOf(rules.conv2d.feedbackOf(conv.weight) as Tensor);
    expect([b.length, b[0]!.length]).toEqual([4, 2 * 5 * 4]);
    expect(gradOf(x).shape).toEqual([3, 2, 5, 4]);
    expect(differenceOf(gradOf(x), times(e, b))).toBeLessThan(1e-6);
    // Below the last layer: e B, through tanh, into the convolution's own weight gradient.
    const last = matrixOf(rules.linear.feedbackOf(net.parameters()[2] as Tensor) as Tensor);
    const signal = tensor(times(e, last) as number[][]).reshape([3, 3, 3, 2]);
    const filters = gradOf(conv.weight).toFloat32Array();
    conv.weight.grad = null;
    backward(new Sequential(conv, new Tanh()).forward(x).mul(signal).sum(), { rules: false });
    expect(differenceOf(tensor(filters), [Array.from(gradOf(conv.weight).toFloat32Array())])).toBeLessThan(1e-5);
  });

  it('serves layers that see several rows of a sample', () => {
    const w = parameter(tensor([[1, 2]]));
    const rules = directFeedbackAlignment({ generator: generator() });
    const x = randn([2, 3, 2]).requiresGrad_();
    const error = tensor([
      [1, 0],
      [0, 1],
    ]);
    backward(withRules(rules, () => linear(x, w)).sum(), { broadcast: { error } });
    const b = rules.linear.feedbackOf(w) as Tensor;
    expect(b.shape).toEqual([2, 6]);
    expect(gradOf(x).toFloat32Array()).toEqual(b.toFloat32Array());
  });

  it('keeps one projection for each size that a layer meets', () => {
    const w = parameter(tensor([[[[2]]]]));
    const rules = directFeedbackAlignment({ generator: generator() });
    const sent = (side: number): unknown => {
      const x = randn([1, 1, side, side]).requiresGrad_();
      const layer = new Conv2d(1, 1, 1, { bias: false });
      Object.assign(layer, { weight: w });
      backward(withRules(rules, () => layer.forward(x)).sum(), { broadcast: { error: tensor([[1]]) } });
      return gradOf(x).toArray();
    };
    const [small, large] = [sent(2), sent(3)];
    expect((rules.conv2d.feedbackOf(w) as Tensor).shape).toEqual([1, 9]);
    expect(sent(2)).toEqual(small);
    expect(sent(3)).toEqual(large);
  });

  it('takes an error of any axes, one row for each sample', () => {
    const w = parameter(tensor([[1, 2]]));
    for (const error of [tensor([1, 2]), tensor([[[1, 2]], [[3, 4]]])]) {
      const rules = directFeedbackAlignment({ generator: generator() });
      const x = randn([2, 2]).requiresGrad_();
      backward(withRules(rules, () => linear(x, w)).sum(), { broadcast: { error } });
      const rows = matrixOf(error.reshape([2, error.size / 2]));
      expect(differenceOf(gradOf(x), times(rows, matrixOf(rules.linear.feedbackOf(w) as Tensor)))).toBeLessThan(1e-6);
    }
  });

  it('sums what two readers of a value send', () => {
    const [u, v] = [parameter(tensor([[1, 2]])), parameter(tensor([[3, 4]]))];
    const rules = directFeedbackAlignment({ generator: generator() });
    const x = leaf([[1, -1]]);
    const y = withRules(rules, () => linear(x, u).add(linear(x, v)));
    backward(y.sum(), { broadcast: { error: tensor([[2]]) } });
    const [bu, bv] = [u, v].map((w) => matrixOf(rules.linear.feedbackOf(w) as Tensor)) as [Matrix, Matrix];
    expect(differenceOf(gradOf(x), [[0, 1].map((j) => 2 * (bu[0]![j]! + bv[0]![j]!))])).toBeLessThan(1e-6);
  });

  it('is a surrogate', () => {
    const x = leaf([[1, 1]]);
    const y = withRules(directFeedbackAlignment(), () => linear(x, leaf([[1, 2]]))).sum();
    expect(() => backward(y, { createGraph: true, broadcast: { error: tensor([[1]]) } })).toThrow(
      /direct feedback alignment.*surrogate/s,
    );
  });

  it('learns', () => {
    const parts = threeLayers();
    attachRules(parts.net, directFeedbackAlignment({ generator: generator() }));
    const optimizer = new SGD(parts.net.parameters(), { lr: 0.5 });
    const step = (): number => {
      const logits = parts.net.forward(parts.x);
      const loss = crossEntropy(logits, labels);
      optimizer.zeroGrad();
      backward(loss, { broadcast: { error: errorAt(logits) } });
      optimizer.step();
      return loss.item();
    };
    const first = step();
    for (let i = 0; i < 100; i++) step();
    expect(step()).toBeLessThan(0.1 * first);
  });
});

describe('direct random target projection', () => {
  it('delta_l = (y B_l) f’: the label stands where the gradient would, on three layers', () => {
    const parts = threeLayers();
    const rules = directRandomTargetProjection({ generator: generator() });
    attachRules(parts.net, rules);
    const label = oneHot(labels, 3);
    backward(crossEntropy(parts.net.forward(parts.x), labels), { broadcast: { label } });
    const { x0, h1, h2, error } = forwardOf(parts);
    const [w1, w2, w3] = parts.weights as [Tensor, Tensor, Tensor];
    const [b2, b3] = [w2, w3].map((w) => matrixOf(rules.linear.feedbackOf(w) as Tensor)) as [Matrix, Matrix];
    const y = matrixOf(label);
    expect(differenceOf(gradOf(w1), times(transposed(hadamard(times(y, b2), slopeAt(h1))), x0))).toBeLessThan(1e-5);
    expect(differenceOf(gradOf(w2), times(transposed(hadamard(times(y, b3), slopeAt(h2))), h1))).toBeLessThan(1e-5);
    expect(differenceOf(gradOf(w3), times(transposed(error), h2))).toBeLessThan(1e-5);
  });

  it('draws from +-sqrt(6 / n), n the elements of a sample', () => {
    const w = parameter(randn([10, 600]));
    const rules = directRandomTargetProjection({ generator: generator(), scale: 2 });
    const x = randn([1, 600]).requiresGrad_();
    backward(withRules(rules, () => linear(x, w)).sum(), { broadcast: { label: oneHot([3], 10) } });
    const b = (rules.linear.feedbackOf(w) as Tensor).toFloat32Array();
    const bound = 2 * Math.sqrt(6 / 600);
    expect(Math.max(...b)).toBeLessThanOrEqual(bound * (1 + 1e-6));
    expect(Math.max(...b)).toBeGreaterThan(0.99 * bound);
    expect(Math.min(...b)).toBeLessThan(-0.99 * bound);
  });

  it('needs no order: what a layer sends does not depend on what it got', () => {
    const w = parameter(tensor([[1, 2]]));
    const rules = directRandomTargetProjection({ generator: generator(), broadcast: 'class' });
    const sent = (factor: number): unknown => {
      const x = leaf([[1, 1]]);
      backward(
        withRules(rules, () => linear(x, w))
          .mul(factor)
          .sum(),
        { broadcast: { class: oneHot([1], 3) } },
      );
      return gradOf(x).toArray();
    };
    expect(sent(100)).toEqual(sent(-1));
  });
});

describe('mistakes', () => {
  const x = leaf([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
  const y = () => withRules(directFeedbackAlignment(), () => linear(x, leaf([[1, 2]]))).sum();

  it('the broadcast was not given, under this name', () => {
    expect(() => y().backward()).toThrow(/reads the broadcast 'error', which was not given/);
    expect(() => backward(y(), { broadcast: { label: tensor([[1]]) } })).toThrow(/'error', which was not given/);
  });

  it('rows that are no samples', () => {
    for (const error of [tensor([[1], [2]]), tensor(1), tensor([], [0, 2])])
      expect(() => backward(y(), { broadcast: { error } })).toThrow(
        /directFeedbackAlignment: the broadcast 'error' has shape .* and the layer \(linear\) reads \[3, 2\]/,
      );
  });

  it('an error below the layers that wait for it', () => {
    const hidden = linear(x, leaf([[1, 2]]));
    const out = withRules(directFeedbackAlignment(), () => linear(hidden, leaf([[1]])));
    expect(() => backward(out.sum(), { broadcast: { error: errorAt(hidden) } })).toThrow(/no message has reached yet/);
  });

  it('weights that are computed', () => {
    const out = withRules(directFeedbackAlignment(), () => linear(x, leaf([[1, 2]]).mul(2))).sum();
    expect(() => backward(out, { broadcast: { error: tensor([[1], [1], [1]]) } })).toThrow(/was computed by mul/);
  });
});

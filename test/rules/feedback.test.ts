/**
 * Feedback alignment and its relatives, against explicit formulas in double precision: what every layer sends, who B is,
 * and that everything else is ordinary backpropagation.
 */
import { describe, expect, it } from 'vitest';
import {
  attachRules,
  backward,
  Generator,
  gradients,
  Linear,
  linear,
  mseLoss,
  noGrad,
  parameter,
  ReLU,
  randn,
  relu,
  Sequential,
  SGD,
  setRule,
  Tanh,
  type Tensor,
  tanh,
  tensor,
  withRules,
} from '../../src/index.ts';
import { feedbackAlignment, kolenPollack, signSymmetric } from '../../src/rules/feedback.ts';
import { angleBetween, differenceOf, hadamard, type Matrix, mapped, matrixOf, times, transposed } from './numbers.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();
const generator = (): Generator => new Generator(7);
const gradOf = (x: Tensor): Tensor => x.grad as Tensor;
const copyOf = (tensors: readonly Tensor[]): number[][] => tensors.map((x) => Array.from(x.toFloat32Array()));

/** x -> 5 -> 4 -> 3 with tanh between, and its parameters. */
function threeLayers(): { net: Sequential; weights: Tensor[]; biases: Tensor[]; x: Tensor; wanted: Tensor } {
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
    x: randn([7, 6], { generator: draw }),
    wanted: randn([7, 3], { generator: draw }),
  };
}

/** What the three layers should get if B_l stands for W_l on the way down, for the loss sum (y - wanted)^2 / 2. */
function expectedOf(parts: ReturnType<typeof threeLayers>, feedback: readonly Matrix[]): Matrix[] {
  const [w1, w2, w3] = parts.weights.map(matrixOf) as [Matrix, Matrix, Matrix];
  const [b1, b2, b3] = parts.biases.map((b) => b.toArray()) as [number[], number[], number[]];
  const affine = (h: Matrix, w: Matrix, b: number[]) =>
    times(h, transposed(w)).map((row) => row.map((a, j) => a + b[j]!));
  const x = matrixOf(parts.x);
  const h1 = mapped(affine(x, w1, b1), Math.tanh);
  const h2 = mapped(affine(h1, w2, b2), Math.tanh);
  const wanted = matrixOf(parts.wanted);
  const d3 = affine(h2, w3, b3).map((row, i) => row.map((y, j) => y - wanted[i]![j]!));
  const slopeAt = (h: Matrix) => mapped(h, (y) => 1 - y * y);
  const d2 = hadamard(times(d3, feedback[2]!), slopeAt(h2));
  const d1 = hadamard(times(d2, feedback[1]!), slopeAt(h1));
  const bias = (d: Matrix): Matrix => [transposed(d).map((column) => column.reduce((a, b) => a + b, 0))];
  return [times(transposed(d1), x), bias(d1), times(transposed(d2), h1), bias(d2), times(transposed(d3), h2), bias(d3)];
}

const halfSquares = (y: Tensor, wanted: Tensor): Tensor => y.sub(wanted).square().sum().mul(0.5);

describe('feedback alignment', () => {
  it('sends B^T delta, and everything else is backpropagation: three layers, by the formula', () => {
    const parts = threeLayers();
    const rules = feedbackAlignment({ generator: new Generator(3) });
    attachRules(parts.net, rules);
    halfSquares(parts.net.forward(parts.x), parts.wanted).backward();
    const feedback = parts.weights.map((w) => matrixOf(rules.linear.feedbackOf(w)));
    const expected = expectedOf(parts, feedback);
    for (const [i, p] of parts.net.parameters().entries())
      expect(differenceOf(p.grad, expected[i]!)).toBeLessThan(1e-5);
    // And that is something else than the gradient.
    const plain = expectedOf(parts, parts.weights.map(matrixOf));
    expect(differenceOf(parts.weights[0]!.grad, plain[0]!)).toBeGreaterThan(0.1);
  });

  it('with B = W is backpropagation, bit for bit', () => {
    const { net, weights, x, wanted } = threeLayers();
    const loss = () => mseLoss(net.forward(x), wanted);
    loss().backward();
    const plain = copyOf(net.parameters().map(gradOf));
    for (const p of net.parameters()) p.grad = null;
    let next = weights.length;
    // B is drawn from the top down.
    attachRules(net, feedbackAlignment({ initial: () => weights[--next] as Tensor }));
    loss().backward();
    expect(copyOf(net.parameters().map(gradOf))).toEqual(plain);
    expect(next).toBe(1);
  });

  it('keeps B fixed while W moves, of the shape and distribution of initial weights', () => {
    const net = new Sequential(new Linear(50, 40), new ReLU(), new Linear(40, 30));
    const rules = feedbackAlignment({ generator: generator() });
    attachRules(net, rules);
    const weight = net.parameters()[2] as Tensor;
    const b = rules.linear.feedbackOf(weight);
    const before = b.toFloat32Array();
    const bound = 1 / Math.sqrt(40);
    expect(b.shape).toEqual([30, 40]);
    expect(Math.max(...before)).toBeLessThanOrEqual(bound);
    expect(Math.max(...before)).toBeGreaterThan(0.95 * bound);
    expect(Math.min(...before)).toBeLessThan(-0.95 * bound);
    const optimizer = new SGD(net.parameters(), { lr: 0.5 });
    for (let i = 0; i < 3; i++) {
      optimizer.zeroGrad();
      net
        .forward(randn([4, 50]))
        .square()
        .sum()
        .backward();
      optimizer.step();
    }
    expect(rules.linear.feedbackOf(weight)).toBe(b);
    expect(b.toFloat32Array()).toEqual(before);
    const scaled = feedbackAlignment({ generator: generator(), scale: 3 }).conv2d.feedbackOf(weight);
    expect(scaled.toFloat32Array()).toEqual(before.map((v) => Math.fround(v * 3)));
  });

  it('lets B be set: writing into it is read by the next backward', () => {
    const w = parameter(tensor([[1, 2]]));
    const rules = feedbackAlignment();
    noGrad(() => rules.linear.feedbackOf(w).copy_(tensor([[5, 6]])));
    const x = leaf([[1, 1]]);
    withRules(rules, () => linear(x, w))
      .sum()
      .backward();
    expect(gradOf(x).toArray()).toEqual([[5, 6]]);
    expect(gradOf(w).toArray()).toEqual([[1, 1]]);
  });

  it('copies what initial makes', () => {
    const drawn = tensor([[1, 2]]);
    const b = feedbackAlignment({ initial: () => drawn }).linear.feedbackOf(parameter(tensor([[3, 4]])));
    noGrad(() => drawn.mul_(10));
    expect(b.toArray()).toEqual([[1, 2]]);
  });

  it('sums what two consumers send, each through its own B', () => {
    const [u, v] = [
      parameter(tensor([[1, 2]])),
      parameter(
        tensor([
          [3, 4],
          [5, 6],
        ]),
      ),
    ];
    const rules = feedbackAlignment({ generator: generator() });
    const x = leaf([[1, -1]]);
    const shared = x.mul(2);
    const [a, b] = withRules(rules, () => [linear(shared, u), linear(shared, v)] as const);
    a.sum()
      .add(b.mul(tensor([[1, 10]])).sum())
      .backward();
    const [bu, bv] = [u, v].map((w) => matrixOf(rules.linear.feedbackOf(w))) as [Matrix, Matrix];
    const expected = [0, 1].map((j) => 2 * (bu[0]![j]! + bv[0]![j]! + 10 * bv[1]![j]!));
    expect(differenceOf(gradOf(x), [expected])).toBeLessThan(1e-6);
  });

  it('a weight that is used twice has one B', () => {
    const w = parameter(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    );
    const rules = feedbackAlignment({ generator: generator() });
    const x = leaf([[1, 1]]);
    withRules(rules, () => linear(linear(x, w), w))
      .sum()
      .backward();
    const b = matrixOf(rules.linear.feedbackOf(w));
    expect(differenceOf(gradOf(x), times(times([[1, 1]], b), b))).toBeLessThan(1e-6);
  });

  it('serves inputs of three axes, which are rows to a layer', () => {
    const w = parameter(tensor([[1, 2]]));
    const rules = feedbackAlignment({ generator: generator() });
    const x = randn([2, 3, 2]).requiresGrad_();
    withRules(rules, () => linear(x, w))
      .sum()
      .backward();
    const [row] = matrixOf(rules.linear.feedbackOf(w));
    expect(
      differenceOf(
        gradOf(x),
        Array.from({ length: 6 }, () => row!),
      ),
    ).toBeLessThan(1e-6);
  });

  it('converts a part of a network, and the part only, until it is taken off', () => {
    const plain = () => {
      const { net, x, wanted } = threeLayers();
      return { net, x, wanted, run: () => mseLoss(net.forward(x), wanted).backward() };
    };
    const reference = plain();
    reference.run();
    const expected = copyOf(reference.net.parameters().map(gradOf));
    const { net, run, x, wanted } = plain();
    const [first, second, third] = [0, 2, 4].map((i) => net.at(i) as Linear) as [Linear, Linear, Linear];
    const remove = attachRules(second, feedbackAlignment({ generator: generator() }));
    run();
    const found = copyOf(net.parameters().map(gradOf));
    expect(found.slice(2)).toEqual(expected.slice(2));
    expect(found[0]).not.toEqual(expected[0]);
    remove();
    for (const p of net.parameters()) p.grad = null;
    run();
    expect(copyOf(net.parameters().map(gradOf))).toEqual(expected);
    // By hand, with withRules around one layer of a forward pass.
    for (const p of net.parameters()) p.grad = null;
    const hidden = tanh(first.forward(x));
    const middle = withRules(feedbackAlignment({ generator: generator() }), () => tanh(second.forward(hidden)));
    mseLoss(third.forward(middle), wanted).backward();
    expect(copyOf(net.parameters().map(gradOf))).toEqual(found);
  });

  it('computes nothing for data that nobody trains', () => {
    const w = parameter(tensor([[1, 2]]));
    let drawn = 0;
    const initial = (): Tensor => {
      drawn++;
      return tensor([[1, 1]]);
    };
    withRules(feedbackAlignment({ initial }), () => linear(tensor([[3, 4]]), w))
      .sum()
      .backward();
    expect(drawn).toBe(0);
    expect(gradOf(w).toArray()).toEqual([[3, 4]]);
  });

  it('is a surrogate: refused where derivatives are recorded, unless it may take part', () => {
    const w = parameter(tensor([[1, 2]]));
    const x = leaf([[1, 1]]);
    const y = withRules(feedbackAlignment({ initial: () => tensor([[5, 6]]) }), () => linear(x.square(), w)).sum();
    expect(() => backward(y, { createGraph: true })).toThrow(/feedback alignment.*surrogate/s);
    const [g] = gradients(y, [x], { createGraph: true, allowSurrogate: true });
    const [h] = gradients(g!.sum(), [x]);
    expect(h!.toArray()).toEqual([[10, 12]]); // 2 B
    // Without the rules the walk is plain backpropagation.
    backward(y, { rules: false });
    expect(gradOf(x).toArray()).toEqual([[2, 4]]);
  });

  it('turns towards the gradient while the network learns', () => {
    const draw = new Generator(2);
    const net = new Sequential(
      new Linear(10, 30, { generator: draw }),
      new Tanh(),
      new Linear(30, 20, { generator: draw }),
      new Tanh(),
      new Linear(20, 5, { generator: draw }),
    );
    const teacher = new Sequential(
      new Linear(10, 8, { generator: draw }),
      new Tanh(),
      new Linear(8, 5, { generator: draw }),
    );
    const x = randn([64, 10], { generator: draw });
    const wanted = noGrad(() => teacher.forward(x).mul(2));
    attachRules(net, feedbackAlignment({ generator: new Generator(6) }));
    const hidden = net.parameters().slice(0, 4);
    const angle = (): number => {
      const loss = mseLoss(net.forward(x), wanted);
      for (const p of net.parameters()) p.grad = null;
      backward(loss);
      const sent = hidden.map((p) => gradOf(p).detach());
      for (const p of net.parameters()) p.grad = null;
      backward(loss, { rules: false });
      return angleBetween(sent, hidden.map(gradOf));
    };
    const optimizer = new SGD(net.parameters(), { lr: 0.5 });
    const atFirst = angle();
    const first = mseLoss(net.forward(x), wanted).item();
    for (let i = 0; i < 200; i++) {
      optimizer.zeroGrad();
      mseLoss(net.forward(x), wanted).backward();
      optimizer.step();
    }
    expect(atFirst).toBeGreaterThan(90);
    expect(angle()).toBeLessThan(75);
    expect(mseLoss(net.forward(x), wanted).item()).toBeLessThan(0.1 * first);
  });
});

describe('sign-symmetric feedback', () => {
  const w = (): Tensor =>
    parameter(
      tensor([
        [0.3, -2, 0],
        [-1, 4, 5],
      ]),
    );
  const signs: Matrix = [
    [1, -1, 0],
    [-1, 1, 1],
  ];
  const sentThrough = (rules: ReturnType<typeof signSymmetric>, weight: Tensor): Matrix => {
    const x = leaf([
      [0, 0, 0],
      [0, 0, 0],
    ]);
    withRules(rules, () =>
      linear(x, weight).mul(
        tensor([
          [1, 0],
          [0, 1],
        ]),
      ),
    )
      .sum()
      .backward();
    return matrixOf(gradOf(x));
  };

  it('uniform: the sign of W as it is now, times the size of initial weights', () => {
    const weight = w();
    const rules = signSymmetric({ scale: 2 });
    expect(
      differenceOf(
        tensor(sentThrough(rules, weight) as number[][]),
        mapped(signs, (s) => (s * 2) / 3),
      ),
    ).toBeLessThan(1e-6);
    noGrad(() => weight.mul_(-7));
    expect(
      differenceOf(
        tensor(sentThrough(rules, weight) as number[][]),
        mapped(signs, (s) => (s * -2) / 3),
      ),
    ).toBeLessThan(1e-6);
    expect(rules.linear.feedbackOf(weight).shape).toEqual([2, 3]);
  });

  it('fixed random: the magnitudes stay, the signs follow W', () => {
    const weight = w();
    const rules = signSymmetric({ variant: 'fixed-random', generator: generator() });
    const b = sentThrough(rules, weight);
    expect(mapped(b, Math.sign)).toEqual(signs);
    expect(new Set(b.flat().map(Math.abs)).size).toBe(6);
    noGrad(() => weight.mul_(-1));
    expect(sentThrough(rules, weight)).toEqual(mapped(b, (value) => 0 - value));
    expect(
      differenceOf(
        rules.linear.feedbackOf(weight),
        mapped(b, (value) => -value),
      ),
    ).toBe(0);
  });

  it('batchwise random: new magnitudes for each walk, one for all uses in it', () => {
    const weight = parameter(
      tensor([
        [2, -1],
        [1, 3],
      ]),
    );
    const rules = signSymmetric({ variant: 'batchwise-random', generator: generator() });
    const x = leaf([[1, 1]]);
    const walk = (): Matrix => {
      x.grad = null;
      withRules(rules, () => linear(linear(x, weight), weight))
        .sum()
        .backward();
      return matrixOf(gradOf(x));
    };
    const first = walk();
    const b = matrixOf(rules.linear.feedbackOf(weight));
    expect(mapped(b, Math.sign)).toEqual([
      [1, -1],
      [1, 1],
    ]);
    expect(differenceOf(tensor(first as number[][]), times(times([[1, 1]], b), b))).toBeLessThan(1e-6);
    const second = walk();
    expect(second).not.toEqual(first);
    const c = matrixOf(rules.linear.feedbackOf(weight));
    expect(mapped(c, Math.sign)).toEqual([
      [1, -1],
      [1, 1],
    ]);
    expect(differenceOf(tensor(second as number[][]), times(times([[1, 1]], c), c))).toBeLessThan(1e-6);
  });

  it('all variants have the size of initial weights', () => {
    const weight = parameter(randn([60, 50], { generator: generator() }));
    for (const variant of ['uniform', 'batchwise-random', 'fixed-random'] as const) {
      const b = signSymmetric({ variant, generator: generator() }).linear.feedbackOf(weight).toFloat32Array();
      const rms = Math.sqrt(b.reduce((sum, value) => sum + value * value, 0) / b.length);
      expect(rms * Math.sqrt(150)).toBeGreaterThan(0.97);
      expect(rms * Math.sqrt(150)).toBeLessThan(1.03);
    }
  });

  it('uniform reads no parameter, so it stands at computed weights too', () => {
    const x = leaf([[1, 1]]);
    const raw = leaf([[2], [-3]]);
    withRules(signSymmetric({ scale: Math.sqrt(6) }), () => linear(x, raw.transpose()))
      .sum()
      .backward();
    expect(differenceOf(gradOf(x), [[1, -1]])).toBeLessThan(1e-6);
    expect(gradOf(raw).toArray()).toEqual([[1], [1]]);
  });

  it('names its variants', () => {
    expect(() => signSymmetric({ variant: 'usf' as never })).toThrow(
      /uniform, batchwise-random or fixed-random, not usf/,
    );
  });
});

describe('Kolen-Pollack', () => {
  it('sends through B, and sends B what W gets', () => {
    const parts = threeLayers();
    const rules = kolenPollack({ generator: generator() });
    attachRules(parts.net, rules);
    const mirrors = parts.weights.map((w) => rules.linear.feedbackOf(w));
    halfSquares(parts.net.forward(parts.x), parts.wanted).backward();
    const expected = expectedOf(parts, mirrors.map(matrixOf));
    for (const [i, p] of parts.net.parameters().entries())
      expect(differenceOf(p.grad, expected[i]!)).toBeLessThan(1e-5);
    for (const [i, b] of mirrors.entries()) expect(gradOf(b).toArray()).toEqual(gradOf(parts.weights[i]!).toArray());
  });

  it('with decay brings B - W to 0 by the factor of the decay', () => {
    const { net, weights, x, wanted } = threeLayers();
    const rules = kolenPollack({ generator: generator() });
    attachRules(net, rules);
    const mirrors = weights.map((w) => rules.linear.feedbackOf(w));
    const apart = (): number[][] =>
      weights.map((w, i) => Array.from(noGrad(() => mirrors[i]!.sub(w)).toFloat32Array()));
    const before = apart();
    const optimizer = new SGD([...net.parameters(), ...mirrors], { lr: 0.1, weightDecay: 0.5 });
    for (let i = 0; i < 20; i++) {
      optimizer.zeroGrad();
      mseLoss(net.forward(x), wanted).backward();
      optimizer.step();
    }
    const factor = (1 - 0.1 * 0.5) ** 20;
    for (const [i, after] of apart().entries())
      for (const [j, value] of after.entries()) expect(value).toBeCloseTo(before[i]![j]! * factor, 5);
  });

  it('of a frozen weight leaves B alone', () => {
    const w = tensor([[1, 2]]);
    const rules = kolenPollack();
    const x = leaf([[1, 1]]);
    withRules(rules, () => linear(x, w))
      .sum()
      .backward();
    expect(rules.linear.feedbackOf(w).grad).toBeNull();
    expect(gradOf(x).toArray()).toEqual(rules.linear.feedbackOf(w).toArray());
  });
});

describe('mistakes', () => {
  it('a weight that is computed anew has no B to keep', () => {
    const w = leaf([[1, 2]]);
    const x = leaf([[1, 1]]);
    const y = withRules(feedbackAlignment(), () => linear(x, w.mul(2))).sum();
    expect(() => y.backward()).toThrow(
      /feedback alignment: the weight of shape \[1, 2\] was computed by mul.*another rule/,
    );
    expect(() => feedbackAlignment().linear.feedbackOf(3 as never)).toThrow(/expected a tensor/);
  });

  it('the rule stands at a layer', () => {
    const x = leaf([1]);
    const y = setRule(relu(x), feedbackAlignment().linear);
    expect(() => y.backward()).toThrow(/the rule stands at relu, which is no layer/);
  });

  it('initial makes another shape, scale is no number', () => {
    expect(() => feedbackAlignment({ initial: () => tensor([1]) }).linear.feedbackOf(leaf([[1, 2]]))).toThrow(
      /initial made shape \[1\]; feedback weights of \[1, 2\] are needed/,
    );
    expect(() => feedbackAlignment({ initial: () => 3 as never }).linear.feedbackOf(leaf([[1, 2]]))).toThrow(
      /expected a tensor/,
    );
    expect(() => feedbackAlignment({ scale: Number.NaN })).toThrow(/scale is a finite number/);
  });
});

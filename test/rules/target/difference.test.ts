/** Difference target propagation: the correction, inverses that learn when told, the direct form, what is refused. */
import { describe, expect, it } from 'vitest';
import {
  attachRules,
  backward,
  checkGradients,
  Generator,
  inboxOf,
  Linear,
  linear,
  noGrad,
  parameter,
  relu,
  Sequential,
  SGD,
  seed,
  sigmoid,
  slope,
  spring,
  Tanh,
  type Tensor,
  tanh,
  target,
  tensor,
  withRules,
  zeros,
} from '../../../src/index.ts';
import { springLinear } from '../../../src/rules/springs/products.ts';
import { differenceTargets } from '../../../src/rules/target/difference.ts';
import { targetElementwise } from '../../../src/rules/target/elementwise.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import { drawer, expectNear, leaf } from '../springs/laws.ts';

const seeded = (n = 1) => ({ generator: new Generator(n) });
/** A layer x W^T + b of an x that has a history. */
const layer = (sizes: [number, number, number], start = 1) => {
  const draw = drawer(start);
  const [b, i, o] = sizes;
  return { x: leaf(draw([b, i])), w: parameter(draw([o, i])), bias: parameter(draw([o])) };
};

describe('what is sent', () => {
  it('to data, x + G(t) - G(a) with the mean precision of each sample; to weights, the local gradient', () => {
    const { x, w, bias } = layer([4, 3, 5]);
    const feedback = differenceTargets({ activation: tanh, ...seeded() });
    const a = withRules(feedback.rules, () => linear(x, w, bias));
    const [d, p] = [drawer(2)([4, 5]), drawer(3)([4, 5], 0, 2)];
    backward(seed(a, spring(d, p)));
    const { weight: v, bias: c } = feedback.inverseOf(w)!;
    const g = (z: Tensor) => tanh(linear(tanh(z), v, c));
    const present = a.detach();
    expectNear(inboxOf(x)!.step(), g(present.add(d)).sub(g(present)), 1e-6);
    expectNear(inboxOf(x)!.precision(), p.mean(1, true), 1e-6);
    const plain = [leaf(w), leaf(bias)];
    const y = withRules({ linear: springLinear() }, () => linear(x.detach(), plain[0]!, plain[1]!));
    backward(seed(y, spring(d, p)));
    for (const [i, one] of [w, bias].entries()) {
      expectNear(inboxOf(one)!.step(), inboxOf(plain[i]!)!.step(), 1e-6);
      expectNear(one.grad, plain[i]!.grad, 1e-6);
    }
  });

  it('nothing where the layer is right, however bad its inverse', () => {
    const { x, w, bias } = layer([4, 3, 5]);
    const a = withRules(differenceTargets(seeded()).rules, () => linear(x, w, bias));
    backward(target(a, a.detach(), { precision: 1 }));
    for (const one of [x, w, bias]) expect(numbersOf(inboxOf(one)!.step()).every((z) => z === 0)).toBe(true);
  });

  it('the exact correction where the inverse is exact', () => {
    const { x, w, bias } = layer([6, 3, 3], 7);
    const feedback = differenceTargets({ ...seeded(), rate: 1.5 });
    for (let step = 0; step < 400; step++) {
      const a = withRules(feedback.rules, () => linear(x, w, bias));
      feedback.learnInverses(a);
    }
    const a = withRules(feedback.rules, () => linear(x, w, bias));
    const d = drawer(9)([6, 3], -0.1, 0.1);
    backward(seed(a, spring(d)));
    expectNear(linear(inboxOf(x)!.step(), w), d, 2e-2);
  });

  it('keeps a scalar precision a scalar, and what nobody stated unstated', () => {
    const { x, w } = layer([4, 3, 5]);
    const a = withRules(differenceTargets(seeded()).rules, () => linear(x, w));
    backward(seed(a, spring(zeros([4, 5]))));
    expect(inboxOf(x)!.springs!.precision.size).toBe(1);
    expect(() => x.grad).toThrow('precision nobody stated');
  });
});

describe('learnInverses', () => {
  const net = (activation: boolean) => {
    const { generator } = seeded(3);
    const feedback = differenceTargets({ ...(activation ? { activation: tanh } : {}), generator });
    const trunk = new Sequential(
      new Linear(6, 8, { generator }),
      new Tanh(),
      new Linear(8, 8, { generator }),
      new Tanh(),
      new Linear(8, 8, { generator }),
      new Tanh(),
    );
    attachRules(trunk, { ...feedback.rules, tanh: targetElementwise() });
    return { feedback, trunk };
  };

  for (const activation of [true, false])
    it(`makes the inverses better, ${activation ? 'with' : 'without'} a nonlinearity`, () => {
      const { feedback, trunk } = net(activation);
      const x = drawer(4)([32, 6]);
      const errors: number[] = [];
      for (let step = 0; step < 150; step++) errors.push(feedback.learnInverses(trunk.forward(x)));
      expect(errors[0]).toBeGreaterThan(0.5);
      expect(errors.at(-1)).toBeLessThan(0.45 * errors[0]!);
    });

  it('moves nothing but inverses, draws from its generator alone, and leaves the graph and what was sent', () => {
    const { feedback, trunk } = net(true);
    const x = drawer(4)([8, 6]);
    const before = trunk.stateDict();
    const y = trunk.forward(x);
    backward(target(y, zeros([8, 8]), { precision: 1 }));
    const sent = trunk.parameters().map((w) => w.grad!.detach());
    for (let step = 0; step < 5; step++) feedback.learnInverses(y);
    for (const [i, w] of trunk.parameters().entries()) expectNear(w.grad, sent[i]!, 0);
    expect(Object.values(trunk.stateDict()).map((w) => w.toArray())).toEqual(
      Object.values(before).map((w) => w.toArray()),
    );
    // The graph is still there, and so it is for a forward pass whose inverses learn first.
    backward(target(y, zeros([8, 8]), { precision: 1 }));
    const again = trunk.forward(x);
    for (let step = 0; step < 5; step++) feedback.learnInverses(again);
    backward(target(again, zeros([8, 8]), { precision: 1 }));
  });

  it('the same seed gives the same inverses, backward none at all new ones', () => {
    const run = () => {
      const { feedback, trunk } = net(true);
      const y = trunk.forward(drawer(4)([8, 6]));
      feedback.learnInverses(y);
      const inverse = () => feedback.inverseOf((trunk.parameters() as Tensor[])[2]!)!.weight.toArray();
      const learned = inverse();
      backward(target(y, zeros([8, 8]), { precision: 1 }));
      expect(inverse()).toEqual(learned);
      return learned;
    };
    expect(run()).toEqual(run());
  });

  it('is not ruled by the scope it is called in, and records nothing for it', () => {
    const { x, w } = layer([4, 3, 3]);
    const errors = [false, true].map((inside) => {
      const feedback = differenceTargets(seeded());
      const a = withRules(feedback.rules, () => linear(x, w));
      const learn = () => feedback.learnInverses(a);
      const found = inside ? withRules(feedback.rules, learn) : learn();
      return [found, feedback.inverseOf(w)!.weight.toArray()];
    });
    expect(errors[1]).toEqual(errors[0]);
  });

  it('knows inverses by the layers it has met; the first layer needs none', () => {
    const { feedback, trunk } = net(true);
    const weights = trunk.parameters().filter((w) => w.ndim === 2);
    expect(weights.map((w) => feedback.inverseOf(w))).toEqual([null, null, null]);
    feedback.learnInverses(trunk.forward(drawer(4)([8, 6])));
    expect(weights.map((w) => feedback.inverseOf(w)?.weight.shape ?? null)).toEqual([null, [8, 8], [8, 8]]);
    expect(feedback.learnInverses(relu(leaf(zeros([2, 2]))))).toBeNaN();
  });
});

describe('the direct form', () => {
  it('sends x + G(t_h) - G(h), from the output that is broadcast', () => {
    const { x, w } = layer([4, 3, 5]);
    const feedback = differenceTargets({ direct: true, ...seeded() });
    const a = withRules(feedback.rules, () => linear(x, w));
    const [h, t] = [drawer(5)([4, 2]), drawer(6)([4, 2])];
    backward(seed(a, spring(drawer(7)([4, 5]), 2)), { broadcast: { output: h, target: t } });
    const { weight: v } = feedback.inverseOf(w)!;
    expect(v.shape).toEqual([3, 2]);
    expectNear(inboxOf(x)!.step(), linear(t.sub(h), v), 1e-5);
    expect(() => {
      const again = withRules(feedback.rules, () => linear(x, w));
      backward(seed(again, spring(zeros([4, 5]), 1)), { broadcast: { output: zeros([3, 2]), target: zeros([3, 2]) } });
    }).toThrow('the broadcast output has 3 rows, the input of a layer 4');
  });

  it('its inverses learn how the output answers to noise, through all that lies between', () => {
    const { generator } = seeded(5);
    const feedback = differenceTargets({ direct: true, generator, noise: 0.05 });
    const [first, second] = [new Linear(4, 4, { generator }), new Linear(4, 4, { generator })];
    const x = leaf(drawer(1)([64, 4]));
    const run = () => withRules(feedback.rules, () => second.forward(sigmoid(first.forward(x)).add(x)));
    let error = 0;
    const errors: number[] = [];
    for (let step = 0; step < 200; step++) {
      error = feedback.learnInverses(run());
      errors.push(error);
    }
    expect(errors[0]! / error).toBeGreaterThan(5);
    expect(feedback.inverseOf(first.weight)!.weight.shape).toEqual([4, 4]);
  });
});

it('a network learns: gradient at the output layer, difference targets below; with learned inverses better than with random ones', () => {
  // Which of the four quadrants agree in sign: not to be told by the output layer from random features.
  const x = drawer(4)([64, 2], -1, 1);
  const t = x
    .slice([null, [0, 1]])
    .mul(x.slice([null, [1, 2]]))
    .sign();
  const train = (moving: 'head' | 'all', learned: boolean): number => {
    const { generator } = seeded(8);
    const feedback = differenceTargets({ activation: tanh, generator });
    const trunk = new Sequential(
      new Linear(2, 12, { generator }),
      new Tanh(),
      new Linear(12, 12, { generator }),
      new Tanh(),
    );
    const head = new Linear(12, 1, { generator });
    attachRules(trunk, { ...feedback.rules, tanh: targetElementwise({ margin: 0.05 }) });
    const optimizer = new SGD(head.parameters(), { lr: 0.1 });
    let loss = 0;
    for (let step = 0; step < 200; step++) {
      const hidden = trunk.forward(x);
      const y = head.forward(hidden);
      loss = y.detach().sub(t).square().mean().item();
      if (learned) feedback.learnInverses(hidden);
      // The gradient of the mean loss holds 1 / 64, and so does the stiffness: hidden values should move by twice their own gradient.
      backward(y.sub(t).square().mean(), { stiffness: 1 / (2 * 64) });
      optimizer.step();
      optimizer.zeroGrad();
      if (moving === 'all')
        noGrad(() => {
          for (const w of trunk.parameters()) w.add_(inboxOf(w)!.step());
        });
      trunk.zeroGrad();
    }
    return loss;
  };
  const [head, fixed, learned] = [train('head', false), train('all', false), train('all', true)];
  expect(fixed).toBeLessThan(0.8 * head);
  expect(learned).toBeLessThan(0.6 * head);
}, 20_000);

describe('what is marked and refused', () => {
  it('is a surrogate, of linear alone', () => {
    const feedback = differenceTargets(seeded());
    expect((feedback.rules.linear as { surrogate: boolean }).surrogate).toBe(true);
    const w = tensor([[1, 2]]);
    expect(() => checkGradients((x) => withRules(feedback.rules, () => linear(x, w)), [tensor([[1, 2]])])).toThrow(
      'is a surrogate',
    );
    const y = withRules({ relu: feedback.rules.linear! }, () => relu(leaf(zeros([1, 1]))));
    expect(() => backward(target(y, zeros([1, 1])))).toThrow('it was put at relu');
  });

  it('weights that were computed, networks that change, hard targets, options that make no sense', () => {
    const feedback = differenceTargets(seeded());
    const { x, w } = layer([2, 3, 3]);
    const through = (weight: Tensor, precision?: number) => () => {
      const y = withRules(feedback.rules, () => linear(x, weight));
      backward(target(y, zeros(y.shape), precision === undefined ? {} : { precision }));
    };
    expect(through(w.mul(2))).toThrow('the weight of shape [3, 3] was computed by mul');
    expect(through(w, Infinity)).toThrow('a hard target (of target) arrived');
    expect(() => differenceTargets({ noise: 0 })).toThrow('noise is a number above 0');
    expect(() => differenceTargets({ rate: 3 })).toThrow('rate is a number from 0 to 2');
    const direct = differenceTargets({ direct: true, ...seeded() });
    const y = (size: number) => {
      const a = withRules(direct.rules, () => linear(x, w));
      backward(target(a, zeros([2, 3])), { broadcast: { output: zeros([2, size]), target: zeros([2, size]) } });
    };
    y(2);
    expect(() => y(4)).toThrow('the inverse of the weight [3, 3] starts at 2 numbers, and now there are 4');
  });

  it('a gradient is read as a target under the stiffness of the walk', () => {
    const { x, w } = layer([2, 3, 3]);
    const feedback = differenceTargets(seeded());
    const a = withRules(feedback.rules, () => linear(x, w));
    const g = drawer(3)([2, 3]);
    backward(seed(a, slope(g)), { stiffness: 4 });
    expectNear(inboxOf(x)!.step(), linear(g.mul(-0.25), feedback.inverseOf(w)!.weight), 1e-6);
  });
});

/**
 * With fixed predictions, rate 1 and as many sweeps as values lie in a row, predictive coding gives backpropagation's
 * gradients (Millidge, Tschantz & Buckley 2022): on every graph, through every seed.
 */
import { describe, expect, it } from 'vitest';
import {
  add,
  attachRules,
  backward,
  Conv2d,
  crossEntropy,
  Flatten,
  Linear,
  linear,
  MaxPool2d,
  mseLoss,
  mul,
  parameter,
  ReLU,
  relu,
  Sequential,
  Tanh,
  type Tensor,
  tanh,
  target,
  withRules,
} from '../../../src/index.ts';
import { predictiveCoding } from '../../../src/rules/predictive/rule.ts';
import { distance, generatorOf, normal, perceptron, taken } from './nets.ts';

const fixed = (steps: number, more = {}) => predictiveCoding({ mode: 'fixed-prediction', steps, ...more });

/** Gradients at `leaves` of what `run` does, by backpropagation and under rules. */
function both(leaves: readonly Tensor[], run: () => void, guided: () => void): [Float32Array[], Float32Array[]] {
  run();
  const expected = taken(leaves);
  guided();
  return [taken(leaves), expected];
}

describe('fixed predictions give the gradients of backpropagation', () => {
  const x = normal([5, 6], 1);
  const labels = [0, 2, 1, 1, 0];

  it('on a perceptron whose loss stands outside of the block, the data included', () => {
    const net = perceptron([6, 5, 4, 3], 2);
    const input = normal([5, 6], 1).requiresGrad_();
    const run = () => backward(crossEntropy(net.forward(input), labels));
    const guided = () => {
      const remove = attachRules(net, fixed(3));
      run();
      remove();
    };
    const [got, expected] = both([...net.parameters(), input], run, guided);
    expect(distance(got, expected)).toBeLessThan(1e-6);
  });

  it('where the loss is part of the block', () => {
    const net = perceptron([6, 5, 4, 3], 3);
    const wanted = normal([5, 3], 4);
    for (const loss of [
      () => crossEntropy(net.forward(x), labels),
      () => mseLoss(net.forward(x), wanted),
      () => net.forward(x).sub(wanted).square().sum().mul(0.5),
    ]) {
      const [got, expected] = both(
        net.parameters(),
        () => backward(loss()),
        () => backward(withRules(fixed(3), loss)),
      );
      expect(distance(got, expected)).toBeLessThan(1e-6);
    }
  });

  it('from targets, and from targets and losses at once', () => {
    const net = perceptron([6, 5, 4, 3], 5);
    const wanted = normal([5, 3], 6);
    const run = () => {
      const y = net.forward(x);
      backward([crossEntropy(y, labels), target(y, wanted, { precision: 0.7 })]);
    };
    const [got, expected] = both(net.parameters(), run, () => {
      const remove = attachRules(net, fixed(3));
      run();
      remove();
    });
    expect(distance(got, expected)).toBeLessThan(1e-6);
  });

  it('from a hard target, which pulls as one of precision 1', () => {
    const net = perceptron([6, 5, 4, 3], 5);
    const wanted = normal([5, 3], 6);
    const [got, expected] = both(
      net.parameters(),
      () => backward(target(net.forward(x), wanted, { precision: 1 })),
      () =>
        backward(
          target(
            withRules(fixed(3), () => net.forward(x)),
            wanted,
            { precision: Infinity },
          ),
        ),
    );
    expect(distance(got, expected)).toBeLessThan(1e-6);
  });

  it('on a network of convolutions and pools', () => {
    const generator = generatorOf(7);
    const net = new Sequential(
      new Conv2d(2, 3, 3, { padding: 1, generator }),
      new ReLU(),
      new MaxPool2d(2),
      new Conv2d(3, 4, 3, { padding: 1, generator }),
      new Tanh(),
      new Flatten(),
      new Linear(36, 3, { generator }),
    );
    const images = normal([2, 2, 6, 6], 8);
    const loss = () => crossEntropy(net.forward(images), [2, 0], { reduction: 'sum' });
    const [got, expected] = both(
      net.parameters(),
      () => backward(loss()),
      () => backward(withRules(fixed(3), loss)),
    );
    expect(distance(got, expected)).toBeLessThan(1e-6);
  });

  it('on a residual graph, where a value has two consumers, and with a weight that is used twice', () => {
    const [w1, w2, w3] = [10, 11, 12].map((seed) => parameter(normal([6, 6], seed).mul(0.3))) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const net = () => {
      const a = linear(x, w1);
      const b = add(a, linear(tanh(a), w2));
      const c = add(mul(a, linear(relu(b), w3)), linear(b, w2));
      return c.square().sum();
    };
    const [got, expected] = both(
      [w1, w2, w3],
      () => backward(net()),
      () => backward(withRules(fixed(3), net)),
    );
    expect(distance(got, expected)).toBeLessThan(2e-6);
  });

  it('on stacks of rows, where a reshape stands behind the layer', () => {
    const w = parameter(normal([4, 6], 13));
    const v = parameter(normal([2, 4], 14));
    const stack = normal([3, 5, 6], 15);
    const net = () => linear(tanh(linear(stack, w)), v);
    const g = normal([3, 5, 2], 16);
    const [got, expected] = both(
      [w, v],
      () => net().backward(g),
      () => withRules(fixed(2), net).backward(g),
    );
    expect(distance(got, expected)).toBeLessThan(1e-6);
  });

  it('as a block within a backpropagated network, below and above', () => {
    const [trunk, block, head] = [perceptron([6, 5], 17), perceptron([5, 4, 4], 18), perceptron([4, 3], 19)];
    const run = () => backward(crossEntropy(head.forward(tanh(block.forward(tanh(trunk.forward(x))))), labels));
    const leaves = [trunk, block, head].flatMap((part) => part.parameters());
    const [got, expected] = both(leaves, run, () => {
      const remove = attachRules(block, fixed(2));
      run();
      remove();
    });
    expect(distance(got, expected)).toBeLessThan(1e-6);
  });

  it('in two blocks of one network, each with a relaxation of its own', () => {
    const [below, above] = [perceptron([6, 5, 5], 20), perceptron([5, 4, 3], 21)];
    const run = () => backward(crossEntropy(above.forward(tanh(below.forward(x))), labels));
    const leaves = [below, above].flatMap((part) => part.parameters());
    const [got, expected] = both(leaves, run, () => {
      const remove = [attachRules(below, fixed(2)), attachRules(above, fixed(2))];
      run();
      for (const off of remove) off();
    });
    expect(distance(got, expected)).toBeLessThan(1e-6);
  });

  it('at convergence whatever the precisions are, and at any rate that converges', () => {
    const net = perceptron([6, 5, 4, 3], 22);
    const loss = () => crossEntropy(net.forward(x), labels);
    const rules = fixed(200, { rate: 0.3, precision: (place: number) => [2, 0.5, 3][place]! });
    const [got, expected] = both(
      net.parameters(),
      () => backward(loss()),
      () => backward(withRules(rules, loss)),
    );
    expect(distance(got, expected)).toBeLessThan(1e-5);
  });
});

it('on its way there, a fixed prediction has moved by rate and learned by precision', () => {
  const net = perceptron([3, 2], 25);
  const run = () => backward(target(net.forward(normal([4, 3], 26)), normal([4, 2], 27), { precision: 1 }));
  run();
  const expected = taken(net.parameters()).map((g) => g.map((value) => 0.3 * 2 * value));
  attachRules(net, fixed(1, { rate: 0.3, precision: 2 }));
  run();
  expect(distance(taken(net.parameters()), expected)).toBeLessThan(1e-6);
});

describe('locality', () => {
  it('lets news of a target travel one value a sweep', () => {
    const net = perceptron([6, 5, 4, 3], 23);
    const x = normal([5, 6], 1);
    const heard = (mode: 'strict' | 'fixed-prediction', steps: number, precision: number) => {
      const remove = attachRules(net, predictiveCoding({ mode, steps, rate: 0.5 }));
      backward(target(net.forward(x), normal([5, 3], 24), { precision }));
      remove();
      return taken(net.parameters()).map((g) => g.some((value) => value !== 0));
    };
    for (const mode of ['strict', 'fixed-prediction'] as const) {
      expect(heard(mode, 1, 1)).toEqual([false, false, false, false, true, true]);
      expect(heard(mode, 2, 1)).toEqual([false, false, true, true, true, true]);
      expect(heard(mode, 3, 1)).toEqual([true, true, true, true, true, true]);
      // A value that is held has its error at once.
      expect(heard(mode, 1, Infinity)).toEqual([false, false, true, true, true, true]);
    }
  });
});

import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../../src/autograd/check.ts';
import type { NodeRule } from '../../../src/autograd/rule.ts';
import {
  add,
  amax,
  attachRules,
  backward,
  checkGradients,
  conv2d,
  Generator,
  gradients,
  inboxOf,
  Linear,
  linear,
  maxPool2d,
  mean,
  mul,
  ReLU,
  relu,
  Sequential,
  seed,
  setRule,
  slope,
  spring,
  square,
  sub,
  sum,
  type Tensor,
  target,
  tensor,
  withRules,
  zeros,
} from '../../../src/index.ts';
import { springAdd, springElementwise, springMul } from '../../../src/rules/springs/elementwise.ts';
import { type SpringProductOptions, springConvolution, springLinear } from '../../../src/rules/springs/products.ts';
import { springMaxPool, springSum } from '../../../src/rules/springs/reductions.ts';
import { springRule } from '../../../src/rules/springs/rule.ts';
import { springs } from '../../../src/rules/springs/springs.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import { drawer, expectNear, type LinearMap, leaf, moved, total } from './laws.ts';

const productOptions: SpringProductOptions[] = (['safe', 'mean'] as const).flatMap((precision) =>
  (['norm', 'safe', 'diagonal'] as const).map((weights) => ({ precision, weights })),
);
describe('hard targets', () => {
  it('are passed on as the limit of ever firmer ones', () => {
    const cases: [LinearMap, number[][], NodeRule][] = [
      [linear as LinearMap, [[3, 4], [2, 4], [2]], springLinear()],
      [
        linear as LinearMap,
        [
          [3, 4],
          [2, 4],
        ],
        springLinear({ precision: 'mean', weights: 'safe' }),
      ],
      [
        (x, w) => conv2d(x!, w!),
        [
          [2, 2, 3, 3],
          [2, 2, 2, 2],
        ],
        springConvolution(),
      ],
      [(x) => sum(x!, 1), [[3, 4]], springSum()],
      [(a, b) => add(a!, b!), [[3, 4], [4]], springAdd()],
      [
        (a, b) => mul(a!, b!),
        [
          [3, 4],
          [3, 1],
        ],
        springMul(),
      ],
      [(x) => relu(x!), [[3, 4]], springElementwise()],
      [(x) => maxPool2d(x!, { kernelSize: 2 }), [[2, 1, 4, 4]], springMaxPool()],
    ];
    inFloat64(() => {
      for (const [map, shapes, rule] of cases) {
        const draw = drawer(11);
        const values = shapes.map((shape) => draw(shape));
        const { shape } = map(...values);
        const [d, soft] = [draw(shape), draw(shape, 0.1, 2)];
        const mask = draw(shape).gt(0.3);
        const steps = [Infinity, 1e10].map((firm) => {
          const p = tensor(
            numbersOf(soft).map((x, i) => (numbersOf(mask)[i] === 1 ? firm : x)),
            shape,
          );
          return moved(map, values, rule, d, p).steps;
        });
        for (const [i, step] of steps[0]!.entries()) expectNear(step, steps[1]![i]!, 1e-7);
      }
    });
  });

  it('say on their way who sent them', () => {
    const x = leaf(tensor([1, 2]));
    const shared = mul(x, 2);
    const ends = [mul(shared, 1), mul(shared, 3)].map((y) => setRule(y, springMul()));
    expect(() => backward(ends.map((y, i) => target(y, tensor([i, 9]), { precision: Infinity })))).toThrow(
      /springMul at mul .* for target and springMul at mul .* for target send hard targets that differ/,
    );
  });
});

describe('what asks nothing', () => {
  it('a flat function sends precision 0 and displacement 0', () => {
    const x = leaf(tensor([-1, 0, 2]));
    backward(target(setRule(relu(x), springElementwise()), tensor([5, 5, 5]), { precision: 2 }));
    expect(inboxOf(x)!.step().toArray()).toEqual([0, 0, 3]);
    expect(inboxOf(x)!.precision().toArray()).toEqual([0, 0, 2]);
  });

  it('a factor of 0, a loser of a pool, an image that nobody reads', () => {
    const x = leaf(tensor([1, 2]));
    backward(target(setRule(mul(x, tensor([0, 2])), springMul()), tensor([5, 6]), { precision: 1 }));
    expect([inboxOf(x)!.step().toArray(), inboxOf(x)!.precision().toArray()]).toEqual([
      [0, 1],
      [0, 4],
    ]);
    const v = leaf(tensor([1, 5, 5]));
    backward(
      target(
        withRules({ amax: springMaxPool() }, () => amax(v)),
        tensor(4),
        { precision: 1 },
      ),
    );
    expect([inboxOf(v)!.step().toArray(), inboxOf(v)!.precision().toArray()]).toEqual([
      [0, -1, 0],
      [0, 1, 0],
    ]);
    const image = leaf(zeros([1, 1, 3, 3]));
    const y = setRule(conv2d(image, tensor([[[[1]]]]), null, { stride: 2 }), springConvolution());
    backward(
      target(
        y,
        tensor([
          [
            [
              [1, 1],
              [1, 1],
            ],
          ],
        ]),
        { precision: 1 },
      ),
    );
    expect(inboxOf(image)!.precision().toArray()).toEqual([
      [
        [
          [1, 0, 1],
          [0, 0, 0],
          [1, 0, 1],
        ],
      ],
    ]);
  });

  it('a target that is met sends displacement 0', () => {
    const x = leaf(drawer(1)([4, 3]));
    const y = withRules(springs(), () => relu(linear(x, drawer(2)([2, 3]))));
    backward(target(y, y.detach(), { precision: 1 }));
    expect(inboxOf(x)!.step().toArray()).toEqual(zeros([4, 3]).toArray());
  });

  it('a batch of nothing is asked for nothing', () => {
    const net = () => relu(linear(x, w, b));
    const [x, w, b] = [leaf(zeros([0, 3])), leaf(drawer(1)([2, 3])), leaf(zeros([2]))];
    for (const options of productOptions) {
      for (const one of [x, w, b]) one.grad = null;
      backward(target(withRules(springs(options), net), zeros([0, 2]), { precision: 1 }));
      for (const one of [w, b]) {
        expect(inboxOf(one)!.step().toArray()).toEqual(zeros(one.shape).toArray());
        expect(total(inboxOf(one)!.precision())).toBe(0);
      }
      expect(inboxOf(x)!.step().shape).toEqual([0, 3]);
    }
  });
});

describe('the form of messages', () => {
  it('precisions stay a scalar, or one for each sample, where that says it', () => {
    const shapes = (map: LinearMap, values: Tensor[], rule: NodeRule, p: Tensor) => {
      const leaves = values.map(leaf);
      const y = map(...leaves);
      backward(seed(setRule(y, rule), spring(zeros(y.shape), p)));
      return leaves.map((x) => inboxOf(x)!.springs!.precision.size);
    };
    const layer = [zeros([5, 3]), zeros([4, 3]), zeros([4])];
    const [one, each] = [tensor(2), tensor([[1], [2], [3], [4], [5]])];
    expect(shapes(linear as LinearMap, layer, springLinear({ precision: 'mean' }), one)).toEqual([1, 1, 1]);
    expect(shapes(linear as LinearMap, layer, springLinear({ precision: 'mean' }), each)).toEqual([5, 1, 1]);
    expect(shapes(linear as LinearMap, layer, springLinear(), one)).toEqual([3, 1, 1]);
    expect(shapes((a, b) => add(a!, b!), [zeros([5, 3]), zeros([3])], springAdd(), one)).toEqual([1, 1]);
    expect(shapes((a, b) => add(a!, b!), [zeros([5, 3]), zeros([3])], springAdd(), each)).toEqual([5, 1]);
    expect(shapes((x) => sum(x!, 1), [zeros([5, 3])], springSum(), one)).toEqual([1]);
    expect(shapes((x) => sum(x!, 1, true), [zeros([5, 3])], springSum(), each)).toEqual([5]);
    expect(shapes((x) => mul(x!, 3), [zeros([5, 3])], springMul(), one)).toEqual([1]);
  });

  it('where nobody stated a precision, none is stated on the way', () => {
    const x = leaf(tensor([1, 2]));
    backward(seed(setRule(mul(x, 2), springMul()), spring(tensor([2, 2]))));
    expect(inboxOf(x)!.step().toArray()).toEqual([1, 1]);
    expect(() => x.grad).toThrow('precision nobody stated');
  });

  it('gradients pass as gradients, and can be differentiated again', () => {
    const f = (x: Tensor, w: Tensor) =>
      withRules(springs(), () =>
        mean(
          square(relu(linear(x, w)))
            .div(2)
            .add(1),
        ),
      );
    checkGradients(f, [
      tensor([[1, -2]]),
      tensor([
        [0.5, -1],
        [2, 0.5],
      ]),
    ]);
    const x = leaf(tensor([1, 2]));
    square(x).sum().backward();
    expect(inboxOf(x)!.kind).toBe('gradient');
  });

  it('springs can be differentiated: their precision is in the second derivative', () => {
    const x = leaf(tensor([3]));
    const y = setRule(mul(x, 2), springMul());
    backward(target(y, tensor([0]), { precision: 5 }), { createGraph: true });
    const [second] = gradients(x.grad!.sum(), [x]);
    expect(second!.toArray()).toEqual([20]);
  });

  it('the energy of what is sent is kept where it is asked for', () => {
    const x = leaf(tensor([1, 2]));
    backward(target(setRule(mul(x, tensor([2, 0])), springMul()), tensor([6, 6]), { precision: 3 }), { energy: true });
    expect(inboxOf(x)!.springs!.energy).toBe(0.5 * 12 * 4);
  });

  it('a rule of your own needs only a stiffness', () => {
    const loose = springRule('loose', (_, p) => mul(p, 7));
    const x = leaf(tensor([1, 2]));
    backward(seed(setRule(mul(x, 2), loose), spring(tensor([7, 14]), 1).plus(slope(tensor([1, 0])))));
    expect(inboxOf(x)!.springs!.precision.toArray()).toBe(7);
    expect(x.grad!.toArray()).toEqual([2 - 14, -28]);
  });

  it('refuses options and ops that are not its own, in a sentence', () => {
    expect(() => springLinear({ precision: 'sum' as 'mean' })).toThrow(
      `springLinear: precision is 'safe' or 'mean', not "sum".`,
    );
    expect(() => springConvolution({ weights: 'mean' as 'norm' })).toThrow(
      `springConvolution: weights is 'norm', 'safe' or 'diagonal', not "mean".`,
    );
    const y = setRule(sub(leaf(tensor([1])), 1), springMul());
    expect(() => backward(target(y, tensor([1]), { precision: 1 }))).toThrow('it is a rule of mul and div');
  });
});

it('a network learns by the steps that its springs ask for, with no step size', () => {
  const generator = new Generator(6);
  const net = new Sequential(new Linear(2, 8, { generator }), new ReLU(), new Linear(8, 1, { generator }));
  attachRules(net, springs());
  const x = drawer(3)([32, 2]);
  const t = x.slice([null, [0, 1]]).mul(x.slice([null, [1, 2]]));
  const losses: number[] = [];
  for (let step = 0; step < 60; step++) {
    net.zeroGrad();
    const y = net.forward(x);
    losses.push(y.detach().sub(t).square().mean().item());
    backward(target(y, t, { precision: 1 / 32 }));
    for (const w of net.parameters()) {
      const asked = inboxOf(w)!.step().detach();
      w.requiresGrad_(false);
      w.add_(asked.mul(0.5));
      w.requiresGrad_();
    }
  }
  expect(losses.at(-1)!).toBeLessThan(0.4 * losses[0]!);
});

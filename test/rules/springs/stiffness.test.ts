/** How firmly spring rules ask: that what claims not to overshoot does not, and what is reached exactly. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../../src/autograd/check.ts';
import { apply } from '../../../src/autograd/define.ts';
import type { NodeRule } from '../../../src/autograd/rule.ts';
import {
  add,
  avgPool2d,
  backward,
  conv2d,
  Draw,
  div,
  Generator,
  gradients,
  inboxOf,
  linear,
  mean,
  mul,
  registeredOps,
  seed,
  setRule,
  spring,
  square,
  sub,
  sum,
  type Tensor,
  tensor,
  withRules,
  zeros,
} from '../../../src/index.ts';
import { springAdd, springMul } from '../../../src/rules/springs/elementwise.ts';
import { springConvolution, springLinear } from '../../../src/rules/springs/products.ts';
import { springAveragePool, springSum } from '../../../src/rules/springs/reductions.ts';
import { springs } from '../../../src/rules/springs/springs.ts';
import {
  anyForm,
  anySeed,
  drawer,
  expectNear,
  fixedSeed,
  type LinearMap,
  leaf,
  moved,
  precisions,
  total,
} from './laws.ts';

/** sum p m (d - m) >= 0: of what is asked, in the measure p, the movement m is never more; and J^T P J <= diag(p_x). */
function expectNoOvershoot(map: LinearMap, values: readonly Tensor[], rule: NodeRule, d: Tensor, p: Tensor): void {
  const { leaves, movement } = moved(map, values, rule, d, p);
  expect(total(mul(p, mul(movement, sub(d, movement))))).toBeGreaterThan(-1e-9);
  for (let trial = 0; trial < 4; trial++) {
    const wiggle = values.map((x, i) => drawer(97 * trial + i)(x.shape));
    const far = sub(map(...values.map((x, i) => add(x, wiggle[i]!))), map(...values));
    const bound = leaves.reduce((b, x, i) => b + total(mul(inboxOf(x)!.precision(), square(wiggle[i]!))), 0);
    expect(total(mul(p, square(far)))).toBeLessThanOrEqual(bound * (1 + 1e-9) + 1e-9);
  }
}

describe('what cannot overshoot', () => {
  const cases: [string, (draw: ReturnType<typeof drawer>) => { map: LinearMap; values: Tensor[]; rule: NodeRule }][] = [
    [
      'linear, data',
      (draw) => {
        const w = draw([4, 3], -3, 3);
        return { map: (x) => linear(x!, w), values: [draw([5, 3])], rule: springLinear({ precision: 'safe' }) };
      },
    ],
    ...(['norm', 'safe'] as const).map((weights): (typeof cases)[number] => [
      `linear, weight and bias, ${weights}`,
      (draw) => {
        const x = draw([5, 3], -3, 3);
        return { map: (w, b) => linear(x, w!, b!), values: [draw([4, 3]), draw([4])], rule: springLinear({ weights }) };
      },
    ]),
    [
      'linear, weight alone',
      (draw) => {
        const x = draw([5, 3], -3, 3);
        return { map: (w) => linear(x, w!), values: [draw([4, 3])], rule: springLinear() };
      },
    ],
    [
      'linear, bias alone',
      (draw) => {
        const [x, w] = [draw([5, 3]), draw([4, 3])];
        return { map: (b) => linear(x, w, b!), values: [draw([4])], rule: springLinear() };
      },
    ],
    ...[1, 2].flatMap((groups): (typeof cases)[number][] => [
      [
        `conv2d, data, ${groups} groups`,
        (draw) => {
          const w = draw([4, 2, 3, 2], -2, 2);
          const options = { groups, padding: 1, stride: [2, 1] as const };
          return {
            map: (x) => conv2d(x!, w, null, options),
            values: [draw([2, 2 * groups, 5, 4])],
            rule: springConvolution(),
          };
        },
      ],
      ...(['norm', 'safe'] as const).map((weights): (typeof cases)[number] => [
        `conv2d, weight and bias, ${weights}, ${groups} groups`,
        (draw) => {
          const x = draw([2, 2 * groups, 5, 4], -2, 2);
          const options = { groups, padding: 1, dilation: [1, 2] as const };
          return {
            map: (w, b) => conv2d(x, w!, b!, options),
            values: [draw([4, 2, 3, 2]), draw([4])],
            rule: springConvolution({ weights }),
          };
        },
      ]),
    ]),
    ['sum', (draw) => ({ map: (x) => sum(x!, [0, 2]), values: [draw([2, 3, 4])], rule: springSum() })],
    ['add', (draw) => ({ map: (a, b) => add(a!, b!), values: [draw([2, 3, 4]), draw([3, 1])], rule: springAdd() })],
    ['sub', (draw) => ({ map: (a, b) => sub(a!, b!), values: [draw([4]), draw([2, 4])], rule: springAdd() })],
    [
      'mul by a constant',
      (draw) => {
        const c = draw([2, 3]);
        return { map: (x) => mul(x!, c), values: [draw([3])], rule: springMul() };
      },
    ],
    [
      'avgPool2d that overlaps',
      (draw) => ({
        map: (x) => avgPool2d(x!, { kernelSize: 3, stride: 2, padding: 1 }),
        values: [draw([2, 2, 5, 4])],
        rule: springAveragePool(),
      }),
    ],
  ];
  for (const [name, make] of cases)
    it(name, () => {
      fc.assert(
        fc.property(anySeed, anyForm, (start, form) => {
          inFloat64(() => {
            const draw = drawer(start);
            const { map, values, rule } = make(draw);
            const { shape } = map(...values);
            expectNoOvershoot(map, values, rule, draw(shape, -4, 4), precisions(draw, form, shape));
          });
        }),
        { ...fixedSeed, numRuns: 10 },
      );
    });

  it("'mean' does, where weights are large and alike", () => {
    const x = tensor([[0, 0, 0]]);
    const w = tensor([
      [2, 2, 2],
      [2, 2, 2],
    ]);
    const d = tensor([[1, 1]]);
    const asked = (precision: 'mean' | 'safe') =>
      moved((v) => linear(v!, w), [x], springLinear({ precision }), d, tensor(1)).movement.toArray();
    expect(asked('mean')).toEqual([[12, 12]]);
    expect(asked('safe')).toEqual([[1, 1]]);
  });

  it("'diagonal' does, where inputs go together", () => {
    const x = tensor([[1, 1, 1]]);
    const { movement } = moved(
      (w) => linear(x, w!),
      [zeros([1, 3])],
      springLinear({ weights: 'diagonal' }),
      tensor([[1]]),
      tensor(1),
    );
    expect(movement.toArray()).toEqual([[3]]);
  });
});

describe('what is reached exactly', () => {
  const near = (a: Tensor, b: Tensor) => expectNear(a, b, 1e-6);
  const draw = drawer(8);

  it('the target of a sum, a residual, a product with a constant, an average pool', () => {
    const cases: [LinearMap, Tensor[], NodeRule][] = [
      [(x) => sum(x!, 1), [draw([3, 4])], springSum()],
      [(a, b) => add(a!, b!), [draw([3, 4]), draw([3, 4])], springAdd()],
      [(a, b) => sub(a!, b!), [draw([3, 4]), draw([3, 4])], springAdd()],
      [(x) => mul(x!, -3), [draw([3, 4])], springMul()],
      [(x) => div(x!, 7), [draw([3, 4])], springMul()],
      [(x) => avgPool2d(x!, { kernelSize: 2 }), [draw([2, 1, 4, 4])], springAveragePool()],
    ];
    for (const [map, values, rule] of cases) {
      const d = draw(map(...values).shape);
      near(moved(map, values, rule, d, tensor(0.5)).movement, d);
    }
  });

  it('the target of a single neuron by its data, whatever its weights', () => {
    const [w, d] = [draw([1, 5], -4, 4), draw([3, 1])];
    near(moved((x) => linear(x!, w), [draw([3, 5])], springLinear(), d, tensor(2)).movement, d);
  });

  it('the targets of a single sample by weights, and by weights and biases', () => {
    const [x, d] = [draw([1, 5], -4, 4), draw([1, 3])];
    for (const weights of ['norm', 'safe'] as const) {
      const rule = springLinear({ weights });
      near(moved((w) => linear(x, w!), [draw([3, 5])], rule, d, tensor(2)).movement, d);
      near(moved((w, b) => linear(x, w!, b!), [draw([3, 5]), draw([3])], rule, d, tensor(2)).movement, d);
    }
  });

  it("with 'norm', by the least change of the weights there is", () => {
    const x = tensor([[3, 4]]);
    const { steps } = moved((w) => linear(x, w!), [zeros([1, 2])], springLinear(), tensor([[50]]), tensor(1));
    expect(steps[0]!.toArray()).toEqual([[6, 8]]);
  });

  it('a mean asks every number for the same displacement, with p / n', () => {
    const x = leaf(draw([2, 4]));
    const y = withRules(springs(), () => mean(x, 1));
    backward(seed(y, spring(tensor([1, -2]), tensor([3, 5]))));
    near(
      inboxOf(x)!.step(),
      tensor([
        [1, 1, 1, 1],
        [-2, -2, -2, -2],
      ]),
    );
    near(inboxOf(x)!.precision().expand([2, 4]), tensor([Array(4).fill(3 / 4), Array(4).fill(5 / 4)]));
  });

  it("elementwise functions ask for Newton's step, d / f', by p f'^2", () => {
    inFloat64(() => {
      for (const [name, rule] of Object.entries(springs())) {
        if (rule!.name !== 'springElementwise') continue;
        const op = registeredOps().get(name)!;
        for (const { inputs, attributes } of op.samples(new Draw(new Generator(3)))) {
          const x = leaf(inputs[0]!);
          const y = setRule(apply(op, [x], attributes), rule);
          const f = gradients(apply(op, [x], attributes).sum(), [x])[0]!;
          const d = drawer(5)(y.shape);
          backward(seed(y, spring(d, 3)));
          const flat = f.eq(0);
          expectNear(inboxOf(x)!.step(), d.div(f.add(flat)).mul(flat.neg().add(1)), 1e-10);
          expectNear(inboxOf(x)!.precision(), f.square().mul(3), 1e-10);
        }
      }
    });
  });

  it('factors, dividends and divisors that can both move ask for half of it each', () => {
    const [a, b] = [leaf(tensor([6, -8])), leaf(tensor([2, 4]))];
    backward(seed(setRule(mul(a, b), springMul()), spring(tensor([4, 8]), 1)));
    expect([inboxOf(a)!.step().toArray(), inboxOf(b)!.step().toArray()]).toEqual([
      [1, 1],
      [4 / 12, -0.5].map(Math.fround),
    ]);
    const [c, e] = [leaf(tensor([6, -8])), leaf(tensor([2, 4]))];
    backward(seed(setRule(div(c, e), springMul()), spring(tensor([3, 1]), 1)));
    expect([inboxOf(c)!.step().toArray(), inboxOf(e)!.step().toArray()]).toEqual([
      [3, 2],
      [-1, 1],
    ]);
  });

  it('an average pool asks a number at the edge by what its window holds of it', () => {
    const x = leaf(zeros([1, 1, 2, 2]));
    backward(
      seed(setRule(avgPool2d(x, { kernelSize: 2, padding: 1 }), springAveragePool()), spring(zeros([1, 1, 2, 2]), 16)),
    );
    expect(inboxOf(x)!.precision().toArray()).toEqual([
      [
        [
          [1, 1],
          [1, 1],
        ],
      ],
    ]);
  });

  it("'mean' asks data for the mean over neurons of d w with the sum of the precisions", () => {
    const x = leaf(tensor([[1, 1]]));
    const w = tensor([
      [1, 2],
      [3, -4],
    ]);
    backward(seed(setRule(linear(x, w), springLinear({ precision: 'mean' })), spring(tensor([[2, 4]]), 0.5)));
    expect(inboxOf(x)!.step().toArray()).toEqual([[(2 + 12) / 2, (4 - 16) / 2]]);
    expect(inboxOf(x)!.precision().toArray()).toEqual(1);
  });

  it("'mean' through a convolution divides by the neurons that read a pixel: fewer at the edge", () => {
    const x = leaf(zeros([1, 1, 1, 3]));
    const w = tensor([[[[1, 1]]], [[[1, 1]]]]);
    const y = setRule(conv2d(x, w), springConvolution({ precision: 'mean' }));
    backward(seed(y, spring(tensor([[[[1, 3]], [[1, 3]]]]), 1)));
    expect(inboxOf(x)!.precision().toArray()).toEqual([[[[2, 4, 2]]]]);
    expect(inboxOf(x)!.step().toArray()).toEqual([[[[1, 2, 3]]]]);
  });

  it("'diagonal' gives each weight its own curvature", () => {
    const x = tensor([
      [1, 2],
      [3, 0],
    ]);
    const [w, b] = [leaf(zeros([1, 2])), leaf(zeros([1]))];
    backward(
      seed(setRule(linear(x, w, b), springLinear({ weights: 'diagonal' })), spring(zeros([2, 1]), tensor([[1], [2]]))),
    );
    expect(inboxOf(w)!.precision().toArray()).toEqual([[1 + 18, 4]]);
    expect(inboxOf(b)!.precision().toArray()).toEqual([3]);
  });
});

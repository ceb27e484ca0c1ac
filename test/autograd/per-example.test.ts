/** Gradients of single examples, against a loop over them, in float64; what ops say of examples, against trying. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../src/autograd/check.ts';
import { apply } from '../../src/autograd/define.ts';
import { adjoint } from '../../src/autograd/feasible.ts';
import type { Node } from '../../src/autograd/node.ts';
import { absoluteGradients, perExampleGradients, squaredGradients } from '../../src/autograd/per-example.ts';
import { isApartByTrial, onlyPart } from '../../src/autograd/per-example-plan.ts';
import {
  backward,
  cat,
  conv2d,
  crossEntropy,
  customGradient,
  Draw,
  expand,
  feedbackAlignment,
  Generator,
  gather,
  gradients,
  inboxOf,
  indexSelect,
  layerNorm,
  linear,
  logsumexp,
  matmul,
  maximum,
  maxPool2d,
  mean,
  memoryInUse,
  noGrad,
  onValue,
  parameter,
  registeredOps,
  scope,
  softmax,
  stack,
  sum,
  type Tensor,
  target,
  tensor,
  where,
  withRules,
} from '../../src/index.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';
import { expectRefused, untyped } from '../ops/numbers.ts';

const flat = (x: Tensor): number[] => Array.from(numbersOf(x));

function normal(seed: number, shape: readonly number[], scale = 1): Tensor {
  const generator = new Generator(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Array.from({ length: size }, () => scale * generator.normal()),
    shape,
  );
}

type Losses = (x: Tensor, labels: Int32Array) => Tensor;

/** Gradients of each example by a graph of its own. */
function looped(f: Losses, x: Tensor, labels: Int32Array, parameters: readonly Tensor[]): number[][][] {
  return Array.from({ length: x.shape[0]! }, (_, n) => {
    const alone = f(x.slice([[n, n + 1]]), labels.slice(n, n + 1));
    return gradients(alone.sum(), parameters)
      .map((g, i) => (g === null ? parameters[i]!.mul(0).toArray() : g.toArray()))
      .map((numbers) => [numbers].flat(9) as number[]);
  });
}

/** Of the largest number of each parameter. */
function expectNear(found: readonly number[], expected: readonly number[], tolerance = 1e-9): void {
  expect(found.length).toBe(expected.length);
  const largest = Math.max(1e-300, ...expected.map(Math.abs));
  const worst = Math.max(0, ...found.map((x, i) => Math.abs(x - expected[i]!)));
  expect(worst / largest).toBeLessThanOrEqual(tolerance);
}

function expectSameAsLoop(
  f: Losses,
  x: Tensor,
  labels: Int32Array,
  parameters: readonly Tensor[],
  tolerance = 1e-9,
): void {
  const expected = looped(f, x, labels, parameters);
  const each = perExampleGradients(f(x, labels), parameters);
  const squares = squaredGradients(f(x, labels), parameters);
  const magnitudes = absoluteGradients(f(x, labels), parameters);
  for (const [i, parameter] of parameters.entries()) {
    const rows = expected.map((example) => example[i]!);
    expect(each[i]!.shape).toEqual([x.shape[0], ...parameter.shape]);
    expectNear(flat(each[i]!), rows.flat(), tolerance);
    const over = (power: (g: number) => number) =>
      Array.from({ length: parameter.size }, (_, k) => rows.reduce((total, row) => total + power(row[k]!), 0));
    expect(squares[i]!.shape).toEqual(parameter.shape);
    expectNear(
      flat(squares[i]!),
      over((g) => g * g),
      tolerance,
    );
    expectNear(flat(magnitudes[i]!), over(Math.abs), tolerance);
    for (const one of [each[i]!, squares[i]!, magnitudes[i]!]) expect(one.node).toBeNull();
  }
}

const labelsFor = (n: number, classes: number) => Int32Array.from({ length: n }, (_, i) => (i * 2 + 1) % classes);
const make = (seed: number, shape: readonly number[], scale = 0.7) => parameter(normal(seed, shape, scale));

const double = customGradient({
  name: 'twice the square',
  surrogate: false,
  forward: ([x], save) => {
    save(x!);
    return x!.square().mul(2);
  },
  gradient: ({ saved: [x] }, g) => g.mul(x!).mul(4),
});
const scaled = customGradient<[Tensor, Tensor]>({
  name: 'rows times a weight',
  surrogate: false,
  forward: ([x, w]) => x.mul(w),
  gradient: ({ inputs: [x, w] }, g) => [g.mul(w), g.mul(x).sum(0)],
});
const centred = customGradient({
  name: 'less the mean of the batch',
  surrogate: false,
  forward: ([x]) => x!.sub(x!.mean(0, true)),
  gradient: (_, g) => g.sub(g.mean(0, true)),
});

/** Models: parameters, the shape of one example, losses. */
const models: Record<string, { parameters: () => Tensor[]; example: number[]; losses: (p: Tensor[]) => Losses }> = {
  'linear layers': {
    parameters: () => [make(1, [5, 3]), make(2, [5]), make(3, [4, 5]), make(4, [4])],
    example: [3],
    losses:
      ([a, b, c, d]) =>
      (x, labels) =>
        crossEntropy(linear(linear(x, a!, b!).relu(), c!, d!), labels, { reduction: 'none' }),
  },
  'matmul, a bias by add': {
    parameters: () => [make(1, [3, 5]), make(2, [5]), make(3, [5])],
    example: [3],
    losses:
      ([a, b, c]) =>
      (x) =>
        matmul(matmul(x, a!).add(b!).tanh(), c!),
  },
  'a linear layer on sequences': {
    parameters: () => [make(1, [5, 3]), make(2, [5]), make(3, [2, 5])],
    example: [4, 3],
    losses:
      ([a, b, c]) =>
      (x) =>
        linear(linear(x, a!, b!).tanh(), c!)
          .square()
          .sum([1, 2]),
  },
  'a matrix product on sequences': {
    parameters: () => [make(1, [3, 5]), make(2, [5])],
    example: [4, 3],
    losses:
      ([a, b]) =>
      (x) =>
        matmul(x, a!).add(b!).tanh().sum([1, 2]),
  },
  'a choice by a condition that examples share': {
    parameters: () => [make(1, [3]), make(2, [2, 3])],
    example: [2, 3],
    losses:
      ([a, b]) =>
      (x) =>
        where(tensor([[[1, 0, 1]]]), a!, x.mul(where(tensor([[[0, 1, 1]]]), x, b!)))
          .square()
          .sum([1, 2]),
  },
  'attention, a matrix product of two values': {
    parameters: () => [make(1, [3, 3]), make(2, [3, 3]), make(3, [3, 3])],
    example: [4, 3],
    losses:
      ([q, k, v]) =>
      (x) => {
        const weights = softmax(matmul(linear(x, q!), linear(x, k!).transpose(1, 2)), -1);
        return matmul(weights, linear(x, v!)).square().mean([1, 2]);
      },
  },
  'a recurrent net: weights used at every step': {
    parameters: () => [make(1, [4, 3]), make(2, [4, 4]), make(3, [4])],
    example: [3, 3],
    losses:
      ([w, u, b]) =>
      (x) => {
        let h = linear(x.slice([null, 0]), w!, b!).tanh();
        for (const t of [1, 2])
          h = linear(x.slice([null, t]), w!, b!)
            .add(linear(h, u!))
            .tanh();
        return h.square().sum(1);
      },
  },
  'steps before examples': {
    parameters: () => [make(1, [4, 3]), make(2, [4])],
    example: [3, 3],
    losses:
      ([w, b]) =>
      (x) =>
        linear(x.permute([1, 0, 2]), w!, b!)
          .tanh()
          .sum(0)
          .square()
          .sum(1),
  },
  'tied weights': {
    parameters: () => [make(1, [5, 3]), make(2, [5])],
    example: [3],
    losses:
      ([w, b]) =>
      (x) =>
        linear(linear(x, w!, b!).tanh(), w!.transpose())
          .sub(x)
          .square()
          .sum(1),
  },
  'a weight under a mask, another that is normalized': {
    parameters: () => [make(1, [5, 3]), make(2, [4, 5])],
    example: [3],
    losses:
      ([a, b]) =>
      (x) => {
        const mask = tensor([[1], [0], [1], [1], [0]]);
        const unit = b!.div(b!.square().sum(1, true).sqrt());
        return linear(linear(x, a!.mul(mask)).add(0.1).tanh(), unit)
          .square()
          .sum(1);
      },
  },
  'layer normalization': {
    parameters: () => [make(1, [4, 3]), make(2, [4]), make(3, [4]), make(4, [2, 4])],
    example: [3],
    losses:
      ([a, w, b, c]) =>
      (x) =>
        linear(layerNorm(linear(x, a!), 4, w!, b!), c!)
          .square()
          .sum(1),
  },
  'layer normalization on sequences, over two axes': {
    parameters: () => [make(1, [4, 3]), make(2, [2, 4]), make(3, [2, 4]), make(4, [4]), make(5, [4])],
    example: [2, 3],
    losses:
      ([a, w, b, w2, b2]) =>
      (x) =>
        layerNorm(layerNorm(linear(x, a!), [2, 4], w!, b!), 4, w2!, b2!)
          .pow(3)
          .sum([1, 2]),
  },
  'convolutions: grouped, strided, dilated, padded': {
    parameters: () => [make(1, [4, 1, 3, 2]), make(2, [4]), make(3, [6, 2, 2, 2]), make(4, [6]), make(5, [3, 36])],
    example: [2, 6, 5],
    losses:
      ([a, b, c, d, e]) =>
      (x, labels) => {
        const first = conv2d(x, a!, b!, { groups: 2, padding: [2, 1], dilation: [2, 1], stride: [1, 1] }).relu();
        const second = conv2d(first, c!, d!, { groups: 2, stride: [2, 3] });
        return crossEntropy(linear(second.reshape([x.shape[0]!, 36]), e!), labels, {
          reduction: 'none',
        });
      },
  },
  'a convolution of several images an example, pooled': {
    parameters: () => [make(1, [3, 2, 3, 3]), make(2, [3])],
    example: [2, 2, 6, 5],
    losses:
      ([w, b]) =>
      (x) => {
        const images = x.reshape([2 * x.shape[0]!, 2, 6, 5]);
        const pooled = maxPool2d(conv2d(images, w!, b!, { padding: 'same' }), { kernelSize: 2 });
        return pooled
          .reshape([x.shape[0]!, 2 * 3 * 3 * 2])
          .square()
          .sum(1);
      },
  },
  'broadcasting in all ways': {
    parameters: () =>
      [[3], [1, 3], [], [1], [2, 1], [2, 3], [3], [1, 1, 1], [3]].map((shape, i) =>
        parameter(normal(i, shape, 0.3).add(1.5)),
      ),
    example: [2, 3],
    losses:
      ([a, b, c, d, e, f, h, i, j]) =>
      (x) => {
        const y = maximum(x.mul(a!).add(b!).div(c!).sub(d!), e!.neg());
        const picked = where(y.gt(0.3), y.mul(f!), h!);
        return expand(i!, x.shape)
          .mul(picked)
          .add(expand(j!, x.shape).mul(y))
          .add(x.square().add(1).pow(j!))
          .sum([1, 2]);
      },
  },
  'a table of vectors, one index an example': {
    parameters: () => [make(1, [6, 3]), make(2, [2, 3]), make(3, [3, 2])],
    example: [1],
    losses:
      ([table, w, second]) =>
      (x, labels) => {
        const rows = indexSelect(table!, 0, labels);
        const picked = gather(
          second!,
          0,
          Array.from(labels, (label) => [label % 3, 1]),
        );
        return linear(rows.add(x), w!).mul(picked).square().sum(1);
      },
  },
  'a table of vectors, indices that repeat within an example': {
    parameters: () => [make(1, [4, 3]), make(2, [2, 3]), make(3, [3, 2])],
    example: [1],
    losses:
      ([table, w, second]) =>
      (x, labels) => {
        const index = Array.from(labels).flatMap((label) => [label % 4, 1, label % 2]);
        const rows = indexSelect(table!, 0, index).reshape([labels.length, 3, 3]);
        const picked = gather(
          second!,
          0,
          index.map((i) => [i % 3, 1]),
        ).reshape([labels.length, 3, 2]);
        return linear(rows.mul(x.reshape([x.shape[0]!, 1, 1])), w!)
          .mul(picked)
          .pow(2)
          .sum([1, 2]);
      },
  },
  'joined, stacked, cut and turned values': {
    parameters: () => [make(1, [3, 3]), make(2, [3, 3])],
    example: [3],
    losses:
      ([a, b]) =>
      (x) => {
        const [p, q] = [linear(x, a!), linear(x, b!).exp()];
        const joined = cat([p.flip(1), q, p.slice([null, [0, 2]])], 1).pad([1, 0]);
        return logsumexp(joined, 1)
          .add(stack([p, q], 1).transpose(1, 2).amax(1).norm(1))
          .add(
            cat([p, q], 0)
              .slice([[0, x.shape[0]!]])
              .sum(1),
          );
      },
  },
  "ops of one's own that say nothing of examples": {
    parameters: () => [make(1, [4, 3]), make(2, [4])],
    example: [3],
    losses:
      ([a, w]) =>
      (x) =>
        scaled(double(linear(x, a!)), w!)
          .square()
          .sum(1),
  },
};

describe('gradients of examples are those of a loop', () => {
  for (const [name, { parameters, example, losses }] of Object.entries(models))
    for (const count of [1, 2, 5])
      it(`${name}, ${count} examples`, () => {
        inFloat64(() => {
          const own = parameters();
          expectSameAsLoop(losses(own), normal(9, [count, ...example]), labelsFor(count, 3), own);
        });
      });

  it('for linear layers of any sizes and depths, in float32 too', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 3 }), sizes, (count, steps, widths) => {
        const layers = widths.slice(1).map((width, i) => [make(i, [width, widths[i]!]), make(i + 9, [width])] as const);
        const x = normal(1, steps === 1 ? [count, widths[0]!] : [count, steps, widths[0]!]);
        const f: Losses = (y) => {
          const out = layers.reduce((h, [w, b]) => linear(h, w, b).tanh(), y);
          return out
            .square()
            .reshape([y.shape[0]!, out.size / y.shape[0]!])
            .sum(1);
        };
        expectSameAsLoop(f, x, labelsFor(count, 2), layers.flat(), 1e-5);
      }),
      { numRuns: 25, seed: 4 },
    );
  });

  it('for convolutions of any groups, strides, dilations', () => {
    const one = fc.integer({ min: 1, max: 2 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        one,
        one,
        one,
        one,
        one,
        (count, groups, stride, across, dilation, kernel) => {
          const [w, b] = [make(1, [2 * groups, 2, kernel, 2]), make(2, [2 * groups])];
          const f: Losses = (x) =>
            conv2d(x, w, b, { groups, stride: [stride, across], dilation, padding: 1 })
              .square()
              .sum([1, 2, 3]);
          expectSameAsLoop(f, normal(5, [count, 2 * groups, 5, 4]), labelsFor(count, 2), [w, b], 1e-5);
        },
      ),
      { numRuns: 25, seed: 5 },
    );
  });

  it('in float32, with more numbers than are formed at a time', () => {
    const w = make(1, [1200, 900], 0.05);
    const x = normal(2, [7, 2, 900]);
    const f: Losses = (y) => linear(y, w).square().sum([1, 2]);
    const [squares] = squaredGradients(f(x, new Int32Array()), [w]);
    const expected = new Float64Array(w.size);
    for (const n of Array(7).keys()) {
      const [g] = gradients(f(x.slice([[n, n + 1]]), new Int32Array()).sum(), [w]);
      for (const [k, value] of g!.toFloat32Array().entries()) expected[k]! += value * value;
    }
    const found = squares!.toFloat32Array();
    const largest = expected.reduce((a, b) => Math.max(a, b));
    expect(expected.every((value, k) => Math.abs(found[k]! - value) <= 1e-5 * largest)).toBe(true);
  });
});

describe('where examples meet', () => {
  /** One walk for each loss through the graph of all. */
  const rowByRow = (losses: Tensor, parameters: Tensor[]) =>
    Array.from({ length: losses.size }, (_, n) =>
      gradients(losses, parameters, {
        seed: tensor(Array.from({ length: losses.size }, (__, i) => Number(i === n))),
      }).map((g) => flat(g!)),
    );

  for (const [name, meet] of Object.entries({
    'less the mean of the batch': (h: Tensor) => h.sub(mean(h, 0, true)),
    'the same by an op that says nothing of examples': (h: Tensor) => centred(h),
    'through nothing but the mean': (h: Tensor) => expand(mean(h, 0, true), h.shape),
    'a matrix of likenesses': (h: Tensor) => matmul(matmul(h, h.transpose()), h),
    'examples shuffled': (h: Tensor) => indexSelect(h, 0, [2, 0, 3, 1]),
    'a softmax over the batch': (h: Tensor) => softmax(h, 0),
    'a softmax over one number each': (h: Tensor) => softmax(h.sum(1)).reshape([4, 1]).mul(h),
    'a norm over the batch, one number for each of as many columns': (h: Tensor) => h.mul(h.norm(0).reshape([4, 1])),
    'the same with a sum': (h: Tensor) => h.mul(h.sum(0).reshape([4, 1])),
    'the same with an extreme': (h: Tensor) => h.mul(h.amax(0).reshape([4, 1])),
    'logarithms of sums over the batch': (h: Tensor) => h.mul(logsumexp(h, 0).reshape([4, 1])),
    'examples in reverse': (h: Tensor) => h.slice([[null, null, -1]]),
    'examples turned over': (h: Tensor) => h.flip(0).mul(h),
    'exchanged with features': (h: Tensor) => h.transpose().mul(h),
    'put one after the other': (h: Tensor) => cat([h, h.exp()], 0).slice([[2, 6]]),
  }))
    it(`gives the gradient of each loss all the same: ${name}`, () => {
      inFloat64(() => {
        const [a, b, c] = [make(1, [4, 3]), make(2, [4]), make(3, [2, 4])];
        const losses = linear(meet(linear(normal(3, [4, 3]), a, b)).tanh(), c)
          .square()
          .sum(1);
        const expected = rowByRow(losses, [a, b, c]);
        const found = perExampleGradients(losses, [a, b, c]);
        const squares = squaredGradients(losses, [a, b, c]);
        for (const i of [0, 1, 2]) {
          expectNear(
            flat(found[i]!),
            expected.flatMap((row) => row[i]!),
          );
          const total = expected[0]![i]!.map((_, k) => expected.reduce((sum, row) => sum + row[i]![k]! ** 2, 0));
          expectNear(flat(squares[i]!), total);
        }
      });
    });

  for (const distance of [1, -1, 2, -2])
    it(`finds by trying that an op hands values ${distance} examples on`, () => {
      const moved = (x: Tensor) => {
        const edge = x.slice([[0, Math.abs(distance)]]).mul(0);
        return distance > 0 ? cat([edge, x.slice([[0, -distance]])]) : cat([x.slice([[-distance, null]]), edge]);
      };
      const neighbour = customGradient({
        name: `${distance} on`,
        surrogate: false,
        forward: ([x]) => moved(x),
        gradient: (_, g) => moved(g.flip(0)).flip(0),
      });
      inFloat64(() => {
        const w = make(1, [2, 3]);
        const losses = neighbour(linear(normal(2, [4, 3]), w))
          .square()
          .sum(1);
        expectNear(flat(perExampleGradients(losses, [w])[0]!), rowByRow(losses, [w]).flat(2));
      });
    });

  it('takes no parts of a value whose size examples do not divide', () => {
    const spread = customGradient({
      name: 'to every other',
      surrogate: false,
      forward: ([x]) => stack([x, x.mul(0)], 1).reshape([4]),
      gradient: (_, g) => g.reshape([2, 2]).slice([null, 0]),
    });
    const w = tensor([2, 3]).requiresGrad_();
    const losses = spread(w).square();
    expect(perExampleGradients(losses, [w])[0]!.toArray()).toEqual([
      [4, 0],
      [0, 0],
      [0, 6],
      [0, 0],
    ]);
  });

  it('tells a parameter with a row for each example from a shared one', () => {
    inFloat64(() => {
      const w = make(1, [3, 3]);
      const x = normal(2, [3, 3]);
      const rows = x.mul(w).square().sum(1);
      const [each] = perExampleGradients(rows, [w]);
      expectNear(flat(each!), rowByRow(rows, [w]).flat(2));
      expectNear(flat(squaredGradients(rows, [w])[0]!), flat(x.square().mul(w).mul(2).square()));
      const both = linear(x.mul(w), w).square().sum(1);
      expectNear(flat(perExampleGradients(both, [w])[0]!), rowByRow(both, [w]).flat(2));
      // As many rows as there are examples, but used as a weight.
      const masked = linear(
        x,
        w.mul(
          tensor([
            [1, 0, 1],
            [0, 1, 1],
            [1, 1, 0],
          ]),
        ),
      )
        .square()
        .sum(1);
      expectNear(flat(perExampleGradients(masked, [w])[0]!), rowByRow(masked, [w]).flat(2));
    });
  });

  it('gives gradients for values inside the graph', () => {
    const w = tensor([[1, 2]]).requiresGrad_();
    const h = linear(
      tensor([
        [1, 0],
        [3, 1],
      ]),
      w,
    );
    const [each] = perExampleGradients(h.square().sum(1), [h]);
    expect(each!.toArray()).toEqual([
      [[2], [0]],
      [[0], [10]],
    ]);
    const v = w.mul(2);
    const losses = linear(
      tensor([
        [1, 0],
        [3, 1],
      ]),
      v,
    ).sum(1);
    expect(perExampleGradients(losses, [v, w]).map((g) => g.toArray())).toEqual([
      [[[1, 0]], [[3, 1]]],
      [[[2, 0]], [[6, 2]]],
    ]);
  });
});

describe('what ops say of examples', () => {
  const differentiable = [...registeredOps().values()].filter(({ gradient }) => !('because' in gradient));
  let said = 0;
  let formed = 0;
  for (const op of differentiable)
    it(`${op.name}: is what trying finds`, () => {
      inFloat64(() => {
        for (const { inputs, attributes } of op.samples(new Draw(new Generator(7)))) {
          const leaves = inputs.map((x) => x.detach().requiresGrad_());
          const node = apply(op, leaves, attributes).node as Node;
          const { output } = node;
          const g = normal(8, output.shape);
          for (const count of [2, 3, 4, 6])
            for (const index of inputs.keys()) {
              if (output.size === 0 || output.size % count !== 0) continue;
              const { shape, size } = inputs[index]!;
              const apart = size % count === 0 && op.perExample?.apart?.(node, index, count);
              if (apart) {
                said++;
                expect([op.name, index, count, isApartByTrial(node, index, count)]).toEqual([
                  op.name,
                  index,
                  count,
                  true,
                ]);
                continue;
              }
              for (const [from, to] of [
                [0, count],
                [1, 2],
              ] as const) {
                const found = op.perExample?.gradients?.(node, g, index, { from, to, count }) ?? null;
                if (found === null) continue;
                formed++;
                const expected = Array.from({ length: to - from }, (_, k) =>
                  flat(adjoint(node, onlyPart(g, from + k, count), index)),
                );
                expect(found.shape).toEqual([to - from, ...shape]);
                expectNear(flat(found), expected.flat());
              }
            }
        }
      });
    });
  it('is tried on many', () => {
    expect(said).toBeGreaterThan(80);
    expect(formed).toBeGreaterThan(20);
  });
});

describe('edges', () => {
  it('a parameter that no loss depends on gets zeros', () => {
    const [w, other] = [tensor([1, 2]).requiresGrad_(), tensor([[3]]).requiresGrad_()];
    const losses = () =>
      matmul(
        tensor([
          [1, 2],
          [3, 4],
        ]),
        w,
      );
    expect(perExampleGradients(losses(), [other, w]).map((g) => g.toArray())).toEqual([
      [[[0]], [[0]]],
      [
        [1, 2],
        [3, 4],
      ],
    ]);
    expect(squaredGradients(losses(), [other, w]).map((g) => g.toArray())).toEqual([[[0]], [10, 20]]);
    expect(absoluteGradients(losses(), [other])[0]!.toArray()).toEqual([[0]]);
    expect(squaredGradients(losses(), [])).toEqual([]);
  });

  it('no examples, and dead units', () => {
    const w = make(1, [2, 3]);
    const none = linear(tensor([], [0, 3]), w).sum(1);
    expect(perExampleGradients(none, [w])[0]!.shape).toEqual([0, 2, 3]);
    expect(squaredGradients(none, [w])[0]!.toArray()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
    const dead = linear(normal(2, [4, 3]), w, parameter(tensor([-100, -100])))
      .relu()
      .sum(1);
    expect(squaredGradients(dead, [w])[0]!.toArray()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });

  it('squares keep the range of float32 where factors are huge and tiny', () => {
    for (const [scale, weight] of [
      [1e25, 1e-25],
      [1e-25, 1e25],
      [1e-30, 1e15],
      [1e-42, 1e22],
      [1, 1e-22],
    ] as const) {
      const w = tensor([[1, 1]]).requiresGrad_();
      const x = tensor([
        [1, 0.5],
        [0.25, 1],
      ]).mul(scale);
      const losses = linear(x, w).mul(weight).sum(1);
      const [squares] = squaredGradients(losses, [w]);
      const unit = Math.fround(scale) * Math.fround(weight);
      for (const [k, factor] of [1.0625, 1.25].entries()) {
        const expected = factor * unit * unit;
        expect(Math.abs(flat(squares!)[k]! - expected)).toBeLessThanOrEqual(2e-3 * expected + 2e-45);
      }
    }
    const w = tensor([[1, 1]]).requiresGrad_();
    expect(flat(squaredGradients(linear(tensor([[1e25, 0]]), w).sum(1), [w])[0]!)).toEqual([Infinity, 0]);
    expect(
      flat(
        squaredGradients(
          linear(
            tensor([
              [NaN, 2],
              [0, 1],
            ]),
            w,
          ).sum(1),
          [w],
        )[0]!,
      ),
    ).toEqual([NaN, 5]);
  });

  it('works on views and strided operands', () => {
    inFloat64(() => {
      const w = make(1, [3, 5]);
      const f: Losses = (x) =>
        linear(x.transpose(1, 2).flip(2), w.transpose().slice([[0, 2]]))
          .slice([null, null, [1, 2]])
          .square()
          .sum([1, 2]);
      expectSameAsLoop(f, normal(1, [3, 3, 4]), labelsFor(3, 2), [w]);
    });
  });

  it('leaves .grad, inboxes and the graph as they are', () => {
    const [w, b] = [tensor([[1, 2]]).requiresGrad_(), tensor([3]).requiresGrad_()];
    w.grad = tensor([[7, 8]]);
    backward(target(b, tensor([5]), { precision: 2 }));
    const calls: number[] = [];
    onValue(w, () => void calls.push(1));
    const losses = linear(
      tensor([
        [1, 2],
        [3, 4],
      ]),
      w,
      b,
    )
      .square()
      .sum(1);
    const masked = linear(tensor([[1, 2]]), w.mul(2), b).sum(1);
    for (const of of [perExampleGradients, squaredGradients, absoluteGradients])
      for (const some of [losses, masked]) of(some, [w, b]);
    expect(calls).toEqual([]);
    expect(w.grad!.toArray()).toEqual([[7, 8]]);
    expect(inboxOf(b)!.kind).toBe('target');
    losses.sum().backward();
    expect(w.grad!.toArray()).toEqual([[7 + 2 * (8 + 3 * 14), 8 + 2 * (16 + 4 * 14)]]);
  });

  it('rules that are no gradients do not count', () => {
    const [a, b] = [make(1, [4, 3]), make(2, [2, 4])];
    const x = normal(3, [3, 3]);
    const f = () => linear(linear(x, a).tanh(), b).square().sum(1);
    const guided = withRules(feedbackAlignment({ generator: new Generator(1) }), f);
    expect(flat(squaredGradients(guided, [a])[0]!)).toEqual(flat(squaredGradients(f(), [a])[0]!));
  });

  it('memory does not grow, and nothing is recorded', () => {
    const w = make(1, [64, 64]);
    const masked = make(2, [64, 64]);
    const step = () => {
      const x = normal(3, [400, 2, 64]);
      const [squares] = squaredGradients(linear(linear(x, w), masked.mul(2)).sum([1, 2]), [w, masked]);
      return squares!.node;
    };
    for (let i = 0; i < 4; i++) expect(step()).toBeNull();
    const before = memoryInUse();
    for (let i = 0; i < 6; i++) step();
    expect(memoryInUse()).toBeLessThanOrEqual(before);
  });

  it('says in sentences what is wrong', () => {
    const w = tensor([[1, 2]]).requiresGrad_();
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    const losses = linear(x, w).sum(1);
    const old = linear(x, w).sum(1);
    noGrad(() => w.mul_(2));
    expectRefused([
      [
        'squaredGradients: losses are one number for each example, [N], not of shape []. Ask the loss for ' +
          "{ reduction: 'none' }, and sum what belongs to one example.",
        () => squaredGradients(sum(losses), [w]),
      ],
      [
        'perExampleGradients: losses are one number for each example, [N], not of shape [2, 1]. Ask the loss for ' +
          "{ reduction: 'none' }, and sum what belongs to one example.",
        () => perExampleGradients(linear(x, w), [w]),
      ],
      [
        'absoluteGradients: parameter 1 requires no gradient. Call requiresGrad_() on it before computing the losses.',
        () => absoluteGradients(losses, [w, x]),
      ],
      [
        'squaredGradients: what gradients start from, of shape [2], has no history: it was computed from nothing that requires ' +
          'a gradient, or inside noGrad, or it came through detach().',
        () =>
          squaredGradients(
            noGrad(() => linear(x, w).sum(1)),
            [w],
          ),
      ],
      [
        'squaredGradients: parameters are a list of tensors, [...model.parameters()], not object.',
        () => untyped(squaredGradients)(losses, w),
      ],
      [
        'squaredGradients: expected a tensor, not number. Make one with tensor(...).',
        () => untyped(squaredGradients)(3, [w]),
      ],
    ]);
    expect(() => squaredGradients(old, [w])).toThrow(/changed in place after linear read it/);
    const gone = scope(() => linear(x, w).sum(1));
    expect(() => squaredGradients(gone, [w])).toThrow(/was given back/);
  });
});

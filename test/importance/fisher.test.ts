/** The Fisher information against cases worked by hand and against loops over examples and classes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FisherKind, type FisherOptions, fisher } from '../../src/importance/fisher.ts';
import {
  crossEntropy,
  Generator,
  gradients,
  Linear,
  layerNorm,
  linear,
  logSoftmax,
  memoryInUse,
  noGrad,
  parameter,
  ReLU,
  Sequential,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';
import { expectClose, expectRefused, untyped } from '../ops/numbers.ts';

const kinds: readonly FisherKind[] = ['exact', 'sampled', 'empirical', 'batched'];
const options = (kind: FisherKind, seed = 1): FisherOptions => ({ kind, generator: new Generator(seed) });

function normal(seed: number, shape: readonly number[], scale = 1): Tensor {
  const generator = new Generator(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Array.from({ length: size }, () => scale * generator.normal()),
    shape,
  );
}

interface Labelled {
  x: Tensor;
  labels: Int32Array;
}
const batch = (x: Tensor, ...labels: number[]): Labelled => ({ x, labels: Int32Array.from(labels) });

/** For each parameter sum over what is given of weight g^2, g the gradient of log p(c|x) for example n. */
function looped(
  model: (x: Tensor) => Tensor,
  parameters: readonly Tensor[],
  batches: readonly Labelled[],
  weight: (probability: number, c: number, label: number) => number,
): number[][] {
  const sums = parameters.map(({ size }) => new Array<number>(size).fill(0));
  let examples = 0;
  for (const { x, labels } of batches)
    for (let n = 0; n < labels.length; n++, examples++) {
      const logp = logSoftmax(model(x.slice([[n, n + 1]])));
      for (const [c, value] of logp.toFloat32Array().entries()) {
        const times = weight(Math.exp(value), c, labels[n]!);
        const all = gradients(logp.slice([0, c]), parameters);
        for (const [i, g] of all.entries())
          if (times !== 0 && g !== null)
            for (const [k, d] of g.toFloat32Array().entries()) sums[i]![k]! += times * d * d;
      }
    }
  return sums.map((sum) => sum.map((value) => value / examples));
}

/** Within a part of the largest number. */
function expectNear(found: readonly Tensor[], expected: readonly (readonly number[])[], tolerance = 1e-5): void {
  for (const [i, numbers] of expected.entries()) {
    const largest = Math.max(1e-300, ...numbers.map(Math.abs));
    const worst = Math.max(...numbers.map((value, k) => Math.abs(value - numbersOf(found[i]!)[k]!)));
    expect(worst / largest).toBeLessThanOrEqual(tolerance);
  }
}

function network(seed: number): { model: (x: Tensor) => Tensor; parameters: Tensor[] } {
  const generator = new Generator(seed);
  const layers = new Sequential(new Linear(3, 4, { generator }), new ReLU(), new Linear(4, 5, { generator }));
  const parameters = [...layers.parameters(), parameter(normal(seed, [4]).add(1))];
  const scale = parameters.at(-1)!;
  const [first, relu, last] = [layers.at(0), layers.at(1), layers.at(2)] as unknown as { forward(x: Tensor): Tensor }[];
  return { model: (x) => last!.forward(layerNorm(relu!.forward(first!.forward(x)), 4, scale)).mul(2), parameters };
}

describe('fisher', () => {
  /*
   * Softmax regression with logits (z0, z1, z2) = (u x, v x, 0), u = ln 2, v = ln 1, so at x = 1 they are (ln 2, 0, 0) and p = (1/2, 1/4, 1/4). At
   * x = 0 the gradients are 0. At x = -1: (-ln 2, 0, 0), p = (1/5, 2/5, 2/5). Let the labels be 0 at x = 1, 1 at x = -1.
   *
   *   d log p(c) / du = x ([c = 0] - p0),  d log p(c) / dv = x ([c = 1] - p1)
   *
   * exact: x^2 p (1 - p).
   *   x = 1:  u: 1/2 1/2 = 1/4      v: 1/4 3/4 = 3/16
   *   x = -1: u: 1/5 4/5 = 4/25     v: 2/5 3/5 = 6/25
   *   mean:   u: (1/4 + 4/25) / 2 = 41/200                v: (3/16 + 6/25) / 2 = 171/800
   * empirical: x = 1, label 0:  u: (1 - 1/2)^2 = 1/4      v: (0 - 1/4)^2 = 1/16
   *            x = -1, label 1: u: (0 - 1/5)^2 = 1/25     v: (1 - 2/5)^2 = 9/25
   *   mean:   u: (1/4 + 1/25) / 2 = 29/200                v: (1/16 + 9/25) / 2 = 169/800
   * batched: mean gradients u: (1/2 + 1/5) / 2 = 7/20     v: (-1/4 - 3/5) / 2 = -17/40
   *   squares: u: 49/400                                  v: 289/1600
   * sampled: at each x one of the values that a label gives; of one example with label c, ([c = 0] - p0)^2 for u.
   */
  const [u, v] = [parameter(tensor([Math.log(2)])), parameter(tensor([0]))];
  const byHand = (x: Tensor) =>
    x
      .matmul(tensor([[1, 0, 0]]))
      .mul(u)
      .add(x.matmul(tensor([[0, 1, 0]])).mul(v));
  const two = [batch(tensor([[1], [-1]]), 0, 1)];

  it('the four kinds differ as they should on a case worked by hand', () => {
    const of = (kind: FisherKind, batches: Labelled[] = two) =>
      fisher(byHand, [u, v], batches, options(kind)).map((one) => one.item());
    expectClose(of('exact'), [41 / 200, 171 / 800]);
    expectClose(of('empirical'), [29 / 200, 169 / 800]);
    expectClose(of('batched'), [49 / 400, 289 / 1600]);
    // One example a batch: nothing cancels, and it is the empirical one.
    const alone = [batch(tensor([[1]]), 0), batch(tensor([[-1]]), 1)];
    expectClose(of('batched', alone), [29 / 200, 169 / 800]);
    const seen = new Set<string>();
    for (let seed = 0; seed < 40; seed++) {
      const values = fisher(byHand, [u, v], [batch(tensor([[1]]))], options('sampled', seed));
      seen.add(values.map((one) => one.item().toFixed(5)).join(' '));
    }
    // Label 0: 1/4, 1/16; 1: 1/4, 9/16; 2: 1/4, 1/16.
    expect([...seen].sort()).toEqual(['0.25000 0.06250', '0.25000 0.56250']);
  });

  it('exact is the Gauss-Newton matrix of softmax regression, x^2 p (1 - p)', () => {
    const w = parameter(normal(1, [4, 3]));
    const x = normal(2, [6, 3]);
    const p = linear(x, w).softmax().toArray() as number[][];
    const inputs = x.toArray() as number[][];
    const expected = p[0]!.flatMap((_, c) =>
      inputs[0]!.map(
        (__, k) => inputs.reduce((sum, row, n) => sum + row[k]! ** 2 * p[n]![c]! * (1 - p[n]![c]!), 0) / 6,
      ),
    );
    expectNear(
      fisher((batch) => linear(batch, w), [w], [{ x }], { kind: 'exact' }),
      [expected],
    );
  });

  it('is what a loop over examples and classes gives, with batches of different sizes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 99 }),
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }),
        (seed, sizes) => {
          fc.pre(sizes.some((size) => size > 0));
          const { model, parameters } = network(seed);
          const batches = sizes.map((size, i) =>
            batch(normal(seed + i, [size, 3]), ...Array.from({ length: size }, (_, n) => (n + i) % 5)),
          );
          expectNear(
            fisher(model, parameters, batches, { kind: 'exact' }),
            looped(model, parameters, batches, (p) => p),
          );
          expectNear(
            fisher(model, parameters, batches, { kind: 'empirical' }),
            looped(model, parameters, batches, (_, c, label) => Number(c === label)),
          );
        },
      ),
      { numRuns: 12, seed: 3 },
    );
  });

  it('batched is the square of the gradient that a training step sees, mean over batches', () => {
    const { model, parameters } = network(4);
    const batches = [batch(normal(1, [3, 3]), 0, 4, 2), batch(normal(2, [2, 3]), 1, 1)];
    const squares = batches.map(({ x, labels }) =>
      gradients(crossEntropy(model(x), labels), parameters).map((g) => g!.toFloat32Array().map((d) => d * d)),
    );
    const expected = parameters.map((_, i) => Array.from(squares[0]![i]!, (one, k) => (one + squares[1]![i]![k]!) / 2));
    expectNear(fisher(model, parameters, batches, { kind: 'batched' }), expected);
  });

  it('sampled converges to exact, and its generator decides', () => {
    const w = parameter(tensor([[0.8], [-0.4], [0]]));
    const x = tensor([[1]]).expand([4000, 1]);
    const model = (batch: Tensor) => linear(batch, w);
    const exact = numbersOf(fisher(model, [w], [{ x }], { kind: 'exact' })[0]!);
    const sampled = (seed: number) => numbersOf(fisher(model, [w], [{ x }], options('sampled', seed))[0]!);
    // ([c = k] - p)^2 lies in [0, 1] with a standard deviation of at most 1/2: four of its mean over 4000.
    for (const [k, value] of sampled(1).entries())
      expect(Math.abs(value - exact[k]!)).toBeLessThan((4 * 0.5) / Math.sqrt(4000));
    expect(sampled(1)).toEqual(sampled(1));
    expect(sampled(1)).not.toEqual(sampled(2));
  });

  it('never samples a class without probability, whatever rounding leaves', () => {
    class Last extends Generator {
      override uniform(): number {
        return 1;
      }
    }
    const w = parameter(tensor([[0], [0]]));
    const model = (x: Tensor) => linear(x, w).add(tensor([0, Number.NEGATIVE_INFINITY]));
    const sampled = fisher(model, [w], [{ x: tensor([[1]]) }], { kind: 'sampled', generator: new Last(1) })[0]!;
    expect(sampled.toArray()).toEqual([[0], [0]]);
  });

  it('counts examples, not batches', () => {
    const { model, parameters } = network(5);
    const x = normal(1, [7, 3]);
    const labels = [0, 1, 2, 3, 4, 0, 1];
    const cut = [
      batch(x.slice([[0, 5]]), ...labels.slice(0, 5)),
      batch(x.slice([[5, 5]])),
      batch(x.slice([[5, 7]]), ...labels.slice(5)),
    ];
    for (const kind of ['exact', 'empirical'] as const) {
      const whole = fisher(model, parameters, [batch(x, ...labels)], { kind });
      expectNear(
        fisher(model, parameters, cut, { kind }),
        whole.map((one) => Array.from(numbersOf(one))),
      );
    }
  });

  it('sums of many batches stay accurate', () => {
    const w = parameter(tensor([[0], [0]]));
    const one = batch(tensor([[1.1], [0.9]]), 0, 1);
    const model = (x: Tensor) => linear(x, w);
    const first = fisher(model, [w], [one], { kind: 'exact' })[0]!;
    function* many() {
      for (let i = 0; i < 1000; i++) yield one;
    }
    expect(fisher(model, [w], many(), { kind: 'exact' })[0]!.toArray()).toEqual(first.toArray());
  });

  it('one class says nothing, and neither do dead units', () => {
    const w = parameter(tensor([[1, 2]]));
    for (const kind of kinds)
      expect(
        fisher((x) => linear(x, w), [w], [batch(normal(1, [3, 2]), 0, 0, 0)], options(kind))[0]!.toArray(),
      ).toEqual([[0, 0]]);
    const below = parameter(tensor([-9, -9]));
    const last = parameter(normal(2, [3, 2]));
    const model = (x: Tensor) => linear(linear(x, w.reshape([1, 2]).expand([2, 2]), below).relu(), last);
    const [first, second] = fisher(model, [w, last], [batch(normal(1, [3, 2], 0.1), 0, 1, 2)], { kind: 'exact' });
    expect([first!.toArray(), second!.toArray()]).toEqual([
      [[0, 0]],
      [
        [0, 0],
        [0, 0],
        [0, 0],
      ],
    ]);
  });

  it('keeps what is left where the model is sure, and bears logits of minus infinity', () => {
    const w = parameter(tensor([[0], [0]]));
    // p = (1 - e, e), e = exp(-60): e (1 - e), far below what 1 - p keeps of float32.
    const sure = fisher((x) => linear(x, w).add(tensor([0, -60])), [w], [{ x: tensor([[1]]) }], { kind: 'exact' })[0]!;
    for (const value of numbersOf(sure)) expect(Math.abs(value / Math.exp(-60) - 1)).toBeLessThan(1e-5);
    const masked = fisher((x) => linear(x, w).add(tensor([0, Number.NEGATIVE_INFINITY])), [w], [{ x: tensor([[1]]) }], {
      kind: 'exact',
    });
    expect(masked[0]!.toArray()).toEqual([[0], [0]]);
    // The label is the sure one: (1 - p)^2 = exp(-76), where 1 - p is 0 even in float64.
    const right = fisher((x) => linear(x, w).add(tensor([0, -38])), [w], [batch(tensor([[1]]), 0)], {
      kind: 'empirical',
    })[0]!;
    for (const value of numbersOf(right)) expect(Math.abs(value / Math.exp(-76) - 1)).toBeLessThan(1e-5);
    const far = fisher((x) => linear(x, w).add(1000), [w], [{ x: tensor([[1]]) }], { kind: 'exact' })[0]!;
    expectClose(far, [[0.25], [0.25]], 1e-5);
    const huge = fisher((x) => linear(x, w).mul(1e-20), [w], [{ x: tensor([[1e20]]) }], { kind: 'exact' })[0]!;
    expectClose(huge, [[0.25], [0.25]], 1e-5);
  });

  it('leaves gradients alone, works inside noGrad, and gives detached tensors', () => {
    const { model, parameters } = network(6);
    parameters[0]!.grad = parameters[0]!.mul(0).add(3);
    const before = parameters[0]!.grad.toArray();
    const data = [batch(normal(1, [3, 3]), 0, 1, 2)];
    for (const kind of kinds) {
      const outside = fisher(model, parameters, data, options(kind));
      const inside = noGrad(() => fisher(model, parameters, data, options(kind)));
      expect(inside.map((one) => one.toArray())).toEqual(outside.map((one) => one.toArray()));
      expect(outside.every(({ node }) => node === null)).toBe(true);
    }
    expect(parameters[0]!.grad!.toArray()).toEqual(before);
    expect(parameters[1]!.grad).toBeNull();
  });

  it('takes no more memory for more batches', () => {
    const w = parameter(normal(1, [64, 64]));
    const x = normal(2, [32, 64]);
    const run = (count: number, kind: FisherKind) =>
      fisher(
        (batch) => linear(linear(batch, w).tanh(), w),
        [w],
        Array.from({ length: count }, () => ({ x, labels: new Int32Array(32) })),
        options(kind),
      );
    for (const kind of ['empirical', 'batched'] as const) {
      run(8, kind);
      const before = memoryInUse();
      run(24, kind);
      expect(memoryInUse()).toBeLessThanOrEqual(before);
    }
  });

  it('says in sentences what is wrong', () => {
    const w = parameter(tensor([[1], [2]]));
    const model = (x: Tensor) => linear(x, w);
    const x = tensor([[1], [2]]);
    const call =
      (batches: unknown, kind: unknown = 'empirical', f: unknown = model) =>
      () =>
        untyped(fisher)(f, [w], batches, { kind });
    expectRefused([
      ["fisher: kind is one of 'exact', 'sampled', 'empirical', 'batched', not true.", call([{ x }], 'true')],
      [
        "fisher: kind 'sampled' draws labels. Give the generator that draws them: { generator: new Generator(1) }.",
        call([{ x }], 'sampled'),
      ],
      [
        'fisher: there are no batches, so there is nothing to take a mean of. A generator that was walked through once gives nothing a second ' +
          'time.',
        call([]),
      ],
      [
        'fisher: all batches are empty, so there is nothing to take a mean of. A generator that was walked through once gives nothing a second ' +
          'time.',
        call([batch(tensor([], [0, 1]))]),
      ],
      ["fisher: kind 'empirical' reads labels, an Int32Array; those of batch 0 are undefined.", call([{ x }])],
      [
        "fisher: kind 'batched' reads labels, an Int32Array; those of batch 1 are an array.",
        call([batch(x, 0, 1), { x, labels: [0, 1] }], 'batched'),
      ],
      ['fisher: batch 0 has 1 labels for logits [2, 2]: one for each row.', call([batch(x, 0)])],
      [
        'fisher: label 2 of example 1 of batch 0 is no column of logits [2, 2], 0 to 1. Labels count from the first column that the model ' +
          "gives, its head's.",
        call([batch(x, 0, 2)]),
      ],
      [
        'fisher: label -1 of example 0 of batch 0 is no column of logits [2, 2], 0 to 1. Labels count from the first column that the model ' +
          "gives, its head's.",
        call([batch(x, -1, 0)]),
      ],
      [
        'fisher: for x of shape [2, 1] the model gave shape [2], not [n, outputs] with a row for each example, and at least one column.',
        call([batch(x, 0, 1)], 'exact', (y: Tensor) => linear(y, w).sum(1)),
      ],
      [
        'fisher: for x of shape [2, 1] the model gave shape [1, 4], not [n, outputs] with a row for each example, and at least one column.',
        call([batch(x, 0, 1)], 'exact', (y: Tensor) => linear(y, w).reshape([1, 4])),
      ],
      [
        'fisher: the logits of example 1 of batch 0 hold NaN or Infinity, or nothing but -Infinity: they say no probabilities.',
        call([batch(tensor([[1], [Number.NaN]]), 0, 1)], 'exact'),
      ],
      [
        "fisher, the model's output: expected a tensor, not undefined. Make one with tensor(...).",
        call([{ x }], 'exact', () => undefined),
      ],
      [
        'fisher, x of batch 0: expected a tensor, not an array. Make one with tensor(...).',
        call([{ x: [[1]] }], 'exact'),
      ],
      ['fisher: batches are objects { x, ... }, and number 0 is null.', call([null], 'exact')],
    ]);
    expect(() => fisher((y) => linear(y, tensor([[1], [2]])), [w], [{ x }], { kind: 'exact' })).toThrow(
      /has no history/,
    );
  });
});

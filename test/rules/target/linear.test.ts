/** The rule of linear layers: what one layer does, and the law of each option. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  backward,
  crossEntropy,
  eye,
  inboxOf,
  linear,
  mul,
  onValue,
  parameter,
  relu,
  type Tensor,
  target,
  tensor,
  withRules,
} from '../../../src/index.ts';
import { type TargetLinearOptions, targetLinear } from '../../../src/rules/target/linear.ts';
import { oneHotTarget, targetFromLoss } from '../../../src/rules/target/outputs.ts';
import { expectClose, expectRefused, flat, untyped } from '../../ops/numbers.ts';
import { asked, dot, normal, product, solved, transposed } from './networks.ts';

const runs = { seed: 20261120, numRuns: 25 };
const sizes = fc.record({
  batch: fc.integer({ min: 1, max: 4 }),
  features: fc.integer({ min: 1, max: 5 }),
  outputs: fc.integer({ min: 1, max: 5 }),
  seed: fc.integer({ min: 1, max: 1000 }),
});

const rowsOf = (x: Tensor) => x.toArray() as number[][];

interface Layer {
  x: Tensor;
  weight: Tensor;
  bias?: Tensor | null;
  displacement: Tensor;
  precision?: number | Tensor;
}

/** What one layer asks of its weight, its bias and its input, with the precisions. */
function ask({ x, weight, bias, displacement, precision }: Layer, options: TargetLinearOptions = {}) {
  const [w, b, input] = [parameter(weight), bias ? parameter(bias) : null, x.detach().requiresGrad_()];
  // An input that is fixed for the weights, so that the settled one is x; its wish is read by the way.
  const seen: { wish: ReturnType<typeof inboxOf> } = { wish: null };
  const y = withRules({ linear: targetLinear(options), mul: null }, () => {
    const through = mul(input, 1);
    onValue(through, (message) => {
      seen.wish = message;
      return null;
    });
    return linear(through, w, b);
  });
  backward(target(y, y.detach().add(displacement), precision === undefined ? {} : { precision }));
  return { weight: asked(w), bias: b && asked(b), inbox: inboxOf(w)!, wish: seen.wish! };
}

function problem({
  batch,
  features,
  outputs,
  seed,
}: {
  batch: number;
  features: number;
  outputs: number;
  seed: number;
}) {
  return {
    x: normal([batch, features], seed),
    weight: normal([outputs, features], seed + 1),
    bias: normal([outputs], seed + 2),
    displacement: normal([batch, outputs], seed + 3),
  };
}

describe('one layer and one sample', () => {
  it('takes the step of Kaczmarz, the least change that does it', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const layer = problem({ ...size, batch: 1 });
        const { weight } = ask({ ...layer, bias: null });
        const [x] = rowsOf(layer.x);
        const [dy] = rowsOf(layer.displacement);
        expectClose(
          weight,
          dy!.flatMap((d) => x!.map((v) => (d * v) / dot(x!, x!))),
          1e-5,
        );
      }),
      runs,
    );
  });

  it('counts the bias as a weight on a 1', () => {
    const layer = problem({ batch: 1, features: 3, outputs: 2, seed: 5 });
    const { weight, bias } = ask(layer);
    const x = flat(layer.x);
    const dy = flat(layer.displacement);
    const size = dot(x, x) + 1;
    expectClose(
      weight,
      dy.flatMap((d) => x.map((v) => (d * v) / size)),
      1e-5,
    );
    expectClose(
      bias!,
      dy.map((d) => d / size),
      1e-5,
    );
  });

  it('with the hinge is a passive-aggressive step of each class against the rest', () => {
    const [x, w] = [normal([1, 4], 1), normal([5, 4], 2)];
    const weight = parameter(w);
    backward(
      oneHotTarget(
        withRules({ linear: targetLinear() }, () => linear(x, weight)),
        [3],
      ),
    );
    const [features] = rowsOf(x);
    const expected = rowsOf(w).flatMap((row, o) => {
      const score = dot(row, features!);
      // The hinge loss max(0, 1 - score) of the right class, max(0, score) of the others; the step loss / |x|^2 x.
      const loss = o === 3 ? Math.max(0, 1 - score) : Math.max(0, score);
      return features!.map((v) => ((o === 3 ? 1 : -1) * loss * v) / dot(features!, features!));
    });
    expectClose(asked(weight), expected, 1e-5);
  });
});

describe('a gradient as the target', () => {
  it('gives the step of descent with each sample divided by its square', () => {
    const { x, weight, displacement: g } = problem({ batch: 3, features: 4, outputs: 2, seed: 9 });
    const eta = 0.3;
    const { weight: step } = ask({ x, weight, displacement: g.mul(-eta) });
    const scaled = rowsOf(x).map((row) => row.map((v) => v / dot(row, row)));
    const expected = product(transposed(rowsOf(g)), scaled).flat();
    expectClose(
      step,
      expected.map((s) => (-eta * s) / 3),
      1e-5,
    );
  });

  it("gives backpropagation's step up to a constant where all samples have one square", () => {
    const directions = rowsOf(normal([4, 5], 3)).map((row) => row.map((v) => (3 * v) / Math.sqrt(dot(row, row))));
    const [x, w] = [tensor(directions), normal([3, 5], 4)];
    const [plain, targeted] = [parameter(w), parameter(w)];
    const labels = [0, 1, 2, 2];
    crossEntropy(linear(x, plain), labels).backward();
    const logits = withRules({ linear: targetLinear() }, () => linear(x, targeted));
    backward(targetFromLoss(logits, crossEntropy(logits, labels), { gamma: 0.5 }));
    expectClose(
      asked(targeted),
      flat(plain.grad!).map((g) => (-0.5 * g) / 9),
      1e-5,
    );
  });

  it('may arrive as one, and is read with the stiffness of the rule', () => {
    const [x, w] = [normal([1, 4], 1), parameter(normal([3, 4], 2))];
    const y = withRules({ linear: targetLinear({ stiffness: 4 }) }, () => linear(x, w));
    y.backward(tensor([[1, 2, -1]]));
    const row = flat(x);
    expectClose(
      asked(w),
      [1, 2, -1].flatMap((g) => row.map((v) => (-g * v) / 4 / dot(row, row))),
      1e-5,
    );
  });
});

describe('what is asked of the input', () => {
  const precisions = fc.constantFrom('none', 'scalar', 'samples', 'elements');
  const precisionFor = (kind: string, [b, o]: readonly number[], seed: number): number | Tensor | undefined =>
    ({
      none: undefined,
      scalar: 0.3,
      samples: normal([b!, 1], seed).square(),
      elements: normal([b!, o!], seed).square(),
    })[kind];
  /** p as numbers [batch, outputs]. */
  const spread = (p: number | Tensor | undefined, { displacement: d }: { displacement: Tensor }): number[][] =>
    rowsOf(d.mul(0).add(p ?? 1));

  const expected: Record<string, (w: number[][], dy: number[], p: number[]) => [dx: number[], px: number | number[]]> =
    {
      mean: (w, dy, p) => {
        const total = p.reduce((a, b) => a + b);
        return [
          transposed(w).map(
            (column) =>
              dot(
                column,
                dy.map((d, o) => d * p[o]!),
              ) / total,
          ),
          total,
        ];
      },
      sum: (w, dy, p) => {
        const mean = p.reduce((a, b) => a + b) / p.length;
        return [
          transposed(w).map(
            (column) =>
              dot(
                column,
                dy.map((d, o) => d * p[o]!),
              ) / mean,
          ),
          mean,
        ];
      },
      perNeuronNorm: (w, dy, p) => {
        const total = p.reduce((a, b) => a + b);
        const each = dy.map((d, o) => (d * p[o]!) / dot(w[o]!, w[o]!));
        return [transposed(w).map((column) => dot(column, each) / total), total];
      },
      safe: (w, dy, p) => {
        const reach = w.map((row) => row.reduce((sum, v) => sum + Math.abs(v), 0));
        const px = transposed(w).map((column) =>
          column.reduce((sum, v, o) => sum + p[o]! * Math.abs(v) * reach[o]!, 0),
        );
        return [
          transposed(w).map(
            (column, i) =>
              dot(
                column,
                dy.map((d, o) => d * p[o]!),
              ) / px[i]!,
          ),
          px,
        ];
      },
    };
  for (const [signal, formula] of Object.entries(expected))
    it(`is the formula of '${signal}', for precisions of every form`, () => {
      fc.assert(
        fc.property(sizes, precisions, (size, kind) => {
          const layer = problem(size);
          const precision = precisionFor(kind, layer.displacement.shape, size.seed + 9);
          const { wish } = ask(
            { ...layer, ...(precision === undefined ? {} : { precision }) },
            {
              signal: signal as 'mean',
            },
          );
          const p = spread(precision, layer);
          rowsOf(layer.displacement).forEach((dy, b) => {
            const [dx, px] = formula(rowsOf(layer.weight), dy, p[b]!);
            expectClose(rowsOf(wish.step())[b]!, dx, 1e-4);
            const sent = wish.precision().add(layer.x.mul(0));
            expectClose(
              rowsOf(sent)[b]!,
              dx.map((_, i) => (typeof px === 'number' ? px : px[i]!)),
              1e-4,
            );
          });
        }),
        runs,
      );
    });

  it("is the gradient, read as one, of 'mean', 'sum' and 'safe', and not of the others", () => {
    const layer = problem({ batch: 3, features: 4, outputs: 3, seed: 2 });
    const precision = normal([3, 3], 8).square();
    const gradient = product(rowsOf(layer.displacement.mul(precision).neg()), rowsOf(layer.weight)).flat();
    for (const signal of ['mean', 'sum', 'safe'] as const)
      expectClose(ask({ ...layer, precision }, { signal }).wish.gradient(), gradient.flat(), 1e-5);
    for (const signal of ['perNeuronNorm', 'ridge'] as const)
      expect(() => expectClose(ask({ ...layer, precision }, { signal }).wish.gradient(), gradient, 1e-2)).toThrow();
  });

  it("never overshoots with 'safe': the energy at the output falls, however large the weights", () => {
    fc.assert(
      fc.property(sizes, precisions, (size, kind) => {
        const layer = problem(size);
        const weight = layer.weight.mul(30);
        const precision = precisionFor(kind, layer.displacement.shape, size.seed + 9);
        const { wish } = ask(
          { ...layer, weight, ...(precision === undefined ? {} : { precision }) },
          { signal: 'safe' },
        );
        const p = spread(precision, layer);
        const moved = product(rowsOf(wish.step()), transposed(rowsOf(weight)));
        const energy = (from: number[][]) =>
          rowsOf(layer.displacement)
            .flatMap((dy, b) => dy.map((d, o) => p[b]![o]! * (d - from[b]![o]!) ** 2))
            .reduce((a, c) => a + c);
        const before = energy(moved.map((row) => row.map(() => 0)));
        expect(energy(moved)).toBeLessThanOrEqual(before * (1 + 1e-5));
      }),
      runs,
    );
  });

  it("is what all neurons need together with 'ridge': exact and least at ridge 0", () => {
    const layer = problem({ batch: 3, features: 5, outputs: 3, seed: 4 });
    const { wish } = ask(layer, { signal: 'ridge', ridge: 0 });
    const w = rowsOf(layer.weight);
    expectClose(product(rowsOf(wish.step()), transposed(w)).flat(), flat(layer.displacement), 1e-4);
    // Least: a combination of the rows of W, the one with dx W^T = dy.
    rowsOf(layer.displacement).forEach((dy, b) => {
      const combination = solved(product(w, transposed(w)), dy);
      expectClose(rowsOf(wish.step())[b]!, product([combination], w)[0]!, 1e-4);
    });
  });

  it("solves the damped normal equations of every sample with 'ridge', precisions of every form", () => {
    for (const kind of ['none', 'scalar', 'samples', 'elements']) {
      const layer = problem({ batch: 3, features: 2, outputs: 4, seed: 6 });
      const precision = precisionFor(kind, [3, 4], 12);
      const { wish } = ask(
        { ...layer, ...(precision === undefined ? {} : { precision }) },
        { signal: 'ridge', ridge: 0.2 },
      );
      const w = rowsOf(layer.weight);
      spread(precision, layer).forEach((row, b) => {
        const share = row.map((p) => p / Math.max(...row));
        const size =
          dot(
            share,
            w.map((v) => dot(v, v)),
          ) / share.reduce((a, c) => a + c);
        // (W^T S^2 W + ridge m I) dx = W^T S^2 dy, the same solution seen from the inputs' side.
        const matrix = product(
          transposed(w),
          w.map((v, o) => v.map((u) => u * share[o]!)),
        ).map((r, i) => r.map((v, j) => v + (i === j ? 0.2 * size : 0)));
        const right = transposed(w).map((column) =>
          dot(
            column,
            share.map((s, o) => s * rowsOf(layer.displacement)[b]![o]!),
          ),
        );
        expectClose(rowsOf(wish.step())[b]!, solved(matrix, right), 1e-4);
      });
    }
  });

  it("damps 'ridge' by a tenth unless told otherwise", () => {
    const layer = problem({ batch: 2, features: 3, outputs: 3, seed: 7 });
    const step = (options: TargetLinearOptions) => flat(ask(layer, { signal: 'ridge', ...options }).wish.step());
    expect(step({})).toEqual(step({ ridge: 0.1 }));
    expect(step({})).not.toEqual(step({ ridge: 0.2 }));
  });

  it("leaves out of 'ridge' what a neuron of precision 0 wishes, instead of holding it", () => {
    const layer = problem({ batch: 1, features: 3, outputs: 3, seed: 8 });
    const precision = tensor([[1, 0, 1]]);
    const { wish } = ask({ ...layer, precision }, { signal: 'ridge', ridge: 0 });
    const moved = product(rowsOf(wish.step()), transposed(rowsOf(layer.weight)))[0]!;
    const [first, second, third] = flat(layer.displacement);
    expectClose([moved[0]!, moved[2]!], [first!, third!], 1e-4);
    expect(Math.abs(moved[1]!)).toBeGreaterThan(1e-3);
    expect(Math.abs(moved[1]! - second!)).toBeGreaterThan(1e-3);
  });
});

describe('what is asked of the weights', () => {
  const layer = problem({ batch: 4, features: 3, outputs: 2, seed: 30 });
  const precision = normal([4, 1], 33).square();
  const p = flat(precision);
  const total = p.reduce((a, b) => a + b);
  const [x, dy] = [rowsOf(layer.x), rowsOf(layer.displacement)];
  const squares = x.map((row) => dot(row, row) + 1);
  /** sum over samples of share_b r_bo x_bi. */
  const combined = (share: (b: number, o: number) => number) =>
    dy[0]!.flatMap((_, o) => x[0]!.map((_, i) => x.reduce((sum, row, b) => sum + share(b, o) * row[i]!, 0)));

  it("weighs samples by precision alone with 'equal', and says their sum", () => {
    const { weight, inbox } = ask({ ...layer, precision });
    expectClose(
      weight,
      combined((b, o) => (p[b]! * dy[b]![o]!) / squares[b]! / total),
      1e-5,
    );
    expectClose(inbox.precision(), total, 1e-5);
    expect(inbox.precision().shape).toEqual([]);
  });

  it("weighs samples by their squares too with 'natural': the pull is the gradient's", () => {
    const { weight, inbox } = ask({ ...layer, precision }, { weighting: 'natural' });
    const firm = squares.reduce((sum, s, b) => sum + p[b]! * s, 0);
    expectClose(
      weight,
      combined((b, o) => (p[b]! * dy[b]![o]!) / firm),
      1e-5,
    );
    expectClose(inbox.precision(), firm, 1e-5);
    expectClose(
      inbox.gradient(),
      combined((b, o) => -p[b]! * dy[b]![o]!),
      1e-5,
    );
  });

  it('has one precision for each neuron where targets have', () => {
    const each = normal([4, 2], 34).square();
    const q = rowsOf(each);
    const { weight, bias, inbox } = ask({ ...layer, precision: each });
    const sums = [0, 1].map((o) => q.reduce((sum, row) => sum + row[o]!, 0));
    expectClose(
      weight,
      combined((b, o) => (q[b]![o]! * dy[b]![o]!) / squares[b]! / sums[o]!),
      1e-5,
    );
    expectClose(
      bias!,
      sums.map((s, o) => q.reduce((sum, row, b) => sum + (row[o]! * dy[b]![o]!) / squares[b]! / s, 0)),
      1e-5,
    );
    expect(inbox.precision().shape).toEqual([2, 1]);
    expectClose(inbox.precision(), sums, 1e-5);
  });

  it('is that share of it with a relaxation', () => {
    const [full, part] = [ask(layer), ask(layer, { relaxation: 0.25 })];
    expectClose(
      part.weight,
      full.weight.map((d) => d / 4),
      1e-6,
    );
    expectClose(
      part.bias!,
      full.bias!.map((d) => d / 4),
      1e-6,
    );
    expectClose(part.inbox.precision(), full.inbox.precision(), 0);
  });

  it('is bounded by the caps of passive-aggressive learning', () => {
    const c = 0.2;
    const one = ask(layer, { cap: { form: 'PA-I', aggressiveness: c } });
    const factors = dy.map((row, b) => row.map((r) => r / squares[b]!));
    expect(factors.flat().some((f) => Math.abs(f) > c) && factors.flat().some((f) => Math.abs(f) < c)).toBe(true);
    expectClose(
      one.weight,
      combined((b, o) => (Math.sign(factors[b]![o]!) * Math.min(c, Math.abs(factors[b]![o]!))) / 4),
      1e-5,
    );
    const two = ask(layer, { cap: { form: 'PA-II', aggressiveness: c } });
    expectClose(
      two.weight,
      combined((b, o) => dy[b]![o]! / (squares[b]! + 1 / (2 * c)) / 4),
      1e-5,
    );
    // Softened squares count where squares do: the pull stays the gradient's.
    const natural = ask({ ...layer, precision }, { cap: { form: 'PA-II', aggressiveness: c }, weighting: 'natural' });
    expectClose(
      natural.inbox.gradient(),
      combined((b, o) => -p[b]! * dy[b]![o]!),
      1e-5,
    );
    expectClose(
      natural.inbox.precision(),
      squares.reduce((sum, s, b) => sum + p[b]! * (s + 1 / (2 * c)), 0),
      1e-5,
    );
    for (const form of ['PA-I', 'PA-II'] as const)
      expectClose(ask(layer, { cap: { form, aggressiveness: Infinity } }).weight, ask(layer).weight, 1e-6);
  });

  it('leaves out what is frozen: its share of |x|^2 goes with it', () => {
    const [w, b] = [parameter(layer.weight), parameter(layer.bias)];
    const frozen = layer.bias;
    const alone = withRules({ linear: targetLinear() }, () => linear(layer.x, w, frozen));
    backward(target(alone, alone.detach().add(layer.displacement)));
    expectClose(
      asked(w),
      combined((i, o) => dy[i]![o]! / (squares[i]! - 1) / 4),
      1e-5,
    );
    const biased = withRules({ linear: targetLinear() }, () => linear(layer.x, layer.weight, b));
    backward(target(biased, biased.detach().add(layer.displacement)));
    expectClose(
      asked(b),
      [0, 1].map((o) => dy.reduce((sum, row) => sum + row[o]! / 4, 0)),
      1e-5,
    );
  });
});

describe('sticky weights', () => {
  const layer = { ...problem({ batch: 1, features: 4, outputs: 2, seed: 40 }), bias: null };
  const x = flat(layer.x);
  const dy = flat(layer.displacement);

  /** min 1/2 sum h_i d_i^2 + 1/2 sum lambda_i (w_i + d_i - a_i)^2 with <x, d> = r: the linear system of its multiplier. */
  function constrained(h: number[], hold: number[], from: number[], at: number[], r: number): number[] {
    const n = x.length;
    const matrix = Array.from({ length: n + 1 }, (_, i) =>
      Array.from({ length: n + 1 }, (_, j) => {
        if (i === n) return j === n ? 0 : x[j]!;
        return j === n ? x[i]! : i === j ? h[i]! + hold[i]! : 0;
      }),
    );
    return solved(matrix, [...from.map((w, i) => hold[i]! * (at[i]! - w)), r]).slice(0, n);
  }

  it('take the least change in their metric', () => {
    const plasticity = normal([2, 4], 41).square().add(0.1);
    const { weight } = ask(layer, { plasticity });
    const expected = rowsOf(plasticity).flatMap((row, o) =>
      constrained(
        row.map((v) => 1 / v),
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        dy[o]!,
      ),
    );
    expectClose(weight, expected, 1e-4);
  });

  it('with an anchor solve the constrained problem', () => {
    const plasticity = normal([2, 4], 41).square().add(0.1);
    const [at, importance] = [normal([2, 4], 42), normal([2, 4], 43).square()];
    const { weight } = ask(layer, { plasticity, anchor: () => ({ at, importance, strength: 0.7 }) });
    const expected = rowsOf(plasticity).flatMap((row, o) =>
      constrained(
        row.map((v) => 1 / v),
        rowsOf(importance)[o]!.map((v) => 0.7 * v),
        rowsOf(layer.weight)[o]!,
        rowsOf(at)[o]!,
        dy[o]!,
      ),
    );
    expectClose(weight, expected, 1e-4);
    expectClose(product([x], transposed([weight.slice(0, 4), weight.slice(4)])), [dy], 1e-4);
  });

  it('do not move at plasticity 0, and ask nothing where none may', () => {
    const { weight } = ask(layer, {
      plasticity: tensor([
        [1, 0, 2, 0],
        [0, 0, 0, 0],
      ]),
    });
    expect(weight[1] === 0 && weight[3] === 0).toBe(true);
    expectClose(dot(x, weight.slice(0, 4)), dy[0]!, 1e-5);
    expect(weight.slice(4).every((d) => d === 0)).toBe(true);
  });

  it('may say it by a function of weight and bias, and by a tensor leave the bias at 1', () => {
    const biased = problem({ batch: 3, features: 4, outputs: 2, seed: 44 });
    const ones = ask(biased, { plasticity: () => 1 });
    const plain = ask(biased);
    expectClose(ones.weight, plain.weight, 1e-5);
    expectClose(ones.bias!, plain.bias!, 1e-5);
    const byTensor = ask(biased, { plasticity: biased.weight.square() });
    const byFunction = ask(biased, { plasticity: (w) => (w.ndim === 2 ? w.square() : 1) });
    expectClose(byTensor.weight, byFunction.weight, 1e-5);
    expectClose(byTensor.bias!, byFunction.bias!, 1e-5);
  });

  it('anchored without a plasticity have 1, and without importance no anchor', () => {
    const anchor = () => ({ at: layer.weight.mul(0), importance: 0, strength: 3 });
    expectClose(ask(layer, { anchor }).weight, ask(layer).weight, 1e-5);
    expectClose(ask(layer, { anchor: () => null }).weight, ask(layer).weight, 0);
  });
});

describe('a block', () => {
  it('maps all samples right at once by the least change, at ridge 0', () => {
    const layer = problem({ batch: 3, features: 5, outputs: 2, seed: 50 });
    const { weight, bias } = ask(layer, { block: { ridge: 0 } });
    const rows = rowsOf(layer.x).map((row) => [...row, 1]);
    const change = [0, 1].map((o) => [...weight.slice(5 * o, 5 * o + 5), bias![o]!]);
    expectClose(product(rows, transposed(change)).flat(), flat(layer.displacement), 1e-4);
    const expected = transposed(rowsOf(layer.displacement)).map(
      (r) => product([solved(product(rows, transposed(rows)), r)], rows)[0]!,
    );
    expectClose(change.flat(), expected.flat(), 1e-4);
  });

  it('solves the ridge regression of the residuals, weighed by precision', () => {
    const layer = problem({ batch: 4, features: 2, outputs: 3, seed: 51 });
    const precision = normal([4, 3], 52).square();
    const { weight } = ask({ ...layer, bias: null, precision }, { block: { ridge: 0.5 } });
    const x = rowsOf(layer.x);
    [0, 1, 2].forEach((o) => {
      const share = rowsOf(precision).map((row) => row[o]!);
      const largest = Math.max(...share);
      const s = share.map((v) => v / largest);
      const size =
        dot(
          s,
          x.map((row) => dot(row, row)),
        ) / s.reduce((a, b) => a + b);
      const matrix = product(
        transposed(x),
        x.map((row, b) => row.map((v) => v * s[b]!)),
      ).map((row, i) => row.map((v, j) => v + (i === j ? 0.5 * size : 0)));
      const right = transposed(x).map((column) =>
        dot(
          column,
          s.map((v, b) => v * rowsOf(layer.displacement)[b]![o]!),
        ),
      );
      expectClose(weight.slice(2 * o, 2 * o + 2), solved(matrix, right), 1e-4);
    });
  });

  it('is relaxed as other steps are', () => {
    const layer = problem({ batch: 3, features: 5, outputs: 2, seed: 50 });
    const [full, part] = [1, 0.25].map((relaxation) => ask(layer, { block: { ridge: 0.1 }, relaxation }));
    expectClose(
      part!.weight,
      full!.weight.map((d) => d / 4),
      1e-6,
    );
    expectClose(
      part!.bias!,
      full!.bias!.map((d) => d / 4),
      1e-6,
    );
  });

  it('with nothing but a bias takes the mean', () => {
    const layer = problem({ batch: 4, features: 2, outputs: 3, seed: 53 });
    const b = parameter(layer.bias);
    const y = withRules({ linear: targetLinear({ block: { ridge: 0.001 } }) }, () => linear(layer.x, layer.weight, b));
    backward(target(y, y.detach().add(layer.displacement)));
    const mean = transposed(rowsOf(layer.displacement)).map((r) => r.reduce((a, v) => a + v / 4, 0));
    expectClose(asked(b), mean, 1e-2);
  });
});

describe('the settled input', () => {
  it('moves before weights learn, or stays with { input: forward }', () => {
    const [w1, w2] = [normal([3, 2], 60), normal([2, 3], 61)];
    const x = normal([1, 2], 62);
    const step = (input: 'settled' | 'forward') => {
      const [a, b] = [parameter(w1), parameter(w2)];
      const [h, y] = withRules({ linear: targetLinear({ input }), relu: null }, () => {
        const hidden = linear(x, a);
        return [hidden, linear(hidden, b)] as const;
      });
      backward(target(y, tensor([[1, -1]]), { precision: 1 }));
      return { h: flat(h), change: asked(b), dy: [1 - flat(y)[0]!, -1 - flat(y)[1]!] };
    };
    const { h, change, dy } = step('forward');
    expectClose(
      change,
      dy.flatMap((d) => h.map((v) => (d * v) / dot(h, h))),
      1e-5,
    );
    const moved = step('settled');
    const settled = h.map((v, i) => v + dot(dy, transposed(rowsOf(w2))[i]!) / 2);
    const r = dy.map(
      (d, o) =>
        d -
        dot(
          rowsOf(w2)[o]!,
          settled.map((v, i) => v - h[i]!),
        ),
    );
    expectClose(
      moved.change,
      r.flatMap((d) => settled.map((v) => (d * v) / dot(settled, settled))),
      1e-4,
    );
  });

  it('as it was, with natural weighting, makes the rule consistent: read as gradients its messages are them', () => {
    const [x, w1, w2, b1] = [normal([4, 3], 70), normal([5, 3], 71), normal([2, 5], 72), normal([5], 73)];
    const wanted = normal([4, 2], 74);
    const precision = normal([4, 1], 75).square();
    const gradientsWith = (rules: Parameters<typeof withRules>[0]) => {
      const leaves = [parameter(w1), parameter(b1), parameter(w2)];
      const [first, bias, second] = leaves as [Tensor, Tensor, Tensor];
      const y = withRules(rules, () => linear(linear(x, first, bias), second));
      backward(target(y, wanted, { precision }));
      return leaves.map((leaf) => leaf.grad!);
    };
    const plain = gradientsWith({});
    for (const signal of ['mean', 'sum', 'safe'] as const) {
      const rule = targetLinear({ signal, weighting: 'natural', input: 'forward' });
      expect(rule.surrogate).toBe(false);
      expectClose(gradientsWith({ linear: rule }).flatMap(flat), plain.flatMap(flat), 1e-4);
    }
  });

  it('makes every other combination a surrogate', () => {
    const consistent = { input: 'forward', weighting: 'natural' } as const;
    const others: TargetLinearOptions[] = [
      {},
      { input: 'forward' },
      { weighting: 'natural' },
      { ...consistent, signal: 'ridge' },
      { ...consistent, signal: 'perNeuronNorm' },
      { ...consistent, relaxation: 0.5 },
      { ...consistent, cap: { form: 'PA-I', aggressiveness: 1 } },
      { ...consistent, plasticity: (w) => w },
      { ...consistent, block: { ridge: 1 } },
    ];
    expect(others.map((options) => targetLinear(options).surrogate)).toEqual(others.map(() => true));
  });
});

it('refuses what makes no sense, with sentences', () => {
  const made = untyped(targetLinear);
  const w = parameter(eye(2));
  const through = (rule: ReturnType<typeof targetLinear>, precision = 1) => {
    const y = withRules({ linear: rule }, () => linear(tensor([[1, 2]]), w));
    backward(target(y, tensor([[0, 0]]), { precision }));
  };
  expectRefused([
    ['targetLinear: signal is one of mean, sum, perNeuronNorm, ridge, safe, not loud.', () => made({ signal: 'loud' })],
    ['targetLinear: weighting is one of equal, natural, not odd.', () => made({ weighting: 'odd' })],
    ['targetLinear: input is one of settled, forward, not back.', () => made({ input: 'back' })],
    ['targetLinear: ridge is a number of at least 0, not -1.', () => made({ ridge: -1 })],
    ['targetLinear: relaxation is a number from 0 to 2 (beyond 2 errors grow), not 3.', () => made({ relaxation: 3 })],
    [
      'targetLinear: the form of a cap is one of PA-I, PA-II, not PA-III.',
      () => made({ cap: { form: 'PA-III', aggressiveness: 1 } }),
    ],
    [
      'targetLinear: the aggressiveness of a cap is a number above 0, not 0.',
      () => made({ cap: { form: 'PA-I', aggressiveness: 0 } }),
    ],
    ['targetLinear: the ridge of a block is a number of at least 0, not NaN.', () => made({ block: { ridge: NaN } })],
    [
      'targetLinear: block solves for all samples at once; cap, plasticity and anchor are about one. Leave them out.',
      () => made({ block: { ridge: 1 }, plasticity: () => 1 }),
    ],
    [
      'targetLinear: plasticity is a tensor or a function of the parameter, not string.',
      () => made({ plasticity: 'soft' }),
    ],
    [
      'targetLinear: a plasticity of shape [3, 2] does not fit a weight of shape [2, 2]. Give the layer a rule of its own, or a function ' +
        'of the weight.',
      () => through(targetLinear({ plasticity: normal([3, 2], 1) })),
    ],
    [
      'targetLinear: the plasticity has shape [2], and the parameter [2, 2]. Give one of the same shape, or a number.',
      () => through(targetLinear({ plasticity: () => tensor([1, 2]) })),
    ],
    [
      'targetLinear: a plasticity is a finite number of at least 0: how easily a weight gives way.',
      () => through(targetLinear({ plasticity: () => -1 })),
    ],
    [
      "targetLinear: an anchor's strength and importance are finite numbers of at least 0.",
      () => through(targetLinear({ anchor: (at) => ({ at, importance: 1, strength: -1 }) })),
    ],
    [
      'targetLinear: a hard target (of target) arrived at an output of linear of shape [1, 2]. It cannot be shared out among several ' +
        'inputs and samples. Leave the precision out, or give a finite one; to follow targets all the way, let the step of the ' +
        'weights be infinite instead (lr: Infinity).',
      () => through(targetLinear(), Infinity),
    ],
    [
      'targetLinear: this is a rule for the op linear, and it was put at relu. Name the op: { linear: ... }.',
      () =>
        backward(
          target(
            withRules({ '*': targetLinear() }, () => relu(w)),
            eye(2),
          ),
        ),
    ],
  ]);
});

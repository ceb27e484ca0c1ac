import { describe, expect, it } from 'vitest';
import { noGrad } from '../../src/autograd/modes.ts';
import {
  areaUnder,
  bearable,
  type CurvePoint,
  meanCurve,
  performance,
  removalCurve,
} from '../../src/importance/curve.ts';
import { measures } from '../../src/importance/measures.ts';
import { type RankOptions, rank } from '../../src/importance/ranking.ts';
import { Removal } from '../../src/importance/removal.ts';
import { ReLU } from '../../src/nn/activation.ts';
import { Sequential } from '../../src/nn/container.ts';
import { Linear } from '../../src/nn/linear.ts';
import { LayerNorm } from '../../src/nn/normalization.ts';
import { Generator } from '../../src/random/generator.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { drawnBatches, linearOf } from './tiny.ts';

describe('Removal', () => {
  const generator = new Generator(2);
  const make = () =>
    new Sequential(new Linear(20, 10, { generator }), new LayerNorm(10), new Linear(10, 3, { generator }));
  const everythingOf = (model: Sequential, options: RankOptions = {}) =>
    rank(model, measures.magnitude().measure({ model }), {
      parameters: ['kernel', 'bias', 'norm'],
      generator,
      ...options,
    });

  it('restores every weight, bit for bit', () => {
    const model = make();
    const bits = () => model.parameters().map((w) => new Uint32Array(w.toFloat32Array().buffer));
    const back = (replacement: 'noise' | 'zero' | 'mean' | 'initial') => {
      const before = bits();
      const importance = measures.random().measure({ model, generator });
      const removal = new Removal(rank(model, importance, { parameters: ['kernel', 'bias', 'norm'] }), {
        replacement,
        generator,
      });
      removal.to(1);
      expect(bits()).not.toEqual(before);
      removal.to(0.4, 'most');
      removal.restore();
      expect(bits()).toEqual(before);
    };
    for (const replacement of ['noise', 'zero', 'mean', 'initial'] as const) back(replacement);
    const strange = [Number.NaN, -0, Infinity, 1e-45, -1e-45, 6, 7, 8, 9, 10];
    noGrad(() => (model.at(0) as Linear).bias!.copy_(tensor(strange)));
    for (const replacement of ['zero', 'initial'] as const) back(replacement);
    for (const replacement of ['noise', 'mean'] as const)
      expect(() => back(replacement)).toThrow(/^Removal: 0.bias holds NaN or infinity, so it has no mean/);
  });

  it('writes what it should: 0, the mean, small noise, fresh numbers, given ones; to removed weights only', () => {
    const model = make();
    const before = model.stateDict();
    const ranking = everythingOf(model);
    const removed = (
      replacement: 'noise' | 'zero' | 'mean' | 'initial' | Record<string, Tensor>,
      name: string,
      asked = 0.5,
    ) => {
      const removal = new Removal(ranking, { replacement, generator: new Generator(3) });
      const { count, fraction, threshold } = removal.to(asked);
      // 230 weights of kernels, 13 of biases, 20 of norms; a half is not to be had of 13.
      expect([count, fraction, threshold]).toEqual(asked === 1 ? [263, 1, 1] : [131, 131 / 263, 0.5]);
      const mask = removal.mask(asked).get(name)!;
      const now = model.stateDict()[name]!.toFloat32Array();
      const old = before[name]!.toFloat32Array();
      mask.forEach((gone, i) => {
        if (gone === 0) expect(now[i]).toBe(old[i]);
      });
      removal.restore();
      return Array.from(now).filter((_, i) => mask[i] === 1);
    };
    const kernel = Array.from(before['0.weight']!.toFloat32Array());
    const mean = kernel.reduce((sum, w) => sum + w, 0) / kernel.length;
    const deviation = Math.sqrt(kernel.reduce((sum, w) => sum + (w - mean) ** 2, 0) / kernel.length);
    expect(new Set(removed('zero', '0.weight'))).toEqual(new Set([0]));
    expect(new Set(removed('mean', '0.weight'))).toEqual(new Set([Math.fround(mean)]));
    const spread = (numbers: number[]) => Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length);
    const noise = removed('noise', '0.weight');
    expect(spread(noise) / (deviation / 10)).toBeGreaterThan(0.8);
    expect(spread(noise) / (deviation / 10)).toBeLessThan(1.2);
    const fresh = removed('initial', '0.weight');
    const bound = 1 / Math.sqrt(20);
    expect(fresh.every((w) => Math.abs(w) <= bound)).toBe(true);
    expect(spread(fresh) / (bound / Math.sqrt(3))).toBeGreaterThan(0.8);
    expect(Math.max(...removed('initial', '2.bias', 1).map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(10));
    expect(new Set(removed('initial', '1.weight', 1))).toEqual(new Set([1]));
    expect(new Set(removed('initial', '1.bias', 1))).toEqual(new Set([0]));
    expect(new Set(noise).size).toBe(noise.length);
    const given = Object.fromEntries(Object.entries(before).map(([name, w]) => [name, w.mul(2)]));
    expect(removed(given, '2.weight', 1)).toEqual(Array.from(given['2.weight']!.toFloat32Array()));
  });

  it('draws what stands for a weight once: curves are nested', () => {
    const model = make();
    const removal = new Removal(everythingOf(model), { generator: new Generator(4) });
    const at = (threshold: number) => {
      removal.to(threshold);
      return { now: model.stateDict()['0.weight']!.toFloat32Array(), mask: removal.mask(threshold).get('0.weight')! };
    };
    const [some, more] = [at(0.3), at(0.8)];
    some.mask.forEach((gone, i) => {
      if (gone === 1) expect(more.now[i]).toBe(some.now[i]);
    });
    expect(at(0).now).toEqual(at(0.3).now.map((w, i) => (some.mask[i] === 1 ? at(0).now[i]! : w)));
  });

  it('the mask is of the weights that go, from either end', () => {
    const model = new Sequential(linearOf([[1, 2, 3, 4]]));
    const removal = new Removal(rank(model, measures.magnitude().measure({ model })), { replacement: 'zero' });
    for (const from of ['least', 'most'] as const) {
      removal.to(0.25, from);
      const zeros = Array.from(model.parameters()[0]!.toFloat32Array(), (w) => (w === 0 ? 1 : 0));
      expect(Array.from(removal.mask(0.25, from).get('0.weight')!)).toEqual(zeros);
      expect(zeros).toEqual(from === 'least' ? [1, 0, 0, 0] : [0, 0, 0, 1]);
    }
  });

  it('refuses replacements that are none or do not fit', () => {
    const model = make();
    const ranking = everythingOf(model);
    expect(() => new Removal(ranking, { replacement: 'one' as 'zero' })).toThrow(
      /no replacement one; there are noise, zero, mean, initial/,
    );
    expect(() => new Removal(ranking, { replacement: {} })).toThrow(/the replacement has no numbers for 0.weight/);
    expect(() => new Removal(ranking, { replacement: { ...model.stateDict(), '0.bias': tensor([1]) } })).toThrow(
      /the replacement of 0.bias has shape \[1\], the parameter \[10\]/,
    );
    expect(() => new Removal(ranking).to(2)).toThrow(/^Removal.to: a threshold is the fraction/);
  });
});

describe('removal curves', () => {
  const generator = new Generator(11);
  const model = new Sequential(new Linear(2, 8, { generator }), new ReLU(), new Linear(8, 3, { generator }));
  const batches = drawnBatches(generator, { count: 9, shape: [2], classes: 3 });

  it('performance is the mean over examples, whatever the sizes of batches', () => {
    const whole = batches().map(({ x, labels }) => ({ x: x.toArray() as number[][], labels: Array.from(labels) }));
    const together = () => [
      { x: tensor(whole.flatMap(({ x }) => x)), labels: Int32Array.from(whole.flatMap(({ labels }) => labels)) },
    ];
    const [apart, joined] = [performance({ model, batches }), performance({ model, batches: together })];
    expect(apart.loss).toBeCloseTo(joined.loss, 6);
    expect([apart.accuracy, apart.examples, apart.classes]).toEqual([joined.accuracy, 9, 3]);
    expect(() => performance({ model, batches: () => [] })).toThrow(
      /^performance: there are no data: batches\(\) gave no examples\./,
    );
    expect(() => performance({ model } as unknown as Parameters<typeof performance>[0])).toThrow(
      /^performance: there are no data/,
    );
  });

  it('say what was achieved, and leave the weights as they were, even where an evaluation throws', () => {
    const before = model.stateDict();
    const ranking = rank(model, measures.magnitude().measure({ model }));
    const points = removalCurve({ model, batches }, ranking, { generator });
    expect(points.map(({ threshold }) => threshold)).toEqual(Array.from({ length: 21 }, (_, i) => i / 20));
    expect(points.map(({ count }) => count)).toEqual(points.map(({ threshold }) => Math.round(threshold * 40)));
    expect(points[0]!.loss).toBe(performance({ model, batches }).loss);
    let calls = 0;
    const failing = () => {
      if (calls++ > 2) throw new Error('the disk is gone');
      return batches();
    };
    expect(() => removalCurve({ model, batches: failing }, ranking)).toThrow('the disk is gone');
    for (const [name, w] of model.namedParameters()) expect(w.toFloat32Array()).toEqual(before[name]!.toFloat32Array());
    expect(() => removalCurve({ model, batches }, ranking, { thresholds: [0, 2] })).toThrow(/from 0 to 1, and not 2/);
  });

  it('by the oracle, least first lasts longer than at random, most first falls faster', () => {
    // One input decides; of the other, nothing is to be seen.
    const net = new Sequential(
      linearOf([
        [4, 0.01],
        [-4, 0.01],
      ]),
    );
    const x = randn([40, 2], { generator: new Generator(1) });
    const labels = Int32Array.from(x.toArray() as number[][], ([first]) => (first! > 0 ? 0 : 1));
    const held = { model: net, batches: () => [{ x, labels }] };
    const importance = measures.oracle().measure(held);
    const area = (from: 'least' | 'most', of = importance) =>
      areaUnder(
        removalCurve(held, rank(net, of, { generator: new Generator(2) }), {
          from,
          replacement: 'zero',
          thresholds: [0, 0.25, 0.5, 0.75, 1],
        }),
        'accuracy',
      );
    expect(area('least')).toBeGreaterThan(0.9);
    expect(area('most')).toBeLessThan(0.8);
  });

  const point = (fraction: number, accuracy: number, loss = 0): CurvePoint => ({
    threshold: fraction,
    fraction,
    count: 0,
    loss,
    cappedLoss: loss,
    accuracy,
  });

  it('areas go by trapezoids over achieved fractions, in any order of points', () => {
    const points = [point(0.5, 0.5), point(0, 1), point(1, 0.1)];
    expect(areaUnder(points, 'accuracy')).toBeCloseTo(0.375 + 0.15, 12);
    expect(() => areaUnder([point(0, 1)], 'accuracy')).toThrow(/at least 2 points, and this one 1/);
  });

  it('what is bearable is the last fraction before the accuracy first falls below a share', () => {
    expect(bearable([point(0, 0.8), point(0.2, 0.73), point(0.4, 0.5), point(0.6, 0.8)])).toBe(0.2);
    expect(bearable([point(0, 0.8), point(0.2, 0.73)], 1)).toBe(0);
    expect(() => bearable([])).toThrow(/the curve has no points/);
  });

  it('a mean over trials wants the same thresholds', () => {
    expect(() => meanCurve([[point(0, 1)], [point(0.5, 1)]], 'accuracy')).toThrow(/differ in their thresholds/);
    expect(() => meanCurve([], 'accuracy')).toThrow(/there are no curves/);
    expect(meanCurve([[point(0, 1)]], 'accuracy')[0]).toEqual({
      threshold: 0,
      fraction: 0,
      mean: 1,
      standardError: null,
    });
  });
});

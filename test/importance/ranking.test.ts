import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { aggregate } from '../../src/importance/aggregate.ts';
import type { Importance } from '../../src/importance/measure.ts';
import { randomlyTiedOrder } from '../../src/importance/order.ts';
import { type RankOptions, rank } from '../../src/importance/ranking.ts';
import { structureOf } from '../../src/importance/structure.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Linear } from '../../src/nn/linear.ts';
import { Module } from '../../src/nn/module.ts';
import { LayerNorm } from '../../src/nn/normalization.ts';
import { Generator } from '../../src/random/generator.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { arrayIn, linearOf } from './tiny.ts';

const importanceOf = (values: Record<string, number | number[] | number[][]>): Importance =>
  new Map(Object.entries(values).map(([name, numbers]) => [name, tensor(numbers)]));

/** Names and elements that go at a threshold. */
function goneOf(
  model: Module,
  importance: Importance,
  threshold: number,
  options: RankOptions & { from?: 'most' } = {},
): string[] {
  const ranking = rank(model, importance, { generator: new Generator(1), ...options });
  return Array.from(ranking.removed(threshold, options.from ?? 'least'), (i) => {
    const { name, offset } = ranking.parameters.findLast((one) => one.offset <= i)!;
    return `${name}[${i - offset}]`;
  }).sort();
}

describe('where parameters belong', () => {
  it('is read off the modules: kernels, biases, norms, and how many numbers a unit has', () => {
    const model = new Sequential(new Conv2d(2, 3, 2), new LayerNorm([3, 2, 2]), new Flatten(), new Linear(12, 4));
    const places = structureOf('test', model).map(({ name, kind, layer, convolution, perUnit }) => [
      name,
      kind,
      layer,
      convolution,
      perUnit,
    ]);
    expect(places).toEqual([
      ['0.weight', 'kernel', '0', true, 8],
      ['0.bias', 'bias', '0', true, 1],
      ['1.weight', 'norm', '1', false, 1],
      ['1.bias', 'norm', '1', false, 1],
      ['3.weight', 'kernel', '3', false, 12],
      ['3.bias', 'bias', '3', false, 1],
    ]);
  });

  it('a module with several kernels has a layer for each, and nobody knows whose its bias is', () => {
    class Cell extends Module {
      input = parameter(randn([3, 2]));
      recurrent = parameter(randn([3, 3]));
      bias = parameter(randn([3]));
      override forward(x: Tensor): Tensor {
        return x;
      }
    }
    expect(structureOf('test', new Cell()).map(({ name, kind, layer }) => [name, kind, layer])).toEqual([
      ['input', 'kernel', 'input'],
      ['recurrent', 'kernel', 'recurrent'],
      ['bias', 'bias', 'bias'],
    ]);
  });
});

describe('aggregate', () => {
  const model = new Sequential(new Conv2d(1, 2, [1, 2]), new Flatten(), new Linear(2, 2));
  const importance: Importance = new Map([
    ['0.weight', tensor([1, 2, 3, 6], [2, 1, 1, 2])],
    ['0.bias', tensor([3, 0])],
    [
      '2.weight',
      tensor([
        [1, 5],
        [7, 2],
      ]),
    ],
    ['2.bias', tensor([0, 9])],
  ]);
  const of = (options: Parameters<typeof aggregate>[2], name: string) =>
    arrayIn(aggregate(model, importance, options), name);

  it('none leaves everything as it is', () => {
    for (const [name, values] of importance) expect(of({}, name)).toEqual(values.toArray());
  });

  it.each([
    [
      'mean',
      [
        [2, 2],
        [6, 6],
      ],
      [2, 3],
    ],
    [
      'sum',
      [
        [6, 6],
        [18, 18],
      ],
      [6, 9],
    ],
    [
      'min',
      [
        [0, 0],
        [2, 2],
      ],
      [1, 0],
    ],
    [
      'max',
      [
        [5, 5],
        [9, 9],
      ],
      [3, 6],
    ],
  ] as const)('a unit is its row and its bias: %s', (how, linear, convolution) => {
    expect(of({ by: 'unit', how }, '2.weight')).toEqual(linear);
    expect(of({ by: 'unit', how }, '2.bias')).toEqual([linear[0][0], linear[1][0]]);
    expect(of({ by: 'unit', how }, '0.bias')).toEqual(convolution);
    expect(of({ by: 'unit', how }, '0.weight')).toEqual(convolution.map((x) => [[[x, x]]]));
  });

  it('a filter is a unit of a convolution; linear layers stay single', () => {
    expect(of({ by: 'filter' }, '0.bias')).toEqual([2, 3]);
    expect(of({ by: 'filter' }, '2.weight')).toEqual([
      [1, 5],
      [7, 2],
    ]);
  });

  it('a layer is all of its parameters', () => {
    expect(of({ by: 'layer', how: 'sum' }, '2.bias')).toEqual([24, 24]);
    expect(of({ by: 'layer', how: 'max' }, '0.bias')).toEqual([6, 6]);
  });

  it('leaves out kinds and layers that are not asked for', () => {
    expect([...aggregate(model, importance, { parameters: ['kernel'], layers: ['2'] }).keys()]).toEqual(['2.weight']);
    expect(of({ by: 'unit', parameters: ['kernel'] }, '2.weight')).toEqual([
      [3, 3],
      [4.5, 4.5],
    ]);
  });

  it('says so where there is no such level, aggregation, kind, layer or parameter, where shapes differ, and where there is NaN', () => {
    const run = (options: object) => () => aggregate(model, importance, options);
    expect(run({ by: 'neuron' })).toThrow(
      'aggregate: there is no aggregation by neuron; there are none, unit, filter, layer.',
    );
    expect(run({ how: 'median' })).toThrow('aggregate: there is no aggregation median; there are mean, sum, min, max.');
    expect(run({ parameters: ['weights'] })).toThrow(/no kind of parameter weights; there are kernel, bias, norm\./);
    expect(run({ layers: ['1'] })).toThrow('aggregate: the model has no layer named 1; it has 0, 2.');
    expect(run({ parameters: ['norm'] })).toThrow(/^aggregate: no parameter takes part/);
    expect(() => aggregate(model, importanceOf({ w: [1] }))).toThrow(
      /an importance of w, and the model has no parameter of that name/,
    );
    expect(() => aggregate(model, importanceOf({ '0.bias': [1] }))).toThrow(
      /importance of 0.bias has shape \[1\], the parameter \[2\]/,
    );
    expect(() => aggregate(model, importanceOf({ '0.bias': [1, Number.NaN] }))).toThrow(
      /importance of 0.bias holds NaN/,
    );
    expect(() => aggregate(model, {} as unknown as Importance)).toThrow(/importance is a Map/);
  });
});

describe('order', () => {
  it('is that of the numbers, whatever they are', () => {
    const number = fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, -0, Infinity, -Infinity, 1e-45, -1e-45));
    fc.assert(
      fc.property(fc.array(number, { maxLength: 50 }), fc.integer(), (list, seed) => {
        const values = Float32Array.from(list);
        const order = randomlyTiedOrder(values, new Generator(seed));
        expect(Array.from(order).sort((a, b) => a - b)).toEqual(list.map((_, i) => i));
        for (let i = 1; i < order.length; i++) expect(values[order[i - 1]!]! <= values[order[i]!]!).toBe(true);
      }),
    );
  });

  it('of ties is random, each order as likely, and -0 ties with 0', () => {
    const generator = new Generator(1);
    const counts = new Map<string, number>();
    for (let i = 0; i < 600; i++) {
      const order = randomlyTiedOrder(Float32Array.of(0, 5, -0, 0), generator).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(['0231', '0321', '2031', '2301', '3021', '3201']);
    for (const count of counts.values()) expect(Math.abs(count - 100)).toBeLessThan(40);
  });
});

describe('rank', () => {
  const model = new Sequential(
    linearOf(
      [
        [0, 0],
        [0, 0],
      ],
      [0, 0],
    ),
    linearOf([[0, 0]], [0]),
  );
  const importance = importanceOf({
    '0.weight': [
      [1, 8],
      [3, 4],
    ],
    '0.bias': [9, 2],
    '1.weight': [[7, 5]],
    '1.bias': [6],
  });

  it('removes kernels only unless more take part, from either end, and says what stays aside', () => {
    expect(goneOf(model, importance, 0.5)).toEqual(['0.weight[0]', '0.weight[2]', '0.weight[3]']);
    expect(goneOf(model, importance, 0.5, { from: 'most' })).toEqual(['0.weight[1]', '1.weight[0]', '1.weight[1]']);
    expect(rank(model, importance).aside).toEqual(['0.bias', '1.bias']);
    expect(goneOf(model, importance, 0)).toEqual([]);
    expect(goneOf(model, importance, 1)).toHaveLength(6);
  });

  it('keeps kinds apart unless they are pooled', () => {
    const parameters = ['kernel', 'bias'] as const;
    expect(goneOf(model, importance, 1 / 3, { parameters })).toEqual(['0.bias[1]', '0.weight[0]', '0.weight[2]']);
    expect(goneOf(model, importance, 1 / 3, { parameters, pooled: true })).toEqual([
      '0.bias[1]',
      '0.weight[0]',
      '0.weight[2]',
    ]);
    expect(goneOf(model, importance, 2 / 3, { parameters })).toContain('1.bias[0]');
    expect(goneOf(model, importance, 2 / 3, { parameters })).not.toContain('0.bias[0]');
    expect(goneOf(model, importance, 4 / 9, { parameters, pooled: true })).toEqual([
      '0.bias[1]',
      '0.weight[0]',
      '0.weight[2]',
      '0.weight[3]',
    ]);
  });

  it('compares within layers and rows', () => {
    expect(goneOf(model, importance, 0.5, { compare: 'layer' })).toEqual(['0.weight[0]', '0.weight[2]', '1.weight[1]']);
    expect(goneOf(model, importance, 0.5, { compare: 'row' })).toEqual(['0.weight[0]', '0.weight[2]', '1.weight[1]']);
    const skewed = importanceOf({
      '0.weight': [
        [1, 2],
        [3, 4],
      ],
    });
    expect(goneOf(model, skewed, 0.5, { compare: 'row' })).toEqual(['0.weight[0]', '0.weight[2]']);
    expect(goneOf(model, skewed, 0.5, { compare: 'layer' })).toEqual(['0.weight[0]', '0.weight[1]']);
    expect(() => rank(model, importance, { compare: 'row', by: 'unit' })).toThrow(
      /within a row single weights are compared/,
    );
    expect(() => rank(model, importance, { compare: 'column' as 'row' })).toThrow(
      /no comparison column; there are row, layer, model/,
    );
  });

  it('removes whole units, bias included, as many as come nearest to the fraction', () => {
    // Means: unit 0 of layer 0: 6; unit 1: 3; the unit of layer 1: 6.
    expect(goneOf(model, importance, 0.2, { by: 'unit' })).toEqual(['0.bias[1]', '0.weight[2]', '0.weight[3]']);
    expect(goneOf(model, importance, 0.16, { by: 'unit' })).toEqual([]);
    expect(rank(model, importance, { by: 'unit' }).removed(0.4).length).toBe(3);
    expect(rank(model, importance, { by: 'unit' }).removed(0.6, 'most').length).toBe(6);
    // As near to 3 as to 6 of 9: fewer go, from either end.
    expect(rank(model, importance, { by: 'unit' }).removed(0.5).length).toBe(3);
    expect(rank(model, importance, { by: 'unit' }).removed(0.5, 'most').length).toBe(3);
  });

  it('takes the bias of a unit along where only kernels were measured', () => {
    const kernels = importanceOf({
      '0.weight': [
        [1, 8],
        [3, 4],
      ],
    });
    expect(goneOf(model, kernels, 0.5, { by: 'unit' })).toEqual(['0.bias[1]', '0.weight[2]', '0.weight[3]']);
    expect(rank(model, kernels, { by: 'unit' }).aside).toEqual(['1.weight', '1.bias']);
  });

  it('removes exactly k of any numbers, ties too, from both ends, and the ends meet', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 40 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, t) => {
          const net = new Sequential(linearOf([values.map(() => 0)]));
          const ranking = rank(net, importanceOf({ '0.weight': [values] }), { generator: new Generator(3) });
          const [least, most] = [ranking.removed(t), ranking.removed(t, 'most')];
          expect(Math.abs(least.length - t * values.length)).toBeLessThanOrEqual(0.5 + 1e-9);
          expect(most.length).toBe(least.length);
          const kept = values.filter((_, i) => !least.includes(i));
          for (const i of least) for (const other of kept) expect(values[i]!).toBeLessThanOrEqual(other);
          const left = new Set(values.keys());
          for (const i of ranking.removed(1, 'most')) left.delete(i);
          expect(left.size).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('nests: what goes at a threshold goes at every higher one; the seed decides ties', () => {
    const net = new Sequential(linearOf([new Array(30).fill(0)]));
    const tied = importanceOf({ '0.weight': [new Array(30).fill(1)] });
    const ranking = rank(net, tied, { generator: new Generator(5) });
    const [some, more] = [ranking.removed(0.3), new Set(ranking.removed(0.6))];
    expect(some.every((i) => more.has(i))).toBe(true);
    expect(Array.from(rank(net, tied, { generator: new Generator(5) }).removed(0.3))).toEqual(Array.from(some));
    expect(Array.from(rank(net, tied, { generator: new Generator(6) }).removed(0.3))).not.toEqual(Array.from(some));
  });

  it('refuses thresholds outside 0 to 1, and directions that are none', () => {
    const ranking = rank(model, importance);
    for (const threshold of [-0.1, 1.1, Number.NaN])
      expect(() => ranking.removed(threshold)).toThrow(
        /a threshold is the fraction of weights that go, from 0 to 1, and not/,
      );
    expect(() => ranking.removed(0.5, 'middle' as 'most')).toThrow(/no direction middle; there are least, most/);
  });
});

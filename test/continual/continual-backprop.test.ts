/** Continual backprop: what it measures, whom it replaces, how many, and what a new unit is like. */
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { noGrad } from '../../src/autograd/modes.ts';
import '../../src/ops/methods.ts';
import { ContinualBackprop, type ContinualBackpropOptions } from '../../src/continual/continual-backprop.ts';
import { boundOf, type NamedInitialization } from '../../src/continual/newborn.ts';
import { PublishedAdam } from '../../src/continual/published-adam.ts';
import type { Utility } from '../../src/continual/utility.ts';
import { ELU, LeakyReLU, ReLU, SELU, Sigmoid, Tanh } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Linear } from '../../src/nn/linear.ts';
import type { Module } from '../../src/nn/module.ts';
import { Adam } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { anchor } from '../../src/state/anchor.ts';
import { findUnits } from '../../src/state/units.ts';
import { full, tensor, zeros } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const set = (x: Tensor, numbers: readonly number[]): Tensor => noGrad(() => x.copy_(tensor(numbers, x.shape)));

/** 2 inputs, 3 units, 2 outputs, with these numbers. */
function network(outgoingBias = true) {
  const [first, last] = [new Linear(2, 3), new Linear(3, 2, { bias: outgoingBias })];
  set(first.weight, [1, -1, 2, 0, 0.5, 0.5]);
  set(first.bias!, [0, -1, 1]);
  set(last.weight, [1, 2, 0, -3, 0.5, 4]);
  if (last.bias !== null) set(last.bias, [0.25, -0.5]);
  return { first, last, model: new Sequential(first, new ReLU(), last) };
}
const x = tensor([
  [2, 0],
  [0, 1],
]);
/** What its units then do, and the mean magnitudes of what leaves and what comes into each. */
const h = [
  [2, 3, 2],
  [0, 0, 1.5],
];
const o = [(1 + 3) / 2, (2 + 0.5) / 2, (0 + 4) / 2];
const n = [1, 1, 0.5];

function stepped(options: ContinualBackpropOptions, steps: number) {
  const { first, last, model } = network();
  const continual = new ContinualBackprop(model.forward(x), options);
  const replaced = Array.from({ length: steps }, () => continual.step(model.forward(x)));
  return { first, last, model, continual, replaced };
}
const never = { rate: 0 };

describe('measures of use', () => {
  const mean = (unit: number, f: (h: number) => number) => (f(h[0]![unit]!) + f(h[1]![unit]!)) / 2;
  const mu = [0, 1, 2].map((unit) => mean(unit, (a) => a));
  const size = [0, 1, 2].map((unit) => mean(unit, Math.abs));
  const spread = [0, 1, 2].map((unit) => mean(unit, (a) => Math.abs(a - mu[unit]!)));
  const expected: Record<Utility, number[]> = {
    weight: o,
    contribution: o.map((w, i) => w * size[i]!),
    adaptation: n.map((w) => 1 / w),
    zeroContribution: o.map((w, i) => w * spread[i]!),
    adaptableContribution: o.map((w, i) => (w * spread[i]!) / n[i]!),
    featureByInput: n.map((w, i) => spread[i]! / w),
    zero: [0, 0, 0],
    random: [0, 0, 0],
  };
  it.each(Object.entries(expected) as [Utility, number[]][])('%s', (utility, values) => {
    const { continual } = stepped({ ...never, utility, decay: 0.9 }, 3);
    const { age, utility: found, corrected, mean: means } = continual.statistics(0);
    const share = 1 - 0.9 ** 3;
    values.forEach((value, unit) => {
      expect(corrected[unit]).toBeCloseTo(value, 6);
      expect(found[unit]).toBeCloseTo(value * share, 6);
      expect(means[unit]).toBeCloseTo(mu[unit]! * share, 6);
    });
    expect([...age]).toEqual([3, 3, 3]);
  });

  it('forget at the rate of decay, and see the weights of after the update', () => {
    const { last, model, continual } = stepped({ ...never, utility: 'weight', decay: 0.75 }, 1);
    set(last.weight, [0, 0, 0, 0, 0, 0]);
    continual.step(model.forward(x));
    const { utility, corrected } = continual.statistics(0);
    expect([...utility]).toEqual(o.map((w) => 0.75 * 0.25 * w));
    expect(corrected[0]).toBeCloseTo((0.75 * 0.25 * o[0]!) / (1 - 0.75 ** 2), 12);
  });

  it('average over a channel and its image, and over all columns that read it', () => {
    const conv = new Conv2d(1, 2, 1);
    const last = new Linear(8, 2);
    set(conv.weight, [1, -2]);
    set(conv.bias!, [0, 1]);
    set(last.weight, [1, -1, 1, 1, 0, 0, 0, 4, 1, 1, 1, 1, -4, 0, 0, 0]);
    const model = new Sequential(conv, new ReLU(), new Flatten(), last);
    const image = tensor([1, 2, -3, 0], [1, 1, 2, 2]);
    for (const [utility, values] of [
      ['contribution', [(1 * (1 + 2)) / 4, (1 * (7 + 1)) / 4]],
      ['adaptableContribution', [(0.25 + 1.25 + 0.75 + 0.75) / 4, (2 + 2 + 5 + 1) / 4 / 2]],
    ] as const) {
      const continual = new ContinualBackprop(model.forward(image), { ...never, utility });
      continual.step(model.forward(image));
      values.forEach((value, unit) => {
        expect(continual.statistics(0).corrected[unit]).toBeCloseTo(value, 6);
      });
    }
  });

  it('count whole kernels of a convolution that reads a channel', () => {
    const last = new Conv2d(2, 2, [1, 2]);
    set(last.weight, [1, -2, 3, 0, 0, 1, 5, 4]);
    const model = new Sequential(new Conv2d(1, 2, 1), new ReLU(), last);
    const image = zeros([1, 1, 2, 2]);
    const continual = new ContinualBackprop(model.forward(image), { ...never, utility: 'weight' });
    continual.step(model.forward(image));
    expect([...continual.statistics(0).corrected].map((u) => Number(u.toFixed(6)))).toEqual([1, 3]);
  });

  it('are the same for large weights, which kernels sum', () => {
    const generator = new Generator(8);
    const [conv, dense, last] = [new Conv2d(3, 20, 5), new Linear(20 * 9, 15), new Linear(15, 80)];
    for (const { weight } of [conv, dense, last])
      noGrad(() => weight.copy_(randn(weight.shape, { generator }).add(0.5)));
    const model = new Sequential(conv, new ReLU(), new Flatten(), dense, new ReLU(), last);
    const image = randn([1, 3, 7, 7], { generator });
    const mean = (weight: Tensor, counts: (index: number) => boolean) => {
      const own = read(weight).filter((_, index) => counts(index));
      return own.reduce((total, w) => total + Math.abs(w), 0) / own.length;
    };
    for (const utility of ['weight', 'adaptation'] as const) {
      const continual = new ContinualBackprop(model.forward(image), { ...never, utility });
      continual.step(model.forward(image));
      const found = [0, 1].map((layer) => [...continual.statistics(layer).corrected]);
      found[0]!.forEach((u, unit) => {
        const o = mean(dense.weight, (index) => Math.floor((index % 180) / 9) === unit);
        const n = mean(conv.weight, (index) => Math.floor(index / 75) === unit);
        expect(u).toBeCloseTo(utility === 'weight' ? o : 1 / n, 5);
      });
      found[1]!.forEach((u, unit) => {
        const o = mean(last.weight, (index) => index % 15 === unit);
        const n = mean(dense.weight, (index) => Math.floor(index / 180) === unit);
        expect(u).toBeCloseTo(utility === 'weight' ? o : 1 / n, 5);
      });
    }
  });

  it('count all heads that read a unit', () => {
    const first = new Linear(1, 2);
    const heads = [new Linear(2, 1), new Linear(2, 3)];
    set(heads[0]!.weight, [1, 2]);
    set(heads[1]!.weight, [1, 0, 1, 0, 5, 2]);
    const outputs = () => {
      const hidden = first.forward(tensor([[1]])).relu();
      return heads.map((head) => head.forward(hidden));
    };
    const continual = new ContinualBackprop(outputs(), { ...never, utility: 'weight' });
    continual.step(outputs());
    expect([...continual.statistics(0).corrected].map((u) => Number(u.toFixed(6)))).toEqual([2, 1]);
  });
});

describe('who is replaced', () => {
  it('nobody who is not older than the maturity, then the least useful', () => {
    const { replaced } = stepped({ rate: 0.34, maturity: 3, utility: 'contribution' }, 8);
    // o mean|h| is 2, 1.875, 3.5. Due are 1.02 at age 4, then 0.7 and 1.38 of two, 0.72 of one, 1.4 when unit 1 is mature
    // again, whose outgoing weights are still 0.
    expect(replaced.map((units) => units.map(({ unit }) => unit))).toEqual([[], [], [], [1], [], [0], [], [1]]);
  });

  it('by corrected use, so that one that is just mature is not the least for its youth', () => {
    const { continual, replaced, first, last, model } = stepped(
      { rate: 1 / 3, maturity: 2, utility: 'weight', decay: 0.99 },
      3,
    );
    expect(replaced[2]).toEqual([{ layer: 0, unit: 1 }]);
    // The newborn becomes the most useful by far; its plain running mean is still below the others'.
    set(last.weight, [1, 4, 0, -3, 4, 4]);
    set(first.weight, [1, -1, 2, 0, 0.5, 0.5]);
    const more = Array.from({ length: 3 }, () => continual.step(model.forward(x)).map(({ unit }) => unit));
    expect(more.flat()).not.toContain(1);
  });

  it('of equals the first, and all alike under zero; what is NaN before all', () => {
    const { replaced } = stepped({ rate: 0.7, maturity: 1, utility: 'zero' }, 2);
    expect(replaced[1]).toEqual([0, 1].map((unit) => ({ layer: 0, unit })));
    const { first, model } = network();
    set(first.weight, [1, -1, 2, 0, Number.NaN, 0]);
    const continual = new ContinualBackprop(model.forward(x), { rate: 0.34, maturity: 0 });
    expect(continual.step(model.forward(x))).toEqual([{ layer: 0, unit: 2 }]);
  });

  it('by lot under random: everyone in time, the same from the same seed', () => {
    const lots = () =>
      stepped({ rate: 0.4, maturity: 0, utility: 'random', generator: new Generator(5) }, 30).replaced.flat();
    expect(new Set(lots().map(({ unit }) => unit)).size).toBe(3);
    expect(lots()).toEqual(lots());
  });

  it('nobody at rate 0, all at rate 1', () => {
    expect(stepped({ rate: 0, maturity: 0 }, 5).replaced.flat()).toEqual([]);
    expect(
      stepped({ rate: 1, maturity: 0 }, 1)
        .replaced[0]!.map(({ unit }) => unit)
        .toSorted(),
    ).toEqual([0, 1, 2]);
  });
});

describe('how many', () => {
  const counts = (options: ContinualBackpropOptions, steps: number) =>
    stepped({ maturity: 0, utility: 'zero', ...options }, steps).replaced.map(({ length }) => length);

  it('fractions add up from step to step', () => {
    // 3/8 of a unit in each step, of 3 mature ones: exact in binary.
    expect(counts({ rate: 0.125 }, 8)).toEqual([0, 0, 1, 0, 0, 1, 0, 1]);
    // From the second step on; the rest of a whole number is kept.
    expect(counts({ rate: 0.5, maturity: 1 }, 4)).toEqual([0, 1, 1, 1]);
  });

  it('with rateOf all, those who are not mature count too', () => {
    const one = (rateOf: 'mature' | 'all') => counts({ rate: 0.5, maturity: 1, rateOf }, 9).reduce((a, b) => a + b);
    expect(one('all')).toBeGreaterThan(one('mature'));
  });

  it('nothing adds up while nobody is mature, and no more are replaced than are', () => {
    expect(counts({ rate: 0.125, maturity: 2, rateOf: 'all' }, 5)).toEqual([0, 0, 0, 0, 1]);
    expect(counts({ rate: 0.5, maturity: 2, rateOf: 'all' }, 5)).toEqual([0, 0, 1, 2, 0]);
  });

  it('or one with the probability of the fraction, and then the whole part', () => {
    const generator = () => new Generator(11);
    const many = counts({ rate: 0.1, accumulate: false, generator: generator() }, 2000);
    expect(Math.max(...many)).toBe(1);
    const share = many.reduce((a, b) => a + b) / 2000;
    // Three standard deviations of 2000 coins of 0.3.
    expect(Math.abs(share - 0.3)).toBeLessThan(3 * Math.sqrt((0.3 * 0.7) / 2000));
    expect(counts({ rate: 0.9, accumulate: false }, 5)).toEqual([2, 2, 2, 2, 2]);
  });
});

describe('a new unit', () => {
  const replace = { rate: 0.34, maturity: 0, utility: 'weight' } as const;

  it('has new incoming weights within the bound, bias 0, outgoing weights 0, and age 0; the others are as they were', () => {
    const { first, last, continual } = stepped({ ...replace, transferMean: false, generator: new Generator(1) }, 1);
    const [incoming, bias, outgoing] = [first.weight, first.bias!, last.weight].map(read) as [
      number[],
      number[],
      number[],
    ];
    expect([incoming.slice(0, 2), incoming.slice(4)]).toEqual([
      [1, -1],
      [0.5, 0.5],
    ]);
    const bound = Math.SQRT2 * Math.sqrt(3 / 2);
    for (const w of incoming.slice(2, 4)) expect(w !== 0 && Math.abs(w) <= bound).toBe(true);
    expect(bias).toEqual([0, 0, 1]);
    expect(outgoing).toEqual([1, 0, 0, -3, 0, 4]);
    expect(read(last.bias!)).toEqual([0.25, -0.5]);
    const { age, utility, mean, corrected } = continual.statistics(0);
    expect([age[1], utility[1], mean[1], corrected[1]]).toEqual([0, 0, 0, 0]);
    expect(age[0]).toBe(1);
  });

  it('leaves the mean of what the old one sent in the biases of those who read it', () => {
    const { model, last } = stepped({ ...replace, utility: 'weight' }, 1);
    // Mean activation of unit 1: 1.5; it sent 2 and 0.5.
    expect(read(last.bias!)).toEqual([0.25 + 2 * 1.5, -0.5 + 0.5 * 1.5]);
    const sums = (out: Tensor) => read(out.mean(0));
    expect(sums(model.forward(x))).toEqual(sums(network().model.forward(x)));
  });

  it('so too for a flattened image and for a kernel; where there is no bias, nothing is left', () => {
    const conv = new Conv2d(1, 2, 1);
    const last = new Linear(8, 1);
    for (const p of [conv.bias!, last.bias!]) noGrad(() => p.fill_(0));
    set(conv.weight, [1, 3]);
    set(last.weight, [1, 2, 3, 4, 5, 6, 7, 8]);
    const model = new Sequential(conv, new ReLU(), new Flatten(), last);
    const image = full([1, 1, 2, 2], 2);
    const continual = new ContinualBackprop(model.forward(image), { ...replace, rate: 0.5 });
    const before = model.forward(image).item();
    expect(continual.step(model.forward(image))).toEqual([{ layer: 0, unit: 0 }]);
    expect(model.forward(image).item()).toBeCloseTo(before, 4);
    expect(read(last.bias!)).toEqual([20]);
    const { model: bare } = network(false);
    new ContinualBackprop(bare.forward(x), { ...replace, rate: 1 }).step(bare.forward(x));
    expect(read(bare.forward(x))).toEqual([0, 0, 0, 0]);
  });

  it('is drawn from the distribution for what follows', () => {
    const bound = (activation: Module, how: NamedInitialization) => {
      const model = new Sequential(new Linear(12, 6), activation, new Linear(6, 1));
      return boundOf(findUnits(model.forward(zeros([1, 12])))[0]!, how);
    };
    expect(bound(new ReLU(), 'kaiming')).toBeCloseTo(Math.SQRT2 * 0.5, 12);
    expect(bound(new ELU(), 'kaiming')).toBeCloseTo(Math.SQRT2 * 0.5, 12);
    expect(bound(new Tanh(), 'kaiming')).toBeCloseTo((5 / 3) * 0.5, 12);
    expect(bound(new Sigmoid(), 'kaiming')).toBeCloseTo(0.5, 12);
    expect(bound(new LeakyReLU(0.5), 'kaiming')).toBeCloseTo(Math.sqrt(2 / 1.25) * 0.5, 12);
    expect(bound(new SELU(), 'kaiming')).toBeCloseTo(0.5, 12);
    expect(bound(new SELU(), 'default')).toBeCloseTo(Math.sqrt(1 / 12), 12);
    expect(bound(new ReLU(), 'lecun')).toBeCloseTo(0.5, 12);
    expect(bound(new ReLU(), 'xavier')).toBeCloseTo(Math.SQRT2 * Math.sqrt(6 / 18), 12);
    expect(bound(new ReLU(), 'default')).toBeCloseTo(Math.sqrt(1 / 12), 12);
    const linear = new Sequential(new Linear(12, 6), new Linear(6, 1));
    expect(boundOf(findUnits(linear.forward(zeros([1, 12])))[0]!, 'kaiming')).toBeCloseTo(0.5, 12);
    const conv = new Sequential(new Conv2d(3, 2, 2), new ReLU(), new Conv2d(2, 1, 1));
    expect(boundOf(findUnits(conv.forward(zeros([1, 3, 4, 4])))[0]!, 'default')).toBeCloseTo(Math.sqrt(1 / 12), 12);
  });

  it('is not dragged, held or pushed by what the optimizer and anchors knew of the old one', () => {
    for (const build of [SGD, Adam, PublishedAdam]) {
      const { first, last, model } = network();
      const options = build === SGD ? { lr: 0.01, momentum: 0.9 } : { lr: 0.01 };
      const optimizer = new build(model.parameters(), options);
      const held = build === PublishedAdam ? null : anchor(first.weight, { precision: full([3, 2], 1000) });
      const continual = new ContinualBackprop(model.forward(x), {
        ...replace,
        maturity: 4,
        generator: new Generator(2),
      });
      for (let t = 0; t < 5; t++) {
        optimizer.zeroGrad();
        const output = model.forward(x);
        output.square().mean().backward();
        optimizer.step();
        continual.step(output);
      }
      const [newborn] = [...continual.statistics(0).age].flatMap((age, unit) => (age === 0 ? [unit] : []));
      const before = read(first.weight);
      if (held !== null)
        expect(read(held.at).slice(2 * newborn!, 2 * newborn! + 2)).toEqual(
          before.slice(2 * newborn!, 2 * newborn! + 2),
        );
      optimizer.zeroGrad();
      first.weight.mul(0).sum().add(last.weight.mul(0).sum()).backward();
      optimizer.step();
      expect(read(first.weight).slice(2 * newborn!, 2 * newborn! + 2)).toEqual(
        before.slice(2 * newborn!, 2 * newborn! + 2),
      );
      expect(read(last.weight)[newborn!]).toBe(0);
      held?.remove();
    }
  });
});

it('layers choose before any is changed, each by its own count', () => {
  const model = new Sequential(new Linear(2, 4), new ReLU(), new Linear(4, 2), new ReLU(), new Linear(2, 1));
  const input = randn([3, 2], { generator: new Generator(4) });
  const continual = new ContinualBackprop(model.forward(input), { rate: 0.25, maturity: 0, utility: 'zero' });
  const layers = Array.from({ length: 4 }, () => continual.step(model.forward(input)).map(({ layer }) => layer));
  expect(layers).toEqual([[0], [0, 1], [0], [0, 1]]);
  expect(continual.layers.map(({ units }) => units)).toEqual([4, 2]);
});

it('goes on from a saved state as if nothing had been', () => {
  const options = { rate: 0.2, maturity: 1, decay: 0.9 } as const;
  const run = (breakAt: number) => {
    const { model } = network();
    const generator = new Generator(7);
    let t = 0;
    const initialization = () => [0.5, t / 10];
    let continual = new ContinualBackprop(model.forward(x), { ...options, initialization });
    const replaced: unknown[] = [];
    for (; t < 12; t++) {
      if (t === breakAt) {
        const saved = structuredClone(continual.stateDict());
        continual = new ContinualBackprop(model.forward(x), { ...options, initialization });
        continual.loadStateDict(saved);
      }
      replaced.push(continual.step(model.forward(randn([2, 2], { generator }))));
    }
    return replaced;
  };
  for (let breakAt = 1; breakAt < 12; breakAt++) expect(run(breakAt)).toEqual(run(99));
  const other = new Sequential(new Linear(2, 4), new ReLU(), new Linear(4, 1));
  const { continual } = stepped(never, 1);
  expect(() => continual.loadStateDict(new ContinualBackprop(other.forward(x)).stateDict())).toThrow(
    /the state is of layers of 4 units, these are of 3/,
  );
});

describe('before any training, a sentence for', () => {
  const { model } = network();
  const build = (options: object) => () => new ContinualBackprop(model.forward(x), options);
  it.each<[object, RegExp]>([
    [{ rate: -0.1 }, /rate is a fraction of units, from 0 to 1, not -0.1/],
    [{ rate: 1.5 }, /not 1.5/],
    [{ rate: Number.NaN }, /not NaN/],
    [{ maturity: -1 }, /maturity is a number of steps from 0 up, not -1/],
    [{ maturity: Number.NaN }, /maturity/],
    [{ decay: 1 }, /decay is a number from 0 up and below 1, not 1/],
    [{ decay: -0.1 }, /decay/],
    [{ utility: 'usefulness' }, /there is no utility usefulness. Use weight, contribution, /],
    [{ utility: 'toString' }, /there is no utility toString/],
    [{ rateOf: 'most' }, /rateOf is 'mature' or 'all', not most/],
    [{ initialization: 'zeros' }, /initialization is 'kaiming'.*not zeros/],
  ])('%j', (options, sentence) => expect(build(options)).toThrow(sentence));

  it('a network without units that can be found', () => {
    expect(() => new ContinualBackprop(new Linear(2, 1).forward(x))).toThrow(/no hidden units/);
    expect(() => new ContinualBackprop(parameter(x))).toThrow(/no recorded graph/);
    expect(() => new ContinualBackprop(model.forward(x).sum())).toThrow(/does not keep units apart/);
  });

  it('incoming weights of the wrong number, before anything is written', () => {
    const { first, last, model: own } = network();
    const continual = new ContinualBackprop(own.forward(x), { rate: 1, maturity: 0, initialization: () => [1] });
    const before = [first.weight, last.weight, last.bias!].map(read);
    expect(() => continual.step(own.forward(x))).toThrow(/gave 1 numbers for unit \d of layer 0, which has 2 incoming/);
    expect([first.weight, last.weight, last.bias!].map(read)).toEqual(before);
  });

  it('an output of another network', () => {
    const continual = new ContinualBackprop(model.forward(x));
    expect(() => continual.step(network().model.forward(x))).toThrow(
      /not of the network in which the units were found/,
    );
  });
});

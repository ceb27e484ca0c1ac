/**
 * Relaxation with predictions that follow: against the equations in plain arrays, against the equilibrium of linear
 * networks in closed form, and against differences of the energy at equilibrium.
 */
import { describe, expect, it } from 'vitest';
import type { Seed } from '../../../src/autograd/backward.ts';
import {
  AvgPool2d,
  attachRules,
  backward,
  Conv2d,
  Flatten,
  Linear,
  linear,
  matmul,
  memoryInUse,
  noGrad,
  parameter,
  Sequential,
  seed,
  slope,
  Tanh,
  type Tensor,
  tanh,
  target,
  tensor,
  transpose,
  withRules,
} from '../../../src/index.ts';
import { predictiveCoding, prospectiveConfiguration } from '../../../src/rules/predictive/rule.ts';
import { numbersOf } from '../../../src/tensor/tensor.ts';
import {
  distance,
  type Energies,
  gemmsIn,
  generatorOf,
  linearChain,
  listener,
  matrix,
  normal,
  perceptron,
  taken,
} from './nets.ts';
import { type Asked, type Layer, relaxed } from './reference.ts';

function layersOf(net: Sequential): Layer[] {
  const found = net.parameters();
  return Array.from({ length: found.length / 2 }, (_, l) => ({
    weight: matrix(found[2 * l]!),
    bias: found[2 * l + 1]!.toArray() as number[],
  }));
}

describe('strict predictive coding', () => {
  const cases: [string, Asked, (y: Tensor) => Seed][] = [
    [
      'a hard target',
      { target: { at: [0.5, -1], precision: Infinity } },
      (y) => target(y, tensor([[0.5, -1]]), { precision: Infinity }),
    ],
    [
      'a soft target',
      { target: { at: [0.5, -1], precision: 2 } },
      (y) => target(y, tensor([[0.5, -1]]), { precision: 2 }),
    ],
    [
      'a target whose precision nobody stated',
      { target: { at: [0.5, -1], precision: 1 } },
      (y) => target(y, tensor([[0.5, -1]])),
    ],
    ['a gradient', { gradient: [0.3, -0.8] }, (y) => seed(y, slope(tensor([[0.3, -0.8]])))],
  ];
  for (const [what, asked, seedAt] of cases)
    it(`gives what the equations give, from ${what}`, () => {
      const net = perceptron([3, 4, 5, 2], 1);
      const input = normal([1, 3], 2).requiresGrad_();
      const precisions = [1, 0.5, 2];
      const { told, onEnergy } = listener();
      const expected = relaxed(layersOf(net), matrix(input)[0]!, asked, { steps: 7, rate: 0.3, precisions });
      attachRules(net, predictiveCoding({ steps: 7, rate: 0.3, precision: (place) => precisions[place]!, onEnergy }));
      backward(seedAt(net.forward(input)));
      const got = taken([...net.parameters(), input]);
      const all = expected.layers.flatMap(({ weight, bias }) => [weight.flat(), bias]);
      expect(distance(got, [...all, expected.input])).toBeLessThan(2e-5);
      expect(told).toHaveLength(1);
      expect(distance(told, [expected.energies])).toBeLessThan(1e-5);
    });

  it('relaxes each sample of a batch by itself', () => {
    const net = perceptron([3, 4, 2], 3);
    attachRules(net, predictiveCoding({ steps: 6, rate: 0.2 }));
    const [x, t] = [normal([3, 3], 4), normal([3, 2], 5)];
    const run = (rows: [number, number]) =>
      backward(target(net.forward(x.slice([rows, null])), t.slice([rows, null]), { precision: Infinity }));
    run([0, 3]);
    const together = taken(net.parameters());
    for (let i = 0; i < 3; i++) run([i, i + 1]);
    expect(distance(together, taken(net.parameters()))).toBeLessThan(1e-5);
  });

  it('counts a loss inside of the block with its own value', () => {
    const net = perceptron([3, 4, 2], 6);
    const [x, t] = [normal([2, 3], 7), normal([2, 2], 8)];
    const [inside, outside] = [listener(), listener()];
    const options = { steps: 5, rate: 0.2 };
    const lossOf = (y: Tensor) => y.sub(t).square().sum().mul(0.5);
    backward(withRules(predictiveCoding({ ...options, onEnergy: inside.onEnergy }), () => lossOf(net.forward(x))));
    const first = taken(net.parameters());
    const y = withRules(predictiveCoding({ ...options, onEnergy: outside.onEnergy }), () => net.forward(x));
    backward(target(y, t, { precision: 1 }));
    expect(distance(first, taken(net.parameters()))).toBeLessThan(1e-5);
    expect(distance(inside.told, outside.told)).toBeLessThan(1e-5);
    expect(inside.told[0]![0]).toBeCloseTo(lossOf(y).item(), 4);
  });

  it('counts a gradient from outside from where the value stood, a single number too', () => {
    const net = perceptron([3, 4, 1], 6);
    const { told, onEnergy } = listener();
    attachRules(net, predictiveCoding({ onEnergy }));
    net.forward(normal([1, 3], 7)).backward();
    expect(told[0]![0]).toBe(0);
    expect(told[0]!.at(-1)).toBeLessThan(-0.1);
  });

  it('feels both consumers of a value', () => {
    const [w, a, b] = [normal([2, 3], 9), normal([2, 2], 10), normal([1, 2], 11)].map(parameter) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const x = normal([1, 3], 12);
    // Two heads on one value are one head of stacked weights.
    const stacked = parameter(tensor([...matrix(a), ...matrix(b)]));
    const [s, t] = [tensor([[0.5, 1]]), tensor([[-1]])];
    const options = { steps: 9, rate: 0.2 };
    const [one, two] = withRules(predictiveCoding(options), () => {
      const h = tanh(linear(x, w));
      return [linear(h, a), linear(h, b)] as const;
    });
    backward([target(one, s, { precision: Infinity }), target(two, t, { precision: Infinity })]);
    const [dw, da, db] = taken([w, a, b]);
    const y = withRules(predictiveCoding(options), () => linear(tanh(linear(x, w)), stacked));
    backward(target(y, tensor([[0.5, 1, -1]]), { precision: Infinity }));
    const [expected, heads] = taken([w, stacked]);
    expect(distance([dw!, Float32Array.of(...da!, ...db!)], [expected!, heads!])).toBeLessThan(1e-5);
  });

  it('sends nothing where nothing is asked: a target that is met moves no value and no weight', () => {
    const net = perceptron([3, 4, 2], 13);
    const x = normal([2, 3], 14).requiresGrad_();
    for (const rules of [
      predictiveCoding(),
      predictiveCoding({ mode: 'fixed-prediction' }),
      prospectiveConfiguration(),
    ]) {
      const remove = attachRules(net, rules);
      for (const precision of [1, Infinity]) {
        const y = net.forward(x);
        backward(target(y, y.detach(), { precision }));
        for (const g of taken([...net.parameters(), x])) expect(g.every((value) => value === 0)).toBe(true);
      }
      remove();
    }
  });

  it('hands its boundary a gradient: a block below gets what it would get from that gradient as a seed', () => {
    const [below, above] = [perceptron([3, 4, 4], 15), perceptron([4, 4, 2], 16)];
    const rules = () => predictiveCoding({ steps: 8, rate: 0.2 });
    const [x, t] = [normal([2, 3], 17), normal([2, 2], 18)];
    attachRules(above, rules());
    attachRules(below, rules());
    backward(target(above.forward(below.forward(x)), t, { precision: Infinity }));
    const expected = taken(below.parameters());
    const between = noGrad(() => below.forward(x)).requiresGrad_();
    backward(target(above.forward(between), t, { precision: Infinity }));
    const g = tensor(taken([between])[0]!, [2, 4]);
    backward(seed(below.forward(x), slope(g)));
    expect(taken(below.parameters())).toEqual(expected);
  });

  it('computes nothing anew that does not change: of three layers, two predictions and two messages a sweep', () => {
    const net = perceptron([3, 4, 4, 2], 90);
    const gemmsOf = (steps: number) => {
      const remove = attachRules(net, predictiveCoding({ steps }));
      const wanted = target(net.forward(normal([5, 3], 91)), normal([5, 2], 92), { precision: Infinity });
      remove();
      return gemmsIn(() => backward(wanted));
    };
    expect(gemmsOf(8) - gemmsOf(7)).toBe(4);
    // Two predictions, two messages between layers, and three to weights.
    expect(gemmsOf(7)).toBe(7 * 4 + 2 + 2 + 3);
  });

  it('takes no more memory for 500 sweeps than for 5', () => {
    const net = perceptron([20, 30, 40, 10], 19);
    const x = normal([64, 20], 20);
    const memoryAfter = (steps: number) => {
      const remove = attachRules(net, predictiveCoding({ steps, rate: 0.1 }));
      for (let i = 0; i < 3; i++) backward(target(net.forward(x), normal([64, 10], 21), { precision: Infinity }));
      remove();
      return memoryInUse();
    };
    memoryAfter(5);
    expect(memoryAfter(500)).toBe(memoryAfter(5));
  });
});

/** Transposed weights of a chain, so that rows of values are multiplied from the right. */
const transposed = (net: Sequential) => net.parameters().map((w) => noGrad(() => transpose(w)));

/** W_L ... W_{l+1}, from value l (0: the first layer's output) to the last. */
function toTheTop(net: Sequential, l: number): Tensor {
  const above = transposed(net).slice(l + 1);
  return noGrad(() => above.reduce((product, w) => matmul(product, w), identityOf(above[0]?.shape[0] ?? 2)));
}
const identityOf = (n: number) =>
  tensor(Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => (i === j ? 1 : 0))));

function inverse(m: number[][]): number[][] {
  const [[a, b], [c, d]] = m as [[number, number], [number, number]];
  const determinant = a * d - b * c;
  return [
    [d / determinant, -b / determinant],
    [-c / determinant, a / determinant],
  ];
}

describe('the equilibrium of a linear network', () => {
  /*
   * t = y + sum_l T_l e_l with T_l = W_L ... W_{l+1}: the least energy that reaches t has e_l = T_l^T S^-1 (t - y) / p_l, where
   * S = sum_l T_l T_l^T / p_l, and is 1/2 (t - y)^T S^-1 (t - y). A soft target of precision p adds I / p to S.
   */
  for (const precision of [Infinity, 0.5])
    it(`is the closed form, with a target of precision ${precision}`, () => {
      const net = linearChain([3, 4, 3, 2], 30);
      const precisions = [1, 2, 0.5];
      const [x, t] = [normal([1, 3], 31), tensor([[1, -2]])];
      const y = noGrad(() => net.forward(x));
      const tops = [0, 1, 2].map((l) => toTheTop(net, l));
      const S = noGrad(() => {
        let sum = identityOf(2).mul(1 / precision);
        for (const [l, T] of tops.entries()) sum = sum.add(matmul(transpose(T), T).div(precisions[l]!));
        return sum;
      });
      const missing = noGrad(() => t.sub(y));
      const force = noGrad(() => matmul(missing, tensor(inverse(matrix(S)))));
      const errors = tops.map((T, l) => noGrad(() => matmul(force, transpose(T)).div(precisions[l]!)));
      // Values: each its prediction from the moved one below, and its error.
      const weights = transposed(net);
      const values = [x];
      for (const [l, w] of weights.entries()) values.push(noGrad(() => matmul(values[l]!, w).add(errors[l]!)));
      const expected = errors.map((e, l) =>
        numbersOf(noGrad(() => matmul(transpose(e), values[l]!).mul(-precisions[l]!))),
      );

      // The energy is flat at its least: in float32 it says where the equilibrium is to about the root of its own rounding.
      for (const [way, near] of [
        [predictiveCoding, 2e-5],
        [prospectiveConfiguration, 5e-3],
      ] as const) {
        const { told, onEnergy } = listener();
        const options = { precision: (place: number) => precisions[place]!, onEnergy, rate: 0.3 };
        const remove = attachRules(net, way({ ...options, steps: 800, tolerance: 1e-9, maxSteps: 2000 }));
        backward(target(net.forward(x), t, { precision }));
        remove();
        expect(distance(taken(net.parameters()), expected)).toBeLessThan(near);
        expect(told[0]!.at(-1)).toBeCloseTo(0.5 * noGrad(() => force.mul(missing).sum()).item(), 4);
        expect(told[0]!.length).toBeLessThan(2000);
      }
    });
});

describe('prospective configuration', () => {
  it('never lets the energy rise, at a rate at which fixed steps explode', () => {
    const net = perceptron([4, 8, 8, 3], 40);
    for (const w of net.parameters()) noGrad(() => w.copy_(w.mul(3)));
    const [x, t] = [normal([6, 4], 41), normal([6, 3], 42)];
    const run = (rules: ReturnType<typeof predictiveCoding>) => {
      const remove = attachRules(net, rules);
      backward(target(net.forward(x), t, { precision: Infinity }));
      remove();
      net.zeroGrad();
    };
    const [steady, cut] = [listener(), listener()];
    run(predictiveCoding({ rate: 3, steps: 30, onEnergy: steady.onEnergy }));
    expect(steady.told[0]!.at(-1)! > 100 * steady.told[0]![0]!).toBe(true);
    run(prospectiveConfiguration({ rate: 3, onEnergy: cut.onEnergy }));
    const [energies] = cut.told as [Energies];
    expect(energies.length).toBeGreaterThan(5);
    for (let i = 1; i < energies.length; i++) expect(energies[i]!).toBeLessThanOrEqual(energies[i - 1]!);
    expect(energies.at(-1)!).toBeLessThan(0.9 * energies[0]!);
  });

  it('comes back from steps so long that there are no numbers for them', () => {
    const net = linearChain([4, 8, 8, 3], 40);
    for (const w of net.parameters()) noGrad(() => w.mul_(30));
    const { told, onEnergy } = listener();
    const run = (rules: ReturnType<typeof predictiveCoding>) => {
      const remove = attachRules(net, rules);
      backward(target(net.forward(normal([6, 4], 41)), normal([6, 3], 42), { precision: Infinity }));
      remove();
    };
    run(predictiveCoding({ rate: 1e33, steps: 1, onEnergy }));
    run(prospectiveConfiguration({ rate: 1e33, maxSteps: 400, onEnergy }));
    const [exploded, energies] = told as [Energies, Energies];
    expect(exploded[1]).toBeNaN();
    expect(energies.every(Number.isFinite)).toBe(true);
    expect(energies.at(-1)!).toBeLessThan(0.9 * energies[0]!);
  });

  it('keeps the rate that it has cut', () => {
    const net = perceptron([4, 8, 3], 43);
    const { told, onEnergy } = listener();
    attachRules(net, prospectiveConfiguration({ rate: 64, maxSteps: 24, tolerance: 1e-6, onEnergy }));
    backward(target(net.forward(normal([6, 4], 44)), normal([6, 3], 45), { precision: Infinity }));
    // Some 6 or 7 halvings, once.
    expect(told[0]!.length).toBeGreaterThan(12);
  });

  it('stops when a sweep falls short of the tolerance, and at maxSteps', () => {
    const net = perceptron([4, 8, 3], 43);
    const [x, t] = [normal([6, 4], 44), normal([6, 3], 45)];
    const count = (options: { tolerance: number; maxSteps?: number }) => {
      const { told, onEnergy } = listener();
      const remove = attachRules(net, prospectiveConfiguration({ ...options, rate: 0.2, onEnergy }));
      backward(target(net.forward(x), t, { precision: Infinity }));
      remove();
      const energies = told[0]!;
      return {
        sweeps: energies.length - 1,
        last: energies.at(-2)! - energies.at(-1)!,
        fall: energies[0]! - energies.at(-1)!,
      };
    };
    const [coarse, fine] = [count({ tolerance: 0.1 }), count({ tolerance: 1e-4 })];
    expect(coarse.last).toBeLessThanOrEqual(0.1 * coarse.fall);
    expect(fine.last).toBeLessThanOrEqual(1e-4 * fine.fall);
    expect(coarse.sweeps).toBeLessThan(fine.sweeps);
    expect(count({ tolerance: 0, maxSteps: 3 }).sweeps).toBe(3);
  });

  it('ends where a seed is NaN, and shows it', () => {
    for (const rules of [prospectiveConfiguration({ maxSteps: 1e9 }), predictiveCoding({ steps: 3 })]) {
      const net = perceptron([3, 4, 2], 46);
      attachRules(net, rules);
      backward(seed(net.forward(normal([1, 3], 47)), slope(tensor([[Number.NaN, 1]]))));
      expect(taken(net.parameters())[3]!.some(Number.isNaN)).toBe(true);
    }
  });

  it('learns the slope of the energy at equilibrium, on convolutions and pools (differences of that energy)', () => {
    const generator = generatorOf(48);
    const net = new Sequential(
      new Conv2d(1, 2, 3, { generator }),
      new AvgPool2d(2),
      new Tanh(),
      new Flatten(),
      new Linear(8, 3, { generator }),
    );
    const images = normal([2, 1, 6, 6], 49);
    const t = normal([2, 3], 50);
    const { told, onEnergy } = listener();
    attachRules(net, prospectiveConfiguration({ tolerance: 1e-8, maxSteps: 1000, onEnergy }));
    const energyAt = () => {
      backward(target(net.forward(images), t, { precision: Infinity }));
      return told.at(-1)!.at(-1)!;
    };
    energyAt();
    const gradients = taken(net.parameters());
    for (const [k, w] of net.parameters().entries()) {
      const [index, h] = [w.size - 1, 1e-2];
      const around = [h, -h].map((by) => {
        const before = w.detach();
        const moved = w.toFloat32Array();
        moved[index]! += by;
        noGrad(() => w.copy_(tensor(moved, w.shape)));
        const energy = energyAt();
        noGrad(() => w.copy_(before));
        return energy;
      }) as [number, number];
      expect(gradients[k]![index]! / ((around[0] - around[1]) / (2 * h))).toBeCloseTo(1, 2);
    }
  });
});

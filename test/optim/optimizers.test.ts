import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { ReLU, Tanh } from '../../src/nn/activation.ts';
import { Sequential } from '../../src/nn/container.ts';
import { Linear } from '../../src/nn/linear.ts';
import { crossEntropy } from '../../src/ops/loss.ts';
import { reset } from '../../src/state/reset.ts';
import '../../src/ops/methods.ts';
import { Adam, AdamW } from '../../src/optim/adam.ts';
import { readGuides } from '../../src/optim/guided.ts';
import { LinearLR } from '../../src/optim/schedules.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { ones, tensor, zeros } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { goldenOptimizers, goldenTraining, type Packed } from './golden.ts';

const make = { SGD, Adam, AdamW } as const;
type Name = keyof typeof make;
type AnyOptimizer = SGD | Adam | AdamW;

/** An optimizer by PyTorch's name and arguments. */
function fromPyTorch(name: string, parameters: Tensor[], args: Record<string, unknown>): AnyOptimizer {
  const { weight_decay: weightDecay, ...rest } = args as { lr: number; weight_decay?: number };
  return new make[name as Name](parameters, weightDecay === undefined ? rest : { ...rest, weightDecay });
}

/** One step downhill on 0.5 sum(c (w - 1)^2) + 0.1 sum(w^4). */
function descend(optimizer: AnyOptimizer, w: Tensor, c: Tensor): void {
  const loss = w.sub(1).square().mul(c).sum().mul(0.5).add(w.square().square().sum().mul(0.1));
  optimizer.zeroGrad();
  loss.backward();
  optimizer.step();
}

describe('the trajectories of PyTorch', () => {
  const cases = goldenOptimizers.optimizers.filter(({ optimizer }) => optimizer in make);
  it('are there', () => expect(cases.length).toBeGreaterThanOrEqual(10));

  it.each(cases)('$optimizer $args', ({ optimizer: name, args, w0, c, trajectory }) => {
    const w = parameter(tensor(w0));
    const optimizer = fromPyTorch(name, [w], args);
    for (const expected of trajectory) {
      descend(optimizer, w, tensor(c));
      w.toFloat32Array().forEach((value, i) => {
        expect(Math.abs(value - expected[i]!)).toBeLessThan(3e-6 * Math.max(1, Math.abs(expected[i]!)));
      });
    }
  });
});

describe('whole training runs of PyTorch', () => {
  const unpack = ({ data, shape }: Packed): Tensor => tensor(Float32Array.from(data), shape);

  it.each(goldenTraining.runs)('$optimizer: every loss and the final weights', (run) => {
    const model = new Sequential(new Linear(8, 16), new Tanh(), new Linear(16, 12), new ReLU(), new Linear(12, 4));
    model.loadStateDict(Object.fromEntries(Object.entries(run.init).map(([name, value]) => [name, unpack(value)])));
    const optimizer = fromPyTorch(run.optimizer, model.parameters(), run.args);
    const { x, y, batch } = goldenTraining;
    const [count, width] = x.shape as [number, number];
    run.losses.forEach((expected, i) => {
      const start = (i * batch) % count;
      const images = tensor(Float32Array.from(x.data.slice(start * width, (start + batch) * width)), [batch, width]);
      const loss = crossEntropy(model.forward(images), Int32Array.from(y.data.slice(start, start + batch)));
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      expect(Math.abs(loss.item() - expected), `loss ${i}`).toBeLessThan(1e-4);
    });
    for (const [name, value] of model.namedParameters()) {
      value.toFloat32Array().forEach((weight, i) => {
        expect(Math.abs(weight - run.final[name]!.data[i]!), `${name} ${i}`).toBeLessThan(1e-3);
      });
    }
  });
});

/** A parameter with this gradient. */
function withGradient(value: number[], gradient: number[] | null): Tensor {
  const w = parameter(tensor(value));
  w.grad = gradient === null ? null : tensor(gradient);
  return w;
}

describe('Optimizer', () => {
  it('leaves a parameter without gradient alone, and its count of steps too', () => {
    const [moved, still] = [withGradient([1], [1]), withGradient([1], null)];
    const optimizer = new Adam([moved, still], { lr: 0.1 });
    optimizer.step();
    expect(moved.item()).toBeCloseTo(0.9, 6);
    expect(still.item()).toBe(1);
    expect(optimizer.groups[0]?.slots.map(({ steps }) => steps)).toEqual([1, 0]);
    // The late one takes its first step as a first step: by lr whatever the gradient's size.
    still.grad = tensor([1000]);
    optimizer.step();
    expect(still.item()).toBeCloseTo(0.9, 6);
  });

  it('gives each group its own options, and the others to all', () => {
    const [a, b] = [withGradient([1], [1]), withGradient([1], [1])];
    const optimizer = new SGD([{ parameters: [a], lr: 0.5 }, { parameters: [b] }], { lr: 0.25, weightDecay: 1 });
    optimizer.step();
    expect([a.item(), b.item()]).toEqual([0, 0.5]);
    expect(optimizer.lr).toBe(0.5);
    optimizer.lr = 0;
    expect(optimizer.groups.map(({ lr }) => lr)).toEqual([0, 0]);
    expect(() => {
      optimizer.lr = -1;
    }).toThrow(/lr must be a number from 0 up/);
    optimizer.step();
    expect([a.item(), b.item()]).toEqual([0, 0.5]);
  });

  it('asks no parameter for anchors or plasticity while nobody has any', () => {
    // Nothing in this file attaches one: other tests run in worlds of their own.
    const optimizer = new SGD([withGradient([1], [1])], { lr: 1 });
    expect(readGuides(optimizer.groups)).toBeNull();
  });

  it('forgets gradients', () => {
    const w = withGradient([1], [1]);
    new SGD([w], { lr: 1 }).zeroGrad();
    expect(w.grad).toBeNull();
  });

  it('takes gradients that came through a view', () => {
    const w = parameter(zeros([2, 3]));
    const optimizer = new SGD([w], { lr: 1 });
    w.transpose(0, 1)
      .mul(
        tensor([
          [1, 2],
          [3, 4],
          [5, 6],
        ]),
      )
      .sum()
      .backward();
    optimizer.step();
    expect(w.toArray()).toEqual([
      [-1, -3, -5],
      [-2, -4, -6],
    ]);
  });

  it('moves leaves that are ordinary arrays, too', () => {
    for (const build of [
      (w: Tensor) => new SGD([w], { lr: 0.1, momentum: 0.9 }),
      (w: Tensor) => new Adam([w], { lr: 0.1, amsgrad: true }),
    ]) {
      const [ordinary, resident] = [tensor([1, 2, 3]).requiresGrad_(), parameter(tensor([1, 2, 3]))];
      const [first, second] = [build(ordinary), build(resident)];
      for (let i = 0; i < 10; i++) {
        descend(first, ordinary, ones([3]));
        descend(second, resident, ones([3]));
      }
      expect(ordinary.toArray()).toEqual(resident.toArray());
    }
  });

  it('counts as a write: a graph that still needs the old weights notices', () => {
    const w = withGradient([1, 2], [1, 1]);
    const loss = w.square().sum();
    new SGD([w], { lr: 0.1 }).step();
    expect(() => loss.backward()).toThrow(/changed in place/);
  });

  it('takes its rate from a schedule', () => {
    const w = withGradient([0], [1]);
    const optimizer = new SGD([w], { lr: 1 });
    const schedule = new LinearLR(optimizer, { startFactor: 0.5, totalIters: 2 });
    for (let i = 0; i < 3; i++) {
      optimizer.step();
      schedule.step();
    }
    expect(w.item()).toBe(-(0.5 + 0.75 + 1));
  });

  it('keeps AdamW from decaying through the moments', () => {
    const w = withGradient([1], [0]);
    new AdamW([w], { lr: 0.1, weightDecay: 0.5 }).step();
    expect(w.item()).toBeCloseTo(0.95, 6);
  });

  it('goes on from a saved state as if nothing had happened', () => {
    const c = tensor([1, 2, 3]);
    for (const build of [
      (w: Tensor) => new SGD([w], { lr: 0.1, momentum: 0.9 }),
      (w: Tensor) => new Adam([w], { lr: 0.1, amsgrad: true }),
      (w: Tensor) => new AdamW([{ parameters: [w], lr: 0.3 }]),
    ]) {
      const w = parameter(randn([3], { generator: new Generator(1) }));
      const optimizer = build(w);
      for (let i = 0; i < 5; i++) descend(optimizer, w, c);
      const saved = optimizer.stateDict();
      const twin = parameter(tensor(w.toFloat32Array(), w.shape));
      const resumed = build(twin);
      resumed.lr = 77;
      resumed.loadStateDict(saved as never);
      for (let i = 0; i < 5; i++) {
        descend(optimizer, w, c);
        descend(resumed, twin, c);
      }
      expect(twin.toArray()).toEqual(w.toArray());
    }
  });

  it('refuses a state that does not fit, and keeps its own', () => {
    const build = (size: number) => {
      const w = parameter(ones([size]));
      const optimizer = new SGD([w], { lr: 0.1, momentum: 0.9 });
      descend(optimizer, w, ones([size]));
      return optimizer;
    };
    const optimizer = build(2);
    const before = optimizer.groups[0]?.slots[0]?.velocity?.toArray();
    expect(() => optimizer.loadStateDict(build(3).stateDict())).toThrow('velocity of parameter 0 in group 0');
    expect(() => optimizer.loadStateDict({ groups: [] })).toThrow('0 parameter groups, the optimizer 1');
    const state = build(2).stateDict();
    state.groups[0]!.slots = [];
    expect(() => optimizer.loadStateDict(state)).toThrow('has 0 parameters');
    const strange = (change: (state: ReturnType<typeof optimizer.stateDict>) => void) => () => {
      const other = build(2).stateDict();
      change(other);
      optimizer.loadStateDict(other);
    };
    expect(strange((state) => Object.assign(state, { step: 3 }))).toThrow(
      'SGD.loadStateDict: the state holds step, which this optimizer does not keep.',
    );
    expect(strange(({ groups }) => Object.assign(groups[0]!, { lr: 3 }))).toThrow(
      'group 0 of the state holds lr, which',
    );
    expect(strange(({ groups }) => Object.assign(groups[0]!.slots[0]!, { mean: null, age: 1 }))).toThrow(
      'parameter 0 of group 0 in the state holds mean, age, which',
    );
    const named = 'the options of group 0 are dampening, lr, momentum, nesterov, weightDecay, and those in the state';
    expect(strange(({ groups }) => Object.assign(groups[0]!.options, { speed: 1 }))).toThrow(
      `${named} dampening, lr, momentum, nesterov, speed, weightDecay.`,
    );
    expect(strange(({ groups }) => Object.assign(groups[0]!, { options: undefined }))).toThrow(`${named} none.`);
    expect(strange(({ groups }) => groups.splice(0, 1, null as never))).toThrow(`${named} none.`);
    expect(strange((state) => Object.assign(state, { groups: 3 }))).toThrow('the state has no list of groups.');
    expect(optimizer.groups[0]?.slots[0]?.velocity?.toArray()).toEqual(before);
  });

  it('takes a state of Adam from before weights could begin anew: none did', () => {
    const build = () => {
      const w = parameter(ones([2]));
      const optimizer = new Adam([w], { lr: 0.1 });
      descend(optimizer, w, tensor([3, 4]));
      return { w, optimizer };
    };
    const [old, now] = [build(), build()];
    const state = old.optimizer.stateDict();
    delete state.groups[0]!.slots[0]!.restarts;
    reset(now.w, { index: [1] }, 5);
    expect(now.optimizer.groups[0]!.slots[0]!.restarts?.toArray()).toEqual([0, 1]);
    now.optimizer.loadStateDict(state);
    expect(now.optimizer.stateDict()).toEqual(old.optimizer.stateDict());
    // Nothing else may be missing.
    delete state.groups[0]!.slots[0]!.mean;
    expect(() => now.optimizer.loadStateDict(state)).toThrow(
      'mean of parameter 0 in group 0 is missing or does not fit',
    );
  });

  it('refuses what it cannot optimize', () => {
    const w = parameter(ones([2]));
    expect(() => new SGD([], { lr: 1 })).toThrow(/no parameters to optimize/);
    expect(() => new SGD([w, w], { lr: 1 })).toThrow(/given twice/);
    expect(() => new SGD([w.mul(2)], { lr: 1 })).toThrow(/result of an operation/);
    expect(() => new SGD([3 as unknown as Tensor], { lr: 1 })).toThrow(/not a Tensor/);
    expect(() => new SGD(new Linear(1, 1) as unknown as Tensor[], { lr: 1 })).toThrow(/model\.parameters\(\)/);
  });

  it('refuses options out of range', () => {
    const w = [parameter(ones([1]))];
    expect(() => new SGD(w, { lr: -1 })).toThrow(/SGD: lr must be/);
    expect(() => new SGD(w, { lr: NaN })).toThrow(/SGD: lr must be/);
    expect(() => new SGD(w, {} as { lr: number })).toThrow(/SGD: lr must be a number from 0 up, but it is undefined/);
    expect(() => new SGD(w, { lr: 1, momentum: -0.1 })).toThrow(/momentum must be/);
    expect(() => new SGD(w, { lr: 1, weightDecay: -0.1 })).toThrow(/weightDecay must be/);
    expect(() => new SGD(w, { lr: 1, nesterov: true })).toThrow(/nesterov needs momentum above 0/);
    expect(() => new SGD(w, { lr: 1, momentum: 0.9, dampening: 0.1, nesterov: true })).toThrow(/nesterov needs/);
    expect(() => new SGD([{ parameters: w, momentum: -1 }], { lr: 1 })).toThrow(/momentum must be/);
    expect(() => new Adam(w, { betas: [0.9, 1] })).toThrow(/Adam: betas must be/);
    expect(() => new Adam(w, { betas: [-0.1, 0.5] })).toThrow(/Adam: betas must be/);
    expect(() => new AdamW(w, { eps: -1 })).toThrow(/AdamW: eps must be/);
  });
});

describe('a frozen parameter', () => {
  it('is passed over, and moves again once it is thawed', () => {
    const [w, frozen] = [parameter(tensor([1])), parameter(tensor([1]))];
    const optimizer = new SGD([w, frozen], { lr: 0.5 });
    const step = (): void => {
      const loss = w.add(frozen).sum();
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    };
    frozen.requiresGrad_(false);
    step();
    expect([w.item(), frozen.item()]).toEqual([0.5, 1]);
    frozen.requiresGrad_();
    step();
    expect([w.item(), frozen.item()]).toEqual([0, 0.5]);
  });
});

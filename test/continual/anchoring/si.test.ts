/** Synaptic intelligence: ways worked out by hand, and what they sum to. */
import { describe, expect, it } from 'vitest';
import { type SIOptions, si } from '../../../src/continual/anchoring/si.ts';
import { ContinualLearner } from '../../../src/continual/learner.ts';
import { Adam, noGrad, reset, SGD, type Tensor, tensor } from '../../../src/index.ts';
import { bench, blobs, closeTo, learn, learnAll, network, read, setTo } from './toys.ts';

const wayOf = (method: ReturnType<typeof si>, w: Tensor) => {
  const way = method.way(w);
  if (way === null) throw new Error('The way has not begun.');
  return { path: read(way.path), omega: read(way.omega), start: read(way.start) };
};

/** Two steps from [1, -2, 0]: to [0.5, -2, 1], then to [1.5, -1, 1]. W = -g (w after - w before), summed. */
function twoSteps(options: SIOptions) {
  const method = si(options);
  const one = bench(method, [1, -2, 0]);
  one.begin();
  one.step([2, 3, -1], setTo(one.w, [0.5, -2, 1]));
  one.step([1, -2, 4], setTo(one.w, [1.5, -1, 1]));
  return { method, ...one };
}
const brought = [2 * 0.5 - 1 * 1, -2 * -1, 1];
const distance = [0.5, 1, 1];
const omegaOf = (damping: number): number[] => brought.map((x, i) => x / (distance[i]! ** 2 + damping));

describe('the path integral', () => {
  it('adds -g (w after - w before), and becomes Omega by the squared distance and the damping', () => {
    const { method, w, end, begin } = twoSteps({ strength: 3, damping: 0.5 });
    expect(wayOf(method, w)).toEqual({ path: brought, omega: [0, 0, 0], start: [1, -2, 0] });
    end();
    closeTo(wayOf(method, w).omega, omegaOf(0.5), 1e-6);
    expect(wayOf(method, w)).toMatchObject({ path: [0, 0, 0], start: [1.5, -1, 1] });
    closeTo(
      read(method.held(w)?.precision as Tensor),
      omegaOf(0.5).map((x) => 6 * x),
    );
    expect(read(method.held(w)?.at as Tensor)).toEqual([1.5, -1, 1]);
    begin();
    expect(method.penalty()).toBe(0);
  });

  it('has damping 0.1 unless it is given', () => {
    const { method, w, end } = twoSteps({ strength: 1 });
    end();
    closeTo(wayOf(method, w).omega, omegaOf(0.1), 1e-6);
  });

  it('adds up over contexts, each measured from its own start, weights held at the latest values', () => {
    const { method, w, begin, step, end } = twoSteps({ strength: 1, damping: 1, path: 'loss' });
    end();
    begin();
    step([-1, 1, 0], setTo(w, [2.5, -1.5, 1]));
    end();
    const later = [1 / (1 + 1), 0.5 / (0.25 + 1), 0];
    closeTo(
      wayOf(method, w).omega,
      omegaOf(1).map((x, i) => x + later[i]!),
      1e-6,
    );
    expect(read(method.held(w)?.at as Tensor)).toEqual([2.5, -1.5, 1]);
  });

  it('counts a step from the values before it, whoever wrote them since the step before', () => {
    const method = si({ strength: 1 });
    const { w, begin, step } = bench(method, [0, 0]);
    begin();
    step([1, 1], setTo(w, [1, 1]));
    noGrad(setTo(w, [5, 5]));
    step([1, 2], setTo(w, [6, 3]));
    expect(wayOf(method, w).path).toEqual([-1 - 1, -1 + 4]);
  });

  it('begins where the context does', () => {
    const method = si({ strength: 1 });
    const { w, begin, end } = bench(method, [1]);
    begin();
    end();
    noGrad(setTo(w, [3]));
    begin();
    expect(wayOf(method, w).start).toEqual([3]);
  });

  it('leaves parameters without a gradient alone', () => {
    const method = si({ strength: 1 });
    const { w, begin } = bench(method, [1]);
    begin();
    w.grad = null;
    const step = { learning: { parameters: new Map([['w', w]]) } } as never;
    method.gradients?.(step);
    noGrad(setTo(w, [3]));
    method.stepped?.(step);
    expect(wayOf(method, w).path).toEqual([0]);
  });

  it.each(['total', 'loss'] as const)('sums to what the loss fell by, for small steps: path %s', (path) => {
    const model = network(3);
    const method = si({ strength: 1, path });
    const optimizer = new SGD(model.parameters(), { lr: 0.002 });
    const learner = new ContinualLearner({ model, optimizer, methods: [method] });
    const context = blobs(0, 4);
    const x = context.train.inputs(context.train.labels.map((_, i) => i));
    const lossNow = () => learner.learning.lossOf(model.forward(x), context.train.labels, context.head).item();
    learner.begin(context);
    const before = lossNow();
    learn(learner, context, 300);
    const fall = before - lossNow();
    const sum = model
      .parameters()
      .flatMap((w) => wayOf(method, w).path)
      .reduce((a, b) => a + b, 0);
    expect(fall).toBeGreaterThan(0.05);
    expect(sum / fall).toBeCloseTo(1, 2);
  });
});

describe('whose gradient counts', () => {
  // Precision 2 c Omega = 4, -2 or so at [1, 1] after the first context; then one step away and one more.
  const second = (options: Partial<SIOptions>) => {
    const method = si({ strength: 1, damping: 1, ...options });
    const { w, begin, step, end } = bench(method, [0, 0]);
    begin();
    step([-4, 2], setTo(w, [1, 1]));
    end();
    begin();
    const first = step([0, 0], setTo(w, [3, 2]));
    const seen = step([10, 20], setTo(w, [4, 0]));
    return { first, seen, path: wayOf(method, w).path, precision: read(method.held(w)?.precision as Tensor) };
  };

  it("'total' counts the penalty's pull as well, wherever it joins", () => {
    const { first, seen, path, precision } = second({});
    expect(precision).toEqual([4, -2]);
    expect(first).toEqual([0, 0]);
    expect(seen).toEqual([10 + 4 * 2, 20 - 2 * 1]);
    expect(path).toEqual([-18, 18 * 2]);
    const anchored = second({ step: 'explicit' });
    expect(anchored.precision).toEqual([4, 0]);
    expect(anchored.seen).toEqual([10, 20]);
    expect(anchored.path).toEqual([-18, 20 * 2]);
  });

  it("'loss' does not", () => {
    expect(second({ path: 'loss' }).path).toEqual([-10, 40]);
    expect(second({ path: 'loss', step: 'implicit' }).path).toEqual([-10, 40]);
  });
});

describe('an Omega below 0', () => {
  const precisionOf = (options: Partial<SIOptions>): { precision: number[]; omega: number[] } => {
    const method = si({ strength: 1, damping: 1, ...options });
    const { w, begin, step, end } = bench(method, [0, 0]);
    begin();
    step([-4, 4], setTo(w, [1, 1]));
    end();
    return { precision: read(method.held(w)?.precision as Tensor), omega: wayOf(method, w).omega };
  };

  it('pushes in the loss, as published', () => {
    expect(precisionOf({})).toEqual({ precision: [4, -4], omega: [2, -2] });
  });

  it('counts as 0 where that is asked, and in anchors, but is remembered', () => {
    for (const options of [{ clip: true }, { step: 'implicit' }, { step: 'explicit' }] as const)
      expect(precisionOf(options)).toEqual({ precision: [4, 0], omega: [2, -2] });
  });
});

describe('a training run', () => {
  it.each([
    ['Adam', (w: readonly Tensor[]) => new Adam(w, { lr: 0.01 })],
    ['SGD with momentum', (w: readonly Tensor[]) => new SGD(w, { lr: 0.05, momentum: 0.9 })],
  ])(
    'is plain training to the bit at strength 0, and stays finite at 1e10 (SGD in the implicit step), with %s',
    (name, optimizer) => {
      const run = (methods: ReturnType<typeof si>[]): number[] => {
        const model = network(1);
        const learner = new ContinualLearner({ model, optimizer: optimizer(model.parameters()), methods });
        learnAll(learner, [blobs(0, 1), blobs(1, 2)], 15);
        return model.parameters().flatMap(read);
      };
      const plain = run([]);
      const free = si({ strength: 0 });
      expect(run([free])).toEqual(plain);
      const { w, begin, end } = bench(free, [1]);
      begin();
      end();
      expect(free.held(w)).toBeNull();
      expect(run([si({ strength: 0, step: 'implicit' })])).toEqual(plain);
      expect(run([si({ strength: 1 })])).not.toEqual(plain);
      if (name === 'Adam') expect(run([si({ strength: 1e10 })]).every(Number.isFinite)).toBe(true);
      expect(run([si({ strength: 1e10, step: 'implicit' })]).every(Number.isFinite)).toBe(true);
      closeTo(run([si({ strength: 1, step: 'explicit' })]), run([si({ strength: 1, clip: true })]), 2e-3);
    },
  );
});

describe('weights that are drawn anew', () => {
  it.each(['loss', 'implicit'] as const)('have gone no way and are held by nothing: %s', (step) => {
    const { method, w, end, begin, step: take } = twoSteps({ strength: 1, damping: 1, step });
    end();
    begin();
    take([1, 1, 1], setTo(w, [2, 2, 2]));
    const before = wayOf(method, w);
    reset(w, { index: [1] }, 7);
    const after = wayOf(method, w);
    for (const name of ['path', 'omega'] as const) {
      expect(before[name][1]).not.toBe(0);
      expect(after[name]).toEqual([before[name][0], 0, before[name][2]]);
    }
    expect(after.start).toEqual([before.start[0], 7, before.start[2]]);
    const { at, precision } = method.held(w) as { at: Tensor; precision: Tensor };
    expect([read(at)[1], read(precision)[1]]).toEqual([7, 0]);
    expect(take([0, 5, 0], setTo(w, [2, 8, 2]))[1]).toBe(5);
    expect(wayOf(method, w).path[1]).toBe(-5);
    end();
    expect(wayOf(method, w).omega[1]).toBe(-5 / 2);
  });

  it('between the step and its count did not move', () => {
    const method = si({ strength: 1 });
    const { w, begin, step } = bench(method, [0, 0]);
    begin();
    step([1, 1], () => {
      setTo(w, [2, 2])();
      reset(w, { index: [0] }, 9);
    });
    expect(wayOf(method, w).path).toEqual([0, -2]);
  });
});

describe('options', () => {
  it('that cannot be are sentences when the method is made', () => {
    const make = (options: object) => () => si(options as SIOptions);
    expect(make({ strength: -1 })).toThrow('si: strength must be a finite number from 0 up, but it is -1.');
    expect(make({})).toThrow(/strength/);
    expect(make({ strength: 1, damping: 0 })).toThrow('si: damping must be a finite number above 0, but it is 0.');
    expect(make({ strength: 1, step: 'none' })).toThrow(/si: step is/);
    expect(make({ strength: 1, path: 'way' })).toThrow("si: path is 'total' or 'loss', not way.");
    expect(make({ strength: 1, clip: 1 })).toThrow('si: clip is true or false, not 1.');
    expect(make({ strength: 1, step: 'implicit', clip: false })).toThrow(/an anchor cannot push/);
    expect(si({ strength: 1 }).way(tensor([1]))).toBeNull();
  });
});

/** Anchors without contexts, against their formulas in ordinary arithmetic. */
import { describe, expect, it } from 'vitest';
import { type OnlineAnchorsOptions, onlineAnchors } from '../../../src/continual/anchoring/online.ts';
import { ContinualLearner } from '../../../src/continual/learner.ts';
import { Adam, mul, noGrad, reset, SGD, type Tensor, tensor } from '../../../src/index.ts';
import { bench, blobs, closeTo, learn, network, read, setTo } from './toys.ts';

/** A mean that forgets exponentially, and is divided by what a mean of ones would be. */
class CorrectedMean {
  #sum = 0;
  #weight = 0;
  readonly #decay: number;
  constructor(decay: number) {
    this.#decay = decay;
  }
  add(x: number): void {
    this.#sum = this.#decay * this.#sum + (1 - this.#decay) * x;
    this.#weight = this.#decay * this.#weight + (1 - this.#decay);
  }
  get value(): number {
    return this.#weight === 0 ? 0 : this.#sum / this.#weight;
  }
}

interface Settings {
  readonly importance: 'fisher' | 'mas' | 'si';
  readonly lambda: number;
  readonly lr: number;
}
const [decay, anchorDecay, damping] = [0.9, 0.8, 0.05];

/** One weight under w -= lr (g + lambda Omega (w - at)), as published. */
class Published {
  w: number;
  at = 0;
  precision = 0;
  readonly #settings: Settings;
  readonly #centre = new CorrectedMean(anchorDecay);
  readonly #importance = new CorrectedMean(decay);
  readonly #moved = new CorrectedMean(decay);

  constructor(w: number, settings: Settings) {
    this.w = w;
    this.#settings = settings;
  }

  step(g: number): void {
    const { importance, lambda, lr } = this.#settings;
    this.#centre.add(this.w);
    this.at = this.#centre.value;
    if (importance !== 'si') {
      this.#importance.add(importance === 'fisher' ? g * g : Math.abs(g));
      this.precision = lambda * this.#importance.value;
    }
    const by = -lr * (g + this.precision * (this.w - this.at));
    this.w += by;
    if (importance !== 'si') return;
    this.#importance.add(-g * by);
    this.#moved.add(by);
    this.precision = lambda * Math.max(0, this.#importance.value / (this.#moved.value ** 2 + damping));
  }
}

const gradientOf = (step: number, i: number): number => Math.fround(2 * Math.sin(1 + 1.7 * step + i) + 0.3 * i);

describe('onlineAnchors', () => {
  const importances = ['fisher', 'mas', 'si'] as const;

  for (const importance of importances)
    for (const step of ['explicit', 'loss'] as const)
      it(`takes the published step with SGD: ${importance}, ${step}`, () => {
        const method = onlineAnchors({ lambda: 0.7, importance, decay, anchorDecay, damping, step, clip: true });
        const { w, step: take } = bench(method, [1, -0.5, 0.25]);
        const sgd = new SGD([w], { lr: 0.1 });
        const twins = [1, -0.5, 0.25].map((x) => new Published(x, { importance, lambda: 0.7, lr: 0.1 }));
        for (let n = 0; n < 30; n++) {
          const g = twins.map((_, i) => gradientOf(n, i));
          take(g, () => sgd.step());
          for (const [i, twin] of twins.entries()) twin.step(g[i]!);
        }
        closeTo(
          read(w),
          twins.map((twin) => twin.w),
        );
        const { at, precision } = method.held(w) as { at: Tensor; precision: Tensor };
        closeTo(
          read(at),
          twins.map((twin) => twin.at),
        );
        closeTo(
          read(precision),
          twins.map((twin) => twin.precision),
          1e-4,
        );
        expect(Math.max(...twins.map((twin) => Math.abs(twin.precision * (twin.w - twin.at))))).toBeGreaterThan(0.01);
      });

  it('steps to the minimum of gradient and pull where it is implicit', () => {
    const method = onlineAnchors({ lambda: 2, decay, anchorDecay, step: 'implicit' });
    const { w, step } = bench(method, [1]);
    const sgd = new SGD([w], { lr: 0.1 });
    step([3], () => sgd.step());
    expect(read(w)[0]).toBeCloseTo(1 - 3 / (1 / 0.1 + 2 * 9), 6);
  });

  it('lets an importance below 0 push where its gradient is added to that of the loss, unless it is clipped', () => {
    const pushed = [false, true].map((clip) => {
      const method = onlineAnchors({ lambda: 1, importance: 'si', damping: 1, step: 'loss', clip });
      const { w, step } = bench(method, [0]);
      step([2], setTo(w, [1]));
      return { precision: read(method.held(w)?.precision as Tensor)[0], seen: step([0], () => {})[0]! };
    });
    expect(pushed[0]?.precision).toBeCloseTo(-2 / (1 + 1), 5);
    expect(pushed[0]?.seen).toBeLessThan(0);
    expect(pushed[1]).toEqual({ precision: 0, seen: 0 });
  });

  it('changes nothing in the first step, and nothing at lambda 0, to the bit', () => {
    for (const importance of importances) {
      const { step } = bench(onlineAnchors({ lambda: 5, importance, step: 'loss' }), [1, 2]);
      expect(step([0.1, -3], () => {})).toEqual([Math.fround(0.1), -3]);
    }
    for (const optimizer of [
      (w: readonly Tensor[]) => new Adam(w, { lr: 0.01 }),
      (w: readonly Tensor[]) => new SGD(w, { lr: 0.05, momentum: 0.9 }),
    ]) {
      const run = (methods: ReturnType<typeof onlineAnchors>[]): number[] => {
        const model = network(1);
        const learner = new ContinualLearner({ model, optimizer: optimizer(model.parameters()), methods });
        learn(learner, blobs(0, 1), 30);
        return model.parameters().flatMap(read);
      };
      const plain = run([]);
      for (const step of ['loss', 'explicit', 'implicit'] as const) {
        expect(run([onlineAnchors({ lambda: 0, step })])).toEqual(plain);
        for (const importance of importances) {
          const held = run([onlineAnchors({ lambda: 10, importance, step, clip: true })]);
          expect(held.every(Number.isFinite)).toBe(true);
          expect(held).not.toEqual(plain);
        }
      }
      const [added, explicit] = (['loss', 'explicit'] as const).map((step) =>
        run([onlineAnchors({ lambda: 10, step })]),
      );
      closeTo(added as number[], explicit as number[], 1e-3);
    }
  });

  it('holds, and lets go of all when it is released', () => {
    const method = onlineAnchors({ lambda: 3 });
    const { w, step } = bench(method, [1, 2]);
    for (let i = 0; i < 5; i++) step([1, 1], setTo(w, [i, -i]));
    expect(method.penalty()).toBeGreaterThan(0);
    method.release();
    expect([method.penalty(), method.held(w)]).toEqual([0, null]);
    const before = read(w);
    w.grad = null;
    new SGD([w], { lr: 1 }).step();
    expect(read(w)).toEqual(before);
    step([1, 1], () => {});
    expect(read(method.held(w)?.at as Tensor)).toEqual(before);
  });

  it('leaves parameters without a gradient alone, and gradients with others who look at them', () => {
    const method = onlineAnchors({ lambda: 3, step: 'loss' });
    const { w, step } = bench(method, [1, 2]);
    step([1, 1], setTo(w, [3, 3]));
    w.grad = null;
    method.gradients?.({ learning: { parameters: new Map([['w', w]]) } } as never);
    expect(read(method.held(w)?.at as Tensor)).toEqual([1, 2]);
    expect(w.grad).toBeNull();
    const shared = tensor([1, 1]);
    mul(w, shared).sum().backward();
    method.gradients?.({ learning: { parameters: new Map([['w', w]]) } } as never);
    expect(read(shared)).toEqual([1, 1]);
    expect(read(w.grad as unknown as Tensor)).not.toEqual([1, 1]);
  });

  for (const importance of importances)
    it(`begins again with weights that are drawn anew, and goes on with the others: ${importance}`, () => {
      const settings = { importance, lambda: 0.7, lr: 0.1 };
      const method = onlineAnchors({ lambda: 0.7, importance, decay, anchorDecay, damping, step: 'loss', clip: true });
      const { w, step } = bench(method, [1, -0.5]);
      const sgd = new SGD([w], { lr: 0.1 });
      const twins = [new Published(1, settings), new Published(-0.5, settings)];
      for (let n = 0; n < 40; n++) {
        if (n === 10 || n === 11 || n === 25) {
          reset(w, { index: [1] }, 0.1 * n);
          twins[1] = new Published(Math.fround(0.1 * n), settings);
          const { at, precision } = method.held(w) as { at: Tensor; precision: Tensor };
          expect([read(at)[1], read(precision)[1]]).toEqual([Math.fround(0.1 * n), 0]);
        }
        const g = [gradientOf(n, 0), gradientOf(n, 1)];
        step(g, () => sgd.step());
        for (const [i, twin] of twins.entries()) twin.step(g[i]!);
        closeTo(
          read(w),
          twins.map((twin) => twin.w),
          2e-5,
        );
      }
    });

  it('takes no harm from weights that are drawn anew within a step', () => {
    const method = onlineAnchors({ lambda: 1, importance: 'si', damping: 1, step: 'loss' });
    const { w, step } = bench(method, [0, 0]);
    step([1, 1], setTo(w, [1, 1]));
    step([1, 1], () => {
      setTo(w, [2, 2])();
      reset(w, { index: [0] }, 9);
    });
    const { at, precision } = method.held(w) as { at: Tensor; precision: Tensor };
    expect([read(at)[0], read(precision)[0]]).toEqual([9, 0]);
    step([1, 1], setTo(w, [8, 1]));
    expect(read(precision)[0]).toBeCloseTo(1 / (1 + 1), 5);
    expect([...read(at), ...read(precision)].every(Number.isFinite)).toBe(true);
  });

  it('counts a step from the values before it, whoever wrote them since the step before', () => {
    const method = onlineAnchors({ lambda: 1, importance: 'si', decay: 0, damping: 1, step: 'loss' });
    const { w, step } = bench(method, [0]);
    step([0], setTo(w, [1]));
    noGrad(setTo(w, [5]));
    step([3], setTo(w, [4]));
    // The pull at 5 is 0, since the mean importance of the first step is.
    expect(read(method.held(w)?.precision as Tensor)[0]).toBeCloseTo(3 / (1 + 1), 5);
  });

  it('says what options cannot be when it is made', () => {
    const make = (options: object) => () => onlineAnchors(options as OnlineAnchorsOptions);
    expect(make({ lambda: -1 })).toThrow('onlineAnchors: lambda must be a finite number from 0 up');
    expect(make({ lambda: 1, importance: 'ewc' })).toThrow("importance is 'fisher', 'mas' or 'si', not ewc.");
    for (const share of [1, -0.1, Number.NaN]) {
      expect(make({ lambda: 1, decay: share })).toThrow('onlineAnchors: decay must be a number from 0 up and below 1');
      expect(make({ lambda: 1, anchorDecay: share })).toThrow('onlineAnchors: anchorDecay must be');
    }
    expect(make({ lambda: 1, damping: 0 })).toThrow('onlineAnchors: damping must be');
    expect(make({ lambda: 1, step: 'none' })).toThrow('onlineAnchors: step is');
    expect(make({ lambda: 1, clip: 0 })).toThrow('onlineAnchors: clip is true or false');
    expect(make({ lambda: 1, clip: false })).toThrow(/an anchor cannot push/);
  });
});

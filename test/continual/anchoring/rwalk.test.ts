/** Riemannian walk, against its formulas in ordinary arithmetic. */
import { describe, expect, it } from 'vitest';
import { type RWalkOptions, rwalk } from '../../../src/continual/anchoring/rwalk.ts';
import { ContinualLearner } from '../../../src/continual/learner.ts';
import { Adam, noGrad, reset, SGD, type Tensor, tensor } from '../../../src/index.ts';
import { bench, blobs, closeTo, learnAll, network, read, setTo } from './toys.ts';

const walkOf = (method: ReturnType<typeof rwalk>, w: Tensor) => {
  const walk = method.walk(w);
  if (walk === null) throw new Error('Nothing is known.');
  return { fisher: read(walk.fisher), score: read(walk.score), past: read(walk.past) };
};
const precisionOf = (method: ReturnType<typeof rwalk>, w: Tensor) => read(method.held(w)?.precision as Tensor);

/** Gradients and the values after each step, of two weights. The second one's way makes the loss worse. */
const gradients = [
  [2, 1],
  [-1, 3],
  [4, -2],
  [1, 1],
  [0.5, 0.25],
];
const values = [
  [0.5, 1],
  [1, 1.5],
  [0.25, 1],
  [0.5, 1.25],
  [0.25, 1.5],
];

/** The same in ordinary arithmetic, in one context that begins at `start`. */
function expected(start: readonly number[], alpha: number, every: number, damping: number) {
  return start.map((began, i) => {
    let [w, from, fisher, fall, score] = [began, began, Number.NaN, 0, 0];
    const stretch = () => {
      score += Math.max(0, fall / (0.5 * fisher * (w - from) ** 2 + damping));
      [fall, from] = [0, w];
    };
    for (const [n, g] of gradients.map((row) => row[i]!).entries()) {
      fisher = n === 0 ? g * g : alpha * g * g + (1 - alpha) * fisher;
      const next = values[n]![i]!;
      fall -= g * (next - w);
      w = next;
      if ((n + 1) % every === 0) stretch();
    }
    if (gradients.length % every !== 0) stretch();
    return { fisher, score };
  });
}

function walked(options: RWalkOptions) {
  const method = rwalk(options);
  const one = bench(method, [1, 0.5]);
  one.begin();
  for (const [n, g] of gradients.entries()) one.step(g, setTo(one.w, values[n]!));
  return { method, ...one };
}

describe('rwalk', () => {
  it.each([
    [0.9, 2],
    [0.3, 5],
    [1, 1],
    [0.5, 10],
  ])('has F and scores by stretches, with alpha %d, every %d steps', (alpha, every) => {
    const { method, w, end } = walked({ lambda: 0.5, alpha, every, damping: 0.01, normalize: false });
    const wanted = expected([1, 0.5], alpha, every, 0.01);
    end();
    const { fisher, past, score } = walkOf(method, w);
    closeTo(
      fisher,
      wanted.map((one) => one.fisher),
    );
    closeTo(
      past,
      wanted.map((one) => one.score),
    );
    expect(score).toEqual([0, 0]);
    // lambda (F + s) (w - w*)^2: without 1/2.
    closeTo(
      precisionOf(method, w),
      wanted.map((one) => one.fisher + one.score),
    );
    expect(read(method.held(w)?.at as Tensor)).toEqual(values.at(-1));
    expect(method.penalty()).toBe(0);
  });

  it('normalizes both by their largest values over all weights unless told not to', () => {
    const { method, w, end } = walked({ lambda: 0.5 });
    const wanted = expected([1, 0.5], 0.9, 10, 2 ** -23);
    end();
    const [mostF, mostS] = [Math.max(...wanted.map((o) => o.fisher)), Math.max(...wanted.map((o) => o.score))];
    closeTo(
      precisionOf(method, w),
      wanted.map((one) => one.fisher / mostF + one.score / mostS),
    );
    expect(walkOf(method, w).fisher).not.toEqual(precisionOf(method, w));
  });

  it('averages the scores of contexts, and takes its own penalty out of the gradient', () => {
    const { method, w, end, begin, step } = walked({ lambda: 1, alpha: 1, every: 1, damping: 0.5, normalize: false });
    const scores = expected([1, 0.5], 1, 1, 0.5).map(({ score }) => score) as [number, number];
    end();
    begin();
    step([0, 0], setTo(w, [1.25, 1.5]));
    const seen = step([2, 1], setTo(w, [0.25, 1.5]));
    expect(seen[0]! - 2).toBeCloseTo(2 * (0.25 + scores[0]), 4);
    expect(seen[1]).toBe(1);
    closeTo(walkOf(method, w).fisher, [4, 1]);
    closeTo(walkOf(method, w).score, [2 / (0.5 * 4 + 0.5), 0]);
    end();
    closeTo(walkOf(method, w).past, [0.5 * (scores[0] + 0.8), 0.5 * scores[1]]);
  });

  it('sees no penalty in the gradient where anchors hold', () => {
    const { method, w, end, begin, step } = walked({ lambda: 1, alpha: 1, every: 1, step: 'explicit' });
    end();
    begin();
    step([0, 0], setTo(w, [1.25, 1.5]));
    expect(step([3, 1], setTo(w, [0.25, 1.5]))).toEqual([3, 1]);
    expect(walkOf(method, w).fisher).toEqual([9, 1]);
  });

  it('counts a step from the values before it, and a stretch from where its context began', () => {
    const method = rwalk({ lambda: 1, every: 1, damping: 1, normalize: false });
    const { w, begin, step, end } = bench(method, [0]);
    noGrad(setTo(w, [5]));
    begin();
    step([1], setTo(w, [3]));
    closeTo(walkOf(method, w).score, [2 / (0.5 * 4 + 1)]);
    noGrad(setTo(w, [7]));
    step([1], setTo(w, [6]));
    closeTo(walkOf(method, w).score, [2 / 3 + 1 / (0.5 * 9 + 1)]);
    end();
    noGrad(setTo(w, [1]));
    begin();
    step([1], setTo(w, [0.5]));
    const { fisher, score } = walkOf(method, w);
    closeTo(score, [0.5 / (0.5 * fisher[0]! * 0.25 + 1)]);
  });

  it('lets go of weights that are drawn anew, and begins again with them', () => {
    const { method, w, end, begin, step } = walked({ lambda: 1, alpha: 0.5, every: 2, damping: 1, normalize: false });
    end();
    begin();
    step([3, 3], setTo(w, [0, 2]));
    step([3, 3], setTo(w, [-1, 1]));
    step([3, 3], setTo(w, [-2, 0]));
    const before = walkOf(method, w);
    expect(Math.min(before.fisher[0]!, before.score[0]!, before.past[0]!)).toBeGreaterThan(0);
    reset(w, { index: [0] }, 4);
    const after = walkOf(method, w);
    for (const name of ['fisher', 'score', 'past'] as const) expect(after[name]).toEqual([0, before[name][1]]);
    const { at, precision } = method.held(w) as { at: Tensor; precision: Tensor };
    expect([read(at)[0], read(precision)[0]]).toEqual([4, 0]);
    expect(step([2, 0], setTo(w, [3, 0]))[0]).toBe(2);
    closeTo([walkOf(method, w).fisher[0]!, walkOf(method, w).score[0]!], [2, 2 / (0.5 * 2 * 1 + 1)]);
  });

  it('counts no movement of weights that are drawn anew within a step', () => {
    const method = rwalk({ lambda: 1, every: 1, damping: 1, normalize: false });
    const { w, begin, step } = bench(method, [0, 0]);
    begin();
    step([-1, -1], () => {
      setTo(w, [2, 2])();
      reset(w, { index: [0] }, 9);
    });
    closeTo(walkOf(method, w).score, [0, 2 / (0.5 * 4 + 1)]);
  });

  it.each([
    ['Adam', (w: readonly Tensor[]) => new Adam(w, { lr: 0.01 })],
    ['SGD with momentum', (w: readonly Tensor[]) => new SGD(w, { lr: 0.05, momentum: 0.9 })],
  ])('is plain training to the bit at lambda 0, and explicit as in the loss, with %s', (_, optimizer) => {
    const run = (methods: ReturnType<typeof rwalk>[]): number[] => {
      const model = network(1);
      const learner = new ContinualLearner({ model, optimizer: optimizer(model.parameters()), methods });
      learnAll(learner, [blobs(0, 1), blobs(1, 2)], 15);
      return model.parameters().flatMap(read);
    };
    const plain = run([]);
    const free = rwalk({ lambda: 0 });
    expect(run([free])).toEqual(plain);
    expect(free.penalty()).toBe(0);
    const { w, begin, end } = bench(free, [1]);
    begin();
    end();
    expect(free.held(w)).toBeNull();
    const penalized = run([rwalk({ lambda: 0.1 })]);
    expect(() => closeTo(penalized, plain, 1e-3)).toThrow();
    closeTo(run([rwalk({ lambda: 0.1, step: 'explicit' })]), penalized, 1e-3);
    expect(run([rwalk({ lambda: 1e10, step: 'implicit' })]).every(Number.isFinite)).toBe(true);
  });

  it('says what options cannot be when it is made', () => {
    const make = (options: object) => () => rwalk(options as RWalkOptions);
    expect(make({ lambda: -1 })).toThrow('rwalk: lambda must be a finite number from 0 up');
    for (const alpha of [0, 1.1, Number.NaN]) expect(make({ lambda: 1, alpha })).toThrow(/rwalk: alpha must be/);
    expect(make({ lambda: 1, every: 0 })).toThrow('rwalk: every (the steps of a stretch) must be');
    expect(make({ lambda: 1, damping: 0 })).toThrow('rwalk: damping must be');
    expect(make({ lambda: 1, normalize: 'yes' })).toThrow('rwalk: normalize is true or false');
    expect(make({ lambda: 1, step: 1 })).toThrow('rwalk: step is');
    expect(rwalk({ lambda: 1 }).walk(tensor([1]))).toBeNull();
  });
});

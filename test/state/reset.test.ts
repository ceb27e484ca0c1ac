/** Resets: weights that start anew, and that nothing of the old ones reaches them, whoever held it. */
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import '../../src/ops/methods.ts';
import { PublishedAdam } from '../../src/continual/published-adam.ts';
import { mul } from '../../src/ops/binary.ts';
import { transpose } from '../../src/ops/shape.ts';
import { Adam, AdamW } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { SelectiveBackpropagation } from '../../src/rules/selective.ts';
import { anchor } from '../../src/state/anchor.ts';
import { leafGate, plasticity } from '../../src/state/gate.ts';
import { elementsOf, onReset, type Part, reset } from '../../src/state/reset.ts';
import { forget, keep, kept } from '../../src/state/side-state.ts';
import { arange, full, ones, tensor, zeros } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const push = (w: Tensor, g: readonly number[]): void => mul(w, tensor(g, w.shape)).sum().backward();

interface Stepper {
  step(): void;
  zeroGrad(): void;
}
/** One step with this gradient. */
function step(optimizer: Stepper, w: Tensor, g: readonly number[]): void {
  optimizer.zeroGrad();
  push(w, g);
  optimizer.step();
}

/** Sends the optimizer the long way, which anchors and gates need. */
function guided(w: Tensor, optimizer: Stepper): Stepper {
  plasticity(w, 1);
  return optimizer;
}

const start = [1, -1, 2, 0.5];
const matrix = () => parameter(tensor(start, [2, 2]));
/** The gradient of step t: different for each weight, and for one now more, now less. */
const slope = (t: number) => [1 + t, -2, 0.5 * t + 1, 4 - (t % 4)];
const none = [0, 0, 0, 0];

describe('which weights a part names', () => {
  const w = zeros([2, 3, 2]);
  it.each<[Part, number[]]>([
    [{ rows: [1] }, [6, 7, 8, 9, 10, 11]],
    [{ columns: [2, 0] }, [4, 5, 0, 1, 10, 11, 6, 7]],
    [{ index: [3, 11] }, [3, 11]],
    [{ rows: [] }, []],
  ])('%j', (part, expected) => expect([...elementsOf('test', w, part)]).toEqual(expected));

  it('is an error where there is none such, or one is named twice', () => {
    expect(() => elementsOf('reset', w, { rows: [2] })).toThrow(
      /row 2 is not in a parameter of shape \[2, 3, 2\].*0 to 1/,
    );
    expect(() => elementsOf('reset', w, { columns: [-1] })).toThrow(/column -1/);
    expect(() => elementsOf('reset', w, { index: [0.5] })).toThrow(/element 0.5/);
    expect(() => elementsOf('reset', w, { rows: [1, 1] })).toThrow(/1 is named twice/);
    expect(() => elementsOf('reset', zeros([3]), { columns: [0] })).toThrow(/has no columns/);
  });
});

describe('reset', () => {
  it('writes a number for all, or one for each in the order of the part', () => {
    const w = matrix();
    reset(w, { rows: [1] }, 7);
    expect(read(w)).toEqual([1, -1, 7, 7]);
    reset(w, { columns: [1, 0] }, [10, 20, 30, 40]);
    expect(read(w)).toEqual([20, 10, 40, 30]);
  });

  it('writes into a parameter whose elements do not stand in a row', () => {
    const w = transpose(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ).detach();
    const view = transpose(w).requiresGrad_();
    reset(view, { rows: [0] }, [8, 9]);
    expect(read(view)).toEqual([8, 9, 3, 4]);
  });

  it('tells listeners after the numbers stand there, until they are taken off', () => {
    const w = matrix();
    const heard: unknown[] = [];
    const remove = onReset(w, (elements, part) => heard.push([[...elements], part, read(w)]));
    reset(w, { columns: [0] }, 0);
    expect(heard).toEqual([[[0, 2], { columns: [0] }, [0, -1, 0, 0.5]]]);
    reset(matrix(), { rows: [0] }, 0);
    reset(w, { rows: [] }, 0);
    remove();
    reset(w, { rows: [0] }, 0);
    expect(heard.length).toBe(1);
  });

  it('tells every listener, however many there are', () => {
    const w = matrix();
    let heard = 0;
    for (let i = 0; i < 20; i++) onReset(w, () => heard++);
    reset(w, { rows: [0] }, 0);
    expect(heard).toBe(20);
  });

  it('is a sentence for what has no weights of its own, and for the wrong number of values', () => {
    const w = matrix();
    expect(() => reset(mul(w, 2), { rows: [0] }, 0)).toThrow(/result of an operation/);
    expect(() => reset(w, { rows: [0] }, [1])).toThrow(/1 numbers for 2 weights/);
    expect(read(w)).toEqual(start);
  });

  it('is noticed by a graph that has yet to go back through the old weights', () => {
    const w = matrix();
    const loss = mul(w, w).sum();
    reset(w, { rows: [0] }, 0);
    expect(() => loss.backward()).toThrow();
  });

  it('does not keep an optimizer alive', async () => {
    const w = matrix();
    const forgotten = (() => new WeakRef(new SGD([w], { lr: 1 }).groups[0]!.slots[0]!))();
    await new Promise((resolve) => setTimeout(resolve, 5));
    (globalThis as unknown as { gc(): void }).gc();
    expect(forgotten.deref()).toBeUndefined();
    for (let i = 0; i < 20; i++) new SGD([w], { lr: 1 });
    reset(w, { rows: [0] }, 0);
  });
});

describe('optimizers let go of the old weights', () => {
  const newborn = [4, -3];
  const builds: [string, (w: Tensor) => Stepper][] = [
    ['SGD with momentum', (w) => new SGD([w], { lr: 0.1, momentum: 0.9 })],
    [
      'SGD with momentum, nesterov and decay',
      (w) => new SGD([w], { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.1 }),
    ],
    ['Adam', (w) => new Adam([w], { lr: 0.1 })],
    ['Adam with decay', (w) => new Adam([w], { lr: 0.1, weightDecay: 0.2 })],
    ['Adam with amsgrad', (w) => new Adam([w], { lr: 0.1, betas: [0.9, 0.5], amsgrad: true })],
    ['AdamW', (w) => new AdamW([w], { lr: 0.1, weightDecay: 0.5 })],
    ['AdamW, guided', (w) => guided(w, new AdamW([w], { lr: 0.1, weightDecay: 0.5 }))],
    ['Adam with amsgrad, guided', (w) => guided(w, new Adam([w], { lr: 0.1, betas: [0.9, 0.5], amsgrad: true }))],
    ['SGD with momentum, guided', (w) => guided(w, new SGD([w], { lr: 0.1, momentum: 0.9 }))],
    ['PublishedAdam', (w) => new PublishedAdam([w], { lr: 0.1 })],
  ];
  const parts: [string, Part, number[]][] = [
    ['a row', { rows: [1] }, [2, 3]],
    ['a column', { columns: [0] }, [0, 2]],
    ['single weights', { index: [1, 2] }, [1, 2]],
  ];
  for (const [name, build] of builds)
    it.each(parts)(
      `${name}: new weights (%s) go as under a new optimizer, the others as without a reset`,
      (_, part, at) => {
        const [w, undisturbed] = [matrix(), matrix()];
        const [optimizer, other] = [build(w), build(undisturbed)];
        for (let t = 0; t < 7; t++) {
          step(optimizer, w, slope(t));
          step(other, undisturbed, slope(t));
        }
        reset(w, part, newborn);
        const fresh = matrix();
        reset(fresh, part, newborn);
        const young = build(fresh);
        for (let t = 7; t < 12; t++) {
          step(optimizer, w, slope(t));
          step(other, undisturbed, slope(t));
          step(young, fresh, slope(t));
          read(w).forEach((x, i) => {
            expect(x).toBeCloseTo(read(at.includes(i) ? fresh : undisturbed)[i]!, 5);
          });
        }
      },
    );

  it('so that a new weight without a gradient stays where it is, though the old one was moving', () => {
    for (const build of [builds[0]![1], builds[2]![1], builds[4]![1], builds[9]![1]]) {
      const w = matrix();
      const optimizer = build(w);
      for (let t = 0; t < 3; t++) step(optimizer, w, slope(t));
      reset(w, { rows: [0] }, newborn);
      const before = read(w);
      step(optimizer, w, none);
      expect(read(w).slice(0, 2)).toEqual(newborn);
      expect(read(w).slice(2)).not.toEqual(before.slice(2));
    }
  });

  it('twice, and before the first step too', () => {
    const w = matrix();
    const optimizer = new Adam([w], { lr: 0.1 });
    reset(w, { rows: [0] }, newborn);
    expect(optimizer.stateDict().groups[0]!.slots[0]).toMatchObject({ steps: 0, restarts: null });
    for (let t = 0; t < 3; t++) step(optimizer, w, slope(t));
    reset(w, { rows: [0] }, newborn);
    step(optimizer, w, slope(3));
    reset(w, { columns: [0] }, newborn);
    const { restarts } = optimizer.stateDict().groups[0]!.slots[0]!;
    expect(read(restarts as Tensor)).toEqual([4, 3, 4, 0]);
    step(optimizer, w, [1, 1, 1, 1]);
    // Adam's first step is lr, whatever the gradient.
    expect(read(w)[0]).toBeCloseTo(4 - 0.1, 5);
    expect(read(w)[2]).toBeCloseTo(-3 - 0.1, 5);
  });

  it('Adam reads its state back and goes on to the bit', () => {
    const w = matrix();
    const optimizer = new Adam([w], { lr: 0.1 });
    for (let t = 0; t < 3; t++) step(optimizer, w, slope(t));
    reset(w, { rows: [0] }, newborn);
    step(optimizer, w, slope(3));
    const copy = parameter(w.detach());
    const resumed = new Adam([copy], { lr: 0.1 });
    resumed.loadStateDict(optimizer.stateDict());
    for (let t = 4; t < 7; t++) {
      step(optimizer, w, slope(t));
      step(resumed, copy, slope(t));
    }
    expect(read(copy)).toEqual(read(w));
  });
});

describe('anchors let go of the old weights', () => {
  for (const form of ['implicit', 'explicit'] as const) {
    it(`${form}: new weights are not drawn back, and are free to go; the others are held`, () => {
      const w = matrix();
      const held = anchor(w, { at: zeros([2, 2]), precision: full([2, 2], 0.5), step: form });
      const optimizer = new SGD([w], { lr: 1 });
      reset(w, { rows: [0] }, [4, -3]);
      step(optimizer, w, none);
      expect(read(w).slice(0, 2)).toEqual([4, -3]);
      const share = form === 'implicit' ? 1 / 1.5 : 0.5;
      expect(read(w)[2]).toBeCloseTo(2 * share, 6);
      step(optimizer, w, [1, 1, 0, 0]);
      expect(read(w).slice(0, 2)).toEqual([3, -4]);
      expect(read(held.precision)).toEqual([0, 0, 0.5, 0.5]);
      expect(read(held.at)).toEqual([4, -3, 0, 0]);
    });

    it(`${form}: under Adam and AdamW too`, () => {
      for (const build of [Adam, AdamW]) {
        const w = matrix();
        anchor(w, { at: zeros([2, 2]), precision: full([2, 2], 100), step: form });
        const optimizer = new build([w], { lr: 0.1, weightDecay: 0 });
        for (let t = 0; t < 3; t++) step(optimizer, w, slope(t));
        reset(w, { columns: [1] }, [4, -3]);
        step(optimizer, w, none);
        expect(read(w)[1]).toBe(4);
        expect(read(w)[3]).toBe(-3);
      }
    });
  }

  it('a precision that is one number for all stays, and draws new weights to where they began', () => {
    const w = matrix();
    const held = anchor(w, { at: zeros([2, 2]), precision: 1 });
    reset(w, { rows: [0] }, [4, -3]);
    const optimizer = new SGD([w], { lr: 1 });
    step(optimizer, w, none);
    expect(read(w)).toEqual([4, -3, 1, 0.25]);
    expect(held.penalty()).toBe((1 + 0.25 ** 2) / 2);
  });

  it('a precision for each row becomes 0 for rows that are all new, and stays where they are in part', () => {
    const w = matrix();
    const held = anchor(w, { precision: tensor([[2], [3]]) });
    reset(w, { rows: [1] }, 0);
    expect(read(held.precision)).toEqual([2, 0]);
    reset(w, { columns: [0] }, 0);
    expect(read(held.precision)).toEqual([2, 0]);
    reset(w, { index: [0, 1] }, 0);
    expect(read(held.precision)).toEqual([0, 0]);
  });
});

describe('gates open for new weights', () => {
  it('plasticity: what was frozen moves; what is not new stays frozen', () => {
    const w = matrix();
    const gate = zeros([2, 2]);
    plasticity(w, gate);
    reset(w, { rows: [0] }, [4, -3]);
    step(new SGD([w], { lr: 1 }), w, [1, 1, 1, 1]);
    expect(read(w)).toEqual([3, -4, 2, 0.5]);
    expect(read(gate)).toEqual([1, 1, 0, 0]);
  });

  it('a gate on the leaf, of a row each, not contiguous', () => {
    const w = matrix();
    const gate = transpose(zeros([2, 2]));
    leafGate(w, gate);
    reset(w, { columns: [1] }, 0);
    push(w, [1, 2, 3, 4]);
    expect(read(w.grad!)).toEqual([0, 2, 0, 4]);
  });

  it('one number for all is the learning rate of all, and stays', () => {
    const w = matrix();
    const gate = tensor([0.5]);
    plasticity(w, gate);
    plasticity(w, 0.5);
    plasticity(w, () => 0.5);
    reset(w, { rows: [0, 1] }, 0);
    step(new SGD([w], { lr: 8 }), w, [1, 1, 1, 1]);
    expect(read(w)).toEqual([-1, -1, -1, -1]);
  });
});

describe('named state starts anew for new weights', () => {
  it('with what was kept at first, number for number; the rest stays', () => {
    const w = matrix();
    const confidence = keep(w, 'confidence', full([2, 2], 0.5));
    const ages = keep(w, 'ages', arange(4).reshape([2, 2]));
    const total = keep(w, 'total', tensor([1, 2]));
    confidence.fill_(0.9);
    ages.fill_(10);
    total.fill_(5);
    reset(w, { columns: [1] }, 0);
    expect(read(confidence)).toEqual([0.9, 0.5, 0.9, 0.5].map(Math.fround));
    expect(read(ages)).toEqual([10, 1, 10, 3]);
    expect(read(total)).toEqual([5, 5]);
    forget(w, 'ages');
    keep(w, 'ages', zeros([2, 2])).fill_(3);
    reset(w, { rows: [0] }, 0);
    expect(read(kept(w, 'ages')!)).toEqual([0, 0, 3, 3]);
  });

  it('so that selective backpropagation does not protect a newborn', () => {
    const w = matrix();
    const optimizer = new SGD([w], { lr: 0.1 });
    const selective = new SelectiveBackpropagation([w], { optimizer, every: 1 });
    for (let t = 0; t < 3; t++) {
      optimizer.zeroGrad();
      push(w, [1, 2, 3, 4]);
      selective.step({ correct: 1, total: 2 });
    }
    expect(read(selective.confidence(w)).every((c) => c > 0)).toBe(true);
    reset(w, { rows: [1] }, [1, 1]);
    expect(read(selective.confidence(w)).slice(2)).toEqual([0, 0]);
    optimizer.zeroGrad();
    push(w, [1, 1, 1, 1]);
    selective.step({ correct: 1, total: 2 });
    expect(read(w)[2]).toBeCloseTo(0.9, 6);
    expect(read(w)[3]).toBeCloseTo(0.9, 6);
    selective.remove();
  });
});

it('all holders hear of one reset at once', () => {
  const w = parameter(ones([2, 2]));
  const optimizers = [new Adam([w], { lr: 0 }), new AdamW([w], { lr: 0 }), new SGD([w], { lr: 0, momentum: 0.5 })];
  const held = anchor(w, { precision: ones([2, 2]) });
  const gate = zeros([2, 2]);
  plasticity(w, gate);
  for (const optimizer of optimizers) {
    optimizer.zeroGrad();
    push(w, [1, 1, 1, 1]);
    optimizer.step();
  }
  reset(w, { rows: [0] }, 9);
  for (const optimizer of optimizers)
    for (const [name, value] of Object.entries(optimizer.stateDict().groups[0]!.slots[0]!))
      if (typeof value === 'object' && value !== null && name !== 'restarts')
        expect([name, read(value).slice(0, 2)]).toEqual([name, [0, 0]]);
  expect([held.precision, held.at, gate].map(read)).toEqual([
    [0, 0, 1, 1],
    [9, 9, 1, 1],
    [1, 1, 0, 0],
  ]);
});

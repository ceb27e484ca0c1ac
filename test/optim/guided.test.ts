/** Steps of parameters that are told more than a gradient: the proximal step, held to what a float64 search finds. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { spring } from '../../src/autograd/message.ts';
import { backward, inboxOf, seed, target } from '../../src/autograd/seeds.ts';
import '../../src/ops/methods.ts';
import { mul } from '../../src/ops/binary.ts';
import { Adam, AdamW } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { anchor } from '../../src/state/anchor.ts';
import { plasticity } from '../../src/state/gate.ts';
import { memoryInUse } from '../../src/storage/dispatch.ts';
import { ones, tensor, zeros } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const fixedSeed = { seed: 20261121, numRuns: 60 };
const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const bits = (x: Tensor): number[] => [...new Uint32Array(x.toFloat32Array().buffer)];

/** Adds a gradient to the inbox of a leaf. */
const push = (w: Tensor, g: readonly number[]): void => mul(w, tensor(g, w.shape)).sum().backward();
/** Adds a target to it: a displacement, and how firmly. */
const ask = (w: Tensor, d: readonly number[], p: number | Tensor): void =>
  backward(seed(w, spring(tensor(d, w.shape), p)));

/** Where a convex function has its minimum, within 1e6 of 0. */
function minimum(f: (x: number) => number): number {
  let [from, to] = [-1e6, 1e6];
  // Halving by the sign of the difference quotient: quadratics have theirs exact.
  for (let i = 0; i < 90; i++) {
    const middle = (from + to) / 2;
    const h = Math.max(1e-3, Math.abs(middle) * 1e-3);
    if (f(middle + h) > f(middle - h)) to = middle;
    else from = middle;
  }
  return (from + to) / 2;
}

const expectClose = (found: readonly number[], expected: readonly number[], tolerance = 2e-5): void => {
  expect(found.length).toBe(expected.length);
  found.forEach((x, i) => {
    expect(Math.abs(x - expected[i]!), `entry ${i}: ${x}, not ${expected[i]}`).toBeLessThan(
      tolerance * (1 + Math.abs(expected[i]!)),
    );
  });
};

const size = 6;
const shape = [2, 3];
const numbers = fc.array(
  fc.integer({ min: -64, max: 64 }).map((k) => k / 16),
  { minLength: size, maxLength: size },
);
const precisions = fc.array(
  fc.integer({ min: 1, max: 640 }).map((k) => k / 16),
  { minLength: size, maxLength: size },
);
const plasticities = fc.array(fc.constantFrom(0, 0.25, 1), { minLength: size, maxLength: size });
const springs = fc.array(
  fc.record({ d: numbers, p: precisions, form: fc.constantFrom('element', 'sample', 'scalar') }),
  { minLength: 0, maxLength: 3 },
);
type Given = { d: readonly number[]; p: readonly number[]; form: string };

const felt = ({ p, form }: Given, i: number): number =>
  p[form === 'element' ? i : form === 'sample' ? (i < 3 ? 0 : 3) : 0]!;
const given = ({ p, form }: Given): number | Tensor =>
  form === 'element' ? tensor(p, shape) : form === 'sample' ? tensor([[p[0]!], [p[3]!]]) : p[0]!;
const pulls = (list: readonly Given[], i: number, x: number): number =>
  list.reduce((sum, one) => sum + 0.5 * felt(one, i) * (x - one.d[i]!) ** 2, 0);

describe('a proximal step', () => {
  it('of SGD is the minimum of gradient, springs, decay and stiffness together', () => {
    fc.assert(
      fc.property(
        numbers,
        numbers,
        springs,
        plasticities,
        fc.constantFrom(0.01, 0.5, 4),
        fc.boolean(),
        (w0, g, list, c, lr, l2) => {
          const w = parameter(tensor(w0, shape));
          plasticity(w, tensor(c, shape));
          push(w, g);
          for (const one of list) ask(w, one.d, given(one));
          const weightDecay = l2 ? 0.25 : 0;
          new SGD([w], { lr, weightDecay }).step();
          const expected = w0.map((start, i) =>
            c[i] === 0
              ? start
              : start +
                minimum((x) => (g[i]! + weightDecay * start) * x + pulls(list, i, x) + (x * x) / (2 * lr * c[i]!)),
          );
          expectClose(read(w), expected);
        },
      ),
      fixedSeed,
    );
  });

  it('of Adam resists by the root of the mean square, and moments see the gradient alone', () => {
    fc.assert(
      fc.property(
        numbers,
        fc.array(numbers, { minLength: 3, maxLength: 3 }),
        springs,
        plasticities,
        (w0, gs, list, c) => {
          const w = parameter(tensor(w0, shape));
          const twin = parameter(tensor(w0, shape));
          plasticity(w, tensor(c, shape));
          const [lr, eps] = [0.1, 1e-3];
          const optimizer = new Adam([w], { lr, eps });
          const plain = new Adam([twin], { lr, eps });
          let expected = w0;
          const [m, v] = [w0.map(() => 0), w0.map(() => 0)];
          gs.forEach((g, step) => {
            optimizer.zeroGrad();
            plain.zeroGrad();
            push(w, g);
            push(twin, g);
            const before = read(w);
            for (const one of list) ask(w, one.d, given(one));
            optimizer.step();
            plain.step();
            expected = before.map((start, i) => {
              m[i] = 0.9 * m[i]! + 0.1 * g[i]!;
              v[i] = 0.999 * v[i]! + 0.001 * g[i]! ** 2;
              const resistance = Math.sqrt(v[i]! / (1 - 0.999 ** (step + 1))) + eps;
              const direction = m[i]! / (1 - 0.9 ** (step + 1));
              if (c[i] === 0) return start;
              return (
                start + minimum((x) => direction * x + pulls(list, i, x) + (resistance * x * x) / (2 * lr * c[i]!))
              );
            });
            expectClose(read(w), expected);
          });
          const [slot, other] = [optimizer.groups[0]!.slots[0]!, plain.groups[0]!.slots[0]!];
          expect(bits(slot.mean!)).toEqual(bits(other.mean!));
          expect(bits(slot.meanSquare!)).toEqual(bits(other.meanSquare!));
          expect(slot.steps).toBe(other.steps);
        },
      ),
      { ...fixedSeed, numRuns: 20 },
    );
  });

  it('of AdamW decays first, by what plasticity leaves, and springs pull from there', () => {
    const [lr, weightDecay, c] = [0.1, 0.5, 0.5];
    const w = parameter(tensor([2]));
    plasticity(w, c);
    push(w, [3]);
    ask(w, [-1], 4);
    new AdamW([w], { lr, weightDecay, eps: 0.5 }).step();
    const decayed = 2 * (1 - lr * c * weightDecay);
    // The wish is for 1; the first step of Adam has direction g and resistance |g| + eps.
    const x = minimum((x) => 3 * x + 2 * (decayed + x - 1) ** 2 + (3.5 * x * x) / (2 * lr * c));
    expectClose(read(w), [decayed + x], 1e-6);
  });

  it('of AdamW reaches a firm target whatever the decay', () => {
    const w = parameter(tensor([2]));
    ask(w, [-1], 1e9);
    push(w, [3]);
    new AdamW([w], { lr: 0.1, weightDecay: 0.5 }).step();
    expect(w.item()).toBeCloseTo(1, 6);
    const anchored = parameter(tensor([2]));
    anchor(anchored, { at: tensor([1]), precision: 1e9 });
    push(anchored, [3]);
    new AdamW([anchored], { lr: 0.1, weightDecay: 0.5 }).step();
    expect(anchored.item()).toBeCloseTo(1, 6);
  });

  it('keeps velocity to the gradient: springs are in the step, not in the moments', () => {
    const w = parameter(tensor([1]));
    const optimizer = new SGD([w], { lr: 0.5, momentum: 0.9 });
    push(w, [2]);
    ask(w, [3], 2);
    optimizer.step();
    expect(w.item()).toBeCloseTo(1 + (6 - 2) / (2 + 2), 6);
    expect(optimizer.groups[0]!.slots[0]!.velocity!.item()).toBe(2);
    // The next step has no spring left; the velocity goes on.
    optimizer.zeroGrad();
    push(w, [1]);
    optimizer.step();
    expect(w.item()).toBeCloseTo(2 - 0.5 * (0.9 * 2 + 1), 6);
  });

  it.each([
    ['SGD', (w: Tensor) => new SGD([w], { lr: 0.1, weightDecay: 0.1 })],
    ['SGD with momentum', (w: Tensor) => new SGD([w], { lr: 0.1, momentum: 0.9, dampening: 0.3, weightDecay: 0.1 })],
    ['SGD with Nesterov momentum', (w: Tensor) => new SGD([w], { lr: 0.1, momentum: 0.9, nesterov: true })],
    ['Adam', (w: Tensor) => new Adam([w], { lr: 0.1, weightDecay: 0.1 })],
    ['AdamW with amsgrad', (w: Tensor) => new AdamW([w], { lr: 0.1, amsgrad: true })],
  ])('of %s without springs and with plasticity 1 is the ordinary step, to rounding', (_, build) => {
    const [w, ordinary] = [parameter(tensor([1, -2, 3, 0])), parameter(tensor([1, -2, 3, 0]))];
    plasticity(w, ones([4]));
    const [guided, plain] = [build(w), build(ordinary)];
    for (let step = 0; step < 20; step++) {
      const g = [Math.sin(step), 1, -0.1 * step, step % 3];
      for (const [x, optimizer] of [
        [w, guided],
        [ordinary, plain],
      ] as const) {
        optimizer.zeroGrad();
        push(x, g);
        optimizer.step();
      }
      expectClose(read(w), read(ordinary), 2e-6);
    }
    expect(read(w)).not.toEqual([1, -2, 3, 0]);
  });

  it('does not touch the bits of a parameter beside it that has only gradients', () => {
    for (const build of [
      (list: Tensor[]) => new SGD(list, { lr: 0.1, momentum: 0.9, weightDecay: 0.1 }),
      (list: Tensor[]) => new AdamW(list, { lr: 0.1 }),
    ]) {
      const [beside, alone, gated] = [1, 2, 3].map(() => parameter(tensor([1, -2, 3]))) as [Tensor, Tensor, Tensor];
      const [mixed, plain] = [build([gated, beside]), build([alone])];
      const remove = plasticity(gated, 0.5);
      for (let step = 0; step < 5; step++) {
        mixed.zeroGrad();
        plain.zeroGrad();
        for (const w of [beside, alone, gated]) push(w, [step, 0.1, -3]);
        mixed.step();
        plain.step();
      }
      expect(bits(beside)).toEqual(bits(alone));
      expect(bits(gated)).not.toEqual(bits(alone));
      remove();
    }
  });
});

describe('plasticity 0', () => {
  const value = [1, -0, 1e-40, -3];
  it.each([
    ['SGD', (w: Tensor) => new SGD([w], { lr: 0.1, momentum: 0.9, weightDecay: 0.1 })],
    ['SGD at lr Infinity', (w: Tensor) => new SGD([w], { lr: Infinity, momentum: 0.9, weightDecay: 0.1 })],
    ['Adam', (w: Tensor) => new Adam([w], { lr: 0.1, weightDecay: 0.1 })],
    ['AdamW', (w: Tensor) => new AdamW([w], { lr: 0.1, weightDecay: 0.5, amsgrad: true })],
    ['Adam without eps', (w: Tensor) => new Adam([w], { lr: 0.1, eps: 0 })],
  ])('moves nothing by a single bit, while the moments go on: %s', (_, build) => {
    const [w, free] = [parameter(tensor(value)), parameter(tensor(value))];
    const before = bits(w);
    const c = zeros([4]);
    plasticity(w, c);
    const held = anchor(w, { at: ones([4]), precision: 5 });
    anchor(w, { at: ones([4]), precision: 0, step: 'explicit' });
    const [optimizer, reference] = [build(w), build(free)];
    reference.lr = 0;
    for (let step = 0; step < 3; step++) {
      optimizer.zeroGrad();
      reference.zeroGrad();
      push(w, [1, 2, -1, 4]);
      push(free, [1, 2, -1, 4]);
      ask(w, [1, 1, 1, 1], tensor([3, Infinity, 2, Infinity]));
      optimizer.step();
      reference.step();
      expect(bits(w)).toEqual(before);
    }
    const moments = (o: typeof optimizer) =>
      Object.values(o.groups[0]!.slots[0]!).filter((x) => x !== w && x !== free && typeof x === 'object' && x !== null);
    expect(moments(optimizer).length).toBeGreaterThan(0);
    expect(moments(optimizer).map(bits)).toEqual(moments(reference).map(bits));
    held.remove();
  });

  it('is by element', () => {
    const w = parameter(tensor([1, 1, 1]));
    plasticity(w, tensor([0, 0.5, 1]));
    push(w, [1, 1, 1]);
    new SGD([w], { lr: 0.5 }).step();
    expect(read(w)).toEqual([1, 0.75, 0.5]);
  });

  it('multiplies where several are set, and goes when they are taken off', () => {
    const w = parameter(tensor([1]));
    const removals = [plasticity(w, 0.5), plasticity(w, () => 0.5), plasticity(w, tensor([1]))];
    const optimizer = new SGD([w], { lr: 1 });
    push(w, [1]);
    optimizer.step();
    expect(w.item()).toBe(0.75);
    for (const remove of removals) remove();
    optimizer.step();
    expect(w.item()).toBe(-0.25);
  });
});

describe('hard targets', () => {
  it('set their elements, and the others take their step', () => {
    const w = parameter(tensor([1, 1, 1]));
    push(w, [1, 1, 1]);
    ask(w, [5, 1, 0], tensor([Infinity, 1, 0]));
    new SGD([w], { lr: 0.5 }).step();
    expectClose(read(w), [6, 1, 0.5], 1e-6);
  });

  it('are reached at any learning rate, by Adam, and in spite of decay', () => {
    for (const build of [
      (w: Tensor) => new SGD([w], { lr: Infinity }),
      (w: Tensor) => new SGD([w], { lr: 1e-3, momentum: 0.9, weightDecay: 0.5 }),
      (w: Tensor) => new Adam([w], { lr: 1e-3, eps: 0 }),
      (w: Tensor) => new AdamW([w], { lr: 1e-3, weightDecay: 0.5 }),
    ]) {
      const w = parameter(tensor([1]));
      push(w, [7]);
      ask(w, [2], Infinity);
      build(w).step();
      expect(w.item()).toBe(3);
    }
  });
});

describe('an infinite learning rate', () => {
  it('goes all the way, (r - g) / p', () => {
    const w = parameter(tensor([1, 2]));
    push(w, [1, 0]);
    ask(w, [4, -2], 2);
    ask(w, [0, 4], 1);
    new SGD([w], { lr: Infinity }).step();
    expectClose(read(w), [1 + (8 - 1) / 3, 2 + (-4 + 4) / 3], 1e-6);
  });

  it('leaves alone what nobody asked anything of, and asks for a step size where only a gradient speaks', () => {
    const w = parameter(tensor([1, 2]));
    const optimizer = new SGD([w], { lr: Infinity });
    ask(w, [4, 100], tensor([1, 0]));
    optimizer.step();
    expect(read(w)).toEqual([5, 2]);
    optimizer.zeroGrad();
    ask(w, [4, 100], tensor([1, 0]));
    push(w, [0, 1]);
    expect(() => optimizer.step()).toThrow(/SGD: a gradient arrived .* Give a step size: lr below Infinity/);
    optimizer.zeroGrad();
    push(w, [1, 1]);
    expect(() => optimizer.step()).toThrow(/Give a step size/);
    expect(read(w)).toEqual([5, 2]);
    // Where plasticity is 0 nothing moves, so nothing is missing.
    plasticity(w, 0);
    optimizer.step();
    expect(read(w)).toEqual([5, 2]);
  });

  it('is for SGD only', () => {
    expect(() => new Adam([parameter(ones([1]))], { lr: Infinity })).toThrow(/Adam: lr must be/);
  });
});

describe('what is due', () => {
  it('is nothing for a parameter that has plasticity and no message', () => {
    const w = parameter(tensor([1]));
    plasticity(w, 0.5);
    const optimizer = new Adam([w], { lr: 0.1, weightDecay: 0.1 });
    optimizer.step();
    const sgd = new SGD([w], { lr: 0.1, weightDecay: 0.1, momentum: 0.9 });
    sgd.step();
    expect(w.item()).toBe(1);
    expect(optimizer.groups[0]!.slots[0]!.steps).toBe(0);
    expect(sgd.groups[0]!.slots[0]!.velocity).toBeNull();
  });

  it('is a step of an anchored parameter even without a gradient, which then counts as 0', () => {
    for (const build of [
      (w: Tensor) => new SGD([w], { lr: 1, momentum: 0.5 }),
      (w: Tensor) => new Adam([w], { lr: 1 }),
    ]) {
      const w = parameter(tensor([1]));
      anchor(w, { at: tensor([3]), precision: 1e6 });
      build(w).step();
      expect(w.item()).toBeCloseTo(3, 4);
    }
  });

  it('is nothing for a frozen parameter, anchored or not', () => {
    const w = parameter(tensor([1]));
    anchor(w, { at: tensor([3]), precision: 1 });
    const optimizers = [new SGD([w], { lr: 1 }), new Adam([w], { lr: 1 })];
    w.requiresGrad_(false);
    for (const optimizer of optimizers) optimizer.step();
    expect(w.item()).toBe(1);
  });

  it('moves nothing at learning rate 0, but the moments', () => {
    const w = parameter(tensor([-0, 1]));
    const before = bits(w);
    ask(w, [1, 1], tensor([1, Infinity]));
    push(w, [1, 1]);
    const optimizer = new SGD([w], { lr: 0, momentum: 0.9 });
    optimizer.step();
    expect(bits(w)).toEqual(before);
    expect(read(optimizer.groups[0]!.slots[0]!.velocity!)).toEqual([1, 1]);
  });

  it('is no longer what a target asked of a value that was written since: an error, before anything changes', () => {
    const w = parameter(tensor([1]));
    const optimizer = new SGD([w], { lr: 0.5, momentum: 0.9 });
    ask(w, [1], 1);
    push(w, [1]);
    optimizer.step();
    const velocity = bits(optimizer.groups[0]!.slots[0]!.velocity!);
    expect(() => optimizer.step()).toThrow(/was written after targets were sent/);
    expect(bits(optimizer.groups[0]!.slots[0]!.velocity!)).toEqual(velocity);
  });

  it('reads targets as they come from a graph, not as gradients', () => {
    const w = parameter(tensor([1, 2]));
    backward(target(w.reshape([2, 1]), tensor([[5], [5]]), { precision: 3 }));
    expect(inboxOf(w)!.kind).toBe('target');
    new SGD([w], { lr: 0.5 }).step();
    expectClose(read(w), [1 + 12 / 5, 2 + 9 / 5], 1e-6);
  });
});

describe('edges', () => {
  it('without a gradient and without eps Adam stays where it is, and no NaN comes of it', () => {
    const w = parameter(tensor([1, 1]));
    anchor(w, { at: tensor([2, 2]), precision: tensor([1, 0]) });
    new Adam([w], { lr: 0.1, eps: 0 }).step();
    expectClose(read(w), [2, 1], 1e-6);
  });

  it('parameters of no elements, of none axes, in ordinary arrays, and gradients through views', () => {
    for (const w of [
      parameter(zeros([0, 3])),
      parameter(tensor(2)),
      tensor([
        [1, 2],
        [3, 4],
      ]).requiresGrad_(),
    ]) {
      const start = read(w);
      plasticity(w, 0.5);
      const x = w.ndim === 2 ? w.transpose(0, 1) : w;
      x.sum().backward();
      new SGD([w], { lr: 1 }).step();
      expectClose(
        read(w),
        start.map((v) => v - 0.5),
        1e-6,
      );
    }
  });

  it('thousands of guided steps hold no memory', () => {
    const w = parameter(zeros([400]));
    plasticity(w, () => tensor(Float32Array.from({ length: 400 }, (_, i) => (i % 3) / 2)));
    anchor(w, { precision: 2 });
    const optimizer = new AdamW([w], { lr: 0.01 });
    const step = (): void => {
      optimizer.zeroGrad();
      w.sub(1).square().sum().backward();
      optimizer.step();
    };
    for (let i = 0; i < 300; i++) step();
    const before = memoryInUse();
    for (let i = 0; i < 2000; i++) {
      optimizer.lr = 0.01 + i * 1e-6;
      step();
    }
    expect(memoryInUse()).toEqual(before);
  });
});

/**
 * The algebra of messages: a gradient is a slope <g, x>, a target a spring 1/2 sum p (x - d)^2, and quadratics add. The
 * laws are checked on random messages, against the minimum of the quadratic as a search finds it.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { receiveGradient, receiveSprings } from '../../src/autograd/inbox.ts';
import { asGradient, asStep, Springs, spring } from '../../src/autograd/message.ts';
import { withRecording } from '../../src/autograd/modes.ts';
import type { Node } from '../../src/autograd/node.ts';
import {
  crossEntropy,
  gradients,
  Linear,
  manualSeed,
  parameter,
  ReLU,
  randn,
  Sequential,
  SGD,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';

const fixedSeed = { seed: 20261120 };

type Numbers = readonly number[];
type Message =
  | { kind: 'gradient'; g: Numbers }
  | { kind: 'target'; d: Numbers; p: Numbers; precision: 'element' | 'sample' | 'scalar' };
type Target = Extract<Message, { kind: 'target' }>;

/** Values of shape [2, 3]. */
const shape = [2, 3];
const size = 6;
const numbers = fc.array(
  fc.integer({ min: -64, max: 64 }).map((k) => k / 16),
  { minLength: size, maxLength: size },
);
/** Precisions as each entry feels them: one for all, one for a row (a sample), one for each. */
const target: fc.Arbitrary<Target> = fc
  .record({
    d: numbers,
    raw: fc.array(fc.integer({ min: 1, max: 64 }), { minLength: size, maxLength: size }),
    precision: fc.constantFrom('element' as const, 'sample' as const, 'scalar' as const),
  })
  .map(({ d, raw, precision }) => {
    const which = { element: (i: number) => i, sample: (i: number) => Math.floor(i / 3), scalar: () => 0 }[precision];
    return { kind: 'target', d, p: raw.map((_, i) => raw[which(i)]! / 16), precision };
  });
const gradient: fc.Arbitrary<Message> = numbers.map((g) => ({ kind: 'gradient', g }));
const messages = (one: fc.Arbitrary<Message>, minLength = 1) => fc.array(one, { minLength, maxLength: 6 });
const mixed = messages(fc.oneof(gradient, target));

const receiveSpring = (inbox: Node, d: Tensor, p: Tensor | number): void =>
  receiveSprings(inbox, spring(d, p).springs!);

const emptyInbox = (ofShape = shape): Node => zeros(ofShape).requiresGrad_().node as Node;

function precisionOf({ p, precision }: Target): Tensor | number {
  if (precision === 'scalar') return p[0]!;
  return precision === 'sample' ? tensor([[p[0]!], [p[3]!]]) : tensor(p, shape);
}

/** An inbox that got these messages. */
function sent(list: readonly Message[]): Node {
  const inbox = emptyInbox();
  withRecording(false, () => {
    for (const message of list)
      if (message.kind === 'gradient') receiveGradient(inbox, tensor(message.g, shape));
      else receiveSpring(inbox, tensor(message.d, shape), precisionOf(message));
  });
  return inbox;
}

const read = (x: Tensor | null): number[] => Array.from(numbersOf(x!));

function expectClose(found: Numbers, expected: Numbers, tolerance = 2e-5): void {
  expect(found.length).toBe(expected.length);
  found.forEach((x, i) => {
    const allowed = tolerance * (1 + Math.abs(expected[i]!));
    expect(Math.abs(x - expected[i]!), `entry ${i}: ${x}, expected ${expected[i]}`).toBeLessThanOrEqual(allowed);
  });
}

/** The energy of entry i at displacement x, under stiffness rho. */
const energy = (list: readonly Message[], rho: number, i: number, x: number): number =>
  list.reduce(
    (sum, message) =>
      sum + (message.kind === 'gradient' ? message.g[i]! * x : 0.5 * message.p[i]! * (x - message.d[i]!) ** 2),
    0.5 * rho * x * x,
  );

/** Where a convex function of one variable is smallest, by ternary search. */
function argmin(f: (x: number) => number, low: number, high: number): number {
  for (let i = 0; i < 200; i++) {
    const [a, b] = [low + (high - low) / 3, high - (high - low) / 3];
    if (f(a) < f(b)) high = b;
    else low = a;
  }
  return (low + high) / 2;
}

describe('messages add', () => {
  it('gradients: to their sum, to the last bit where sums are exact', () => {
    fc.assert(
      fc.property(messages(gradient), (list) => {
        const sum = Array.from({ length: size }, (_, i) =>
          list.reduce((total, message) => total + (message as { g: Numbers }).g[i]!, 0),
        );
        expect(read(asGradient(sent(list), 'test'))).toEqual(sum.map((x) => x + 0));
      }),
      { ...fixedSeed, numRuns: 60 },
    );
  });

  it('targets alone: the step without stiffness is their precision-weighted mean', () => {
    fc.assert(
      fc.property(messages(target), (list) => {
        const mean = Array.from({ length: size }, (_, i) => {
          const targets = list as Target[];
          return (
            targets.reduce((sum, { d, p }) => sum + p[i]! * d[i]!, 0) / targets.reduce((sum, { p }) => sum + p[i]!, 0)
          );
        });
        expectClose(read(asStep(sent(list), 0)), mean);
      }),
      { ...fixedSeed, numRuns: 60 },
    );
  });

  it('a mix: the step is the minimum of the quadratic, found by search', () => {
    fc.assert(
      fc.property(mixed, fc.integer({ min: 1, max: 200 }), (list, stiffness) => {
        const rho = stiffness / 8;
        const found = Array.from({ length: size }, (_, i) => argmin((x) => energy(list, rho, i, x), -1000, 1000));
        expectClose(read(asStep(sent(list), rho)), found, 1e-4);
      }),
      { ...fixedSeed, numRuns: 60 },
    );
  });

  it('a mix, read as a gradient: the slope of the quadratic where the value stands', () => {
    fc.assert(
      fc.property(mixed, (list) => {
        const h = 1e-4;
        const slope = Array.from(
          { length: size },
          (_, i) => (energy(list, 0, i, h) - energy(list, 0, i, -h)) / (2 * h),
        );
        expectClose(read(asGradient(sent(list), 'test')), slope, 1e-5);
      }),
      { ...fixedSeed, numRuns: 60 },
    );
  });

  it('in any order, to rounding', () => {
    fc.assert(
      fc.property(
        mixed.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length })),
        ),
        ([list, shuffled]) => {
          expectClose(read(asGradient(sent(shuffled), 'test')), read(asGradient(sent(list), 'test')), 1e-5);
          expectClose(read(asStep(sent(shuffled), 0.5)), read(asStep(sent(list), 0.5)), 1e-5);
        },
      ),
      { ...fixedSeed, numRuns: 40 },
    );
  });

  it('gives the same bits for the same order', () => {
    const list = fc.sample(mixed, { ...fixedSeed, numRuns: 20 });
    for (const messages of list) expect(read(asStep(sent(messages), 3))).toEqual(read(asStep(sent(messages), 3)));
  });

  it('leaves the senders their numbers: no message is written to', () => {
    const g = tensor([1, 2, 3, 4, 5, 6], shape);
    const inbox = emptyInbox();
    withRecording(false, () => {
      receiveGradient(inbox, g);
      receiveGradient(inbox, g);
      receiveSpring(inbox, g, 2);
      receiveSpring(inbox, g, 2);
    });
    expect(read(g)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(read(asGradient(inbox, 'test'))).toEqual([-2, -4, -6, -8, -10, -12]);
  });

  it('nothing came: no gradient and no step', () => {
    expect(asGradient(emptyInbox(), 'test')).toBeNull();
    expect(asStep(emptyInbox(), 1)).toBeNull();
  });
});

describe('stiffness', () => {
  it('infinite: exactly no movement; growing: smaller steps', () => {
    const inbox = sent([
      { kind: 'gradient', g: [1, -2, 3, -4, 5, -6] },
      { kind: 'target', d: [1, 1, 1, 1, 1, 1], p: Array(size).fill(2) as number[], precision: 'scalar' },
    ]);
    expect(read(asStep(inbox, Infinity)).every((x) => x === 0)).toBe(true);
    const sizes = [0.1, 1, 10, 100].map((rho) => Math.abs(read(asStep(inbox, rho))[1]!));
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
  });

  it('of a gradient alone is 1 / step size', () => {
    const inbox = sent([{ kind: 'gradient', g: [1, -2, 3, -4, 5, -6] }]);
    expectClose(read(asStep(inbox, 10)), [-0.1, 0.2, -0.3, 0.4, -0.5, 0.6]);
  });

  it('none at all (rho + p = 0): 0 where nothing pulls, an error where a gradient does', () => {
    const loose = emptyInbox([3]);
    receiveSpring(loose, tensor([5, 5, 5]), tensor([0, 2, 0]));
    expect(read(asStep(loose, 0)).map((x) => x + 0)).toEqual([0, 5, 0]);
    receiveGradient(loose, tensor([0, 4, 0]));
    expect(read(asStep(loose, 0)).map((x) => x + 0)).toEqual([0, 3, 0]);
    receiveGradient(loose, tensor([0, 0, 0.5]));
    expect(() => asStep(loose, 0)).toThrow(/rho \+ p = 0.*step size/);
    expect(read(asStep(loose, 1))[2]).toBe(-0.5);
  });

  it('none, and gradients alone: the same', () => {
    const still = emptyInbox([2]);
    receiveGradient(still, tensor([0, 0]));
    expect(read(asStep(still, 0)).map((x) => x + 0)).toEqual([0, 0]);
    receiveGradient(still, tensor([0, 1]));
    expect(() => asStep(still, 0)).toThrow(/step size/);
  });
});

describe('precision', () => {
  it.each([
    ['negative', -1],
    ['NaN', NaN],
  ])('%s is an error, as a number and within a tensor', (_, bad) => {
    const inbox = emptyInbox([2]);
    expect(() => receiveSpring(inbox, zeros([2]), bad)).toThrow(/precision is a number of at least 0/);
    expect(() => receiveSpring(inbox, zeros([2]), tensor([1, bad]))).toThrow(/precision is a number of at least 0/);
    expect(asGradient(inbox, 'test')).toBeNull();
  });

  it('that does not broadcast to the value is an error with both shapes', () => {
    expect(() => receiveSpring(emptyInbox([2, 3]), zeros([2, 3]), tensor([[[1]], [[2]]]))).toThrow(
      /precision of shape \[2, 1, 1\].*value of shape \[2, 3\]/,
    );
  });

  it('is kept unexpanded: one number, or one a sample', () => {
    const inbox = emptyInbox();
    receiveSpring(inbox, zeros(shape), 2);
    receiveSpring(inbox, zeros(shape), 3);
    expect(inbox.springs!.precision.shape).toEqual([]);
    receiveSpring(inbox, zeros(shape), tensor([[1], [0]]));
    expect(inbox.springs!.precision.toArray()).toEqual([[6], [5]]);
  });
});

describe('gradients and targets', () => {
  it('turn into each other without loss: d = -eta g, p = 1 / eta', () => {
    fc.assert(
      fc.property(numbers, fc.integer({ min: -8, max: 8 }), (g, exponent) => {
        const eta = 2 ** exponent;
        const target: Message = {
          kind: 'target',
          d: g.map((x) => -eta * x),
          p: Array<number>(size).fill(1 / eta),
          precision: 'scalar',
        };
        expect(read(asGradient(sent([target]), 'test')).map((x) => x + 0)).toEqual(g.map((x) => x + 0));
        expect(read(asStep(sent([target]), 0)).map((x) => x + 0)).toEqual(
          read(asStep(sent([{ kind: 'gradient', g }]), 1 / eta)).map((x) => x + 0),
        );
      }),
      { ...fixedSeed, numRuns: 40 },
    );
  });

  it('both show in .grad: the springs are read as gradients there', () => {
    const w = parameter(tensor([1, 2]));
    w.mul(3).sum().backward();
    receiveSpring(w.node as Node, tensor([1, -1]), 4);
    expect(w.grad!.toArray()).toEqual([3 - 4, 3 + 4]);
    w.grad = null;
    expect((w.node as Node).springs).toBeNull();
    expect(w.grad).toBeNull();
  });

  it('a target for a value in the graph goes on to its inputs as a gradient', () => {
    const x = parameter(tensor([1, 2]));
    const y = x.mul(3);
    receiveSpring(y.node as Node, tensor([0.5, -0.5]), 2);
    y.sum().backward();
    expect(x.grad!.toArray()).toEqual([3 * (1 - 1), 3 * (1 + 1)]);
    expect((y.node as Node).springs).toBeNull();
  });

  it('a target has a second derivative: it adds p to the Hessian', () => {
    const x = parameter(tensor(2));
    const y = x.mul(3);
    // 1/2 p (t - y)^2 with t = 10, p = 4, beside y itself.
    receiveSpring(y.node as Node, tensor(10).sub(y), 4);
    const [slope] = gradients(y, [x], { createGraph: true });
    expect(slope!.item()).toBe(3 * (1 - 4 * (10 - 6)));
    const [second] = gradients(slope!, [x]);
    expect(second!.item()).toBe(9 * 4);
  });

  it('a target at a parameter outlives the region it was computed in', () => {
    const w = parameter(zeros([3000]));
    receiveSpring(w.node as Node, zeros([3000]).add(1), 2);
    for (let i = 0; i < 4; i++)
      parameter(zeros([9000]))
        .square()
        .sum()
        .backward();
    expect(w.grad!.toFloat32Array()).toEqual(new Float32Array(3000).fill(-2));
  });
});

describe('gradients alone', () => {
  it('never make a spring: a training run counts none, the first target counts one', () => {
    manualSeed(1);
    const model = new Sequential(new Linear(8, 16), new ReLU(), new Linear(16, 3));
    const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
    const before = Springs.made;
    for (let i = 0; i < 20; i++) {
      const loss = crossEntropy(model.forward(randn([4, 8])), [0, 1, 2, 0]);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    }
    expect(Springs.made).toBe(before);
    const inbox = model.parameters()[0]!.node as Node;
    receiveSpring(inbox, zeros([16, 8]), 1);
    receiveSpring(inbox, zeros([16, 8]), 1);
    expect(Springs.made).toBeGreaterThan(before);
  });
});

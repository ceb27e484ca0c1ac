/**
 * The laws of messages as people meet them: slope, spring, Message. Each law is checked on random messages of shape [2, 3],
 * against numbers computed element by element in double precision.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backward, Message, slope, spring, type Tensor, target, tensor } from '../../src/index.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';

const shape = [2, 3];
const size = 6;
const runs = { seed: 20261120, numRuns: 60 };

type Numbers = readonly number[];
/** One message in numbers: what it is for each element. */
type Given = { readonly g: Numbers } | { readonly d: Numbers; readonly p: Numbers; readonly form: Form };
type Form = 'one number' | 'one a sample' | 'one an element';

const list = (low: number, high: number) =>
  fc.array(
    fc.integer({ min: low, max: high }).map((k) => k / 8),
    { minLength: size, maxLength: size },
  );
const forms = fc.constantFrom<Form>('one number', 'one a sample', 'one an element');
const gradient: fc.Arbitrary<Given> = list(-64, 64).map((g) => ({ g }));
const aTarget: fc.Arbitrary<Given> = fc.tuple(list(-64, 64), list(1, 64), forms).map(([d, raw, form]) => {
  const source = {
    'one number': () => 0,
    'one a sample': (i: number) => (i < 3 ? 0 : 3),
    'one an element': (i: number) => i,
  };
  return { d, p: raw.map((_, i) => raw[source[form](i)]!), form };
});
const some = fc.array(fc.oneof(gradient, aTarget), { minLength: 1, maxLength: 6 });
const stiffness = fc.integer({ min: 1, max: 64 }).map((k) => k / 4);

function made(given: Given): Message {
  if ('g' in given) return slope(tensor(given.g, shape));
  const { d, p, form } = given;
  if (form === 'one number') return spring(tensor(d, shape), p[0]!);
  return spring(tensor(d, shape), form === 'one a sample' ? tensor([[p[0]!], [p[3]!]]) : tensor(p, shape));
}

/** g, p and r of each element. */
function sums(messages: readonly Given[]): { g: number; p: number; r: number }[] {
  return Array.from({ length: size }, (_, i) => {
    const sum = { g: 0, p: 0, r: 0 };
    for (const one of messages)
      if ('g' in one) sum.g += one.g[i]!;
      else {
        sum.p += one.p[i]!;
        sum.r += one.p[i]! * one.d[i]!;
      }
    return sum;
  });
}

const numbers = (x: Tensor): number[] => Array.from(numbersOf(x));
const whole = (x: Tensor): number[] =>
  numbers(x.ndim === 2 && x.size === size ? x : tensor(new Float32Array(6), shape).add(x));

function expectClose(found: Tensor, expected: Numbers, tolerance = 1e-5): void {
  const values = whole(found);
  expect(values.length).toBe(expected.length);
  for (const [i, x] of values.entries())
    expect(Math.abs(x - expected[i]!), `entry ${i}: ${x} for ${expected[i]}`).toBeLessThanOrEqual(
      tolerance * (1 + Math.abs(expected[i]!)),
    );
}

const inTurn = (messages: readonly Message[]): Message => messages.reduce((sum, one) => sum.plus(one));
/** The same sum as a tree. */
function inPairs(messages: readonly Message[]): Message {
  if (messages.length === 1) return messages[0]!;
  const half = messages.length >> 1;
  return inPairs(messages.slice(half)).plus(inPairs(messages.slice(0, half)));
}

describe('messages add', () => {
  it('in any grouping and order, to g - r as a gradient, (r - g) / (rho + p) as a step, rho + p as a precision', () => {
    fc.assert(
      fc.property(some, stiffness, (given, rho) => {
        const expected = sums(given);
        for (const sum of [inTurn, inPairs]) {
          const message = sum(given.map(made));
          expect(message.shape).toEqual(shape);
          expectClose(
            message.gradient(),
            expected.map(({ g, r }) => g - r),
          );
          expectClose(
            message.step(rho),
            expected.map(({ g, p, r }) => (r - g) / (rho + p)),
          );
          expectClose(
            message.precision(rho),
            expected.map(({ p }) => rho + p),
          );
        }
      }),
      runs,
    );
  });

  it('and say what they are: gradient, target, or mixed', () => {
    const [g, t] = [slope(tensor([1])), spring(tensor([2]), 1)];
    expect([g.kind, t.kind, g.plus(t).kind, t.plus(g).kind]).toEqual(['gradient', 'target', 'mixed', 'mixed']);
    expect([g.plus(g).kind, t.plus(t).kind]).toEqual(['gradient', 'target']);
  });

  it('only if they are about values of one shape', () => {
    expect(() => slope(tensor([1, 2])).plus(spring(tensor([[1, 2]]), 1))).toThrow(
      /plus: messages of shape \[2\] and \[1, 2\]/,
    );
  });

  it('a message holds something', () => {
    expect(() => new Message(null, null)).toThrow(/a message is a gradient, a target, or both/);
    expect(() => slope([1] as unknown as Tensor)).toThrow(/slope: expected a tensor/);
    expect(() => spring(1 as unknown as Tensor, 1)).toThrow(/spring: expected a tensor/);
  });
});

describe('the step', () => {
  it('is where the quadratic is least: any other displacement costs more', () => {
    const energy = (given: readonly Given[], rho: number, i: number, x: number): number =>
      given.reduce(
        (sum, one) => sum + ('g' in one ? one.g[i]! * x : 0.5 * one.p[i]! * (x - one.d[i]!) ** 2),
        0.5 * rho * x * x,
      );
    fc.assert(
      fc.property(some, stiffness, (given, rho) => {
        for (const [i, x] of numbers(inTurn(given.map(made)).step(rho)).entries()) {
          const least = energy(given, rho, i, x);
          for (const move of [-0.1, -0.01, 0.01, 0.1]) expect(energy(given, rho, i, x + move)).toBeGreaterThan(least);
        }
      }),
      runs,
    );
  });

  it('takes a stiffness for each element too', () => {
    const message = slope(tensor([4, 4])).plus(spring(tensor([3, 3]), 2));
    expect(message.step(tensor([0, 2])).toArray()).toEqual([1, 0.5]);
    expect(message.precision(tensor([0, 2])).toArray()).toEqual([2, 4]);
    expect(message.precision().toArray()).toBe(2);
    expect(
      slope(tensor([4, 4]))
        .step(tensor([1, 4]))
        .toArray(),
    ).toEqual([-4, -1]);
  });

  it('of a gradient without stiffness is an error that asks for a step size', () => {
    expect(() => slope(tensor([0, 1])).step()).toThrow(/value without stiffness \(rho \+ p = 0\).*Give a step size/);
    const mixed = slope(tensor([1, 1])).plus(spring(tensor([2, 2]), tensor([1, 0])));
    expect(() => mixed.step()).toThrow(/Give a step size/);
    expect(mixed.step(1).toArray()).toEqual([0.5, -1]);
  });

  it('without stiffness is 0 where nothing is asked, even beside an infinite one', () => {
    expect(
      slope(tensor([0, 0]))
        .step()
        .toArray(),
    ).toEqual([-0, -0]);
    expect(
      spring(tensor([5, 5]), tensor([0, 2]))
        .step()
        .toArray(),
    ).toEqual([0, 5]);
    expect(
      spring(tensor([5, Infinity]), tensor([0, 2]))
        .step()
        .toArray(),
    ).toEqual([0, Infinity]);
  });

  it('refuses a negative stiffness, and NaN', () => {
    for (const rho of [-1, Number.NaN])
      for (const message of [slope(tensor([1])), spring(tensor([1]), 1)])
        expect(() => message.step(rho)).toThrow(/a stiffness is a number of at least 0/);
  });
});

describe('gradient to target and back', () => {
  it('loses nothing: d = -eta g with p = 1 / eta', () => {
    fc.assert(
      fc.property(list(-64, 64), fc.integer({ min: -6, max: 6 }), (g, exponent) => {
        const eta = 2 ** exponent;
        const gradient = slope(tensor(g, shape));
        const asTarget = spring(gradient.step(1 / eta), gradient.precision(1 / eta));
        expect(numbers(asTarget.gradient()).map((x) => x + 0)).toEqual(g.map((x) => x + 0));
        expect(numbers(asTarget.step()).map((x) => x + 0)).toEqual(g.map((x) => -eta * x + 0));
      }),
      runs,
    );
  });

  it('needs a precision that somebody stated, of every target in the sum', () => {
    const unsaid = spring(tensor([1, 2]));
    expect(unsaid.step().toArray()).toEqual([1, 2]);
    const sentence = /precision nobody stated.*target\(value, t, \{ precision: 1 \/ batchSize \}\)/;
    expect(() => unsaid.gradient()).toThrow(sentence);
    expect(() => unsaid.plus(spring(tensor([1, 2]), 1)).gradient()).toThrow(sentence);
    expect(() =>
      spring(tensor([1, 2]), 1)
        .plus(unsaid)
        .gradient(),
    ).toThrow(sentence);
    expect(() => unsaid.scale(2).gradient()).toThrow(sentence);
  });
});

describe('scaling', () => {
  it('multiplies g, p and r alike: gradients grow k times, and the step under k rho stays', () => {
    const factors = fc.oneof(
      fc.integer({ min: 1, max: 32 }).map((k) => ({ factor: k / 8, each: Array<number>(size).fill(k / 8) })),
      list(1, 32).map((k) => ({ factor: tensor(k, shape), each: k })),
      fc.tuple(stiffness, stiffness).map(([a, b]) => ({ factor: tensor([[a], [b]]), each: [a, a, a, b, b, b] })),
    );
    fc.assert(
      fc.property(some, factors, stiffness, (given, { factor, each }, rho) => {
        const message = inTurn(given.map(made));
        const scaled = message.scale(factor);
        const stiff = tensor(each, shape).mul(rho);
        expectClose(
          scaled.gradient(),
          numbers(message.gradient()).map((x, i) => each[i]! * x),
        );
        expectClose(scaled.step(stiff), numbers(message.step(rho)));
        expectClose(
          scaled.precision(stiff),
          whole(message.precision(rho)).map((x, i) => each[i]! * x),
        );
      }),
      runs,
    );
  });

  it('by a negative number is for gradients alone; of targets by what is finite', () => {
    expect(
      slope(tensor([1]))
        .scale(-2)
        .gradient()
        .toArray(),
    ).toEqual([-2]);
    for (const k of [-1, Number.NaN, Infinity])
      expect(() => spring(tensor([1]), 1).scale(k)).toThrow(/scaled by finite numbers from 0 up/);
    expect(() => spring(tensor([1, 2]), 1).scale(tensor([1, -1]))).toThrow(/scaled by finite numbers from 0 up/);
  });

  it('leaves hard targets hard', () => {
    const message = spring(tensor([1, 2]), tensor([Infinity, 4])).scale(0.5);
    expect(message.step(2).toArray()).toEqual([1, 1]);
  });
});

describe('a hard target', () => {
  const hard = fc.tuple(list(-64, 64), fc.array(fc.boolean(), { minLength: size, maxLength: size }));

  it('is a mask: it beats whatever else is asked there, and leaves the rest alone', () => {
    fc.assert(
      fc.property(some, hard, stiffness, fc.boolean(), (given, [d, mask], rho, first) => {
        const firm = spring(
          tensor(d, shape),
          tensor(
            mask.map((on) => (on ? Infinity : 0)),
            shape,
          ),
        );
        const soft = inTurn(given.map(made));
        const message = first ? firm.plus(soft) : soft.plus(firm);
        expectClose(
          message.step(rho),
          sums(given).map(({ g, p, r }, i) => (mask[i] ? d[i]! : (r - g) / (rho + p))),
        );
      }),
      runs,
    );
  });

  it('needs no stiffness, and is never arithmetic with infinity', () => {
    const message = slope(tensor([3, 3])).plus(spring(tensor([1, 2]), tensor([Infinity, 1])));
    expect(message.step().toArray()).toEqual([1, -1]);
    expect(
      spring(tensor([0, 7]), Infinity)
        .step()
        .toArray(),
    ).toEqual([0, 7]);
    expect(numbers(message.precision())).toEqual([0, 1]);
  });

  it('has no form as a gradient: the error says of whom it is', () => {
    expect(() => spring(tensor([1]), Infinity, 'the label').gradient()).toThrow(
      /a hard target \(of the label\) has no form as a gradient/,
    );
  });

  it('and another stand side by side, and agree where they meet; if they differ, both senders are named', () => {
    const left = spring(tensor([1, 2, 0]), tensor([Infinity, Infinity, 0]), 'left');
    const right = spring(tensor([0, 2, 3]), tensor([0, Infinity, Infinity]), 'right');
    expect(left.plus(right).step(1).toArray()).toEqual([1, 2, 3]);
    expect(right.plus(left).step(1).toArray()).toEqual([1, 2, 3]);
    const other = spring(tensor([0, 2.5, 0]), tensor([0, Infinity, 0]), 'other');
    expect(() => left.plus(other)).toThrow(
      /left and other send hard targets that differ .*\(displacements 2 and 2\.5 at entry 1\)/,
    );
    expect(() => left.plus(right).plus(other)).toThrow(/left and right and other send hard targets/);
  });

  it('may be one for each sample', () => {
    const message = spring(
      tensor([
        [1, 2],
        [3, 4],
      ]),
      tensor([[Infinity], [0]]),
    );
    expect(message.step().toArray()).toEqual([
      [1, 2],
      [0, 0],
    ]);
    expect(
      message
        .plus(
          slope(
            tensor([
              [1, 1],
              [1, 1],
            ]),
          ),
        )
        .step(1)
        .toArray(),
    ).toEqual([
      [1, 2],
      [-1, -1],
    ]);
  });
});

describe('a precision', () => {
  it('is kept as it was given, not expanded: one number, one a sample, one an element', () => {
    const d = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const [one, sample] = [spring(d, 2), spring(d, tensor([[1], [2]]))];
    expect(one.plus(one).precision().shape).toEqual([]);
    expect(one.scale(3).precision(1).shape).toEqual([]);
    expect(one.plus(sample).precision().shape).toEqual([2, 1]);
    expect(one.plus(sample).precision().toArray()).toEqual([[3], [4]]);
    expect(sample.plus(spring(d, d)).precision().shape).toEqual([2, 3]);
  });

  it('is no negative number and not NaN, and has to fit: the error names the sender', () => {
    const d = tensor([1, 2]);
    for (const p of [-1, Number.NaN, -Infinity])
      expect(() => spring(d, p, 'the anchor')).toThrow(/the anchor: a precision is a number of at least 0.*, not/);
    expect(() => spring(d, tensor([1, -0.5]))).toThrow(/not -0\.5/);
    for (const p of [tensor([1, 2, 3]), tensor([[1], [2]]), tensor([[Infinity], [2]])])
      expect(() => spring(d, p, 'the anchor')).toThrow(/the anchor: a precision of shape .* value of shape \[2\]/s);
  });

  it('of 0 asks nothing, whatever the displacement', () => {
    const message = spring(tensor([Infinity, Number.NaN, 3]), tensor([0, 0, 2]));
    expect(message.gradient().toArray()).toEqual([-0, -0, -6]);
    expect(message.step(2).toArray()).toEqual([0, 0, 1.5]);
  });
});

describe('the energy', () => {
  /** What a message holds when it arrives at a leaf, in a walk that keeps energies. */
  function arriving(message: (x: Tensor) => readonly [number[], number | Tensor][]) {
    const x = tensor([1, 2, 3]).requiresGrad_();
    const wishes = message(x).map(([t, precision]) => target(x, tensor(t), { precision }));
    backward(wishes, { energy: true });
    return (x.node as unknown as { springs: { energy: number } }).springs.energy;
  }

  it('is 1/2 sum p d^2 over all targets', () => {
    expect(arriving(() => [[[2, 2, 5], 3]])).toBeCloseTo(0.5 * 3 * (1 + 4), 6);
    expect(
      arriving(() => [
        [[2, 2, 5], 3],
        [[1, 1, 1], tensor([1, 2, 4])],
      ]),
    ).toBeCloseTo(7.5 + 0.5 * (2 * 1 + 4 * 4), 6);
    expect(arriving(() => [[[2, Infinity, 5], tensor([Infinity, 0, 4])]])).toBeCloseTo(0.5 * 4 * 4, 6);
  });
});

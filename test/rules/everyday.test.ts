/** The everyday changes to a backward pass: what each computes, what it sends, what it refuses. */
import { describe, expect, it } from 'vitest';
import {
  checkGradients,
  gradients,
  mul,
  noGrad,
  relu,
  sign,
  type Tensor,
  tensor,
  withRules,
  zeros,
} from '../../src/index.ts';
import {
  clipGradient,
  guidedRelu,
  reverseGradient,
  scaleGradient,
  stopGradient,
  straightThrough,
} from '../../src/rules/everyday.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();
/** What arrives at x for the cotangent c of f(x). */
function pulledBack(f: (x: Tensor) => Tensor, x: Tensor, c: Tensor): unknown {
  x.grad = null;
  f(x).mul(c).sum().backward();
  return x.grad === null ? null : (x.grad as Tensor).toArray();
}
const round = (x: Tensor): Tensor => tensor(x.toFloat32Array().map(Math.round), x.shape);

describe('straightThrough', () => {
  it('computes the function and sends through as the identity does', () => {
    const x = leaf([0.4, 1.6, -2.2]);
    const rounded = straightThrough(round);
    expect(rounded(x).toArray()).toEqual([0, 2, -2]);
    expect(pulledBack(rounded, x, tensor([1, 2, 3]))).toEqual([1, 2, 3]);
  });

  it('with a window sends only inside it, its ends included', () => {
    const x = leaf([-1.5, -1, 0, 1, 1.5, Number.NaN]);
    const binary = straightThrough(sign, { window: [-1, 1] });
    expect(pulledBack(binary, x, tensor([1, 2, 3, 4, 5, 6]))).toEqual([0, 2, 3, 4, 0, 0]);
    expect(pulledBack(binary, leaf([2]), tensor([Infinity]))).toEqual([0]);
  });

  it('takes a function that returns its operand, and refuses one that changes the shape', () => {
    const x = leaf([1, 2]);
    const same = straightThrough((y) => y)(x);
    expect(same.toArray()).toEqual([1, 2]);
    expect(same).not.toBe(x);
    expect(() =>
      straightThrough(function total(y) {
        return y.sum();
      })(x),
    ).toThrow(/straightThrough\(total\): the function made shape \[\] of shape \[2\]/);
    expect(() => straightThrough(sign, { window: [1, -1] })).toThrow(/low <= high/);
    expect(() => straightThrough(3 as never)).toThrow(/expected a function/);
  });

  it('trains what rounding alone could not', () => {
    const w = leaf([0.2]);
    for (let i = 0; i < 50; i++) {
      w.grad = null;
      straightThrough(round)(w).sub(3).square().sum().backward();
      const { grad } = w;
      noGrad(() => w.sub_((grad as unknown as Tensor).mul(0.05)));
    }
    expect(Math.round((w.toArray() as number[])[0]!)).toBe(3);
  });
});

describe('reverseGradient and scaleGradient', () => {
  it('change the gradient and not the value', () => {
    const x = leaf([1, -2]);
    const c = tensor([3, 5]);
    expect(reverseGradient(x).toArray()).toEqual([1, -2]);
    expect(pulledBack((y) => reverseGradient(y), x, c)).toEqual([-3, -5]);
    expect(pulledBack((y) => reverseGradient(y, 0.5), x, c)).toEqual([-1.5, -2.5]);
    expect(pulledBack((y) => scaleGradient(y, 2), x, c)).toEqual([6, 10]);
    expect(pulledBack((y) => scaleGradient(y, 0), x, c)).toEqual([0, 0]);
    expect(scaleGradient(x, 2).toArray()).toEqual([1, -2]);
  });

  it('scale by a tensor that broadcasts, which gets no gradient itself', () => {
    const x = leaf([
      [1, 2],
      [3, 4],
    ]);
    const k = leaf([[2], [0]]);
    scaleGradient(x, k).sum().backward();
    expect(x.grad!.toArray()).toEqual([
      [2, 2],
      [0, 0],
    ]);
    expect(k.grad).toBeNull();
    expect(() => scaleGradient(leaf([1, 2]), tensor([[1], [2]]))).toThrow(
      /factor of shape \[2, 1\] does not broadcast/,
    );
  });

  it('let two players share one network: below reversed, above not', () => {
    const [below, above] = [leaf(2), leaf(3)];
    mul(reverseGradient(below, 1), above).backward();
    expect([below.grad!.item(), above.grad!.item()]).toEqual([-3, 2]);
  });

  it('copy nothing', () => {
    const x = leaf([1, 2]);
    for (const y of [scaleGradient(x, 2), reverseGradient(x), clipGradient(x, { value: 1 }), stopGradient(x)])
      expect(y.storage).toBe(x.storage);
  });

  it('refuse what is no number', () => {
    expect(() => reverseGradient(leaf([1]), Number.NaN)).toThrow(/lambda is a finite number/);
    expect(() => reverseGradient(3 as never)).toThrow(/expected a tensor/);
    expect(() => scaleGradient(leaf([1]), 'x' as never)).toThrow(/expected a tensor or a number/);
  });
});

describe('clipGradient', () => {
  it('by value clips each entry', () => {
    expect(pulledBack((y) => clipGradient(y, { value: 1 }), leaf([0, 0, 0]), tensor([-3, 0.5, 2]))).toEqual([
      -1, 0.5, 1,
    ]);
  });

  it('by norm keeps the direction, and short gradients bit for bit', () => {
    const clip = (c: number[], norm: number) =>
      pulledBack((y) => clipGradient(y, { norm }), leaf(c.map(() => 0)), tensor(c)) as number[];
    const [a, b] = clip([3, -4], 1);
    expect(a).toBeCloseTo(0.6, 6);
    expect(b).toBeCloseTo(-0.8, 6);
    const short = [0.1, -0.2, 0.05];
    expect(clip(short, 1)).toEqual(tensor(short).toArray());
    expect(clip([0, 0], 1)).toEqual([0, 0]);
  });

  it('by norm survives gradients whose squares leave float32', () => {
    const clip = (c: number[], norm: number) =>
      pulledBack((y) => clipGradient(y, { norm }), leaf(c.map(() => 0)), tensor(c)) as number[];
    const huge = clip([3e30, -4e30], 1);
    expect(huge[0]).toBeCloseTo(0.6, 6);
    expect(huge[1]).toBeCloseTo(-0.8, 6);
    expect(clip([3e-30, 4e-30], 1)).toEqual(tensor([3e-30, 4e-30]).toArray());
    expect(clip([3e-42, 0], 1)).toEqual(tensor([3e-42, 0]).toArray());
  });

  it('takes gradients without entries', () => {
    const x = zeros([0, 3]).requiresGrad_();
    for (const limit of [{ norm: 1 }, { value: 1 }]) {
      clipGradient(x, limit).sum().backward();
      expect(x.grad!.shape).toEqual([0, 3]);
    }
  });

  it('refuses no limit, two limits, and limits that are none', () => {
    const x = leaf([1]);
    expect(() => clipGradient(x, {} as never)).toThrow(/give one limit/);
    expect(() => clipGradient(x, { value: 1, norm: 1 })).toThrow(/give one limit/);
    for (const limit of [0, -1, Number.NaN]) expect(() => clipGradient(x, { norm: limit })).toThrow(/above 0/);
  });
});

describe('stopGradient', () => {
  it('is the value without its history, in the same memory', () => {
    const x = leaf([2, 3]);
    const stopped = stopGradient(x.mul(2));
    expect(stopped.requiresGrad).toBe(false);
    expect(pulledBack((y) => mul(y, stopGradient(y.mul(2))), x, tensor([1, 1]))).toEqual([4, 6]);
  });

  it('holds a target still: only the other side moves', () => {
    const [online, slow] = [leaf([1]), leaf([3])];
    online.sub(stopGradient(slow)).square().sum().backward();
    expect(online.grad!.toArray()).toEqual([-4]);
    expect(slow.grad).toBeNull();
  });
});

describe('guidedRelu', () => {
  it('passes positive gradients of active units only', () => {
    const x = leaf([-1, 2, 3, 0]);
    const guided = (y: Tensor) => withRules({ relu: guidedRelu }, () => relu(y));
    expect(pulledBack(guided, x, tensor([1, -1, 5, 1]))).toEqual([0, 0, 5, 0]);
    expect(pulledBack(relu, x, tensor([1, -1, 5, 1]))).toEqual([0, -1, 5, 0]);
  });
});

describe('all but stopping', () => {
  const x = tensor([0.5, 2]);
  const all: [string, (y: Tensor) => Tensor][] = [
    [
      'straightThrough(sign)',
      straightThrough(function sign(y) {
        return y.mul(2);
      }),
    ],
    ['reverseGradient', (y) => reverseGradient(y)],
    ['scaleGradient', (y) => scaleGradient(y, 2)],
    ['clipGradient', (y) => clipGradient(y, { norm: 1 })],
    ['clipGradient', (y) => clipGradient(y, { value: 1 })],
    ['guided relu', (y) => withRules({ relu: guidedRelu }, () => relu(y))],
  ];

  it('are refused, by name, by checks and by derivatives of derivatives', () => {
    for (const [name, f] of all) {
      expect(() => checkGradients(f, [x])).toThrow(name);
      const y = x.detach().requiresGrad_();
      expect(() => gradients(f(y).sum(), [y], { createGraph: true })).toThrow(/is a surrogate/);
    }
  });

  it('may take part, and are themselves differentiated as written', () => {
    const y = leaf([3, 4]);
    // g = 2 y, clipped to length 1: d/dy of sum(y / |y|) is (y2^2 - y1 y2, y1^2 - y1 y2) / |y|^3.
    const [g] = gradients(clipGradient(y, { norm: 1 }).square().sum(), [y], {
      createGraph: true,
      allowSurrogate: true,
    });
    const [h] = gradients(g!.sum(), [y], { createGraph: true, allowSurrogate: true });
    const [a, b] = h!.toArray() as number[];
    expect(a).toBeCloseTo((16 - 12) / 125, 5);
    expect(b).toBeCloseTo((9 - 12) / 125, 5);
  });
});

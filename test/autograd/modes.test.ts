/** Modes: they change what happens inside a call and nothing outside it, also when the call fails. */
import { describe, expect, it } from 'vitest';
import { mode } from '../../src/autograd/modes.ts';
import {
  defineOp,
  detectAnomaly,
  exp,
  grad,
  gradients,
  Linear,
  log,
  Module,
  noGrad,
  parameter,
  Sequential,
  scope,
  sqrt,
  stack,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();

/** The line of this file that calls it. */
function line(): number {
  const frame = (new Error().stack ?? '')
    .split('\n')
    .find((text) => /modes\.test\.ts/.test(text) && !/line/.test(text));
  return Number(/modes\.test\.ts:(\d+)/.exec(frame ?? '')?.[1]);
}

/** The message of what `body` throws. */
function failure(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('Nothing was thrown.');
}

describe('noGrad', () => {
  it('records nothing, whatever requires a gradient', () => {
    const w = leaf([1, 2]);
    expect(noGrad(() => w.mul(2)).requiresGrad).toBe(false);
    expect(w.mul(2).requiresGrad).toBe(true);
  });

  it('nests, and comes back after an error', () => {
    const w = leaf(1);
    noGrad(() => {
      expect(() =>
        noGrad(() => {
          throw new Error('mine');
        }),
      ).toThrow('mine');
      expect(w.mul(2).requiresGrad).toBe(false);
      expect(() => scope(() => w.mul(2).requiresGrad)).not.toThrow();
      expect(scope(() => w.mul(2)).requiresGrad).toBe(false);
    });
    expect(w.mul(2).requiresGrad).toBe(true);
  });

  it('comes back after a callback that returns a promise is refused', async () => {
    expect(() => noGrad(async () => {})).toThrow(/noGrad: .*promise/);
    expect(mode.recording).toBe(true);
  });

  it('lets leaves be written, which is an error outside', () => {
    const w = leaf([1, 2]);
    expect(() => w.add_(1)).toThrow(/add_: .*inside noGrad/);
    noGrad(() => w.add_(1));
    expect(w.toArray()).toEqual([2, 3]);
    expect(() => noGrad(() => scope(() => w.mul_(2)))).not.toThrow();
    const y = w.mul(2);
    expect(() => noGrad(() => y.add_(1))).toThrow(/add_: a tensor computed by mul/);
  });

  it('leaves backward through an older graph possible', () => {
    const w = leaf(3);
    const loss = w.square();
    noGrad(() => loss.backward());
    expect(w.grad!.item()).toBe(6);
    expect(w.grad!.requiresGrad).toBe(false);
  });
});

describe('scope', () => {
  it('records; the graph lives until the scope ends', () => {
    const w = leaf([1, 2]);
    scope(() => w.mul(3).sum().backward());
    expect(w.grad!.toArray()).toEqual([3, 3]);
    const loss = scope(() => w.mul(3).sum());
    expect(loss.item()).toBe(9);
    expect(() => loss.backward()).toThrow(/given back.*inside scope or noGrad until that ends/);
  });

  it('nests: what the inner one returns belongs to the outer one', () => {
    const kept = scope(() => {
      const inner = scope(() => tensor([1, 2]).mul(2));
      expect(inner.toArray()).toEqual([2, 4]);
      return scope(() => inner.add(1));
    });
    expect(kept.toArray()).toEqual([3, 5]);
  });

  it('keeps what stands in the fields of an object that it returns', () => {
    class Statistics {
      readonly mean = zeros([1000]).add(2);
      readonly nested = { deviation: zeros([1000]).add(3) };
    }
    const kept = scope(() => new Statistics());
    expect(kept.mean.sum().item()).toBe(2000);
    expect(kept.nested.deviation.sum().item()).toBe(3000);
  });
});

describe('detectAnomaly', () => {
  it('forward: names the op, the index, the shapes and the line', () => {
    let expected = 0;
    const message = failure(() =>
      detectAnomaly(() => {
        const x = tensor([1, 2, 3, 4, 0, 6], [2, 3]);
        expected = line() + 1;
        const y = log(x);
        return y.mul(2);
      }),
    );
    expect(message).toMatch(/detectAnomaly: log made -Infinity at \[1, 1\] of its result of shape \[2, 3\]/);
    expect(message).toContain(`modes.test.ts:${expected}:`);
  });

  it('forward of a method, of a gradient-bearing tensor, of an overflow, of a NaN', () => {
    const cases: [RegExp, (x: Tensor) => Tensor][] = [
      [/exp made Infinity at \[0\]/, (x) => x.mul(100).exp()],
      [/sqrt made NaN at \[0\]/, (x) => x.neg().sqrt()],
      [/div made Infinity at \[0\]/, (x) => x.div(0)],
      [/mul made Infinity at \[0\]/, (x) => x.mul(3e38).mul(2)],
    ];
    for (const [expected, f] of cases)
      for (const x of [tensor([1]), leaf([1])]) expect(failure(() => detectAnomaly(() => f(x)))).toMatch(expected);
  });

  it('backward: names the op whose gradient it is and the line where that op was called', () => {
    let expected = 0;
    const message = failure(() =>
      detectAnomaly(() => {
        const x = leaf([4, 0]);
        expected = line() + 1;
        const root = sqrt(x);
        const loss = root.sum();
        loss.backward();
      }),
    );
    expect(message).toMatch(/detectAnomaly: the gradient of sqrt made Infinity at \[1\]/);
    expect(message).toContain(`modes.test.ts:${expected}:`);
  });

  it('backward of a first-order kernel', () => {
    let expected = 0;
    const message = failure(() =>
      detectAnomaly(() => {
        const x = leaf([1, 10]);
        expected = line() + 1;
        const y = x.square();
        y.backward(tensor([1, 3e38]));
      }),
    );
    expect(message).toMatch(/the gradient of square made Infinity at \[1\]/);
    expect(message).toContain(`modes.test.ts:${expected}:`);
  });

  it('backward with createGraph, and in the second derivative: still the line of the forward op', () => {
    let expected = 0;
    const message = failure(() =>
      detectAnomaly(() => {
        const x = leaf(0);
        expected = line() + 1;
        const y = x.pow(1.5); // 1.5 x^0.5, then 0.75 x^-0.5
        const [first] = gradients(y, [x], { createGraph: true });
        expect(first!.item()).toBe(0);
        gradients(first!, [x]);
      }),
    );
    expect(message).toMatch(/made Infinity/);
    expect(message).toContain(`modes.test.ts:${expected}:`);
  });

  it('names the program’s line through layers nested deeply', () => {
    let model: Module = new Linear(2, 2);
    const [weight] = model.parameters();
    for (let i = 0; i < 12; i++) model = new Sequential(model);
    noGrad(() => weight!.fill_(3e38));
    let expected = 0;
    const message = failure(() =>
      detectAnomaly(() => {
        expected = line() + 1;
        model.forward(tensor([[2, 2]]));
      }),
    );
    expect(message).toMatch(/linear made Infinity at \[0, 0\]/);
    expect(message).toContain(`modes.test.ts:${expected}:`);
  });

  it('names a module’s own line where the program has one', () => {
    class Logarithm extends Module {
      line = 0;
      override forward(x: Tensor): Tensor {
        this.line = line() + 1;
        return log(x);
      }
    }
    const layer = new Logarithm();
    const message = failure(() => detectAnomaly(() => new Sequential(layer).forward(tensor([0]))));
    expect(message).toContain(`modes.test.ts:${layer.line}:`);
  });

  it('blames nobody who was given an infinity, and lets masks be', () => {
    detectAnomaly(() => {
      const x = leaf([1, 2, 3]);
      const masked = x.add(tensor([0, -Infinity, 0]));
      masked.exp().sum().log().backward();
      expect(x.grad!.toArray()).toEqual([expect.closeTo(0.1192, 4), 0, expect.closeTo(0.8808, 4)]);
      expect(stack([tensor([NaN]), tensor([1])]).shape).toEqual([2, 1]);
    });
  });

  it('lets a rule compute what it likes on the way: what counts is what it sends', () => {
    const guarded = defineOp<[Tensor]>({
      name: 'test.guarded',
      inputs: ['x'],
      forward: ([x]) => x.abs(),
      gradient: [({ inputs: [x] }, g) => g.mul(x.div(x.abs()).eq(1)).mul(tensor(1).div(x).gt(0))],
      samples: () => [],
    });
    detectAnomaly(() => {
      const x = leaf([2, 0]);
      guarded(x).sum().backward();
      expect(x.grad!.toArray()).toEqual([1, 0]);
    });
  });

  it('is off outside, also after an error, and changes no result inside', () => {
    expect(() => detectAnomaly(() => log(tensor(0)))).toThrow();
    expect(mode.anomaly).toBe(false);
    expect(mode.within).toBeNull();
    expect(log(tensor(0)).item()).toBe(-Infinity);
    const x = leaf([0, 1]);
    sqrt(x).sum().backward();
    expect(x.grad!.toArray()).toEqual([Infinity, 0.5]);
    const f = (y: Tensor) => exp(y).mul(y).sum();
    expect(detectAnomaly(() => grad(f)(tensor([1, 2])).toArray())).toEqual(grad(f)(tensor([1, 2])).toArray());
  });

  it('after an error in a backward, the next backward is right', () => {
    const w = parameter(tensor([4, 0]));
    expect(() => detectAnomaly(() => sqrt(w).sum().backward())).toThrow(/sqrt/);
    w.grad = null;
    detectAnomaly(() => w.square().sum().backward());
    expect(w.grad!.toArray()).toEqual([8, 0]);
  });
});

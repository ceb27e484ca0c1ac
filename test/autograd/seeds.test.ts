/** Where a walk starts: losses, targets, messages, several at once; what stays in the inboxes; what a long training leaves. */
import { describe, expect, it } from 'vitest';
import { Springs } from '../../src/autograd/message.ts';
import type { Node } from '../../src/autograd/node.ts';
import { found, start } from '../../src/autograd/transforms.ts';
import {
  add,
  backward,
  checkGradients,
  crossEntropy,
  gradients,
  inboxOf,
  Linear,
  linear,
  manualSeed,
  memoryInUse,
  mul,
  type NodeRule,
  noGrad,
  parameter,
  ReLU,
  randn,
  relu,
  Sequential,
  seed,
  setRule,
  slope,
  spring,
  sum,
  type Tensor,
  tanh,
  target,
  tensor,
  withRules,
  zeros,
} from '../../src/index.ts';
import { currentRegion } from '../../src/storage/context.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();
const numbers = (x: Tensor): number[] => Array.from(numbersOf(x));
const at = (x: Tensor | null): unknown => x!.toArray();

describe('a target', () => {
  it('pulls like 1/2 sum precision (value - wanted)^2, in every form of precision', () => {
    const wanted = tensor([
      [1, 0, 2],
      [0, 1, 1],
    ]);
    for (const precision of [
      2,
      tensor([[1], [3]]),
      tensor([1, 2, 3]),
      tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    ]) {
      const w = leaf([
        [1, 2],
        [0.5, -1],
        [2, 1],
      ]);
      const x = tensor([
        [1, -1],
        [2, 0.5],
      ]);
      const y = () => tanh(linear(x, w));
      backward(target(y(), wanted, { precision }));
      const loss = sum(y().sub(wanted).square().mul(precision)).mul(0.5);
      const [expected] = gradients(loss, [w]);
      for (const [i, g] of numbers(w.grad!).entries()) expect(g).toBeCloseTo(numbers(expected!)[i]!, 5);
    }
  });

  it('may be broadcast to its value', () => {
    const w = leaf([
      [1, 2],
      [3, 4],
    ]);
    backward(target(w, tensor([0, 1]), { precision: 1 }));
    expect(at(w.grad)).toEqual([
      [1, 1],
      [3, 3],
    ]);
    backward(target(w, tensor(5), { precision: 1 }));
    expect(at(w.grad)).toEqual([
      [-3, -2],
      [1, 2],
    ]);
  });

  it('at a parameter stays a target there: its step goes all the way, or a part under a stiffness', () => {
    const w = leaf([1, 2]);
    backward(target(w, tensor([5, 0]), { precision: 2 }));
    expect(inboxOf(w)!.kind).toBe('target');
    expect(at(inboxOf(w)!.step())).toEqual([4, -2]);
    expect(at(inboxOf(w)!.step(2))).toEqual([2, -1]);
    expect(at(w.grad)).toEqual([-8, 4]);
  });

  it('that is hard arrives at a parameter as one', () => {
    const w = leaf([1, 2]);
    backward([target(w, tensor([5, 5]), { precision: tensor([Infinity, 0]) }), sum(w)]);
    expect(at(inboxOf(w)!.step(1))).toEqual([4, -1]);
    expect(() => w.grad).toThrow(/grad: a hard target \(of target\) has no form as a gradient/);
    const other = target(w, tensor([6, 6]), { precision: Infinity });
    expect(() => backward(other)).toThrow(/target and target send hard targets that differ/);
  });

  it('has the shape of its value, and starts at a value with a history', () => {
    const w = leaf([1, 2]);
    expect(() => backward(target(w, zeros([2, 2]), { precision: 1 }))).toThrow(
      /backward: a target of shape \[2, 2\] does not fit an output of shape \[2\]/,
    );
    expect(() => backward(target(tensor([1]), tensor([1]), { precision: 1 }))).toThrow(
      /has no history to walk back through/,
    );
    expect(() => backward(target(w, tensor([1, 2]), { precision: -1 }))).toThrow(
      /target: a precision is a number of at least 0/,
    );
    expect(() => target(3 as unknown as Tensor, w)).toThrow(/expected a tensor/);
  });
});

describe('seeds', () => {
  it('may be any message', () => {
    const w = leaf([1, 2]);
    backward(seed(mul(w, 2), slope(tensor([1, 3]))));
    expect(at(w.grad)).toEqual([2, 6]);
    backward(seed(w, spring(tensor([1, 1]), 4).plus(slope(tensor([1, 1])))));
    expect([at(inboxOf(w)!.slope), at(inboxOf(w)!.springs!.pull)]).toEqual([
      [3, 7],
      [4, 4],
    ]);
    expect(() => backward(seed(w, slope(tensor([1]))))).toThrow(
      /a gradient of shape \[1\] does not fit an output of shape \[2\]/,
    );
  });

  it('of several roots give in one walk what separate walks add up to', () => {
    manualSeed(2);
    const model = new Sequential(new Linear(3, 4), new ReLU(), new Linear(4, 2));
    const x = randn([5, 3]);
    const wanted = randn([5, 4]);
    const build = () => {
      const hidden = relu(linear(x, model.parameters()[0]!, model.parameters()[1]!));
      const logits = linear(hidden, model.parameters()[2]!, model.parameters()[3]!);
      return [crossEntropy(logits, [0, 1, 0, 1, 1]), target(hidden, wanted, { precision: 0.2 }), sum(hidden)] as const;
    };
    backward(build());
    const together = model.parameters().map((p) => numbers(p.grad!));
    model.zeroGrad();
    const roots = build();
    for (const root of roots) backward(root);
    for (const [i, p] of model.parameters().entries())
      for (const [k, g] of numbers(p.grad!).entries()) expect(g).toBeCloseTo(together[i]![k]!, 5);
  });

  it('at one value more than once add up', () => {
    const w = leaf(3);
    const loss = mul(w, w);
    backward([loss, loss, target(loss, tensor(10), { precision: 1 })]);
    expect(w.grad!.item()).toBe((1 + 1 - 1) * 6);
  });

  it('are checked: none, losses of many numbers, stiffness', () => {
    const w = leaf([1, 2]);
    expect(() => backward([])).toThrow(/the list of losses and targets is empty/);
    expect(() => backward(mul(w, 2))).toThrow(/gradients start from a single number.*target\(output, wanted\)/);
    expect(() => backward([sum(w), 3 as unknown as Tensor])).toThrow(/backward: expected a tensor/);
    for (const stiffness of [-1, Number.NaN, Infinity])
      expect(() => backward(sum(w), { stiffness })).toThrow(/stiffness is a number of at least 0, 1 \/ step size/);
    expect(w.grad).toBeNull();
  });
});

describe('inboxOf', () => {
  it('is empty until something arrives and after it was cleared; only leaves have one', () => {
    const w = leaf([1, 2]);
    expect(inboxOf(w)).toBeNull();
    backward([sum(w), target(w, zeros([2]), { precision: 1 })]);
    expect(inboxOf(w)!.kind).toBe('mixed');
    w.grad = null;
    expect(inboxOf(w)).toBeNull();
    for (const wrong of [tensor([1]), mul(w, 2)])
      expect(() => inboxOf(wrong)).toThrow(/inboxOf: only leaves that require a gradient/);
  });

  it('of a value in between is empty after the walk, whatever happened', () => {
    const w = leaf([1, 2]);
    const hidden = mul(w, 2);
    backward(target(hidden, zeros([2]), { precision: 1 }));
    expect(() => backward(target(hidden, zeros([2]), { precision: Infinity }))).toThrow(/hard target/);
    const { slope, springs } = hidden.node as Node;
    expect([slope, springs]).toEqual([null, null]);
    expect(at(w.grad)).toEqual([4, 8]);
  });
});

describe('targets at a parameter', () => {
  it('are stale when it was written since: more of them are an error', () => {
    const w = leaf([1, 2]);
    const pull = () => backward(target(w, zeros([2]), { precision: 1 }));
    pull();
    pull();
    expect(inboxOf(w)!.precision().item()).toBe(2);
    noGrad(() => w.add_(1));
    expect(pull).toThrow(/a parameter of shape \[2\] was written after targets were sent to it.*zeroGrad/);
    w.grad = null;
    pull();
    expect(at(inboxOf(w)!.step())).toEqual([-2, -3]);
  });

  it('do not mind that gradients came before a write', () => {
    const w = leaf([1, 2]);
    backward(sum(w));
    noGrad(() => w.add_(1));
    backward([sum(w), target(w, zeros([2]), { precision: 1 })]);
    expect(at(w.grad)).toEqual([2 + 2, 2 + 3]);
  });
});

describe('derivatives of derivatives', () => {
  const weights = tensor([
    [0.3, -0.5],
    [0.8, 0.2],
  ]);
  const wanted = tensor([[0.2, -0.1]]);
  const output = (x: Tensor) => tanh(linear(x, weights));

  it('see the precision of a target in the Hessian, as of the penalty that it stands for', () => {
    const x = leaf([[0.4, 0.9]]);
    const hessian = (slopes: Tensor) =>
      [0, 1].map((i) => numbers(gradients(sum(mul(slopes, tensor([[1 - i, i]]))), [x])[0]!));
    const seeds = (y: Tensor) => [start(sum(y), undefined), target(y, wanted, { precision: 3 })];
    const [slopes] = found('test', seeds(output(x)), [x], { createGraph: true });
    const y = output(x);
    const penalty = add(sum(y), sum(y.sub(wanted).square()).mul(1.5));
    const [expected] = gradients(penalty, [x], { createGraph: true });
    expect(numbers(slopes!).map((g, i) => Math.abs(g - numbers(expected!)[i]!) < 1e-6)).toEqual([true, true]);
    const [own, other] = [hessian(slopes!), hessian(expected!)];
    for (const i of [0, 1]) for (const k of [0, 1]) expect(own[i]![k]!).toBeCloseTo(other[i]![k]!, 5);
    // At the leaf itself the Hessian of a target is its precision.
    const [direct] = found('test', [target(x, wanted, { precision: 3 })], [x], { createGraph: true });
    expect(hessian(direct!)).toEqual([
      [3, 0],
      [0, 3],
    ]);
  });

  it('agree with differences in double precision', () => {
    const inputs = [tensor([[0.4, 0.9]]), tensor([[0.2, -0.1]]), tensor([[1.5, 0.5]])];
    checkGradients(
      (x, t, p) => {
        const y = tanh(
          linear(
            x,
            tensor([
              [0.3, -0.5],
              [0.8, 0.2],
            ]),
          ),
        );
        return found('test', [start(sum(y), undefined), target(y, t, { precision: p })], [x], {
          createGraph: true,
        })[0]!;
      },
      inputs,
      { order: 1 },
    );
  });
});

describe('energies', () => {
  it('are kept on request: 1/2 sum p d^2 of every target', () => {
    const w = leaf([1, 2]);
    const seeds = () => [
      target(w, tensor([3, 2]), { precision: 2 }),
      target(w, tensor([1, 5]), { precision: tensor([1, 4]) }),
    ];
    const energy = () => inboxOf(w)!.springs!.energy;
    backward(seeds());
    expect(energy()).toBe(0);
    w.grad = null;
    backward(seeds(), { energy: true });
    expect(energy()).toBeCloseTo(0.5 * 2 * 4 + 0.5 * 4 * 9, 5);
    backward(seeds()[0]!, { energy: true });
    expect(energy()).toBeCloseTo(22 + 4, 5);
  });

  it('scale with their message', () => {
    const w = leaf([1, 2]);
    let found: number[] = [];
    const rule: NodeRule = {
      ...{ name: 'scaling', accepts: 'any', surrogate: true },
      propagate(visit) {
        found = [2, tensor(2), tensor([2, 0.5])].map((k) => visit.message.scale(k).springs!.energy);
        return [null, null];
      },
    };
    const y = withRules({ mul: rule }, () => mul(w, 1));
    backward(target(y, tensor([3, 5]), { precision: tensor([1, 2]) }), { energy: true });
    const [first, second] = [0.5 * 4, 0.5 * 2 * 9];
    for (const [i, expected] of [2 * (first + second), 2 * (first + second), 2 * first + 0.5 * second].entries())
      expect(found[i]).toBeCloseTo(expected, 5);
  });
});

describe('3,000 steps with target rules', () => {
  it('leave memory and the number of nodes where they were', () => {
    manualSeed(5);
    // Minimum-norm steps towards a target, as target propagation makes them.
    const rule: NodeRule = {
      ...{ name: 'towards', accepts: 'target', surrogate: true, stiffness: 1 },
      propagate(visit) {
        const [x, w] = visit.inputs;
        if (!x!.wanted) return [null, null];
        return [spring(mul(visit.displacement.matmul(w!.value), 0.1), visit.precision), null];
      },
      learn(visit) {
        const x = visit.inputs[0]!.settled();
        const norms = add(sum(x.square(), 1, true), 1e-3);
        return [null, spring(visit.displacement.transpose().matmul(x.div(norms)).mul(0.1), 1)];
      },
    };
    const [a, b] = [parameter(randn([8, 6])), parameter(randn([4, 8]))];
    const x = randn([10, 6]);
    const t = randn([10, 4]);
    const step = (): void => {
      const y = withRules({ linear: rule }, () => linear(relu(linear(x, a)), b));
      backward(target(y, t));
      noGrad(() => {
        for (const w of [a, b]) w.add_(inboxOf(w)!.step());
      });
      for (const w of [a, b]) w.grad = null;
    };
    const measure = () => [memoryInUse(), currentRegion().nodeCount] as const;
    for (let i = 0; i < 500; i++) step();
    let most = [0, 0];
    for (let i = 0; i < 100; i++) {
      step();
      most = measure().map((now, k) => Math.max(now, most[k]!));
    }
    const springs = Springs.made;
    for (let i = 0; i < 2400; i++) {
      step();
      for (const [k, now] of measure().entries()) expect(now).toBeLessThanOrEqual(most[k]!);
    }
    expect(Springs.made).toBeGreaterThan(springs + 2400);
    expect(numbers(a).every(Number.isFinite)).toBe(true);
  });
});

it('a seed at a leaf that is data of a learning rule counts in where it settles', () => {
  const x = tensor([[1, 2]]).requiresGrad_();
  const w = tensor([[1, 1]]).requiresGrad_();
  let settled: unknown = null;
  const rule: NodeRule = {
    name: 'reads where its input settles',
    accepts: 'any',
    surrogate: true,
    propagate: () => [null, null],
    learn(visit) {
      settled = visit.inputs[0]!.settled().toArray();
      return [null, null];
    },
  };
  x.grad = tensor([[7, 7]]);
  const y = setRule(linear(x, w), rule);
  backward([target(y, tensor([[0]])), target(x, tensor([[5, 9]]), { precision: 2 })]);
  expect(settled).toEqual([[5, 9]]);
  expect(x.grad!.toArray()).toEqual([[7 - 8, 7 - 14]]);
});

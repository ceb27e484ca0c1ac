/** Gates in their places: on the leaf, on the update; what each protects from, and what it does not. */
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { spring } from '../../src/autograd/message.ts';
import { backward, inboxOf, seed } from '../../src/autograd/seeds.ts';
import '../../src/ops/methods.ts';
import { onValue } from '../../src/autograd/hooks.ts';
import { mul } from '../../src/ops/binary.ts';
import { Adam, AdamW } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { type Gate, leafGate, observe, plasticity, unless } from '../../src/state/gate.ts';
import { buffer, ones, tensor, zeros } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const push = (w: Tensor, g: readonly number[]): void => mul(w, tensor(g, w.shape)).sum().backward();

/** Where 20 steps with gradients of changing size lead. */
function trained(build: (w: Tensor) => SGD | Adam, prepare: (w: Tensor) => void): number[] {
  const w = parameter(tensor([1, -1, 2]));
  prepare(w);
  const optimizer = build(w);
  for (let step = 0; step < 20; step++) {
    optimizer.zeroGrad();
    push(w, [1 + (step % 3), -2, 0.5 * step]);
    optimizer.step();
  }
  return read(w);
}

const nothing = (): void => {};
const c = [0.25, 0.5, 1];

describe('a leaf gate', () => {
  it('scales g, p and r alike, before they are added to what is there', () => {
    const w = parameter(tensor([1, 1]));
    push(w, [1, 1]);
    const remove = leafGate(w, tensor([0.5, 0]));
    push(w, [2, 2]);
    backward(seed(w, spring(tensor([4, 4]), 3)));
    const { slope, springs } = inboxOf(w)!;
    expect(read(slope!)).toEqual([2, 1]);
    expect(read(springs!.precision)).toEqual([1.5, 0]);
    expect(read(springs!.pull)).toEqual([6, 0]);
    remove();
    push(w, [2, 2]);
    expect(read(inboxOf(w)!.slope!)).toEqual([4, 3]);
  });

  it('is a learning rate for each weight in plain SGD', () => {
    const w = parameter(tensor([1, -1, 2]));
    leafGate(w, tensor(c));
    for (let step = 0; step < 5; step++) {
      const before = read(w);
      w.grad = null;
      push(w, [1, step, -3]);
      new SGD([w], { lr: 0.5 }).step();
      expect(read(w)).toEqual(before.map((x, i) => Math.fround(x - 0.5 * c[i]! * [1, step, -3][i]!)));
    }
  });

  it('equals a gate on the update in plain SGD, to rounding', () => {
    const build = (w: Tensor) => new SGD([w], { lr: 0.1 });
    const leaf = trained(build, (w) => leafGate(w, tensor(c)));
    const update = trained(build, (w) => plasticity(w, tensor(c)));
    leaf.forEach((x, i) => {
      expect(x).toBeCloseTo(update[i]!, 5);
    });
    expect(leaf).not.toEqual(trained(build, nothing));
  });

  it('is cancelled by Adam if it is constant; a gate on the update is not', () => {
    const build = (w: Tensor) => new Adam([w], { lr: 0.01, eps: 1e-12 });
    const ungated = trained(build, nothing);
    const start = [1, -1, 2];
    trained(build, (w) => leafGate(w, tensor(c))).forEach((x, i) => {
      expect(x).toBeCloseTo(ungated[i]!, 5);
    });
    trained(build, (w) => plasticity(w, tensor(c))).forEach((x, i) => {
      expect(x - start[i]!).toBeCloseTo(c[i]! * (ungated[i]! - start[i]!), 5);
    });
  });

  it('lets decay leak, coupled or not; a gate on the update does not', () => {
    for (const build of [
      (w: Tensor) => new SGD([w], { lr: 0.1, weightDecay: 0.5 }),
      (w: Tensor) => new AdamW([w], { lr: 0.1, weightDecay: 0.5 }),
    ]) {
      for (const x of trained(build, (w) => leafGate(w, 0)).map((value, i) => value / [1, -1, 2][i]!))
        expect(x).toBeLessThan(0.5);
      expect(trained(build, (w) => plasticity(w, 0))).toEqual([1, -1, 2]);
    }
  });

  it('multiplies with others', () => {
    const w = parameter(ones([2]));
    leafGate(w, 0.5);
    leafGate(w, () => tensor([1, 0.5]));
    push(w, [4, 4]);
    expect(read(w.grad!)).toEqual([2, 1]);
  });

  it('lets hard targets pass as they are', () => {
    const w = parameter(ones([2]));
    leafGate(w, 0.5);
    backward(seed(w, spring(tensor([1, 2]), Infinity)));
    expect(read(inboxOf(w)!.springs!.hard!.displacement)).toEqual([1, 2]);
  });

  it('stops derivatives: a gate computed from a parameter adds nothing to the derivative of derivatives', () => {
    const w = parameter(tensor([3]));
    leafGate(w, () => mul(w, 1 / 3));
    backward(w.square().sum(), { createGraph: true });
    const first = w.grad!;
    w.grad = null;
    first.sum().backward();
    // d/dw of gate (1) times 2 w, again through the gate.
    expect(w.grad!.item()).toBeCloseTo(2, 6);
    const [v, gate] = [parameter(tensor([3])), parameter(tensor([0.5]))];
    leafGate(v, gate);
    backward(v.square().sum(), { createGraph: true });
    v.grad!.sum().backward();
    expect(gate.grad).toBeNull();
  });
});

describe('an observer', () => {
  it('sees what no gate has changed, whether it came before or after the gate', () => {
    for (const order of ['before', 'after']) {
      const w = parameter(ones([2]));
      const seen: number[][] = [];
      const watch = () => observe(w, (message) => seen.push(read(message.gradient())));
      if (order === 'before') watch();
      leafGate(w, tensor([0, 0.5]));
      plasticity(w, 0);
      if (order === 'after') watch();
      push(w, [3, 4]);
      push(w, [5, 6]);
      expect(seen).toEqual([
        [3, 4],
        [5, 6],
      ]);
      expect(read(w.grad!)).toEqual([0, 5]);
    }
  });

  it('stops seeing when it is removed, and leaves no hook behind', () => {
    const w = parameter(ones([1]));
    let calls = 0;
    const removals = [observe(w, () => calls++), leafGate(w, 0.5)];
    push(w, [1]);
    for (const remove of removals) remove();
    push(w, [1]);
    expect(calls).toBe(1);
    expect(w.grad!.item()).toBe(1.5);
    expect((w.node as { hooks: { value: unknown[] } }).hooks.value).toEqual([]);
    const hooked = onValue(w, () => null);
    push(w, [1]);
    expect(w.grad!.item()).toBe(1.5);
    hooked();
    // What is set after all was taken off works again; what was taken off stays off, and takes nothing else with it.
    leafGate(w, 0.25);
    for (const remove of removals) remove();
    push(w, [1]);
    expect(w.grad!.item()).toBe(1.75);
    expect(calls).toBe(1);
  });
});

describe('a gate', () => {
  it('is read as it stands before the step', () => {
    // The gate of the second reads the first, which moves first.
    const [first, second] = [parameter(tensor([1])), parameter(tensor([1]))];
    plasticity(first, 1);
    plasticity(second, () => first.detach());
    push(first, [1]);
    push(second, [1]);
    new SGD([first, second], { lr: 0.5 }).step();
    expect([first.item(), second.item()]).toEqual([0.5, 0.5]);
  });

  it('follows a tensor that is written between steps', () => {
    const w = parameter(tensor([0]));
    const confidence = buffer(tensor([0]));
    plasticity(w, unless(confidence));
    const optimizer = new SGD([w], { lr: 1 });
    push(w, [-1]);
    const found = [0, 0.5, 1].map((value) => {
      confidence.fill_(value);
      optimizer.step();
      return w.item();
    });
    expect(found).toEqual([1, 1.5, 1.5]);
  });

  it('is a number from 0 up, and broadcasts to its parameter', () => {
    const w = parameter(ones([2, 3]));
    for (const set of [leafGate, plasticity]) {
      for (const gate of [-0.1, NaN, Infinity, tensor([0, -1, 0])])
        expect(() => set(w, gate)).toThrow(/a gate is a finite number from 0 \(nothing passes\) up, not/);
      expect(() => set(w, ones([2]))).toThrow(/\[2\]/);
      expect(() => set(w, ones([4, 2, 3]))).toThrow(/does not broadcast to a parameter of shape \[2, 3\]/);
      expect(() => set(w, 'all' as unknown as Gate)).toThrow(/a gate is a number, a tensor, or a function/);
      expect(() => set(w.mul(1), 1)).toThrow(/is no parameter/);
    }
    const remove = plasticity(w, () => -1);
    w.grad = zeros([2, 3]);
    expect(() => new SGD([w], { lr: 1 }).step()).toThrow(/plasticity: a gate is a finite number/);
    remove();
    plasticity(w, tensor([[0], [1]]));
    w.grad = ones([2, 3]);
    new SGD([w], { lr: 1 }).step();
    expect(w.toArray()).toEqual([
      [1, 1, 1],
      [0, 0, 0],
    ]);
  });
});

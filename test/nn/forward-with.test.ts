/** A module asked with values of an earlier time. */
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { Sequential } from '../../src/nn/container.ts';
import { Dropout } from '../../src/nn/dropout.ts';
import { Linear } from '../../src/nn/linear.ts';
import { Module } from '../../src/nn/module.ts';
import '../../src/ops/methods.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { arange, buffer, tensor } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const generator = new Generator(1);
const x = tensor([[1, -2, 3]]);

describe('forwardWith', () => {
  it('gives what the module gave, however it was trained since', () => {
    const model = new Sequential(new Linear(3, 4, { generator }), new Linear(4, 2, { generator }));
    const [then, before] = [model.stateDict(), model.forward(x).toArray()];
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    for (let i = 0; i < 6; i++) {
      optimizer.zeroGrad();
      model.forward(x).square().sum().backward();
      optimizer.step();
      expect(model.forwardWith(then, x).toArray()).toEqual(before);
    }
    expect(model.forward(x).toArray()).not.toEqual(before);
  });

  it('leaves graphs, gradients, values, modes and random numbers as they are, and records nothing', () => {
    const dropout = new Dropout(0.5, { generator: new Generator(2) });
    const model = new Sequential(new Linear(3, 4, { generator }), dropout);
    const linear = model.at(0) as Linear;
    linear.eval();
    const then = model.stateDict();
    for (const name of Object.keys(then)) then[name] = then[name]!.mul(2).detach();
    const loss = model.forward(x).square().sum();
    linear.weight.grad = tensor(
      Array.from({ length: 12 }, (_, i) => i),
      [4, 3],
    );
    const [state, random] = [model.stateDict(), dropout.generator.state];
    const old = model.forwardWith(then, x);
    expect(old.requiresGrad).toBe(false);
    // Nothing is dropped in the mode of use.
    expect(old.toArray()).toEqual(linear.forward(x).mul(2).toArray());
    expect([linear.training, dropout.training, model.training]).toEqual([false, true, true]);
    expect(dropout.generator.state).toEqual(random);
    const after = model.stateDict();
    for (const [name, value] of Object.entries(state)) expect(after[name]!.toArray()).toEqual(value.toArray());
    expect(linear.weight.grad!.toArray()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
      [6, 7, 8],
      [9, 10, 11],
    ]);
    loss.backward();
    expect(linear.bias!.grad).not.toBeNull();
  });

  it('serves buffers, tied weights, and parameters that are views', () => {
    class Odd extends Module {
      both = arange(8)
        .slice([[1, 7, 2]])
        .requiresGrad_();
      again = [this.both];
      shift = buffer(tensor([1]));
      own = parameter(tensor([2]));
      override forward(input: Tensor): Tensor {
        return input.mul(this.both).add(this.again[0]!).mul(this.own).add(this.shift);
      }
    }
    const model = new Odd();
    const state = { both: tensor([1, 1, 2]), shift: tensor([10]), own: tensor([3]) };
    const before = model.forward(x).toArray();
    expect(model.forwardWith(state, x).toArray()).toEqual([[16, 7, 34]]);
    expect(model.forward(x).toArray()).toEqual(before);
  });

  it('puts all back where the forward pass fails, and refuses a state that does not fit', () => {
    const model = new Linear(3, 2, { generator });
    const state = model.stateDict();
    const before = model.forward(x).toArray();
    const zero = { weight: tensor(new Float32Array(6), [2, 3]), bias: tensor([0, 0]) };
    expect(() => model.forwardWith(zero, tensor([[1, 2]]))).toThrow();
    expect([model.forward(x).toArray(), model.training]).toEqual([before, true]);
    expect(() => model.forwardWith({ weight: state.weight! }, x)).toThrow(/forwardWith: the state lacks bias/);
    expect(() => model.forwardWith({ ...zero, bias: tensor([0]) }, x)).toThrow(/forwardWith: bias has shape \[2\]/);
  });
});

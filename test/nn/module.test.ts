import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { Identity, Sequential } from '../../src/nn/container.ts';
import { Linear } from '../../src/nn/linear.ts';
import { Module } from '../../src/nn/module.ts';
import '../../src/ops/methods.ts';
import { Generator } from '../../src/random/generator.ts';
import { buffer, ones, tensor, zeros } from '../../src/tensor/create.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const generator = new Generator(1);

class Everything extends Module {
  scale = parameter(ones([2]));
  heads = [new Linear(2, 3, { generator }), new Linear(2, 1, { bias: false, generator })];
  centres = [parameter(zeros([1])), parameter(zeros([1]))];
  running = buffer(zeros([2]));
  body = new Sequential(new Linear(2, 2, { generator }), new Identity());
  label = 'no tensor';
  readonly #cache = zeros([5]);

  override forward(x: Tensor): Tensor {
    return this.#cache.size > 0 ? this.body.forward(x) : x;
  }
}

const names = (entries: [string, unknown][]): string[] => entries.map(([name]) => name);

describe('Module', () => {
  it('names its own parameters before those of its children, through arrays and containers', () => {
    expect(names(new Everything().namedParameters())).toEqual([
      'scale',
      'centres.0',
      'centres.1',
      'heads.0.weight',
      'heads.0.bias',
      'heads.1.weight',
      'body.0.weight',
      'body.0.bias',
    ]);
  });

  it('counts tensors that do not learn as buffers, and leaves private fields alone', () => {
    const module = new Everything();
    expect(names(module.namedBuffers())).toEqual(['running']);
    module.scale.requiresGrad_(false);
    expect(names(module.namedBuffers())).toEqual(['scale', 'running']);
    expect(module.parameters()).not.toContain(module.scale);
  });

  it('counts a shared layer once, also where modules refer to each other', () => {
    class Ring extends Module {
      layer: Linear;
      other: Ring | null = null;

      constructor(layer: Linear) {
        super();
        this.layer = layer;
      }

      override forward(x: Tensor): Tensor {
        return this.layer.forward(x);
      }
    }
    const layer = new Linear(2, 2, { generator });
    const [a, b] = [new Ring(layer), new Ring(layer)];
    a.other = b;
    b.other = a;
    expect(names(a.namedParameters())).toEqual(['layer.weight', 'layer.bias']);
    expect(names(a.namedModules())).toEqual(['', 'layer', 'other']);
  });

  it('turns training on and off everywhere', () => {
    const module = new Everything();
    expect(module.eval()).toBe(module);
    expect(module.namedModules().every(([, { training }]) => !training)).toBe(true);
    module.body.train();
    expect([module.training, module.body.at(1).training, module.heads[0]?.training]).toEqual([false, true, false]);
  });

  it('forgets gradients', () => {
    const layer = new Linear(3, 2, { generator });
    layer
      .forward(ones([4, 3]))
      .sum()
      .backward();
    expect(layer.bias?.grad?.toArray()).toEqual([4, 4]);
    layer.zeroGrad();
    expect(layer.parameters().map(({ grad }) => grad)).toEqual([null, null]);
  });
});

describe('stateDict and loadStateDict', () => {
  it('carry all parameters and buffers over', () => {
    const [from, to] = [new Everything(), new Everything()];
    to.loadStateDict(from.stateDict());
    expect(Object.keys(to.stateDict())).toHaveLength(9);
    for (const [name, value] of Object.entries(to.stateDict())) {
      expect(value.toArray()).toEqual(from.stateDict()[name]?.toArray());
    }
  });

  it('copy: later steps do not change a saved state', () => {
    const layer = new Linear(1, 1, { generator });
    const saved = layer.stateDict();
    const before = saved.weight?.item();
    layer.loadStateDict({ weight: tensor([[7]]), bias: tensor([8]) });
    expect(saved.weight?.item()).toBe(before);
    expect(saved.weight?.requiresGrad).toBe(false);
    expect([layer.weight.item(), layer.weight.requiresGrad]).toEqual([7, true]);
  });

  it('refuse other names, shapes and things before anything is written', () => {
    const layer = new Linear(2, 1, { generator });
    const before = layer.weight.toArray();
    const weight = zeros([1, 2]);
    expect(() => layer.loadStateDict({ weight })).toThrow('the state lacks bias');
    expect(() => layer.loadStateDict({ weight, bias: zeros([1]), gain: zeros([1]) })).toThrow('the module has no gain');
    expect(() => layer.loadStateDict({ weight, bias: zeros([2]) })).toThrow(
      'bias has shape [1] in the module but [2] in the state',
    );
    expect(() => layer.loadStateDict({ weight, bias: 3 as unknown as Tensor })).toThrow('bias is not a Tensor');
    expect(layer.weight.toArray()).toEqual(before);
  });
});

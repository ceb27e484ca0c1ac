import { describe, expect, it } from 'vitest';
import {
  ELU,
  GELU,
  Hardswish,
  LeakyReLU,
  LogSigmoid,
  LogSoftmax,
  Mish,
  ReLU,
  SELU,
  Sigmoid,
  SiLU,
  Softmax,
  Softplus,
  Tanh,
} from '../../src/nn/activation.ts';
import { Flatten, Identity, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Dropout } from '../../src/nn/dropout.ts';
import { Linear } from '../../src/nn/linear.ts';
import type { Module } from '../../src/nn/module.ts';
import { AvgPool2d, MaxPool2d } from '../../src/nn/pool.ts';
import '../../src/ops/methods.ts';
import { Generator } from '../../src/random/generator.ts';
import { ones, tensor, zeros } from '../../src/tensor/create.ts';
import { rand, randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { type Packed, readGolden } from '../optim/golden.ts';

interface GoldenModule {
  module: string;
  attrs: { in_channels: number; out_channels: number; kernel_size: number; stride: number; padding: number };
  params: Record<string, Packed & { grad: number[] }>;
  input: Packed & { grad: number[] };
  output: Packed;
  upstream: Packed;
}
const golden = (readGolden('modules.json') as { cases: GoldenModule[] }).cases;

const unpack = ({ data, shape }: Packed): Tensor => tensor(Float32Array.from(data), shape);

function expectClose(actual: ArrayLike<number>, expected: readonly number[], tolerance = 1e-5): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(actual[i]! - value), `element ${i}`).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(value)));
  });
}

describe('Linear and Conv2d against PyTorch', () => {
  const make: Record<string, (item: GoldenModule) => Module> = {
    Linear: ({ params }) => {
      const [out, input] = params.weight!.shape;
      return new Linear(input!, out!, { bias: 'bias' in params });
    },
    Conv2d: ({ attrs: { in_channels, out_channels, kernel_size, stride, padding } }) =>
      new Conv2d(in_channels, out_channels, kernel_size, { stride, padding }),
  };
  const cases = golden.filter(({ module }) => module in make);
  it('has cases to compare with', () => expect(cases.length).toBeGreaterThanOrEqual(2));

  it.each(cases)('$module: output and all gradients', (item) => {
    const layer = make[item.module]!(item);
    layer.loadStateDict(Object.fromEntries(Object.entries(item.params).map(([name, value]) => [name, unpack(value)])));
    const x = unpack(item.input).requiresGrad_();
    const y = layer.forward(x);
    expect(y.shape).toEqual(item.output.shape);
    expectClose(y.toFloat32Array(), item.output.data);
    y.mul(unpack(item.upstream)).sum().backward();
    expectClose(x.grad!.toFloat32Array(), item.input.grad);
    for (const [name, value] of layer.namedParameters()) {
      expectClose(value.grad!.toFloat32Array(), item.params[name]!.grad);
    }
  });
});

describe('Linear', () => {
  it('has weights [out, in], and no bias where none is wanted', () => {
    const layer = new Linear(3, 2, { bias: false });
    expect(layer.weight.shape).toEqual([2, 3]);
    expect(layer.bias).toBeNull();
    expect(layer.parameters()).toEqual([layer.weight]);
    expect(layer.forward(zeros([5, 3])).toArray()).toEqual(Array(5).fill([0, 0]));
  });

  it.each([0, -1, 2.5, NaN])('refuses %d features', (features) => {
    expect(() => new Linear(features, 2)).toThrow(/inFeatures must be an integer from 1 up/);
    expect(() => new Linear(2, features)).toThrow(/outFeatures must be an integer from 1 up/);
  });

  it('starts alike from the same seed', () => {
    const weights = () => new Linear(3, 2, { generator: new Generator(5) }).stateDict();
    expect(weights().weight?.toArray()).toEqual(weights().weight?.toArray());
    expect(weights().bias?.toArray()).toEqual(weights().bias?.toArray());
  });
});

describe('Conv2d', () => {
  it('takes pairs and groups', () => {
    const layer = new Conv2d(4, 6, [3, 1], { stride: [2, 1], padding: [1, 0], groups: 2, bias: false });
    expect(layer.weight.shape).toEqual([6, 2, 3, 1]);
    expect(layer.forward(zeros([1, 4, 5, 5])).shape).toEqual([1, 6, 3, 5]);
    expect(new Conv2d(2, 1, [3, 5], { padding: 'same' }).forward(zeros([1, 2, 4, 7])).shape).toEqual([1, 1, 4, 7]);
  });

  it('refuses what cannot be', () => {
    expect(() => new Conv2d(3, 4, 3, { groups: 2 })).toThrow(/groups must divide both channel counts/);
    expect(() => new Conv2d(3, 4, 0)).toThrow(/Conv2d: kernelSize is a whole number of at least 1/);
    expect(() => new Conv2d(3, 4, 3, { padding: -1 })).toThrow(/padding is a whole number of at least 0/);
    expect(() => new Conv2d(3, 4, 3, { stride: [1, 0] })).toThrow(/stride is a whole number of at least 1/);
  });
});

describe('pooling', () => {
  const image = tensor([
    [
      [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
        [13, 14, 15, 16],
      ],
    ],
  ]);

  it('takes the window as its stride unless told', () => {
    expect(new MaxPool2d(2).forward(image).toArray()).toEqual([
      [
        [
          [6, 8],
          [14, 16],
        ],
      ],
    ]);
    expect(new AvgPool2d(2).forward(image).toArray()).toEqual([
      [
        [
          [3.5, 5.5],
          [11.5, 13.5],
        ],
      ],
    ]);
    expect(new MaxPool2d(2, { stride: 1 }).forward(image).shape).toEqual([1, 1, 3, 3]);
    expect(new MaxPool2d(3, { stride: 2, padding: 1 }).forward(image).toArray()).toEqual([
      [
        [
          [6, 8],
          [14, 16],
        ],
      ],
    ]);
  });

  it('refuses a padding beyond half of the window', () => {
    expect(() => new MaxPool2d(2, { padding: 2 })).toThrow(/MaxPool2d: the padding \[2, 2\] must be at most half/);
    expect(() => new AvgPool2d(0)).toThrow(/AvgPool2d: kernelSize/);
  });
});

describe('activation layers', () => {
  const logistic = (x: number) => 1 / (1 + Math.exp(-x));
  const softplus = (x: number) => Math.log1p(Math.exp(x));
  it.each<[string, Module, (x: number) => number]>([
    ['ReLU', new ReLU(), (x) => Math.max(0, x)],
    ['LeakyReLU', new LeakyReLU(0.2), (x) => (x > 0 ? x : 0.2 * x)],
    ['ELU', new ELU(1.5), (x) => (x > 0 ? x : 1.5 * Math.expm1(x))],
    ['SELU', new SELU(), (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x))],
    [
      'GELU',
      new GELU(),
      (x) => x * { '-2': 0.02275013, '-1': 0.15865525, '0': 0.5, '1': 0.84134475, '2': 0.97724987 }[x]!,
    ],
    [
      'GELU by tanh',
      new GELU({ approximate: 'tanh' }),
      (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    ],
    ['SiLU', new SiLU(), (x) => x * logistic(x)],
    ['Mish', new Mish(), (x) => x * Math.tanh(softplus(x))],
    ['Hardswish', new Hardswish(), (x) => (x * Math.min(6, Math.max(0, x + 3))) / 6],
    ['Softplus', new Softplus(), softplus],
    ['Tanh', new Tanh(), Math.tanh],
    ['Sigmoid', new Sigmoid(), logistic],
    ['LogSigmoid', new LogSigmoid(), (x) => -softplus(-x)],
    ['Identity', new Identity(), (x) => x],
  ])('%s', (_, layer, formula) => {
    const x = [-2, -1, 0, 1, 2];
    expectClose(layer.forward(tensor(x)).toFloat32Array(), x.map(formula), 2e-6);
    expect(layer.parameters()).toEqual([]);
  });

  it('Softmax and LogSoftmax go along the last axis unless told', () => {
    const x = tensor([
      [0, 0],
      [0, Math.log(3)],
    ]);
    expectClose(new Softmax().forward(x).toFloat32Array(), [0.5, 0.5, 0.25, 0.75]);
    expectClose(new Softmax(0).forward(x).toFloat32Array(), [0.5, 0.25, 0.5, 0.75]);
    expectClose(new LogSoftmax().forward(x).toFloat32Array(), [0.5, 0.5, 0.25, 0.75].map(Math.log));
  });

  it('refuse options that are none', () => {
    expect(() => new LeakyReLU(NaN)).toThrow(/negativeSlope must be a finite number/);
    expect(() => new ELU(Infinity)).toThrow(/alpha must be a finite number/);
    expect(() => new GELU({ approximate: 'fast' as 'tanh' })).toThrow(/approximate must be/);
  });
});

describe('Dropout', () => {
  it('in training zeroes a share p, scales the rest, and keeps the mean', () => {
    const layer = new Dropout(0.25, { generator: new Generator(3) });
    const y = layer.forward(ones([100, 100])).toFloat32Array();
    const zeroed = y.filter((value) => value === 0).length;
    expect(Math.abs(zeroed / y.length - 0.25)).toBeLessThan(0.02);
    expect(new Set(y)).toEqual(new Set([0, Math.fround(4 / 3)]));
  });

  it('sends gradients through what it kept only', () => {
    const x = ones([50]).requiresGrad_();
    const y = new Dropout(0.5, { generator: new Generator(4) }).forward(x);
    y.sum().backward();
    expect(x.grad?.toArray()).toEqual(y.toArray());
  });

  it('passes everything on after eval(), and at p = 0; nothing at p = 1', () => {
    const x = rand([3, 3], { generator: new Generator(5) });
    expect(new Dropout(0.9).eval().forward(x)).toBe(x);
    expect(new Dropout(0).forward(x)).toBe(x);
    expect(new Dropout(1).forward(x).toArray()).toEqual(zeros([3, 3]).toArray());
  });

  it('repeats itself from the same generator state', () => {
    const layer = new Dropout(0.5, { generator: new Generator(6) });
    const x = ones([20]);
    const saved = layer.generator.state;
    const first = layer.forward(x).toArray();
    expect(layer.forward(x).toArray()).not.toEqual(first);
    layer.generator.setState(saved);
    expect(layer.forward(x).toArray()).toEqual(first);
  });

  it.each([-0.1, 1.5, NaN])('refuses p = %d', (p) => {
    expect(() => new Dropout(p)).toThrow(/probability from 0 to 1/);
  });
});

describe('Sequential', () => {
  const [first, second] = [new Linear(4, 3, { generator: new Generator(7) }), new Tanh()];
  const model = new Sequential(first, second, new Linear(3, 2, { generator: new Generator(8) }));

  it('applies its layers in order', () => {
    const x = randn([5, 4], { generator: new Generator(9) });
    expect(model.forward(x).toArray()).toEqual(
      model
        .at(2)
        .forward(second.forward(first.forward(x)))
        .toArray(),
    );
    expect(new Sequential().forward(x)).toBe(x);
  });

  it('can be walked and indexed', () => {
    expect([...model]).toHaveLength(3);
    expect(model.length).toBe(3);
    expect(model.at(0)).toBe(first);
    expect(model.at(-2)).toBe(second);
    expect(() => model.at(3)).toThrow('there is no layer 3; there are 3');
  });

  it('names parameters as PyTorch does', () => {
    const nested = new Sequential(model, new Linear(2, 1));
    expect(nested.namedParameters().map(([name]) => name)).toEqual([
      '0.0.weight',
      '0.0.bias',
      '0.2.weight',
      '0.2.bias',
      '1.weight',
      '1.bias',
    ]);
  });

  it('refuses what is no module', () => {
    expect(() => new Sequential(first, Math.tanh as unknown as Module)).toThrow('argument 1 is not a Module');
  });
});

describe('Flatten', () => {
  it('keeps the first axis', () => {
    expect(new Flatten().forward(zeros([2, 3, 4])).shape).toEqual([2, 12]);
    expect(new Flatten().forward(zeros([0, 3, 4])).shape).toEqual([0, 12]);
    expect(new Flatten().forward(zeros([5])).shape).toEqual([5, 1]);
    expect(() => new Flatten().forward(zeros([]))).toThrow(/scalar has no first axis/);
  });
});

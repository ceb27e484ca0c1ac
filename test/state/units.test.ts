/** Units found in the recorded graph: which weights are theirs, where their activations stand, and where there are none. */
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { noGrad } from '../../src/autograd/modes.ts';
import '../../src/ops/methods.ts';
import { replaceUnits } from '../../src/continual/newborn.ts';
import { ELU, LeakyReLU, ReLU, Tanh } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Dropout } from '../../src/nn/dropout.ts';
import { Linear } from '../../src/nn/linear.ts';
import type { Module } from '../../src/nn/module.ts';
import { LayerNorm } from '../../src/nn/normalization.ts';
import { MaxPool2d } from '../../src/nn/pool.ts';
import { add, mul } from '../../src/ops/binary.ts';
import { relu, sigmoid } from '../../src/ops/elementwise.ts';
import { mseLoss } from '../../src/ops/loss.ts';
import { linear, matmul } from '../../src/ops/matmul.ts';
import { layerNorm } from '../../src/ops/normalization.ts';
import { permute, reshape } from '../../src/ops/shape.ts';
import { logSoftmax } from '../../src/ops/softmax.ts';
import { Generator } from '../../src/random/generator.ts';
import { writeAt } from '../../src/state/reset.ts';
import { activationsOf, columnsOf, findUnits, type UnitLayer } from '../../src/state/units.ts';
import { zeros } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const generator = new Generator(3);
const draw = (...shape: number[]) => randn(shape, { generator });
const read = (x: Tensor): number[] => [...x.toFloat32Array()];

/** Fills all parameters with numbers that are not 0, so that biases count. */
const stir = (model: Module): void =>
  noGrad(() => {
    for (const w of model.parameters()) w.copy_(draw(...w.shape).mul(0.5));
  });

/** By how much the output moves when a unit's bias does. */
function sensitivity(model: Module, x: Tensor, { bias }: UnitLayer, unit: number): number {
  const out = () => noGrad(() => read(model.forward(x)));
  const before = out();
  const own = read(bias!)[unit]!;
  writeAt(bias!, [unit], () => own + 0.5);
  const after = out();
  writeAt(bias!, [unit], () => own);
  return Math.max(...after.map((y, i) => Math.abs(y - before[i]!)));
}

const convolutional = () =>
  new Sequential(
    new Conv2d(2, 3, 3, { padding: 1, generator }),
    new ReLU(),
    new MaxPool2d(2),
    new Conv2d(3, 4, 3, { generator }),
    new Tanh(),
    new Flatten(),
    new Linear(16, 5, { generator }),
    new LeakyReLU(0.2),
    new Linear(5, 2, { generator }),
  );

describe('units are found', () => {
  it('in a network of linear layers, in order, without the output', () => {
    const model = new Sequential(
      new Linear(3, 4),
      new ReLU(),
      new Linear(4, 5, { bias: false }),
      new ELU(),
      new Linear(5, 2),
    );
    const layers = findUnits(model.forward(draw(6, 3)));
    const [first, , second, , last] = [0, 1, 2, 3, 4].map((i) => model.at(i)) as [
      Linear,
      Module,
      Linear,
      Module,
      Linear,
    ];
    expect(layers).toEqual([
      {
        ...{ units: 4, kind: 'linear', weight: first.weight, bias: first.bias, norms: [], running: [] },
        activation: { name: 'relu', slope: null },
        outgoing: [{ weight: second.weight, bias: null, inner: 1 }],
        place: { output: 0, steps: 2 },
      },
      {
        ...{ units: 5, kind: 'linear', weight: second.weight, bias: null, norms: [], running: [] },
        activation: { name: 'elu', slope: null },
        outgoing: [{ weight: last.weight, bias: last.bias, inner: 1 }],
        place: { output: 0, steps: 0 },
      },
    ]);
    expect(layers[0]!.weight).toBe(first.weight);
    expect(layers[0]!.outgoing[0]!.weight).toBe(second.weight);
  });

  it('in a convolutional network: a channel owns the columns of its image where that is flattened', () => {
    const layers = findUnits(convolutional().forward(draw(2, 2, 8, 8)));
    expect(layers.map(({ units, kind, outgoing: [next] }) => [units, kind, next!.weight.shape, next!.inner])).toEqual([
      [3, 'conv2d', [4, 3, 3, 3], 1],
      [4, 'conv2d', [5, 16], 4],
      [5, 'linear', [2, 5], 1],
    ]);
    expect(layers.map(({ activation }) => activation)).toEqual([
      { name: 'relu', slope: null },
      { name: 'tanh', slope: null },
      { name: 'leakyRelu', slope: 0.2 },
    ]);
    expect(columnsOf(1, 4, 4, 16)).toEqual([4, 5, 6, 7]);
  });

  it('with layer norms between, whatever axes they span', () => {
    const norms = [new LayerNorm(4), new LayerNorm([3, 2, 2]), new LayerNorm([2, 2])] as const;
    const dense = new Sequential(new Linear(3, 4), norms[0], new ReLU(), new Linear(4, 2));
    const [layer] = findUnits(dense.forward(draw(5, 3)));
    expect(layer!.norms).toEqual([
      { parameter: norms[0].weight, inner: 1, start: 1 },
      { parameter: norms[0].bias, inner: 1, start: 0 },
    ]);
    const image = new Sequential(new Conv2d(1, 3, 1), norms[1], new ReLU(), norms[2], new Flatten(), new Linear(12, 2));
    const [channel] = findUnits(image.forward(draw(5, 1, 2, 2)));
    // The second norm spans one channel's image: its weights belong to all channels alike.
    expect(channel!.norms.map(({ parameter, inner, start }) => [parameter, inner, start])).toEqual([
      [norms[1].weight, 4, 1],
      [norms[1].bias, 4, 0],
    ]);
  });

  it('through dropout, more axes than two, and what comes after the last layer', () => {
    const model = new Sequential(new Linear(3, 4), new ReLU(), new Dropout(0.5, { generator }), new Linear(4, 2));
    const [layer] = findUnits(logSoftmax(model.forward(draw(2, 5, 3)), -1));
    expect(layer!.units).toBe(4);
    const sequence = new Sequential(new Linear(3, 4), new Tanh());
    const last = new Linear(20, 2);
    const features = sequence.forward(draw(2, 5, 3));
    const output = last.forward(reshape(features, [2, 20]));
    const [own] = findUnits(output);
    expect(columnsOf(1, 4, own!.outgoing[0]!.inner, 20)).toEqual([1, 5, 9, 13, 17]);
    const seen = activationsOf(own!, output);
    expect([seen.outer, seen.inner, read(seen.tensor)]).toEqual([10, 1, read(features)]);
  });

  it('through a mask that is computed and the same for all examples, and not past a factor that is learned', () => {
    const [first, last, place] = [new Linear(3, 4), new Linear(4, 2), parameter(draw(4))];
    const through = (factor: (h: Tensor) => Tensor, x = draw(5, 3)) =>
      findUnits(last.forward(mul(relu(first.forward(x)), factor(x))));
    expect(through(() => sigmoid(mul(place, 3)))[0]!.units).toBe(4);
    expect(through(() => reshape(sigmoid(place), [4]))[0]!.units).toBe(4);
    for (const learned of [() => place, () => reshape(place, [1, 4]), () => reshape(place, [4])])
      expect(() => through(learned)).toThrow(/^findUnits: mul joins several values/);
    // Another layer's answer is not the same for all examples, not even where there is one.
    const other = new Linear(3, 4);
    expect(() => through((x) => sigmoid(other.forward(x)), draw(1, 3))).toThrow(/^findUnits: mul joins several values/);
    const image = new Conv2d(1, 3, 1);
    const masked = mul(image.forward(draw(2, 1, 2, 2)), reshape(sigmoid(parameter(draw(3))), [3, 1, 1]));
    expect(findUnits(new Linear(12, 2).forward(reshape(masked, [2, 12])))[0]!.units).toBe(3);
  });

  it('under two heads: both read the units', () => {
    const trunk = new Sequential(new Linear(3, 4), new ReLU());
    const [a, b] = [new Linear(4, 2), new Linear(4, 1)];
    const hidden = trunk.forward(draw(2, 3));
    const outputs = [a.forward(hidden), b.forward(hidden)];
    const layers = findUnits(outputs);
    expect(layers.map(({ outgoing }) => outgoing.map(({ weight }) => weight.shape))).toEqual([
      [
        [2, 4],
        [1, 4],
      ],
    ]);
    expect(read(activationsOf(layers[0]!, outputs).tensor)).toEqual(read(hidden));
  });

  it('but not where they are an output themselves, nor twice where one head is given twice', () => {
    const [first, last] = [new Linear(3, 4), new Linear(4, 2)];
    const below = new Sequential(new Linear(3, 3), new ReLU());
    const hidden = relu(first.forward(below.forward(draw(2, 3))));
    const output = last.forward(hidden);
    expect(findUnits([hidden, output]).map(({ weight }) => weight.shape)).toEqual([[3, 3]]);
    const layers = findUnits([output, logSoftmax(output, 1)]);
    expect(layers.map(({ outgoing }) => outgoing.length)).toEqual([1, 1]);
  });

  it('with the activation that comes first', () => {
    const model = new Sequential(new Linear(3, 4), new LeakyReLU(0.5), new Tanh(), new Linear(4, 2));
    expect(findUnits(model.forward(draw(1, 3)))[0]!.activation).toEqual({ name: 'leakyRelu', slope: 0.5 });
  });

  it('below a layer that does not learn, too', () => {
    const model = new Sequential(new Linear(3, 4), new ReLU(), new Linear(4, 2));
    (model.at(2) as Linear).weight.requiresGrad_(false);
    expect(findUnits(model.forward(draw(1, 3))).map(({ units }) => units)).toEqual([4]);
  });
});

describe('activations are read as the next layer sees them', () => {
  it('of every layer, in another forward pass of the same network', () => {
    const model = convolutional();
    const layers = findUnits(model.forward(draw(1, 2, 8, 8)));
    const x = draw(3, 2, 8, 8);
    const output = model.forward(x);
    output.sum().backward();
    const expected: Tensor[] = [];
    let h = x;
    for (let i = 0; i < 9; i++) {
      if ([3, 6, 8].includes(i)) expected.push(h);
      h = model.at(i).forward(h);
    }
    layers.forEach((layer, i) => {
      const { tensor, outer, inner } = activationsOf(layer, output);
      expect(read(tensor)).toEqual(read(expected[i]!));
      expect([outer, inner]).toEqual([3, [16, 4, 1][i]]);
    });
  });

  it('and an output of another network, or of a graph that has gone, is a sentence', () => {
    const [one, other] = [0, 1].map(() => new Sequential(new Linear(3, 4), new ReLU(), new Linear(4, 2)));
    const x = draw(1, 3);
    const [layer] = findUnits(one!.forward(x));
    expect(() => activationsOf(layer!, other!.forward(x))).toThrow(/not of the network in which the units were found/);
    expect(() =>
      activationsOf(
        layer!,
        noGrad(() => one!.forward(x)),
      ),
    ).toThrow(/or its graph was given back/);
  });
});

describe('what belongs to a unit is all that belongs to it', () => {
  const networks: [string, () => Module, number[]][] = [
    ['convolutions', convolutional, [2, 2, 8, 8]],
    [
      'linear layers',
      () => new Sequential(new Linear(3, 4), new ReLU(), new Linear(4, 4), new Tanh(), new Linear(4, 2)),
      [5, 3],
    ],
  ];
  it.each(networks)('a replaced unit does not reach the output, the others do: %s', (_, build, shape) => {
    const model = build();
    stir(model);
    const x = draw(...shape);
    for (const layer of findUnits(model.forward(x))) {
      const moves = () => Array.from({ length: layer.units }, (_, unit) => sensitivity(model, x, layer, unit));
      const before = moves();
      const loudest = before.indexOf(Math.max(...before));
      expect(before[loudest]).toBeGreaterThan(1e-3);
      const width = layer.weight.size / layer.units;
      replaceUnits(layer, [loudest], new Float32Array(width).fill(0.1));
      const after = moves();
      expect(after[loudest]).toBe(0);
      expect(Math.max(...after)).toBeGreaterThan(1e-3);
      const own = read(layer.weight).slice(loudest * width, (loudest + 1) * width);
      expect(own).toEqual(Array(width).fill(Math.fround(0.1)));
      expect(read(layer.bias!)[loudest]).toBe(0);
    }
  });

  it('its numbers of a norm start at 1 and 0, no others', () => {
    const norm = new LayerNorm([3, 2, 2]);
    const model = new Sequential(new Conv2d(1, 3, 1), norm, new ReLU(), new Flatten(), new Linear(12, 2));
    stir(model);
    noGrad(() => [norm.weight!.fill_(5), norm.bias!.fill_(6)]);
    const [layer] = findUnits(model.forward(draw(2, 1, 2, 2)));
    replaceUnits(layer!, [0, 2], [1, 2]);
    expect(read(norm.weight!)).toEqual([1, 1, 1, 1, 5, 5, 5, 5, 1, 1, 1, 1]);
    expect(read(norm.bias!)).toEqual([0, 0, 0, 0, 6, 6, 6, 6, 0, 0, 0, 0]);
    expect(read((model.at(0) as Conv2d).weight)[0]).toBe(1);
    expect(read((model.at(0) as Conv2d).weight)[2]).toBe(2);
    const next = read((model.at(4) as Linear).weight);
    expect(next.map((w) => w !== 0)).toEqual([0, 1].flatMap(() => [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0].map(Boolean)));
  });
});

describe('units that cannot be found are a sentence', () => {
  const x = draw(2, 4);
  const square = () => new Linear(4, 4);

  it('residual sums', () => {
    const [a, b] = [square(), square()];
    const h = relu(a.forward(x));
    expect(() => findUnits(square().forward(add(h, b.forward(h))))).toThrow(
      /add joins several values \(a residual sum/,
    );
  });

  it('shared weights', () => {
    const a = square();
    expect(() => findUnits(square().forward(relu(a.forward(relu(a.forward(x))))))).toThrow(/used in two places/);
  });

  it('weights that are computed, and products that are no layer', () => {
    const { weight } = square();
    const h = relu(linear(x, mul(weight, 2)));
    expect(() => findUnits(square().forward(h))).toThrow(/weight of shape \[4, 4\] is computed \(by mul\)/);
    expect(() => findUnits(square().forward(matmul(x, parameter(draw(4, 4)))))).toThrow(
      /matmul does not keep units apart/,
    );
  });

  it('products with what is learned, or with more numbers than the units have', () => {
    const h = relu(square().forward(x));
    expect(() => findUnits(square().forward(mul(h, parameter(draw(2, 4)))))).toThrow(/mul joins several values/);
    expect(() => findUnits(square().forward(reshape(mul(h, draw(3, 2, 4)), [6, 4])))).toThrow(/mul does not keep/);
  });

  it('a loss in place of the output', () => {
    const output = square().forward(relu(square().forward(x)));
    expect(() => findUnits(mseLoss(output, zeros([2, 4])))).toThrow(/give the network's output, not the loss/);
  });

  it('axes that are mixed', () => {
    const image = relu(new Conv2d(1, 3, 1).forward(draw(2, 1, 2, 4)));
    expect(() => findUnits(new Linear(24, 2).forward(reshape(permute(image, [0, 2, 3, 1]), [2, 24])))).toThrow(
      /permute/,
    );
    expect(() => findUnits(new Linear(4, 2).forward(image))).toThrow(
      /linear at shape \[\d+, 4\] does not keep the 3 units/,
    );
    const pixels = reshape(relu(new Linear(4, 16).forward(x)), [2, 1, 4, 4]);
    expect(() => findUnits(new Conv2d(1, 2, 3).forward(pixels))).toThrow(/conv2d at shape \[2, 1, 4, 4\]/);
    expect(() => findUnits(new Linear(4, 2).forward(new MaxPool2d(2).forward(pixels).flatten(1)))).toThrow(
      /maxPool2d at/,
    );
    const odd = layerNorm(reshape(relu(square().forward(x)), [4, 2]), 2, parameter(draw(2)));
    expect(() => findUnits(square().forward(reshape(odd, [2, 4])))).toThrow(/layerNorm at shape \[4, 2\]/);
  });

  it('convolutions in groups', () => {
    const h = relu(new Conv2d(1, 4, 1).forward(draw(2, 1, 3, 3)));
    expect(() => findUnits(new Conv2d(4, 4, 1, { groups: 2 }).forward(h))).toThrow(/a convolution in groups/);
  });

  it('one layer, no layer, no graph', () => {
    expect(() => findUnits(square().forward(x))).toThrow(/no hidden units/);
    expect(() => findUnits(relu(parameter(x)))).toThrow(/no linear layer or convolution/);
    expect(() => findUnits(x)).toThrow(/no recorded graph/);
    expect(() => findUnits(noGrad(() => square().forward(x)))).toThrow(/no recorded graph/);
  });
});

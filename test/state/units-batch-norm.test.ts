/** Units behind batch normalization: their channels of it, what it remembers of them, and that all of it starts anew with them. */
import { describe, expect, it } from 'vitest';
import '../../src/ops/methods.ts';
import { noGrad } from '../../src/autograd/modes.ts';
import { ContinualBackprop } from '../../src/continual/continual-backprop.ts';
import { replaceUnits } from '../../src/continual/newborn.ts';
import { ReDo } from '../../src/continual/redo.ts';
import { ReLU } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Linear } from '../../src/nn/linear.ts';
import { BatchNorm1d, BatchNorm2d } from '../../src/nn/normalization.ts';
import { MaxPool2d } from '../../src/nn/pool.ts';
import { reshape } from '../../src/ops/shape.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { onReset } from '../../src/state/reset.ts';
import { activationsOf, findUnits } from '../../src/state/units.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const generator = new Generator(3);
const draw = (...shape: number[]) => randn(shape, { generator });
const read = (x: Tensor): number[] => [...x.toFloat32Array()];

/** Puts other numbers than those of a beginning everywhere. */
function stir(norm: BatchNorm1d): void {
  const { weight, bias, runningMean, runningVar } = norm;
  noGrad(() => {
    for (const [i, x] of [weight, bias, runningMean, runningVar].entries()) x?.fill_(5 + i);
  });
}
const numbersOf = ({ weight, bias, runningMean, runningVar }: BatchNorm1d) =>
  [weight, bias, runningMean, runningVar].map((x) => x && read(x));

/** [4, 1, 6, 6] -> conv [4, 3, 4, 4] -> norm, relu, pool [4, 3, 2, 2] -> flatten [4, 12] -> linear, norm, relu -> linear */
function network(options?: ConstructorParameters<typeof BatchNorm2d>[1]) {
  const parts = {
    conv: new Conv2d(1, 3, 3, { generator }),
    images: new BatchNorm2d(3, options),
    dense: new Linear(12, 4, { generator }),
    features: new BatchNorm1d(4, options),
    last: new Linear(4, 2, { generator }),
  };
  const { conv, images, dense, features, last } = parts;
  const layers = [conv, images, new ReLU(), new MaxPool2d(2), new Flatten(), dense, features, new ReLU(), last];
  return { model: new Sequential(...layers), ...parts };
}

describe('units behind batch normalization', () => {
  it.each([true, false])(
    'are found, with their numbers of it and its running statistics (training: %s)',
    (training) => {
      const { model, conv, images, dense, features, last } = network();
      model.train(training);
      const output = model.forward(draw(4, 1, 6, 6));
      const [channels, hidden] = findUnits(output);
      expect(channels!.weight).toBe(conv.weight);
      expect(channels!.activation?.name).toBe('relu');
      expect(channels!.norms).toEqual([
        { parameter: images.weight, inner: 1, start: 1 },
        { parameter: images.bias, inner: 1, start: 0 },
      ]);
      expect(channels!.norms[0]!.parameter).toBe(images.weight);
      expect(
        channels!.running.map(({ buffer, inner, start }) => [buffer === images.runningMean, inner, start]),
      ).toEqual([
        [true, 1, 0],
        [false, 1, 1],
      ]);
      expect(channels!.running[1]!.buffer).toBe(images.runningVar);
      expect(channels!.outgoing).toEqual([{ weight: dense.weight, bias: dense.bias, inner: 4 }]);
      expect(hidden!.running.map(({ buffer }) => buffer)).toEqual([features.runningMean, features.runningVar]);
      expect(hidden!.norms.map(({ parameter }) => parameter)).toEqual([features.weight, features.bias]);
      expect(hidden!.outgoing[0]!.weight).toBe(last.weight);
      expect(activationsOf(hidden!, output).tensor.shape).toEqual([4, 4]);
      expect(activationsOf(channels!, output).inner).toBe(4);
    },
  );

  it('are the same in the other mode: activations of one are read with units found in the other', () => {
    const { model } = network();
    const layers = findUnits(model.forward(draw(4, 1, 6, 6)));
    const x = draw(1, 1, 6, 6);
    model.eval();
    const output = model.forward(x);
    let h = x;
    const seen: Tensor[] = [];
    for (const layer of model) {
      if (layer instanceof Linear) seen.push(h);
      h = layer.forward(h);
    }
    for (const [i, layer] of layers.entries())
      expect(read(activationsOf(layer, output).tensor)).toEqual(read(seen[i]!));
  });

  it('have no numbers where there is nothing to learn or to remember', () => {
    const bare = findUnits(network({ affine: false, trackRunningStats: false }).model.forward(draw(4, 1, 6, 6)));
    expect(bare.map(({ norms, running }) => [norms, running])).toEqual([
      [[], []],
      [[], []],
    ]);
    const remembered = findUnits(network({ affine: false }).model.forward(draw(4, 1, 6, 6)));
    expect(remembered.map(({ norms, running }) => [norms.length, running.length])).toEqual([
      [0, 2],
      [0, 2],
    ]);
  });

  it('after the activation, after flattening, and over [N, C, L] own their channels', () => {
    const [after, flattened] = [new BatchNorm2d(3), new BatchNorm1d(12)];
    const model = new Sequential(
      ...[new Conv2d(1, 3, 3, { generator }), new ReLU(), after, new MaxPool2d(2), new Flatten(), flattened],
      new Linear(12, 2, { generator }),
    );
    const [layer] = findUnits(model.forward(draw(4, 1, 6, 6)));
    expect(layer!.norms.map(({ parameter, inner }) => [parameter.size, inner])).toEqual([
      [3, 1],
      [3, 1],
      [12, 4],
      [12, 4],
    ]);
    for (const norm of [after, flattened]) stir(norm);
    replaceUnits(layer!, [1], new Float32Array(9).fill(0.5));
    expect(numbersOf(after)).toEqual([
      [5, 1, 5],
      [6, 0, 6],
      [7, 0, 7],
      [8, 1, 8],
    ]);
    const kept = (old: number, fresh: number) => [0, 1, 2].flatMap((u) => Array(4).fill(u === 1 ? fresh : old));
    expect(numbersOf(flattened)).toEqual([kept(5, 1), kept(6, 0), kept(7, 0), kept(8, 1)]);

    // An image of 3 channels seen as 6 of half an image each.
    const halves = new BatchNorm1d(6);
    const conv = new Conv2d(1, 3, 3, { generator });
    const half = reshape(halves.forward(reshape(conv.forward(draw(4, 1, 4, 4)), [4, 6, 2])), [4, 12]);
    const [split] = findUnits(new Linear(12, 2, { generator }).forward(half));
    expect(split!.running.map(({ inner }) => inner)).toEqual([2, 2]);
  });

  it('after a linear layer of several places an example own a channel at each', () => {
    const norm = new BatchNorm1d(8);
    const h = reshape(new Linear(3, 4, { generator }).forward(draw(5, 2, 3)), [5, 8]);
    const [layer] = findUnits(new Linear(8, 2, { generator }).forward(norm.forward(h)));
    stir(norm);
    replaceUnits(layer!, [2], [1, 1, 1]);
    expect(read(norm.runningMean!)).toEqual([7, 7, 0, 7, 7, 7, 0, 7]);
  });

  it('of two heads are found once', () => {
    const norm = new BatchNorm1d(4);
    const h = norm.forward(new Linear(3, 4, { generator }).forward(draw(5, 3)));
    const [layer] = findUnits([1, 2].map((n) => new Linear(4, n, { generator }).forward(h)));
    expect([layer!.outgoing.length, layer!.norms.length, layer!.running.length]).toEqual([2, 2, 2]);
  });

  it('are not found where a channel holds several', () => {
    const norm = new BatchNorm1d(2);
    const h = norm.forward(new Linear(3, 4, { generator }).forward(draw(5, 2, 3)));
    expect(() => findUnits(new Linear(4, 2, { generator }).forward(h))).toThrow(
      /batchNorm at shape \[5, 2, 4\] does not keep the 4 units of a layer apart/,
    );
    const pixels = reshape(new Linear(3, 8, { generator }).forward(draw(5, 3)), [5, 2, 2, 2]);
    const conv = new BatchNorm2d(2).eval().forward(pixels);
    expect(() => findUnits(new Linear(8, 2, { generator }).forward(reshape(conv, [5, 8])))).toThrow(
      /batchNormInUse at shape/,
    );
  });
});

describe('a replaced unit starts anew', () => {
  it.each([true, false])('with its channels of the norm, and the others stay (training: %s)', (training) => {
    const { model, images, features, conv, dense } = network();
    const [channels, hidden] = findUnits(model.train(training).forward(draw(4, 1, 6, 6)));
    for (const norm of [images, features]) stir(norm);
    const count = read(images.numBatchesTracked!);
    const others = read(conv.weight).slice(0, 9);
    replaceUnits(channels!, [1, 2], new Float32Array(18).fill(0.25));
    expect(numbersOf(images)).toEqual([
      [5, 1, 1],
      [6, 0, 0],
      [7, 0, 0],
      [8, 1, 1],
    ]);
    expect(numbersOf(features)).toEqual([5, 6, 7, 8].map((x) => [x, x, x, x]));
    expect(read(conv.weight)).toEqual([...others, ...new Array<number>(18).fill(0.25)]);
    // Each channel has four columns of the next layer; those of the new ones are 0.
    expect(read(dense.weight).map((w) => w !== 0)).toEqual(
      Array(4)
        .fill([0, 1, 2].flatMap((u) => Array(4).fill(u === 0)))
        .flat(),
    );
    replaceUnits(hidden!, [0], new Float32Array(12).fill(0.25));
    expect(numbersOf(features)).toEqual([
      [1, 5, 5, 5],
      [0, 6, 6, 6],
      [0, 7, 7, 7],
      [1, 8, 8, 8],
    ]);
    expect(read(images.numBatchesTracked!)).toEqual(count);
  });

  it('changes nothing of what the network says in use, if it said nothing before', () => {
    const { model } = network();
    for (let i = 0; i < 3; i++) model.forward(draw(4, 1, 6, 6));
    const x = draw(3, 1, 6, 6);
    const layers = findUnits(model.forward(x));
    model.eval();
    for (const layer of layers) {
      const width = layer.weight.size / layer.units;
      replaceUnits(layer, [1], new Float32Array(width).fill(0.1));
      const before = noGrad(() => read(model.forward(x)));
      replaceUnits(layer, [1], new Float32Array(width).fill(3));
      expect(noGrad(() => read(model.forward(x)))).toEqual(before);
    }
  });

  it('and whoever holds something about its running statistics hears of it', () => {
    const { model, images } = network();
    const [channels] = findUnits(model.forward(draw(4, 1, 6, 6)));
    const heard: number[][] = [];
    for (const buffer of [images.runningMean!, images.runningVar!])
      onReset(buffer, (elements) => heard.push([...elements]));
    replaceUnits(channels!, [2, 0], new Float32Array(18));
    expect(heard).toEqual([
      [2, 0],
      [2, 0],
    ]);
  });

  it('under continual backprop', () => {
    const { model, images, features } = network();
    const sgd = new SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
    const continual = new ContinualBackprop(model.forward(draw(4, 1, 6, 6)), { rate: 0.2, maturity: 3, generator });
    let replaced = 0;
    for (let step = 0; step < 40; step++) {
      const output = model.forward(draw(4, 1, 6, 6).add(3));
      sgd.zeroGrad();
      output.square().mean().backward();
      sgd.step();
      const before = [images, features].map(numbersOf);
      const units = continual.step(output);
      replaced += units.length;
      [images, features].forEach((norm, layer) => {
        const fresh = units.filter((one) => one.layer === layer).map(({ unit }) => unit);
        const expected = before[layer]!.map((numbers, i) =>
          numbers!.map((x, unit) => (fresh.includes(unit) ? [1, 0, 0, 1][i]! : x)),
        );
        expect(numbersOf(norm)).toEqual(expected);
      });
    }
    expect(replaced).toBeGreaterThan(5);
  });

  it('under ReDo', () => {
    const { model, features, dense } = network();
    // Unit 2 is asleep: whatever comes, its bias behind the norm keeps relu at 0. The others never sleep.
    noGrad(() => features.bias!.copy_(tensor([3, 3, -100, 3])));
    const redo = new ReDo(model.forward(draw(4, 1, 6, 6)), { every: 1, threshold: 0, generator });
    const output = model.forward(draw(4, 1, 6, 6).add(2));
    const before = numbersOf(features);
    const incoming = read(dense.weight);
    expect(redo.step(output)).toContainEqual({ layer: 1, unit: 2 });
    const after = numbersOf(features);
    expect(after.map((numbers) => numbers![2])).toEqual([1, 0, 0, 1]);
    for (const unit of [0, 1, 3])
      expect(after.map((numbers) => numbers![unit])).toEqual(before.map((numbers) => numbers![unit]));
    expect(read(dense.weight).slice(24, 36)).not.toEqual(incoming.slice(24, 36));
  });
});

/** BatchNorm1d and BatchNorm2d: PyTorch's values, what their buffers do, and that these go wherever the module goes. */
import { describe, expect, it } from 'vitest';
import { Generator, gradients, noGrad, randn, type Tensor, tensor, zeros } from '../../src/index.ts';
import { formatCheckpoint, restoreCheckpoint } from '../../src/io/checkpoint.ts';
import { formatSafetensors, parseSafetensors } from '../../src/io/safetensors.ts';
import { Sequential } from '../../src/nn/container.ts';
import { Linear } from '../../src/nn/linear.ts';
import { BatchNorm1d, BatchNorm2d } from '../../src/nn/normalization.ts';
import { batchNorm } from '../../src/ops/batch-normalization.ts';
import { expectClose, flat } from '../ops/numbers.ts';
import { type Packed, readGolden } from '../optim/golden.ts';

interface GoldenModule {
  module: string;
  attrs: { num_features: number; mode: string };
  params: Record<'weight' | 'bias', Packed & { grad: number[] }>;
  buffers: Record<'running_mean' | 'running_var' | 'num_batches_tracked', Packed>;
  input: Packed & { grad: number[] };
  output: Packed;
  upstream: Packed;
}
const golden = (readGolden('modules.json') as { cases: GoldenModule[] }).cases.filter(
  ({ module }) => module === 'BatchNorm2d',
);
const unpack = ({ data, shape }: Packed): Tensor => tensor(data, shape);

describe("PyTorch's BatchNorm2d in use, after two batches of training", () => {
  it('is there to compare with', () => expect(golden.length).toBeGreaterThan(0));

  it.each(golden)('output and all gradients: $attrs.mode', ({ attrs, params, buffers, input, output, upstream }) => {
    const layer = new BatchNorm2d(attrs.num_features);
    layer.loadStateDict({
      ...{ weight: unpack(params.weight), bias: unpack(params.bias) },
      ...{ runningMean: unpack(buffers.running_mean), runningVar: unpack(buffers.running_var) },
      numBatchesTracked: unpack(buffers.num_batches_tracked),
    });
    layer.eval();
    const x = unpack(input).requiresGrad_();
    const y = layer.forward(x);
    expectClose(y, output.data, 2e-6);
    y.backward(unpack(upstream));
    expectClose(x.grad!, input.grad, 1e-5);
    expectClose(layer.weight!.grad!, params.weight.grad, 1e-5);
    expectClose(layer.bias!.grad!, params.bias.grad, 1e-5);
  });
});

const buffersOf = ({ runningMean, runningVar, numBatchesTracked }: BatchNorm1d) =>
  [runningMean!, runningVar!, numBatchesTracked!].map(flat);

/** Two batches of one channel: means 2 and 10, unbiased variances 8 and 2. */
const batches = [tensor([[0], [4]]), tensor([[9], [11]])] as const;

describe('BatchNorm1d', () => {
  it('starts as plain normalization: weight 1, bias 0, mean 0, variance 1, no batch seen', () => {
    const layer = new BatchNorm1d(3);
    const shown = (named: [string, Tensor][]) => named.map(([name, value]) => [name, value.toArray()]);
    expect(shown(layer.namedParameters())).toEqual([
      ['weight', [1, 1, 1]],
      ['bias', [0, 0, 0]],
    ]);
    expect(shown(layer.namedBuffers())).toEqual([
      ['runningMean', [0, 0, 0]],
      ['runningVar', [1, 1, 1]],
      ['numBatchesTracked', 0],
    ]);
    const x = randn([6, 3], { generator: new Generator(1) });
    expect(layer.forward(x).toArray()).toEqual(batchNorm(x).toArray());
  });

  it('follows each batch by momentum: running = (1 - momentum) running + momentum batch', () => {
    const layer = new BatchNorm1d(1);
    layer.forward(batches[0]);
    expectClose(buffersOf(layer), [0.2, 0.9 + 0.8, 1]);
    layer.forward(batches[1]);
    expectClose(buffersOf(layer), [0.9 * 0.2 + 1, 0.9 * 1.7 + 0.2, 2]);
    const quick = new BatchNorm1d(1, { momentum: 0.75 });
    quick.forward(batches[0]);
    expectClose(buffersOf(quick), [1.5, 0.25 + 6, 1]);
  });

  it('with momentum null is the plain mean over batches', () => {
    const layer = new BatchNorm1d(1, { momentum: null });
    layer.forward(batches[0]);
    expectClose(buffersOf(layer), [2, 8, 1]);
    layer.forward(batches[1]);
    expectClose(buffersOf(layer), [6, 5, 2]);
    layer.forward(batches[1]);
    expectClose(buffersOf(layer), [22 / 3, 4, 3]);
  });

  it('in use scales by the running statistics, and they stay', () => {
    const layer = new BatchNorm1d(1, { eps: 1 });
    layer.loadStateDict({
      ...{ weight: tensor([5]), bias: tensor([7]), runningMean: tensor([2]), runningVar: tensor([3]) },
      numBatchesTracked: tensor(4),
    });
    layer.eval();
    expect(layer.forward(tensor([[4]])).toArray()).toEqual([[12]]);
    expect(layer.forward(batches[0]).toArray()).toEqual([[2], [12]]);
    expect(buffersOf(layer)).toEqual([[2], [3], [4]]);
    // Back in training it is the batch again.
    expectClose(layer.train().forward(batches[0]), [7 - 10 / Math.sqrt(5), 7 + 10 / Math.sqrt(5)]);
    expect(flat(layer.numBatchesTracked!)).toEqual([5]);
  });

  it('follows batches inside noGrad, too, and sends no gradient to buffers', () => {
    const layer = new BatchNorm1d(1);
    noGrad(() => layer.forward(batches[0]));
    expectClose(buffersOf(layer), [0.2, 1.7, 1]);
    expect(layer.parameters()).toEqual([layer.weight, layer.bias]);
    layer.forward(batches[1]).square().sum().backward();
    for (const [, value] of layer.namedBuffers()) expect(value.requiresGrad).toBe(false);
  });

  it('refuses a batch of one in training, keeps what it knew, and takes it in use', () => {
    const layer = new BatchNorm1d(2);
    expect(() => layer.forward(zeros([1, 2]))).toThrow(/single number for each channel.*eval\(\) of a module/s);
    expect(buffersOf(layer)).toEqual([[0, 0], [1, 1], [0]]);
    expect(layer.forward(zeros([1, 2, 2])).shape).toEqual([1, 2, 2]);
    expect(
      layer
        .eval()
        .forward(zeros([1, 2]))
        .toArray(),
    ).toEqual([[0, 0]]);
  });

  it('learns and counts nothing from an empty batch', () => {
    const layer = new BatchNorm1d(2, { momentum: null });
    expect(layer.forward(zeros([0, 2])).shape).toEqual([0, 2]);
    expect(buffersOf(layer)).toEqual([[0, 0], [1, 1], [0]]);
  });

  it('may go without weight and bias, and without running statistics', () => {
    expect(new BatchNorm1d(2, { affine: false }).namedParameters()).toEqual([]);
    const layer = new BatchNorm1d(1, { trackRunningStats: false });
    expect(layer.namedBuffers()).toEqual([]);
    const trained = layer.forward(batches[0]).toArray();
    expectClose(trained, [-1, 1], 1e-4);
    expect(layer.eval().forward(batches[0]).toArray()).toEqual(trained);
  });

  it('takes the shapes it is for, and no other number of channels', () => {
    const [features, images] = [new BatchNorm1d(3), new BatchNorm2d(3)];
    expect(features.forward(zeros([2, 3, 4])).shape).toEqual([2, 3, 4]);
    expect(() => features.forward(zeros([2, 3, 4, 4]))).toThrow(
      'BatchNorm1d: x [2, 3, 4, 4] must be [N, C] or [N, C, L] with C = 3, its numFeatures.',
    );
    expect(() => images.forward(zeros([2, 3]))).toThrow(
      'BatchNorm2d: x [2, 3] must be [N, C, H, W] with C = 3, its numFeatures.',
    );
    expect(() => images.forward(zeros([2, 4, 5, 5]))).toThrow(/with C = 3/);
    expect(buffersOf(images)[2]).toEqual([0]);
  });

  it('refuses options out of range', () => {
    expect(() => new BatchNorm1d(0)).toThrow('BatchNorm1d: numFeatures must be an integer from 1 up');
    expect(() => new BatchNorm2d(2.5)).toThrow('BatchNorm2d: numFeatures must be an integer from 1 up');
    expect(() => new BatchNorm1d(2, { eps: -1 })).toThrow('eps must be a number of at least 0, but it is -1');
    for (const momentum of [-0.1, 1.1, Number.NaN])
      expect(() => new BatchNorm1d(2, { momentum })).toThrow('momentum must be a number from 0 to 1, or null');
  });
});

describe('running statistics go with the model', () => {
  const generator = new Generator(3);
  const build = () =>
    new Sequential(new Linear(3, 4, { generator }), new BatchNorm1d(4), new Linear(4, 2, { generator }));
  const x = randn([6, 3], { generator });
  const trained = () => {
    const model = build();
    for (let i = 0; i < 3; i++) model.forward(randn([6, 3], { generator }));
    return model;
  };
  const names = ['1.runningMean', '1.runningVar', '1.numBatchesTracked'];

  it('in the state dict, which must have them', () => {
    const [model, other] = [trained(), build()];
    const state = model.stateDict();
    expect(Object.keys(state)).toEqual(expect.arrayContaining(names));
    other.loadStateDict(state);
    expect(other.eval().forward(x).toArray()).toEqual(model.eval().forward(x).toArray());
    const { '1.runningVar': _, ...without } = state;
    expect(() => other.loadStateDict(without)).toThrow(/the state lacks 1.runningVar/);
    // A copy: more training does not reach it.
    const before = flat(state['1.runningMean']!);
    model.train().forward(x);
    expect(flat(state['1.runningMean']!)).toEqual(before);
  });

  it('in checkpoints and safetensors, to the bit', () => {
    const model = trained();
    const state = model.stateDict();
    const { tensors } = parseSafetensors(formatSafetensors(state));
    expect([...tensors.keys()].sort()).toEqual(Object.keys(state).sort());
    const other = build();
    restoreCheckpoint(formatCheckpoint({ model }), { model: other });
    for (const name of Object.keys(state)) expect(flat(other.stateDict()[name]!)).toEqual(flat(state[name]!));
    // What goes on from there is the same.
    for (const one of [model, other]) one.forward(x);
    expect(flat(other.stateDict()['1.runningVar']!)).toEqual(flat(model.stateDict()['1.runningVar']!));
  });

  it('in forwardWith, which uses those it is given and writes none', () => {
    const model = trained();
    const then = model.stateDict();
    const before = model.eval().forward(x).toArray();
    model.train();
    for (let i = 0; i < 3; i++) model.forward(x);
    const now = names.map((name) => flat(model.stateDict()[name]!));
    expect(model.eval().forward(x).toArray()).not.toEqual(before);
    expect(model.train().forwardWith(then, x).toArray()).toEqual(before);
    expect(names.map((name) => flat(model.stateDict()[name]!))).toEqual(now);
    expect(model.at(1).training).toBe(true);
  });

  it('and a network with a norm in the middle learns from gradients of its batch', () => {
    const model = build();
    const loss = () => model.forward(x).square().sum();
    const first = loss();
    const sent = gradients(first, model.parameters());
    noGrad(() => {
      for (const [i, p] of model.parameters().entries()) p.copy_(p.sub(sent[i]!.mul(0.01)));
    });
    expect(loss().item()).toBeLessThan(first.item());
  });
});

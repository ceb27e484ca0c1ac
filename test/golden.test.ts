/**
 * Every op against PyTorch's values (float64, from float32 inputs), forward and backward: one test for all cases of
 * ops.json in GOLDEN_DIR. A case of the list below that has no op here is a failure; any other is named as not there yet.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as p from '../src/index.ts';

interface GoldenArray {
  shape: number[];
  data: number[];
  grad?: number[];
}
interface Case {
  op: string;
  attrs: Record<string, unknown>;
  inputs: Record<string, GoldenArray>;
  output: GoldenArray;
  upstream?: GoldenArray;
}

const folder = process.env.GOLDEN_DIR ?? join(import.meta.dirname, 'golden');

/** PyTorch's names; a case has those of its op. */
interface Attributes {
  dim: number & number[];
  keepdim?: boolean;
  unbiased: boolean;
  kernel_size: p.PoolOptions['kernelSize'];
  stride?: p.PoolOptions['kernelSize'];
  padding?: p.PoolOptions['kernelSize'];
  dilation?: p.PoolOptions['kernelSize'];
  groups?: number;
  approximate: 'none' | 'tanh';
  negative_slope: number;
  alpha: number;
  min: number;
  max: number;
  exponent: number;
  shape: number[];
  dims: number[];
  dim0: number;
  dim1: number;
  slices: p.Range[];
  pad: number[];
  num_classes: number;
  reduction: p.Reduction;
  label_smoothing?: number;
}
type Inputs = Record<string, p.Tensor> & { index: p.Indices; target: p.Indices };
type Runner = (inputs: Inputs, attrs: Attributes) => p.Tensor | p.Indices;

const unary = [
  ...[
    'neg',
    'exp',
    'sin',
    'cos',
    'tanh',
    'sigmoid',
    'relu',
    'silu',
    'softplus',
    'abs',
    'square',
    'erf',
    'selu',
    'sign',
  ],
  ...['expm1', 'mish', 'hardswish', 'logsigmoid', 'log', 'sqrt', 'rsqrt', 'reciprocal', 'log1p'],
] as const;
const binary = ['add', 'sub', 'mul', 'div', 'maximum', 'minimum'] as const;

const functions = p as unknown as Record<string, (...args: p.Tensor[]) => p.Tensor>;
const reduction = (f: (x: p.Tensor, dim: number | number[] | undefined, keepdim: boolean) => p.Tensor): Runner => {
  return ({ x }, { dim, keepdim = false }) => f(x!, dim ?? undefined, keepdim);
};
const pool =
  (f: (x: p.Tensor, options: p.PoolOptions) => p.Tensor): Runner =>
  ({ x }, { kernel_size, stride = kernel_size, padding = 0 }) =>
    f(x!, { kernelSize: kernel_size, stride, padding });

const runners: Record<string, Runner> = {
  ...Object.fromEntries(unary.map((name): [string, Runner] => [name, ({ x }) => functions[name]!(x!)])),
  ...Object.fromEntries(binary.map((name): [string, Runner] => [name, ({ a, b }) => functions[name]!(a!, b!)])),
  gelu: ({ x }, attrs) => p.gelu(x!, attrs),
  leaky_relu: ({ x }, { negative_slope }) => p.leakyRelu(x!, negative_slope),
  elu: ({ x }, { alpha }) => p.elu(x!, alpha),
  clamp: ({ x }, { min, max }) => p.clamp(x!, min, max),
  pow: ({ x }, { exponent }) => p.pow(x!, exponent),
  pow_tensor: ({ a, b }) => p.pow(a!, b!),
  where: ({ c, a, b }) => p.where(c!.gt(0), a!, b!),
  matmul: ({ input, other }) => p.matmul(input!, other!),
  linear: ({ input, weight, bias }) => p.linear(input!, weight!, bias),
  sum: reduction(p.sum),
  mean: reduction(p.mean),
  var: ({ x }, { dim, unbiased }) => p.variance(x!, dim, { unbiased }),
  std: ({ x }, { dim, unbiased }) => p.std(x!, dim, { unbiased }),
  amax: reduction(p.amax),
  amin: reduction(p.amin),
  prod: reduction(p.prod),
  logsumexp: reduction(p.logsumexp),
  norm: reduction(p.norm),
  argmax: ({ x }, { dim }) => p.argmax(x!, dim),
  softmax: ({ x }, { dim }) => p.softmax(x!, dim),
  log_softmax: ({ x }, { dim }) => p.logSoftmax(x!, dim),
  reshape: ({ x }, { shape }) => p.reshape(x!, shape),
  permute: ({ x }, { dims }) => p.permute(x!, dims),
  transpose: ({ x }, { dim0, dim1 }) => p.transpose(x!, dim0, dim1),
  flip: ({ x }, { dims }) => p.flip(x!, dims),
  slice: ({ x }, { slices }) => p.slice(x!, slices),
  cat: ({ a, b }, { dim }) => p.cat([a!, b!], dim),
  stack: ({ a, b }, { dim }) => p.stack([a!, b!], dim),
  expand: ({ x }, { shape }) => p.expand(x!, shape),
  pad: ({ x }, { pad }) => p.pad(x!, pad),
  index_select: ({ x, index }, { dim }) => p.indexSelect(x!, dim, index),
  gather: ({ x, index }, { dim }) => p.gather(x!, dim, index),
  one_hot: ({ index }, { num_classes }) => p.oneHot(index, num_classes),
  conv2d: ({ input, weight, bias }, { stride, padding, dilation, groups }) =>
    p.conv2d(input!, weight!, bias, definedOnly({ stride, padding, dilation, groups }) as p.ConvolutionOptions),
  max_pool2d: pool(p.maxPool2d),
  avg_pool2d: pool(p.avgPool2d),
  cross_entropy: ({ logits, target }, { reduction, label_smoothing = 0 }) =>
    p.crossEntropy(logits!, target, { reduction, labelSmoothing: label_smoothing }),
  cross_entropy_soft: ({ logits, target }, { reduction }) => p.crossEntropy(logits!, target, { reduction }),
  nll_loss: ({ logp, target }) => p.nllLoss(logp!, target),
  mse_loss: ({ input, target }) => p.mseLoss(input!, target as unknown as p.Tensor),
  l1_loss: ({ input, target }) => p.l1Loss(input!, target as unknown as p.Tensor),
};

/** Cases that have to be there; others of the file are for later. */
const required = [
  ...unary,
  ...binary,
  ...[
    'gelu',
    'leaky_relu',
    'elu',
    'clamp',
    'pow',
    'pow_tensor',
    'where',
    'matmul',
    'linear',
    'sum',
    'mean',
    'var',
    'std',
  ],
  ...[
    'amax',
    'amin',
    'prod',
    'logsumexp',
    'norm',
    'argmax',
    'softmax',
    'log_softmax',
    'reshape',
    'permute',
    'transpose',
  ],
  ...['flip', 'slice', 'cat', 'stack', 'expand', 'pad', 'index_select', 'gather', 'one_hot', 'conv2d', 'max_pool2d'],
  ...['avg_pool2d', 'cross_entropy', 'cross_entropy_soft', 'nll_loss', 'mse_loss', 'l1_loss'],
];

function definedOnly(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** |a - b| <= 1e-6 + relative max |b| over the whole tensor. */
function expectClose(name: string, found: ArrayLike<number>, expected: readonly number[], relative: number): void {
  expect(found.length, `${name}: number of elements`).toBe(expected.length);
  const bound = 1e-6 + relative * expected.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(found[i]! - expected[i]!);
    expect(difference <= bound, `${name}[${i}]: found ${found[i]}, expected ${expected[i]}, allowed ${bound}`).toBe(
      true,
    );
  }
}

/** Whether some sum in the case runs over more than 100 terms: float32 then needs more room. */
function sumsOverMany({ inputs }: Case): boolean {
  return Object.values(inputs).some(({ shape }) => Math.max(0, ...shape) > 100);
}

function check(golden: Case): void {
  const inputs: Record<string, p.Tensor | p.Indices> = {};
  for (const [name, { shape, data, grad }] of Object.entries(golden.inputs)) {
    const integers = (name === 'index' || name === 'target') && grad === undefined && data.every(Number.isInteger);
    if (integers) inputs[name] = new p.Indices(shape, Int32Array.from(data));
    else inputs[name] = p.tensor(Float32Array.from(data), shape).requiresGrad_(grad !== undefined);
  }
  const output = runners[golden.op]!(inputs as Inputs, golden.attrs as unknown as Attributes);
  const relative = sumsOverMany(golden) ? 1e-4 : 1e-5;
  expect(output.shape, `${golden.op}: shape`).toEqual(golden.output.shape);
  expectClose(
    golden.op,
    output instanceof p.Indices ? output.data : output.toFloat32Array(),
    golden.output.data,
    relative,
  );
  if (golden.upstream === undefined) return;
  (output as p.Tensor).backward(p.tensor(Float32Array.from(golden.upstream.data), golden.upstream.shape));
  for (const [name, { grad }] of Object.entries(golden.inputs)) {
    if (grad === undefined) continue;
    const found = (inputs[name] as p.Tensor).grad;
    expect(found, `${golden.op}: gradient of ${name}`).not.toBeNull();
    expectClose(`${golden.op}: gradient of ${name}`, found!.toFloat32Array(), grad, relative);
  }
}

describe('golden', () => {
  const file = join(folder, 'ops.json');
  if (!existsSync(file))
    throw new Error(`No golden values at ${file}: set GOLDEN_DIR to the folder that holds ops.json.`);
  const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] };
  const present = new Set(cases.map(({ op }) => op));

  it('has cases for all required ops', () => {
    expect(required.filter((op) => !present.has(op))).toEqual([]);
    expect(required.filter((op) => runners[op] === undefined)).toEqual([]);
  });

  const later = [...present].filter((op) => runners[op] === undefined);
  if (later.length > 0) console.info(`Golden cases without an op yet: ${later.join(', ')}.`);

  const counts = new Map<string, number>();
  for (const golden of cases) {
    if (runners[golden.op] === undefined) continue;
    const count = (counts.get(golden.op) ?? 0) + 1;
    counts.set(golden.op, count);
    it(`${golden.op} ${count} ${JSON.stringify(golden.attrs)}`, () => check(golden));
  }
});

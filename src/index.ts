/**
 * Palimpsest: automatic differentiation in which the backward pass belongs to the user. This is the public door.
 */
import './autograd/leaf.ts';
import './ops/methods.ts';

export { checkGradients, type GradientCheck } from './autograd/check.ts';
export {
  defineOp,
  type GradientRule,
  type NotDifferentiable,
  type Op,
  type OpDefinition,
  type Operand,
  type RawGradient,
  type Recorded,
  registeredOps,
  type Sample,
} from './autograd/define.ts';
export { parameter } from './autograd/leaf.ts';
export { detectAnomaly, noGrad, scope } from './autograd/modes.ts';
export { Draw } from './autograd/samples.ts';

// Derivatives
export { type GradientOptions, grad, gradients, type TransformOptions, valueAndGrad } from './autograd/transforms.ts';
// Data
export { batches } from './data/batches.ts';
export { gunzip, isGzip } from './data/gzip.ts';
export { type IdxArray, parseIdx, readIdx } from './data/idx.ts';
export {
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
} from './nn/activation.ts';
export { Flatten, Identity, Sequential } from './nn/container.ts';
export { Conv2d, type Conv2dOptions } from './nn/convolution.ts';
export { Dropout } from './nn/dropout.ts';
export * as init from './nn/init.ts';
export { Linear, type LinearOptions } from './nn/linear.ts';
// Layers
export { Module, type StateDict } from './nn/module.ts';
export { AvgPool2d, MaxPool2d } from './nn/pool.ts';
// Operations
export { add, div, eq, ge, gt, le, lt, maximum, minimum, mul, ne, sub, where } from './ops/binary.ts';
export { type ConvolutionOptions, conv2d } from './ops/convolution.ts';
export {
  abs,
  clamp,
  cos,
  elu,
  erf,
  exp,
  expm1,
  gelu,
  hardswish,
  leakyRelu,
  log,
  log1p,
  logsigmoid,
  mish,
  neg,
  pow,
  reciprocal,
  relu,
  rsqrt,
  selu,
  sigmoid,
  sign,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  tanh,
} from './ops/elementwise.ts';
export { gather, type IndexLike, indexSelect, oneHot } from './ops/indexing.ts';
export {
  type CrossEntropyOptions,
  crossEntropy,
  type LossOptions,
  l1Loss,
  mseLoss,
  nllLoss,
  type Reduction,
} from './ops/loss.ts';
export { linear, matmul } from './ops/matmul.ts';
export { avgPool2d, maxPool2d, type PoolOptions } from './ops/pool.ts';
export { amax, amin, argmax, argmin, mean, norm, prod, std, type VarianceOptions, variance } from './ops/reduce.ts';
export {
  cat,
  clone,
  flatten,
  flip,
  pad,
  permute,
  type Range,
  reshape,
  slice,
  squeeze,
  stack,
  transpose,
  unsqueeze,
} from './ops/shape.ts';
export { logSoftmax, logsumexp, softmax } from './ops/softmax.ts';
export { expand, sum } from './ops/sum.ts';
export { Adam, type AdamOptions, AdamW } from './optim/adam.ts';
export { CosineAnnealingLR, LinearLR } from './optim/schedules.ts';

// Optimizers
export { SGD, type SGDOptions } from './optim/sgd.ts';
// Random numbers
export { Generator, type GeneratorState, manualSeed } from './random/generator.ts';
// Memory
export { type Context, createContext } from './storage/context.ts';
export { kernelSet, memoryInUse, setMemoryLimit } from './storage/dispatch.ts';
export type { KernelSet } from './storage/heap.ts';
export { withData } from './tensor/access.ts';
// Tensors
export { arange, buffer, eye, full, ones, tensor, zeros } from './tensor/create.ts';
export { rand, randn } from './tensor/random.ts';
export { Indices, type NestedArray, Tensor } from './tensor/tensor.ts';

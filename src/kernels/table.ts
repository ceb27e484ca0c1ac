/**
 * The contract of every kernel: its name, what its numbers mean, what it writes.
 *
 * A kernel is a loop over flat numbers in one memory. It knows neither Tensor nor gradient. It gets **addresses**
 * (counted in elements, not bytes, from the start of the memory: an address below 2^30 is a small integer to every
 * engine, a byte address above 2 GiB is not), sizes, strides (in elements, may be 0 or negative) and a few floats.
 * It returns nothing and allocates nothing. Unless its line says otherwise an operand is contiguous, `out` may be the
 * same address as an operand of the same size and layout, and any size may be 0.
 *
 * `accumulate` is 0 (write) or 1 (add to what stands there). An address of 0 stands for "no operand": nothing is ever
 * stored at address 0.
 *
 * Each kernel exists twice: in reference/ as plain TypeScript, which is its definition, and (where it pays) in wasm/.
 */

/** The numbers a reference kernel works on: float32 or float64, and the same slots seen as integers. */
export interface Memory {
  floats: Float32Array | Float64Array;
  /** Integer operands (labels, indices). For float64 it is the same array: its slots hold whole numbers exactly. */
  ints: Int32Array | Float64Array;
}

/** out[i] = f(x[i]; p, q) for i < n. p and q are the op's scalar attributes (slope, bounds, exponent); most ignore them. */
export type UnaryKernel = (x: number, out: number, n: number, p: number, q: number) => void;

/**
 * out[i, j] = f(a[i, j], b[i, j]), out contiguous [rows, columns]. Operands step by (row, column) strides: columns by 0 or
 * 1, rows by anything, so that a scalar (0, 0), a row (0, 1) and a column (1, 0) broadcast without a copy.
 */
export type BinaryKernel = (
  a: number,
  aRow: number,
  aColumn: number,
  b: number,
  bRow: number,
  bColumn: number,
  out: number,
  rows: number,
  columns: number,
) => void;

/**
 * First-order backward of a unary op: out[i] (+)= g[i] * f'(saved[i]). `saved` is the op's input or its output, as the
 * kernel's name list says.
 */
export type SlopeKernel = (
  g: number,
  saved: number,
  out: number,
  n: number,
  p: number,
  q: number,
  accumulate: number,
) => void;

/** x is [outer, n, inner]; out [outer, inner] (+)= the reduction over the middle axis. n may be 0 (its neutral value). */
export type ReduceKernel = (
  x: number,
  out: number,
  outer: number,
  n: number,
  inner: number,
  accumulate: number,
) => void;

export const unaryNames = [
  ...(['neg', 'exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'tanh', 'sigmoid', 'erf', 'sqrt', 'rsqrt'] as const),
  ...(['reciprocal', 'abs', 'square', 'sign', 'relu', 'silu', 'softplus', 'logsigmoid', 'selu', 'mish'] as const),
  /** gelu: the exact one, x Phi(x). geluTanh: its tanh approximation. */
  ...(['hardswish', 'gelu', 'geluTanh'] as const),
  /** leakyRelu: p = slope. elu: p = alpha. clamp: [p, q] (NaN stays NaN). powScalar: x ** p. scale: x * p + q. */
  ...(['leakyRelu', 'elu', 'clamp', 'powScalar', 'scale'] as const),
] as const;
export type UnaryName = (typeof unaryNames)[number];

/** Comparisons give 0 or 1. maximum and minimum give NaN where an operand is NaN. */
export const binaryNames = [
  ...(['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'pow', 'eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const),
] as const;
export type BinaryName = (typeof binaryNames)[number];

/** The ones that read the OUTPUT as `saved`: relu, tanh, sigmoid, exp. The ones that read the INPUT: the others. */
export const slopeNames = [
  ...(['reluSlope', 'tanhSlope', 'sigmoidSlope', 'expSlope'] as const),
  ...(['geluSlope', 'geluTanhSlope', 'siluSlope', 'leakyReluSlope', 'squareSlope'] as const),
] as const;
export type SlopeName = (typeof slopeNames)[number];

/** sum, prod, max, min (the last two: NaN wins; n = 0 gives -Infinity, +Infinity). With accumulate: sum only. */
export const reduceNames = ['sum', 'prod', 'max', 'min'] as const;
export type ReduceName = (typeof reduceNames)[number];

/** Sizes of a 2-d convolution or pool, in one order everywhere: image, channels, then kernel, output, stride, padding. */
type ConvolutionSizes = [
  images: number,
  channels: number,
  height: number,
  width: number,
  outChannels: number,
  kernelHeight: number,
  kernelWidth: number,
  outHeight: number,
  outWidth: number,
  strideY: number,
  strideX: number,
  padY: number,
  padX: number,
  dilationY: number,
  dilationX: number,
  groups: number,
];
type PoolSizes = [
  /** images * channels */
  planes: number,
  height: number,
  width: number,
  kernelHeight: number,
  kernelWidth: number,
  outHeight: number,
  outWidth: number,
  strideY: number,
  strideX: number,
  padY: number,
  padX: number,
];

interface OtherKernels {
  fill(out: number, n: number, value: number): void;
  /** Contiguous copy; the ranges may overlap. */
  copy(x: number, out: number, n: number): void;
  /**
   * out[i0, i1, i2, i3] (+)= x[i0, i1, i2, i3], both sides with their own strides (x: a0..a3; out: b0..b3), sizes d0..d3.
   * out must not overlap x; a stride of 0 in out is allowed only with accumulate (it sums).
   */
  copyStrided(
    x: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    out: number,
    b0: number,
    b1: number,
    b2: number,
    b3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    accumulate: number,
  ): void;
  /** out[i] = condition[i] != 0 ? a[i] : b[i] */
  where(condition: number, a: number, b: number, out: number, n: number): void;

  /** [outer, n, inner] -> int [outer, inner]: position of the first maximum (minimum); NaN counts as the largest (smallest). n >= 1. */
  argmax(x: number, out: number, outer: number, n: number, inner: number): void;
  argmin(x: number, out: number, outer: number, n: number, inner: number): void;

  /** Rows: out[r, :] = softmax(x[r, :]) and its logarithm; a shift by the row's maximum keeps both finite. */
  softmax(x: number, out: number, rows: number, columns: number): void;
  logSoftmax(x: number, out: number, rows: number, columns: number): void;
  /** out[r] = log sum_j exp(x[r, j]); a row of -Infinity gives -Infinity, a row that holds +Infinity gives +Infinity. */
  logSumExp(x: number, out: number, rows: number, columns: number): void;
  /** out (+)= y (g - sum_j g_j y_j), y the softmax. */
  softmaxSlope(g: number, y: number, out: number, rows: number, columns: number, accumulate: number): void;
  /** out (+)= g - exp(y) sum_j g_j, y the log-softmax. */
  logSoftmaxSlope(g: number, y: number, out: number, rows: number, columns: number, accumulate: number): void;
  /**
   * Cross-entropy with class targets (int labels[rows], checked by the caller), label smoothing s:
   * losses[r] = -sum_c ((1 - s) [c = label] + s / columns) log p[r, c]; probabilities[r, c] = p[r, c] = softmax(logits), kept for
   * the backward pass (address 0: not wanted).
   */
  crossEntropy(
    logits: number,
    labels: number,
    losses: number,
    probabilities: number,
    rows: number,
    columns: number,
    smoothing: number,
  ): void;
  /** out[r, c] (+)= scale g[r * gStep] (p[r, c] - (1 - s) [c = label] - s / columns). gStep 0: one g for all rows. */
  crossEntropySlope(
    g: number,
    gStep: number,
    scale: number,
    probabilities: number,
    labels: number,
    out: number,
    rows: number,
    columns: number,
    smoothing: number,
    accumulate: number,
  ): void;
  /**
   * Rows of mean 0 and variance 1: out[r, j] = (x[r, j] - mean[r]) / sqrt(variance[r] + eps) * weight[j] + bias[j]; weight, bias: 0
   * for none. statistics[r] = the mean, statistics[rows + r] = 1 / sqrt(variance + eps), for the way back (0: not wanted).
   */
  layerNorm(
    x: number,
    weight: number,
    bias: number,
    out: number,
    statistics: number,
    rows: number,
    columns: number,
    eps: number,
  ): void;
  /**
   * out (+)= the gradient of x: s (h - mean(h) - n mean(h n)) by rows, with h = g weight, n = (x - mean) s the normalized x and s the
   * second of the statistics.
   */
  layerNormSlope(
    g: number,
    x: number,
    weight: number,
    statistics: number,
    out: number,
    rows: number,
    columns: number,
    accumulate: number,
  ): void;
  /** out[j] (+)= the gradient of the weight, sum_r g[r, j] n[r, j]. */
  layerNormWeightSlope(
    g: number,
    x: number,
    statistics: number,
    out: number,
    rows: number,
    columns: number,
    accumulate: number,
  ): void;

  /**
   * x is [outer, channels, inner], here and below. moments[c] = the mean of channel c, moments[channels + c] = its variance (the mean
   * of the squares of distances from the mean). Of no numbers both are 0.
   */
  batchMoments(x: number, moments: number, outer: number, channels: number, inner: number): void;
  /** out = (x - mean[c]) / sqrt(variance[c] + eps) * weight[c] + bias[c]; weight, bias: 0 for none. */
  batchNorm(
    x: number,
    mean: number,
    variance: number,
    weight: number,
    bias: number,
    out: number,
    outer: number,
    channels: number,
    inner: number,
    eps: number,
  ): void;
  /**
   * out (+)= the gradient of x: a (g - mean(g) - n mean(g n)) by channels, where mean and variance are x's own (ofBatch 1), a g where they
   * are given (0); n = (x - mean) s, s = 1 / sqrt(variance + eps), a = s weight.
   */
  batchNormSlope(
    g: number,
    x: number,
    mean: number,
    variance: number,
    weight: number,
    out: number,
    outer: number,
    channels: number,
    inner: number,
    eps: number,
    ofBatch: number,
    accumulate: number,
  ): void;
  /** out[c] (+)= the gradient of the weight, the sum of g n. */
  batchNormWeightSlope(
    g: number,
    x: number,
    mean: number,
    variance: number,
    out: number,
    outer: number,
    channels: number,
    inner: number,
    eps: number,
    accumulate: number,
  ): void;

  /** out[0] = scale * sum_i (a[i] - b[i])^2 */
  squaredError(a: number, b: number, out: number, n: number, scale: number): void;
  /** out[i] (+)= 2 scale g[0] (a[i] - b[i]) */
  squaredErrorSlope(g: number, a: number, b: number, out: number, n: number, scale: number, accumulate: number): void;

  /**
   * c[i, j] (+)= sum_p a[i, p] b[p, j] + bias[j], i < m, j < n, p < k; then max(0, .) where relu is 1. a and b have any strides
   * (so transposes and views cost nothing); c steps cRow by row and 1 by column. k = 0 writes the bias, or 0.
   * bias and relu are not combined with accumulate.
   */
  gemm(
    a: number,
    aRow: number,
    aColumn: number,
    b: number,
    bRow: number,
    bColumn: number,
    c: number,
    cRow: number,
    m: number,
    n: number,
    k: number,
    accumulate: number,
    bias: number,
    relu: number,
  ): void;

  /**
   * out [n, n] = the lower triangular L with L L^T = a, zeros above; of a [n, n] the lower triangle is read. A pivot (what is
   * left of a diagonal number when its root is to be taken) that is not above 0 is stored without a root: the first such
   * diagonal number says that there is no factor, and what follows it means nothing.
   */
  cholesky(a: number, out: number, n: number): void;
  /** out [n, columns] = L^-1 b (transposed 1: L^-T b), b [n, columns]; of l [n, n] the lower triangle is read. out is not l. */
  triangularSolve(l: number, b: number, out: number, n: number, columns: number, transposed: number): void;

  /** x[N, C, H, W] * weight[O, C / groups, kh, kw] + bias[O] (or 0) -> out[N, O, oh, ow] */
  conv2d(x: number, weight: number, bias: number, out: number, ...sizes: ConvolutionSizes): void;
  /** out[N, C, H, W] (+)= the gradient of the input, from g[N, O, oh, ow]. */
  conv2dInputSlope(g: number, weight: number, out: number, accumulate: number, ...sizes: ConvolutionSizes): void;
  /** out[O, C / groups, kh, kw] (+)= the gradient of the weight. */
  conv2dWeightSlope(g: number, x: number, out: number, accumulate: number, ...sizes: ConvolutionSizes): void;

  /** Padding counts as -Infinity. winners (int): position in its plane (y * width + x) of the first maximum of each window; NaN
   * wins; -1 for a window that lies wholly in the padding (its maximum is -Infinity, and no gradient leaves it). */
  maxPool2d(x: number, out: number, winners: number, ...sizes: PoolSizes): void;
  /** out[planes, planeSize] (+)= g[planes, windows] sent to winners. */
  maxPool2dSlope(
    g: number,
    winners: number,
    out: number,
    planes: number,
    planeSize: number,
    windows: number,
    accumulate: number,
  ): void;
  /** out[planes, windows] = x[planes, planeSize] read at winners: the adjoint of maxPool2dSlope. */
  maxPool2dPick(x: number, winners: number, out: number, planes: number, planeSize: number, windows: number): void;
  /** Padding counts as 0 and counts in the mean (PyTorch's count_include_pad = true). */
  avgPool2d(x: number, out: number, ...sizes: PoolSizes): void;
  avgPool2dSlope(g: number, out: number, accumulate: number, ...sizes: PoolSizes): void;

  /** out[o, j, i] = x[o, index[j], i]; x is [outer, n, inner], index int[count] with 0 <= index < n (checked by the caller). */
  indexSelect(x: number, index: number, out: number, outer: number, n: number, count: number, inner: number): void;
  /** out[o, index[j], i] += g[o, j, i]; repeated indices add up, in order. */
  indexAdd(g: number, index: number, out: number, outer: number, n: number, count: number, inner: number): void;
  /** out[o, j, i] = x[o, index[o, j, i], i]; x is [outer, n, inner], index int[outer, count, inner]. */
  gather(x: number, index: number, out: number, outer: number, n: number, count: number, inner: number): void;
  /** out[o, index[o, j, i], i] += g[o, j, i]; repeated indices add up, in order. */
  scatterAdd(g: number, index: number, out: number, outer: number, n: number, count: number, inner: number): void;
  /** out[n, classes]: 1 at (i, index[i]), 0 elsewhere. */
  oneHot(index: number, out: number, n: number, classes: number): void;

  /**
   * PyTorch's SGD. d = g + weightDecay w; with momentum: velocity = first ? d : momentum velocity + (1 - dampening) d, and
   * d = nesterov ? d + momentum velocity : velocity; w -= lr d. velocity is 0 (none) when momentum is 0.
   */
  sgd(
    w: number,
    g: number,
    velocity: number,
    n: number,
    lr: number,
    momentum: number,
    dampening: number,
    nesterov: number,
    weightDecay: number,
    first: number,
  ): void;
  /**
   * PyTorch's Adam and AdamW. decoupled 0: g += weightDecay w; 1: w -= lr weightDecay w first.
   * m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; s = vMax ? (vMax = max(vMax, v)) : v (vMax 0: no amsgrad);
   * w -= (lr / correction1) m / (sqrt(s) / sqrt(correction2) + eps), where correction = 1 - beta^step.
   */
  adam(
    w: number,
    g: number,
    m: number,
    v: number,
    vMax: number,
    n: number,
    lr: number,
    beta1: number,
    beta2: number,
    eps: number,
    weightDecay: number,
    decoupled: number,
    correction1: number,
    correction2: number,
  ): void;
}

export type Kernels = OtherKernels &
  Record<UnaryName, UnaryKernel> &
  Record<BinaryName, BinaryKernel> &
  Record<SlopeName, SlopeKernel> &
  Record<ReduceName, ReduceKernel>;

export type KernelName = keyof Kernels;

/** A reference kernel: the same arguments, after the memory they point into. */
export type ReferenceKernels = {
  readonly [Name in KernelName]: (memory: Memory, ...args: Parameters<Kernels[Name]>) => void;
};

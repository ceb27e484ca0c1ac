/**
 * The everyday changes to a backward pass, each a few lines: straight-through estimators, reversed, scaled, clipped and
 * stopped gradients, guided relu. All but stopping are surrogates: what they send is not the derivative of what they
 * compute, and checks and derivatives of derivatives refuse them unless told allowSurrogate.
 */
import { customGradient } from '../autograd/custom.ts';
import type { Operand } from '../autograd/define.ts';
import { gradientRule, type NodeRule } from '../autograd/rule.ts';
import { div, ge, gt, le, maximum, mul, where } from '../ops/binary.ts';
import { abs, clamp, neg, relu } from '../ops/elementwise.ts';
import { amax, norm } from '../ops/reduce.ts';
import { broadcastShapes, sameShape, showShape } from '../tensor/layout.ts';
import { checkTensor, kindOf, Tensor } from '../tensor/tensor.ts';

/** The same numbers as a tensor of its own, without history; nothing is copied. */
const view = (x: Tensor): Tensor => new Tensor(x.storage, x.layout, x.offset);

/**
 * x without its history: no message goes beyond it. Nothing is copied, so it lives as long as x does: it is for use within
 * a step. To keep numbers beyond the step use x.detach(), which copies them.
 *
 *     const w = tensor([2, 3]).requiresGrad_();
 *     mul(w, stopGradient(w)).sum().backward();
 *     w.grad.toArray(); // [2, 3]
 */
export function stopGradient(x: Tensor): Tensor {
  checkTensor('stopGradient', x);
  return view(x);
}

export interface StraightThroughOptions {
  /** Sends gradients only where low <= x <= high (both included); without it, everywhere. */
  readonly window?: readonly [low: number, high: number];
}

/**
 * A function that computes f and sends its gradients through as if it were the identity: the straight-through estimator, for
 * rounding, signs and other steps without a derivative. f gives a value of x's shape.
 * Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic neurons" (2013). With
 * `window: [-1, 1]` around sign: Hubara et al., "Binarized neural networks" (2016), equation 4.
 *
 *     const binary = straightThrough(sign, { window: [-1, 1] });
 *     const rounded = straightThrough((x) => tensor(x.toFloat32Array().map(Math.round), x.shape));
 *     const w = tensor([0.3, -2]).requiresGrad_();
 *     binary(w).add(rounded(w)).toArray(); // [1, -3]
 *     binary(w).sum().backward();
 *     w.grad.toArray(); // [1, 0]
 */
export function straightThrough(
  f: (x: Tensor) => Tensor,
  { window }: StraightThroughOptions = {},
): (x: Operand) => Tensor {
  if (typeof f !== 'function')
    throw new Error(`straightThrough: expected a function of a tensor, sign for example, not ${kindOf(f)}.`);
  if (window !== undefined && !(window.length === 2 && window[0] <= window[1]))
    throw new Error(`straightThrough: window is [low, high] with low <= high, not [${window.join(', ')}].`);
  const name = `straightThrough(${f.name || 'a function'})`;
  return customGradient({
    name,
    surrogate: true,
    reads: window === undefined ? 'nothing' : 'inputs',
    forward([x]) {
      const y = f(x);
      if (y instanceof Tensor && !sameShape(y.shape, x.shape))
        throw new Error(
          `${name}: the function made shape ${showShape(y.shape)} of shape ${showShape(x.shape)}. Gradients pass unchanged, so it has to ` +
            'keep the shape.',
        );
      return y === x ? view(x) : y;
    },
    gradient({ inputs: [x] }, g) {
      if (window === undefined) return g;
      return where(mul(ge(x, window[0]), le(x, window[1])), g, 0);
    },
  });
}

const scaled = customGradient<[Tensor, Tensor]>({
  name: 'scaleGradient',
  surrogate: true,
  forward([x, k]) {
    if (!sameShape(broadcastShapes('scaleGradient', x.shape, k.shape), x.shape))
      throw new Error(
        `scaleGradient: a factor of shape ${showShape(k.shape)} does not broadcast to a value of shape ${showShape(x.shape)}. Give a ` +
          'number, or a tensor that does.',
      );
    return view(x);
  },
  gradient: ({ inputs: [, k] }, g) => [mul(g, k), null],
});

/**
 * x itself, whose gradients are multiplied by k on their way down: a number, or a tensor that broadcasts to x (a mask, a
 * factor for each sample [B, 1]). k gets no gradient.
 *
 *     const w = tensor([2, 3]).requiresGrad_();
 *     scaleGradient(w, 0.5).sum().backward();
 *     w.grad.toArray(); // [0.5, 0.5]
 */
export const scaleGradient = (x: Tensor, k: Operand): Tensor => {
  checkTensor('scaleGradient', x);
  return scaled(x, k);
};

const reversed = customGradient<[Tensor, Tensor]>({
  name: 'reverseGradient',
  surrogate: true,
  forward: ([x]) => view(x),
  gradient: ({ inputs: [, lambda] }, g) => [neg(mul(g, lambda)), null],
});

/**
 * x itself, whose gradients arrive below times -lambda: what is above learns to do a thing, what is below to prevent it.
 * Ganin and Lempitsky, "Unsupervised domain adaptation by backpropagation" (2015).
 *
 *     const features = tensor([1, 2]).requiresGrad_();
 *     reverseGradient(features, 0.1).mul(10).sum().backward();
 *     features.grad.toArray(); // [-1, -1]
 */
export function reverseGradient(x: Tensor, lambda = 1): Tensor {
  checkTensor('reverseGradient', x);
  if (!Number.isFinite(lambda)) throw new Error(`reverseGradient: lambda is a finite number, not ${kindOf(lambda)}.`);
  return reversed(x, lambda);
}

/** One of the two: the largest size of an entry, or the largest Euclidean norm of the whole gradient. */
export type ClipLimit = { readonly value: number } | { readonly norm: number };

const clippedByValue = customGradient<[Tensor, Tensor]>({
  name: 'clipGradient',
  surrogate: true,
  forward: ([x]) => view(x),
  gradient: ({ inputs: [, limit] }, g) => [clamp(g, -limit.item(), limit.item()), null],
});

const clippedByNorm = customGradient<[Tensor, Tensor]>({
  name: 'clipGradient',
  surrogate: true,
  forward: ([x]) => view(x),
  gradient({ inputs: [, limit] }, g) {
    if (g.size === 0) return [g, null];
    // Measured in units of the largest entry: the squares of very large and very small numbers leave float32.
    const unit = maximum(amax(abs(g)), 1e-30);
    const shape = div(g, unit);
    const length = norm(shape);
    return [where(gt(mul(length, unit), limit), mul(shape, div(limit, length)), g), null];
  },
});

/**
 * x itself, whose gradient is kept small on its way down: each entry between -value and value, or the whole of it (all
 * entries of the tensor together, not each sample) no longer than norm, its direction kept.
 *
 *     const w = tensor([3, 4]).requiresGrad_();
 *     clipGradient(w, { norm: 1 }).square().sum().backward();
 *     w.grad.toArray(); // about [0.6, 0.8]
 */
export function clipGradient(x: Tensor, limit: ClipLimit): Tensor {
  checkTensor('clipGradient', x);
  const { value, norm: length } = limit as { value?: number; norm?: number };
  if ((value === undefined) === (length === undefined))
    throw new Error('clipGradient: give one limit, { value: 1 } for each entry or { norm: 1 } for the whole.');
  const most = (value ?? length) as number;
  if (!(most > 0)) throw new Error(`clipGradient: a limit is a number above 0, not ${most}.`);
  return value === undefined ? clippedByNorm(x, most) : clippedByValue(x, most);
}

/**
 * The rule of guided backpropagation for relu: of the gradients that pass, only the positive ones do. For images of what a
 * network saw. Springenberg et al., "Striving for simplicity: the all convolutional net" (2015), section 3.4.
 *
 *     const image = tensor([[-1, 2, 3]]).requiresGrad_();
 *     const seen = withRules({ relu: guidedRelu }, () => relu(image));
 *     seen.mul(tensor([[1, -1, 1]])).sum().backward();
 *     image.grad.toArray(); // [[0, 0, 1]]
 */
export const guidedRelu: NodeRule = gradientRule(
  'guided relu',
  ({ inputs }, g) => where(gt(inputs[0]!.value, 0), relu(g), 0),
  { surrogate: true },
);

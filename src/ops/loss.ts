/** Losses. Classes are whole numbers; `reduction` is 'mean' (the default), 'sum' or 'none', as in PyTorch. */
import { rowwise } from '../autograd/apart.ts';
import { defineOp, type Op } from '../autograd/define.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocate, allocateShape, contiguous } from '../tensor/access.ts';
import { asTensor, full } from '../tensor/create.ts';
import { sameShape, scalarLayout, showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, Indices, Tensor } from '../tensor/tensor.ts';
import { mul, sub } from './binary.ts';
import { abs, neg, square } from './elementwise.ts';
import { atLeast, bounded } from './feasible.ts';
import { gather, type IndexLike, indexAddress, oneHot, toIndices } from './indexing.ts';
import { mean } from './reduce.ts';
import { permute, reshape } from './shape.ts';
import { logSoftmax, softmax } from './softmax.ts';
import { sum } from './sum.ts';

export type Reduction = 'mean' | 'sum' | 'none';

export interface LossOptions {
  readonly reduction?: Reduction;
}

function checkReduction(op: string, reduction: Reduction): void {
  if (reduction !== 'mean' && reduction !== 'sum' && reduction !== 'none')
    throw new Error(`${op}: reduction is 'mean', 'sum' or 'none', not ${String(reduction)}.`);
}

function reduced(losses: Tensor, reduction: Reduction): Tensor {
  if (reduction === 'none') return losses;
  return reduction === 'mean' ? mean(losses) : sum(losses);
}

interface CrossEntropyAttributes {
  labels: Int32Array;
  smoothing: number;
  reduction: Reduction;
}

/** The factor of each row's loss in the result. */
const weightOf = (reduction: Reduction, rows: number) => (reduction === 'mean' ? 1 / rows : 1);

/** The entropy of a smoothed target, (1 - s) [c = label] + s / classes: no cross-entropy with it is less. */
function leastSurprise(classes: number, smoothing: number): number {
  const other = smoothing / classes;
  const entropy = (p: number) => (p > 0 ? -p * Math.log(p) : 0);
  return entropy(1 - smoothing + other) + (classes - 1) * entropy(other);
}

/** logits [rows, classes] -> losses [rows], or their sum or mean. Keeps the probabilities for the way back. */
const crossEntropyOp: Op<[Tensor], CrossEntropyAttributes> = defineOp({
  name: 'crossEntropy',
  inputs: ['logits'],
  forward: ([logits], { labels, smoothing, reduction }, node) => {
    const dense = contiguous(logits);
    const [rows, classes] = dense.layout.shape as [number, number];
    const losses = allocateShape([rows]);
    const probabilities = node === null ? null : allocate(dense.layout);
    if (node !== null) node.saved = probabilities;
    const to = probabilities === null ? 0 : address(probabilities);
    run.crossEntropy(address(dense), indexAddress(labels), address(losses), to, rows, classes, smoothing);
    if (reduction === 'none') return losses;
    const out = allocate(scalarLayout);
    run.sum(address(losses), address(out), 1, rows, 1, 0);
    if (reduction === 'mean') run.scale(address(out), address(out), 1, 1 / rows, 0);
    return out;
  },
  gradient: [
    ({ inputs: [logits], attributes: { labels, smoothing, reduction } }, g) => {
      const [rows, classes] = logits.shape as [number, number];
      const targets = mul(oneHot(labels, classes), 1 - smoothing);
      const expected = smoothing === 0 ? targets : targets.add(smoothing / classes);
      const perRow = reduction === 'none' ? reshape(g, [rows, 1]) : g;
      return mul(sub(softmax(logits), expected), mul(perRow, weightOf(reduction, rows)));
    },
  ],
  perExample: rowwise(),
  raw: ({ inputs: [logits], attributes: { labels, smoothing, reduction }, saved }, g, out, accumulate) => {
    const [rows, classes] = logits.layout.shape as [number, number];
    const step = reduction === 'none' ? 1 : 0;
    const weight = weightOf(reduction, rows);
    const probabilities = address(saved!);
    run.crossEntropySlope(
      address(g),
      step,
      weight,
      probabilities,
      indexAddress(labels),
      out,
      rows,
      classes,
      smoothing,
      accumulate,
    );
  },
  reads: 'inputs',
  feasible: bounded(({ inputs: [logits], attributes: { smoothing, reduction } }) => {
    const [rows, classes] = logits.shape as [number, number];
    const least = leastSurprise(classes, smoothing) * (reduction === 'sum' ? rows : 1);
    return [least, classes === 1 ? least : Number.POSITIVE_INFINITY];
  }),
  samples: (draw) =>
    (['mean', 'sum', 'none'] as const).map((reduction, i) => ({
      inputs: [draw.normal([3, 4], 2)],
      attributes: { labels: Int32Array.of(2, 0, 3), smoothing: 0.1 * i, reduction },
    })),
});

export interface CrossEntropyOptions extends LossOptions {
  /** How much of the target is spread evenly over all classes, 0 to 1. */
  readonly labelSmoothing?: number;
}

/**
 * Softmax cross-entropy of logits [batch, classes] (or [batch, classes, ...]) with a target: whole-number classes
 * [batch, ...], or a tensor of class probabilities of the shape of the logits.
 *
 *     crossEntropy(tensor([[2, 0, 0]]), [0]).item();       // 0.2395
 */
export function crossEntropy(
  logits: Tensor,
  target: IndexLike | Tensor,
  { reduction = 'mean', labelSmoothing = 0 }: CrossEntropyOptions = {},
): Tensor {
  checkTensor('crossEntropy', logits);
  checkReduction('crossEntropy', reduction);
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new Error(`crossEntropy: labelSmoothing lies between 0 and 1; ${labelSmoothing} does not.`);
  if (logits.ndim < 1) throw new Error('crossEntropy: logits are [batch, classes] or [classes], not a scalar.');
  if (target instanceof Tensor) return softCrossEntropy(logits, target, reduction, labelSmoothing);
  const classAxis = logits.ndim === 1 ? 0 : 1;
  const classes = logits.shape[classAxis]!;
  const { shape, data } = toIndices('crossEntropy', target, classes);
  const expected = logits.shape.filter((_, axis) => axis !== classAxis);
  const fits = sameShape(shape, expected) || (logits.ndim === 1 && data.length === 1);
  if (!fits)
    throw new Error(
      `crossEntropy: target ${showShape(shape)} does not fit logits ${showShape(logits.shape)}: one class for each row, so ` +
        `${showShape(expected)}.`,
    );
  const rows = logits.ndim === 2 ? logits : reshape(classesLast(logits), [data.length, classes]);
  const losses = crossEntropyOp(rows, { labels: data, smoothing: labelSmoothing, reduction });
  return reduction === 'none' && logits.ndim !== 2 ? reshape(losses, expected) : losses;
}

/** [batch, classes, ...] -> [batch, ..., classes] */
function classesLast(x: Tensor): Tensor {
  if (x.ndim <= 2) return x;
  return permute(x, [0, ...x.shape.slice(2).map((_, i) => i + 2), 1]);
}

function softCrossEntropy(logits: Tensor, target: Tensor, reduction: Reduction, smoothing: number): Tensor {
  if (!sameShape(logits.shape, target.shape))
    throw new Error(
      `crossEntropy: class probabilities ${showShape(target.shape)} must have the shape of the logits, ${showShape(logits.shape)}. ` +
        'Classes as whole numbers come in an array or an Int32Array, not in a tensor.',
    );
  const classAxis = logits.ndim === 1 ? 0 : 1;
  const smooth = smoothing === 0 ? target : mul(target, 1 - smoothing).add(smoothing / logits.shape[classAxis]!);
  return reduced(neg(sum(mul(smooth, logSoftmax(logits, classAxis)), classAxis)), reduction);
}

/** Minus the log-probability of each row's class: logp [batch, classes] (or [batch, classes, ...]), target as in crossEntropy. */
export function nllLoss(logp: Tensor, target: IndexLike, { reduction = 'mean' }: LossOptions = {}): Tensor {
  checkTensor('nllLoss', logp);
  checkReduction('nllLoss', reduction);
  if (logp.ndim < 2) throw new Error(`nllLoss: log-probabilities are [batch, classes], not ${showShape(logp.shape)}.`);
  const { shape, data } = toIndices('nllLoss', target, logp.shape[1]!);
  const expected = logp.shape.filter((_, axis) => axis !== 1);
  if (!sameShape(shape, expected))
    throw new Error(
      `nllLoss: target ${showShape(shape)} does not fit ${showShape(logp.shape)}: one class for each row, so ${showShape(expected)}.`,
    );
  const rows = reshape(classesLast(logp), [sizeOf(expected), logp.shape[1]!]);
  const picked = gather(rows, 1, new Indices([data.length, 1], data));
  return reduced(neg(reshape(picked, expected)), reduction);
}

const squaredErrorOp = defineOp<[Tensor, Tensor], { scale: number }>({
  name: 'squaredError',
  inputs: ['input', 'target'],
  forward: ([a, b], { scale }) => {
    const [x, y] = [contiguous(a), contiguous(b)];
    const out = allocate(scalarLayout);
    run.squaredError(address(x), address(y), address(out), x.size, scale);
    return out;
  },
  gradient: [
    ({ inputs: [a, b], attributes: { scale } }, g) => mul(sub(a, b), mul(g, 2 * scale)),
    ({ inputs: [a, b], attributes: { scale } }, g) => mul(sub(b, a), mul(g, 2 * scale)),
  ],
  raw: ({ inputs: [a, b], attributes: { scale } }, g, out, accumulate, index) => {
    const [x, y] = index === 0 ? [contiguous(a), contiguous(b)] : [contiguous(b), contiguous(a)];
    run.squaredErrorSlope(address(g), address(x), address(y), out, x.size, scale, accumulate);
  },
  reads: 'inputs',
  feasible: atLeast(0),
  samples: (draw) => [{ inputs: [draw.normal([3, 2]), draw.normal([3, 2])], attributes: { scale: 0.25 } }],
});

function checkShapes(op: string, input: Tensor, target: Tensor): void {
  if (!sameShape(input.shape, target.shape))
    throw new Error(
      `${op}: input ${showShape(input.shape)} and target ${showShape(target.shape)} differ in shape. Reshape one; broadcasting ` +
        'here is nearly always a mistake.',
    );
}

/** The target as a tensor; a number stands for one in every place. */
const targetFor = (op: string, input: Tensor, target: Tensor | number): Tensor =>
  typeof target === 'number' ? full(input.shape, target) : asTensor(op, target);

/** The mean (sum) of squared differences, two tensors of one shape (or a tensor and a number). */
export function mseLoss(input: Tensor, target: Tensor | number, { reduction = 'mean' }: LossOptions = {}): Tensor {
  checkTensor('mseLoss', input);
  checkReduction('mseLoss', reduction);
  const other = targetFor('mseLoss', input, target);
  checkShapes('mseLoss', input, other);
  if (reduction === 'none') return square(sub(input, other));
  return squaredErrorOp(input, other, { scale: reduction === 'mean' ? 1 / input.size : 1 });
}

/** The mean (sum) of absolute differences, two tensors of one shape (or a tensor and a number). */
export function l1Loss(input: Tensor, target: Tensor | number, { reduction = 'mean' }: LossOptions = {}): Tensor {
  checkTensor('l1Loss', input);
  checkReduction('l1Loss', reduction);
  const other = targetFor('l1Loss', input, target);
  checkShapes('l1Loss', input, other);
  return reduced(abs(sub(input, other)), reduction);
}

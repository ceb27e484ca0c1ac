/**
 * Where targets come from: seeds that say what logits should be, given what the answer is; and the rules of the hard
 * output layers `winners` and `binarize`, which say the same from within a graph.
 */

import { Seed } from '../../autograd/backward.ts';
// The ops that the rules below are for.
import '../../ops/winner.ts';
import { feasible } from '../../autograd/feasible.ts';
import { spring } from '../../autograd/message.ts';
import type { NodeRule } from '../../autograd/rule.ts';
import { found, start } from '../../autograd/transforms.ts';
import type { Visit } from '../../autograd/visit.ts';
import { add, maximum, minimum, mul, sub, where } from '../../ops/binary.ts';
import { type IndexLike, oneHot, toIndices } from '../../ops/indexing.ts';
import { mean } from '../../ops/reduce.ts';
import { ones, tensor } from '../../tensor/create.ts';
import { sameShape, showShape } from '../../tensor/layout.ts';
import { checkTensor, numbersOf, Tensor } from '../../tensor/tensor.ts';
import { answer, wishOf } from './wish.ts';

/**
 * How firmly the target is meant: as in `target`. Left out: nobody says, which is enough for a walk of targets alone.
 */
interface Precise {
  readonly precision?: number | Tensor;
}

export interface OneHotOptions extends Precise {
  /**
   * 'hinge' (as last published): the right class at least 1, the others at most 0; who is beyond asks nothing. 'raw'
   * (the earlier form): exactly 1 and 0, a regression, which also pulls back what is too right.
   */
  readonly form?: 'hinge' | 'raw';
}

/**
 * The seed that says which class each sample belongs to.
 *
 * @param logits [..., classes]
 * @param labels [...], whole numbers
 *
 *     const logits = tensor([[0.2, 0.5, -1]]).requiresGrad_();
 *     backward(oneHotTarget(logits, [1]));
 *     inboxOf(logits)!.step().toArray().flat().map((x) => Number(x.toFixed(3)));    // [-0.2, 0.5, 0]
 */
export function oneHotTarget(logits: Tensor, labels: IndexLike, options: OneHotOptions = {}): Seed {
  const classes = lastAxis('oneHotTarget', logits);
  const bits = oneHot(toIndices('oneHotTarget', labels, classes), classes);
  return bitsSeed('oneHotTarget', logits, bits, options);
}

/**
 * The seed that says which classes a sample belongs to, any number of them. The hinge and raw forms of `oneHotTarget`.
 *
 * @param winners which: [..., n] whole numbers, n for each sample; or a tensor of 0 and 1 of the logits' shape
 */
export function nHotTarget(logits: Tensor, winners: IndexLike | Tensor, options: OneHotOptions = {}): Seed {
  const classes = lastAxis('nHotTarget', logits);
  if (winners instanceof Tensor) return bitsSeed('nHotTarget', logits, winners, options);
  const { shape, data } = toIndices('nHotTarget', winners, classes);
  const n = shape.at(-1) ?? 0;
  const bits = new Float32Array(logits.size);
  if (!sameShape(shape.slice(0, -1), logits.shape.slice(0, -1)))
    throw new Error(
      `nHotTarget: winners of shape ${showShape(shape)} do not fit logits of shape ${showShape(logits.shape)}: a list of ` +
        'winners for each sample.',
    );
  data.forEach((winner, i) => {
    bits[Math.floor(i / n) * classes + winner] = 1;
  });
  return bitsSeed('nHotTarget', logits, tensor(bits, logits.shape), options);
}

export interface BinaryOptions extends Precise {
  /**
   * 'centred' (published): each sample is judged by its distance from its own mean: ones at least 1 above it, zeros not
   * above it. 'margin': ones at least `margin`, zeros at most -margin, so that the sign of a logit is its bit: what a
   * layer with biases can do independently for each, as the perceptron does.
   */
  readonly form?: 'centred' | 'margin';
  /** 1 unless given. */
  readonly margin?: number;
}

/**
 * The seed that says each of a sample's bits.
 *
 * The centred form moves single logits and so the mean they are measured from; its target need not be reached in one
 * step.
 *
 * @param bits 0 and 1, of the logits' shape [..., n]
 */
export function binaryTarget(
  logits: Tensor,
  bits: Tensor,
  { form = 'centred', margin = 1, precision }: BinaryOptions = {},
): Seed {
  lastAxis('binaryTarget', logits);
  checkBits('binaryTarget', logits, bits);
  if (form !== 'centred' && form !== 'margin')
    throw new Error(`binaryTarget: form is 'centred' or 'margin', not ${String(form)}.`);
  if (!(margin >= 0)) throw new RangeError(`binaryTarget: margin is a number of at least 0, not ${String(margin)}.`);
  return new Seed(logits, () => {
    const wanted = form === 'centred' ? centredWish(logits, bits) : sub(hinge(logits, bits, margin, -margin), logits);
    return spring(wanted, precision, 'binaryTarget');
  });
}

export interface TargetFromLossOptions extends Precise {
  /** How far down the gradient of a sample's own loss the target lies; 1 unless given. */
  readonly gamma?: number;
  /**
   * How a loss of one number came from those of the samples. 'mean' (the default, as of crossEntropy): its gradient is
   * 1 / B of each sample's own, and is multiplied by B, the size of the first axis of the logits. 'sum': it is taken as
   * it is. A loss that has one number for each sample needs neither.
   */
  readonly reduction?: 'mean' | 'sum';
}

/**
 * The seed that takes the target of the logits from a loss: t = a - gamma dL/da, sample by sample. The gradient goes no
 * further than the logits; from there on targets travel. Calls no rule between loss and logits.
 *
 *     const logits = tensor([[0, 0]]).requiresGrad_();
 *     backward(targetFromLoss(logits, crossEntropy(logits, [0]), { gamma: 2 }));
 *     inboxOf(logits)!.step().toArray();    // [[1, -1]]
 *
 * `backward(loss, { stiffness })` reads every gradient that meets a rule of targets as one with d = -g / stiffness,
 * mean or not.
 */
export function targetFromLoss(
  logits: Tensor,
  loss: Tensor,
  { gamma = 1, reduction = 'mean', precision }: TargetFromLossOptions = {},
): Seed {
  checkTensor('targetFromLoss', logits);
  checkTensor('targetFromLoss', loss);
  if (!(gamma >= 0 && gamma < Infinity))
    throw new RangeError(`targetFromLoss: gamma is a number of at least 0, not ${String(gamma)}.`);
  if (reduction !== 'mean' && reduction !== 'sum')
    throw new Error(`targetFromLoss: reduction is 'mean' or 'sum', not ${String(reduction)}.`);
  const samples = logits.shape[0] ?? 1;
  const each = loss.ndim === 1 && loss.size === samples;
  if (!each && loss.size !== 1)
    throw new Error(
      `targetFromLoss: a loss of shape ${showShape(loss.shape)} for logits of shape ${showShape(logits.shape)}: it is one ` +
        'number, or one for each sample.',
    );
  const from = start(loss, each ? ones(loss.shape) : undefined);
  const [g] = found('targetFromLoss', [from], [logits], { rules: false });
  if (!g)
    throw new Error('targetFromLoss: the loss was not computed from these logits, so it says nothing about them.');
  const scale = -gamma * (each || reduction === 'sum' ? 1 : samples);
  const displacement = mul(g, scale).detach();
  return new Seed(logits, () => spring(displacement, precision, 'targetFromLoss'));
}

/**
 * Target propagation's rule for the op 'winners', the published one-hot and n-hot layers: whoever should be among the
 * winners goes to at least 1, everybody else to at most 0. A target that is no choice of n counts as the nearest one.
 */
export function targetWinners(): NodeRule {
  return ofChoice('targetWinners', 'winners', (x, bits) => sub(hinge(x, bits, 1, 0), x));
}

/**
 * Target propagation's rule for the op 'binarize', the published binary layer: as the centred form of `binaryTarget`.
 */
export function targetBinarize(): NodeRule {
  return ofChoice('targetBinarize', 'binarize', centredWish);
}

function ofChoice(name: string, op: string, displacement: (x: Tensor, bits: Tensor) => Tensor): NodeRule {
  return {
    name,
    accepts: 'target',
    surrogate: true,
    propagate(visit: Visit) {
      const [port] = visit.inputs;
      if (visit.op !== op || port === undefined)
        throw new Error(`${name}: this is a rule for the op ${op}, and it was put at ${visit.op}.`);
      if (!port.wanted) return [null];
      const wish = wishOf(visit, name);
      const bits = feasible(visit.output, add(visit.output, wish.displacement)).value;
      return [answer(displacement(port.value, bits), wish.precision, wish, name)];
    },
  };
}

/** Ones at least `high`, zeros at most `low`. */
const hinge = (x: Tensor, bits: Tensor, high: number, low: number): Tensor =>
  where(bits, maximum(x, high), minimum(x, low));

function centredWish(x: Tensor, bits: Tensor): Tensor {
  const centred = sub(x, mean(x, -1, true));
  return sub(hinge(centred, bits, 1, 0), centred);
}

function bitsSeed(op: string, logits: Tensor, bits: Tensor, { form = 'hinge', precision }: OneHotOptions): Seed {
  if (form !== 'hinge' && form !== 'raw') throw new Error(`${op}: form is 'hinge' or 'raw', not ${String(form)}.`);
  checkBits(op, logits, bits);
  return new Seed(logits, () => spring(sub(form === 'raw' ? bits : hinge(logits, bits, 1, 0), logits), precision, op));
}

function checkBits(op: string, logits: Tensor, bits: Tensor): void {
  checkTensor(op, bits);
  if (!sameShape(bits.shape, logits.shape))
    throw new Error(
      `${op}: answers of shape ${showShape(bits.shape)} do not fit logits of shape ${showShape(logits.shape)}: one for ` +
        'each.',
    );
  if (numbersOf(bits).some((bit) => bit !== 0 && bit !== 1))
    throw new Error(
      `${op}: answers are 0 or 1. Shares and other numbers are targets as they are: target(logits, wanted).`,
    );
}

function lastAxis(op: string, logits: Tensor): number {
  checkTensor(op, logits);
  const size = logits.shape.at(-1);
  if (size === undefined) throw new Error(`${op}: logits are of shape [..., classes], not a scalar.`);
  return size;
}

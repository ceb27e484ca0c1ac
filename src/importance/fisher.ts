/**
 * The diagonal of the Fisher information of a classifier: for each weight, how much the distribution that the model gives changes with it.
 *
 * With p(c|x) the softmax of the logits, it is the mean over examples of E_c (d log p(c|x) / dw)^2. Four things go by that name, and they differ in
 * whose labels the expectation is over, and in when the square is taken; see `fisher`. The gradients of examples come from
 * autograd/per-example.ts, the sums over batches are held in float64.
 */
import { withRecording } from '../autograd/modes.ts';
import { checkParameters, sumsOfPowers } from '../autograd/per-example.ts';
import { found, start } from '../autograd/transforms.ts';
import { mul } from '../ops/binary.ts';
import { Generator } from '../random/generator.ts';
import { tensor } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import { kindOf, numbersOf, type Tensor } from '../tensor/tensor.ts';
import { outputOf, Totals } from './totals.ts';

/**
 * exact: the expectation over the labels that the model would give, one walk for each class.
 * sampled: one label an example, drawn from the model; exact on average.
 * empirical: the label that the example has.
 * batched: the square of the mean gradient of a batch, labels as they are.
 */
export type FisherKind = 'exact' | 'sampled' | 'empirical' | 'batched';

export interface FisherBatch {
  /** [n, ...] */
  readonly x: Tensor;
  /** n columns of the logits, from 0: the right ones. Read by 'empirical' and 'batched' only. */
  readonly labels?: Int32Array;
}

export interface FisherOptions {
  readonly kind: FisherKind;
  /** Draws the labels of 'sampled'. */
  readonly generator?: Generator | undefined;
}

const kinds: readonly FisherKind[] = ['exact', 'sampled', 'empirical', 'batched'];

/**
 * The diagonal Fisher information of `parameters`: a mean over examples (over batches, for 'batched'), one tensor for each, of its shape,
 * detached. `.grad` stays as it is.
 *
 * - 'exact': sum over classes of p(c|x) (d log p(c|x) / dw)^2. As many backward passes as there are classes, but one product for the weights
 *   of a linear layer.
 * - 'sampled': (d log p(c|x) / dw)^2 with c drawn from p(.|x).
 * - 'empirical': the same with the label of the example. It vanishes where the model is right and sure of it (Kunstner, Balles and Hennig,
 *   "Limitations of the empirical Fisher approximation", 2019).
 * - 'batched': the square of the gradient of a batch's mean loss, mean over batches, which some published code takes. Gradients of
 *   examples cancel in it: where they have mean 0 it is the empirical one divided by the size of the batch, so its scale depends on that.
 *
 * Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks" (2017); Martens, "New insights and perspectives on the natural gradient
 * method" (2020), section 5.
 *
 * @param model gives logits [n, classes], of the head that is meant alone; each row depends on its own example only. In its mode of
 * use: dropout would draw
 * @param batches may differ in size; an empty one counts nothing
 *
 *     const w = tensor([[0], [0]]).requiresGrad_();
 *     const batches = [{ x: tensor([[2]]), labels: Int32Array.of(0) }];
 *     fisher((x) => linear(x, w), [w], batches, { kind: 'exact' })[0].sum().item(); // 2
 */
export function fisher(
  model: (x: Tensor) => Tensor,
  parameters: readonly Tensor[],
  batches: Iterable<FisherBatch>,
  { kind, generator }: FisherOptions,
): Tensor[] {
  if (!kinds.includes(kind))
    throw new Error(`fisher: kind is one of ${kinds.map((one) => `'${one}'`).join(', ')}, not ${String(kind)}.`);
  if (kind === 'sampled' && !(generator instanceof Generator))
    throw new Error(
      "fisher: kind 'sampled' draws labels. Give the generator that draws them: { generator: new Generator(1) }.",
    );
  checkParameters('fisher', parameters);
  const totals = new Totals('fisher', parameters);
  let examples = 0;
  let seen = 0;
  for (const batch of batches) {
    const number = seen++;
    totals.add(() => {
      const logits = outputOf('fisher', model, batch, number);
      const p = probabilities(logits, number);
      const count = logits.shape[0]!;
      if (count === 0) return null;
      examples += kind === 'batched' ? 1 : count;
      if (kind === 'exact')
        return sumsOfPowers('fisher', logits, count, seedsOfClasses(logits.shape, p), parameters, 2);
      const labels =
        kind === 'sampled' ? drawn(logits.shape, p, generator as Generator) : given(kind, batch, logits, number);
      const seed = lossSeed(logits.shape, p, labels);
      if (kind !== 'batched') return sumsOfPowers('fisher', logits, count, [seed(1)], parameters, 2);
      return withRecording(false, () =>
        found('fisher', [start(logits, seed(1 / count))], parameters, { rules: false }).map((g) =>
          g === null ? null : mul(g, g),
        ),
      );
    });
  }
  if (examples === 0)
    throw new Error(
      `fisher: ${seen === 0 ? 'there are no batches' : 'all batches are empty'}, so there is nothing to take a mean of. A generator that was ` +
        'walked through once gives nothing a second time.',
    );
  return totals.over(examples);
}

type Shape = readonly number[];

/** The softmax of each row, in float64. */
function probabilities(logits: Tensor, batch: number): Float64Array {
  const [rows, classes] = logits.shape as [number, number];
  const p = Float64Array.from(numbersOf(logits));
  for (let row = 0; row < rows; row++) {
    const own = p.subarray(row * classes, (row + 1) * classes);
    let largest = -Infinity;
    for (const logit of own) if (!(logit <= largest)) largest = logit;
    let sum = 0;
    for (let c = 0; c < classes; c++) {
      own[c] = Math.exp(own[c]! - largest);
      sum += own[c]!;
    }
    if (!(sum > 0 && sum < Infinity))
      throw new Error(
        `fisher: the logits of example ${row} of batch ${batch} hold NaN or Infinity, or nothing but -Infinity: they say no probabilities.`,
      );
    for (let c = 0; c < classes; c++) own[c]! /= sum;
  }
  return p;
}

/** sqrt(p_c) d log p_c / d logits = sqrt(p_c) (e_c - p) for each class c; sqrt(p_c) is a constant. Classes without probability are left out. */
function* seedsOfClasses(shape: Shape, p: Float64Array): Generator_<Tensor> {
  const [rows, classes] = shape as [number, number];
  for (let c = 0; c < classes; c++) {
    const seed = new Float64Array(p.length);
    for (let row = 0; row < rows; row++) away(p, row, classes, c, Math.sqrt(p[row * classes + c]!), seed);
    if (seed.some((x) => x !== 0)) yield tensor(seed, shape);
  }
}

type Generator_<Value> = globalThis.Generator<Value, void, undefined>;

/** Writes scale (e_label - p) of a row. 1 - p_label is the sum of the others: nothing cancels where p_label is almost 1. */
function away(p: Float64Array, row: number, classes: number, label: number, scale: number, out: Float64Array): void {
  let others = 0;
  for (let c = 0; c < classes; c++) {
    const at = row * classes + c;
    if (c === label) continue;
    others += p[at]!;
    out[at] = -scale * p[at]!;
  }
  out[row * classes + label] = scale * others;
}

/** The cotangent of the logits that log p of the labels has; its sign does not matter for squares. */
const lossSeed =
  (shape: Shape, p: Float64Array, labels: Int32Array) =>
  (scale: number): Tensor => {
    const seed = new Float64Array(p.length);
    for (const [row, label] of labels.entries()) away(p, row, shape[1]!, label, scale, seed);
    return tensor(seed, shape);
  };

/** A label for each row, with its probabilities: the first class at which their sum passes a uniform number. */
function drawn([rows, classes]: Shape, p: Float64Array, generator: Generator): Int32Array {
  const labels = new Int32Array(rows!);
  for (let row = 0; row < rows!; row++) {
    let left = generator.uniform();
    let chosen = -1;
    for (let c = 0; c < classes!; c++) {
      const probability = p[row * classes! + c]!;
      if (probability === 0) continue;
      // Rounding may leave a trace behind the last one that can be.
      chosen = c;
      left -= probability;
      if (left < 0) break;
    }
    labels[row] = chosen;
  }
  return labels;
}

function given(kind: FisherKind, { labels }: FisherBatch, { shape }: Tensor, batch: number): Int32Array {
  if (!(labels instanceof Int32Array))
    throw new Error(
      `fisher: kind '${kind}' reads labels, an Int32Array; those of batch ${batch} are ${kindOf(labels)}.`,
    );
  const [rows, classes] = shape as [number, number];
  if (labels.length !== rows)
    throw new Error(
      `fisher: batch ${batch} has ${labels.length} labels for logits ${showShape(shape)}: one for each row.`,
    );
  for (const [row, label] of labels.entries())
    if (label < 0 || label >= classes)
      throw new Error(
        `fisher: label ${label} of example ${row} of batch ${batch} is no column of logits ${showShape(shape)}, 0 to ${classes - 1}. Labels count ` +
          "from the first column that the model gives, its head's.",
      );
  return labels;
}

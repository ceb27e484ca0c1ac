/**
 * What tells whether a network still learns: how well it does while it learns, and what has become of its units and weights.
 *
 * Several of these have one name and many definitions in the literature; each function says which one it is. All look at values and
 * change nothing. Activations are [samples, units], or [samples, channels, ...] of a convolution: there a unit is a channel, and every
 * place counts as a sample.
 */

import { singularValues } from '../ops/singular.ts';
import { given } from '../tensor/given.ts';
import { showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, kindOf, numbersOf, type Tensor } from '../tensor/tensor.ts';

/**
 * Means over equal stretches of a stream: online accuracy (add 1 for a right answer, 0 for a wrong one) or online error (add the
 * loss), each asked before the example is learned from. The mean over all of `means` is the average online accuracy.
 *
 *     const accuracy = new OnlineMean(2);
 *     for (const right of [1, 0, 1, 1, 1]) accuracy.add(right);
 *     accuracy.means; // [0.5, 1]
 *     accuracy.pending; // 1
 */
export class OnlineMean {
  /** Numbers that make one mean. */
  readonly binSize: number;
  readonly #means: number[] = [];
  #sum = 0;
  #count = 0;

  constructor(binSize: number) {
    if (!Number.isSafeInteger(binSize) || binSize < 1)
      throw new RangeError(`OnlineMean: binSize must be an integer from 1 up, but it is ${String(binSize)}.`);
    this.binSize = binSize;
  }

  add(value: number): void {
    this.#sum += value;
    if (++this.#count < this.binSize) return;
    this.#means.push(this.#sum / this.binSize);
    this.#sum = 0;
    this.#count = 0;
  }

  /** The means of all bins that are full, as a copy. */
  get means(): number[] {
    return this.#means.slice();
  }

  /** Numbers in the bin that is not full yet; they are in no mean. */
  get pending(): number {
    return this.#count;
  }

  /** All that is needed to go on from elsewhere: plain data for a checkpoint. */
  stateDict(): OnlineMeanState {
    return { binSize: this.binSize, means: this.#means.slice(), sum: this.#sum, count: this.#count };
  }

  /** Takes over the state of means over bins of this size. What does not fit is an error that changes nothing. */
  loadStateDict({ binSize, means, sum, count }: OnlineMeanState): void {
    const areNumbers = Array.isArray(means) && [...means, sum].every((value) => typeof value === 'number');
    if (binSize !== this.binSize || !areNumbers || !(Number.isInteger(count) && count >= 0 && count < binSize))
      throw new RangeError(
        `OnlineMean.loadStateDict: the state is of bins of ${String(binSize)}, ${String(count)} of the last one; these are of ${this.binSize}.`,
      );
    this.#means.splice(0, this.#means.length, ...means);
    this.#sum = sum;
    this.#count = count;
  }
}

export interface OnlineMeanState {
  readonly binSize: number;
  readonly means: readonly number[];
  readonly sum: number;
  readonly count: number;
}

/** For each unit, `fold` over its numbers, which come as sizes |h|. */
function overUnits(who: string, activations: Tensor, fold: (sum: number, size: number) => number): Float64Array {
  checkTensor(who, activations);
  const { shape } = activations;
  const [samples, units] = shape;
  if (samples === undefined || units === undefined || activations.size === 0)
    throw new Error(
      `${who}: activations ${showShape(shape)} do not tell of any unit: they are of shape [samples, units] or ` +
        '[samples, channels, ...], with at least one of each.',
    );
  const places = sizeOf(shape.slice(2));
  const numbers = numbersOf(activations);
  const result = new Float64Array(units);
  for (let sample = 0, i = 0; sample < samples; sample++)
    for (let unit = 0; unit < units; unit++)
      for (let place = 0; place < places; place++, i++) result[unit] = fold(result[unit]!, Math.abs(numbers[i]!));
  return result;
}

const unitsWhere = (scores: Float64Array, chosen: (score: number) => boolean): number[] =>
  Array.from(scores.keys()).filter((unit) => chosen(scores[unit]!));

/**
 * The units that are 0 for every sample, by their numbers: dead, as Dohare et al. (2024) count them over 2,000 samples of a task. A relu
 * that is dead for all inputs gets no gradient ever again; over samples alone this is likely, not certain. Units that are NaN are not dead.
 *
 *     deadUnits(tensor([[0, 1], [0, 0]])); // [0]
 */
export function deadUnits(activations: Tensor): number[] {
  return unitsWhere(
    overUnits('deadUnits', activations, (active, size) => active + (size === 0 ? 0 : 1)),
    (active) => active === 0,
  );
}

/**
 * The units that are tau-dormant, by their numbers: those whose mean |h| is at most tau times the mean of that over the layer's units.
 * With tau = 0 these are the dead ones; a layer that is 0 throughout is dormant throughout.
 * Sokar, Agarwal, Castro and Evci, "The dormant neuron phenomenon in deep reinforcement learning" (2023).
 *
 *     dormantUnits(tensor([[0.1, 4, 1], [0, 2, 2]]), 0.1); // [0]
 *
 * @param tau from 0 up; there is no usual one, so say which with the number
 */
export function dormantUnits(activations: Tensor, tau: number): number[] {
  if (!(tau >= 0 && tau < Infinity))
    throw new RangeError(
      `dormantUnits: tau must be a number from 0 up, but it is ${typeof tau === 'number' ? tau : kindOf(tau)}.`,
    );
  const sums = overUnits('dormantUnits', activations, (sum, size) => sum + size);
  const mean = sums.reduce((total, sum) => total + sum, 0) / sums.length;
  return unitsWhere(sums, (sum) => sum <= tau * mean);
}

/**
 * The effective rank of a matrix [m, n]: exp of the entropy of its singular values as shares of their sum. From 1 (all rows on one
 * line) to min(m, n); 0 for a matrix of zeros. Of activations [samples, units], it says in how many directions they differ.
 * Roy and Vetterli, "The effective rank: a measure of effective dimensionality" (2007).
 *
 *     effectiveRank(eye(3)); // 3.0
 */
export function effectiveRank(matrix: Tensor): number {
  const singular = singularValues(matrix);
  const total = singular.reduce((sum, value) => sum + value, 0);
  if (total === 0) return 0;
  const entropy = singular.reduce((sum, value) => {
    const share = value / total;
    return share === 0 ? sum : sum - share * Math.log(share);
  }, 0);
  return Math.exp(entropy);
}

/**
 * The stable rank of a matrix [m, n]: the sum of its squared singular values by the largest square, |A|_F^2 / |A|_2^2. From 1 to
 * min(m, n); 0 for a matrix of zeros. (What Dohare et al. (2024) call stable rank is `rankHolding(matrix, 0.99)`.)
 * Rudelson and Vershynin, "Sampling from large matrices" (2007).
 *
 *     stableRank(tensor([[2, 0], [0, 1]])); // 1.25
 */
export function stableRank(matrix: Tensor): number {
  const singular = singularValues(matrix);
  const largest = singular[0] ?? 0;
  return largest === 0 ? 0 : singular.reduce((sum, value) => sum + (value / largest) ** 2, 0);
}

/**
 * How many singular values of a matrix [m, n], the largest first, it takes to hold this share of the sum of all of them. Dohare et al.
 * (2024) have 0.99 of it under the name of stable rank. 0 for a matrix of zeros.
 *
 *     rankHolding(tensor([[9, 0], [0, 1]]), 0.9); // 1
 *
 * @param share above 0, at most 1
 */
export function rankHolding(matrix: Tensor, share: number): number {
  if (!(share > 0 && share <= 1))
    throw new RangeError(`rankHolding: share must be above 0 and at most 1, but it is ${String(share)}.`);
  const singular = singularValues(matrix);
  const total = singular.reduce((sum, value) => sum + value, 0);
  let held = 0;
  for (let count = 0; count < singular.length; count++) {
    if (held >= share * total) return count;
    held += singular[count]!;
  }
  return singular.length;
}

/**
 * Mean |w| over all numbers of some tensors: their mean size, each number counting the same. That it grows and grows goes with a loss
 * of plasticity (Dohare et al. 2024).
 *
 *     weightMagnitude([tensor([1, -2]), tensor([[3]])]); // 2
 */
export function weightMagnitude(parameters: Iterable<Tensor>): number {
  let [sum, count] = [0, 0];
  for (const parameter of given('weightMagnitude(model.parameters())', 'parameters', parameters)) {
    checkTensor('weightMagnitude', parameter);
    const numbers = numbersOf(parameter);
    for (let i = 0; i < numbers.length; i++) sum += Math.abs(numbers[i]!);
    count += numbers.length;
  }
  if (count === 0)
    throw new Error('weightMagnitude: there are no weights. Give the parameters of a model, model.parameters().');
  return sum / count;
}

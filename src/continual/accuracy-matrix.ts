/**
 * What a table of accuracies says of learning and forgetting.
 *
 * R[i][j] is the accuracy on the test examples of context j, asked after context i has been learned; i and j count from 0, and T is
 * the number of contexts. Accuracies are of any unit, fractions or per cent; results are of the same one. Cells that a measure does
 * not read may be missing (null, undefined, or beyond a row's end); one that it needs and does not find is an error that
 * names it. Measures of one name differ in the literature: each function says which one it is.
 */

import { given } from '../tensor/given.ts';

/** R[i][j], a row for each context in the order in which they were learned. */
export type AccuracyMatrix = readonly (readonly (number | null | undefined)[])[];

const isThere = (value: number | null | undefined): value is number => value !== null && value !== undefined;

function checkNumber(who: string, what: string, value: number): number {
  if (!Number.isFinite(value))
    throw new RangeError(`${who}: ${what} must be a finite number, but it is ${String(value)}.`);
  return value;
}

function cell(who: string, matrix: AccuracyMatrix, i: number, j: number): number {
  const value = matrix[i]?.[j];
  if (!isThere(value))
    throw new Error(
      `${who}: R[${i}][${j}], the accuracy on context ${j} after context ${i}, is missing. Measure it too.`,
    );
  return checkNumber(who, `R[${i}][${j}]`, value);
}

/** How many contexts there are, at least so many. No row may know of more. */
function size(who: string, matrix: AccuracyMatrix, least: 1 | 2): number {
  const contexts = given(`${who}(matrix)`, 'accuracies (a row for each context)', matrix).length;
  if (contexts < least)
    throw new Error(
      contexts === 0
        ? `${who}: there are no accuracies. Give a row for each context.`
        : `${who}: with one context there is nothing that comes before or after it; it takes two.`,
    );
  matrix.forEach((row, i) => {
    if (row.length > contexts)
      throw new Error(
        `${who}: row ${i} has ${row.length} accuracies, but there are ${contexts} rows, one for each context.`,
      );
  });
  return contexts;
}

/** Mean of f(0), ..., f(count - 1). */
function mean(count: number, f: (index: number) => number): number {
  let sum = 0;
  for (let index = 0; index < count; index++) sum += f(index);
  return sum / count;
}

/**
 * Mean accuracy over all contexts when the last has been learned: (1 / T) sum_j R[T-1][j]. ACC of Lopez-Paz and Ranzato, "Gradient
 * episodic memory for continual learning" (2017), equation 2.
 *
 *     averageAccuracy([[1, 0.5], [0.6, 0.8]]); // 0.7
 */
export function averageAccuracy(matrix: AccuracyMatrix): number {
  const who = 'averageAccuracy';
  const contexts = size(who, matrix, 1);
  return mean(contexts, (j) => cell(who, matrix, contexts - 1, j));
}

/**
 * Mean over all times of the mean accuracy over the contexts learned by then: (1 / T) sum_i (1 / (i + 1)) sum_{j <= i} R[i][j].
 * Rebuffi et al., "iCaRL: incremental classifier and representation learning" (2017), who weigh examples equally: the same where contexts
 * have equally many test examples.
 *
 *     averageIncrementalAccuracy([[1], [0.6, 0.8]]); // 0.85
 */
export function averageIncrementalAccuracy(matrix: AccuracyMatrix): number {
  const who = 'averageIncrementalAccuracy';
  return mean(size(who, matrix, 1), (i) => mean(i + 1, (j) => cell(who, matrix, i, j)));
}

/**
 * Mean accuracy on each context when it has just been learned: (1 / T) sum_j R[j][j]. How well the learner learns, whatever it forgets.
 * LA of Riemer et al., "Learning to learn without forgetting by maximizing transfer and minimizing interference" (2019).
 *
 *     learningAccuracy([[1], [0.6, 0.8]]); // 0.9
 */
export function learningAccuracy(matrix: AccuracyMatrix): number {
  const who = 'learningAccuracy';
  return mean(size(who, matrix, 1), (j) => cell(who, matrix, j, j));
}

/**
 * Backward transfer: by how much what came later changed the accuracy on a context since it was learned,
 * (1 / (T - 1)) sum_{j < T-1} (R[T-1][j] - R[j][j]). Negative where it forgot. BWT of Lopez-Paz and Ranzato (2017), equation 3.
 *
 *     backwardTransfer([[1], [0.6, 0.8]]); // -0.4
 */
export function backwardTransfer(matrix: AccuracyMatrix): number {
  const who = 'backwardTransfer';
  const last = size(who, matrix, 2) - 1;
  return mean(last, (j) => cell(who, matrix, last, j) - cell(who, matrix, j, j));
}

/**
 * Forward transfer: how much better than an untrained model it does on a context just before that is learned,
 * (1 / (T - 1)) sum_{j > 0} (R[j-1][j] - b[j]). FWT of Lopez-Paz and Ranzato (2017), equation 4.
 *
 *     forwardTransfer([[1, 0.6], [0.6, 0.8]], [0.5, 0.5]); // 0.1
 *
 * @param untrained b: the accuracy of the model on each context before it has learned any
 */
export function forwardTransfer(matrix: AccuracyMatrix, untrained: readonly number[]): number {
  const who = 'forwardTransfer';
  const contexts = size(who, matrix, 2);
  const before = checkLength(who, 'untrained', untrained, contexts);
  return mean(contexts - 1, (j) => cell(who, matrix, j, j + 1) - before[j + 1]!);
}

function checkLength(who: string, what: string, values: readonly number[], contexts: number): readonly number[] {
  if (given(`${who}(matrix, ${what})`, `accuracies of '${what}'`, values).length !== contexts)
    throw new Error(`${who}: ${what} holds ${values.length} accuracies, but there are ${contexts} contexts.`);
  return values.map((value, j) => checkNumber(who, `${what}[${j}]`, value));
}

/** max_{i < T-1} R[i][j] - R[T-1][j] of every context but the last. */
function forgettings(who: string, matrix: AccuracyMatrix): number[] {
  const last = size(who, matrix, 2) - 1;
  return Array.from({ length: last }, (_, j) => {
    let best = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < last; i++) if (i >= j || isThere(matrix[i]![j])) best = Math.max(best, cell(who, matrix, i, j));
    return best - cell(who, matrix, last, j);
  });
}

/**
 * Forgetting: how far the accuracy on each context has fallen from the best it has ever been,
 * (1 / (T - 1)) sum_{j < T-1} (max_{i < T-1} R[i][j] - R[T-1][j]). The maximum is over all times but the last, as the paper has it, so
 * that a context that does best at the end counts as negative; times before the context was learned count too, where their
 * accuracies are there. Chaudhry, Dokania, Ajanthan and Torr, "Riemannian walk for incremental learning" (2018).
 *
 *     forgetting([[0.7], [0.9, 1], [0.8, 1, 1]]); // 0.05
 */
export function forgetting(matrix: AccuracyMatrix): number {
  const all = forgettings('forgetting', matrix);
  return mean(all.length, (j) => all[j]!);
}

/**
 * The largest of the terms whose mean is `forgetting`: max_{j < T-1} (max_{i < T-1} R[i][j] - R[T-1][j]). What the context that
 * fares worst has lost.
 *
 *     worstCaseForgetting([[0.7], [0.9, 1], [0.8, 1, 1]]); // 0.1
 */
export const worstCaseForgetting = (matrix: AccuracyMatrix): number =>
  Math.max(...forgettings('worstCaseForgetting', matrix));

/**
 * How far the accuracy on each context has fallen since it was learned, (1 / (T - 1)) sum_{j < T-1} (R[j][j] - R[T-1][j]): what the
 * library Avalanche calls forgetting. It is minus the backward transfer, and at most `forgetting`: a context that got better
 * for a while before it got worse lost less by this count.
 *
 *     forgettingSinceLearned([[0.7], [0.9, 1], [0.8, 1, 1]]); // -0.05
 */
export function forgettingSinceLearned(matrix: AccuracyMatrix): number {
  const who = 'forgettingSinceLearned';
  const last = size(who, matrix, 2) - 1;
  return mean(last, (j) => cell(who, matrix, j, j) - cell(who, matrix, last, j));
}

/**
 * Intransigence: by how much each context was learned less well than together with all before it, a_j - R[j][j], one number for
 * each; the paper reports the last one's. Negative where learning one after the other did better. Chaudhry et al. (2018).
 *
 *     intransigence([[1], [0.6, 0.75]], [1, 1]); // [0, 0.25]
 *
 * @param joint a: the accuracy on each context of a model that learned it jointly with all contexts before it
 */
export function intransigence(matrix: AccuracyMatrix, joint: readonly number[]): number[] {
  const who = 'intransigence';
  const contexts = size(who, matrix, 1);
  return checkLength(who, 'joint', joint, contexts).map((accuracy, j) => accuracy - cell(who, matrix, j, j));
}

/**
 * Softmax and its relatives over the rows of [rows, columns], and their backward passes.
 *
 * Each row is shifted by its maximum before exp, so nothing overflows and at least one term is 1. A row of -Infinity has no
 * softmax (NaN, as in PyTorch), but it has a log-sum-exp.
 */
import type { Memory, ReferenceKernels } from '../table.ts';

type Floats = Memory['floats'];

function rowMax(floats: Floats, row: number, columns: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < columns; j++) largest = Math.max(largest, floats[row + j]!);
  return largest;
}

function rowSum(floats: Floats, row: number, columns: number): number {
  let total = 0;
  for (let j = 0; j < columns; j++) total += floats[row + j]!;
  return total;
}

/** sum_j exp(x_j - shift) */
function rowExpSum(floats: Floats, row: number, columns: number, shift: number): number {
  let total = 0;
  for (let j = 0; j < columns; j++) total += Math.exp(floats[row + j]! - shift);
  return total;
}

/** Softmax of one row, given its maximum and the sum of its shifted exponentials. */
function writeSoftmax(floats: Floats, row: number, out: number, columns: number, shift: number, total: number): void {
  for (let j = 0; j < columns; j++) floats[out + j] = Math.exp(floats[row + j]! - shift) / total;
}

export const softmax = {
  softmax({ floats }, x, out, rows, columns) {
    for (let r = 0; r < rows; r++) {
      const row = x + r * columns;
      const shift = rowMax(floats, row, columns);
      const total = rowExpSum(floats, row, columns, shift);
      writeSoftmax(floats, row, out + r * columns, columns, shift, total);
    }
  },

  logSoftmax({ floats }, x, out, rows, columns) {
    for (let r = 0; r < rows; r++) {
      const row = x + r * columns;
      const shift = rowMax(floats, row, columns);
      const logTotal = Math.log(rowExpSum(floats, row, columns, shift));
      for (let j = 0; j < columns; j++) floats[out + r * columns + j] = floats[row + j]! - shift - logTotal;
    }
  },

  logSumExp({ floats }, x, out, rows, columns) {
    for (let r = 0; r < rows; r++) {
      const row = x + r * columns;
      const largest = rowMax(floats, row, columns);
      const shift = Math.abs(largest) === Number.POSITIVE_INFINITY ? 0 : largest;
      floats[out + r] = shift + Math.log(rowExpSum(floats, row, columns, shift));
    }
  },

  softmaxSlope({ floats }, g, y, out, rows, columns, accumulate) {
    for (let r = 0; r < rows; r++) {
      const row = r * columns;
      let mean = 0;
      for (let j = 0; j < columns; j++) mean += floats[g + row + j]! * floats[y + row + j]!;
      for (let j = 0; j < columns; j++) {
        const slope = floats[y + row + j]! * (floats[g + row + j]! - mean);
        floats[out + row + j] = accumulate ? floats[out + row + j]! + slope : slope;
      }
    }
  },

  logSoftmaxSlope({ floats }, g, y, out, rows, columns, accumulate) {
    for (let r = 0; r < rows; r++) {
      const row = r * columns;
      const total = rowSum(floats, g + row, columns);
      for (let j = 0; j < columns; j++) {
        const slope = floats[g + row + j]! - Math.exp(floats[y + row + j]!) * total;
        floats[out + row + j] = accumulate ? floats[out + row + j]! + slope : slope;
      }
    }
  },

  crossEntropy({ floats, ints }, logits, labels, losses, probabilities, rows, columns, smoothing) {
    for (let r = 0; r < rows; r++) {
      const row = logits + r * columns;
      const shift = rowMax(floats, row, columns);
      const total = rowExpSum(floats, row, columns, shift);
      // -log p[c] = log(total) - (x[c] - shift). Without smoothing only the label's term counts, even if another is infinite.
      const logTotal = Math.log(total);
      const surprise = logTotal - (floats[row + ints[labels + r]!]! - shift);
      let loss = surprise;
      if (smoothing !== 0) {
        let all = 0;
        for (let j = 0; j < columns; j++) all += logTotal - (floats[row + j]! - shift);
        loss = (1 - smoothing) * surprise + (smoothing / columns) * all;
      }
      if (probabilities !== 0) writeSoftmax(floats, row, probabilities + r * columns, columns, shift, total);
      floats[losses + r] = loss;
    }
  },

  crossEntropySlope(
    { floats, ints },
    g,
    gStep,
    scale,
    probabilities,
    labels,
    out,
    rows,
    columns,
    smoothing,
    accumulate,
  ) {
    for (let r = 0; r < rows; r++) {
      const factor = scale * floats[g + r * gStep]!;
      const label = ints[labels + r]!;
      for (let j = 0; j < columns; j++) {
        const wished = (j === label ? 1 - smoothing : 0) + smoothing / columns;
        const slope = factor * (floats[probabilities + r * columns + j]! - wished);
        const slot = out + r * columns + j;
        floats[slot] = accumulate ? floats[slot]! + slope : slope;
      }
    }
  },
} satisfies Pick<
  ReferenceKernels,
  'softmax' | 'logSoftmax' | 'logSumExp' | 'softmaxSlope' | 'logSoftmaxSlope' | 'crossEntropy' | 'crossEntropySlope'
>;

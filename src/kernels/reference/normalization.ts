/** Normalizing the rows of [rows, columns] to mean 0 and variance 1, and the way back. */
import type { ReferenceKernels } from '../table.ts';

export const normalization = {
  layerNorm({ floats }, x, weight, bias, out, statistics, rows, columns, eps) {
    for (let r = 0; r < rows; r++) {
      const row = x + r * columns;
      let mean = 0;
      for (let j = 0; j < columns; j++) mean += floats[row + j]! / columns;
      let variance = 0;
      for (let j = 0; j < columns; j++) variance += (floats[row + j]! - mean) ** 2 / columns;
      const scale = 1 / Math.sqrt(variance + eps);
      for (let j = 0; j < columns; j++) {
        const normalized = (floats[row + j]! - mean) * scale;
        const weighed = weight === 0 ? normalized : normalized * floats[weight + j]!;
        floats[out + r * columns + j] = bias === 0 ? weighed : weighed + floats[bias + j]!;
      }
      if (statistics === 0) continue;
      floats[statistics + r] = mean;
      floats[statistics + rows + r] = scale;
    }
  },

  layerNormSlope({ floats }, g, x, weight, statistics, out, rows, columns, accumulate) {
    for (let r = 0; r < rows; r++) {
      const row = r * columns;
      const [mean, scale] = [floats[statistics + r]!, floats[statistics + rows + r]!];
      const slope = (j: number) => floats[g + row + j]! * (weight === 0 ? 1 : floats[weight + j]!);
      const normalized = (j: number) => (floats[x + row + j]! - mean) * scale;
      let along = 0;
      let across = 0;
      for (let j = 0; j < columns; j++) {
        across += slope(j) / columns;
        along += (slope(j) * normalized(j)) / columns;
      }
      for (let j = 0; j < columns; j++) {
        const sent = scale * (slope(j) - across - normalized(j) * along);
        floats[out + row + j] = accumulate ? floats[out + row + j]! + sent : sent;
      }
    }
  },

  layerNormWeightSlope({ floats }, g, x, statistics, out, rows, columns, accumulate) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let r = 0; r < rows; r++) {
        const normalized = (floats[x + r * columns + j]! - floats[statistics + r]!) * floats[statistics + rows + r]!;
        sum += floats[g + r * columns + j]! * normalized;
      }
      floats[out + j] = accumulate ? floats[out + j]! + sum : sum;
    }
  },
} satisfies Pick<ReferenceKernels, 'layerNorm' | 'layerNormSlope' | 'layerNormWeightSlope'>;

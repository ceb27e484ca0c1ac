/** Normalizing the channels of [outer, channels, inner], each over all its numbers, and the way back. */
import type { ReferenceKernels } from '../table.ts';

/** Runs `body` with the position of every number of channel c. */
function eachOf(
  c: number,
  [outer, channels, inner]: readonly [number, number, number],
  body: (at: number) => void,
): void {
  for (let o = 0; o < outer; o++) for (let i = 0; i < inner; i++) body((o * channels + c) * inner + i);
}

export const batchNormalization = {
  batchMoments({ floats }, x, moments, outer, channels, inner) {
    const count = Math.max(1, outer * inner);
    for (let c = 0; c < channels; c++) {
      let mean = 0;
      let variance = 0;
      eachOf(c, [outer, channels, inner], (at) => {
        mean += floats[x + at]! / count;
      });
      eachOf(c, [outer, channels, inner], (at) => {
        variance += (floats[x + at]! - mean) ** 2 / count;
      });
      floats[moments + c] = mean;
      floats[moments + channels + c] = variance;
    }
  },

  batchNorm({ floats }, x, mean, variance, weight, bias, out, outer, channels, inner, eps) {
    for (let c = 0; c < channels; c++) {
      const scale = (1 / Math.sqrt(floats[variance + c]! + eps)) * (weight === 0 ? 1 : floats[weight + c]!);
      const shift = bias === 0 ? 0 : floats[bias + c]!;
      eachOf(c, [outer, channels, inner], (at) => {
        floats[out + at] = (floats[x + at]! - floats[mean + c]!) * scale + shift;
      });
    }
  },

  batchNormSlope(memory, g, x, mean, variance, weight, out, outer, channels, inner, eps, ofBatch, accumulate) {
    const { floats } = memory;
    const count = Math.max(1, outer * inner);
    for (let c = 0; c < channels; c++) {
      const scale = 1 / Math.sqrt(floats[variance + c]! + eps);
      const factor = scale * (weight === 0 ? 1 : floats[weight + c]!);
      const normalized = (at: number) => (floats[x + at]! - floats[mean + c]!) * scale;
      let across = 0;
      let along = 0;
      if (ofBatch)
        eachOf(c, [outer, channels, inner], (at) => {
          across += floats[g + at]! / count;
          along += (floats[g + at]! * normalized(at)) / count;
        });
      eachOf(c, [outer, channels, inner], (at) => {
        const slope = ofBatch ? floats[g + at]! - across - normalized(at) * along : floats[g + at]!;
        floats[out + at] = accumulate ? floats[out + at]! + factor * slope : factor * slope;
      });
    }
  },

  batchNormWeightSlope({ floats }, g, x, mean, variance, out, outer, channels, inner, eps, accumulate) {
    for (let c = 0; c < channels; c++) {
      const scale = 1 / Math.sqrt(floats[variance + c]! + eps);
      let sum = 0;
      eachOf(c, [outer, channels, inner], (at) => {
        sum += floats[g + at]! * (floats[x + at]! - floats[mean + c]!) * scale;
      });
      floats[out + c] = accumulate ? floats[out + c]! + sum : sum;
    }
  },
} satisfies Pick<ReferenceKernels, 'batchMoments' | 'batchNorm' | 'batchNormSlope' | 'batchNormWeightSlope'>;

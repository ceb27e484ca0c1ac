/** Small images, runs and settings for the tests of this folder. */

import type { Run, RunSettings } from '../../../../bench/learning/composition/run.ts';
import { dataFolder, idxFile } from '../folder.ts';

/** 8 x 24 pixels in ten classes: two columns are bright, which are one when the image is halved. */
function pair(count: number): { images: Uint8Array; labels: Uint8Array } {
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 10);
  const pixels = Uint8Array.from({ length: count * 192 }, (_, p) =>
    Math.floor((p % 24) / 2) === labels[Math.floor(p / 192)] ? 255 : (p * 7) % 30,
  );
  return { images: idxFile([count, 8, 24], pixels), labels: idxFile([count], labels) };
}

export function imagesFolder(): string {
  const [train, test] = [pair(200), pair(50)];
  return dataFolder({
    ...{ 'train-images-idx3-ubyte': train.images, 'train-labels-idx1-ubyte': train.labels },
    ...{ 't10k-images-idx3-ubyte': test.images, 't10k-labels-idx1-ubyte': test.labels },
  });
}

export const tiny = (told: Partial<RunSettings> = {}): RunSettings => ({
  ...{ combination: 'none', settings: {}, seed: 1, contexts: 4, iterations: 60, batch: 16 },
  ...{ hidden: [24, 16], lr: 0.01, data: imagesFolder() },
  ...told,
});

/** A row as a job gives it. */
export const row = (told: Partial<Run> = {}): Run => ({
  ...{ combination: 'none', settings: {}, seed: 1, contexts: 2, iterations: 9, batch: 32, hidden: [10], lr: 0.01 },
  ...{ learned: [0.9, 0.8], remembered: [0.9, 0.7], last: [0.6, 0.8], average: 0.7, forgetting: 0.3 },
  ...{ plasticity: { early: 0.9, late: 0.8 }, replaced: null, dead: 0.25, seconds: 2.04 },
  ...told,
});

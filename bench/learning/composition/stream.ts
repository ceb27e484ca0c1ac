/**
 * The stream: images of ten digits, whose pixels are permuted in one way in each context. The network is not told which context
 * an image is of, and has ten outputs for all of them; it is asked about all contexts that it has learned.
 *
 * Images are halved, each pixel the mean of four, so that a run takes seconds.
 */

import { permutedScenario, type Scenario, type ScenarioData } from '../../../src/data/scenarios.ts';
import type { StreamData } from '../../../src/data/streams.ts';
import { loadData } from '../data.ts';
import type { DataSet, LabelledImages } from '../images.ts';
import { UserError } from '../user-error.ts';

/** Test images that each question is about: every so-manieth of the data set's. */
const ASKED = 1000;

/** The learner of all runs, and its steps. */
export const SETUP = { contexts: 30, iterations: 200, batch: 32, hidden: [100, 100], lr: 0.01 } as const;

/** `data`: a folder of IDX files; null for the embedded digits. Permutations are drawn from the seed. */
export async function openStream(data: string | null, contexts: number, seed: number): Promise<Scenario> {
  return permutedScenario(halvedData(await loadData(data)), { kind: 'domain', contexts, seed });
}

export function halvedData({ train, test }: DataSet): ScenarioData {
  const shape = [Math.floor(train.height / 2) * Math.floor(train.width / 2)];
  return {
    train: halved(train, 1),
    test: halved(test, Math.max(1, Math.floor(test.count / ASKED))),
    shape,
    scale: 1 / 255,
  };
}

/** Every `stride`-th image at half its height and width. What an odd side has beyond is left out. */
function halved({ count, height, width, pixels, labels }: LabelledImages, stride: number): StreamData {
  const [rows, columns] = [Math.floor(height / 2), Math.floor(width / 2)];
  if (rows * columns === 0)
    throw new UserError(`--data: images of ${height} x ${width} pixels cannot be halved; they need 2 x 2 at least.`);
  const chosen = Math.floor(count / stride);
  const inputs = new Float32Array(chosen * rows * columns);
  let place = 0;
  for (let image = 0; image < chosen; image++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const at = image * stride * height * width + 2 * row * width + 2 * column;
        inputs[place++] = (pixels[at]! + pixels[at + 1]! + pixels[at + width]! + pixels[at + width + 1]!) / 4;
      }
  return { inputs, labels: Uint8Array.from({ length: chosen }, (_, image) => labels[image * stride]!) };
}

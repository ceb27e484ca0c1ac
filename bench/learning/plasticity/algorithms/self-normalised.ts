/** Self-normalised resets: units that are silent for longer than their own past makes likely start anew. */

import { SelfNormalisedResets } from '../../../../src/continual/self-normalised.ts';
import { SGD } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner, probe } from '../algorithm.ts';

const IMAGES = { lr: 0.003, rejection: 1e-4, patience: 1000 };

export const selfNormalised = defineAlgorithm({
  name: 'self-normalised',
  about:
    'stochastic gradient descent; units silent for longer than all but a share of their silences are drawn anew (Farias and Jozefiak 2024)',
  settings: {
    regression: { ...IMAGES, lr: 0.01 },
    permuted: IMAGES,
    'permuted-short': { ...IMAGES, lr: 0.01 },
  },
  make(network, generator, { lr, ...options }) {
    const { model } = network;
    const resets = new SelfNormalisedResets(probe(model), { ...options, generator });
    return gradientLearner(network, new SGD(model.parameters(), { lr }), {
      ...{ generator, algorithm: resets },
      afterStep: (output) => resets.step(output),
    });
  },
});

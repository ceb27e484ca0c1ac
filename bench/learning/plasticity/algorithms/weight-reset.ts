/** Resets of single weights: continual backprop weight by weight. */

import { WeightReset } from '../../../../src/continual/weight-reset.ts';
import { SGD } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';

const IMAGES = { lr: 0.003, rate: 1e-6, maturity: 100, decay: 0.99, every: 100 };

export const weightReset = defineAlgorithm({
  name: 'weight-reset',
  about:
    'stochastic gradient descent; of the mature weights those of least |g w| are drawn anew (Hernandez-Garcia et al. 2025)',
  settings: {
    regression: { ...IMAGES, lr: 0.01, rate: 1e-4, every: 1 },
    permuted: IMAGES,
    'permuted-short': { ...IMAGES, lr: 0.01 },
  },
  make(network, generator, { lr, ...options }) {
    const parameters = network.model.parameters();
    const resets = new WeightReset(parameters, { ...options, generator });
    return gradientLearner(network, new SGD(parameters, { lr }), {
      ...{ generator, algorithm: resets },
      afterStep: () => void resets.step(),
    });
  },
});

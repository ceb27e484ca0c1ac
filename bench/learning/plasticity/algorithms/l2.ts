/** Stochastic gradient descent with an L2 penalty. */

import { SGD } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';

export const l2 = defineAlgorithm({
  name: 'l2',
  about: 'stochastic gradient descent on the loss and weightDecay / 2 |w|^2',
  settings: {
    regression: { lr: 0.01, weightDecay: 1e-2 },
    permuted: { lr: 0.003, weightDecay: 1e-4 },
    'permuted-short': { lr: 0.01, weightDecay: 1e-4 },
  },
  make: (network, _, { lr, weightDecay }) =>
    gradientLearner(network, new SGD(network.model.parameters(), { lr, weightDecay })),
});

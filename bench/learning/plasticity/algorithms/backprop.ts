/** Plain stochastic gradient descent. */

import { SGD } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';

export const backprop = defineAlgorithm({
  name: 'backprop',
  about: 'stochastic gradient descent on the loss, and nothing else',
  settings: { regression: { lr: 0.01 }, permuted: { lr: 0.003 }, 'permuted-short': { lr: 0.01 } },
  make: (network, _, { lr }) => gradientLearner(network, new SGD(network.model.parameters(), { lr })),
});

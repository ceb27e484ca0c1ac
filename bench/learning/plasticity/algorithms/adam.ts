/** Adam. */

import { Adam } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';

export const adam = defineAlgorithm({
  name: 'adam',
  about: 'Adam, with betas 0.9 and 0.999',
  settings: { regression: { lr: 0.01 }, permuted: { lr: 1e-4 }, 'permuted-short': { lr: 1e-4 } },
  make: (network, _, { lr }) => gradientLearner(network, new Adam(network.model.parameters(), { lr })),
});

/** UPGD: useful weights are protected, useless ones are shaken. */

import { UPGD } from '../../../../src/continual/upgd.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';

const IMAGES = { lr: 0.01, decay: 0.999, sigma: 0.001, weightDecay: 0.01 };

export const upgd = defineAlgorithm({
  name: 'upgd',
  about: 'gradient descent that protects weights of use and adds noise to the others (Elsayed and Mahmood 2024)',
  settings: {
    regression: { lr: 0.01, decay: 0.999, sigma: 0.01, weightDecay: 1e-3 },
    permuted: IMAGES,
    'permuted-short': IMAGES,
  },
  make: (network, generator, options) =>
    gradientLearner(network, new UPGD(network.model.parameters(), options, { generator }), { generator }),
});

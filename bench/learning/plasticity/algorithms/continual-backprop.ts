/** Continual backprop: stochastic gradient descent, and the least useful units start anew, a few at a time. */

import { ContinualBackprop } from '../../../../src/continual/continual-backprop.ts';
import type { Utility } from '../../../../src/continual/utility.ts';
import { SGD } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner, probe } from '../algorithm.ts';

/** Plain data, so that a job can carry it. */
type Own = {
  lr: number;
  rate: number;
  maturity: number;
  decay: number;
  utility: Utility;
  accumulate: boolean;
  transferMean: boolean;
};

/** As published for permuted MNIST. */
const IMAGES: Own = {
  ...{ lr: 0.003, rate: 1e-4, maturity: 100, decay: 0.99 },
  ...{ utility: 'adaptableContribution', accumulate: true, transferMean: false },
};

export const continualBackprop = defineAlgorithm<Own>({
  name: 'continual-backprop',
  about: 'stochastic gradient descent; of the mature units the least useful ones are drawn anew (Dohare et al. 2024)',
  settings: {
    // The options of the published runs: maturity 10 and lots instead of sums for regression, no transfer of means.
    regression: {
      ...{ lr: 0.01, rate: 1e-4, maturity: 10, decay: 0.99 },
      ...{ utility: 'adaptableContribution', accumulate: false, transferMean: false },
    },
    permuted: IMAGES,
    'permuted-short': { ...IMAGES, lr: 0.01 },
  },
  make(network, generator, { lr, ...options }) {
    const { model } = network;
    const continual = new ContinualBackprop(probe(model), { ...options, generator });
    return gradientLearner(network, new SGD(model.parameters(), { lr }), {
      ...{ generator, algorithm: continual },
      afterStep: (output) => continual.step(output),
    });
  },
});

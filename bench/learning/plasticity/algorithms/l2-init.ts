/** A pull to the initial weights: Kumar, Marklund and Van Roy, "Maintaining plasticity in continual learning via regenerative regularization" (2023). */

import { l2Init as drawToInitial } from '../../../../src/continual/everyday.ts';
import { SGD } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';

export const l2Init = defineAlgorithm({
  name: 'l2-init',
  about: 'stochastic gradient descent on the loss and strength |w - w0|^2, w0 the initial weights (Kumar et al. 2023)',
  settings: {
    regression: { lr: 0.01, strength: 1e-2 },
    permuted: { lr: 0.003, strength: 1e-4 },
    'permuted-short': { lr: 0.01, strength: 1e-4 },
  },
  make(network, _, { lr, strength }) {
    const parameters = network.model.parameters();
    // The anchors are side state of the parameters: they go with the model into a checkpoint.
    drawToInitial(parameters, strength);
    return gradientLearner(network, new SGD(parameters, { lr }));
  },
});

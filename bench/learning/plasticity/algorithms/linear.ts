/** A linear network from the inputs to the outputs: what is left to a network that has lost all of its hidden units' use. */

import { SGD } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';
import { mlp } from '../problem.ts';

export const linear = defineAlgorithm({
  name: 'linear',
  about: 'stochastic gradient descent on a network without hidden units',
  settings: { regression: { lr: 0.01 }, permuted: { lr: 0.003 }, 'permuted-short': { lr: 0.01 } },
  make({ model: full, lossOf }, generator, { lr }) {
    const [inputs, outputs] = [full.parameters()[0]!.shape[1]!, full.parameters().at(-1)!.size];
    const model = mlp([inputs, outputs], generator);
    return gradientLearner({ model, lossOf }, new SGD(model.parameters(), { lr }));
  },
});

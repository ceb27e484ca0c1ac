/**
 * Concatenated ReLU: every hidden unit gives relu(x) and relu(-x), so that none can fall silent for all inputs.
 * Shang et al. (2016); against loss of plasticity Abbas et al., "Loss of plasticity in continual deep reinforcement learning" (2023).
 *
 * The network has as many units as the one given, and layers read two numbers of each: twice the weights behind the first layer.
 */

import { CReLU } from '../../../../src/continual/everyday.ts';
import { Linear, SGD } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';
import { mlp } from '../problem.ts';

export const crelu = defineAlgorithm({
  name: 'crelu',
  about: 'stochastic gradient descent on a network whose units give relu(x) and relu(-x) (Abbas et al. 2023)',
  settings: { regression: { lr: 0.01 }, permuted: { lr: 0.003 }, 'permuted-short': { lr: 0.01 } },
  make({ model: given, lossOf }, generator, { lr }) {
    const shapes = [...given].flatMap((layer) => (layer instanceof Linear ? [layer.weight.shape] : []));
    const widths = [shapes[0]![1]!, ...shapes.map(([outputs]) => outputs!)];
    const model = mlp(widths, generator, { make: () => new CReLU(), numbers: 2 });
    return gradientLearner({ model, lossOf }, new SGD(model.parameters(), { lr }));
  },
});

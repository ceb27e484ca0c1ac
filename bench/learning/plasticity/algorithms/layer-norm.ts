/**
 * Layer normalization before every ReLU, and an L2 penalty on the weights: what Lyle et al., "Disentangling the causes of
 * plasticity loss in neural networks" (2024), found to go together best. Norms' own weights and biases are not penalized.
 *
 * The linear layers are those given, so it starts from the same weights.
 */

import { LayerNorm, Linear, ReLU, Sequential, SGD } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';

export const layerNorm = defineAlgorithm({
  name: 'layer-norm',
  about: 'l2 with layer normalization before every ReLU (Lyle et al. 2024)',
  settings: {
    regression: { lr: 0.01, weightDecay: 1e-3 },
    permuted: { lr: 0.003, weightDecay: 1e-4 },
    'permuted-short': { lr: 0.01, weightDecay: 1e-4 },
  },
  make({ model: given, lossOf }, _, { lr, weightDecay }) {
    let width = 0;
    const layers = [...given].flatMap((layer) => {
      if (layer instanceof Linear) width = layer.weight.shape[0]!;
      return layer instanceof ReLU ? [new LayerNorm(width), layer] : [layer];
    });
    const model = new Sequential(...layers);
    const norms = layers.flatMap((layer) => (layer instanceof LayerNorm ? layer.parameters() : []));
    const optimizer = new SGD([{ parameters: given.parameters(), weightDecay }, { parameters: norms }], { lr });
    return gradientLearner({ model, lossOf }, optimizer);
  },
});

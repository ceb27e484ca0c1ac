/**
 * Averaged gradient episodic memory: a step may not make the mean loss of what is remembered larger (to first order).
 */
import { given } from '../../tensor/given.ts';
import type { StatefulMethod } from '../method.ts';
import { replayLoss } from './examples.ts';
import {
  addToGradients,
  type FlatGradient,
  learned,
  measure,
  product,
  productWithGradients,
  sizeOfAll,
} from './flat-gradient.ts';
import { type MemoryOptions, type MemoryState, memoryFor } from './memory.ts';

/** Added to the squared length that a projection divides by, as published. */
const epsilon = 1e-7;

/**
 * A-GEM: g is the gradient of the step, g_ref that of some remembered examples, each all parameters as one vector. Where their
 * inner product is negative,
 *
 *     g = g - (g . g_ref) / (g_ref . g_ref + 1e-7) g_ref
 *
 * before the optimizer's step; else g stays. What is remembered and drawn is as with experience replay (`er`). Penalties in the
 * loss are part of g; what the optimizer adds itself (weight decay, anchors) is not. Options out of range and a missing generator are
 * errors, and so are targets that arrive at parameters.
 * Chaudhry et al., "Efficient lifelong learning with A-GEM" (2019), equation 11.
 *
 *     const optimizer = new Adam(model.parameters());
 *     const projection = agem({ perClass: 100, generator: new Generator(1) });
 *     const learner = new ContinualLearner({ model, optimizer, methods: [projection] });
 */
export function agem(options: MemoryOptions): StatefulMethod<MemoryState> {
  const memory = memoryFor('agem', given('agem({ generator: new Generator(1) })', 'options', options));
  let reference: FlatGradient = new Float32Array(0);
  return {
    name: 'agem',
    gradients({ batch, learning }) {
      const drawn = memory.draw(batch);
      if (drawn === null) return;
      const parameters = learned(learning);
      const size = sizeOfAll(parameters);
      if (reference.length !== size) reference = new Float32Array(size);
      measure(parameters, reference, () => replayLoss(learning, drawn, batch.head));
      const along = productWithGradients('agem', parameters, reference);
      if (along < 0) addToGradients('agem', parameters, reference, -along / (product(reference, reference) + epsilon));
    },
    stepped: ({ batch }) => memory.learned(batch),
    end: (context) => memory.ended(context),
    stateDict: () => memory.stateDict(),
    loadStateDict: (state) => memory.loadStateDict(state),
  };
}

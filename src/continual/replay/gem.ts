/**
 * Gradient episodic memory: a step may make the loss of no earlier context larger (to first order).
 */

import { given } from '../../tensor/given.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Batch, Learning, StatefulMethod } from '../method.ts';
import { checkFields, checkList } from '../state.ts';
import { checkCount, checkStrength } from './check.ts';
import { multipliers } from './cone.ts';
import { ExampleStore, gathered, replayLoss, type StoreState } from './examples.ts';
import {
  addToGradients,
  type FlatGradient,
  learned,
  measure,
  product,
  productWithGradients,
  sizeOfAll,
  squaredGradients,
} from './flat-gradient.ts';

export interface GradientEpisodicMemoryOptions {
  /** Examples of each context: the last that were learned; 256 unless given. */
  readonly perContext?: number;
  /** The least multiplier of each earlier context's gradient where a projection is due, from 0 up; 0.5 unless given. */
  readonly margin?: number;
}

export interface GradientEpisodicMemoryState {
  /** Of each context its number, its examples, and where the next would stand. */
  readonly contexts: readonly { readonly context: number; readonly store: StoreState; readonly next: number }[];
}

interface Remembered {
  readonly store: ExampleStore;
  /** Where the next example stands: the memory is a ring. */
  next: number;
  /** Gradient of the mean loss of these examples. */
  gradient: FlatGradient;
}

/**
 * GEM: g is the gradient of the step, g_k that of the mean loss of the last examples of an earlier context k, each all parameters as
 * one vector. Where no product g . g_k is negative, g stays. Else it becomes the nearest vector whose products with all g_k are at
 * least 0, found in the dual: g + sum v_k g_k. As in the authors' code, every v_k is then at least `margin`, which favours
 * the earlier contexts; with margin 0 it is the nearest vector. (They add 1e-3 to the products g_k . g_k, for the sake of their
 * solver; here nothing is added.) Each step costs a forward and a backward pass over all that
 * is remembered of earlier contexts.
 *
 * Penalties in the loss are part of g; what the optimizer adds itself (weight decay, anchors) is not. Options out of range are errors,
 * and so are targets that arrive at parameters.
 * Lopez-Paz and Ranzato, "Gradient episodic memory for continual learning" (2017), equations 8 to 12.
 *
 *     const optimizer = new SGD(model.parameters(), { lr: 0.1 });
 *     const learner = new ContinualLearner({ model, optimizer, methods: [gem({ margin: 0.5, perContext: 256 })] });
 */
export function gem(options: GradientEpisodicMemoryOptions = {}): StatefulMethod<GradientEpisodicMemoryState> {
  const { perContext = 256, margin = 0.5 } = given('gem({ margin: 0.5, perContext: 256 })', 'options', options);
  checkCount('gem', 'perContext', perContext);
  checkStrength('gem', 'margin', margin);
  let memories = new Map<number, Remembered>();
  return {
    name: 'gem',
    gradients({ batch, learning }) {
      const earlier = [...memories].filter(([context]) => context !== batch.context).map(([, memory]) => memory);
      if (earlier.length > 0) project(learning, batch, earlier, margin);
    },
    stepped({ batch }) {
      let memory = memories.get(batch.context);
      if (memory === undefined) {
        memory = { store: new ExampleStore(perContext), next: 0, gradient: new Float32Array(0) };
        memories.set(batch.context, memory);
      }
      remember(memory, batch);
    },
    stateDict: () => ({
      contexts: Array.from(memories, ([context, { store, next }]) => ({ context, store: store.state(), next })),
    }),
    loadStateDict(state) {
      checkFields('gem.loadStateDict', state, ['contexts']);
      checkList('gem.loadStateDict', 'contexts', state.contexts);
      const loaded = state.contexts.map(({ context, store, next }): [number, Remembered] => {
        if (!(Number.isInteger(next) && next >= 0 && next < perContext))
          throw new RangeError(
            `gem.loadStateDict: place ${next} is none of a memory of ${perContext} examples a context.`,
          );
        return [context, { store: ExampleStore.from('gem', perContext, store), next, gradient: new Float32Array(0) }];
      });
      memories = new Map(loaded);
    },
  };
}

/** Writes the batch over the oldest examples. */
function remember(memory: Remembered, batch: Batch): void {
  const { store } = memory;
  const { capacity } = store;
  const rows = batch.labels.length;
  const places = new Int32Array(rows).fill(-1);
  for (let row = Math.max(0, rows - capacity); row < rows; row++) {
    places[row] = memory.next;
    memory.next = (memory.next + 1) % capacity;
  }
  store.put(places, batch);
}

function project(learning: Learning, batch: Batch, memories: readonly Remembered[], margin: number): void {
  const parameters = learned(learning);
  const products = Float64Array.from(memories, (memory) => {
    measureLoss(learning, parameters, batch, memory);
    return productWithGradients('gem', parameters, memory.gradient);
  });
  if (products.every((one) => !(one < 0))) return;
  const n = memories.length;
  const gram = new Float64Array(n * n);
  for (let j = 0; j < n; j++)
    for (let k = 0; k <= j; k++)
      gram[j * n + k] = gram[k * n + j] = product(memories[j]!.gradient, memories[k]!.gradient);
  const squaredLength = squaredGradients('gem', parameters);
  const found = multipliers({ gram, products, squaredLength, margin });
  for (let k = 0; k < n; k++) if (found[k]! !== 0) addToGradients('gem', parameters, memories[k]!.gradient, found[k]!);
}

/** The gradient of the mean loss of what is remembered of a context. */
function measureLoss(learning: Learning, parameters: readonly Tensor[], { head }: Batch, memory: Remembered): void {
  const { store } = memory;
  const size = sizeOfAll(parameters);
  if (memory.gradient.length !== size) memory.gradient = new Float32Array(size);
  const places = Int32Array.from({ length: store.count }, (_, place) => place);
  measure(parameters, memory.gradient, () => {
    const groups = [{ rows: [0, store.count] as const, head: store.headAt(0), weight: 1 }];
    return replayLoss(learning, { ...gathered([{ store, places }]), logits: null, groups }, head);
  });
}

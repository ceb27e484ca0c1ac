/**
 * ReDo: units that are dormant start anew. Sokar et al., "The dormant neuron phenomenon in deep reinforcement learning" (2023).
 *
 * Which units are dormant is a question about many examples, and a step has one: the last `examples` inputs are kept, and each
 * `every` steps the network as it then is sees them all.
 */

import { ReDo } from '../../../../src/continual/redo.ts';
import { SGD, tensor, withData } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner, probe } from '../algorithm.ts';

/** Plain data, so that a job can carry it. */
type Own = { lr: number; threshold: number; every: number; examples: number };

interface Memory {
  readonly steps: number;
  /** [examples, inputs]; the input of step i, from 0, stands in row i mod examples. */
  readonly inputs: Float32Array;
}

const IMAGES: Own = { lr: 0.003, threshold: 0.1, every: 1000, examples: 100 };

export const redo = defineAlgorithm<Own>({
  name: 'redo',
  about:
    'stochastic gradient descent; units that are dormant over the last examples are drawn anew (Sokar et al. 2023)',
  settings: {
    regression: { ...IMAGES, lr: 0.01 },
    permuted: IMAGES,
    'permuted-short': { ...IMAGES, lr: 0.01 },
  },
  make(network, generator, { lr, threshold, every, examples }) {
    const { model } = network;
    const resets = new ReDo(probe(model), { threshold, every: 1, generator });
    const width = model.parameters()[0]!.shape[1]!;
    let steps = 0;
    const inputs = new Float32Array(examples * width);
    return gradientLearner(network, new SGD(model.parameters(), { lr }), {
      generator,
      algorithm: {
        stateDict: (): Memory => ({ steps, inputs: inputs.slice() }),
        loadStateDict(memory: Memory) {
          inputs.set(memory.inputs);
          steps = memory.steps;
        },
      },
      afterStep(_, x) {
        withData(x, (numbers) => inputs.set(numbers, (steps % examples) * width));
        if (++steps % every !== 0) return;
        const seen = Math.min(steps, examples);
        resets.step(model.forward(tensor(inputs.slice(0, seen * width), [seen, width])));
      },
    });
  },
});

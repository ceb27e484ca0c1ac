/**
 * Shrink and perturb, step by step: an L2 penalty, and a little noise on every weight and bias after the steps.
 * Ash and Adams, "On warm-starting neural network training" (2020); in this form Dohare et al. (2024).
 */

import { SGD, withData } from '../../../../src/index.ts';
import { defineAlgorithm, gradientLearner } from '../algorithm.ts';

export const shrinkPerturb = defineAlgorithm({
  name: 'shrink-perturb',
  about: 'l2, and normal noise added to all weights: of deviation sigma a step, added up over `every` steps',
  settings: {
    regression: { lr: 0.01, weightDecay: 1e-2, sigma: 1e-4, every: 1 },
    // A normal number costs more than all else that a weight takes part in: a hundred steps' noise comes as one draw of its sum.
    permuted: { lr: 0.003, weightDecay: 1e-4, sigma: 1e-5, every: 100 },
    'permuted-short': { lr: 0.01, weightDecay: 1e-4, sigma: 1e-5, every: 100 },
  },
  make(network, generator, { lr, weightDecay, sigma, every }) {
    const parameters = network.model.parameters();
    const noise = parameters.map(({ size }) => new Float32Array(size));
    let steps = 0;
    return gradientLearner(network, new SGD(parameters, { lr, weightDecay }), {
      generator,
      algorithm: {
        stateDict: () => ({ steps }),
        loadStateDict(state: { steps: number }) {
          steps = state.steps;
        },
      },
      afterStep() {
        if (++steps % every !== 0) return;
        for (const [i, parameter] of parameters.entries()) {
          const added = noise[i] as Float32Array;
          generator.fillNormal(added, 0, sigma * Math.sqrt(every));
          withData(
            parameter,
            (weights) => {
              for (let j = 0; j < added.length; j++) weights[j]! += added[j]!;
            },
            { write: true },
          );
        }
      },
    });
  },
});

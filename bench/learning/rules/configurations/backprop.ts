/** Backpropagation: what the other rules are held against. */

import {
  argmax,
  crossEntropy,
  type Generator,
  gradients,
  Linear,
  noGrad,
  ReLU,
  Sequential,
  SGD,
  type Tensor,
} from '../../../../src/index.ts';
import type { Configuration, Trainer } from '../configuration.ts';

const LAYERS = [784, 256, 128, 10] as const;
const LEARNING_RATE = 0.1;

export const backprop: readonly Configuration[] = [
  {
    name: 'backprop',
    about: 'Backpropagation of the cross-entropy through a ReLU network, with plain stochastic gradient descent.',
    layers: LAYERS,
    batch: 64,
    epochs: 5,
    make: (_, generator) => makeTrainer(LAYERS, LEARNING_RATE, generator),
  },
];

/** An MLP with ReLU between its layers, trained by SGD at a fixed rate. */
export function makeTrainer(layers: readonly number[], lr: number, generator: Generator): Trainer {
  const linears = layers.slice(1).map((width, layer) => new Linear(layers[layer] as number, width, { generator }));
  const model = new Sequential(...linears.flatMap((linear, layer) => (layer === 0 ? [linear] : [new ReLU(), linear])));
  const optimizer = new SGD(model.parameters(), { lr });
  const learn = (images: Tensor, labels: Int32Array): Tensor => {
    const logits = model.forward(images);
    optimizer.zeroGrad();
    crossEntropy(logits, labels).backward();
    return logits;
  };
  return {
    step(images, labels) {
      const logits = learn(images, labels);
      optimizer.step();
      const guesses = noGrad(() => argmax(logits, 1)).data;
      return labels.reduce((right, label, i) => right + (guesses[i] === label ? 1 : 0), 0);
    },
    predict: (images) => Int32Array.from(noGrad(() => argmax(model.forward(images), 1)).data),
    // The rule is backpropagation itself, so this holds the comparison to account: the walk of backward() against the
    // gradients of the same loss asked for by name. The angles must be 0.
    updateAndBackpropUpdate(images, labels) {
      const weights = linears.map(({ weight }) => weight);
      const named = descent(gradients(crossEntropy(model.forward(images), labels), weights), lr);
      learn(images, labels);
      const walked = descent(
        weights.map(({ grad }) => grad),
        lr,
      );
      return walked.map((update, layer) => ({ layer: `layer ${layer + 1}`, update, backprop: named[layer] as Tensor }));
    },
  };
}

/** The updates of plain gradient descent. */
function descent(slopes: readonly (Tensor | null)[], lr: number): Tensor[] {
  return slopes.map((slope, layer) => {
    if (slope === null) throw new Error(`backprop: no gradient reached the weight of layer ${layer + 1}.`);
    return noGrad(() => slope.mul(-lr));
  });
}

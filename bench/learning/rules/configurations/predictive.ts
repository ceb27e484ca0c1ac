/** Rules that move values before weights: predictive coding, and prospective configuration. */

import {
  Adam,
  argmax,
  attachRules,
  backward,
  type Generator,
  Linear,
  noGrad,
  oneHot,
  ReLU,
  type Rules,
  Sequential,
  type Tensor,
  target,
} from '../../../../src/index.ts';
import { predictiveCoding, prospectiveConfiguration } from '../../../../src/rules/predictive/rule.ts';
import type { Configuration, Trainer } from '../configuration.ts';

const LAYERS = [784, 256, 128, 10] as const;
const CLASSES = 10;
const LEARNING_RATE = 5e-4;

/** An MLP with ReLU, whose outputs are held at one-hot targets while the values inside relax; trained by Adam. */
export function makePredictiveTrainer(
  layers: readonly number[],
  { rules, lr }: { readonly rules: Rules; readonly lr: number },
  generator: Generator,
): Trainer {
  const linears = layers.slice(1).map((width, layer) => new Linear(layers[layer] as number, width, { generator }));
  const model = new Sequential(...linears.flatMap((linear, layer) => (layer === 0 ? [linear] : [new ReLU(), linear])));
  attachRules(model, rules);
  const optimizer = new Adam(model.parameters(), { lr });
  const learn = (images: Tensor, labels: Int32Array): Tensor => {
    const outputs = model.forward(images);
    optimizer.zeroGrad();
    backward(target(outputs, oneHot(labels, CLASSES), { precision: Number.POSITIVE_INFINITY }));
    return outputs;
  };
  return {
    step(images, labels) {
      const outputs = learn(images, labels);
      optimizer.step();
      const guesses = noGrad(() => argmax(outputs, 1)).data;
      return labels.reduce((right, label, i) => right + (guesses[i] === label ? 1 : 0), 0);
    },
    predict: (images) => Int32Array.from(noGrad(() => argmax(model.forward(images), 1)).data),
    // Without Adam's moments, and of one loss: backpropagation of the squared error that the targets stand for, since the angle to
    // another loss's gradient would measure the losses.
    updateAndBackpropUpdate(images, labels) {
      const downhill = (): Tensor[] => linears.map(({ weight }) => noGrad(() => (weight.grad as Tensor).mul(-lr)));
      learn(images, labels);
      const updates = downhill();
      optimizer.zeroGrad();
      const squaredError = target(model.forward(images), oneHot(labels, CLASSES), { precision: 1 });
      backward(squaredError, { rules: false });
      const plain = downhill();
      optimizer.zeroGrad();
      return updates.map((update, layer) => ({
        layer: `layer ${layer + 1}`,
        update,
        backprop: plain[layer] as Tensor,
      }));
    },
  };
}

function configuration(name: string, about: string, rules: () => Rules): Configuration {
  return {
    ...{ name, about, layers: LAYERS, batch: 64, epochs: 3 },
    make: (_, generator) => makePredictiveTrainer(LAYERS, { rules: rules(), lr: LEARNING_RATE }, generator),
  };
}

export const predictive: readonly Configuration[] = [
  configuration(
    'predictive-coding',
    'Predictive coding: values take 20 sweeps towards one-hot targets, then each layer learns from its own error (Adam).',
    () => predictiveCoding({ steps: 20, rate: 0.1 }),
  ),
  configuration(
    'prospective-configuration',
    'Prospective configuration: predictive coding that relaxes to equilibrium before it learns (Adam).',
    () => prospectiveConfiguration({ tolerance: 1e-3, maxSteps: 30, rate: 0.5 }),
  ),
];

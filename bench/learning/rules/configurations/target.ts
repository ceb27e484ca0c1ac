/**
 * Target propagation: as published, and as well as rules of its kind do here.
 *
 * Every layer gets a target for its output and changes its weights towards it. Targets come from the labels; there is
 * no loss, and nothing is differentiated. As published, weights go all the way to the mean of what the samples ask. The
 * best asks each layer's input for what all its neurons need together, switches on no unit that is off, and lets Adam
 * average the wishes of many batches.
 */

import {
  Adam,
  argmax,
  attachRules,
  backward,
  buffer,
  crossEntropy,
  type Generator,
  inboxOf,
  Linear,
  noGrad,
  onValue,
  ReLU,
  Sequential,
  SGD,
  slope,
  type Tensor,
  tensor,
} from '../../../../src/index.ts';
import { oneHotTarget } from '../../../../src/rules/target/outputs.ts';
import { type TargetPropagationOptions, targetPropagation } from '../../../../src/rules/target/propagation.ts';
import type { Configuration, Trainer } from '../configuration.ts';

const PUBLISHED = [784, 32, 10] as const;
const BEST = [784, 256, 128, 10] as const;

/** Standard deviation of all weights and biases at first, as published. */
const PUBLISHED_DEVIATION = 0.01;

const LEARNING_RATE = 0.001;
/** Share of the averaged weights that a step keeps. */
const KEPT = 0.999;
const BEST_OPTIONS: TargetPropagationOptions = {
  signal: 'ridge',
  // With 1 accuracy fell after the first epoch, with 10 it rose (one seed).
  ridge: 10,
  weighting: 'natural',
  awaken: 'never',
};

export const target: readonly Configuration[] = [
  {
    name: 'target-published',
    about: 'Target propagation as published: one-hot targets with a hinge, the mean over the samples applied in full.',
    layers: PUBLISHED,
    batch: 64,
    epochs: 5,
    pixels: 'unit',
    make: (_, generator) => makePublished(PUBLISHED, {}, generator),
  },
  {
    name: 'target-published-online',
    about: 'The same with batches of one image: each step makes the network right about it, whatever it knew.',
    layers: PUBLISHED,
    batch: 1,
    epochs: 1,
    pixels: 'unit',
    make: (_, generator) => makePublished(PUBLISHED, {}, generator),
  },
  {
    name: 'target-relaxed-online',
    about: 'The same with batches of one image, of which each step makes up for a tenth of the error.',
    layers: PUBLISHED,
    batch: 1,
    epochs: 1,
    pixels: 'unit',
    make: (_, generator) => makePublished(PUBLISHED, { relaxation: 0.1 }, generator),
  },
  {
    name: 'target-best',
    about:
      'Its hinge targets sent down by damped least squares to the units that are on; Adam, and the mean of recent weights.',
    layers: BEST,
    batch: 64,
    epochs: 8,
    pixels: 'unit',
    make: (_, generator) => makeBest(BEST, BEST_OPTIONS, generator),
  },
];

interface Network {
  readonly model: Sequential;
  readonly linears: readonly Linear[];
}

/** Linear layers with ReLU between them, their weights N(0, deviation^2) and their biases N(0, biasDeviation^2). */
function network(
  layers: readonly number[],
  deviation: (inputs: number) => number,
  biasDeviation: number,
  generator: Generator,
): Network {
  const linears = layers.slice(1).map((width, layer) => new Linear(layers[layer] as number, width, { generator }));
  for (const { weight, bias } of linears) {
    fillNormal(weight, deviation(weight.shape[1] as number), generator);
    fillNormal(bias as Tensor, biasDeviation, generator);
  }
  const model = new Sequential(...linears.flatMap((linear, layer) => (layer === 0 ? [linear] : [new ReLU(), linear])));
  return { model, linears };
}

function fillNormal(parameter: Tensor, deviation: number, generator: Generator): void {
  const values = new Float32Array(parameter.size);
  generator.fillNormal(values, 0, deviation);
  noGrad(() => parameter.copy_(tensor(values, parameter.shape)));
}

/** A network that learns by the published rules, with options, from pixels between 0 and 1. */
export function makePublished(
  layers: readonly number[],
  options: TargetPropagationOptions,
  generator: Generator,
): Trainer {
  const net = network(layers, () => PUBLISHED_DEVIATION, PUBLISHED_DEVIATION, generator);
  attachRules(net.model, targetPropagation(options));
  const optimizer = new SGD(net.model.parameters(), { lr: Infinity });
  const learn = (images: Tensor, labels: Int32Array): Tensor => {
    const logits = net.model.forward(images);
    optimizer.zeroGrad();
    backward(oneHotTarget(logits, labels));
    return logits;
  };
  return {
    step(images, labels) {
      const logits = learn(images, labels);
      optimizer.step();
      return countRight(logits, labels);
    },
    predict: (images) => classes(noGrad(() => net.model.forward(images))),
    updateAndBackpropUpdate(images, labels) {
      learn(images, labels);
      const updates = net.linears.map(({ weight }) =>
        noGrad(() => (inboxOf(weight) as NonNullable<ReturnType<typeof inboxOf>>).step()),
      );
      optimizer.zeroGrad();
      return besideBackprop(net, updates, images, labels);
    },
  };
}

/**
 * A network whose hidden layers get targets by damped least squares, and whose weights average the wishes of many batches.
 */
export function makeBest(layers: readonly number[], options: TargetPropagationOptions, generator: Generator): Trainer {
  const net = network(layers, (inputs) => Math.sqrt(2 / inputs), 0, generator);
  attachRules(net.model, targetPropagation(options));
  const parameters = net.model.parameters();
  // Adam's moments see gradients, and what arrives here are springs: each is read as its pull at the present weight.
  for (const parameter of parameters) onValue(parameter, (message) => slope(message.gradient()));
  const optimizer = new Adam(parameters, { lr: LEARNING_RATE });
  const average = new Average(parameters);
  const learn = (images: Tensor, labels: Int32Array): Tensor => {
    const logits = net.model.forward(images);
    optimizer.zeroGrad();
    backward(oneHotTarget(logits, labels, { precision: 1 / labels.length }));
    return logits;
  };
  return {
    step(images, labels) {
      const logits = learn(images, labels);
      optimizer.step();
      average.add();
      return countRight(logits, labels);
    },
    predict: (images) => average.during(() => classes(noGrad(() => net.model.forward(images)))),
    // Without Adam's moments, which mix in the past.
    updateAndBackpropUpdate(images, labels) {
      learn(images, labels);
      const updates = net.linears.map(({ weight }) => noGrad(() => (weight.grad as Tensor).neg()));
      optimizer.zeroGrad();
      return besideBackprop(net, updates, images, labels);
    },
  };
}

function besideBackprop({ model, linears }: Network, updates: readonly Tensor[], images: Tensor, labels: Int32Array) {
  const weights = linears.map(({ weight }) => weight);
  for (const weight of weights) weight.grad = null;
  backward(crossEntropy(model.forward(images), labels), { rules: false });
  const pairs = weights.map((weight, layer) => ({
    layer: `layer ${layer + 1}`,
    update: updates[layer] as Tensor,
    backprop: noGrad(() => (weight.grad as Tensor).neg()),
  }));
  for (const parameter of model.parameters()) parameter.grad = null;
  return pairs;
}

const classes = (logits: Tensor): Int32Array => Int32Array.from(noGrad(() => argmax(logits, 1)).data);

function countRight(logits: Tensor, labels: Int32Array): number {
  const guesses = classes(logits);
  return labels.reduce((right, label, i) => right + (guesses[i] === label ? 1 : 0), 0);
}

/** A running mean of the parameters: what is learned, without the noise of the last steps. */
class Average {
  readonly #parameters: readonly Tensor[];
  readonly #means: readonly Tensor[];
  #steps = 0;

  constructor(parameters: readonly Tensor[]) {
    this.#parameters = parameters;
    this.#means = parameters.map((parameter) => buffer(parameter));
  }

  add(): void {
    // Steps early on: the plain mean of all.
    const kept = Math.min(KEPT, this.#steps / (this.#steps + 1));
    this.#steps++;
    noGrad(() => {
      for (const [i, mean] of this.#means.entries())
        mean.mul_(kept).add_((this.#parameters[i] as Tensor).mul(1 - kept));
    });
  }

  /** Runs `body` with the means in place of the parameters. */
  during<Result>(body: () => Result): Result {
    const present = this.#parameters.map((parameter) => parameter.detach());
    const set = (values: readonly Tensor[]): void =>
      noGrad(() => {
        for (const [i, parameter] of this.#parameters.entries()) parameter.copy_(values[i] as Tensor);
      });
    set(this.#means);
    try {
      return body();
    } finally {
      set(present);
    }
  }
}

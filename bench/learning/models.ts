/**
 * Networks for images and features, and the models of the training job: how they are built, and how long and how fast they
 * learn unless told otherwise. Weights are drawn layer by layer: the same generator gives the same bits.
 */

import { Conv2d, Flatten, type Generator, Linear, MaxPool2d, type Module, ReLU, Sequential } from '../../src/index.ts';
import { CLASSES } from './images.ts';

export const MODEL_NAMES = ['mlp', 'cnn', 'linear'] as const;
export type ModelName = (typeof MODEL_NAMES)[number];

export interface ModelRecipe {
  /** A model from [N, 1, height, width] to [N, 10], its initial weights drawn from the generator. */
  build(height: number, width: number, generator: Generator): Module;
  /** Pixels that the images need at least, each way. */
  smallestSide: number;
  /** Learning rate at the start, for Adam. */
  learningRate: number;
  /** Passes over the embedded digits. */
  epochs: number;
  /** Passes over a data set from files, which has some 60,000 images. */
  epochsOnFiles: number;
}

/** A network from [n, ...shape] to [n, outputs], its initial weights drawn from the generator. */
export type Build = (shape: readonly number[], outputs: number, generator: Generator) => Module;

/** Linear layers with ReLU between them, of such widths inside. */
export const dense =
  (hidden: readonly number[]): Build =>
  (shape, outputs, generator) => {
    const layers: Module[] = [new Flatten()];
    let width = shape.reduce((size, length) => size * length, 1);
    for (const units of hidden) {
      layers.push(new Linear(width, units, { generator }), new ReLU());
      width = units;
    }
    return new Sequential(...layers, new Linear(width, outputs, { generator }));
  };

/** Two 3 x 3 convolutions of 16 and 32 filters, each with ReLU and 2 x 2 max pool, and a linear layer. */
export const convolutional: Build = ([channels = 1, height = 1, width = 1], outputs, generator) =>
  new Sequential(
    new Conv2d(channels, 16, 3, { padding: 1, generator }),
    new ReLU(),
    new MaxPool2d(2),
    new Conv2d(16, 32, 3, { padding: 1, generator }),
    new ReLU(),
    new MaxPool2d(2),
    new Flatten(),
    new Linear(32 * Math.floor(height / 4) * Math.floor(width / 4), outputs, { generator }),
  );

const forDigits =
  (build: Build): ModelRecipe['build'] =>
  (height, width, generator) =>
    build([1, height, width], CLASSES, generator);

export const MODELS: Readonly<Record<ModelName, ModelRecipe>> = {
  mlp: {
    build: forDigits(dense([256, 128])),
    smallestSide: 1,
    learningRate: 2e-3,
    epochs: 6,
    epochsOnFiles: 3,
  },
  cnn: {
    build: forDigits(convolutional),
    smallestSide: 4, // it is halved twice
    learningRate: 4e-3,
    epochs: 2,
    epochsOnFiles: 1,
  },
  linear: {
    build: forDigits(dense([])),
    smallestSide: 1,
    learningRate: 1e-3,
    epochs: 6,
    epochsOnFiles: 3,
  },
};

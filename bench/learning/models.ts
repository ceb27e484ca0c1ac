/** The models of the training job: how they are built, and how long and how fast they learn unless told otherwise. */

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

export const MODELS: Readonly<Record<ModelName, ModelRecipe>> = {
  mlp: {
    build: (height, width, generator) =>
      new Sequential(
        new Flatten(),
        new Linear(height * width, 256, { generator }),
        new ReLU(),
        new Linear(256, 128, { generator }),
        new ReLU(),
        new Linear(128, CLASSES, { generator }),
      ),
    smallestSide: 1,
    learningRate: 2e-3,
    epochs: 6,
    epochsOnFiles: 3,
  },
  cnn: {
    build(height, width, generator) {
      const features = 32 * Math.floor(height / 4) * Math.floor(width / 4);
      return new Sequential(
        new Conv2d(1, 16, 3, { padding: 1, generator }),
        new ReLU(),
        new MaxPool2d(2),
        new Conv2d(16, 32, 3, { padding: 1, generator }),
        new ReLU(),
        new MaxPool2d(2),
        new Flatten(),
        new Linear(features, CLASSES, { generator }),
      );
    },
    smallestSide: 4, // it is halved twice
    learningRate: 4e-3,
    epochs: 2,
    epochsOnFiles: 1,
  },
  linear: {
    build: (height, width, generator) =>
      new Sequential(new Flatten(), new Linear(height * width, CLASSES, { generator })),
    smallestSide: 1,
    learningRate: 1e-3,
    epochs: 6,
    epochsOnFiles: 3,
  },
};

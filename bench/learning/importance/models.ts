/** The networks whose weights are put in order. */

import { type Build, convolutional, dense } from '../models.ts';

export const NETWORK_NAMES = ['mlp', 'cnn', 'tiny'] as const;
export type NetworkName = (typeof NETWORK_NAMES)[number];

interface NetworkRecipe {
  readonly about: string;
  /** Whether it has convolutions, and so filters, and needs images. */
  readonly convolutions: boolean;
  /** Whether it sees large images at a quarter of their size. */
  readonly shrinks: boolean;
  readonly build: Build;
}

export const NETWORKS: Readonly<Record<NetworkName, NetworkRecipe>> = {
  mlp: {
    about: 'two hidden layers of 256 and 128 ReLU units',
    ...{ convolutions: false, shrinks: false },
    build: dense([256, 128]),
  },
  cnn: {
    about:
      "the engine benchmark's: two 3 x 3 convolutions of 16 and 32 filters, each with ReLU and 2 x 2 max pool, and a linear layer",
    ...{ convolutions: true, shrinks: false },
    build: convolutional,
  },
  tiny: {
    about: 'one hidden layer of 16 ReLU units, on images at a quarter of their size: small enough for the oracle',
    ...{ convolutions: false, shrinks: true },
    build: dense([16]),
  },
};

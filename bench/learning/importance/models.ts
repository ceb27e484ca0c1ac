/** The networks whose weights are put in order. */

import {
  Conv2d,
  Flatten,
  type Generator,
  Linear,
  MaxPool2d,
  type Module,
  ReLU,
  Sequential,
} from '../../../src/index.ts';

export const NETWORK_NAMES = ['mlp', 'cnn', 'tiny'] as const;
export type NetworkName = (typeof NETWORK_NAMES)[number];

interface NetworkRecipe {
  readonly about: string;
  /** Whether it has convolutions, and so filters, and needs images. */
  readonly convolutions: boolean;
  /** Whether it sees large images at a quarter of their size. */
  readonly shrinks: boolean;
  /** From [n, ...shape] to [n, outputs]. */
  build(shape: readonly number[], outputs: number, generator: Generator): Module;
}

const layers = (hidden: readonly number[]): NetworkRecipe['build'] => {
  return (shape, outputs, generator) => {
    const inputs = shape.reduce((size, length) => size * length, 1);
    const widths = [inputs, ...hidden, outputs];
    const stack = hidden.flatMap((width, i) => [new Linear(widths[i]!, width, { generator }), new ReLU()]);
    return new Sequential(new Flatten(), ...stack, new Linear(widths.at(-2)!, outputs, { generator }));
  };
};

export const NETWORKS: Readonly<Record<NetworkName, NetworkRecipe>> = {
  mlp: {
    about: 'two hidden layers of 256 and 128 ReLU units',
    ...{ convolutions: false, shrinks: false },
    build: layers([256, 128]),
  },
  cnn: {
    about:
      "the engine benchmark's: two 3 x 3 convolutions of 16 and 32 filters, each with ReLU and 2 x 2 max pool, and a linear layer",
    ...{ convolutions: true, shrinks: false },
    build([channels = 1, height = 1, width = 1], outputs, generator) {
      const features = 32 * Math.floor(height / 4) * Math.floor(width / 4);
      return new Sequential(
        new Conv2d(channels, 16, 3, { padding: 1, generator }),
        new ReLU(),
        new MaxPool2d(2),
        new Conv2d(16, 32, 3, { padding: 1, generator }),
        new ReLU(),
        new MaxPool2d(2),
        new Flatten(),
        new Linear(features, outputs, { generator }),
      );
    },
  },
  tiny: {
    about: 'one hidden layer of 16 ReLU units, on images at a quarter of their size: small enough for the oracle',
    ...{ convolutions: false, shrinks: true },
    build: layers([16]),
  },
};

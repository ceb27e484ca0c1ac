/** The problems: what is learned context after context, and the network and its steps as published for it (van de Ven). */

import { permutedScenario, type Scenario, type ScenarioKind, splitScenario } from '../../../src/data/scenarios.ts';
import { type Generator, Linear, type Module, ReLU, Sequential, type Tensor } from '../../../src/index.ts';
import { loadData } from '../data.ts';
import type { LabelledImages } from '../images.ts';
import type { ProblemName } from './method.ts';
import type { Digits } from './orders.ts';

interface Problem {
  /** What the report says of it, after the name of the data. */
  readonly about: string;
  /** Widths of the hidden layers. */
  readonly hidden: readonly number[];
  /** Steps of a context. */
  readonly iterations: number;
  /** Of Adam. */
  readonly lr: number;
  readonly contexts: number;
}

export const BATCH = 128;

/** What the data are called where no folder is given. */
export const EMBEDDED = 'embedded digits';

export const PROBLEMS: Readonly<Record<ProblemName, Problem>> = {
  split: {
    about: 'the ten digits come in five contexts of two digits each, one context after the other (split MNIST)',
    ...{ hidden: [400, 400], iterations: 2000, lr: 1e-3, contexts: 5 },
  },
  permuted: {
    about:
      'ten contexts with all ten digits, whose pixels (with a margin of zeros, 32 x 32) are permuted in a way of their own in each (permuted MNIST)',
    ...{ hidden: [1000, 1000], iterations: 5000, lr: 1e-4, contexts: 10 },
  },
};

/** Pixels a side of permuted images, with their margin. */
const PADDED = 32;

/** Pixels are from 0 to 1. `data` is a folder of IDX files; null for the embedded digits. */
export async function openScenario(told: {
  readonly problem: ProblemName;
  readonly scenario: ScenarioKind;
  readonly contexts: number;
  /** Of split. */
  readonly digits: Digits | null;
  readonly data: string | null;
  readonly seed: number;
}): Promise<Scenario> {
  const { train, test } = await loadData(told.data);
  const part = ({ pixels, labels }: LabelledImages) => ({ inputs: pixels, labels });
  const data = { train: part(train), test: part(test), shape: [train.height * train.width], scale: 1 / 255 };
  const { scenario: kind, contexts, digits, seed } = told;
  if (told.problem === 'permuted') return permutedScenario(data, { kind, contexts, seed, pad: PADDED });
  if (digits === null) throw new Error('Split images need an order of digits.');
  return splitScenario(data, { kind, classesPerContext: digits[0]!.length, order: digits.flat() });
}

export type Layer = Module & { forward(x: Tensor): Tensor };

/**
 * Linear layers with ReLU between them, and behind each ReLU what `behind` has for its units. Weights and biases are uniform within
 * 1 / sqrt(inputs), as published.
 */
export function mlp(
  widths: readonly number[],
  generator: Generator,
  behind: (units: number) => readonly Layer[] = () => [],
): Sequential {
  const layers = widths.slice(1).map((width, i) => new Linear(widths[i]!, width, { generator }));
  return new Sequential(
    ...layers.flatMap((layer, i) => (i === 0 ? [layer] : [new ReLU(), ...behind(widths[i]!), layer])),
  );
}

/**
 * Adam for weights that did not all begin at the same step: where some were drawn anew, each divides its means by
 * 1 - beta^(steps of its own), or a newborn's first steps would be too small or far too large.
 */
import { heap } from '../storage/dispatch.ts';
import { tensor } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';

/** What is below this changes nothing when it is taken from 1. */
const negligible = 2 ** -60;

/** 1 - beta^steps by the number of steps, as far as it was asked for; beyond the last entry it is 1. */
const tables = new Map<number, { corrections: number[]; power: number }>();

function correctionsUpTo(beta: number, steps: number): readonly number[] {
  let table = tables.get(beta);
  if (table === undefined) {
    if (tables.size > 64) tables.clear();
    table = { corrections: [0], power: 1 };
    tables.set(beta, table);
  }
  const { corrections } = table;
  while (corrections.length <= steps && table.power >= negligible) {
    table.power *= beta;
    corrections.push(1 - table.power);
  }
  return corrections;
}

/** 1 / (1 - beta^(own steps)) for each element, `restarts` being the step after which it began anew. */
export function ownFactors(beta: number, steps: number, restarts: Tensor): Tensor {
  const table = correctionsUpTo(beta, steps);
  const factors = numbersOf(restarts).map((restart) => 1 / (table[steps - restart] ?? 1));
  return tensor(factors, restarts.shape);
}

export interface RestartedStep {
  /** Addresses of the weights, the gradient, the means, the largest mean square (0: none), and of the restarts. */
  readonly at: { w: number; g: number; m: number; v: number; vMax: number; restarts: number };
  readonly size: number;
  readonly steps: number;
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly decoupled: 0 | 1;
}

/** The kernel `adam` with corrections of each element's own. */
export function adamRestarted({ at, size, steps, lr, betas, eps, weightDecay, decoupled }: RestartedStep): void {
  const { floats } = heap;
  const [beta1, beta2] = betas;
  const [first, second] = [correctionsUpTo(beta1, steps), correctionsUpTo(beta2, steps)];
  for (let i = 0; i < size; i++) {
    let weight = floats[at.w + i]!;
    let slope = floats[at.g + i]!;
    if (decoupled) weight -= lr * weightDecay * weight;
    else slope += weightDecay * weight;
    const mean = beta1 * floats[at.m + i]! + (1 - beta1) * slope;
    let square = beta2 * floats[at.v + i]! + (1 - beta2) * slope * slope;
    floats[at.m + i] = mean;
    floats[at.v + i] = square;
    if (at.vMax !== 0) {
      square = Math.max(floats[at.vMax + i]!, square);
      floats[at.vMax + i] = square;
    }
    const own = steps - floats[at.restarts + i]!;
    const corrected = mean / (first[own] ?? 1);
    floats[at.w + i] = weight - (lr * corrected) / (Math.sqrt(square / (second[own] ?? 1)) + eps);
  }
}

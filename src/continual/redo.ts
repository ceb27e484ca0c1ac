/**
 * ReDo: units that have fallen asleep start anew. A unit's score is its mean |h| over the batch, divided by the mean of that
 * over its layer; it is dormant where the score is at most tau. Every so many steps all dormant units are replaced: incoming
 * weights drawn again, outgoing weights 0. Biases of the next layer stay as they are, and optimizers hear of it.
 * Sokar et al., "The dormant neuron phenomenon in deep reinforcement learning" (ICML 2023).
 */
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { activationsOf, findUnits, type UnitLayer } from '../state/units.ts';
import { given } from '../tensor/given.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Replacement } from './continual-backprop.ts';
import { checkInitialization, drawRows, type Initialization, replaceUnits } from './newborn.ts';
import { timesSpread } from './utility.ts';

export interface ReDoOptions {
  /** tau: a unit with at most this score is dormant, from 0 up; 0.1 unless given. */
  readonly threshold?: number;
  /** Steps from one replacement to the next; 1000 unless given. */
  readonly every?: number;
  /** How incoming weights are drawn; 'kaiming', by the activation that follows, unless given. */
  readonly initialization?: Initialization;
  /** Where new weights come from; the default generator unless given. */
  readonly generator?: Generator;
}

/** Mean |h| of each unit over the mean of all units of its layer; in a layer that is silent throughout, 0. */
export function dormancyScores(layer: UnitLayer, output: Tensor | readonly Tensor[]): Float64Array {
  const { units } = given('dormancyScores(layer, output)', 'a layer and an output', layer);
  const size = new Float64Array(units).fill(1);
  timesSpread(activationsOf(layer, output), units, new Float64Array(units), size);
  const mean = size.reduce((sum, one) => sum + one, 0) / units;
  return size.map((one) => (mean === 0 ? 0 : one / mean));
}

export class ReDo {
  /** The layers of hidden units, from the input on. */
  readonly layers: readonly UnitLayer[];
  /** Steps taken. */
  steps = 0;
  readonly #options: Required<ReDoOptions>;

  /**
   * ReDo over all hidden units that lead to this output (or these, of several heads).
   *
   *     const net = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 2));
   *     const redo = new ReDo(net.forward(zeros([1, 4])), { every: 100 });
   *     redo.step(net.forward(randn([32, 4]))); // []
   */
  constructor(output: Tensor | readonly Tensor[], options: ReDoOptions = {}) {
    this.#options = {
      ...{ threshold: 0.1, every: 1000, initialization: 'kaiming', generator: defaultGenerator },
      ...options,
    };
    const { threshold, every, initialization } = this.#options;
    if (!(threshold >= 0))
      throw new RangeError(`ReDo: threshold is a share of the layer's mean, from 0 up, not ${threshold}.`);
    if (!Number.isInteger(every) || every < 1)
      throw new RangeError(`ReDo: every is a number of steps, an integer from 1 up, not ${every}.`);
    checkInitialization('ReDo', initialization);
    this.layers = findUnits(output);
  }

  /** All that is needed to go on from elsewhere, beside the network and the generator: plain data for a checkpoint. */
  stateDict(): { readonly steps: number } {
    return { steps: this.steps };
  }

  /** Takes over the count of another's steps. What is none is an error that changes nothing. */
  loadStateDict({ steps }: { readonly steps: number }): void {
    if (!Number.isInteger(steps) || steps < 0)
      throw new RangeError(`ReDo.loadStateDict: steps is an integer from 0 up, not ${String(steps)}.`);
    this.steps = steps;
  }

  /** To be called after each optimizer step, with the output that its loss was made of. Says whom it replaced. */
  step(output: Tensor | readonly Tensor[]): readonly Replacement[] {
    const { threshold, every, initialization, generator } = this.#options;
    this.steps += 1;
    if (this.steps % every !== 0) return [];
    const dormant = this.layers.map((layer) =>
      [...dormancyScores(layer, output)].flatMap((score, unit) => (score <= threshold ? [unit] : [])),
    );
    return this.layers.flatMap((layer, index) => {
      const units = dormant[index]!;
      if (units.length > 0) replaceUnits(layer, units, drawRows(layer, index, units, initialization, generator));
      return units.map((unit) => ({ layer: index, unit }));
    });
  }
}

/**
 * Continual backprop: units that have become useless start anew, a few at a time, so that a network goes on learning.
 * Dohare et al., "Loss of plasticity in deep continual learning" (Nature 2024); the measures of use and the bias correction
 * are of Dohare, Sutton and Mahmood, "Continual backprop: stochastic gradient descent with persistent randomness" (2021).
 *
 * A step comes after the optimizer's: activations are those of the forward pass before the update, weights those after it.
 * For every hidden layer:
 *
 *     age += 1     u = decay u + (1 - decay) measure     mean = decay mean + (1 - decay) h     corrected by 1 / (1 - decay^age)
 *
 * then, of the units with age > maturity, a fraction `rate` is due for replacement, the least useful first. All layers
 * choose before any is changed. A new unit's outgoing weights are 0: what it did on average goes to the biases of those
 * who read it, and until it is mature it is safe.
 */
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { writeAt } from '../state/reset.ts';
import { type Activations, activationsOf, columnsOf, findUnits, type UnitLayer } from '../state/units.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { checkInitialization, drawRows, type Initialization, replaceUnits } from './newborn.ts';
import { checkList } from './state.ts';
import { addMeans, factors, overIncoming, timesOutgoing, timesSpread, type Utility } from './utility.ts';

export interface ContinualBackpropOptions {
  /** rho: fraction of the mature units of a layer that are replaced in a step, 0 to 1; 1e-4 unless given. */
  readonly rate?: number;
  /** Only units older than so many steps are replaced; 100 unless given. */
  readonly maturity?: number;
  /** Share of use and mean activation that is kept from step to step, from 0 up and below 1; 0.99 unless given. */
  readonly decay?: number;
  /** What makes a unit useful; 'contribution' unless given. */
  readonly utility?: Utility;
  /**
   * Whether fractions of units add up until one is whole (true unless given). Else each step replaces the whole part of
   * its number; a number below 1 is the probability of one.
   */
  readonly accumulate?: boolean;
  /** Whether `rate` is of the mature units ('mature', unless given) or of all of a layer, as published for convolutions. */
  readonly rateOf?: 'mature' | 'all';
  /** How incoming weights are drawn; 'kaiming', by the activation that follows, unless given. */
  readonly initialization?: Initialization;
  /**
   * Whether the mean of what a replaced unit sent goes to the biases of those who read it (true unless given). In the
   * published code it is cleared before it is used, so that published results are those of false.
   */
  readonly transferMean?: boolean;
  /**
   * Added to the utility of each unit where units are ranked, and nowhere else: what else speaks for keeping a unit. Called when
   * some of a layer are due, with the layer and the (corrected) utilities of its units; returns a number for each unit.
   * None unless given.
   */
  readonly bonus?: UnitBonus | null;
  /** Where lots and new weights come from; the default generator unless given. */
  readonly generator?: Generator;
}

/** Numbers, one for each unit of a layer, that raise its rank; the utilities are for reading. */
export type UnitBonus = (layer: UnitLayer, utility: Float64Array) => ArrayLike<number>;

/** A unit that was replaced: its layer, counted from the input, and its place there. */
export interface Replacement {
  readonly layer: number;
  readonly unit: number;
}

/** What is known of the units of one layer. Everything is as it stands after the last step. */
export interface UnitStatistics {
  /** Steps since each was made. */
  readonly age: Float64Array;
  /** Running mean of the measure, from 0. */
  readonly utility: Float64Array;
  /** Running mean of the activation, from 0. */
  readonly mean: Float64Array;
}

interface State extends UnitStatistics {
  readonly layer: UnitLayer;
  /** decay^age */
  readonly forgotten: Float64Array;
  /** For one step: the measure, mu, and sums of weights. */
  readonly measure: Float64Array;
  readonly centre: Float64Array;
  readonly sums: Float64Array;
  /** Fractions of units that are due. */
  due: number;
}

const nobody: readonly Replacement[] = [];

export class ContinualBackprop {
  /** The layers of hidden units, from the input on. */
  readonly layers: readonly UnitLayer[];
  readonly #options: Required<ContinualBackpropOptions>;
  readonly #states: readonly State[];

  /**
   * Continual backprop over all hidden units that lead to this output (or these, of several heads): of linear layers and
   * convolutions, found in its graph. Options out of range and networks without units that can be found are errors.
   *
   *     const net = new Sequential(new Linear(20, 5), new ReLU(), new Linear(5, 1));
   *     const sgd = new SGD(net.parameters(), { lr: 0.01 });
   *     const continual = new ContinualBackprop(net.forward(zeros([1, 20])), { rate: 0.001 });
   *     const output = net.forward(randn([1, 20]));
   *     sgd.zeroGrad();
   *     output.square().mean().backward();
   *     sgd.step();
   *     continual.step(output); // []
   */
  constructor(output: Tensor | readonly Tensor[], options: ContinualBackpropOptions = {}) {
    this.#options = checked(options);
    this.layers = findUnits(output);
    this.#states = this.layers.map((layer) => {
      const zeros = () => new Float64Array(layer.units);
      const forgotten = zeros().fill(1);
      const scratch = { measure: zeros(), centre: zeros(), sums: zeros() };
      return { layer, age: zeros(), utility: zeros(), mean: zeros(), forgotten, ...scratch, due: 0 };
    });
  }

  /**
   * Takes the activations that led to this output into account, and replaces units that are due. To be called after the
   * optimizer's step, and before the next backward call.
   */
  step(output: Tensor | readonly Tensor[]): readonly Replacement[] {
    const states = this.#states;
    for (let i = 0; i < states.length; i++) this.#observe(states[i]!, activationsOf(states[i]!.layer, output));
    if (this.#options.rate === 0) return nobody;
    let chosen: (readonly number[])[] | null = null;
    for (let i = 0; i < states.length; i++) {
      const count = this.#countDue(states[i]!);
      if (count === 0) continue;
      chosen ??= states.map(() => []);
      chosen[i] = this.#leastUseful(states[i]!, count);
    }
    return chosen === null ? nobody : this.#replace(chosen);
  }

  #observe(state: State, activations: Activations): void {
    const { layer, age, utility, mean, forgotten, measure, centre, sums } = state;
    const { units } = layer;
    const { decay, utility: kind } = this.#options;
    const { outgoing, incoming, activity } = factors[kind];
    const share = 1 - decay;
    for (let u = 0; u < units; u++) {
      age[u]! += 1;
      forgotten[u]! *= decay;
      mean[u]! *= decay;
    }
    addMeans(activations, units, share, mean);
    if (kind === 'zero' || kind === 'random') return;
    measure.fill(1);
    if (activity !== null) {
      if (activity === 'spread') for (let u = 0; u < units; u++) centre[u] = mean[u]! / (1 - forgotten[u]!);
      timesSpread(activations, units, centre, measure);
    }
    if (outgoing) timesOutgoing(layer, sums, measure);
    if (incoming) overIncoming(layer, sums, measure);
    for (let u = 0; u < units; u++) utility[u] = decay * utility[u]! + share * measure[u]!;
  }

  /** How many units are due for replacement. */
  #countDue(state: State): number {
    const { age, layer } = state;
    const { rate, maturity, accumulate, rateOf, generator } = this.#options;
    let mature = 0;
    for (let u = 0; u < layer.units; u++) if (age[u]! > maturity) mature++;
    if (mature === 0) return 0;
    let count = rate * (rateOf === 'all' ? layer.units : mature);
    if (accumulate) {
      count += state.due;
      state.due = count - Math.floor(count);
    } else if (count < 1) count = generator.uniform() < count ? 1 : 0;
    return Math.floor(count);
  }

  /** The mature units of least use, at most so many, least first; of equals the first. */
  #leastUseful({ age, utility, forgotten, layer }: State, count: number): readonly number[] {
    const { maturity, utility: kind, generator, bonus } = this.#options;
    const more = bonus === null ? null : checkedBonus(layer, bonus(layer, corrected(utility, forgotten)));
    const candidates: { unit: number; value: number }[] = [];
    for (let unit = 0; unit < layer.units; unit++)
      if (age[unit]! > maturity) {
        const value = kind === 'random' ? generator.uniform() : utility[unit]! / (1 - forgotten[unit]!);
        // What is not a number of any use is the least.
        candidates.push({ unit, value: Number.isNaN(value) ? -Infinity : value + (more?.[unit] ?? 0) });
      }
    candidates.sort((a, b) => (a.value === b.value ? a.unit - b.unit : a.value - b.value));
    return candidates.slice(0, count).map(({ unit }) => unit);
  }

  #replace(chosen: readonly (readonly number[])[]): readonly Replacement[] {
    const { initialization, generator, transferMean } = this.#options;
    const replaced: Replacement[] = [];
    for (let index = 0; index < chosen.length; index++) {
      const units = chosen[index]!;
      if (units.length === 0) continue;
      const state = this.#states[index]!;
      const rows = drawRows(state.layer, index, units, initialization, generator);
      if (transferMean) transfer(state, units);
      replaceUnits(state.layer, units, rows);
      for (const unit of units) {
        state.age[unit] = state.utility[unit] = state.mean[unit] = 0;
        state.forgotten[unit] = 1;
        replaced.push({ layer: index, unit });
      }
    }
    return replaced;
  }

  /** What is known of the units of a layer, counted from the input; copies. */
  statistics(layer: number): UnitStatistics & { readonly corrected: Float64Array } {
    const state = this.#states[layer];
    if (state === undefined)
      throw new RangeError(`ContinualBackprop: there is no layer ${layer}; there are ${this.#states.length}.`);
    const { age, utility, mean, forgotten } = state;
    return {
      ...{ age: age.slice(), utility: utility.slice(), mean: mean.slice() },
      corrected: corrected(utility, forgotten),
    };
  }

  /** All that is needed to go on from elsewhere, beside the network and the generator: plain data for a checkpoint. */
  stateDict(): ContinualBackpropState {
    return {
      layers: this.#states.map(({ age, utility, mean, forgotten, due }) => ({
        ...{ age: age.slice(), utility: utility.slice(), mean: mean.slice(), forgotten: forgotten.slice(), due },
      })),
    };
  }

  /** Takes over the state of continual backprop over the same units. What does not fit is an error that changes nothing. */
  loadStateDict({ layers }: ContinualBackpropState): void {
    const states = this.#states;
    checkList('ContinualBackprop.loadStateDict', 'layers', layers);
    const fits = layers.length === states.length && layers.every(({ age }, i) => age.length === states[i]!.age.length);
    if (!fits) {
      const show = (sizes: readonly { readonly age: Float64Array }[]) => sizes.map(({ age }) => age.length).join(', ');
      throw new RangeError(
        `ContinualBackprop.loadStateDict: the state is of layers of ${show(layers)} units, these are of ${show(states)}.`,
      );
    }
    states.forEach((state, i) => {
      const saved = layers[i]!;
      for (const name of ['age', 'utility', 'mean', 'forgotten'] as const) state[name].set(saved[name]);
      state.due = saved.due;
    });
  }
}

/** Running means that began at 0, divided by what is not there yet. */
const corrected = (utility: Float64Array, forgotten: Float64Array): Float64Array =>
  utility.map((u, i) => (forgotten[i] === 1 ? 0 : u / (1 - forgotten[i]!)));

function checkedBonus({ units }: UnitLayer, bonus: ArrayLike<number>): ArrayLike<number> {
  let wrong = bonus.length !== units;
  for (let u = 0; u < bonus.length; u++) wrong ||= Number.isNaN(bonus[u]!);
  if (wrong)
    throw new RangeError(
      `ContinualBackprop: bonus must give a number for each of the layer's ${units} units, but it gave ${String(Array.from(bonus))}.`,
    );
  return bonus;
}

export interface ContinualBackpropState {
  readonly layers: readonly (UnitStatistics & { readonly forgotten: Float64Array; readonly due: number })[];
}

/** What replaced units sent on average goes to the biases of those who read them. */
function transfer({ layer, mean, forgotten }: State, units: readonly number[]): void {
  for (const { weight, bias, inner } of layer.outgoing) {
    if (bias === null) continue;
    const [rows, columns] = weight.shape as [number, number];
    const kernel = weight.size / (rows * columns);
    const numbers = numbersOf(weight);
    const before = numbersOf(bias);
    const all = Array.from({ length: rows }, (_, row) => row);
    writeAt(bias, all, (row) => {
      let sum = before[row]!;
      for (const unit of units) {
        const centre = mean[unit]! / (1 - forgotten[unit]!);
        for (const column of columnsOf(unit, layer.units, inner, columns))
          for (let k = 0; k < kernel; k++) sum += centre * numbers[(row * columns + column) * kernel + k]!;
      }
      return sum;
    });
  }
}

function checked(options: ContinualBackpropOptions): Required<ContinualBackpropOptions> {
  const all: Required<ContinualBackpropOptions> = {
    ...{ rate: 1e-4, maturity: 100, decay: 0.99, utility: 'contribution', accumulate: true, rateOf: 'mature' },
    ...{ initialization: 'kaiming', transferMean: true, bonus: null, generator: defaultGenerator },
    ...options,
  };
  const fail = (sentence: string): never => {
    throw new RangeError(`ContinualBackprop: ${sentence}`);
  };
  const { rate, maturity, decay, utility, rateOf, initialization } = all;
  if (!(rate >= 0 && rate <= 1)) fail(`rate is a fraction of units, from 0 to 1, not ${rate}.`);
  if (!(maturity >= 0)) fail(`maturity is a number of steps from 0 up, not ${maturity}.`);
  if (!(decay >= 0 && decay < 1)) fail(`decay is a number from 0 up and below 1, not ${decay}.`);
  if (!Object.hasOwn(factors, utility)) fail(`there is no utility ${utility}. Use ${Object.keys(factors).join(', ')}.`);
  if (rateOf !== 'mature' && rateOf !== 'all') fail(`rateOf is 'mature' or 'all', not ${String(rateOf)}.`);
  checkInitialization('ContinualBackprop', initialization);
  if (all.bonus !== null && typeof all.bonus !== 'function')
    fail(`bonus is a function of a layer and its utilities, or null, not ${typeof all.bonus}.`);
  return all;
}

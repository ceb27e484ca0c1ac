/**
 * Self-normalised resets: a unit that has been silent for longer than its own past makes likely starts anew. What is long for
 * one unit is usual for another, so there is no threshold common to all: with A the lengths of a unit's silences so far
 * (steps between two firings), and a that of the present one, the unit is reset as soon as
 *
 *     P(A >= a) <= eta
 *
 * Farias and Jozefiak, "Self-normalized resets for plasticity in continual learning" (2024). P is the share among all silences
 * since the unit was made, counted in buckets, so memory and time do not grow: lengths up to 31 each have their own, from
 * there on sixteen share an octave. The smallest a that is reached by at most eta of them follows every firing. A unit
 * that has not fired 1 / eta times has no past to speak of and is given a fixed patience instead.
 */
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { activationsOf, findUnits, type UnitLayer } from '../state/units.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import type { Replacement } from './continual-backprop.ts';
import { checkInitialization, drawRows, type Initialization, replaceUnits } from './newborn.ts';

export interface SelfNormalisedResetsOptions {
  /**
   * eta: a silence is too long if at most this share of the unit's silences reached its length, from 0 up and below 1; 0.01
   * unless given. About this share of the silences of a healthy unit end in a reset too. At 0 there is patience alone.
   */
  readonly rejection?: number;
  /** Silent steps after which a unit is reset that has fired fewer than 1 / rejection times, from 1 up; 1000 unless given. */
  readonly patience?: number;
  /** A unit fires in a step if |h| is above this anywhere in the batch, from 0 up; 0 unless given. */
  readonly quiet?: number;
  /** How incoming weights are drawn; 'kaiming', by the activation that follows, unless given. */
  readonly initialization?: Initialization;
  /** Where new weights come from; the default generator unless given. */
  readonly generator?: Generator;
}

/** What is known of the units of one layer, after the last step. */
export interface SilenceStatistics {
  /** Steps of silence up to now. */
  readonly silent: Float64Array;
  /** Firings since each was made. */
  readonly firings: Float64Array;
  /** Silent steps at which each is reset. */
  readonly limit: Float64Array;
}

/** Buckets of lengths: each of 0 to 31, and sixteen an octave up to `longest`. */
const longest = 2 ** 30 - 1;
const buckets = bucketOf(longest) + 1;

function bucketOf(length: number): number {
  const octave = 31 - Math.clz32(length);
  return octave < 4 ? length : 16 * (octave - 3) + ((length >> (octave - 4)) & 15);
}

/** The shortest length of a bucket. */
function lengthOf(bucket: number): number {
  return bucket < 16 ? bucket : (16 + (bucket & 15)) * 2 ** ((bucket >> 4) - 1);
}

interface History {
  readonly layer: UnitLayer;
  readonly silent: Float64Array;
  readonly firings: Float64Array;
  /** [units, buckets]: how many silences of which length. */
  readonly counts: Float64Array;
  /** The first bucket that, with those above it, holds at most eta of a unit's silences; 1 or more. */
  readonly bound: Float64Array;
  /** How many these hold. */
  readonly beyond: Float64Array;
}

const kept = ['silent', 'firings', 'counts', 'bound', 'beyond'] as const;

export class SelfNormalisedResets {
  /** The layers of hidden units, from the input on. */
  readonly layers: readonly UnitLayer[];
  readonly #options: Required<SelfNormalisedResetsOptions>;
  readonly #histories: readonly History[];

  /**
   * Self-normalised resets of all hidden units that lead to this output (or these, of several heads). Options out of range and
   * networks without units that can be found are errors.
   *
   *     const net = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 2));
   *     const resets = new SelfNormalisedResets(net.forward(zeros([1, 4])), { rejection: 0.001 });
   *     resets.step(net.forward(randn([1, 4]))); // []
   */
  constructor(output: Tensor | readonly Tensor[], options: SelfNormalisedResetsOptions = {}) {
    this.#options = {
      ...{ rejection: 0.01, patience: 1000, quiet: 0, initialization: 'kaiming', generator: defaultGenerator },
      ...options,
    };
    const { rejection, patience, quiet, initialization } = this.#options;
    const fail = (sentence: string): never => {
      throw new RangeError(`SelfNormalisedResets: ${sentence}`);
    };
    if (!(rejection >= 0 && rejection < 1))
      fail(`rejection is a share of silences, from 0 up and below 1, not ${rejection}.`);
    if (!(Number.isInteger(patience) && patience >= 1 && patience <= longest))
      fail(`patience is a number of steps, an integer from 1 to ${longest}, not ${patience}.`);
    if (!(quiet >= 0 && quiet < Infinity)) fail(`quiet is a size of activations, a number from 0 up, not ${quiet}.`);
    checkInitialization('SelfNormalisedResets', initialization);
    this.layers = findUnits(output);
    this.#histories = this.layers.map((layer) => {
      const zeros = () => new Float64Array(layer.units);
      const counts = new Float64Array(layer.units * buckets);
      return { layer, silent: zeros(), firings: zeros(), counts, bound: zeros().fill(1), beyond: zeros() };
    });
  }

  /**
   * Takes the activations that led to this output into account, and resets units that have been silent too long: incoming
   * weights drawn again, outgoing ones 0, as are biases and what optimizers keep. To be called after the optimizer's step, and
   * before the next backward call.
   *
   * @returns whom it replaced
   */
  step(output: Tensor | readonly Tensor[]): readonly Replacement[] {
    const chosen = this.#histories.map((history) => this.#observe(history, output));
    const { initialization, generator } = this.#options;
    return this.#histories.flatMap(({ layer }, index) => {
      const units = chosen[index]!;
      if (units.length > 0) replaceUnits(layer, units, drawRows(layer, index, units, initialization, generator));
      return units.map((unit) => ({ layer: index, unit }));
    });
  }

  /** Whom the past of the layer condemns; their histories begin anew. */
  #observe(history: History, output: Tensor | readonly Tensor[]): number[] {
    const { layer, silent, firings, counts, bound, beyond } = history;
    const { units } = layer;
    const { quiet } = this.#options;
    const { tensor, outer, inner } = activationsOf(layer, output);
    const h = numbersOf(tensor);
    const condemned: number[] = [];
    for (let unit = 0; unit < units; unit++) {
      let fires = false;
      for (let o = 0; o < outer && !fires; o++) {
        const first = (o * units + unit) * inner;
        for (let i = first; i < first + inner && !fires; i++) fires = Math.abs(h[i]!) > quiet;
      }
      if (fires) {
        this.#record(history, unit);
        continue;
      }
      silent[unit] = Math.min(silent[unit]! + 1, longest);
      if (silent[unit]! < this.#limitOf(history, unit)) continue;
      condemned.push(unit);
      silent[unit] = firings[unit] = beyond[unit] = 0;
      bound[unit] = 1;
      counts.fill(0, unit * buckets, (unit + 1) * buckets);
    }
    return condemned;
  }

  /** A silence has ended: it is counted, and the bound moves to where the share beyond it is the largest that eta allows. */
  #record({ silent, firings, counts, bound, beyond }: History, unit: number): void {
    const { rejection } = this.#options;
    const bucket = bucketOf(silent[unit]!);
    const first = unit * buckets;
    silent[unit] = 0;
    counts[first + bucket]! += 1;
    firings[unit]! += 1;
    const allowed = rejection * firings[unit]!;
    let at = bound[unit]!;
    let above = beyond[unit]! + (bucket >= at ? 1 : 0);
    while (above > allowed) above -= counts[first + at++]!;
    while (at > 1 && above + counts[first + at - 1]! <= allowed) above += counts[first + --at]!;
    bound[unit] = at;
    beyond[unit] = above;
  }

  #limitOf({ firings, bound }: History, unit: number): number {
    const { rejection, patience } = this.#options;
    return firings[unit]! * rejection >= 1 ? lengthOf(bound[unit]!) : patience;
  }

  /** What is known of the units of a layer, counted from the input; copies. */
  statistics(layer: number): SilenceStatistics {
    const history = this.#histories[layer];
    if (history === undefined)
      throw new RangeError(`SelfNormalisedResets: there is no layer ${layer}; there are ${this.#histories.length}.`);
    const limit = Float64Array.from(history.silent, (_, unit) => this.#limitOf(history, unit));
    return { silent: history.silent.slice(), firings: history.firings.slice(), limit };
  }

  /** All that is needed to go on from elsewhere, beside the network and the generator: plain data for a checkpoint. */
  stateDict(): SelfNormalisedResetsState {
    return {
      layers: this.#histories.map(({ silent, firings, counts, bound, beyond }) => ({
        ...{ silent: silent.slice(), firings: firings.slice(), counts: counts.slice() },
        ...{ bound: bound.slice(), beyond: beyond.slice() },
      })),
    };
  }

  /** Takes over the state of resets of the same units. What does not fit is an error that changes nothing. */
  loadStateDict({ layers }: SelfNormalisedResetsState): void {
    const histories = this.#histories;
    const fits =
      Array.isArray(layers) &&
      layers.length === histories.length &&
      histories.every((history, i) => kept.every((name) => layers[i]?.[name]?.length === history[name].length));
    if (!fits)
      throw new RangeError(
        `SelfNormalisedResets.loadStateDict: the state is not one of layers of ${histories.map(({ layer }) => layer.units).join(', ')} units.`,
      );
    histories.forEach((history, i) => {
      for (const name of kept) history[name].set(layers[i]![name]);
    });
  }
}

export interface SelfNormalisedResetsState {
  readonly layers: readonly Readonly<Record<(typeof kept)[number], Float64Array>>[];
}

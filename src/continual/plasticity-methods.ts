/**
 * Ways to keep a network plastic as methods of a learner, beside those against forgetting: continual backprop, ReDo, shrink and
 * perturb. Units are found in the output of the first step, so any model will do in which they can be found.
 *
 * Plasticity and memory pull in two directions: a unit that does little for the present context may carry an earlier one.
 * `protect` lets continual backprop see what anchors hold.
 */

import { parameter } from '../autograd/leaf.ts';
import { relu } from '../ops/elementwise.ts';
import { linear } from '../ops/matmul.ts';
import { defaultGenerator, type Generator, type GeneratorState } from '../random/generator.ts';
import { placesIn } from '../state/reset.ts';
import { stateOf } from '../state/side-state.ts';
import { columnsOf, type UnitLayer } from '../state/units.ts';
import { ones } from '../tensor/create.ts';
import { given } from '../tensor/given.ts';
import { broadcastShapes, sameShape, showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import {
  ContinualBackprop,
  type ContinualBackpropOptions,
  type ContinualBackpropState,
  type Replacement,
  type UnitBonus,
} from './continual-backprop.ts';
import { type ShrinkAndPerturbOptions, shrinkAndPerturb } from './everyday.ts';
import type { StatefulMethod } from './method.ts';
import { ReDo, type ReDoOptions } from './redo.ts';
import { checkCounted, checkFields, takingGenerator } from './state.ts';

/** State of a method that draws units anew: plain data for a checkpoint. */
export interface ResettingState<State> {
  readonly replaced: number;
  /** null: no step was taken yet. */
  readonly resets: State | null;
  /** Where new weights come from. */
  readonly generator: GeneratorState;
}

/** A method that draws units anew. Of a state that it takes over before its first step, what does not fit the units is an error then. */
export interface ResettingMethod<Resets, State> extends StatefulMethod<ResettingState<State>> {
  /** What does it; null: no step was taken yet. */
  readonly resets: Resets | null;
  /** How many units were replaced so far. */
  readonly replaced: number;
}

interface Resetting<State> {
  step(output: Tensor): readonly Replacement[];
  stateDict(): State;
  loadStateDict(state: State): void;
}

function resetting<Resets extends Resetting<State>, State>(
  name: string,
  generator: Generator,
  make: (output: Tensor) => Resets,
): ResettingMethod<Resets, State> {
  // Options are wrong now, not at the first step: the smallest network that has a unit tells.
  const [row, column] = [parameter(ones([1, 1])), parameter(ones([1, 1]))];
  make(linear(relu(linear(ones([1, 1]), row)), column));
  let resets: Resets | null = null;
  let waiting: State | null = null;
  let replaced = 0;
  return {
    name,
    get resets() {
      return resets;
    },
    get replaced() {
      return replaced;
    },
    stepped({ output }) {
      if (resets === null) {
        const made = make(output);
        if (waiting !== null) made.loadStateDict(waiting);
        resets = made;
      }
      replaced += resets.step(output).length;
    },
    stateDict: () => ({ replaced, resets: resets?.stateDict() ?? waiting, generator: generator.state }),
    loadStateDict(state) {
      const who = `${name}.loadStateDict`;
      checkFields(who, state, ['replaced', 'resets', 'generator']);
      checkCounted(who, 'replaced', state.replaced);
      const commit = takingGenerator(who, generator, state.generator);
      if (state.resets === null) resets = null;
      else resets?.loadStateDict(state.resets);
      commit();
      waiting = state.resets;
      replaced = state.replaced;
    },
  };
}

export interface ContinualBackpropMethodOptions extends Omit<ContinualBackpropOptions, 'bonus'> {
  /**
   * kappa: how much it counts that a unit's weights are held, from 0 up; 0 unless given. Where units are ranked,
   *
   *     utility' = utility + kappa mean(utility) mass / mean(mass)
   *
   * where a unit's mass is the sum of the importance of its incoming weights, its bias and its outgoing weights, and means are
   * over the layer. So at kappa = 1 the mean unit has as much of the one as of the other.
   */
  readonly protect?: number;
  /**
   * The importance of a parameter's weights, of a shape that broadcasts to its; null: of none. Unless given, the sum of the
   * precisions of its anchors. Of a method whose penalty is in the loss: `(w) => method.held(w)?.precision ?? null`.
   */
  readonly importance?: (parameter: Tensor) => Tensor | null;
}

/**
 * Continual backprop (see `ContinualBackprop`) after every step of a learner. Whoever holds something about a unit that is
 * replaced hears of it; with `protect`, units whose weights are held are replaced after others that are as useful.
 *
 *     const methods = [continualBackprop({ rate: 1e-4, maturity: 100, protect: 1 })];
 *     const learner = new ContinualLearner({ model, optimizer, methods });
 */
export function continualBackprop(
  all: ContinualBackpropMethodOptions = {},
): ResettingMethod<ContinualBackprop, ContinualBackpropState> {
  const { protect = 0, importance, ...options } = given('continualBackprop({ rate: 1e-4 })', 'options', all);
  if (!(protect >= 0 && protect < Infinity))
    throw new RangeError(`continualBackprop: protect is a finite number from 0 up, not ${protect}.`);
  if (importance !== undefined && typeof importance !== 'function')
    throw new TypeError(`continualBackprop: importance is a function of a parameter, not ${typeof importance}.`);
  const measured = importance === undefined ? precisionsOf : (w: Tensor) => numbersAt(importance(w), w);
  const bonus: UnitBonus | null = protect === 0 ? null : heldBonus(protect, measured);
  const { generator = defaultGenerator } = options;
  return resetting(
    'continualBackprop',
    generator,
    (output) => new ContinualBackprop(output, { ...options, generator, bonus }),
  );
}

/** ReDo (see `ReDo`) after every step of a learner: every so many steps, dormant units start anew. */
export const redo = (options: ReDoOptions = {}): ResettingMethod<ReDo, { readonly steps: number }> =>
  resetting(
    'redo',
    given('redo({ every: 1000 })', 'options', options).generator ?? defaultGenerator,
    (output) => new ReDo(output, options),
  );

/**
 * Shrink and perturb (see `shrinkAndPerturb`) when a context begins, but the first: of all parameters of the learner.
 *
 *     shrinkPerturb({ shrink: 0.6, noise: 0.01, generator: new Generator(1) }).name; // "shrinkPerturb"
 */
export function shrinkPerturb(
  options: ShrinkAndPerturbOptions = {},
): StatefulMethod<{ readonly generator: GeneratorState }> {
  const { generator = defaultGenerator } = given('shrinkPerturb({ shrink: 0.6 })', 'options', options);
  shrinkAndPerturb([], options);
  const loading = 'shrinkPerturb.loadStateDict';
  return {
    name: 'shrinkPerturb',
    begin({ index }, { parameters }) {
      if (index > 0) shrinkAndPerturb([...parameters.values()], options);
    },
    stateDict: () => ({ generator: generator.state }),
    loadStateDict(state) {
      checkFields(loading, state, ['generator']);
      takingGenerator(loading, generator, state.generator)();
    },
  };
}

/** Importance by element of a parameter; null: there is none. */
type Importance = (parameter: Tensor) => ((element: number) => number) | null;

/** The numbers of a tensor as elements of the parameter see them. */
function numbersAt(x: Tensor | null, { shape }: Tensor): ((element: number) => number) | null {
  if (x === null) return null;
  const who = 'continualBackprop: importance';
  if (!sameShape(broadcastShapes(who, x.shape, shape), shape))
    throw new Error(`${who} of shape ${showShape(x.shape)} does not broadcast to a parameter of ${showShape(shape)}.`);
  const numbers = numbersOf(x);
  const place = placesIn(x, shape);
  return (element) => numbers[place(element)]!;
}

const precisionsOf: Importance = (w) => {
  const each = (stateOf(w)?.anchors ?? []).map(({ precision }) => numbersAt(precision, w)!);
  return each.length === 0 ? null : (element) => each.reduce((sum, at) => sum + at(element), 0);
};

/** The sum of importance over each unit's incoming weights, bias, and outgoing weights. */
function massOf({ units, weight, bias, outgoing }: UnitLayer, importance: Importance): Float64Array {
  const mass = new Float64Array(units);
  for (const incoming of [weight, ...(bias === null ? [] : [bias])]) {
    const at = importance(incoming);
    const width = incoming.size / units;
    if (at !== null) for (let i = 0; i < incoming.size; i++) mass[Math.floor(i / width)]! += at(i);
  }
  for (const { weight: reader, inner } of outgoing) {
    const at = importance(reader);
    if (at === null) continue;
    const [rows, columns] = reader.shape as [number, number];
    const kernel = reader.size / (rows * columns);
    for (let unit = 0; unit < units; unit++)
      for (const column of columnsOf(unit, units, inner, columns))
        for (let row = 0; row < rows; row++)
          for (let k = 0; k < kernel; k++) mass[unit]! += at((row * columns + column) * kernel + k);
  }
  return mass;
}

/** kappa mean(utility) mass / mean(mass). Where no utility is above 0 (by lot, or all alike), 1 stands for their mean. */
function heldBonus(kappa: number, importance: Importance): UnitBonus {
  const meanOf = (numbers: Float64Array): number => {
    const finite = numbers.filter(Number.isFinite);
    return finite.reduce((sum, x) => sum + x, 0) / Math.max(1, finite.length);
  };
  return (layer, utility) => {
    const mass = massOf(layer, importance);
    const mean = meanOf(mass);
    const scale = meanOf(utility) || 1;
    return mass.map((own) => (mean > 0 ? (kappa * scale * own) / mean : 0));
  };
}

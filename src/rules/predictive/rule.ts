/**
 * Predictive coding and prospective configuration: rules for a whole block, in which values move before weights do.
 *
 * Rao & Ballard 1999; Whittington & Bogacz 2017 ("An approximation of the error backpropagation algorithm in a predictive
 * coding network"); Millidge, Tschantz & Buckley 2022 (any graph; fixed predictions); Song et al. 2024 ("Inferring neural
 * activity before plasticity": prospective configuration).
 *
 * Locality: a value moves by its own error and by those of the values that read it, through the ops in between. A weight
 * learns from the error of the value that it predicts and from that op's inputs. Nothing else is read, so news of a
 * target travels one value a sweep.
 */
import type { Block } from '../../autograd/block.ts';
import { registeredOps } from '../../autograd/define.ts';
import { slope } from '../../autograd/message.ts';
import { withRecording } from '../../autograd/modes.ts';
import type { BlockRule } from '../../autograd/rule.ts';
import { energyOf, learned, predict } from './energy.ts';
import { type Place, placesOf } from './places.ts';
import { relaxFor, relaxUntil } from './relax.ts';

export interface PredictiveOptions {
  /**
   * The ops whose outputs relax; all others are functions in between. Default: linear and conv2d. A value that a hard
   * target holds counts as one of them.
   */
  readonly free?: readonly string[];
  /**
   * How firmly a value is held to its prediction: a number for all, or a function of its place among the values of the
   * block (from 0, inputs first) and its op. Default 1. It is measured against the precisions of targets and the scale of
   * losses.
   */
  readonly precision?: number | ((place: number, op: string) => number);
  /** Called after each relaxation with the energy before the first sweep and after each. */
  readonly onEnergy?: (energies: readonly number[]) => void;
}

export interface PredictiveCodingOptions extends PredictiveOptions {
  /** Sweeps of relaxation, a whole number of at least 1. Default 20. */
  readonly steps?: number;
  /** Step size of the values, x -= rate dF/dx. Default 0.1; with fixed predictions 1. */
  readonly rate?: number;
  /**
   * strict: predictions and Jacobians follow the values. fixed-prediction: they, and the messages from outside, stay as
   * the forward pass left them; with rate 1, precision 1 and as many steps as values lie in a row, weights get
   * backpropagation's gradients.
   */
  readonly mode?: 'strict' | 'fixed-prediction';
}

export interface ProspectiveOptions extends PredictiveOptions {
  /** A sweep that lowers the energy by no more than this part of what all have lowered it is the last. Default 1e-3. */
  readonly tolerance?: number;
  /** At most this many sweeps, those that were undone included. Default 100. */
  readonly maxSteps?: number;
  /** Step size of the values at first; halved where the energy would rise. Default 0.5. */
  readonly rate?: number;
}

/** One block rule for every op: what `withRules` and `attachRules` take. */
export type PredictiveRules = { readonly '*': BlockRule };

/**
 * Predictive coding over any graph of ops: everything that is computed under these rules is one block with an energy
 *
 *     F = sum over values 1/2 precision |x - mu|^2 + the energy of what arrives from outside,
 *
 * mu = op(inputs) at current values. A gradient g that arrives counts <g, x - v>, v the value of the forward pass; a target
 * 1/2 p (x - t)^2 (p 1 if nobody stated it); a loss inside the block its own value; a hard target holds its value. The values
 * start at v and take `steps` steps down F, all at once; then every weight, and the data that comes in, gets dF as a
 * gradient. Each call gives a block of its own. Sums over a batch are sums over independent relaxations; but a mean loss
 * over B samples pulls each of them with 1/B of its error: use sums and targets where the size of the pull matters.
 *
 *     const net = new Sequential(new Linear(2, 8), new Tanh(), new Linear(8, 1));
 *     attachRules(net, predictiveCoding({ steps: 10, rate: 0.2 }));
 *     const y = net.forward(tensor([[0, 1], [1, 1]]));
 *     backward(target(y, tensor([[1], [0]]), { precision: Infinity }));
 *     net.parameters()[0].grad.shape; // [8, 2]
 */
export function predictiveCoding(options: PredictiveCodingOptions = {}): PredictiveRules {
  const { mode = 'strict', steps = 20, onEnergy } = options;
  const { rate = mode === 'strict' ? 0.1 : 1 } = options;
  const who = 'predictiveCoding';
  if (mode !== 'strict' && mode !== 'fixed-prediction')
    throw new Error(`${who}: mode is 'strict' or 'fixed-prediction', not ${String(mode)}.`);
  checkCount(who, 'steps', steps);
  checkRate(who, rate);
  const frozen = mode === 'fixed-prediction';
  if (frozen && onEnergy !== undefined)
    throw new Error(
      `${who}: with fixed predictions the values descend no energy, so there is none to show: leave out onEnergy.`,
    );
  const relax = (places: readonly Place[], energies: number[]): void =>
    relaxFor(places, { steps, rate, frozen }, onEnergy === undefined ? null : energies);
  return rulesFor(who, options, { frozen, undo: false, relax });
}

/**
 * Prospective configuration: predictive coding that first relaxes to equilibrium, then learns (Song et al. 2024). A sweep that
 * raises the energy is undone and the rate halved, so the energies never rise.
 *
 *     const net = new Sequential(new Linear(2, 8), new Tanh(), new Linear(8, 1));
 *     const falls = [];
 *     attachRules(net, prospectiveConfiguration({ onEnergy: (energies) => falls.push(energies[0] - energies.at(-1)) }));
 *     backward(target(net.forward(tensor([[0, 1]])), tensor([[1]]), { precision: Infinity }));
 *     falls[0] > 0; // true
 */
export function prospectiveConfiguration(options: ProspectiveOptions = {}): PredictiveRules {
  const { tolerance = 1e-3, maxSteps = 100, rate = 0.5 } = options;
  const who = 'prospectiveConfiguration';
  if (!(tolerance >= 0 && tolerance < 1))
    throw new Error(`${who}: tolerance is a part, from 0 to below 1, not ${tolerance}.`);
  checkCount(who, 'maxSteps', maxSteps);
  checkRate(who, rate);
  const relax = (places: readonly Place[], energies: number[]): void => {
    energies.push(...relaxUntil(places, { tolerance, maxSteps, rate }));
  };
  return rulesFor(who, options, { frozen: false, undo: true, relax });
}

interface Manner {
  readonly frozen: boolean;
  readonly undo: boolean;
  relax(places: readonly Place[], energies: number[]): void;
}

function rulesFor(name: string, options: PredictiveOptions, { frozen, undo, relax }: Manner): PredictiveRules {
  const { free: names = ['linear', 'conv2d'], precision = 1, onEnergy } = options;
  const free = new Set(names);
  for (const op of names)
    if (!registeredOps().has(op))
      throw new Error(
        `${name}: there is no op named ${op} to be free. Names are those of docs/ops.md, such as linear, conv2d.`,
      );
  const precisionAt = typeof precision === 'number' ? () => precision : precision;
  const settle = (block: Block): void => {
    const outgoing = withRecording(false, () => {
      const places = placesOf(block, { free, precision: precisionAt, frozen, undo });
      const energies: number[] = [];
      relax(places, energies);
      predict(places, frozen);
      if (onEnergy !== undefined) {
        if (!undo) energies.push(energyOf(places));
        onEnergy(energies);
      }
      return learned(block, places);
    });
    for (const { node, index, gradient } of outgoing) block.send(node, index, slope(gradient));
  };
  return { '*': { name, surrogate: true, settle } };
}

function checkCount(who: string, option: string, count: number): void {
  if (!Number.isInteger(count) || count < 1)
    throw new Error(`${who}: ${option} is a whole number of sweeps of at least 1, not ${count}.`);
}

function checkRate(who: string, rate: number): void {
  if (!(rate > 0 && rate < Infinity))
    throw new Error(`${who}: rate is the positive step size of the values, not ${rate}.`);
}

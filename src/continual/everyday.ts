/**
 * Short ways to keep a network plastic: shrink and perturb, a pull to the initial weights, an activation without dead sides.
 */

import { Module } from '../nn/module.ts';
import { neg, relu } from '../ops/elementwise.ts';
import { cat } from '../ops/shape.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { type Anchor, anchor } from '../state/anchor.ts';
import { writeAt } from '../state/reset.ts';
import { stateFor } from '../state/side-state.ts';
import { given } from '../tensor/given.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';

export interface ShrinkAndPerturbOptions {
  /** What every weight is multiplied by, 0 to 1; 0.6 unless given. */
  readonly shrink?: number;
  /** Standard deviation of the noise that is added, from 0 up; 0.01 unless given. */
  readonly noise?: number;
  /** Where the noise comes from; the default generator unless given. */
  readonly generator?: Generator;
}

/**
 * w = shrink w + N(0, noise^2) for all weights, at the start of a task: keeps what was learned in the small, and makes
 * the weights as ready to learn as new ones. With shrink = 1 - lr weightDecay after every step it is the per-step form.
 * The weights are not new ones: nobody is told of a reset.
 * Ash and Adams, "On warm-starting neural network training" (NeurIPS 2020).
 *
 *     const w = parameter(tensor([1, -2]));
 *     shrinkAndPerturb([w], { shrink: 0.5, noise: 0 });
 *     w.toArray(); // [0.5, -1]
 */
export function shrinkAndPerturb(parameters: readonly Tensor[], options: ShrinkAndPerturbOptions = {}): void {
  const call = 'shrinkAndPerturb(model.parameters(), { shrink: 0.6, noise: 0.01 })';
  given(call, 'parameters', parameters);
  const { shrink = 0.6, noise = 0.01, generator = defaultGenerator } = given(call, 'options', options);
  if (!(shrink >= 0 && shrink <= 1))
    throw new RangeError(`shrinkAndPerturb: shrink is a factor from 0 to 1, not ${shrink}.`);
  if (!(noise >= 0 && noise < Infinity))
    throw new RangeError(`shrinkAndPerturb: noise is a standard deviation from 0 up, not ${noise}.`);
  for (const parameter of parameters) stateFor('shrinkAndPerturb', parameter);
  for (const parameter of parameters) {
    const before = numbersOf(parameter);
    const added = new Float32Array(parameter.size);
    if (noise > 0) generator.fillNormal(added, 0, noise);
    const all = before.map((_, i) => i);
    writeAt(parameter, all, (i) => shrink * before[i]! + added[i]!);
  }
}

/**
 * Draws all parameters to where they are now, with the penalty strength |w - w0|^2: to be called on a fresh network (L2 init,
 * or regenerative regularization). It is an anchor at each parameter with precision 2 strength. Units and weights that are
 * reset are drawn to where they began.
 * Kumar, Marklund and Van Roy, "Maintaining plasticity in continual learning via regenerative regularization" (2023).
 *
 * @returns the anchors; remove() takes one off
 *
 *     const w = parameter(tensor([1]));
 *     l2Init([w], 0.25, 'explicit');
 *     w.sum().backward();
 *     const sgd = new SGD([w], { lr: 1 });
 *     sgd.step(); // 1 - 1: at first there is no pull
 *     w.grad = tensor([0]);
 *     sgd.step(); // 0 + 0.5 (1 - 0)
 *     w.toArray(); // [0.5]
 */
export function l2Init(
  parameters: readonly Tensor[],
  strength: number,
  step: 'implicit' | 'explicit' = 'implicit',
): Anchor[] {
  given('l2Init(model.parameters(), 0.001)', 'parameters', parameters);
  if (!(strength >= 0 && strength < Infinity))
    throw new RangeError(`l2Init: strength is a finite number from 0 up, not ${strength}.`);
  for (const parameter of parameters) stateFor('l2Init', parameter);
  return parameters.map((parameter) => anchor(parameter, { precision: 2 * strength, step }));
}

/**
 * [relu(x), relu(-x)] along an axis, which doubles: whatever x is, one half of the pair has a gradient.
 * Shang et al., "Understanding and improving convolutional neural networks via concatenated rectified linear units" (ICML
 * 2016); against loss of plasticity: Abbas et al. (2023).
 *
 * @param dim the axis of the features: 1 unless given
 *
 *     crelu(tensor([[1, -2]])).toArray(); // [[1, 0, 0, 2]]
 */
export const crelu = (x: Tensor, dim = 1): Tensor => cat([relu(x), relu(neg(x))], dim);

/** crelu as a layer: the next layer reads twice as many features. */
export class CReLU extends Module {
  readonly dim: number;

  constructor(dim = 1) {
    super();
    if (!Number.isInteger(dim)) throw new RangeError(`CReLU: dim is the number of an axis, not ${dim}.`);
    this.dim = dim;
  }

  override forward(x: Tensor): Tensor {
    return crelu(x, this.dim);
  }
}

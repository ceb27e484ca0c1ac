/** Adam and AdamW; and proximal steps where targets, anchors or gates are. */

import { checkFresh } from '../autograd/inbox.ts';
import { noGrad } from '../autograd/modes.ts';
import type { Node } from '../autograd/node.ts';
import { writeAt } from '../state/reset.ts';
import { settle } from '../storage/context.ts';
import { run } from '../storage/dispatch.ts';
import { address, contiguous, wroteTo } from '../tensor/access.ts';
import { buffer, zeros } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Guide, isDue, readGuides } from './guided.ts';
import { checkNonNegative, Optimizer, type OptimizerParameters, type Slot } from './optimizer.ts';
import { moveGuided, type Tile } from './proximal.ts';
import { addCorrected, correct, correction, correctionsAt } from './restarts.ts';

export interface AdamOptions {
  /** Learning rate: about the size of a step, whatever the gradient's size; 0.001 unless given. */
  lr: number;
  /** Shares of the two running means, of g and of g^2, that are kept from step to step; [0.9, 0.999] unless given. */
  betas: readonly [number, number];
  /** Added to the root of the mean square, against division by 0; 1e-8 unless given. */
  eps: number;
  /** Adam: strength of the L2 penalty, 0 unless given. AdamW: share of the weight that lr times this takes off, 0.01 unless given. */
  weightDecay: number;
  /** Whether the largest mean square so far takes the place of the present one; false unless given. */
  amsgrad: boolean;
}

class AdamSlot implements Slot {
  readonly parameter: Tensor;
  /** Steps that this parameter has taken. */
  steps = 0;
  /** Running mean of the gradient; made, like the other two, at the first step. */
  mean: Tensor | null = null;
  /** Running mean of the gradient's square. */
  meanSquare: Tensor | null = null;
  /** The largest meanSquare so far; only with amsgrad. */
  maxMeanSquare: Tensor | null = null;
  /** After which step each weight began anew; null: none did. */
  restarts: Tensor | null = null;

  constructor(parameter: Tensor) {
    this.parameter = parameter;
  }

  get added(): readonly string[] {
    return ['restarts'];
  }

  restart(elements: Int32Array): void {
    if (this.steps === 0) return;
    this.restarts ??= buffer(zeros(this.parameter.shape));
    writeAt(this.restarts, elements, () => this.steps);
  }
}

function checkAs(name: string): (options: AdamOptions) => void {
  return ({ lr, betas, eps, weightDecay }) => {
    checkNonNegative(name, 'lr', lr);
    checkNonNegative(name, 'eps', eps);
    checkNonNegative(name, 'weightDecay', weightDecay);
    if (!Array.isArray(betas) || betas.length !== 2 || !betas.every((beta) => beta >= 0 && beta < 1)) {
      throw new RangeError(`${name}: betas must be two numbers from 0 up and below 1, but they are ${String(betas)}.`);
    }
  };
}

/** Both optimizers; they differ in how weight decay acts (`decoupled`: beside the gradient, not through it). */
abstract class AdamBase extends Optimizer<AdamOptions, AdamSlot> {
  readonly #name: string;
  readonly #decoupled: 0 | 1;

  constructor(name: string, decoupled: 0 | 1, parameters: OptimizerParameters<AdamOptions>, options: AdamOptions) {
    super(name, parameters, options, checkAs(name), (parameter) => new AdamSlot(parameter));
    this.#name = name;
    this.#decoupled = decoupled;
  }

  override step(): void {
    const decoupled = this.#decoupled;
    const groups = this.groups;
    const guides = readGuides(groups);
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i]!;
      const { slots, lr, betas, eps, weightDecay, amsgrad } = group;
      const beta1 = betas[0];
      const beta2 = betas[1];
      // Nearly always all parameters of a group have taken the same number of steps: one correction serves them all.
      let correctedSteps = 0;
      let correction1 = 0;
      let correction2 = 0;
      for (let j = 0; j < slots.length; j++) {
        const slot = slots[j]!;
        const { parameter } = slot;
        const node = parameter.node as Node | null;
        if (node === null) continue;
        const guide = guides?.get(parameter);
        if (guide !== undefined || node.springs !== null || slot.restarts !== null || !parameter.layout.contiguous) {
          if (isDue(node, guide)) this.#stepGuided(slot, group, node, guide);
          continue;
        }
        const gradient = node.slope;
        if (gradient === null) continue;
        slot.steps += 1;
        if (slot.steps !== correctedSteps) {
          correctedSteps = slot.steps;
          correction1 = correction(beta1, correctedSteps);
          correction2 = correction(beta2, correctedSteps);
        }
        slot.mean ??= buffer(zeros(parameter.shape));
        slot.meanSquare ??= buffer(zeros(parameter.shape));
        if (amsgrad) slot.maxMeanSquare ??= buffer(zeros(parameter.shape));
        const { mean, meanSquare } = slot;
        const n = parameter.size;
        const largest = amsgrad ? slot.maxMeanSquare : null;
        const w = address(parameter);
        const g = address(contiguous(gradient));
        const m = address(mean);
        const v = address(meanSquare);
        const vMax = largest === null ? 0 : address(largest);
        run.adam(w, g, m, v, vMax, n, lr, beta1, beta2, eps, weightDecay, decoupled, correction1, correction2);
        wroteTo(parameter);
        wroteTo(mean);
        wroteTo(meanSquare);
        if (largest !== null) wroteTo(largest);
        settle();
      }
    }
  }

  /** Apart from step: a closure there would slow the plain path down. */
  #stepGuided(slot: AdamSlot, options: AdamOptions, node: Node, guide: Guide | undefined): void {
    noGrad(() => this.#moveGuided(slot, options, node, guide));
  }

  #moveGuided(slot: AdamSlot, options: AdamOptions, node: Node, guide: Guide | undefined): void {
    checkFresh(node);
    const { parameter } = slot;
    const { lr, betas, eps, weightDecay, amsgrad } = options;
    const [beta1, beta2] = betas;
    slot.steps += 1;
    slot.mean ??= buffer(zeros(parameter.shape));
    slot.meanSquare ??= buffer(zeros(parameter.shape));
    if (amsgrad) slot.maxMeanSquare ??= buffer(zeros(parameter.shape));
    const { mean, meanSquare, steps, restarts } = slot;
    const largest = amsgrad ? slot.maxMeanSquare : null;
    const corrections = correctionsAt(steps, betas, restarts);
    const { mean: toMean, root: toRoot, classes } = corrections;
    const kernel = ({ at, n }: Tile, slope: number, rate: number, w: number): void => {
      const vMax = largest === null ? 0 : at[2]!;
      run.fill(w, n, 0);
      run.adam(w, slope, at[0]!, at[1]!, vMax, n, rate, beta1, beta2, eps, 0, 0, toMean.value, toRoot.value);
    };
    const written = largest === null ? [mean, meanSquare] : [mean, meanSquare, largest];
    moveGuided(parameter, node, guide, {
      name: this.#name,
      lr,
      l2: this.#decoupled ? 0 : weightDecay,
      decay: this.#decoupled ? weightDecay : 0,
      unbounded: eps === 0,
      written,
      read: classes === null ? [] : [classes],
      step: classes === null ? (tile, slope, rate) => kernel(tile, slope, rate, tile.force) : null,
      advance(tile, slope, rate) {
        const { at, n, force, stiffness, work } = tile;
        const ofClass = at[written.length]!;
        // Of the kernel only the moments are wanted here.
        kernel(tile, slope, 0, work);
        addCorrected(toMean, ofClass, at[0]!, force, n, work);
        run.sqrt(at[largest === null ? 1 : 2]!, stiffness, n, 0, 0);
        correct(toRoot, ofClass, stiffness, n, work);
        run.scale(stiffness, stiffness, n, 1 / rate, eps / rate);
      },
    });
  }
}

/**
 * m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2; then w -= lr m' / (sqrt(v') + eps), where m' and v' are m and v
 * divided by 1 - beta^steps. Weight decay adds weightDecay w to g.
 * Targets that arrived (precisions p, pulls r), anchors and plasticity make one proximal step of it:
 * w += (r - m') / ((sqrt(v') + eps) / (lr plasticity) + p).
 * Kingma and Ba, "Adam: a method for stochastic optimization" (2015); amsgrad: Reddi, Kale and Kumar (2018).
 *
 *     const optimizer = new Adam(model.parameters(), { lr: 1e-3 });
 */
export class Adam extends AdamBase {
  constructor(parameters: OptimizerParameters<AdamOptions>, options: Partial<AdamOptions> = {}) {
    const defaults: AdamOptions = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, amsgrad: false };
    super('Adam', 0, parameters, { ...defaults, ...options });
  }
}

/**
 * Adam with weight decay of its own: w -= lr weightDecay w before the step, and g stays as it is.
 * Loshchilov and Hutter, "Decoupled weight decay regularization" (2019).
 *
 *     const optimizer = new AdamW(model.parameters(), { lr: 1e-3, weightDecay: 0.01 });
 */
export class AdamW extends AdamBase {
  constructor(parameters: OptimizerParameters<AdamOptions>, options: Partial<AdamOptions> = {}) {
    const defaults: AdamOptions = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01, amsgrad: false };
    super('AdamW', 1, parameters, { ...defaults, ...options });
  }
}

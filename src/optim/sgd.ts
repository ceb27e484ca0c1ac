/** Stochastic gradient descent, with momentum in PyTorch's form; and proximal steps where targets, anchors or gates are. */

import { checkFresh } from '../autograd/inbox.ts';
import { noGrad } from '../autograd/modes.ts';
import type { Node } from '../autograd/node.ts';
import { settle } from '../storage/context.ts';
import { run } from '../storage/dispatch.ts';
import { address, contiguous, wroteTo } from '../tensor/access.ts';
import { buffer, zeros } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Guide, isDue, readGuides } from './guided.ts';
import { checkNonNegative, Optimizer, type OptimizerParameters, type Slot } from './optimizer.ts';
import { moveGuided, type Tile } from './proximal.ts';

export interface SGDOptions {
  /**
   * Learning rate. Infinity: go where the targets that arrived say, all the way; an error where only a gradient says
   * anything.
   */
  lr: number;
  /** Share of the velocity that is kept from step to step; 0 unless given. */
  momentum: number;
  /** Share of the gradient that does not go into the velocity; 0 unless given. */
  dampening: number;
  /** Whether the step looks one velocity ahead (Nesterov); needs momentum, and no dampening. */
  nesterov: boolean;
  /** Strength of the L2 penalty weightDecay / 2 |w|^2; 0 unless given. */
  weightDecay: number;
}

class SGDSlot implements Slot {
  readonly parameter: Tensor;
  /** Made at the first step with momentum. */
  velocity: Tensor | null = null;

  constructor(parameter: Tensor) {
    this.parameter = parameter;
  }
}

function check(options: SGDOptions): void {
  if (options.lr !== Infinity) checkNonNegative('SGD', 'lr', options.lr);
  checkNonNegative('SGD', 'momentum', options.momentum);
  checkNonNegative('SGD', 'weightDecay', options.weightDecay);
  if (!Number.isFinite(options.dampening)) {
    throw new RangeError(`SGD: dampening must be a finite number, but it is ${String(options.dampening)}.`);
  }
  if (options.nesterov && !(options.momentum > 0 && options.dampening === 0)) {
    throw new RangeError(
      `SGD: nesterov needs momentum above 0 and dampening 0, but they are ${options.momentum} and ${options.dampening}.`,
    );
  }
}

/**
 * w -= lr d, where d = g + weightDecay w. With momentum, v = momentum v + (1 - dampening) d (v = d at first), and d becomes
 * v, or d + momentum v with nesterov. Sutskever et al., "On the importance of initialization and momentum" (2013).
 *
 * Targets that arrived (precisions p, pulls r), anchors and plasticity make one proximal step of it:
 * w += (r - d) / (1 / (lr plasticity) + p).
 *
 *     const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
 *     optimizer.zeroGrad();
 *     loss.backward();
 *     optimizer.step();
 */
export class SGD extends Optimizer<SGDOptions, SGDSlot> {
  constructor(parameters: OptimizerParameters<SGDOptions>, options: Partial<SGDOptions> & { lr: number }) {
    const defaults = { momentum: 0, dampening: 0, nesterov: false, weightDecay: 0 };
    super('SGD', parameters, { ...defaults, ...options }, check, (parameter) => new SGDSlot(parameter));
  }

  override step(): void {
    const groups = this.groups;
    const guides = readGuides(groups);
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i]!;
      const { slots, lr, momentum, dampening, weightDecay } = group;
      const nesterov = group.nesterov ? 1 : 0;
      for (let j = 0; j < slots.length; j++) {
        const slot = slots[j]!;
        const { parameter } = slot;
        const node = parameter.node as Node | null;
        if (node === null) continue;
        const guide = guides?.get(parameter);
        if (guide !== undefined || node.springs !== null || lr === Infinity || !parameter.layout.contiguous) {
          if (isDue(node, guide)) this.#stepGuided(slot, group, node, guide);
          continue;
        }
        const gradient = node.slope;
        if (gradient === null) continue;
        let velocity: Tensor | null = null;
        let first = 0;
        if (momentum !== 0) {
          if (slot.velocity === null) {
            slot.velocity = buffer(zeros(parameter.shape));
            first = 1;
          }
          velocity = slot.velocity;
        }
        const w = address(parameter);
        const g = address(contiguous(gradient));
        const v = velocity === null ? 0 : address(velocity);
        run.sgd(w, g, v, parameter.size, lr, momentum, dampening, nesterov, weightDecay, first);
        wroteTo(parameter);
        if (velocity !== null) wroteTo(velocity);
        settle();
      }
    }
  }

  /** Apart from step: a closure there would cost the plain path a tenth of its speed. */
  #stepGuided(slot: SGDSlot, options: SGDOptions, node: Node, guide: Guide | undefined): void {
    noGrad(() => this.#moveGuided(slot, options, node, guide));
  }

  #moveGuided(slot: SGDSlot, options: SGDOptions, node: Node, guide: Guide | undefined): void {
    checkFresh(node);
    const { parameter } = slot;
    const { lr, momentum, dampening, weightDecay } = options;
    const nesterov = options.nesterov ? 1 : 0;
    const first = slot.velocity === null ? 1 : 0;
    if (momentum !== 0) slot.velocity ??= buffer(zeros(parameter.shape));
    const { velocity } = slot;
    const keeps = momentum !== 0 && velocity !== null;
    /** Takes rate d from what stands in `force`. */
    const take = ({ at, n, force }: Tile, slope: number, rate: number): void =>
      run.sgd(force, slope, keeps ? at[0]! : 0, n, rate, momentum, dampening, nesterov, 0, first);
    moveGuided(parameter, node, guide, {
      name: 'SGD',
      lr,
      l2: weightDecay,
      decay: 0,
      unbounded: lr === Infinity,
      written: keeps ? [velocity] : [],
      read: [],
      step(tile, slope, rate) {
        run.fill(tile.force, tile.n, 0);
        take(tile, slope, rate);
      },
      advance(tile, slope, rate) {
        take(tile, slope, 1);
        run.fill(tile.stiffness, tile.n, 1 / rate);
      },
    });
  }
}

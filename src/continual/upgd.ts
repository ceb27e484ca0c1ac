/**
 * UPGD: gradient descent that protects useful weights and shakes useless ones. With U a running mean of -g w (what the loss
 * would lose, to first order, without the weight), corrected for its start at 0, and M the largest over all weights,
 *
 *     S = sigmoid(U / M)     w = (1 - lr weightDecay) w - lr (g + noise) (1 - S)     noise ~ N(0, sigma^2)
 *
 * Elsayed and Mahmood, "Addressing loss of plasticity and catastrophic forgetting in continual learning" (ICLR 2024), the first-order
 * form that is global. Where the published code divides the corrected U by an M that is not (`published`), all weights of some
 * use are protected fully at first. Where no weight is of use (M is not above 0), dividing by M would turn the order round;
 * here |U| at its largest takes its place.
 */
import { readGuides } from '../optim/guided.ts';
import { checkNonNegative, Optimizer, type OptimizerParameters, type Slot } from '../optim/optimizer.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { writeAt } from '../state/reset.ts';
import { buffer, zeros } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';

export interface UPGDOptions {
  /** Learning rate; 0.01 unless given. */
  lr: number;
  /** Share of the use that is kept from step to step, from 0 up and below 1; 0.999 unless given. */
  decay: number;
  /** Standard deviation of the noise that is added to gradients; 0.001 unless given. */
  sigma: number;
  /** Share of a weight that lr times this takes off; 0 unless given. */
  weightDecay: number;
}

class UPGDSlot implements Slot {
  readonly parameter: Tensor;
  steps = 0;
  /** Running mean of -g w, from 0. Of a weight that was drawn anew it is 0: neither protected nor let go. */
  readonly use: Tensor;

  constructor(parameter: Tensor) {
    this.parameter = parameter;
    this.use = buffer(zeros(parameter.shape));
  }
}

function check({ lr, decay, sigma, weightDecay }: UPGDOptions): void {
  checkNonNegative('UPGD', 'lr', lr);
  checkNonNegative('UPGD', 'sigma', sigma);
  checkNonNegative('UPGD', 'weightDecay', weightDecay);
  if (!(decay >= 0 && decay < 1))
    throw new RangeError(`UPGD: decay must be a number from 0 up and below 1, but it is ${decay}.`);
}

/**
 * Utility-based perturbed gradient descent, see above. It is told of gradients only: a parameter with an anchor, plasticity or a
 * target that arrived is an error.
 *
 *     const upgd = new UPGD(model.parameters(), { lr: 0.01, sigma: 0.001 });
 *     loss.backward();
 *     upgd.step();
 */
export class UPGD extends Optimizer<UPGDOptions, UPGDSlot> {
  readonly #generator: Generator;
  readonly #published: boolean;

  constructor(
    parameters: OptimizerParameters<UPGDOptions>,
    options: Partial<UPGDOptions> = {},
    { generator = defaultGenerator, published = false }: { generator?: Generator; published?: boolean } = {},
  ) {
    const defaults: UPGDOptions = { lr: 0.01, decay: 0.999, sigma: 0.001, weightDecay: 0 };
    super('UPGD', parameters, { ...defaults, ...options }, check, (parameter) => new UPGDSlot(parameter));
    this.#generator = generator;
    this.#published = published;
  }

  override step(): void {
    refuseGuides('UPGD', this.groups);
    const moves: {
      slot: UPGDSlot;
      g: ArrayLike<number>;
      use: ArrayLike<number>;
      options: UPGDOptions;
      rest: number;
    }[] = [];
    let [largest, furthest] = [-Infinity, 0];
    for (const options of this.groups)
      for (const slot of options.slots) {
        const { parameter } = slot;
        const { grad } = parameter;
        if (grad === null) continue;
        const { decay } = options;
        slot.steps += 1;
        const rest = 1 - decay ** slot.steps;
        const [g, w, use] = [grad, parameter, slot.use].map(numbersOf) as [Float32Array, Float32Array, Float32Array];
        for (let i = 0; i < w.length; i++) {
          use[i] = decay * use[i]! - (1 - decay) * g[i]! * w[i]!;
          const measured = this.#published ? use[i]! : use[i]! / rest;
          largest = Math.max(largest, measured);
          furthest = Math.max(furthest, Math.abs(measured));
        }
        moves.push({ slot, g, use, options, rest });
      }
    const scale = this.#published || largest > 0 ? largest : furthest;
    for (const { slot, g, use, options, rest } of moves) {
      const { parameter } = slot;
      const { lr, sigma, weightDecay } = options;
      const noise = new Float32Array(g.length);
      if (sigma > 0) this.#generator.fillNormal(noise, 0, sigma);
      const w = numbersOf(parameter);
      const all = w.map((_, i) => i);
      writeAt(slot.use, all, (i) => use[i]!);
      writeAt(parameter, all, (i) => {
        const ratio = scale === 0 ? 0 : use[i]! / rest / scale;
        const open = 1 - 1 / (1 + Math.exp(-ratio));
        return w[i]! * (1 - lr * weightDecay) - lr * (g[i]! + noise[i]!) * open;
      });
    }
  }
}

/** An optimizer that is told of gradients alone must not pass over what guides a parameter besides. */
export function refuseGuides(name: string, groups: readonly { readonly slots: readonly Slot[] }[]): void {
  const guides = readGuides(groups);
  for (const { slots } of groups)
    for (const { parameter } of slots) {
      const guide = guides?.get(parameter);
      if (guide === undefined && !parameter.node?.springs) continue;
      throw new Error(
        `${name}: the parameter of shape ${showShape(parameter.shape)} has an anchor, plasticity or a target, which ${name} does not ` +
          'hear. Take it off, or use SGD, Adam or AdamW.',
      );
    }
}

/**
 * Adam as the published code of continual backprop steps it, to reproduce its results; for anything else take Adam.
 *
 * Every weight counts its own steps t, from 0 again where it was drawn anew. Of the two corrections only one is made, and
 * that by another formula than Kingma and Ba's (the code computes the usual one and drops it):
 *
 *     m = beta1 m + (1 - beta1) g     v = beta2 v + (1 - beta2) g^2     w -= lr (1 - beta2^t) m / (sqrt(v) + eps)
 *
 * so steps are small at first, and reach Adam's size after some 1 / (1 - beta2) of them.
 */
import { checkNonNegative, Optimizer, type OptimizerParameters, type Slot } from '../optim/optimizer.ts';
import { withData } from '../tensor/access.ts';
import { buffer, zeros } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { refuseGuides } from './upgd.ts';

export interface PublishedAdamOptions {
  /** Learning rate; 0.001 unless given. */
  lr: number;
  /** Shares of the two running means that are kept from step to step; [0.9, 0.999] unless given. */
  betas: readonly [number, number];
  /** Added to the root of the mean square; 1e-8 unless given. */
  eps: number;
}

class PublishedSlot implements Slot {
  readonly parameter: Tensor;
  readonly mean: Tensor;
  readonly meanSquare: Tensor;
  /** Steps of each weight's own. What is 0 after a reset starts anew: nothing else is to be done then. */
  readonly steps: Tensor;

  constructor(parameter: Tensor) {
    this.parameter = parameter;
    this.mean = buffer(zeros(parameter.shape));
    this.meanSquare = buffer(zeros(parameter.shape));
    this.steps = buffer(zeros(parameter.shape));
  }
}

function check({ lr, betas, eps }: PublishedAdamOptions): void {
  checkNonNegative('PublishedAdam', 'lr', lr);
  checkNonNegative('PublishedAdam', 'eps', eps);
  if (!Array.isArray(betas) || betas.length !== 2 || !betas.every((beta) => beta >= 0 && beta < 1))
    throw new RangeError(
      `PublishedAdam: betas must be two numbers from 0 up and below 1, but they are ${String(betas)}.`,
    );
}

/**
 * Adam with the published code's correction, see above. It is told of gradients only: a parameter with an anchor, plasticity
 * or a target that arrived is an error.
 *
 *     const published = new PublishedAdam(model.parameters(), { lr: 1e-4 });
 *     published.step();
 */
export class PublishedAdam extends Optimizer<PublishedAdamOptions, PublishedSlot> {
  constructor(parameters: OptimizerParameters<PublishedAdamOptions>, options: Partial<PublishedAdamOptions> = {}) {
    const defaults: PublishedAdamOptions = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8 };
    super('PublishedAdam', parameters, { ...defaults, ...options }, check, (parameter) => new PublishedSlot(parameter));
  }

  override step(): void {
    refuseGuides('PublishedAdam', this.groups);
    for (const { slots, lr, betas, eps } of this.groups)
      for (const { parameter, mean, meanSquare, steps } of slots) {
        const { grad } = parameter;
        if (grad === null) continue;
        const [beta1, beta2] = betas;
        const g = numbersOf(grad);
        const [m, v, t] = [mean, meanSquare, steps].map(numbersOf) as [Float32Array, Float32Array, Float32Array];
        const write = (x: Tensor, numbers: Float32Array) => withData(x, (view) => view.set(numbers), { write: true });
        for (let i = 0; i < g.length; i++) {
          m[i] = beta1 * m[i]! + (1 - beta1) * g[i]!;
          v[i] = beta2 * v[i]! + (1 - beta2) * g[i]! * g[i]!;
          t[i]! += 1;
        }
        write(mean, m);
        write(meanSquare, v);
        write(steps, t);
        withData(
          parameter,
          (w) => {
            for (let i = 0; i < w.length; i++) w[i]! -= (lr * (1 - beta2 ** t[i]!) * m[i]!) / (Math.sqrt(v[i]!) + eps);
          },
          { write: true },
        );
      }
  }
}

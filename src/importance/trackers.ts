/**
 * What the way of a weight through training says of its importance: PathIntegral counts how much of the fall of the loss each
 * weight's own movement brought, from its gradient and its actual step; RiemannianWalk measures the same, stretch by stretch,
 * against how far the network's answers moved.
 *
 * What a tracker keeps are copies in arrays of its own: nothing aliases a live weight, nothing grows with the number of
 * steps. Where weights are drawn anew (state/reset.ts) it forgets what the old ones did. It does not keep parameters alive,
 * nor they it. A step of all weights costs a few passes over arrays.
 */
import { onResetWhile } from '../state/reset.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { aroundSteps, entry, type NamedParameters, reading, type Steps, watched } from './steps.ts';

interface Walked {
  readonly parameter: Tensor;
  /** Value and gradient before the step. */
  readonly value: Float32Array;
  readonly gradient: Float32Array;
  /** Whether a gradient was there. */
  moved: boolean;
  readonly start: Float32Array;
  readonly path: Float64Array;
}

/**
 * The path integral of each weight: the sum over steps of -g (w after - w before), which is how much of the loss's fall its
 * own movement brought, to first order. g is the gradient before the step and of the task alone; the step is the one that was
 * made, by whatever optimizer, decay and penalties included. Zenke, Poole and Ganguli, "Continual learning through synaptic
 * intelligence" (2017), equation 3.
 *
 *     const optimizer = new SGD(model.parameters(), { lr: 0.1 });
 *     const path = new PathIntegral(model.namedParameters());
 *     const detach = path.attach(optimizer);
 *     model.forward(x).square().mean().backward();
 *     optimizer.step();
 *     detach();
 *     path.of('0.weight').path.length; // 3136
 *
 * By hand, where .grad is not the task's gradient alone: `before(gradients)` before the optimizer's step, `after()` after it.
 */
export class PathIntegral {
  readonly #walked: ReadonlyMap<string, Walked>;
  #pending = false;

  constructor(parameters: NamedParameters) {
    const walked = new Map<string, Walked>();
    for (const [name, parameter] of watched('PathIntegral', parameters)) {
      const { size } = parameter;
      const one: Walked = {
        parameter,
        value: new Float32Array(size),
        gradient: new Float32Array(size),
        moved: false,
        start: Float32Array.from(numbersOf(parameter)),
        path: new Float64Array(size),
      };
      walked.set(name, one);
      onResetWhile(parameter, one, forgetWalk);
    }
    this.#walked = walked;
  }

  get names(): readonly string[] {
    return [...this.#walked.keys()];
  }

  /**
   * Notes values and gradients, before the optimizer's step.
   *
   * @param gradients of the task's loss by name, where they are not each parameter's .grad; a name that is missing has none
   */
  before(gradients?: ReadonlyMap<string, Tensor>): void {
    for (const [name, one] of this.#walked) {
      const gradient = gradients === undefined ? one.parameter.grad : (gradients.get(name) ?? null);
      if (gradient !== null && !sameShape(gradient.shape, one.parameter.shape))
        throw new RangeError(
          `PathIntegral.before: the gradient of ${name} has shape ${showShape(gradient.shape)}, the parameter ` +
            `${showShape(one.parameter.shape)}. They must be equal.`,
        );
      one.moved = gradient !== null;
      // Without a gradient nothing is brought by the step.
      if (gradient === null) continue;
      reading(gradient, (numbers) => one.gradient.set(numbers));
      reading(one.parameter, (numbers) => one.value.set(numbers));
    }
    this.#pending = true;
  }

  /** Adds what the step brought, after the optimizer's step. */
  after(): void {
    if (!this.#pending)
      throw new Error('PathIntegral.after: nothing was noted before this step. Call before() ahead of the optimizer.');
    this.#pending = false;
    for (const { parameter, value, gradient, moved, path } of this.#walked.values())
      if (moved)
        reading(parameter, (w) => {
          for (let i = 0; i < path.length; i++) path[i]! -= gradient[i]! * (w[i]! - value[i]!);
        });
  }

  /** Watches each step of an optimizer, reading .grad. @returns a function that stops it */
  attach(optimizer: Steps): () => void {
    return aroundSteps(optimizer, { before: () => this.before(), after: () => this.after() });
  }

  /** The integral so far and the values that it began at, row-major: the arrays themselves, for reading. */
  of(name: string): { readonly path: Float64Array; readonly start: Float32Array } {
    return entry('PathIntegral', this.#walked, name);
  }

  /** Begins anew, at the present values. */
  reset(): void {
    this.#pending = false;
    for (const { parameter, start, path } of this.#walked.values()) {
      path.fill(0);
      reading(parameter, (w) => start.set(w));
    }
  }
}

/** Weights that were drawn anew have walked nowhere, and a step in which that happened is none of theirs. */
function forgetWalk({ parameter, value, start, path }: Walked, elements: Int32Array): void {
  reading(parameter, (w) => {
    for (const i of elements) {
      start[i] = value[i] = w[i]!;
      path[i] = 0;
    }
  });
}

export interface RiemannianWalkOptions {
  /** Steps of a stretch, after which its score is added and the next begins; 10 unless given. */
  readonly every?: number;
  /** Share of the newest squared gradient in the running Fisher information, above 0 up to 1; 0.9 unless given. */
  readonly alpha?: number;
  /** What is added to the distance, so that a weight which did not move divides by no zero; 2^-23 unless given. */
  readonly damping?: number;
}

interface Scored {
  readonly parameter: Tensor;
  readonly fisher: Float64Array;
  readonly score: Float64Array;
  /** Whether a gradient has come. */
  begun: boolean;
}

/**
 * The score of each weight along its way: over stretches of some steps, the fall of the loss that its movement brought, as
 * PathIntegral counts it and never below 0 for a stretch, divided by how far the answers moved, 1/2 F (w after - w before)^2
 * + damping. F is a running mean of squared gradients of batches, the first of them at first. Chaudhry et al., "Riemannian
 * walk for incremental learning: understanding forgetting and intransigence" (2018).
 *
 *     const walk = new RiemannianWalk(model.namedParameters(), { every: 1 });
 *     loss.backward();
 *     walk.before();
 *     optimizer.step();
 *     walk.after();
 *     walk.of('0.weight').score.length; // 3136
 */
export class RiemannianWalk {
  readonly #path: PathIntegral;
  readonly #scored: ReadonlyMap<string, Scored>;
  readonly #options: Required<RiemannianWalkOptions>;
  #steps = 0;

  constructor(parameters: NamedParameters, options: RiemannianWalkOptions = {}) {
    const { every = 10, alpha = 0.9, damping = 2 ** -23 } = options;
    if (!Number.isInteger(every) || every < 1)
      throw new RangeError(`RiemannianWalk: every is a number of steps from 1 up, not ${String(every)}.`);
    if (!(alpha > 0 && alpha <= 1))
      throw new RangeError(`RiemannianWalk: alpha must be a number above 0 and up to 1, but it is ${String(alpha)}.`);
    if (!(damping > 0 && damping < Infinity))
      throw new RangeError(`RiemannianWalk: damping must be a finite number above 0, but it is ${String(damping)}.`);
    this.#options = { every, alpha, damping };
    const named = watched('RiemannianWalk', parameters);
    this.#path = new PathIntegral(named);
    const scored = new Map<string, Scored>();
    for (const [name, parameter] of named) {
      const { size } = parameter;
      const one: Scored = { parameter, fisher: new Float64Array(size), score: new Float64Array(size), begun: false };
      scored.set(name, one);
      onResetWhile(parameter, one, ({ fisher, score }, elements) => {
        for (const i of elements) fisher[i] = score[i] = 0;
      });
    }
    this.#scored = scored;
  }

  get names(): readonly string[] {
    return this.#path.names;
  }

  /** Before the optimizer's step; see PathIntegral.before. */
  before(gradients?: ReadonlyMap<string, Tensor>): void {
    this.#path.before(gradients);
    for (const [name, one] of this.#scored) {
      const { parameter, fisher } = one;
      const gradient = gradients === undefined ? parameter.grad : (gradients.get(name) ?? null);
      if (gradient === null) continue;
      const share = one.begun ? this.#options.alpha : 1;
      one.begun = true;
      reading(gradient, (g) => {
        for (let i = 0; i < fisher.length; i++) fisher[i] = (1 - share) * fisher[i]! + share * g[i]! * g[i]!;
      });
    }
  }

  /** After the optimizer's step. */
  after(): void {
    this.#path.after();
    this.#steps++;
    if (this.#steps % this.#options.every === 0) this.#endStretch();
  }

  #endStretch(): void {
    const { damping } = this.#options;
    for (const [name, { parameter, fisher, score }] of this.#scored) {
      const { path, start } = this.#path.of(name);
      reading(parameter, (w) => {
        for (let i = 0; i < score.length; i++) {
          const away = w[i]! - start[i]!;
          if (path[i]! > 0) score[i]! += path[i]! / (0.5 * fisher[i]! * away * away + damping);
        }
      });
    }
    this.#path.reset();
  }

  /** Watches each step of an optimizer, reading .grad. @returns a function that stops it */
  attach(optimizer: Steps): () => void {
    return aroundSteps(optimizer, { before: () => this.before(), after: () => this.after() });
  }

  /** Running Fisher information and score of the stretches that ended, row-major: the arrays themselves, for reading. */
  of(name: string): { readonly fisher: Float64Array; readonly score: Float64Array } {
    return entry('RiemannianWalk', this.#scored, name);
  }

  /** Begins anew, at the present values. */
  reset(): void {
    this.#path.reset();
    this.#steps = 0;
    for (const one of this.#scored.values()) {
      one.fisher.fill(0);
      one.score.fill(0);
      one.begun = false;
    }
  }
}

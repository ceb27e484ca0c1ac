/**
 * What the way of a weight through training says of its importance: PathIntegral counts how much of the fall of the loss each
 * weight's own movement brought, from its gradient and its actual step; RiemannianWalk measures the same, stretch by stretch,
 * against how far the network's answers moved.
 *
 * Both watch any training. The mathematics is that of trail.ts, which the methods `si` and `rwalk` share. A step is worked out in float32
 * by kernels; sums over many steps are taken in double precision, piece by piece, so that a long training loses nothing to rounding.
 *
 * What a tracker keeps are copies: nothing aliases a live weight, nothing grows with the number of steps. Where weights are drawn
 * anew (state/reset.ts) it forgets what the old ones did. A step of all weights costs a few passes over them.
 */
import { onResetWhile } from '../state/reset.ts';
import { buffer, zeros } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { overwrite } from './passes.ts';
import { aroundSteps, entry, type NamedParameters, reading, type Steps, watched, withNumbers } from './steps.ts';
import { addScores, RunningSquares, Trail } from './trail.ts';

interface Walked {
  /** Its path is that of the present piece. */
  readonly trail: Trail;
  /** A copy of the gradient before the step. */
  readonly gradient: Tensor;
  /** Whether a gradient was there. */
  moved: boolean;
  /** Of the pieces that have ended. */
  readonly path: Float64Array;
}

/**
 * Steps of a piece. Measured against sums in double precision throughout (508 weights, 20,000 steps of Adam) the integral differs by 1e-8
 * of itself in the median and keeps its order; as one sum in float32 it differs by 2e-6, and neighbours change places.
 */
const piece = 64;

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
  /** Of the present piece. */
  #steps = 0;

  constructor(parameters: NamedParameters) {
    const walked = new Map<string, Walked>();
    for (const [name, parameter] of watched('PathIntegral', parameters)) {
      const one: Walked = {
        trail: new Trail(parameter),
        gradient: buffer(zeros(parameter.shape)),
        moved: false,
        path: new Float64Array(parameter.size),
      };
      walked.set(name, one);
      // The trail hears by itself.
      onResetWhile(parameter, one, ({ path }, elements) => {
        for (const i of elements) path[i] = 0;
      });
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
      const { parameter, before } = one.trail;
      const gradient = gradientOf('PathIntegral', name, parameter, gradients);
      one.moved = gradient !== null;
      // Without a gradient nothing is brought by the step.
      if (gradient === null) continue;
      overwrite(one.gradient, gradient);
      before.note();
    }
    this.#pending = true;
  }

  /** Adds what the step brought, after the optimizer's step. */
  after(): void {
    if (!this.#pending)
      throw new Error('PathIntegral.after: nothing was noted before this step. Call before() ahead of the optimizer.');
    this.#pending = false;
    for (const { trail, gradient, moved } of this.#walked.values()) if (moved) trail.follow(gradient);
    if (++this.#steps < piece) return;
    this.#steps = 0;
    for (const { trail, path } of this.#walked.values())
      withNumbers([trail.path], [trail.path], (brought) => {
        for (let i = 0; i < path.length; i++) path[i]! += brought[i]!;
        brought.fill(0);
      });
  }

  /** Watches each step of an optimizer, reading .grad. @returns a function that stops it */
  attach(optimizer: Steps): () => void {
    return aroundSteps(optimizer, { before: () => this.before(), after: () => this.after() });
  }

  /** The integral so far and the values that it began at, row-major; copies. */
  of(name: string): { readonly path: Float64Array; readonly start: Float32Array } {
    const { trail, path } = entry('PathIntegral', this.#walked, name);
    const brought = numbersOf(trail.path);
    return { path: path.map((sum, i) => sum + brought[i]!), start: Float32Array.from(numbersOf(trail.start)) };
  }

  /** Begins anew, at the present values. */
  reset(): void {
    this.#pending = false;
    this.#steps = 0;
    for (const { trail, path } of this.#walked.values()) {
      trail.begin();
      path.fill(0);
    }
  }
}

/** A parameter's gradient, given by name or its .grad; null: it has none. */
function gradientOf(
  who: string,
  name: string,
  { grad, shape }: Tensor,
  gradients: ReadonlyMap<string, Tensor> | undefined,
): Tensor | null {
  const gradient = gradients === undefined ? grad : (gradients.get(name) ?? null);
  if (gradient !== null && !sameShape(gradient.shape, shape))
    throw new RangeError(
      `${who}.before: the gradient of ${name} has shape ${showShape(gradient.shape)}, the parameter ` +
        `${showShape(shape)}. They must be equal.`,
    );
  return gradient;
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
  readonly squares: RunningSquares;
  readonly score: Float64Array;
}

/**
 * The score of each weight along its way: over stretches of some steps, the fall of the loss that its movement brought, as
 * PathIntegral counts it and never below 0 for a stretch, divided by how far the answers moved, 1/2 F (w after - w before)^2
 * + damping. F is a running mean of squared gradients of batches, the first of them at first; it is kept in float32. Chaudhry et al., "Riemannian
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
  readonly #every: number;
  readonly #damping: number;
  #steps = 0;

  constructor(parameters: NamedParameters, options: RiemannianWalkOptions = {}) {
    const { every = 10, alpha = 0.9, damping = 2 ** -23 } = options;
    if (!Number.isInteger(every) || every < 1)
      throw new RangeError(`RiemannianWalk: every is a number of steps from 1 up, not ${String(every)}.`);
    if (!(alpha > 0 && alpha <= 1))
      throw new RangeError(`RiemannianWalk: alpha must be a number above 0 and up to 1, but it is ${String(alpha)}.`);
    if (!(damping > 0 && damping < Infinity))
      throw new RangeError(`RiemannianWalk: damping must be a finite number above 0, but it is ${String(damping)}.`);
    [this.#every, this.#damping] = [every, damping];
    const named = watched('RiemannianWalk', parameters);
    this.#path = new PathIntegral(named);
    const scored = new Map<string, Scored>();
    for (const [name, parameter] of named) {
      const one: Scored = {
        parameter,
        squares: new RunningSquares(parameter, alpha),
        score: new Float64Array(parameter.size),
      };
      scored.set(name, one);
      onResetWhile(parameter, one, ({ score }, elements) => {
        for (const i of elements) score[i] = 0;
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
    for (const [name, { parameter, squares }] of this.#scored) {
      const gradient = gradientOf('RiemannianWalk', name, parameter, gradients);
      if (gradient !== null) squares.add(gradient);
    }
  }

  /** After the optimizer's step. */
  after(): void {
    this.#path.after();
    this.#steps++;
    if (this.#steps % this.#every === 0) this.#endStretch();
  }

  #endStretch(): void {
    for (const [name, { parameter, squares, score }] of this.#scored) {
      const { path: fall, start: from } = this.#path.of(name);
      reading(parameter, (to) => addScores(score, { fall, fisher: numbersOf(squares.mean), from, to }, this.#damping));
    }
    this.#path.reset();
  }

  /** Watches each step of an optimizer, reading .grad. @returns a function that stops it */
  attach(optimizer: Steps): () => void {
    return aroundSteps(optimizer, { before: () => this.before(), after: () => this.after() });
  }

  /** Running Fisher information and score of the stretches that ended, row-major; copies. */
  of(name: string): { readonly fisher: Float64Array; readonly score: Float64Array } {
    const { squares, score } = entry('RiemannianWalk', this.#scored, name);
    return { fisher: Float64Array.from(numbersOf(squares.mean)), score: score.slice() };
  }

  /** Begins anew, at the present values. */
  reset(): void {
    this.#path.reset();
    this.#steps = 0;
    for (const { squares, score } of this.#scored.values()) {
      squares.begin();
      score.fill(0);
    }
  }
}

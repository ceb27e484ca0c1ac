/**
 * Selective backpropagation: weights in which the network is confident change less.
 *
 * As published, every weight has a confidence C and every layer a counter K of right answers; after each backward pass
 *
 *     K += correct / N     C = alpha C + (1 - alpha) |G| (1 - gamma K / N)     W -= lr G (1 - C) (1 - 0.1 K / max(epoch, 1))
 *
 * Its author names its limit: confidence comes after the gradients, so the backward pass itself does not know it. There
 * are more: |G| is large where a weight still has to move, C has no bound (above 1 the step climbs), and K is the same for
 * all weights. The form that is the default here keeps the idea and mends these: importance is a running mean of g^2,
 * normalised within each parameter to a confidence from 0 to 1; the gate max(floor, (1 - C)(1 - gamma K)) acts on the
 * update, after the optimizer's moments, and within the backward pass (`rules`), where errors are led away from confident
 * weights. What is read in a step is the confidence of before it, measured on gradients that no gate of the weight changed.
 */
import { noGrad } from '../autograd/modes.ts';
import { add, maximum, mul, sub } from '../ops/binary.ts';
import { abs, clamp } from '../ops/elementwise.ts';
import { copy_ } from '../ops/inplace.ts';
import { leafGate, observe, plasticity } from '../state/gate.ts';
import { forget, keep } from '../state/side-state.ts';
import { full, tensor, zeros } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { edgeGate } from './edge-gate.ts';

/** How the network did on the batch of this step. */
export interface Answers {
  /** Right answers. */
  readonly correct: number;
  /** Answers. */
  readonly total: number;
  /** Number of the epoch, from 0; only the published form asks for it, where an epoch is one step on all examples. */
  readonly epoch?: number;
}

export interface PublishedOptions {
  readonly published: true;
  readonly lr: number;
  /** Share of the old confidence that is kept; 0.9 unless given. */
  readonly alpha?: number;
  /** By how much right answers damp confidence; 0.1 unless given. */
  readonly gamma?: number;
}

export interface SelectiveOptions {
  readonly published?: false;
  /** Moves the parameters: any optimizer of this library over (at least) them. */
  readonly optimizer: { step(): void };
  /** Share of the mean of g^2 that is kept from one backward call to the next; 0.99 unless given. */
  readonly decay?: number;
  /** By how much the share of right answers closes all gates; 0.1 unless given. */
  readonly gamma?: number;
  /** What every gate lets pass at least, 0 to 1; 0 unless given. */
  readonly floor?: number;
  /**
   * How importance F becomes confidence within a parameter: 'fraction', F / (F + eps) where eps is a quantile of F (the
   * default), or 'rank', the share of weights with less.
   */
  readonly measure?: 'fraction' | 'rank';
  /** Which quantile eps is: there confidence is 1/2; 0.5 unless given. */
  readonly quantile?: number;
  /** Steps after which confidence is worked out anew (it needs a sort); 20 unless given. */
  readonly every?: number;
  /** Whether weights are protected as they learn; false: only by what `consolidate` has kept. true unless given. */
  readonly online?: boolean;
  /** Where gates stand, besides `rules`: 'update' (the default), 'leaf', or 'none'. */
  readonly place?: 'update' | 'leaf' | 'none';
}

/** What is known of one parameter. */
interface Known {
  readonly parameter: Tensor;
  /** C in force: for the published form unbounded, else 0 to 1. */
  readonly confidence: Tensor;
  /** Only of the form with gates. */
  readonly gates: Gated | null;
}

interface Gated {
  /** Running mean of g^2, started at 0. */
  readonly importance: Tensor;
  /** The confidence that `consolidate` kept. */
  readonly kept: Tensor;
  /** What passes: max(floor, (1 - C)(1 - gamma K)). */
  readonly gate: Tensor;
}

export class SelectiveBackpropagation {
  readonly #options: PublishedOptions | SelectiveOptions;
  readonly #known = new Map<Tensor, Known>();
  readonly #removals: (() => void)[] = [];
  /** Published: K, a sum of accuracies. Else: right answers so far. */
  #counter = 0;
  #answers = 0;
  #steps = 0;

  /**
   * Selective backpropagation over these parameters. With `published: true` it is an optimizer of its own (give it weights
   * only to do as the original does); else it guides the optimizer that it is given.
   *
   *     const optimizer = new Adam(model.parameters(), { lr: 1e-3 });
   *     const selective = new SelectiveBackpropagation(model.parameters(), { optimizer });
   *     const remove = attachRules(model, selective.rules);
   *     optimizer.zeroGrad();
   *     model.forward(x).square().mean().backward();
   *     selective.step({ correct: 60, total: 64 }); // steps the optimizer, too
   */
  constructor(parameters: readonly Tensor[], options: PublishedOptions | SelectiveOptions) {
    checkOptions(options);
    this.#options = options;
    try {
      for (const parameter of parameters) this.#add(parameter, options);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  #add(parameter: Tensor, options: PublishedOptions | SelectiveOptions): void {
    const { shape } = parameter;
    const start = options.published === true ? full(shape, 0.5) : zeros(shape);
    const confidence = this.#keep(parameter, 'confidence', start);
    const gates = options.published === true ? null : this.#gated(parameter, options);
    this.#known.set(parameter, { parameter, confidence, gates });
  }

  #keep(parameter: Tensor, name: string, value: Tensor): Tensor {
    const copy = keep(parameter, `selective.${name}`, value);
    this.#removals.push(() => forget(parameter, `selective.${name}`));
    return copy;
  }

  #gated(parameter: Tensor, { place = 'update', decay = 0.99 }: SelectiveOptions): Gated {
    const { shape } = parameter;
    const gated: Gated = {
      importance: this.#keep(parameter, 'importance', zeros(shape)),
      kept: this.#keep(parameter, 'kept', zeros(shape)),
      gate: this.#keep(parameter, 'gate', full(shape, 1)),
    };
    const watch = observe(parameter, (message) => {
      const g = message.gradient();
      noGrad(() => copy_(gated.importance, add(mul(gated.importance, decay), mul(mul(g, g), 1 - decay))));
    });
    this.#removals.push(watch);
    if (place === 'update') this.#removals.push(plasticity(parameter, gated.gate));
    if (place === 'leaf') this.#removals.push(leafGate(parameter, gated.gate));
    return gated;
  }

  /** Edge gates for attachRules: linear and conv2d send their errors through gated weights. */
  readonly rules = edgeGate((weight) => this.#known.get(weight)?.gates?.gate ?? 1);

  /** Steps taken by all that is confident less: to be called after backward, in place of the optimizer's step. */
  step({ correct, total, epoch }: Answers): void {
    if (!(total > 0 && correct >= 0 && correct <= total))
      throw new Error(
        `SelectiveBackpropagation: of ${total} answers ${correct} cannot be right. Give counts of this batch: 0 <= correct <= total.`,
      );
    const options = this.#options;
    if (options.published === true) {
      this.#counter += correct / total;
      this.#stepPublished(options, total, epoch);
      return;
    }
    options.optimizer.step();
    this.#counter += correct;
    this.#answers += total;
    const { every = 20 } = options;
    if (++this.#steps % every === 0) this.#refresh(options);
  }

  #stepPublished({ lr, alpha = 0.9, gamma = 0.1 }: PublishedOptions, total: number, epoch: number | undefined): void {
    if (epoch === undefined)
      throw new Error(
        'SelectiveBackpropagation: the published step divides by the number of the epoch. Give it: epoch.',
      );
    const damped = 1 - (gamma * this.#counter) / total;
    const slowed = 1 - (0.1 * this.#counter) / Math.max(epoch, 1);
    for (const { parameter, confidence } of this.#known.values()) {
      const g = parameter.grad;
      if (g === null) continue;
      noGrad(() => {
        copy_(confidence, add(mul(confidence, tensor(alpha)), mul(abs(g), tensor((1 - alpha) * damped))));
        const factor = mul(sub(1, confidence), tensor(lr * slowed));
        copy_(parameter, sub(parameter, mul(g, factor)));
      });
    }
  }

  /** Works confidence and gates out anew. */
  #refresh(options: SelectiveOptions): void {
    const { gamma = 0.1, floor = 0, online = true } = options;
    const right = this.#answers === 0 ? 0 : this.#counter / this.#answers;
    for (const { confidence, gates } of this.#known.values())
      noGrad(() => {
        const { kept, gate } = gates!;
        copy_(confidence, online ? maximum(kept, confidenceOf(gates!, options)) : kept);
        copy_(gate, clamp(mul(sub(1, confidence), tensor(1 - gamma * right)), floor, 1));
      });
  }

  /**
   * Keeps the confidence of now for good (of each weight the largest so far), and measures importance anew from here on: to
   * be called where a task ends.
   */
  consolidate(): void {
    const options = this.#options;
    if (options.published === true)
      throw new Error('SelectiveBackpropagation: the published form has nothing to consolidate.');
    for (const { gates } of this.#known.values()) {
      noGrad(() => copy_(gates!.kept, maximum(gates!.kept, confidenceOf(gates!, options))));
      noGrad(() => copy_(gates!.importance, 0));
    }
    this.#refresh(options);
  }

  /** C of a parameter, as the next step will read it. */
  confidence(parameter: Tensor): Tensor {
    const known = this.#known.get(parameter);
    if (known === undefined)
      throw new Error(
        `SelectiveBackpropagation: the parameter of shape ${showShape(parameter.shape)} is none of those it was given.`,
      );
    return known.confidence;
  }

  /** Takes off all gates, observers and what was kept. Rules that were attached are removed by who attached them. */
  remove(): void {
    for (const removal of this.#removals.splice(0)) removal();
  }
}

/**
 * Importance, normalised to 0 to 1 within its parameter: the scale of gradients falls out, and with it what a running mean
 * that began at 0 still lacks. What nothing was observed of has confidence 0. */
function confidenceOf({ importance }: Gated, { measure = 'fraction', quantile = 0.5 }: SelectiveOptions) {
  const values = numbersOf(importance);
  const sorted = values.slice().sort();
  if (measure === 'fraction') {
    const eps = sorted[Math.round(quantile * (sorted.length - 1))]!;
    return tensor(
      values.map((f) => (f === 0 ? 0 : f / (f + eps))),
      importance.shape,
    );
  }
  return tensor(
    values.map((f) => below(sorted, f) / Math.max(1, sorted.length - 1)),
    importance.shape,
  );
}

/** How many entries of a sorted array are less than x. */
function below(sorted: ArrayLike<number>, x: number): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (sorted[middle]! < x) from = middle + 1;
    else to = middle;
  }
  return from;
}

function checkOptions(options: PublishedOptions | SelectiveOptions): void {
  const shares: [string, number | undefined][] =
    options.published === true
      ? [['alpha', options.alpha]]
      : [
          ['decay', options.decay],
          ['gamma', options.gamma],
          ['floor', options.floor],
          ['quantile', options.quantile],
        ];
  for (const [name, value] of shares)
    if (value !== undefined && !(value >= 0 && value <= 1))
      throw new RangeError(`SelectiveBackpropagation: ${name} must be a number from 0 to 1, but it is ${value}.`);
  if (options.published === true) return;
  if (typeof options.optimizer?.step !== 'function')
    throw new TypeError(
      'SelectiveBackpropagation: give it the optimizer that it shall guide, or published: true and a learning rate.',
    );
  const { every = 20 } = options;
  if (!Number.isInteger(every) || every < 1)
    throw new RangeError(`SelectiveBackpropagation: every must be an integer from 1 up, but it is ${every}.`);
}

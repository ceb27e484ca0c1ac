/**
 * Removal: other numbers in the place of weights, and the old ones back, bit for bit.
 *
 * What stands for a removed weight is drawn once, so that curves over thresholds are nested: what goes at a threshold has
 * gone the same way at a higher one. Replacing is no reset (state/reset.ts): the weights come back, and nobody is told.
 */
import { noGrad } from '../autograd/modes.ts';
import { calculateFans } from '../nn/init.ts';
import { copy_ } from '../ops/inplace.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { withData } from '../tensor/access.ts';
import { tensor } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { checkOneOf } from './aggregate.ts';
import { checkThreshold, type Direction, type Ranked, type Ranking } from './ranking.ts';

/**
 * What takes a removed weight's place: a small number, N(0, s^2) with s a tenth of the standard deviation of its parameter
 * (as published); 0; the mean of its parameter; a number as the layer would begin with, U(+-1 / sqrt(fan-in)), norms 1 and 0;
 * or numbers that are given by the name of the parameter (those of before a task, say).
 */
export type WeightReplacement = 'noise' | 'zero' | 'mean' | 'initial' | Readonly<Record<string, Tensor>>;

const named = ['noise', 'zero', 'mean', 'initial'] as const;

export interface RemovalOptions {
  /** 'noise' unless given. */
  readonly replacement?: WeightReplacement | undefined;
  /** For noise and new numbers; the default generator unless given. */
  readonly generator?: Generator | undefined;
}

/** What was removed. */
export interface Removed {
  /** The fraction that was asked for. */
  readonly threshold: number;
  /** The fraction that was achieved, of the weights that take part. */
  readonly fraction: number;
  /** Weights removed. */
  readonly count: number;
}

interface Held extends Ranked {
  readonly kept: Float32Array | Float64Array;
  readonly replacement: ArrayLike<number>;
}

/**
 * Removes weights of a model by rank, and puts them back.
 *
 *     const net = new Sequential(new Linear(2, 1, { bias: false }));
 *     const removal = new Removal(rank(net, new Map([['0.weight', tensor([[5, 7]])]])), { replacement: 'zero' });
 *     removal.to(0.5).fraction; // 0.5
 *     net.at(0).weight.toArray()[0][0]; // 0
 *     removal.restore();
 */
export class Removal {
  readonly ranking: Ranking;
  readonly #held: readonly Held[];

  constructor(ranking: Ranking, options: RemovalOptions = {}) {
    const { replacement = 'noise', generator = defaultGenerator } = options;
    if (typeof replacement === 'string') checkOneOf('Removal', 'replacement', replacement, named);
    this.ranking = ranking;
    const fans = new Map(
      ranking.parameters.map(({ layer, kind, parameter }) => [kind === 'kernel' ? layer : null, parameter]),
    );
    this.#held = ranking.parameters.map((ranked) => {
      const kept = numbersOf(ranked.parameter);
      return {
        ...ranked,
        kept,
        replacement: replacementFor(ranked, kept, replacement, fans.get(ranked.layer), generator),
      };
    });
  }

  /** Replaces the least (or most) important fraction of the weights; all others are as they were at the start. */
  to(threshold: number, from: Direction = 'least'): Removed {
    checkThreshold('Removal.to', threshold);
    const { ranking } = this;
    const gone = ranking.removed(threshold, from);
    const isGone = new Uint8Array(ranking.size);
    for (let i = 0; i < gone.length; i++) isGone[gone[i]!] = 1;
    for (const { parameter, offset, kept, replacement } of this.#held) {
      const numbers = kept.slice();
      for (let i = 0; i < numbers.length; i++) if (isGone[offset + i] === 1) numbers[i] = replacement[i]!;
      writeNumbers(parameter, numbers);
    }
    return { threshold, count: gone.length, fraction: ranking.size === 0 ? 0 : gone.length / ranking.size };
  }

  /** Which elements of each parameter that takes part go at a threshold, 1 where one does. */
  mask(threshold: number, from: Direction = 'least'): Map<string, Uint8Array> {
    const all = new Uint8Array(this.ranking.size);
    for (const i of this.ranking.removed(threshold, from)) all[i] = 1;
    return new Map(this.#held.map(({ name, offset, kept }) => [name, all.slice(offset, offset + kept.length)]));
  }

  /** All weights as they were when this was made. */
  restore(): void {
    for (const { parameter, kept } of this.#held) writeNumbers(parameter, kept);
  }
}

/** Writes all numbers of a parameter, row-major. */
export function writeNumbers(parameter: Tensor, numbers: Float32Array | Float64Array): void {
  if (parameter.layout.contiguous) withData(parameter, (view) => view.set(numbers), { write: true });
  else noGrad(() => copy_(parameter, tensor(numbers, parameter.shape)));
}

function replacementFor(
  { name, parameter, kind }: Ranked,
  kept: Float32Array | Float64Array,
  replacement: WeightReplacement,
  kernel: Tensor | undefined,
  generator: Generator,
): ArrayLike<number> {
  const out = new Float32Array(kept.length);
  if (typeof replacement !== 'string') return given(name, parameter, replacement);
  if (replacement === 'zero') return out;
  const [mean, deviation] = momentsOf(kept);
  if (replacement !== 'initial' && !Number.isFinite(deviation))
    throw new RangeError(
      `Removal: ${name} holds NaN or infinity, so it has no mean and no deviation. Replace by zero, or by numbers that are given.`,
    );
  if (replacement === 'mean') return out.fill(mean);
  if (replacement === 'noise') {
    generator.fillNormal(out, 0, deviation / 10);
    return out;
  }
  if (kind === 'norm') return out.fill(/(^|\.)bias$/.test(name) ? 0 : 1);
  // A bias begins with the fan-in of its kernel; one that has none beside it begins at 0.
  const source = kind === 'kernel' ? parameter : kernel;
  if (source === undefined) return out;
  const bound = 1 / Math.sqrt(calculateFans(source.shape).fanIn);
  generator.fillUniform(out, -bound, bound);
  return out;
}

/** Mean and standard deviation of all numbers. */
function momentsOf(numbers: ArrayLike<number>): [mean: number, deviation: number] {
  let [sum, squares] = [0, 0];
  for (let i = 0; i < numbers.length; i++) sum += numbers[i]!;
  const mean = sum / numbers.length;
  for (let i = 0; i < numbers.length; i++) squares += (numbers[i]! - mean) ** 2;
  return [mean, Math.sqrt(squares / numbers.length)];
}

function given(name: string, parameter: Tensor, values: Readonly<Record<string, Tensor>>): ArrayLike<number> {
  const value = values[name];
  if (value === undefined)
    throw new RangeError(
      `Removal: the replacement has no numbers for ${name}. Give a tensor for each parameter that takes part.`,
    );
  if (!sameShape(value.shape, parameter.shape))
    throw new RangeError(
      `Removal: the replacement of ${name} has shape ${showShape(value.shape)}, the parameter ${showShape(parameter.shape)}.`,
    );
  return numbersOf(value);
}

/**
 * Continual backprop weight by weight: single weights of little use are drawn anew. A weight's use is a running mean of
 * |g w|, about what the loss would change by if it were 0; only those older than the maturity are replaced, the least useful
 * first. It suits small networks, whose few units are too much to lose at once.
 * After Hernandez-Garcia et al., "Reinitializing weights vs units for maintaining plasticity in neural networks" (2025).
 */
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { onReset, reset } from '../state/reset.ts';
import { stateFor } from '../state/side-state.ts';
import { showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';

export interface WeightResetOptions {
  /** Fraction of a parameter's mature weights that are drawn anew in a step, 0 to 1; fractions add up. 1e-4 unless given. */
  readonly rate?: number;
  /** Only weights older than so many steps; 100 unless given. */
  readonly maturity?: number;
  /** Share of the use that is kept from step to step, from 0 up and below 1; 0.99 unless given. */
  readonly decay?: number;
  /**
   * The new numbers for so many weights of a parameter. Unless given, U(+-1 / sqrt(fanIn)) for weights of two or more axes,
   * the default of Linear and Conv2d, and 0 for others.
   */
  readonly draw?: (parameter: Tensor, count: number) => ArrayLike<number>;
  /** Where new weights come from; the default generator unless given. */
  readonly generator?: Generator;
}

interface Known {
  readonly parameter: Tensor;
  readonly use: Float64Array;
  readonly age: Float64Array;
  due: number;
}

export class WeightReset {
  readonly #options: Required<WeightResetOptions>;
  readonly #known: readonly Known[];
  readonly #removals: readonly (() => void)[];

  /**
   * Selective resets of single weights of these parameters.
   *
   *     const resets = new WeightReset(model.parameters(), { rate: 1e-3 });
   *     loss.backward();
   *     optimizer.step();
   *     resets.step(); // 0
   */
  constructor(parameters: readonly Tensor[], options: WeightResetOptions = {}) {
    const generator = options.generator ?? defaultGenerator;
    const drawDefault = ({ shape, size }: Tensor, count: number): Float32Array => {
      const out = new Float32Array(count);
      if (shape.length < 2) return out;
      const bound = 1 / Math.sqrt(size / shape[0]!);
      generator.fillUniform(out, -bound, bound);
      return out;
    };
    this.#options = { rate: 1e-4, maturity: 100, decay: 0.99, draw: drawDefault, generator, ...options };
    const { rate, maturity, decay } = this.#options;
    const fail = (sentence: string): never => {
      throw new RangeError(`WeightReset: ${sentence}`);
    };
    if (!(rate >= 0 && rate <= 1)) fail(`rate is a fraction of weights, from 0 to 1, not ${rate}.`);
    if (!(maturity >= 0)) fail(`maturity is a number of steps from 0 up, not ${maturity}.`);
    if (!(decay >= 0 && decay < 1)) fail(`decay is a number from 0 up and below 1, not ${decay}.`);
    for (const parameter of parameters) stateFor('WeightReset', parameter);
    this.#known = parameters.map((parameter) => {
      const [use, age] = [new Float64Array(parameter.size), new Float64Array(parameter.size)];
      return { parameter, use, age, due: 0 };
    });
    // Whoever draws weights anew, they are young here too.
    this.#removals = this.#known.map(({ parameter, use, age }) =>
      onReset(parameter, (elements) => {
        for (const element of elements) use[element] = age[element] = 0;
      }),
    );
  }

  /**
   * To be called after the optimizer's step, while the gradients of it are there; a parameter without one is left alone.
   *
   * @returns how many weights were drawn anew
   */
  step(): number {
    const { decay } = this.#options;
    let count = 0;
    for (const known of this.#known) {
      const { parameter, use, age } = known;
      const { grad } = parameter;
      if (grad === null) continue;
      const [g, w] = [numbersOf(grad), numbersOf(parameter)];
      for (let i = 0; i < w.length; i++) {
        use[i] = decay * use[i]! + (1 - decay) * Math.abs(g[i]! * w[i]!);
        age[i]! += 1;
      }
      count += this.#replace(known);
    }
    return count;
  }

  #replace(known: Known): number {
    const { parameter, use, age } = known;
    const { rate, maturity, decay, draw } = this.#options;
    const mature: { element: number; value: number }[] = [];
    for (let element = 0; element < age.length; element++)
      if (age[element]! > maturity) {
        // A mean that began at 0 is too small by this.
        const value = use[element]! / (1 - decay ** age[element]!);
        mature.push({ element, value: Number.isNaN(value) ? -Infinity : value });
      }
    known.due += rate * mature.length;
    const count = Math.min(Math.floor(known.due), mature.length);
    known.due -= count;
    if (count === 0) return 0;
    mature.sort((a, b) => (a.value === b.value ? a.element - b.element : a.value - b.value));
    const index = mature.slice(0, count).map(({ element }) => element);
    reset(parameter, { index }, draw(parameter, count));
    return count;
  }

  /** Use, corrected, and age of each weight of a parameter, row-major. */
  statistics(parameter: Tensor): { readonly use: Float64Array; readonly age: Float64Array } {
    const known = this.#known.find((one) => one.parameter === parameter);
    if (known === undefined)
      throw new Error(
        `WeightReset: the parameter of shape ${showShape(parameter.shape)} is none of those it was given.`,
      );
    const { decay } = this.#options;
    const use = known.use.map((one, i) => (known.age[i] === 0 ? 0 : one / (1 - decay ** known.age[i]!)));
    return { use, age: known.age.slice() };
  }

  /** Stops listening to resets of others. */
  remove(): void {
    for (const removal of this.#removals) removal();
  }
}

/**
 * Continual backprop weight by weight: single weights of little use are drawn anew. A weight's use is a running mean of
 * |g w|, about what the loss would change by if it were 0; only those older than the maturity are replaced, the least useful
 * first. It suits small networks, whose few units are too much to lose at once.
 * After Hernandez-Garcia et al., "Reinitializing weights vs units for maintaining plasticity in neural networks" (2025).
 */
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { onReset, reset } from '../state/reset.ts';
import { stateFor } from '../state/side-state.ts';
import { given } from '../tensor/given.ts';
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
   * Steps from one replacement to the next, in which fractions add up; 1 unless given. To find the least useful weights takes
   * several times as long as a step of the rest.
   */
  readonly every?: number;
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
  #steps = 0;

  /**
   * Selective resets of single weights of these parameters.
   *
   *     const resets = new WeightReset(model.parameters(), { rate: 1e-3 });
   *     loss.backward();
   *     optimizer.step();
   *     resets.step(); // 0
   */
  constructor(parameters: readonly Tensor[], options: WeightResetOptions = {}) {
    const call = 'new WeightReset(model.parameters(), { rate: 1e-4 })';
    given(call, 'parameters', parameters);
    const generator = given(call, 'options', options).generator ?? defaultGenerator;
    const drawDefault = ({ shape, size }: Tensor, count: number): Float32Array => {
      const out = new Float32Array(count);
      if (shape.length < 2) return out;
      const bound = 1 / Math.sqrt(size / shape[0]!);
      generator.fillUniform(out, -bound, bound);
      return out;
    };
    this.#options = { rate: 1e-4, maturity: 100, decay: 0.99, every: 1, draw: drawDefault, generator, ...options };
    const { rate, maturity, decay, every } = this.#options;
    const fail = (sentence: string): never => {
      throw new RangeError(`WeightReset: ${sentence}`);
    };
    if (!(rate >= 0 && rate <= 1)) fail(`rate is a fraction of weights, from 0 to 1, not ${rate}.`);
    if (!(maturity >= 0)) fail(`maturity is a number of steps from 0 up, not ${maturity}.`);
    if (!(decay >= 0 && decay < 1)) fail(`decay is a number from 0 up and below 1, not ${decay}.`);
    if (!Number.isInteger(every) || every < 1) fail(`every is a number of steps, an integer from 1 up, not ${every}.`);
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
    const { decay, rate, maturity, every } = this.#options;
    this.#steps += 1;
    let count = 0;
    for (const known of this.#known) {
      const { parameter, use, age } = known;
      const { grad } = parameter;
      if (grad === null) continue;
      const [g, w] = [numbersOf(grad), numbersOf(parameter)];
      let mature = 0;
      for (let i = 0; i < w.length; i++) {
        use[i] = decay * use[i]! + (1 - decay) * Math.abs(g[i]! * w[i]!);
        age[i]! += 1;
        if (age[i]! > maturity) mature++;
      }
      known.due += rate * mature;
      if (this.#steps % every === 0) count += this.#replace(known, mature);
    }
    return count;
  }

  #replace(known: Known, mature: number): number {
    const { parameter, use, age } = known;
    const { maturity, decay, draw } = this.#options;
    const count = Math.min(Math.floor(known.due), mature);
    known.due -= count;
    if (count === 0) return 0;
    const elements = new Int32Array(mature);
    const values = new Float64Array(mature);
    // From this age on the correction rounds to 1, and powers are dear.
    const settled = -54 * (Math.LN2 / Math.log(decay)) + 1;
    for (let element = 0, i = 0; element < age.length; element++) {
      if (age[element]! <= maturity) continue;
      // A mean that began at 0 is too small by this.
      const value = age[element]! > settled ? use[element]! : use[element]! / (1 - decay ** age[element]!);
      elements[i] = element;
      values[i++] = Number.isNaN(value) ? -Infinity : value;
    }
    const index = least(values, count).map((i) => elements[i]!);
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

  /** All that is needed to go on from elsewhere, beside the parameters and the generator: plain data for a checkpoint. */
  stateDict(): WeightResetState {
    const parameters = this.#known.map(({ use, age, due }) => ({ use: use.slice(), age: age.slice(), due }));
    return { steps: this.#steps, parameters };
  }

  /** Takes over the state of resets of parameters of the same sizes. What does not fit is an error that changes nothing. */
  loadStateDict({ steps, parameters }: WeightResetState): void {
    const known = this.#known;
    const fits =
      Number.isInteger(steps) &&
      Array.isArray(parameters) &&
      parameters.length === known.length &&
      known.every(({ use }, i) => {
        const { use: savedUse, age, due } = parameters[i] ?? {};
        return savedUse?.length === use.length && age?.length === use.length && due >= 0;
      });
    if (!fits)
      throw new RangeError(
        `WeightReset.loadStateDict: the state is not one of parameters of ${known.map(({ use }) => use.length).join(', ')} weights.`,
      );
    this.#steps = steps;
    known.forEach((one, i) => {
      const { use, age, due } = parameters[i]!;
      one.use.set(use);
      one.age.set(age);
      one.due = due;
    });
  }

  /** Stops listening to resets of others. */
  remove(): void {
    for (const removal of this.#removals) removal();
  }
}

export interface WeightResetState {
  readonly steps: number;
  /** In the order in which they were given. */
  readonly parameters: readonly { readonly use: Float64Array; readonly age: Float64Array; readonly due: number }[];
}

/** Where the `count` least of these values stand, the least first; of equals the first. It takes time in proportion to their number. */
function least(values: Float64Array, count: number): number[] {
  const bound = nthLeast(values.slice(), count - 1);
  const [below, at]: [number[], number[]] = [[], []];
  for (let i = 0; i < values.length; i++) {
    if (values[i]! < bound) below.push(i);
    else if (values[i] === bound) at.push(i);
  }
  below.sort((i, j) => (values[i] === values[j] ? i - j : values[i]! - values[j]!));
  return [...below, ...at.slice(0, count - below.length)];
}

/** The value that n others do not exceed, by partition about a value in the middle (Hoare 1961). Their order is lost. */
function nthLeast(values: Float64Array, n: number): number {
  let [from, to] = [0, values.length - 1];
  while (from < to) {
    const pivot = values[(from + to) >> 1]!;
    let [i, j] = [from, to];
    while (i <= j) {
      while (values[i]! < pivot) i++;
      while (values[j]! > pivot) j--;
      if (i > j) break;
      [values[i], values[j]] = [values[j]!, values[i]!];
      i++;
      j--;
    }
    if (n <= j) to = j;
    else if (n >= i) from = i;
    else break;
  }
  return values[n]!;
}

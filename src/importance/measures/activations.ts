/** Measures of what passes through a network: the inputs of its layers, the activations of its units. */
import { activationsOf, findUnits, type UnitLayer } from '../../state/units.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import { layerCallsOf } from '../layer-inputs.ts';
import { defineMeasure, type Measure, overBatches, parametersOf } from '../measure.ts';

/** The name of each parameter. */
const namesOf = (parameters: ReadonlyMap<string, Tensor>): Map<Tensor, string> =>
  new Map(Array.from(parameters, ([name, parameter]) => [parameter, name]));

/** What is thrown where no layer reads a kernel of the model. */
export const noLayers = (who: string): Error =>
  new Error(
    `${who}: the model has no linear layer and no convolution whose kernel is a parameter, so there are no inputs to look at. Use Linear, ` +
      'Conv2d, or the ops linear and conv2d.',
  );

/**
 * |w| times the norm of the numbers that it is multiplied with, over all the data (of a convolution: at all places). Kernels
 * only. Its authors compare within each row, since all weights of a row add up to the same output.
 */
export const wanda = (): Measure =>
  defineMeasure({
    name: 'wanda',
    about: '|w| times the norm of its input',
    paper: 'Sun et al., "A simple and effective pruning approach for large language models" (2024)',
    needs: 'data',
    compared: 'row',
    measure(subject, who) {
      const names = namesOf(parametersOf(who, subject.model));
      const squares = new Map<Tensor, Float64Array>();
      overBatches(who, subject, ({ x }) => {
        for (const { weight, groups, rows } of layerCallsOf(subject.model.forward(x))) {
          const width = weight.size / weight.shape[0]!;
          const sums = squares.get(weight) ?? new Float64Array(groups * width);
          squares.set(weight, sums);
          for (let group = 0; group < groups; group++) {
            const { numbers } = rows(group);
            for (let i = 0; i < numbers.length; i++) sums[group * width + (i % width)]! += numbers[i]! * numbers[i]!;
          }
        }
      });
      const found = new Map<string, Float64Array>();
      for (const [weight, sums] of squares) {
        const name = names.get(weight);
        if (name === undefined) continue;
        const outputs = weight.shape[0]!;
        const width = weight.size / outputs;
        const perGroup = (outputs * width) / sums.length;
        found.set(
          name,
          Float64Array.from(numbersOf(weight), (w, i) => {
            const group = Math.floor(Math.floor(i / width) / perGroup);
            return Math.abs(w) * Math.sqrt(sums[group * width + (i % width)]!);
          }),
        );
      }
      if (found.size === 0) throw noLayers(who);
      return found;
    },
  });

/** How a unit's activity becomes a number: the mean of |h|, the variance of h, or the fraction of h that are not 0. */
export type Activity = 'mean' | 'variance' | 'live';

/**
 * What each hidden unit does on the data, as the next layer reads it: the mean of |h| (unless another `form` is given), over
 * all examples and places. All that comes into a unit has its importance: its row of the kernel, its bias, its numbers of
 * norms. The outputs are no hidden units, and are left out.
 */
export const activity = ({ form = 'mean' }: { readonly form?: Activity } = {}): Measure => {
  if (form !== 'mean' && form !== 'variance' && form !== 'live')
    throw new RangeError(`activity: form is 'mean', 'variance' or 'live', not ${String(form)}.`);
  return defineMeasure({
    name: 'activity',
    about: 'what the unit that it comes into does: mean |h|, variance, or how often it is not 0',
    paper:
      'Hu et al., "Network trimming: a data-driven neuron pruning approach towards efficient deep architectures" (2016)',
    needs: 'data',
    compared: 'layer',
    measure(subject, who) {
      const names = namesOf(parametersOf(who, subject.model));
      const moments = new Map<Tensor, Moments>();
      overBatches(who, subject, ({ x }) => {
        const output = subject.model.forward(x);
        for (const layer of findUnits(output)) {
          const so = moments.get(layer.weight) ?? new Moments(layer);
          moments.set(layer.weight, so);
          so.add(output, layer);
        }
      });
      const found = new Map<string, Float64Array>();
      const put = (parameter: Tensor, unitOf: (element: number) => number, values: Float64Array): void => {
        const name = names.get(parameter);
        if (name !== undefined)
          found.set(
            name,
            Float64Array.from({ length: parameter.size }, (_, i) => values[unitOf(i)]!),
          );
      };
      for (const so of moments.values()) {
        const { weight, bias, norms, units } = so.layer;
        const values = so.values(form);
        put(weight, (i) => Math.floor(i / (weight.size / units)), values);
        if (bias !== null) put(bias, (i) => i, values);
        for (const { parameter, inner } of norms) put(parameter, (i) => Math.floor(i / inner) % units, values);
      }
      return found;
    },
  });
};

/** Sums over the activations of a layer's units, by unit. */
class Moments {
  readonly layer: UnitLayer;
  readonly #sums: Record<'absolute' | 'plain' | 'squares' | 'live', Float64Array>;
  #count = 0;

  constructor(layer: UnitLayer) {
    this.layer = layer;
    const zeros = () => new Float64Array(layer.units);
    this.#sums = { absolute: zeros(), plain: zeros(), squares: zeros(), live: zeros() };
  }

  add(output: Tensor, layer: UnitLayer): void {
    const { tensor, outer, inner } = activationsOf(layer, output);
    const numbers = numbersOf(tensor);
    const { absolute, plain, squares, live } = this.#sums;
    for (let i = 0; i < numbers.length; i++) {
      const unit = Math.floor(i / inner) % layer.units;
      const h = numbers[i]!;
      absolute[unit]! += Math.abs(h);
      plain[unit]! += h;
      squares[unit]! += h * h;
      if (h !== 0) live[unit]!++;
    }
    this.#count += outer * inner;
  }

  values(form: Activity): Float64Array {
    const { absolute, plain, squares, live } = this.#sums;
    const n = this.#count;
    if (form === 'mean') return absolute.map((sum) => sum / n);
    if (form === 'live') return live.map((sum) => sum / n);
    return squares.map((sum, unit) => Math.max(0, sum / n - (plain[unit]! / n) ** 2));
  }
}

/** Optimal brain surgeon, layer by layer; the compensation that belongs to it is in compensation.ts. */

import { numbersOf } from '../../tensor/tensor.ts';
import { type DampingOptions, inverseDiagonal, layerHessians } from '../compensation.ts';
import { defineMeasure, type Measure } from '../measure.ts';
import { noLayers } from './activations.ts';

/**
 * w^2 / (2 [H^-1]_ii): half of what the layer's output changes by in the mean square if the weight goes and the others of its
 * unit make up for it. Kernels and their biases.
 */
export const obs = (options: DampingOptions = {}): Measure =>
  defineMeasure({
    name: 'obs',
    about: 'w^2 / (2 [H^-1]_ii), H of the inputs of its layer',
    paper: 'Hassibi and Stork, "Second order derivatives for network pruning: optimal brain surgeon" (1993)',
    needs: 'data',
    compared: 'layer',
    measure(subject, who) {
      const layers = layerHessians(who, subject, options);
      if (layers.length === 0) throw noLayers(who);
      const found = new Map<string, Float64Array>();
      for (const { weight, bias, kernel, shift, columns, matrices } of layers) {
        const diagonals = matrices.map(inverseDiagonal);
        const units = kernel.shape[0]!;
        const width = kernel.size / units;
        const diagonalOf = (unit: number) => diagonals[Math.floor((unit * diagonals.length) / units)]!;
        found.set(
          weight,
          Float64Array.from(numbersOf(kernel), (w, i) => (w * w) / (2 * diagonalOf(Math.floor(i / width))[i % width]!)),
        );
        if (bias !== null && shift !== null)
          found.set(
            bias,
            Float64Array.from(numbersOf(shift), (b, unit) => (b * b) / (2 * diagonalOf(unit)[columns - 1]!)),
          );
      }
      return found;
    },
  });

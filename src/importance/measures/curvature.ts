/** Optimal brain damage: what the loss gains, to second order, when a weight at a minimum becomes 0. */
import { numbersOf } from '../../tensor/tensor.ts';
import { estimatedDiagonal, exactDiagonal } from '../curvature.ts';
import { defineMeasure, generatorOf, type Measure, parametersOf } from '../measure.ts';

export interface ObdOptions {
  /** How the diagonal of H is found: 'hutchinson' (the default), an estimate, or 'exact', a backward walk for each weight. */
  readonly diagonal?: 'hutchinson' | 'exact' | undefined;
  /** Vectors of random signs for each batch, from 1 up; 10 unless given. */
  readonly samples?: number | undefined;
}

/** 1/2 H_ii w^2, H the second derivative of the mean loss. Away from a minimum it may be below 0. */
export const obd = ({ diagonal = 'hutchinson', samples = 10 }: ObdOptions = {}): Measure => {
  if (diagonal !== 'hutchinson' && diagonal !== 'exact')
    throw new RangeError(`obd: diagonal is 'hutchinson' or 'exact', not ${String(diagonal)}.`);
  if (!Number.isInteger(samples) || samples < 1)
    throw new RangeError(`obd: samples is a number of vectors from 1 up, not ${String(samples)}.`);
  return defineMeasure({
    name: 'obd',
    about: '1/2 H_ii w^2, what the loss gains to second order',
    paper: 'LeCun, Denker and Solla, "Optimal brain damage" (1989)',
    needs: 'data',
    compared: 'model',
    measure(subject, who) {
      const found =
        diagonal === 'exact'
          ? exactDiagonal(who, subject)
          : estimatedDiagonal(who, subject, samples, generatorOf(subject));
      return new Map(
        Array.from(parametersOf(who, subject.model), ([name, parameter]) => {
          const h = found.get(name)!;
          return [name, Float64Array.from(numbersOf(parameter), (w, i) => 0.5 * h[i]! * w * w)];
        }),
      );
    },
  });
};

/** Measures of slopes: what the loss (or its slope) would do to first order if a weight became 0. */
import { absoluteGradients, squaredGradients } from '../../autograd/per-example.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import { type Gradients, hessianVector } from '../curvature.ts';
import {
  defineMeasure,
  forwardLosses,
  type Measure,
  meanGradients,
  overBatches,
  parametersOf,
  Sums,
} from '../measure.ts';

/** A number for each weight, from its value and what was found of it. */
function withWeights(
  parameters: ReadonlyMap<string, Tensor>,
  found: Gradients,
  score: (w: number, g: number) => number,
): ReadonlyMap<string, Float64Array> {
  return new Map(
    Array.from(parameters, ([name, parameter]) => {
      const g = found.get(name)!;
      return [name, Float64Array.from(numbersOf(parameter), (w, i) => score(w, g[i]!))];
    }),
  );
}

/**
 * |w g| with g the gradient of the mean loss of all the data: the change of the loss, to first order, whatever its sign. (Its
 * authors divide by the sum over all weights, which changes no order.)
 */
export const snip = (): Measure =>
  defineMeasure({
    name: 'snip',
    about: '|w dL/dw|, L the mean loss',
    paper: 'Lee, Ajanthan and Torr, "SNIP: single-shot network pruning based on connection sensitivity" (2019)',
    needs: 'data',
    compared: 'model',
    measure: (subject, who) =>
      withWeights(parametersOf(who, subject.model), meanGradients(who, subject), (w, g) => Math.abs(w * g)),
  });

/**
 * The mean over examples of |w g_n| ('absolute'), or of (w g_n)^2 ('squared', the default), g_n the gradient of example n's
 * loss. Unlike |w g| it does not fade at a minimum, where gradients of examples cancel.
 */
export const taylor = ({ form = 'squared' }: { readonly form?: 'absolute' | 'squared' } = {}): Measure => {
  if (form !== 'absolute' && form !== 'squared')
    throw new RangeError(`taylor: form is 'absolute' or 'squared', not ${String(form)}.`);
  return defineMeasure({
    name: 'taylor',
    about: form === 'squared' ? 'mean of (w dL/dw)^2 over examples' : 'mean of |w dL/dw| over examples',
    paper: 'Molchanov et al., "Importance estimation for neural network pruning" (2019)',
    needs: 'data',
    compared: 'model',
    measure(subject, who) {
      const parameters = parametersOf(who, subject.model);
      const sums = new Sums(parameters);
      const sumOf = form === 'squared' ? squaredGradients : absoluteGradients;
      const examples = overBatches(who, subject, (batch) =>
        sums.add(sumOf(forwardLosses(who, subject, batch), [...parameters.values()])),
      );
      return withWeights(parameters, sums.scale(1 / examples).byName, (w, sum) =>
        form === 'squared' ? w * w * sum : Math.abs(w) * sum,
      );
    },
  });
};

/**
 * w (H g), g the gradient of the mean loss and H its second derivative: half of what |g|^2 loses, to first order, without the
 * weight. What is removed first are the weights without which the gradient would be larger. The sign is that of the paper,
 * which removes the largest of -w H g.
 */
export const grasp = (): Measure =>
  defineMeasure({
    name: 'grasp',
    about: 'w (H g), what the flow of gradients would lose',
    paper: 'Wang, Zhang and Grosse, "Picking winning tickets before training by preserving gradient flow" (2020)',
    needs: 'data',
    compared: 'model',
    measure(subject, who) {
      const slopes = hessianVector(who, subject, meanGradients(who, subject));
      return withWeights(parametersOf(who, subject.model), slopes, (w, slope) => w * slope);
    },
  });

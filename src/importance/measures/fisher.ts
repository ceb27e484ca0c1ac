/**
 * Measures of how much the answers change with a weight: Fisher information and memory aware synapses, and what is made of
 * them.
 */
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import { type FisherKind, fisher } from '../fisher.ts';
import { outputSensitivity } from '../mas.ts';
import { defineMeasure, generatorOf, inUse, type Measure, parametersOf, type Subject } from '../measure.ts';

type Information = (subject: Subject, parameters: readonly Tensor[]) => readonly Tensor[];

const fisherOf =
  (kind: FisherKind): Information =>
  (subject, parameters) => {
    const model = (x: Tensor) => subject.model.forward(x);
    return inUse(subject.model, () =>
      fisher(model, parameters, subject.batches!(), { kind, generator: generatorOf(subject) }),
    );
  };

const masOf: Information = (subject, parameters) =>
  inUse(subject.model, () => outputSensitivity((x) => subject.model.forward(x), parameters, subject.batches!()));

/** The information itself, or something of it and the weight. */
function informed(
  definition: Pick<Measure, 'name' | 'about' | 'paper'>,
  information: Information,
  score: (information: number, w: number) => number = (found) => found,
): Measure {
  return defineMeasure({
    ...definition,
    needs: 'data',
    compared: 'model',
    measure(subject, who) {
      const parameters = [...parametersOf(who, subject.model)];
      const found = information(
        subject,
        parameters.map(([, parameter]) => parameter),
      );
      return new Map(
        parameters.map(([name, parameter], i) => {
          const weights = numbersOf(parameter);
          return [name, Float64Array.from(numbersOf(found[i]!), (one, k) => score(one, weights[k]!))];
        }),
      );
    },
  });
}

const kirkpatrick = 'Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks" (2017)';

/** The mean over examples of E_c (d log p(c|x) / dw)^2, the expectation over the model's own answers. */
export const fisherExact = (): Measure =>
  informed(
    { name: 'fisherExact', about: 'E (d log p / dw)^2 over the answers of the model', paper: kirkpatrick },
    fisherOf('exact'),
  );

/** The same with one answer an example, drawn from the model. */
export const fisherSampled = (): Measure =>
  informed(
    { name: 'fisherSampled', about: '(d log p / dw)^2 for an answer drawn from the model', paper: kirkpatrick },
    fisherOf('sampled'),
  );

/** The same with the label of each example. */
export const fisherEmpirical = (): Measure =>
  informed(
    { name: 'fisherEmpirical', about: '(d log p / dw)^2 for the label that is right', paper: kirkpatrick },
    fisherOf('empirical'),
  );

/**
 * 1/2 F_ii w^2, F the exact Fisher information (or another kind): optimal brain damage with the information, which is never
 * below 0, in the place of the second derivative.
 */
export const fisherObd = ({ kind = 'exact' }: { readonly kind?: Exclude<FisherKind, 'batched'> } = {}): Measure =>
  informed(
    {
      name: 'fisherObd',
      about: '1/2 F_ii w^2, F the Fisher information',
      paper: 'Theis et al., "Faster gaze prediction with dense networks and Fisher pruning" (2018)',
    },
    fisherOf(kind),
    (found, w) => 0.5 * found * w * w,
  );

/** The mean over examples of |d ||f(x)||^2 / dw|, f the outputs: no labels are looked at. */
export const memoryAwareSynapses = (): Measure =>
  informed(
    {
      name: 'memoryAwareSynapses',
      about: 'mean of |d ||f(x)||^2 / dw|, f the outputs',
      paper: 'Aljundi et al., "Memory aware synapses: learning what (not) to forget" (2018)',
    },
    masOf,
  );

/** Measures of the weights alone. */
import { numbersOf } from '../../tensor/tensor.ts';
import { defineMeasure, forEachWeight, generatorOf, type Measure } from '../measure.ts';
import { structureOf } from '../structure.ts';

/** The baseline: a number from [0, 1) for each weight. */
export const random = (): Measure =>
  defineMeasure({
    name: 'random',
    about: 'a random number, equally likely from 0 to 1',
    paper: null,
    needs: 'nothing',
    compared: 'model',
    measure: (subject, who) =>
      forEachWeight(who, subject, ({ length }) => {
        const out = new Float32Array(length);
        generatorOf(subject).fillUniform(out);
        return out;
      }),
  });

/** |w|: small weights do little. (Not w: a weight far below 0 does as much as one far above.) */
export const magnitude = (): Measure =>
  defineMeasure({
    name: 'magnitude',
    about: '|w|',
    paper: 'Han et al., "Learning both weights and connections for efficient neural networks" (2015)',
    needs: 'nothing',
    compared: 'layer',
    measure: (subject, who) => forEachWeight(who, subject, (weights) => weights.map(Math.abs)),
  });

/** 1 / |w|, the opposite order, as a check that order matters; infinite for a weight of 0. */
export const inverseMagnitude = (): Measure =>
  defineMeasure({
    name: 'inverseMagnitude',
    about: '1 / |w|, the opposite of magnitude',
    paper: null,
    needs: 'nothing',
    compared: 'layer',
    measure: (subject, who) => forEachWeight(who, subject, (weights) => weights.map((w) => 1 / Math.abs(w))),
  });

/** |w| / sum of |w| over the weight's unit, its bias included: the share of what comes into it. 0 where all are 0. */
export const relativeMagnitude = (): Measure =>
  defineMeasure({
    name: 'relativeMagnitude',
    about: '|w| as a share of the sum of |w| of its unit',
    paper: null,
    needs: 'nothing',
    compared: 'model',
    measure(subject, who) {
      const places = structureOf(who, subject.model).map((place) => ({
        ...place,
        weights: numbersOf(place.parameter),
      }));
      const sums = new Map<string, number>();
      for (const { layer, perUnit, weights } of places)
        for (let i = 0; i < weights.length; i++) {
          const unit = `${layer}\n${Math.floor(i / perUnit)}`;
          sums.set(unit, (sums.get(unit) ?? 0) + Math.abs(weights[i]!));
        }
      return new Map(
        places.map(({ name, layer, perUnit, weights }) => [
          name,
          Float64Array.from(weights, (w, i) => {
            const sum = sums.get(`${layer}\n${Math.floor(i / perUnit)}`)!;
            return w === 0 ? 0 : Math.abs(w) / sum;
          }),
        ]),
      );
    },
  });

/**
 * w^2 / the sum of the squares of all weights of the same parameter that are not smaller: what a weight is worth beside those
 * that would outlive it. The largest of each parameter has 1, so no layer goes as a whole. Equal ones count in the order they
 * stand in. 0 for 0.
 */
export const lamp = (): Measure =>
  defineMeasure({
    name: 'lamp',
    about: 'w^2 as a share of the squares of those in its layer that are not smaller',
    paper: 'Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning" (2021)',
    needs: 'nothing',
    compared: 'model',
    measure: (subject, who) =>
      forEachWeight(who, subject, (weights) => {
        const squares = Float64Array.from(weights, (w) => w * w);
        const order = Uint32Array.from(weights.keys()).sort((a, b) => squares[a]! - squares[b]! || a - b);
        const scores = new Float64Array(weights.length);
        let rest = 0;
        for (let i = order.length - 1; i >= 0; i--) {
          const square = squares[order[i]!]!;
          rest += square;
          scores[order[i]!] = square === 0 ? 0 : square / rest;
        }
        return scores;
      }),
  });

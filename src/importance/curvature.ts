/**
 * Second derivatives of the mean loss without the matrix: H v by differentiating g . v, the diagonal exactly (one backward
 * walk a weight) or by Hutchinson's estimate, the mean of z (H z) over random signs z.
 */
import type { Generator } from '../random/generator.ts';
import { tensor } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';
import {
  forwardLosses,
  type LabelledBatch,
  overBatches,
  parametersOf,
  type Subject,
  Sums,
  slopesOf,
} from './measure.ts';

/** A number for each weight, by the name of its parameter. */
export type Gradients = ReadonlyMap<string, Float64Array>;

/** Gradients of the sum of a batch's losses, recorded; null for parameters on which it does not depend. */
function recordedGradients(who: string, subject: Subject, batch: LabelledBatch, leaves: readonly Tensor[]) {
  return slopesOf(who, forwardLosses(who, subject, batch).sum(), leaves, { createGraph: true });
}

/** The second derivatives times v that these recorded gradients have; nulls where they do not depend on any weight. */
function productWith(
  who: string,
  found: readonly (Tensor | null)[],
  leaves: readonly Tensor[],
  vectors: readonly Tensor[],
): (Tensor | null)[] {
  const terms = found.flatMap((g, i) => (g === null || g.node === null ? [] : [g.mul(vectors[i]!).sum()]));
  if (terms.length === 0) return leaves.map(() => null);
  return slopesOf(
    who,
    terms.reduce((a, b) => a.add(b)),
    leaves,
  );
}

/** H v, H the second derivative of the mean loss over all the data. */
export function hessianVector(who: string, subject: Subject, v: Gradients): Gradients {
  const parameters = parametersOf(who, subject.model);
  const leaves = [...parameters.values()];
  const sums = new Sums(parameters);
  const vectors = Array.from(parameters, ([name, { shape }]) => tensor(v.get(name)!, shape));
  const examples = overBatches(who, subject, (batch) =>
    sums.add(productWith(who, recordedGradients(who, subject, batch, leaves), leaves, vectors)),
  );
  return sums.scale(1 / examples).byName;
}

/** The diagonal of H, estimated from so many vectors of random signs a batch. Exact where H is diagonal; unbiased else. */
export function estimatedDiagonal(who: string, subject: Subject, samples: number, generator: Generator): Gradients {
  const parameters = parametersOf(who, subject.model);
  const leaves = [...parameters.values()];
  const sums = new Sums(parameters);
  const examples = overBatches(who, subject, (batch) => {
    const found = recordedGradients(who, subject, batch, leaves);
    for (let sample = 0; sample < samples; sample++) {
      const signs = leaves.map(({ size, shape }) => {
        const numbers = new Float32Array(size);
        generator.fillBernoulli(numbers, 0.5, 2);
        return tensor(
          numbers.map((x) => x - 1),
          shape,
        );
      });
      const products = productWith(who, found, leaves, signs).map((product, i) => product?.mul(signs[i]!) ?? null);
      sums.add(products, 1 / samples);
    }
  });
  return sums.scale(1 / examples).byName;
}

/** The diagonal of H, exactly: a backward walk for each weight and batch. */
export function exactDiagonal(who: string, subject: Subject): Gradients {
  const parameters = parametersOf(who, subject.model);
  const leaves = [...parameters.values()];
  const sums = new Sums(parameters);
  const diagonals = [...sums.byName.values()];
  const examples = overBatches(who, subject, (batch) => {
    recordedGradients(who, subject, batch, leaves).forEach((g, which) => {
      if (g === null || g.node === null) return;
      const leaf = leaves[which]!;
      const diagonal = diagonals[which]!;
      for (let i = 0; i < leaf.size; i++) {
        const unit = new Float32Array(leaf.size);
        unit[i] = 1;
        const [row] = slopesOf(who, g, [leaf], { seed: tensor(unit, leaf.shape) });
        if (row) diagonal[i]! += row.toFloat32Array()[i]!;
      }
    });
  });
  return sums.scale(1 / examples).byName;
}

/**
 * How useful units are: the measures of continual backprop, and the sums over activations and weights they are made of.
 *
 * h is a unit's activation as the next layer reads it, averaged with |h| and |h - mean| over the batch (and over the image
 * of a channel). o is the mean magnitude of its outgoing weights, n that of its incoming ones.
 */

import { noGrad } from '../autograd/modes.ts';
import { abs } from '../ops/elementwise.ts';
import { sum } from '../ops/sum.ts';
import type { Activations, UnitLayer } from '../state/units.ts';
import { readable } from '../storage/storage.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';

/**
 * - weight: o
 * - contribution: o |h|, the measure of Dohare et al., "Loss of plasticity in deep continual learning" (Nature 2024), equation 1
 * - adaptation: 1 / n
 * - zeroContribution: o |h - mu|, where mu is the running mean of h: what the unit says beyond its mean
 * - adaptableContribution: o |h - mu| / n: that, by how hard it is to change
 * - featureByInput: |h - mu| / n
 * - zero: 0, every unit alike, so that the first in the layer go first
 * - random: whoever is mature, by lot
 */
export type Utility =
  | 'weight'
  | 'contribution'
  | 'adaptation'
  | 'zeroContribution'
  | 'adaptableContribution'
  | 'featureByInput'
  | 'zero'
  | 'random';

interface Needs {
  readonly outgoing: boolean;
  readonly incoming: boolean;
  /** Which mean over the batch: of |h|, of |h - mu|, or none. */
  readonly activity: 'size' | 'spread' | null;
}

/** Which factors a measure has. */
export const factors: Readonly<Record<Utility, Needs>> = {
  weight: { outgoing: true, incoming: false, activity: null },
  contribution: { outgoing: true, incoming: false, activity: 'size' },
  adaptation: { outgoing: false, incoming: true, activity: null },
  zeroContribution: { outgoing: true, incoming: false, activity: 'spread' },
  adaptableContribution: { outgoing: true, incoming: true, activity: 'spread' },
  featureByInput: { outgoing: false, incoming: true, activity: 'spread' },
  zero: { outgoing: false, incoming: false, activity: null },
  random: { outgoing: false, incoming: false, activity: null },
};

/** The numbers of a tensor where they stand, if they stand in a row; else a copy. */
function where(x: Tensor): { array: ArrayLike<number>; start: number } {
  if (!x.layout.contiguous) return { array: numbersOf(x), start: 0 };
  const { array, start } = readable(x.storage);
  return { array, start: start + x.offset };
}

/** Adds the mean of h for each unit to `out`, times `share`. */
export function addMeans({ tensor, outer, inner }: Activations, units: number, share: number, out: Float64Array): void {
  const { array, start } = where(tensor);
  const each = share / (outer * inner);
  let at = start;
  for (let o = 0; o < outer; o++)
    for (let u = 0; u < units; u++) {
      let sum = 0;
      for (let i = 0; i < inner; i++) sum += array[at++]!;
      out[u]! += each * sum;
    }
}

/** The mean of |h - centre| for each unit, times what stands in `out`. */
export function timesSpread(
  { tensor, outer, inner }: Activations,
  units: number,
  centre: Float64Array,
  out: Float64Array,
): void {
  const { array, start } = where(tensor);
  const each = 1 / (outer * inner);
  for (let u = 0; u < units; u++) {
    const middle = centre[u]!;
    let sum = 0;
    for (let o = 0; o < outer; o++) {
      const first = start + (o * units + u) * inner;
      for (let i = first; i < first + inner; i++) sum += Math.abs(array[i]! - middle);
    }
    out[u]! *= each * sum;
  }
}

/** Weights from this size on are summed by kernels: four at a time, for the price of a few calls. */
const worthKernels = 1024;

/** Sums of |w| over rows (axis 0) or columns (axis 1) of a weight, and over its kernel, added to `out`. */
export function addMagnitudes(weight: Tensor, axis: 0 | 1, out: Float64Array, inner: number): void {
  const { shape } = weight.layout;
  const [rows, columns] = shape as [number, number];
  const units = out.length;
  if (weight.size >= worthKernels) {
    const over = shape.map((_, i) => i).filter((i) => i !== axis);
    const sums = noGrad(() => numbersOf(sum(abs(weight), over)));
    for (let i = 0; i < sums.length; i++) out[Math.floor(i / inner) % units]! += sums[i]!;
    return;
  }
  const { array, start } = where(weight);
  // In either case so many numbers of one unit stand side by side, unit after unit, so many times.
  const run = axis === 0 ? weight.size / rows : inner * (weight.size / (rows * columns));
  let at = start;
  for (let block = weight.size / (units * run); block > 0; block--)
    for (let u = 0; u < units; u++) {
      let size = 0;
      for (let i = 0; i < run; i++) size += Math.abs(array[at++]!);
      out[u]! += size;
    }
}

/** n: the mean magnitude of each unit's incoming weights divides what stands in `out`. */
export function overIncoming({ weight, units }: UnitLayer, sums: Float64Array, out: Float64Array): void {
  sums.fill(0);
  addMagnitudes(weight, 0, sums, 1);
  const width = weight.size / units;
  for (let u = 0; u < units; u++) out[u]! *= width / sums[u]!;
}

/** o: the mean magnitude of each unit's outgoing weights, over all layers that read it, times what stands in `out`. */
export function timesOutgoing({ outgoing, units }: UnitLayer, sums: Float64Array, out: Float64Array): void {
  sums.fill(0);
  let read = 0;
  for (let k = 0; k < outgoing.length; k++) {
    const { weight, inner } = outgoing[k]!;
    addMagnitudes(weight, 1, sums, inner);
    read += weight.size / units;
  }
  for (let u = 0; u < units; u++) out[u]! *= sums[u]! / read;
}

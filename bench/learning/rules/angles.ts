/** The angle between two updates: 0 degrees is the same direction, 90 nothing in common, above 90 against each other. */

import type { Tensor } from '../../../src/index.ts';
import type { Trainer } from './configuration.ts';

/** Degrees by layer; null where an update is zero and has no direction. */
export type Angles = Readonly<Record<string, number | null>>;

/**
 * Degrees, 0 to 180, between two runs of numbers of the same length; NaN where one of them is zero throughout or not
 * finite.
 *
 * Of the unit vectors u and v it is 2 atan2(|u - v|, |u + v|), which is exact near 0 and 180 degrees too, where the
 * arc cosine loses half the digits (Kahan, "How futile are mindless assessments of roundoff", 2006, section 12).
 */
export function angle(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) {
    throw new Error(`angle: the updates have ${a.length} and ${b.length} numbers, expected as many in both.`);
  }
  const lengthA = lengthOf(a);
  const lengthB = lengthOf(b);
  if (lengthA === 0 || lengthB === 0) return Number.NaN;
  let difference = 0;
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const u = a[i]! / lengthA;
    const v = b[i]! / lengthB;
    difference += (u - v) ** 2;
    sum += (u + v) ** 2;
  }
  return (360 / Math.PI) * Math.atan2(Math.sqrt(difference), Math.sqrt(sum));
}

/** Euclidean length, computed in float64: squares of float32 numbers neither overflow nor vanish there. */
function lengthOf(values: Float32Array): number {
  let squares = 0;
  for (const value of values) squares += value * value;
  return Math.sqrt(squares);
}

/** A batch as trainers take it. */
export interface Batch {
  readonly images: Tensor;
  readonly labels: Int32Array;
}

/** The trainer's angles, each the mean over the batches; null where the trainer has none to compare. */
export function measureAngles(trainer: Trainer, batches: readonly Batch[]): Angles | null {
  if (trainer.updateAndBackpropUpdate === undefined) return null;
  const byLayer = new Map<string, number[]>();
  for (const { images, labels } of batches) {
    for (const { layer, update, backprop } of trainer.updateAndBackpropUpdate(images, labels)) {
      const degrees = angle(update.toFloat32Array(), backprop.toFloat32Array());
      byLayer.set(layer, [...(byLayer.get(layer) ?? []), degrees]);
    }
  }
  return Object.fromEntries([...byLayer].map(([layer, degrees]) => [layer, meanAngle(degrees)]));
}

/** Null where any of them has no direction: a mean over the others would tell of other batches than it says. */
function meanAngle(degrees: readonly number[]): number | null {
  const mean = degrees.reduce((sum, one) => sum + one, 0) / degrees.length;
  return Number.isNaN(mean) ? null : mean;
}

/** Degrees in the layers' order, for tables; a dash where there is nothing to compare. */
export function angleCells(angles: Angles | null): readonly string[] {
  if (angles === null) return ['-'];
  return Object.values(angles).map((degrees) => (degrees === null ? '-' : `${degrees.toFixed(1)}°`));
}

/** Matrices as nested arrays, in double precision: what the rules are held against. */
import type { Tensor } from '../../src/index.ts';

export type Matrix = readonly (readonly number[])[];

export const matrixOf = (x: Tensor): Matrix => x.toArray() as number[][];
export const transposed = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!));
export const times = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => transposed(b).map((column) => row.reduce((sum, x, i) => sum + x * column[i]!, 0)));
export const entrywise = (a: Matrix, b: Matrix, f: (x: number, y: number) => number): Matrix =>
  a.map((row, i) => row.map((x, j) => f(x, b[i]![j]!)));
export const hadamard = (a: Matrix, b: Matrix): Matrix => entrywise(a, b, (x, y) => x * y);
export const mapped = (a: Matrix, f: (x: number) => number): Matrix => a.map((row) => row.map(f));

/** The largest difference between a tensor and what it should be, relative to 1 or to the largest entry. */
export function differenceOf(found: Tensor | null, expected: Matrix): number {
  const numbers = found!.toFloat32Array();
  const wanted = expected.flat();
  if (numbers.length !== wanted.length) return Infinity;
  const size = Math.max(1, ...wanted.map(Math.abs));
  return Math.max(0, ...wanted.map((x, i) => Math.abs(x - numbers[i]!) / size));
}

/** The angle between two lists of tensors taken as vectors, in degrees. */
export function angleBetween(a: readonly Tensor[], b: readonly Tensor[]): number {
  const flat = (list: readonly Tensor[]) => list.flatMap((x) => Array.from(x.toFloat32Array()));
  const [x, y] = [flat(a), flat(b)];
  const dot = (u: number[], v: number[]) => u.reduce((sum, value, i) => sum + value * v[i]!, 0);
  return (Math.acos(dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y))) * 180) / Math.PI;
}

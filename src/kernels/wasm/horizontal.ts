/** From many lanes to one number, always in the same order. */
import type { Code } from './assembler.ts';
import { f32x4, type V128, v128 } from './instructions.ts';
import type { Vector } from './sweep.ts';

type Combine = (a: V128, b: V128) => V128;

/** Combines vectors pairwise into one: ((0, 1), (2, 3)). */
export function combineVectors(code: Code, vectors: readonly Vector[], combine: Combine): Vector {
  if (vectors.length === 1) return vectors[0]!;
  const half = vectors.length / 2;
  const [low, high] = [vectors.slice(0, half), vectors.slice(half)];
  return code.local(combine(combineVectors(code, low, combine), combineVectors(code, high, combine)));
}

/** Combines the four lanes, ((0, 2), (1, 3)), into a vector that holds the result in each. */
export function combineLanes(code: Code, vector: Vector, combine: Combine): Vector {
  const halves = code.local(combine(vector, v128.shuffle32(vector, vector, [2, 3, 0, 1])));
  return code.local(combine(halves, v128.shuffle32(halves, halves, [1, 0, 3, 2])));
}

export const sumLanes = (code: Code, vector: Vector) => combineLanes(code, vector, f32x4.add);

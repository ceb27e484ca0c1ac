/** Flat numbers with a shape, and where they come from: a generator that belongs to no contestant. */

export interface Matrix {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}

export function randomMatrix(shape: readonly number[], limit: number, uniform: () => number): Matrix {
  const data = new Float32Array(elementCount(shape));
  for (let i = 0; i < data.length; i++) data[i] = limit * uniform();
  return { data, shape };
}

/** Numbers in [-1, 1) from a 32-bit congruential generator (Numerical Recipes' constants): plain, and of no contestant. */
export function uniformNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** A copy whose axis i is the axis `order[i]` of the original. */
export function permuted({ data, shape }: Matrix, order: readonly number[]): Matrix {
  const stride = shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
  const newShape = order.map((axis) => shape[axis] as number);
  const result = new Float32Array(data.length);
  const index = newShape.map(() => 0);
  for (let position = 0; position < result.length; position++) {
    const source = order.reduce((offset, axis, i) => offset + (index[i] as number) * (stride[axis] as number), 0);
    result[position] = data[source] as number;
    for (let axis = index.length - 1; axis >= 0; axis--) {
      const next = (index[axis] as number) + 1;
      index[axis] = next % (newShape[axis] as number);
      if (next < (newShape[axis] as number)) break;
    }
  }
  return { data: result, shape: newShape };
}

/** The part of jax-js that is used here, typed by hand: the repository typechecks without the library installed. */

import type { Matrix } from '../rows/numbers.ts';

export interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: readonly number[];
  reshape(shape: readonly number[]): JaxArray;
  add(other: JaxArray): JaxArray;
  sub(other: JaxArray): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  slice(...ranges: readonly (readonly number[])[]): JaxArray;
  sum(): JaxArray;
  mean(): JaxArray;
  dataSync(): Float32Array;
  item(): number;
  dispose(): void;
}

export type Disposable<F> = F & { dispose(): void };

type Pairs = readonly (readonly [before: number, after: number])[];

export interface Jax {
  numpy: {
    array(
      data: Float32Array | Int32Array,
      options: { shape: readonly number[]; dtype?: 'float32' | 'int32' },
    ): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    matrixTranspose(a: JaxArray): JaxArray;
    transpose(a: JaxArray, order?: readonly number[]): JaxArray;
    exp(a: JaxArray): JaxArray;
    tanh(a: JaxArray): JaxArray;
    square(a: JaxArray): JaxArray;
    sum(a: JaxArray, axis?: number | null): JaxArray;
    max(a: JaxArray, axes?: number | null | readonly number[]): JaxArray;
    take(a: JaxArray, indices: JaxArray, axis: number): JaxArray;
    pad(a: JaxArray, widths: Pairs): JaxArray;
    concatenate(parts: readonly JaxArray[], axis: number): JaxArray;
  };
  nn: {
    relu(x: JaxArray): JaxArray;
    sigmoid(x: JaxArray): JaxArray;
    softmax(x: JaxArray, axis: number): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
    standardize(x: JaxArray, axis: number, options: { epsilon: number }): JaxArray;
  };
  lax: {
    convGeneralDilated(
      images: JaxArray,
      filters: JaxArray,
      strides: readonly number[],
      padding: Pairs,
      options?: { featureGroupCount: number },
    ): JaxArray;
  };
  jit<F>(f: F): Disposable<F>;
  grad(f: (x: JaxArray, y: JaxArray) => JaxArray): (x: JaxArray, y: JaxArray) => JaxArray;
  valueAndGrad(
    f: (parameters: JaxArray[], inputs: JaxArray, targets: JaxArray) => JaxArray,
  ): (parameters: JaxArray[], inputs: JaxArray, targets: JaxArray) => [value: JaxArray, gradients: JaxArray[]];
  vjp(
    f: (x: JaxArray) => JaxArray,
    primals: [JaxArray],
  ): [value: JaxArray, back: Disposable<(slope: JaxArray) => [JaxArray]>];
}

/** One of the two ways to use the library. */
export interface Way {
  readonly jax: Jax;
  readonly jitted: boolean;
  /** jit, or nothing at all. */
  compile<F extends object>(f: F): Disposable<F>;
}

export function toArray(jax: Jax, { data, shape }: Matrix): JaxArray {
  return jax.numpy.array(data, { shape });
}

/** The part of TensorFlow.js that is used here, typed by hand: the repository typechecks without the library installed. */

import type { Matrix } from '../rows/numbers.ts';

export interface TfTensor {
  reshape(shape: readonly number[]): TfTensor;
  add(other: TfTensor | number): TfTensor;
  sub(other: TfTensor): TfTensor;
  mul(other: TfTensor): TfTensor;
  exp(): TfTensor;
  tanh(): TfTensor;
  sigmoid(): TfTensor;
  relu(): TfTensor;
  rsqrt(): TfTensor;
  square(): TfTensor;
  mean(axis: number, keepDims: boolean): TfTensor;
  softmax(axis: number): TfTensor;
  logSoftmax(axis: number): TfTensor;
  sum(axis?: number): TfTensor;
  max(axis?: number): TfTensor;
  transpose(): TfTensor;
  concat(other: TfTensor, axis: number): TfTensor;
  gather(indices: TfTensor, axis: number): TfTensor;
  matMul(other: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  conv2d(filter: TfTensor, strides: number, padding: 'same' | number): TfTensor;
  depthwiseConv2d(filter: TfTensor, strides: number, padding: number): TfTensor;
  maxPool(size: number, strides: number, padding: 'valid'): TfTensor;
  dataSync(): Float32Array;
  dispose(): void;
}

export interface TfOptimizer {
  minimize(loss: () => TfTensor, returnCost: true, variables: readonly TfTensor[]): TfTensor;
  dispose(): void;
}

export interface TensorFlow {
  enableProdMode(): void;
  setBackend(name: 'cpu' | 'wasm'): Promise<boolean>;
  tensor(data: Float32Array | Int32Array, shape: readonly number[], dtype?: 'float32' | 'int32'): TfTensor;
  variable(initial: TfTensor): TfTensor;
  tidy<Result>(body: () => Result): Result;
  grad(f: (x: TfTensor) => TfTensor): (x: TfTensor) => TfTensor;
  /** One kernel of the current backend, by its name. */
  engine(): { runKernel(name: string, inputs: Record<string, TfTensor>, attributes: object): TfTensor };
  losses: {
    softmaxCrossEntropy(oneHot: TfTensor, logits: TfTensor): TfTensor;
    meanSquaredError(targets: TfTensor, outputs: TfTensor): TfTensor;
  };
  train: { sgd(learningRate: number): TfOptimizer };
}

export function toTensor(tf: TensorFlow, { data, shape }: Matrix): TfTensor {
  return tf.tensor(data, shape);
}

/** The numbers of a result that nobody else needs. */
export function takeNumbers(result: TfTensor): Float32Array {
  const numbers = result.dataSync();
  result.dispose();
  return numbers;
}

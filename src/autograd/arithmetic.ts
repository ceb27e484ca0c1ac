/**
 * The few ops that the walk itself needs (to add messages up where that must be recorded), and those who follow it. They are
 * defined in ops/, below this folder, which hands them in when it loads.
 */
import type { Tensor } from '../tensor/tensor.ts';

type Binary = (a: Tensor, b: Tensor) => Tensor;

export interface Arithmetic {
  add: Binary;
  sub: Binary;
  mul: Binary;
  div: Binary;
  eq: Binary;
  maximum: Binary;
  neg: (x: Tensor) => Tensor;
  identity: (x: Tensor) => Tensor;
  where: (condition: Tensor, a: Tensor, b: Tensor) => Tensor;
  expand: (x: Tensor, shape: readonly number[]) => Tensor;
  sum: (x: Tensor, dim: number) => Tensor;
}

export let arithmetic: Arithmetic;

export function provideArithmetic(ops: Arithmetic): void {
  arithmetic = ops;
}

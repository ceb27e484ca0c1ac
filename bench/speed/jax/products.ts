/** Matrix products; a transposed operand is transposed lazily and read through its strides. */

import type { Workload } from '../harness.ts';
import { type Product, productData } from '../rows/products.ts';
import { type JaxArray, toArray, type Way } from './library.ts';

export function prepareProduct({ jax, compile }: Way, task: Product): Workload {
  const { matmul, matrixTranspose } = jax.numpy;
  const data = productData(task);
  const [a, b] = [toArray(jax, data.a), toArray(jax, data.b)];
  const multiply = compile((x: JaxArray, y: JaxArray) =>
    matmul(task.layout === 'TN' ? matrixTranspose(x) : x, task.layout === 'NT' ? matrixTranspose(y) : y),
  );
  return {
    run: () => multiply(a.ref, b.ref).dataSync(),
    dispose() {
      for (const owned of [a, b, multiply]) owned.dispose();
    },
  };
}

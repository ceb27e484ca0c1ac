/** Matrix products; transposed operands are read as they are stored, by the flags of `matMul`. */

import type { Workload } from '../harness.ts';
import { type Product, productData } from '../rows/products.ts';
import { type TensorFlow, takeNumbers, toTensor } from './library.ts';

export function prepareProduct(tf: TensorFlow, task: Product): Workload {
  const data = productData(task);
  const [a, b] = [toTensor(tf, data.a), toTensor(tf, data.b)];
  const [transposeA, transposeB] = [task.layout === 'TN', task.layout === 'NT'];
  return {
    run: () => takeNumbers(a.matMul(b, transposeA, transposeB)),
    dispose() {
      a.dispose();
      b.dispose();
    },
  };
}

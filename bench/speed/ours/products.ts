/** Matrix products; a transposed operand is a view, as a user would write it. */

import { matmul, noGrad } from '../../../src/index.ts';
import type { Workload } from '../harness.ts';
import { type Product, productData } from '../rows/products.ts';
import { toBuffer } from './numbers.ts';

export function prepareProduct(task: Product): Workload {
  const data = productData(task);
  const [a, b] = [toBuffer(data.a), toBuffer(data.b)];
  const axis = a.ndim - 1;
  return {
    run() {
      return noGrad(() => {
        const left = task.layout === 'TN' ? a.transpose(axis - 1, axis) : a;
        const right = task.layout === 'NT' ? b.transpose(axis - 1, axis) : b;
        return matmul(left, right).toFloat32Array();
      });
    },
    dispose() {},
  };
}

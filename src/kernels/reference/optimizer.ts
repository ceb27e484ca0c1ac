/** One step of an optimizer over one parameter, weight by weight: PyTorch's arithmetic. */
import type { ReferenceKernels } from '../table.ts';

export const optimizer = {
  sgd({ floats }, w, g, velocity, n, lr, momentum, dampening, nesterov, weightDecay, first) {
    for (let i = 0; i < n; i++) {
      const slope = floats[g + i]! + weightDecay * floats[w + i]!;
      let direction = slope;
      if (momentum !== 0) {
        const speed = first ? slope : momentum * floats[velocity + i]! + (1 - dampening) * slope;
        floats[velocity + i] = speed;
        direction = nesterov ? slope + momentum * speed : speed;
      }
      floats[w + i] = floats[w + i]! - lr * direction;
    }
  },

  adam({ floats }, w, g, m, v, vMax, n, lr, beta1, beta2, eps, weightDecay, decoupled, correction1, correction2) {
    const rate = lr / correction1;
    const root = Math.sqrt(correction2);
    for (let i = 0; i < n; i++) {
      let weight = floats[w + i]!;
      let slope = floats[g + i]!;
      if (decoupled) weight -= lr * weightDecay * weight;
      else slope += weightDecay * weight;
      const mean = beta1 * floats[m + i]! + (1 - beta1) * slope;
      let square = beta2 * floats[v + i]! + (1 - beta2) * slope * slope;
      floats[m + i] = mean;
      floats[v + i] = square;
      if (vMax !== 0) {
        square = Math.max(floats[vMax + i]!, square);
        floats[vMax + i] = square;
      }
      floats[w + i] = weight - (rate * mean) / (Math.sqrt(square) / root + eps);
    }
  },
} satisfies Pick<ReferenceKernels, 'sgd' | 'adam'>;

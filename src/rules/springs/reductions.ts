/**
 * Springs through ops that take many numbers to one: sums and means ask all of them, extremes the winner.
 */
import { apply } from '../../autograd/define.ts';
import type { NodeRule } from '../../autograd/rule.ts';
import type { Visit } from '../../autograd/visit.ts';
import { mul } from '../../ops/binary.ts';
import { reshape } from '../../ops/shape.ts';
import { expand } from '../../ops/sum.ts';
import { ones } from '../../tensor/create.ts';
import { reducedShape, sizeOf } from '../../tensor/layout.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { springRule } from './rule.ts';

/** A precision of a sum as it broadcasts to what was summed: the axes that went come back at size 1. */
function beforeSum({ attributes, inputs, output }: Visit, p: Tensor): Tensor {
  if (p.ndim === 0) return p;
  const { axes } = attributes as { readonly axes: readonly number[] };
  const kept = reducedShape(inputs[0]!.value.shape, axes, true);
  if (kept.length === output.ndim) return p;
  // Aligned at the last axis with the axes that stayed.
  const sizes = [...new Array<number>(output.ndim - p.ndim).fill(1), ...p.shape];
  let next = 0;
  const shape = kept.map((_, axis) => (axes.includes(axis) ? 1 : sizes[next++]!));
  return reshape(p, shape);
}

/**
 * Springs through `sum` over any axes: d / n with n p for each of the n numbers, which together cannot overshoot and reach the
 * target exactly. A mean is a sum and a division, so with `springMul` at div it sends d with p / n.
 *
 *     const v = tensor([1, 2, 3, 4]).requiresGrad_();
 *     backward(target(setRule(v.sum(), springSum()), tensor(12), { precision: 1 }));
 *     inboxOf(v).step().toArray(); // [0.5, 0.5, 0.5, 0.5]
 */
export function springSum(): NodeRule {
  return springRule('springSum', (visit, p) => {
    const { axes } = visit.attributes as { readonly axes: readonly number[] };
    const n = sizeOf(axes.map((axis) => visit.inputs[0]!.value.shape[axis]!));
    return mul(beforeSum(visit, p), n);
  });
}

/**
 * Springs through `avgPool2d`, the mean of n = kh kw numbers for each window: d with p / n from each window, as through a mean;
 * windows that overlap add up, and padding, which counts in the mean, is not asked. Any linear map A without negative entries
 * has these: p_x = A^T (p A 1), by rows, which cannot overshoot.
 *
 *     const image = tensor([[[[1, 2], [3, 4]]]]).requiresGrad_();
 *     const pooled = setRule(avgPool2d(image, { kernelSize: 2 }), springAveragePool());
 *     backward(target(pooled, tensor([[[[3]]]]), { precision: 1 }));
 *     inboxOf(image).step().toArray(); // [[[[0.5, 0.5], [0.5, 0.5]]]]
 */
export function springAveragePool(): NodeRule {
  return springRule('springAveragePool', (visit, p) => {
    const { node, output, inputs } = visit;
    const rows = apply(node.op!, [ones(inputs[0]!.value.shape)], visit.attributes);
    return visit.gradientFor(0, expand(mul(p, rows), output.shape))!;
  });
}

/**
 * Springs through `maxPool2d`, `amax` and `amin`: p follows the winner, as the gradient does; the others get nothing. One that wins
 * several windows adds up what they ask. A target below the runner-up is met by the winner alone, and then the runner-up
 * wins: `targetMaxPool` asks that one too.
 *
 *     const image = tensor([[[[1, 2], [3, 4]]]]).requiresGrad_();
 *     const pooled = setRule(maxPool2d(image, { kernelSize: 2 }), springMaxPool());
 *     backward(target(pooled, tensor([[[[3.5]]]]), { precision: 1 }));
 *     inboxOf(image).step().toArray(); // [[[[0, 0], [0, -0.5]]]]
 */
export function springMaxPool(): NodeRule {
  return springRule('springMaxPool', (visit, p) => visit.gradientFor(0, expand(p, visit.output.shape))!);
}

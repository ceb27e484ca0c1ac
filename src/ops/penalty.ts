/** The penalty that holds weights near values: 1/2 sum p (w - at)^2, a scalar. */
import { defineOp, type Op } from '../autograd/define.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocate } from '../tensor/access.ts';
import { asTensor, tensor } from '../tensor/create.ts';
import { broadcastShapes, sameShape, scalarLayout, showShape } from '../tensor/layout.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';
import { inTiles, minus, times } from '../tensor/tiles.ts';
import { mul, sub } from './binary.ts';
import { square } from './elementwise.ts';
import { expand } from './sum.ts';

/** All three of one shape. */
const penaltyOp: Op<[Tensor, Tensor, Tensor], undefined> = defineOp({
  name: 'quadraticPenalty',
  inputs: ['w', 'at', 'precision'],
  forward: (inputs) => {
    const out = allocate(scalarLayout);
    const total = address(out);
    run.fill(total, 1, 0);
    inTiles(inputs, [], ([w, at, precision], n, away, pull) => {
      minus(w!, at!, away, n);
      times(away, precision!, pull, n);
      times(away, pull, away, n);
      run.sum(away, total, 1, n, 1, 1);
    });
    run.scale(total, total, 1, 0.5, 0);
    return out;
  },
  gradient: [
    ({ inputs: [w, at, precision] }, g) => mul(mul(precision, sub(w, at)), g),
    ({ inputs: [w, at, precision] }, g) => mul(mul(precision, sub(at, w)), g),
    ({ inputs: [w, at] }, g) => mul(square(sub(w, at)), mul(g, 0.5)),
  ],
  raw: [
    ({ inputs }, g, out, accumulate) => {
      const factor = address(g);
      let to = out;
      inTiles(inputs, [], ([w, at, precision], n, pull) => {
        minus(w!, at!, pull, n);
        times(pull, precision!, pull, n);
        // A product of one number with a row, written or added.
        run.gemm(factor, 1, 1, pull, n, 1, to, n, 1, n, 1, accumulate, 0, 0);
        to += n;
      });
    },
    null,
    null,
  ],
  reads: 'inputs',
  // A precision may be below 0.
  feasible: 'everything',
  samples: (draw) =>
    [[2, 3], [5], []].map((shape) => ({
      inputs: [draw.normal(shape), draw.normal(shape), draw.normal(shape)],
      attributes: undefined,
    })),
});

/**
 * 1/2 sum p (w - at)^2 over all elements, as one op: what elastic weight consolidation and its relatives add to a loss, with
 * p = lambda F. The gradient of w is p (w - at). All three may have derivatives, of any order; p may be negative.
 *
 * @param at of the shape of w
 * @param precision p: a number, or a tensor that broadcasts to the shape of w
 *
 *     const w = parameter(tensor([1, 2]));
 *     const penalty = quadraticPenalty(w, zeros([2]), tensor([10, 1]));
 *     penalty.item(); // 7
 *     penalty.backward();
 *     w.grad.toArray(); // [10, 2]
 */
export function quadraticPenalty(w: Tensor, at: Tensor, precision: Tensor | number): Tensor {
  checkTensor('quadraticPenalty', w);
  checkTensor('quadraticPenalty', at);
  if (!sameShape(w.shape, at.shape))
    throw new Error(
      `quadraticPenalty: w has shape ${showShape(w.shape)}, at has ${showShape(at.shape)}. They must be equal.`,
    );
  const given = typeof precision === 'number' ? tensor(precision) : asTensor('quadraticPenalty', precision);
  if (sameShape(given.shape, w.shape)) return penaltyOp(w, at, given);
  if (!sameShape(broadcastShapes('quadraticPenalty: precision', given.shape, w.shape), w.shape))
    throw new Error(
      `quadraticPenalty: a precision of shape ${showShape(given.shape)} does not broadcast to w, of shape ${showShape(w.shape)}.`,
    );
  return penaltyOp(w, at, expand(given, w.shape));
}

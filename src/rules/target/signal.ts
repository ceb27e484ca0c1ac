/**
 * What a linear layer y = x W^T asks of its input when its output is asked to move by dy: a displacement dx, and one
 * precision for each sample or each element. W^T P W, the precision that follows from the output's, is no diagonal;
 * each form below is a diagonal with another virtue.
 */
import { div, mul } from '../../ops/binary.ts';
import { abs, square } from '../../ops/elementwise.ts';
import { matmul } from '../../ops/matmul.ts';
import { sum } from '../../ops/sum.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { leastChange } from './solve.ts';
import { ratio, type Wish } from './wish.ts';

/**
 * - mean (published): dx = 1/O sum_o dy_o w_o with precision sum_o p_o. A gradient step of size 1 / O on 1/2 |dy - dx
 *   W^T|^2: it cannot overshoot while the largest eigenvalue of W W^T stays below 2 O, but shrinks by |W|^2 / O in each
 *   layer, so that little of it is left two layers down.
 * - sum: dx = sum_o dy_o w_o with the mean of the p_o. Backpropagation's signal. Reaches deep; overshoots where W is
 *   large.
 * - perNeuronNorm: dx = 1/O sum_o dy_o w_o / |w_o|^2. Each neuron's own least change, averaged: what it does to the
 *   output is the same for W and 2 W.
 * - ridge: dx = dy (W W^T + ridge tr(W W^T) / O I)^-1 W. What all neurons need together, damped: a Gauss-Newton step
 *   (Meulemans et al., "A theoretical framework for target propagation", 2020). Reaches deep and needs no small
 *   weights; a Cholesky factor [O, O] a step, and one for each sample where precisions differ within samples.
 * - safe: dx_i = sum_o p_o dy_o W_oi / p_i with p_i = sum_o p_o |W_oi| sum_j |W_oj|, the diagonal above W^T P W: what
 *   is asked never overshoots, whatever W is.
 *
 * mean, sum and safe are consistent: their p dx is the gradient. The other two ask for another direction.
 */
export const signals = ['mean', 'sum', 'perNeuronNorm', 'ridge', 'safe'] as const;
export type Signal = (typeof signals)[number];

export interface Asked {
  /** [rows, in] */
  readonly displacement: Tensor;
  /** [], [rows, 1] or [rows, in] */
  readonly precision: Tensor;
}

/** The wish for the input of a linear layer, from the wish for its output [rows, out] and its weight [out, in]. */
export function askInput(signal: Signal, weight: Tensor, wish: Wish, ridge: number): Asked {
  const { displacement: dy, precision: p, uniform } = wish;
  const outputs = Math.max(1, weight.shape[0]!);
  const total = uniform ? mul(p, outputs) : sum(p, 1, true);
  const weighed = uniform ? div(dy, outputs) : ratio(mul(p, dy), total);
  switch (signal) {
    case 'mean':
      return { displacement: matmul(weighed, weight), precision: total };
    case 'sum':
      return { displacement: matmul(mul(weighed, outputs), weight), precision: div(total, outputs) };
    case 'perNeuronNorm': {
      const norms = sum(square(weight), 1, true);
      return { displacement: matmul(weighed, ratio(weight, norms)), precision: total };
    }
    case 'ridge':
      return { displacement: leastChange(weight, dy, uniform ? null : p, ridge), precision: total };
    case 'safe': {
      const size = abs(weight);
      const reach = mul(size, sum(size, 1, true));
      const each = uniform ? null : matmul(p, reach);
      const bound = each ?? sum(reach, 0, true);
      return {
        // Of a uniform precision the number stands above and below the line.
        displacement: ratio(matmul(uniform ? dy : mul(p, dy), weight), bound),
        precision: each ?? mul(p, bound),
      };
    }
  }
}

/**
 * Claim 5: outputs that are right already get no compensation under backpropagation; predictive coding compensates.
 *
 * On a chain 1 - ... - 1 - 2 of linear layers with one sample, one output wrong and one right. What one step does to the outputs is
 * measured for both rules; test/rules/predictive holds the same function to theory.
 */

import { backward, Linear, linear, noGrad, target, tensor } from '../../../src/index.ts';
import { type Interference, interference } from '../../../test/rules/predictive/interference.ts';
import { doubles } from './statistics.ts';

export interface CompensationRow extends Interference {
  readonly learningRate: number;
  /** Every weight at first. */
  readonly weight: number;
}

export interface CompensationFigures {
  /** Norm of backpropagation's gradient of the right output's own weights; the claim is that it is 0. */
  readonly ownGradient: number;
  /** The same of the wrong output's, for comparison. */
  readonly othersGradient: number;
  readonly rows: readonly CompensationRow[];
}

export interface CompensationOptions {
  readonly depths?: readonly number[];
  readonly weights?: readonly number[];
  readonly learningRates?: readonly number[];
}

export function compensation({
  depths = [1, 2, 3, 4, 5],
  weights = [0.7, 1, 1.5],
  learningRates = [0.001],
}: CompensationOptions = {}): CompensationFigures {
  const [wrong, right] = ownGradients();
  return {
    ownGradient: right,
    othersGradient: wrong,
    rows: weights.flatMap((weight) =>
      learningRates.flatMap((learningRate) =>
        interference({ depths, weight, learningRate }).map((row) => ({ ...row, weight, learningRate })),
      ),
    ),
  };
}

/** |dL/dw| of each output's weights in a 1-1-2 network of ones whose first output should be 0 and whose second is right. */
function ownGradients(): [wrong: number, right: number] {
  const [below, above] = [new Linear(1, 1, { bias: false }), new Linear(1, 2, { bias: false })];
  noGrad(() => {
    below.weight.fill_(1);
    above.weight.fill_(1);
  });
  const outputs = linear(below.forward(tensor([[1]])), above.weight);
  backward(target(outputs, tensor([[0, 1]]), { precision: 1 }));
  const [wrong, right] = doubles(above.weight.grad!);
  return [Math.abs(wrong!), Math.abs(right!)];
}

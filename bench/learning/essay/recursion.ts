/**
 * Claim 1: errors are computed recursively, delta_l = (W_{l+1}^T delta_{l+1}) * f'(a_l), and each weight learns from what is at
 * its two ends, dL/dW_l = delta_l h_{l-1}^T.
 *
 * A network runs once with hooks that write down every message. The formulas are then evaluated in plain TypeScript, layer by
 * layer, each from what was written down at its neighbours only, and compared with what the engine sent.
 */

import { inFloat64 } from '../../../src/autograd/check.ts';
import { Generator, linear, onEdge, onValue, type Tensor, tanh, tensor } from '../../../src/index.ts';
import { audit } from '../../../src/inspect/audit.ts';
import type { Report } from '../../../src/inspect/report.ts';
import { doubles, relativeError } from './statistics.ts';

const WIDTHS = [6, 8, 8, 4] as const;
const LAYERS = WIDTHS.length - 1;
const BATCH = 3;

/** Largest differences between formula and engine, relative to the largest entry. */
export interface Agreement {
  /** e_l = W_{l+1}^T delta_{l+1}, against the message on the edge from a_{l+1} to h_l. */
  readonly error: number;
  /** delta_l = e_l * f'(a_l), against the message to a_l. */
  readonly delta: number;
  /** delta_l h_{l-1}^T, against the gradient of W_l. */
  readonly weight: number;
}

export interface RecursionFigures {
  readonly widths: readonly number[];
  readonly float32: Agreement;
  readonly float64: Agreement;
  /** The gradient against central differences of the loss, float64. */
  readonly differences: number;
  /** Ops that answered in the backward walk, and the tensors they read that are neither their own nor arrived there. */
  readonly answering: number;
  readonly foreignReads: number;
  /** d a_{l+1} / d a_l against differences: read as W diag(f'(a_l)), and as diag(f'(a_l)) W. */
  readonly jacobian: { readonly scaledColumns: number; readonly scaledRows: number };
}

/** What is needed to build the network again: plain numbers, row-major. */
interface Numbers {
  /** [to, from] of each layer. */
  readonly weights: readonly number[][];
  /** [batch, first width] */
  readonly input: readonly number[];
  /** [batch, last width] */
  readonly wanted: readonly number[];
}

function draw(seed: number): Numbers {
  const generator = new Generator(seed);
  const normals = (count: number, scale: number): number[] =>
    Array.from({ length: count }, () => scale * generator.normal());
  return {
    weights: WIDTHS.slice(1).map((to, l) => normals(to * WIDTHS[l]!, 1 / Math.sqrt(WIDTHS[l]!))),
    input: normals(BATCH * WIDTHS[0], 1),
    wanted: normals(BATCH * WIDTHS[LAYERS]!, 1),
  };
}

interface Graph {
  readonly weights: readonly Tensor[];
  /** h_0 to h_{L-1}. */
  readonly inputs: readonly Tensor[];
  /** a_1 to a_L. */
  readonly sums: readonly Tensor[];
  readonly loss: Tensor;
}

/** a_l = h_{l-1} W_l^T (rows are samples), h_l = tanh(a_l), L = 1/2 |a_L - t|^2: the output is linear, as L = E(a_L - t) says. */
function build({ weights: numbers, input, wanted }: Numbers): Graph {
  const weights = numbers.map((w, l) => tensor(w, [WIDTHS[l + 1]!, WIDTHS[l]!]).requiresGrad_());
  const inputs: Tensor[] = [];
  const sums: Tensor[] = [];
  let h = tensor([...input], [BATCH, WIDTHS[0]]);
  for (const weight of weights) {
    const a = linear(h, weight);
    inputs.push(h);
    sums.push(a);
    h = tanh(a);
  }
  const missed = sums[LAYERS - 1]!.sub(tensor([...wanted], [BATCH, WIDTHS[LAYERS]!]));
  return { weights, inputs, sums, loss: missed.square().sum().mul(0.5) };
}

/** What one backward walk says, by layer (layer l of the paper is entry l - 1). */
interface Recorded {
  readonly weights: readonly Float64Array[];
  readonly inputs: readonly Float64Array[];
  readonly sums: readonly Float64Array[];
  readonly deltas: readonly Float64Array[];
  /** e_l for l = 1 to L - 1. */
  readonly errors: readonly Float64Array[];
  readonly gradients: readonly Float64Array[];
}

function record(numbers: Numbers): Recorded {
  const { weights, inputs, sums, loss } = build(numbers);
  const deltas: Float64Array[] = [];
  const errors: Float64Array[] = [];
  for (const [l, a] of sums.entries()) {
    onValue(a, (message) => {
      deltas[l] = doubles(message.gradient());
    });
    if (l > 0)
      onEdge(a, 0, (message) => {
        errors[l - 1] = doubles(message.gradient());
      });
  }
  const [w, h, a] = [weights, inputs, sums].map((list) => list.map(doubles)) as [
    Float64Array[],
    Float64Array[],
    Float64Array[],
  ];
  loss.backward();
  return { weights: w, inputs: h, sums: a, deltas, errors, gradients: weights.map(({ grad }) => doubles(grad!)) };
}

/** Formula against engine; the largest difference over the layers. */
function agreement({ weights, inputs, sums, deltas, errors, gradients }: Recorded): Agreement {
  const worst = { error: 0, delta: 0, weight: 0 };
  for (let l = 0; l < LAYERS; l++) {
    const [from, to] = [WIDTHS[l]!, WIDTHS[l + 1]!];
    const outer = new Float64Array(to * from);
    for (let b = 0; b < BATCH; b++)
      for (let i = 0; i < to; i++)
        for (let j = 0; j < from; j++) outer[i * from + j]! += deltas[l]![b * to + i]! * inputs[l]![b * from + j]!;
    worst.weight = Math.max(worst.weight, relativeError(gradients[l]!, outer));
    if (l === LAYERS - 1) continue;
    const above = WIDTHS[l + 2]!;
    const error = new Float64Array(BATCH * to);
    for (let b = 0; b < BATCH; b++)
      for (let i = 0; i < above; i++)
        for (let j = 0; j < to; j++)
          error[b * to + j]! += weights[l + 1]![i * to + j]! * deltas[l + 1]![b * above + i]!;
    const delta = error.map((e, k) => e * (1 - Math.tanh(sums[l]![k]!) ** 2));
    worst.error = Math.max(worst.error, relativeError(errors[l]!, error));
    worst.delta = Math.max(worst.delta, relativeError(deltas[l]!, delta));
  }
  return worst;
}

/** The gradients of the weights against central differences of the loss. */
function differences(numbers: Numbers, gradients: readonly Float64Array[]): number {
  const step = 1e-5;
  const lossAt = (l: number, k: number, by: number): number =>
    build({ ...numbers, weights: numbers.weights.map((w, m) => (m === l ? w.with(k, w[k]! + by) : w)) }).loss.item();
  const errors = gradients.map((gradient, l) => {
    const numeric = gradient.map((_, k) => (lossAt(l, k, step) - lossAt(l, k, -step)) / (2 * step));
    return relativeError(numeric, gradient);
  });
  return Math.max(...errors);
}

/** Both readings of "W * f'(a)" between the two hidden layers (of one size, or the second would not even fit). */
function jacobian({ weights, sums }: Recorded): RecursionFigures['jacobian'] {
  const n = WIDTHS[1];
  const [w, a] = [weights[1]!, sums[0]!.subarray(0, n)];
  const slopes = a.map((x) => 1 - Math.tanh(x) ** 2);
  const step = 1e-6;
  const numeric = new Float64Array(n * n);
  const columns = new Float64Array(n * n);
  const rows = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const k = i * n + j;
      numeric[k] = (w[k]! * (Math.tanh(a[j]! + step) - Math.tanh(a[j]! - step))) / (2 * step);
      columns[k] = w[k]! * slopes[j]!;
      rows[k] = w[k]! * slopes[i]!;
    }
  return { scaledColumns: relativeError(columns, numeric), scaledRows: relativeError(rows, numeric) };
}

/** Tensors that rules read and that are neither their node's own nor arrived there nor a state of the rule. */
export const foreignReads = ({ nodes }: Report): number =>
  nodes.flatMap(({ reads }) => reads.filter(({ kind }) => kind !== 'state')).length;

export function recursion(seed = 1): RecursionFigures {
  const numbers = draw(seed);
  const single = record(numbers);
  const [double, numeric] = inFloat64(() => {
    const recorded = record(numbers);
    return [recorded, differences(numbers, recorded.gradients)] as const;
  });
  const report = audit(build(numbers).loss);
  return {
    widths: WIDTHS,
    float32: agreement(single),
    float64: agreement(double),
    differences: numeric,
    answering: report.nodes.filter(({ op }) => op !== null).length,
    foreignReads: foreignReads(report),
    jacobian: jacobian(double),
  };
}

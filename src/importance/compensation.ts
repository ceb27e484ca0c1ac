/**
 * Optimal brain surgeon, layer by layer: which weights a layer can do without, and how the others make up for them.
 *
 * For a unit with weights w and inputs X (a column of ones for the bias), what its output changes by in the mean square when
 * w becomes w + d is d^T H d, H = X^T X / rows + damping I. If weights R are to change by d_R, the least change has
 *
 *     d_K = -H_KK^-1 H_KR d_R = (H^-1)_KR ((H^-1)_RR)^-1 d_R        K: those that are kept
 *
 * and for a single weight i that goes, w_i^2 / (H^-1)_ii. Hassibi and Stork, "Second order derivatives for network pruning:
 * optimal brain surgeon" (1993); by layers: Dong, Chen and Pan, "Learning to prune deep neural networks via layer-wise
 * optimal brain surgeon" (2017).
 */
import { noGrad } from '../autograd/modes.ts';
import { solvePositive } from '../ops/solve.ts';
import { eye, tensor } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import type { Repair } from './curve.ts';
import { gramOf, layerCallsOf } from './layer-inputs.ts';
import { overBatches, parametersOf, type Subject } from './measure.ts';
import { writeNumbers } from './removal.ts';

export interface DampingOptions {
  /** What is added to the diagonal of X^T X / rows, as a fraction of its mean, above 0; 0.01 unless given. */
  readonly damping?: number | undefined;
}

/** A kernel (and its bias) with H of what it reads, one for each group of a convolution. */
export interface LayerHessian {
  readonly weight: string;
  readonly bias: string | null;
  readonly kernel: Tensor;
  readonly shift: Tensor | null;
  /** Columns of H: those of the kernel, and one for the bias if there is one. */
  readonly columns: number;
  /** Damped, [columns, columns], one a group. */
  readonly matrices: readonly Tensor[];
}

/** H of every layer whose kernel is a parameter. */
export function layerHessians(who: string, subject: Subject, { damping = 0.01 }: DampingOptions = {}): LayerHessian[] {
  if (!(damping > 0 && damping < Infinity))
    throw new RangeError(
      `${who}: damping is a fraction of the mean of the diagonal, above 0, and not ${String(damping)}.`,
    );
  const names = new Map(Array.from(parametersOf(who, subject.model), ([name, parameter]) => [parameter, name]));
  const found = new Map<Tensor, { bias: Tensor | null; sums: Float64Array[]; rows: number; columns: number }>();
  overBatches(who, subject, ({ x }) => {
    for (const { weight, bias, groups, rows } of layerCallsOf(subject.model.forward(x))) {
      if (!names.has(weight)) continue;
      const columns = weight.size / weight.shape[0]! + (bias === null ? 0 : 1);
      const fresh = () => Array.from({ length: groups }, () => new Float64Array(columns * columns));
      const so = found.get(weight) ?? { bias, sums: fresh(), rows: 0, columns };
      found.set(weight, so);
      if (so.bias !== bias)
        throw new Error(
          `${who}: the kernel ${names.get(weight)} is used with several biases, so its inputs have no common matrix.`,
        );
      so.sums.forEach((sum, group) => {
        const seen = rows(group);
        if (group === 0) so.rows += seen.rows;
        const gram = numbersOf(noGrad(() => gramOf(seen, bias !== null)));
        for (let i = 0; i < sum.length; i++) sum[i]! += gram[i]!;
      });
    }
  });
  return Array.from(found, ([kernel, { bias, sums, rows, columns }]) => ({
    weight: names.get(kernel)!,
    bias: bias === null ? null : (names.get(bias) ?? null),
    kernel,
    shift: bias,
    columns,
    matrices: sums.map((sum) => damped(sum, columns, rows, damping)),
  }));
}

function damped(sum: Float64Array, columns: number, rows: number, damping: number): Tensor {
  let trace = 0;
  for (let i = 0; i < columns; i++) trace += sum[i * columns + i]! / rows;
  // Where nothing ever comes in, every matrix is as good.
  const ridge = trace === 0 ? 1 : (damping * trace) / columns;
  return tensor(
    sum.map((x, i) => x / rows + (i % (columns + 1) === 0 ? ridge : 0)),
    [columns, columns],
  );
}

/** The diagonal of the inverse of a symmetric positive definite matrix. */
export function inverseDiagonal(matrix: Tensor): Float64Array {
  const n = matrix.shape[0]!;
  const inverse = numbersOf(noGrad(() => solvePositive(matrix, eye(n))));
  return Float64Array.from({ length: n }, (_, i) => inverse[i * n + i]!);
}

/**
 * The weights that remain make up for those that are gone: each unit's output, on the data, changes as little as it can. Give
 * it to `removalCurve` as repair, or call `apply` after a removal. It takes a solve for every unit.
 *
 *     const net = new Sequential(new Linear(2, 1, { bias: false }));
 *     const batches = () => [{ x: tensor([[1, 1], [2, 2]]), labels: Int32Array.of(0, 0) }];
 *     const compensation = new Compensation({ model: net, batches }, { damping: 1e-5 });
 *     const [before, other] = net.at(0).weight.toFloat32Array();
 *     noGrad(() => net.at(0).weight.copy_(tensor([[0, other]]))); // both inputs are the same:
 *     compensation.apply(new Map([['0.weight', Uint8Array.of(1, 0)]])); // the other takes over
 *     Math.abs(net.at(0).weight.toFloat32Array()[1] - before - other) < 1e-3; // true
 */
export class Compensation implements Repair {
  readonly #layers: readonly (LayerHessian & { readonly kept: Kept })[];

  constructor(subject: Subject, options: DampingOptions = {}) {
    this.#layers = layerHessians('Compensation', subject, options).map((layer) => ({ ...layer, kept: keep(layer) }));
  }

  /**
   * Changes the weights that remain, for those that are gone and hold something else than at the start.
   *
   * @param gone by the name of the parameter, 1 for each element that is gone; one that is missing is whole
   */
  apply(gone: ReadonlyMap<string, Uint8Array>): void {
    for (const layer of this.#layers) {
      const now = keep(layer);
      const [goneWeights, goneBias] = [gone.get(layer.weight), layer.bias === null ? undefined : gone.get(layer.bias)];
      if (goneWeights === undefined && goneBias === undefined) continue;
      const units = layer.kernel.shape[0]!;
      const width = layer.kernel.size / units;
      for (let unit = 0; unit < units; unit++) {
        const at = (column: number) => unit * width + column;
        const isGone = (column: number) => (column < width ? goneWeights?.[at(column)] : goneBias?.[unit]) === 1;
        const change = (column: number) =>
          column < width
            ? now.weights[at(column)]! - layer.kept.weights[at(column)]!
            : now.shifts![unit]! - layer.kept.shifts![unit]!;
        const matrix = layer.matrices[Math.floor((unit * layer.matrices.length) / units)]!;
        for (const [column, by] of answer(matrix, layer.columns, isGone, change))
          if (column < width) now.weights[at(column)]! += by;
          else now.shifts![unit]! += by;
      }
      put(layer, now);
    }
  }

  /** All weights and biases of the layers as they were when this was made. */
  restore(): void {
    for (const layer of this.#layers) put(layer, layer.kept);
  }
}

interface Kept {
  readonly weights: Float32Array | Float64Array;
  readonly shifts: Float32Array | Float64Array | null;
}

const keep = ({ kernel, shift }: LayerHessian): Kept => ({
  weights: numbersOf(kernel),
  shifts: shift === null ? null : numbersOf(shift),
});

function put({ kernel, shift }: LayerHessian, { weights, shifts }: Kept): void {
  writeNumbers(kernel, weights);
  if (shift !== null && shifts !== null) writeNumbers(shift, shifts);
}

/** By how much each column that stays changes: d_K = -H_KK^-1 H_KR d_R. */
function answer(
  matrix: Tensor,
  columns: number,
  isGone: (column: number) => boolean,
  change: (column: number) => number,
): [column: number, by: number][] {
  const all = Array.from({ length: columns }, (_, i) => i);
  const [goes, stays] = [all.filter(isGone), all.filter((column) => !isGone(column))];
  const changes = goes.map(change);
  if (stays.length === 0 || changes.every((d) => d === 0)) return [];
  const h = numbersOf(matrix);
  const right = Float64Array.from(stays, (row) =>
    goes.reduce((sum, column, i) => sum - h[row * columns + column]! * changes[i]!, 0),
  );
  const block = new Float64Array(stays.length ** 2);
  stays.forEach((row, i) => {
    stays.forEach((column, j) => {
      block[i * stays.length + j] = h[row * columns + column]!;
    });
  });
  const solved = numbersOf(noGrad(() => solvePositive(tensor(block, [stays.length, stays.length]), tensor(right))));
  return stays.map((column, i) => [column, solved[i]!]);
}

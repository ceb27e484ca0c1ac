/**
 * Hard choices as layers: the n largest of a row, or all above its mean, become 1, the others 0. They are steps, flat
 * wherever they are smooth. Their gradient rule is a surrogate, straight-through: the gradient of the choice goes to
 * what was chosen from (Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic
 * neurons", 2013).
 */
import { everywhere } from '../autograd/apart.ts';
import { defineOp, type Op } from '../autograd/define.ts';
import { tensor } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import { checkTensor, numbersOf, type Tensor } from '../tensor/tensor.ts';
import { ne, where } from './binary.ts';

/** Each row, along the last axis, turned into another. */
function byRow(x: Tensor, choose: (row: Float32Array | Float64Array) => void): Tensor {
  const numbers = numbersOf(x);
  const size = x.shape.at(-1) ?? 1;
  for (let start = 0; start < numbers.length; start += size) choose(numbers.subarray(start, start + size));
  return tensor(numbers, x.shape);
}

/** NaN counts as the largest, as it does where it is the maximum; the first of equals wins. */
function chooseLargest(row: Float32Array | Float64Array, n: number): void {
  const order = Array.from(row.keys()).sort((i, j) => {
    const [a, b] = [row[i]!, row[j]!];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return i - j;
    return Number.isNaN(a) || a > b ? -1 : 1;
  });
  row.fill(0);
  for (const winner of order.slice(0, n)) row[winner] = 1;
}

const winnersOp: Op<[Tensor], number> = defineOp({
  name: 'winners',
  inputs: ['x'],
  forward: ([x], n) => byRow(x, (row) => chooseLargest(row, n)),
  gradient: [(_, g) => g],
  perExample: everywhere,
  reads: 'nothing',
  surrogate: true,
  // The nearest choice of n: sum (y - t)^2 is least where the n largest t are 1.
  feasible: {
    is: 'exact',
    project: (wished, { attributes: n }) =>
      where(
        ne(wished, wished),
        wished,
        byRow(wished, (row) => chooseLargest(row, n)),
      ),
  },
  samples: (draw) => [
    { inputs: [draw.distinct([3, 4])], attributes: 1 },
    { inputs: [draw.distinct([2, 5])], attributes: 2 },
  ],
});

/**
 * 1 for the n largest along the last axis, 0 for the others: which class it is (n = 1), or which n. Of equals the first
 * wins. Gradients pass straight through; `targetWinners` is the rule for targets.
 *
 *     winners(tensor([[3, 1, 2], [0, 0, 5]]), 2).toArray();    // [[1, 0, 1], [1, 0, 1]]
 */
export function winners(x: Tensor, n = 1): Tensor {
  checkTensor('winners', x);
  const size = x.shape.at(-1);
  if (size === undefined || !Number.isInteger(n) || n < 1 || n > size)
    throw new Error(
      `winners: ${String(n)} of a row of x ${showShape(x.shape)}: the number of winners is whole, from 1 to the size ` +
        'of the last axis.',
    );
  return winnersOp(x, n);
}

function aboveMean(row: Float32Array | Float64Array): void {
  let sum = 0;
  for (const x of row) sum += x;
  const mean = sum / row.length;
  for (let i = 0; i < row.length; i++) row[i] = row[i]! > mean ? 1 : 0;
}

/** The nearest zeros and ones, not all of them ones: nobody is above the mean where all are equal. */
function nearestBits(row: Float32Array | Float64Array): void {
  let least = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! < row[least]!) least = i;
  const all = row.every((x) => x > 0.5);
  for (let i = 0; i < row.length; i++) row[i] = row[i]! > 0.5 && !(all && i === least) ? 1 : 0;
}

/**
 * 1 for what is above the mean of its row (along the last axis), 0 for the others. Gradients pass straight through;
 * `targetBinarize` is the rule for targets.
 *
 *     binarize(tensor([[1, 2, 6], [4, 4, 4]])).toArray();    // [[0, 0, 1], [0, 0, 0]]
 */
export const binarize: Op<[Tensor], undefined> = defineOp({
  name: 'binarize',
  inputs: ['x'],
  forward: ([x]) => byRow(x, aboveMean),
  gradient: [(_, g) => g],
  perExample: everywhere,
  reads: 'nothing',
  surrogate: true,
  feasible: {
    is: 'exact',
    project: (wished) => where(ne(wished, wished), wished, byRow(wished, nearestBits)),
  },
  samples: (draw) => [{ inputs: [draw.distinct([3, 4])], attributes: undefined }],
});

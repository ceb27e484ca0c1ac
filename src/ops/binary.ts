/**
 * Elementwise functions of two tensors, with NumPy's broadcasting. The gradient of an operand that was broadcast is
 * summed over the axes along which it was repeated.
 */
import { provideArithmetic } from '../autograd/arithmetic.ts';
import { defineOp, type Op, type OpDefinition, type Projection, type Sample } from '../autograd/define.ts';
import type { Draw } from '../autograd/samples.ts';
import type { BinaryName } from '../kernels/table.ts';
import { run } from '../storage/dispatch.ts';
import { address, allocate, allocateShape, contiguous } from '../tensor/access.ts';
import { broadcastShapes, broadcastStrides, sameShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { identity } from './shape.ts';
import { broadcasting, expand, sum, sumTo } from './sum.ts';

/** An axis that both operands walk along with one stride each. */
interface Axis {
  size: number;
  a: number;
  b: number;
}

/** Runs a two-operand kernel with broadcasting: out = f(a, b). */
export function zip(kernel: BinaryName, a: Tensor, b: Tensor): Tensor {
  if (a.layout.contiguous && b.layout.contiguous) {
    const same = a.layout === b.layout || sameShape(a.layout.shape, b.layout.shape);
    if (same) return flat(kernel, a, 1, b, 1, a);
    if (b.size === 1 && b.ndim <= a.ndim) return flat(kernel, a, 1, b, 0, a);
    if (a.size === 1 && a.ndim <= b.ndim) return flat(kernel, a, 0, b, 1, b);
  }
  const shape = broadcastShapes(kernel, a.shape, b.shape);
  const out = allocateShape(shape);
  if (out.size === 0) return out;
  // The kernel steps along columns by 0 or 1; an operand that does otherwise is packed.
  let axes = jointAxes(shape, a, b);
  const { a: aStep, b: bStep } = axes.at(-1) ?? { a: 0, b: 0 };
  if ((aStep !== 0 && aStep !== 1) || (bStep !== 0 && bStep !== 1)) {
    a = contiguous(a);
    b = contiguous(b);
    axes = jointAxes(shape, a, b);
  }
  overAxes(kernel, axes, address(a), address(b), address(out));
  return out;
}

/** Both operands run through their memory once (step 1), or stand still (step 0). */
function flat(kernel: BinaryName, a: Tensor, aStep: number, b: Tensor, bStep: number, like: Tensor): Tensor {
  const out = allocate(like.layout);
  run[kernel](address(a), 0, aStep, address(b), 0, bStep, address(out), 1, out.size);
  return out;
}

/** The axes of the result, neighbours joined where both operands allow it. */
function jointAxes(shape: readonly number[], a: Tensor, b: Tensor): Axis[] {
  const aSteps = broadcastStrides(a.shape, a.layout.strides, shape);
  const bSteps = broadcastStrides(b.shape, b.layout.strides, shape);
  const axes: Axis[] = [];
  shape.forEach((size, i) => {
    if (size === 1) return;
    const axis = { size, a: aSteps[i]!, b: bSteps[i]! };
    const before = axes.at(-1);
    if (before !== undefined && before.a === axis.a * size && before.b === axis.b * size)
      axes[axes.length - 1] = { size: before.size * size, a: axis.a, b: axis.b };
    else axes.push(axis);
  });
  return axes;
}

/** Calls the kernel for the last two axes, for each index of the others. Gives the address behind what it wrote. */
function overAxes(kernel: BinaryName, axes: readonly Axis[], a: number, b: number, out: number): number {
  if (axes.length > 2) {
    const [first, ...rest] = axes as [Axis, ...Axis[]];
    for (let i = 0; i < first.size; i++) out = overAxes(kernel, rest, a + i * first.a, b + i * first.b, out);
    return out;
  }
  const columns = axes.at(-1) ?? { size: 1, a: 0, b: 0 };
  const rows = axes.length === 2 ? axes[0]! : { size: 1, a: 0, b: 0 };
  run[kernel](a, rows.a, columns.a, b, rows.b, columns.b, out, rows.size, columns.size);
  return out + rows.size * columns.size;
}

type Pair = [Tensor, Tensor];

/** Whether no derivative reaches an operand: it is what it is, and the other one has to do. */
const isFixed = (x: Tensor) => x.node === null;

const pairs =
  (second: (draw: Draw, shape: number[]) => Tensor) =>
  (draw: Draw): Sample<Pair, undefined>[] =>
    [
      [
        [3, 4],
        [3, 4],
      ],
      [[2, 3, 4], [4]],
      [
        [2, 1, 4],
        [3, 1],
      ],
      [[], [3]],
    ].map(([a, b]) => ({ inputs: [draw.normal(a!), second(draw, b!)], attributes: undefined }));
const anyPairs = pairs((draw, shape) => draw.normal(shape));

function binary(
  name: BinaryName,
  rest: Pick<OpDefinition<Pair, undefined>, 'gradient' | 'raw' | 'reads' | 'samples'> &
    Required<Pick<OpDefinition<Pair, undefined>, 'feasible'>>,
): Op<Pair, undefined> {
  const op: Op<Pair, undefined> = defineOp<Pair>({
    name,
    inputs: ['a', 'b'],
    forward: ([a, b]) => zip(name, a, b),
    perExample: broadcasting(() => op),
    ...rest,
  });
  return op;
}

export const add = binary('add', {
  gradient: [({ inputs: [a] }, g) => sumTo(g, a.shape), ({ inputs: [, b] }, g) => sumTo(g, b.shape)],
  reads: 'nothing',
  feasible: 'everything',
  samples: anyPairs,
});
export const sub = binary('sub', {
  gradient: [({ inputs: [a] }, g) => sumTo(g, a.shape), ({ inputs: [, b] }, g) => sumTo(negated(g), b.shape)],
  reads: 'nothing',
  feasible: 'everything',
  samples: anyPairs,
});
export const mul = binary('mul', {
  gradient: [
    ({ inputs: [a, b] }, g) => sumTo(mul(g, b), a.shape),
    ({ inputs: [a, b] }, g) => sumTo(mul(g, a), b.shape),
  ],
  reads: 'inputs',
  // Nothing but 0 comes out where a fixed factor, a mask say, is 0.
  feasible: {
    is: 'exact',
    project: (wished, { inputs: [a, b] }) => withoutZeros(withoutZeros(wished, a), b),
  },
  samples: anyPairs,
});
const withoutZeros = (wished: Tensor, factor: Tensor): Tensor =>
  isFixed(factor) && numbersOf(factor).includes(0) ? where(eq(factor, 0), 0, wished) : wished;
export const div = binary('div', {
  gradient: [
    ({ inputs: [a, b] }, g) => sumTo(div(g, b), a.shape),
    ({ inputs: [, b], output }, g) => sumTo(negated(div(mul(g, output), b)), b.shape),
  ],
  feasible: { is: 'exact', project: (wished, { inputs: [a] }) => withoutZeros(wished, a) },
  samples: pairs((draw, shape) => draw.awayFromZero(shape)),
});
const negated = (x: Tensor): Tensor => mul(x, -1);

/** What maximum and minimum can give: nothing on the wrong side of an operand that is fixed. */
const beyondFixed = (hold: (wished: Tensor, bound: Tensor) => Tensor): Projection<Pair, undefined> => ({
  is: 'exact',
  project: (wished, { inputs }) => inputs.filter(isFixed).reduce(hold, wished),
});

/** The larger of two; a tie sends half of the gradient to each. */
export const maximum = binary('maximum', {
  gradient: [
    ({ inputs: [a, b] }, g) => sumTo(mul(g, share(gt(a, b), a, b)), a.shape),
    ({ inputs: [a, b] }, g) => sumTo(mul(g, share(lt(a, b), a, b)), b.shape),
  ],
  reads: 'inputs',
  feasible: beyondFixed((wished, bound) => maximum(wished, bound)),
  samples: anyPairs,
});
/** The smaller of two; a tie sends half of the gradient to each. */
export const minimum = binary('minimum', {
  gradient: [
    ({ inputs: [a, b] }, g) => sumTo(mul(g, share(lt(a, b), a, b)), a.shape),
    ({ inputs: [a, b] }, g) => sumTo(mul(g, share(gt(a, b), a, b)), b.shape),
  ],
  reads: 'inputs',
  feasible: beyondFixed((wished, bound) => minimum(wished, bound)),
  samples: anyPairs,
});
const share = (wins: Tensor, a: Tensor, b: Tensor): Tensor => add(wins, mul(eq(a, b), 0.5));

/** Comparisons give 1 where they hold and 0 elsewhere. They are steps: there is no derivative to send. */
const comparison = (name: BinaryName): Op<Pair, undefined> =>
  binary(name, {
    gradient: { because: 'a comparison is a step: flat wherever it is smooth' },
    feasible: { is: 'exact', project: (wished) => where(ne(wished, wished), wished, gt(wished, 0.5)) },
    samples: anyPairs,
  });
export const eq = comparison('eq');
export const ne = comparison('ne');
export const lt = comparison('lt');
export const le = comparison('le');
export const gt = comparison('gt');
export const ge = comparison('ge');

/** a where condition is not 0, b elsewhere, broadcast together. No gradient goes to the condition, and none to what was not taken. */
export const where: Op<[Tensor, Tensor, Tensor], undefined> = defineOp({
  name: 'where',
  inputs: ['condition', 'a', 'b'],
  forward: ([condition, a, b]) => {
    const shape = broadcastShapes('where', broadcastShapes('where', condition.shape, a.shape), b.shape);
    const whole = (x: Tensor) => contiguous(sameShape(x.shape, shape) ? x : expand(x, shape));
    const [c, yes, no] = [whole(condition), whole(a), whole(b)];
    const out = allocateShape(shape);
    run.where(address(c), address(yes), address(no), address(out), out.size);
    return out;
  },
  gradient: [
    () => null,
    ({ inputs: [condition, a] }, g) => sumTo(where(condition, g, 0), a.shape),
    ({ inputs: [condition, , b] }, g) => sumTo(where(condition, 0, g), b.shape),
  ],
  perExample: broadcasting(() => where),
  reads: 'inputs',
  carries: true,
  samples: (draw) => [
    { inputs: [draw.awayFromZero([4, 3]), draw.normal([4, 3]), draw.normal([3])], attributes: undefined },
  ],
});

provideArithmetic({ add, sub, mul, div, eq, maximum, neg: negated, identity, where, expand, sum });

/**
 * Ops that move no numbers: views of the same storage through another layout (reshape copies where strides cannot say
 * it), and what reads the same numbers in another order. Each one's gradient is the way back.
 */
import { everywhere, rowwise } from '../autograd/apart.ts';
import { defineOp, type Op } from '../autograd/define.ts';
import { run } from '../storage/dispatch.ts';
import { windowOf } from '../storage/storage.ts';
import { address, allocateShape, contiguous, copyElements, packed } from '../tensor/access.ts';
import {
  checkList,
  checkShape,
  contiguousLayout,
  normalizeAxes,
  normalizeAxis,
  reshapedStrides,
  sameShape,
  showShape,
  sizeOf,
  stridedLayout,
} from '../tensor/layout.ts';
import { checkTensor, Tensor } from '../tensor/tensor.ts';

/** Another look at the numbers of x. */
function view(x: Tensor, shape: readonly number[], strides: readonly number[], offset = x.offset): Tensor {
  return new Tensor(x.storage, stridedLayout(shape, strides), offset);
}

/** The same tensor as a value of its own in the graph. */
export const identity: Op<[Tensor], undefined> = defineOp({
  name: 'identity',
  inputs: ['x'],
  forward: ([x]) => new Tensor(x.storage, x.layout, x.offset),
  gradient: [(_, g) => g],
  perExample: everywhere,
  reads: 'nothing',
  carries: true,
  samples: (draw) => [{ inputs: [draw.normal([3])], attributes: undefined }],
});

/** A copy with a storage of its own. */
export const clone: Op<[Tensor], undefined> = defineOp({
  name: 'clone',
  inputs: ['x'],
  forward: ([x]) => packed(x),
  gradient: [(_, g) => g],
  perExample: everywhere,
  reads: 'nothing',
  carries: true,
  samples: (draw) => [{ inputs: [draw.normal([2, 3])], attributes: undefined }],
});

const reshapeOp: Op<[Tensor], { shape: readonly number[] }> = defineOp({
  name: 'reshape',
  inputs: ['x'],
  forward: ([x], { shape }) => {
    const strides = x.layout.contiguous ? null : reshapedStrides(x.layout, shape);
    if (strides !== null) return view(x, shape, strides);
    const dense = contiguous(x);
    return new Tensor(dense.storage, contiguousLayout(shape), dense.offset);
  },
  gradient: [({ inputs: [x] }, g) => reshape(g, x.shape)],
  perExample: everywhere,
  reads: 'nothing',
  carries: true,
  samples: (draw) => [
    { inputs: [draw.normal([2, 3, 4])], attributes: { shape: [4, 6] } },
    { inputs: [draw.normal([1])], attributes: { shape: [] } },
  ],
});

/**
 * The same numbers in row-major order under another shape; one size may be -1, for what is left. A view where the
 * strides allow it, else a copy.
 */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  checkTensor('reshape', x);
  checkList('reshape', 'a shape is a list of sizes, [2, 3] say', shape);
  const open = shape.indexOf(-1);
  let target = shape;
  if (open >= 0) {
    const known = sizeOf(shape.filter((_, axis) => axis !== open));
    if (shape.includes(-1, open + 1) || known === 0 || x.size % known !== 0)
      throw new Error(`reshape: shape ${showShape(x.shape)} (${x.size} numbers) does not fit ${showShape(shape)}.`);
    target = shape.map((size, axis) => (axis === open ? x.size / known : size));
  }
  checkShape('reshape', target);
  if (sizeOf(target) !== x.size)
    throw new Error(
      `reshape: shape ${showShape(x.shape)} holds ${x.size} numbers, ${showShape(target)} would hold ${sizeOf(target)}.`,
    );
  return reshapeOp(x, { shape: target.slice() });
}

/** Joins the axes from `start` to `end` into one. */
export function flatten(x: Tensor, start = 0, end = -1): Tensor {
  checkTensor('flatten', x);
  if (x.ndim === 0) return reshape(x, [1]);
  const from = normalizeAxis('flatten', start, x.shape);
  const to = normalizeAxis('flatten', end, x.shape);
  if (from > to) throw new Error(`flatten: axis ${start} comes after axis ${end} in shape ${showShape(x.shape)}.`);
  return reshape(x, [...x.shape.slice(0, from), sizeOf(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)]);
}

/** A new axis of size 1 at `dim`. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  checkTensor('unsqueeze', x);
  const axis = normalizeAxis('unsqueeze', dim, [...x.shape, 1]);
  return reshape(x, [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)]);
}

/** Without the axes of size 1 (or without those of `dim`, which must be of size 1). */
export function squeeze(x: Tensor, dim?: number | readonly number[]): Tensor {
  checkTensor('squeeze', x);
  const axes =
    dim === undefined
      ? x.shape.flatMap((size, axis) => (size === 1 ? [axis] : []))
      : normalizeAxes('squeeze', dim, x.shape);
  for (const axis of axes)
    if (x.shape[axis] !== 1)
      throw new Error(`squeeze: axis ${axis} of shape ${showShape(x.shape)} has size ${x.shape[axis]}, not 1.`);
  return reshape(
    x,
    x.shape.filter((_, axis) => !axes.includes(axis)),
  );
}

const permuteOp: Op<[Tensor], { dims: readonly number[] }> = defineOp({
  name: 'permute',
  inputs: ['x'],
  forward: ([x], { dims }) =>
    view(
      x,
      dims.map((axis) => x.shape[axis]!),
      dims.map((axis) => x.layout.strides[axis]!),
    ),
  gradient: [({ attributes: { dims } }, g) => permuteOp(g, { dims: dims.map((_, axis) => dims.indexOf(axis)) })],
  // Axes of size 1 stand for nothing.
  perExample: {
    apart: ({ inputs: [x], attributes: { dims } }, _, count) => {
      const first = x.shape.findIndex((size) => size !== 1);
      return first === dims.find((axis) => x.shape[axis] !== 1) && x.shape[first]! % count === 0;
    },
  },
  reads: 'nothing',
  carries: true,
  samples: (draw) => [{ inputs: [draw.normal([2, 3, 4])], attributes: { dims: [2, 0, 1] } }],
});

/** The axes in another order: axis i of the result is axis dims[i] of x. */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  checkTensor('permute', x);
  checkList('permute', 'dims is a list of axes, [1, 0] say', dims);
  const axes = dims.map((axis) => normalizeAxis('permute', axis, x.shape));
  if (axes.length !== x.ndim || new Set(axes).size !== x.ndim)
    throw new Error(`permute: [${dims.join(', ')}] does not name each axis of shape ${showShape(x.shape)} once.`);
  return permuteOp(x, { dims: axes });
}

/** Two axes exchanged; of a matrix, its transpose. */
export function transpose(x: Tensor, dim0 = -2, dim1 = -1): Tensor {
  checkTensor('transpose', x);
  const a = normalizeAxis('transpose', dim0, x.shape);
  const b = normalizeAxis('transpose', dim1, x.shape);
  return permuteOp(x, { dims: x.shape.map((_, axis) => (axis === a ? b : axis === b ? a : axis)) });
}

const flipOp: Op<[Tensor], { dims: readonly number[] }> = defineOp({
  name: 'flip',
  inputs: ['x'],
  forward: ([x], { dims }) => {
    let { offset } = x;
    const strides = x.layout.strides.map((stride, axis) => {
      if (!dims.includes(axis) || x.size === 0) return stride;
      offset += stride * (x.shape[axis]! - 1);
      return -stride;
    });
    return view(x, x.shape, strides, offset);
  },
  gradient: [({ attributes }, g) => flipOp(g, attributes)],
  perExample: rowwise(({ dims }) => dims.includes(0)),
  reads: 'nothing',
  carries: true,
  samples: (draw) => [{ inputs: [draw.normal([3, 5])], attributes: { dims: [1] } }],
});

/** Reversed along the given axes. */
export function flip(x: Tensor, dims: number | readonly number[]): Tensor {
  checkTensor('flip', x);
  return flipOp(x, { dims: normalizeAxes('flip', dims, x.shape) });
}

/** The part of an axis that a slice takes: `count` entries from `start` in steps of `step`. */
interface Part {
  start: number;
  step: number;
  count: number;
}

/** Whether the first axis is not taken as it is. Sizes that agree leave only this. */
const movesRows = ({ parts }: { parts: readonly Part[] }): boolean => parts[0]!.step !== 1;

const sliceOp: Op<[Tensor], { parts: readonly Part[] }> = defineOp({
  name: 'slice',
  inputs: ['x'],
  forward: ([x], { parts }) => part(x, parts),
  gradient: [({ inputs: [x], attributes: { parts } }, g) => padOp(g, { parts, shape: x.shape, value: 0 })],
  perExample: rowwise(movesRows),
  reads: 'nothing',
  carries: true,
  samples: (draw) => [
    {
      inputs: [draw.normal([5, 3])],
      attributes: {
        parts: [
          { start: 1, step: 2, count: 2 },
          { start: 2, step: -1, count: 3 },
        ],
      },
    },
  ],
});

/** `value` everywhere in `shape`, and x in the place of the parts: with 0, the adjoint of slice. */
const padOp: Op<[Tensor], { parts: readonly Part[]; shape: readonly number[]; value: number }> = defineOp({
  name: 'pad',
  inputs: ['x'],
  forward: ([x], { parts, shape, value }) => {
    const out = allocateShape(shape);
    run.fill(address(out), out.size, value);
    copyElements(x, part(out, parts), 0);
    return out;
  },
  gradient: [({ attributes: { parts } }, g) => sliceOp(g, { parts })],
  perExample: rowwise(movesRows),
  reads: 'nothing',
  carries: true,
  samples: (draw) => [
    {
      inputs: [draw.normal([2, 3])],
      attributes: {
        parts: [
          { start: 3, step: -2, count: 2 },
          { start: 1, step: 1, count: 3 },
        ],
        shape: [5, 4],
        value: 0.5,
      },
    },
  ],
});

/** A view of a part. Of an ordinary array, which kernels see as a staged copy, a window: only the part is staged. */
function part(x: Tensor, parts: readonly Part[]): Tensor {
  const shape = parts.map(({ count }) => count);
  const strides = parts.map(({ step }, axis) => step * x.layout.strides[axis]!);
  let { offset } = x;
  if (sizeOf(shape) === 0) return view(x, shape, strides, offset);
  parts.forEach(({ start }, axis) => {
    offset += start * x.layout.strides[axis]!;
  });
  const { host } = x.storage;
  if (host === null) return view(x, shape, strides, offset);
  let low = offset;
  let high = offset;
  strides.forEach((stride, axis) => {
    const reach = stride * (shape[axis]! - 1);
    if (reach < 0) low += reach;
    else high += reach;
  });
  return new Tensor(windowOf(x.storage, host, low, high - low + 1), stridedLayout(shape, strides), offset - low);
}

/** What to take of one axis: everything (null), one entry (the axis goes), or [start, stop?, step?] as in Python. */
export type Range = null | number | readonly [start: number | null, stop?: number | null, step?: number];

/**
 * Part of a tensor, as a view. One range for each leading axis, Python's x[start:stop:step]: negative positions count from
 * the end, ends beyond the axis are cut, a single number takes that entry and drops the axis.
 *
 *     x.slice([[0, 64]]);              // the first 64 rows
 *     x.slice([null, -1]);             // the last column
 */
export function slice(x: Tensor, ranges: readonly Range[]): Tensor {
  checkTensor('slice', x);
  checkList('slice', 'ranges is a list with one range for each leading axis, [[0, 2], null] say', ranges);
  if (ranges.length > x.ndim)
    throw new Error(`slice: ${ranges.length} ranges for shape ${showShape(x.shape)}, which has ${x.ndim} axes.`);
  const parts = x.shape.map((size, axis) => partOf(ranges[axis] ?? null, size, axis, x.shape));
  const taken = sliceOp(x, { parts });
  if (!ranges.some((range) => typeof range === 'number')) return taken;
  return reshape(
    taken,
    taken.shape.filter((_, axis) => typeof ranges[axis] !== 'number'),
  );
}

function partOf(range: Range, size: number, axis: number, shape: readonly number[]): Part {
  if (range === null) return { start: 0, step: 1, count: size };
  if (typeof range === 'number') {
    if (!Number.isInteger(range) || range < -size || range >= size)
      throw new Error(`slice: axis ${axis} of shape ${showShape(shape)} has no entry ${range}.`);
    return { start: range < 0 ? range + size : range, step: 1, count: 1 };
  }
  const [start = null, stop = null, step = 1] = range;
  if (!Number.isInteger(step) || step === 0)
    throw new Error(`slice: the step along axis ${axis} is a whole number other than 0, not ${step}.`);
  for (const bound of [start, stop])
    if (bound !== null && !Number.isInteger(bound))
      throw new Error(`slice: the bounds along axis ${axis} are whole numbers, not ${bound}.`);
  const low = step > 0 ? 0 : -1;
  const high = step > 0 ? size : size - 1;
  const clip = (bound: number) => Math.min(Math.max(bound < 0 ? bound + size : bound, low), high);
  const from = start === null ? (step > 0 ? 0 : size - 1) : clip(start);
  const to = stop === null ? (step > 0 ? size : -1) : clip(stop);
  return { start: from, step, count: Math.max(0, Math.ceil((to - from) / step)) };
}

/**
 * `value` around the edges. As in PyTorch the pairs (before, after) start at the last axis: [1, 2, 0, 3] puts 1 column
 * before, 2 after, and 3 rows below.
 */
export function pad(x: Tensor, amounts: readonly number[], value = 0): Tensor {
  checkTensor('pad', x);
  checkList('pad', 'amounts is a list of pairs, [left, right, top, bottom] say', amounts);
  if (amounts.length % 2 !== 0 || amounts.length > 2 * x.ndim)
    throw new Error(`pad: ${amounts.length} amounts do not make pairs for the axes of shape ${showShape(x.shape)}.`);
  if (!amounts.every((amount) => Number.isInteger(amount) && amount >= 0))
    throw new Error(`pad: amounts are whole numbers of at least 0, not ${showShape(amounts)}. To cut, use slice.`);
  const before = (axis: number) => amounts[2 * (x.ndim - 1 - axis)] ?? 0;
  const after = (axis: number) => amounts[2 * (x.ndim - 1 - axis) + 1] ?? 0;
  const shape = x.shape.map((size, axis) => before(axis) + size + after(axis));
  return padOp(x, { parts: x.shape.map((count, axis) => ({ start: before(axis), step: 1, count })), shape, value });
}

/** The parts of an axis that `size` entries from `start` take, and all of the others. */
const block = (shape: readonly number[], dim: number, start: number, size: number): Part[] =>
  shape.map((count, axis) => (axis === dim ? { start, step: 1, count: size } : { start: 0, step: 1, count }));

const catOp: Op<readonly Tensor[], { dim: number }> = defineOp({
  name: 'cat',
  inputs: ['...tensors'],
  forward: (tensors, { dim }) => {
    const first = tensors[0]!;
    const total = tensors.reduce((sum, x) => sum + x.shape[dim]!, 0);
    const out = allocateShape(first.shape.map((size, axis) => (axis === dim ? total : size)));
    let start = 0;
    for (const x of tensors) {
      copyElements(x, part(out, block(out.shape, dim, start, x.shape[dim]!)), 0);
      start += x.shape[dim]!;
    }
    return out;
  },
  gradient: ({ inputs, attributes: { dim } }, g, index) => {
    const start = inputs.slice(0, index).reduce((sum, x) => sum + x.shape[dim]!, 0);
    return sliceOp(g, { parts: block(g.shape, dim, start, inputs[index]!.shape[dim]!) });
  },
  perExample: rowwise(),
  reads: 'nothing',
  carries: true,
  samples: (draw) => [
    { inputs: [draw.normal([2, 3]), draw.normal([2, 1]), draw.normal([2, 2])], attributes: { dim: 1 } },
  ],
});

/** Tensors one after another along an axis; all other sizes agree. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  checkTensors('cat', tensors);
  const first = tensors[0]!;
  const axis = normalizeAxis('cat', dim, first.shape);
  for (const x of tensors)
    if (x.ndim !== first.ndim || x.shape.some((size, i) => i !== axis && size !== first.shape[i]))
      throw new Error(
        `cat: shapes ${tensors.map(({ shape }) => showShape(shape)).join(', ')} cannot be joined along axis ${axis}: all other ` +
          'sizes must agree.',
      );
  // A copy of the list: the graph keeps it.
  return catOp(tensors.slice(), { dim: axis });
}

function checkTensors(op: string, tensors: readonly Tensor[]): void {
  checkList(op, 'expected a list of tensors', tensors);
  if (tensors.length === 0) throw new Error(`${op}: the list of tensors is empty.`);
  for (const x of tensors) checkTensor(op, x);
}

/** Tensors of one shape as entries of a new axis. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  checkTensors('stack', tensors);
  const first = tensors[0]!;
  const axis = normalizeAxis('stack', dim, [...first.shape, 1]);
  for (const x of tensors)
    if (!sameShape(x.shape, first.shape))
      throw new Error(
        `stack: shapes ${tensors.map(({ shape }) => showShape(shape)).join(', ')} differ; they must agree.`,
      );
  return cat(
    tensors.map((x) => unsqueeze(x, axis)),
    axis,
  );
}

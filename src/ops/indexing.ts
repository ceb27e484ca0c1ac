/**
 * Reading at positions that are numbers themselves: rows by index, entries by index. The gradient puts back what was
 * read where it came from; what was read twice gets two gradients, added.
 */
import { rowwise } from '../autograd/apart.ts';
import { defineOp, type ExampleRange, type Op, type PerExample } from '../autograd/define.ts';
import { heap, run } from '../storage/dispatch.ts';
import { newStorage } from '../storage/storage.ts';
import { address, allocateShape, contiguous } from '../tensor/access.ts';
import { checkShape, normalizeAxis, showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, Indices, kindOf, type NestedArray, type Tensor } from '../tensor/tensor.ts';
import { whereSent } from './feasible.ts';
import { reshape, slice } from './shape.ts';
import { examplesOf } from './sum.ts';

/** What may stand for indices: a list of whole numbers, nested lists, or the result of argmax. */
export type IndexLike = Indices | Int32Array | NestedArray[];

/**
 * Whole numbers with a shape, from any form; a sentence if an entry is none or lies outside 0 .. limit - 1. A copy:
 * graphs keep it, and people fill their label arrays anew.
 */
export function toIndices(op: string, value: IndexLike, limit: number): Indices {
  const { shape, entries } = entriesOf(op, value);
  const data = new Int32Array(entries.length);
  for (let i = 0; i < data.length; i++) {
    const entry = entries[i]!;
    if (!Number.isInteger(entry))
      throw new Error(
        `${op}: indices are whole numbers in lists of equal length, not ${String(entry)} at position ${i}.`,
      );
    if (entry < 0 || entry >= limit)
      throw new Error(
        limit === 0
          ? `${op}: index ${entry} at position ${i}, but there is nothing to index: that axis has size 0.`
          : `${op}: index ${entry} at position ${i} is outside 0 to ${limit - 1}.`,
      );
    data[i] = entry;
  }
  return new Indices(shape, data);
}

function entriesOf(op: string, value: IndexLike): { shape: readonly number[]; entries: ArrayLike<number> } {
  if (value instanceof Indices) return { shape: value.shape.slice(), entries: value.data };
  if (value instanceof Int32Array) return { shape: [value.length], entries: value };
  if (!Array.isArray(value))
    throw new Error(`${op}: indices are whole numbers in an array, an Int32Array or Indices, not ${kindOf(value)}.`);
  const shape: number[] = [];
  for (let level: NestedArray | undefined = value; Array.isArray(level); level = level[0]) shape.push(level.length);
  let entries: NestedArray[] = value;
  for (const size of shape.slice(1)) {
    for (const list of entries)
      if (!Array.isArray(list) || list.length !== size)
        throw new Error(`${op}: indices are whole numbers in lists of equal length, and these differ in length.`);
    entries = entries.flat() as NestedArray[];
  }
  return { shape, entries: entries as number[] };
}

/** Puts indices where kernels can read them: the address of the first. */
export function indexAddress(data: Int32Array): number {
  const start = newStorage(data.length).address;
  const { ints } = heap;
  for (let i = 0; i < data.length; i++) ints[start + i] = data[i]!;
  return start;
}

/** The sizes before, of and behind an axis. */
const around = (shape: readonly number[], dim: number): [outer: number, n: number, inner: number] => [
  sizeOf(shape.slice(0, dim)),
  shape[dim]!,
  sizeOf(shape.slice(dim + 1)),
];

const withSize = (shape: readonly number[], dim: number, size: number) =>
  shape.map((old, axis) => (axis === dim ? size : old));

interface IndexAttributes {
  dim: number;
  index: Indices;
}

/**
 * Along the first axis (a table of vectors), each example's gradients go to a copy of x of its own: copy n starts at entry n times
 * x's size.
 */
const lookedUp = (
  send: (g: Tensor, index: Indices, shape: readonly number[]) => Tensor,
): PerExample<readonly Tensor[], IndexAttributes> => ({
  ...rowwise<IndexAttributes>(({ dim }) => dim === 0),
  gradients: ({ inputs, attributes: { dim, index } }, g, _, part) => {
    const [entries, ...rest] = inputs[0]!.shape as [number, ...number[]];
    if (dim !== 0 || g.shape[0]! % part.count !== 0) return null;
    const examples = part.to - part.from;
    const rows = examplesOf(g, part);
    const own = indicesOf(index, part, entries);
    const sent = send(reshape(rows, own.shape.concat(g.shape.slice(own.shape.length))), own, [
      examples * entries,
      ...rest,
    ]);
    return reshape(sent, [examples, entries, ...rest]);
  },
  // With one index an example, no two of its numbers meet.
  factors: ({ attributes: { dim, index } }, _, count) => (dim === 0 && index.shape[0] === count ? [] : null),
});

/** The indices of some examples, those of each into a copy of its own of `entries` entries. */
function indicesOf({ shape, data }: Indices, { from, to, count }: ExampleRange, entries: number): Indices {
  const each = data.length / count;
  const own = data.slice(from * each, to * each);
  for (let i = 0; i < own.length; i++) own[i]! += Math.floor(i / each) * entries;
  return new Indices([(shape[0]! / count) * (to - from), ...shape.slice(1)], own);
}

const selectOp: Op<[Tensor], IndexAttributes> = defineOp({
  name: 'indexSelect',
  inputs: ['x'],
  forward: ([x], { dim, index }) => {
    const dense = contiguous(x);
    const [outer, n, inner] = around(x.shape, dim);
    const out = allocateShape(withSize(x.shape, dim, index.size));
    run.indexSelect(address(dense), indexAddress(index.data), address(out), outer, n, index.size, inner);
    return out;
  },
  gradient: [({ inputs: [x], attributes }, g) => addOp(g, { ...attributes, size: x.shape[attributes.dim]! })],
  perExample: lookedUp((g, index, [size]) => addOp(g, { dim: 0, index, size: size! })),
  reads: 'nothing',
  carries: true,
  samples: (draw) => [
    { inputs: [draw.normal([4, 3])], attributes: { dim: 0, index: new Indices([4], Int32Array.of(3, 0, 0, 2)) } },
  ],
});

/** Zeros of `size` along dim, with the entries of x added at the indices: the adjoint of indexSelect. */
const addOp: Op<[Tensor], IndexAttributes & { size: number }> = defineOp({
  name: 'indexAdd',
  inputs: ['x'],
  forward: ([x], { dim, index, size }) => {
    const dense = contiguous(x);
    const out = allocateShape(withSize(x.shape, dim, size));
    const [outer, count, inner] = around(x.shape, dim);
    run.fill(address(out), out.size, 0);
    run.indexAdd(address(dense), indexAddress(index.data), address(out), outer, size, count, inner);
    return out;
  },
  gradient: [({ attributes: { dim, index } }, g) => selectOp(g, { dim, index })],
  reads: 'nothing',
  feasible: whereSent((ones, attributes) => addOp(ones, attributes)),
  samples: (draw) => [
    { inputs: [draw.normal([2, 3])], attributes: { dim: 1, index: new Indices([3], Int32Array.of(1, 1, 0)), size: 3 } },
  ],
});

/**
 * Entries of an axis by index: result[.., j, ..] = x[.., index[j], ..]. Indices may repeat.
 *
 *     indexSelect(embedding, 0, [4, 0, 0]);      // rows 4, 0 and 0
 */
export function indexSelect(x: Tensor, dim: number, index: IndexLike): Tensor {
  checkTensor('indexSelect', x);
  const axis = normalizeAxis('indexSelect', dim, x.shape);
  const indices = toIndices('indexSelect', index, x.shape[axis]!);
  if (indices.shape.length !== 1)
    throw new Error(`indexSelect: the index is a flat list, not of shape ${showShape(indices.shape)}.`);
  return selectOp(x, { dim: axis, index: indices });
}

const gatherOp: Op<[Tensor], IndexAttributes> = defineOp({
  name: 'gather',
  inputs: ['x'],
  forward: ([x], { dim, index }) => {
    const dense = contiguous(x);
    const [outer, n, inner] = around(x.shape, dim);
    const out = allocateShape(index.shape);
    run.gather(address(dense), indexAddress(index.data), address(out), outer, n, index.shape[dim]!, inner);
    return out;
  },
  gradient: [({ inputs: [x], attributes: { dim, index } }, g) => scatter(g, dim, index, x.shape)],
  perExample: lookedUp((g, index, shape) => scatter(g, 0, index, shape)),
  reads: 'nothing',
  carries: true,
  samples: (draw) => [
    { inputs: [draw.normal([2, 3])], attributes: { dim: 1, index: new Indices([2, 2], Int32Array.of(0, 2, 1, 1)) } },
  ],
});

const scatterOp: Op<[Tensor], IndexAttributes & { shape: readonly number[] }> = defineOp({
  name: 'scatter',
  inputs: ['x'],
  forward: ([x], { dim, index, shape }) => {
    const dense = contiguous(x);
    const [outer, n, inner] = around(shape, dim);
    const out = allocateShape(shape);
    run.fill(address(out), out.size, 0);
    run.scatterAdd(address(dense), indexAddress(index.data), address(out), outer, n, index.shape[dim]!, inner);
    return out;
  },
  gradient: [({ attributes: { dim, index } }, g) => gatherOp(g, { dim, index })],
  reads: 'nothing',
  feasible: whereSent((ones, attributes) => scatterOp(ones, attributes)),
  samples: (draw) => [
    {
      inputs: [draw.normal([2, 2])],
      attributes: { dim: 1, index: new Indices([2, 2], Int32Array.of(0, 2, 1, 1)), shape: [2, 3] },
    },
  ],
});

/** Zeros of `shape` with the entries of x added at the indices along dim: the adjoint of gather. */
export function scatter(x: Tensor, dim: number, index: Indices, shape: readonly number[]): Tensor {
  return scatterOp(x, { dim, index, shape });
}

/**
 * Entries by index along one axis: result[i, j] = x[i, index[i, j]] for dim 1. The index has as many axes as x; its
 * other sizes may be smaller.
 */
export function gather(x: Tensor, dim: number, index: IndexLike): Tensor {
  checkTensor('gather', x);
  const axis = normalizeAxis('gather', dim, x.shape);
  const indices = toIndices('gather', index, x.shape[axis]!);
  if (indices.shape.length !== x.ndim || indices.shape.some((size, i) => i !== axis && size > x.shape[i]!))
    throw new Error(
      `gather: an index of shape ${showShape(indices.shape)} does not fit x of shape ${showShape(x.shape)}: as many axes, and no ` +
        `axis but ${axis} larger.`,
    );
  const rows = slice(
    x,
    x.shape.map((_, i) => (i === axis ? null : [0, indices.shape[i]!])),
  );
  return gatherOp(rows, { dim: axis, index: indices });
}

/** Rows of 0 with a 1 at each index: shape [...indices, numClasses]. */
export function oneHot(index: IndexLike, numClasses: number): Tensor {
  checkShape('oneHot', [numClasses]);
  const indices = toIndices('oneHot', index, numClasses);
  const out = allocateShape([...indices.shape, numClasses]);
  run.oneHot(indexAddress(indices.data), address(out), indices.size, numClasses);
  return out.detach();
}

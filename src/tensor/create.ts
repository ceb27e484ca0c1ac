/**
 * Making tensors. What is made here is an ordinary array that the garbage collector owns; `parameter` and `buffer` are
 * the ones that live in kernel memory for good.
 */
import { heap, run } from '../storage/dispatch.ts';
import type { FloatArray, Heap } from '../storage/heap.ts';
import { hostStorage, locate, permanentStorage, wrote } from '../storage/storage.ts';
import { address, contiguous } from './access.ts';
import { checkShape, contiguousLayout, scalarLayout, showShape, sizeOf } from './layout.ts';
import { kindOf, type NestedArray, Tensor } from './tensor.ts';

function newArray(size: number): FloatArray {
  return new (heap.floats.constructor as new (size: number) => FloatArray)(size);
}

/** Wraps an array that nobody else holds. */
function own(array: FloatArray, shape: readonly number[]): Tensor {
  return new Tensor(hostStorage(array), contiguousLayout(shape), 0);
}

/**
 * A tensor from numbers, copied.
 *
 * @param data a number (shape []), nested arrays, or a flat typed array or list together with a shape
 * @param shape needed for flat data of more than one axis; its sizes must multiply to the length of the data
 *
 *     tensor([[1, 2, 3], [4, 5, 6]]).shape;               // [2, 3]
 *     tensor(new Float32Array([1, 2, 3, 4]), [2, 2]);
 */
export function tensor(data: NestedArray | ArrayLike<number>, shape?: readonly number[]): Tensor {
  if (typeof data === 'number') {
    if (shape !== undefined) checkShape('tensor', shape);
    if (shape !== undefined && sizeOf(shape) !== 1)
      throw new Error(`tensor: one number does not fill shape ${showShape(shape)}; use full(shape, value).`);
    const array = newArray(1);
    array[0] = data;
    return own(array, shape?.slice() ?? []);
  }
  if (!isFlat(data))
    throw new Error(`tensor: expected a number, nested arrays or a typed array of numbers, not ${describe(data)}.`);
  if (!Array.isArray(data)) return fromFlat(data, shape ?? [data.length]);
  const found: number[] = [];
  for (let level: NestedArray | undefined = data; Array.isArray(level); level = level[0]) found.push(level.length);
  const array = newArray(sizeOf(found));
  let next = 0;
  const fill = (value: NestedArray, axis: number): void => {
    if (axis === found.length) {
      if (typeof value !== 'number')
        throw new Error(`tensor: the nested arrays hold ${describe(value)} where a number was expected.`);
      array[next++] = value;
      return;
    }
    if (!Array.isArray(value) || value.length !== found[axis])
      throw new Error(
        `tensor: nested arrays must be of equal length on every level: axis ${axis} has length ${found[axis]} at first ` +
          `and ${Array.isArray(value) ? value.length : describe(value)} later.`,
      );
    for (const inner of value) fill(inner, axis + 1);
  };
  fill(data as NestedArray, 0);
  if (shape === undefined) return own(array, found);
  if (found.length !== 1)
    throw new Error('tensor: nested arrays have their own shape; give a shape with flat data only.');
  return fromFlat(array, shape);
}

/** What was found in the place of something else. */
const describe = (value: unknown): string =>
  typeof value === 'number' ? `the number ${value}` : typeof value === 'string' ? `'${value}'` : describeObject(value);
const describeObject = (value: unknown): string =>
  value instanceof Tensor ? 'a tensor (copy one with detach())' : kindOf(value);

const isFlat = (data: unknown): data is ArrayLike<number> =>
  typeof data === 'object' && data !== null && Number.isInteger((data as ArrayLike<number>).length);

function fromFlat(data: ArrayLike<number>, shape: readonly number[]): Tensor {
  checkShape('tensor', shape);
  if (sizeOf(shape) !== data.length)
    throw new Error(
      `tensor: ${data.length} numbers do not fill shape ${showShape(shape)}, which holds ${sizeOf(shape)}.`,
    );
  const array = newArray(data.length);
  array.set(data);
  return own(array, shape.slice());
}

function filled(op: string, shape: readonly number[], value: number): Tensor {
  checkShape(op, shape);
  if (typeof value !== 'number') throw new Error(`${op}: the value is a number, not ${kindOf(value)}.`);
  return own(newArray(sizeOf(shape)).fill(value), shape.slice());
}
export const full = (shape: readonly number[], value: number): Tensor => filled('full', shape, value);
export const zeros = (shape: readonly number[]): Tensor => filled('zeros', shape, 0);
export const ones = (shape: readonly number[]): Tensor => filled('ones', shape, 1);

/** 0, 1, ..., n - 1; or start, start + step, ... below end. */
export function arange(start: number, end?: number, step = 1): Tensor {
  const [from, to] = end === undefined ? [0, start] : [start, end];
  const count = Math.ceil((to - from) / step);
  if (!Number.isFinite(count) || step === 0)
    throw new Error(`arange: no list from ${from} to ${to} in steps of ${step}.`);
  checkShape('arange', [Math.max(0, count)]);
  const array = newArray(Math.max(0, count));
  for (let i = 0; i < array.length; i++) array[i] = from + i * step;
  return own(array, [array.length]);
}

/** The n x n identity matrix. */
export function eye(n: number): Tensor {
  checkShape('eye', [n, n]);
  const array = newArray(n * n);
  for (let i = 0; i < n; i++) array[i * n + i] = 1;
  return own(array, [n, n]);
}

/** A copy of x in kernel memory for good, with no history: running statistics, moments of an optimizer, masks. */
export function buffer(x: Tensor): Tensor {
  const storage = permanentStorage(x.size);
  const source = address(contiguous(x));
  run.copy(source, locate(storage), x.size);
  wrote(storage);
  return new Tensor(storage, contiguousLayout(x.shape), 0);
}

/** Scalars that formulas mention (2, 0.5, -1, ...), made once for each heap. */
let constants = new Map<number, Tensor>();
let constantsHeap: Heap | null = null;

/** A scalar tensor for a number in a formula. Shared: never written to. */
export function constant(value: number): Tensor {
  if (constantsHeap !== heap || constants.size > 512) {
    constants = new Map();
    constantsHeap = heap;
  }
  // A Map holds 0 and -0 for the same key; their reciprocals differ.
  const found = Object.is(value, -0) ? undefined : constants.get(value);
  if (found !== undefined) return found;
  const storage = permanentStorage(1);
  const made = new Tensor(storage, scalarLayout, 0);
  const at = locate(storage);
  heap.floats[at] = value;
  wrote(storage);
  if (!Object.is(value, -0)) constants.set(value, made);
  return made;
}

/** An operand of an op: a number becomes a scalar tensor. */
export function asTensor(op: string, value: unknown): Tensor {
  if (value instanceof Tensor) return value;
  if (typeof value === 'number') return constant(value);
  throw new Error(`${op}: expected a tensor or a number, not ${kindOf(value)}. Make one with tensor(...).`);
}

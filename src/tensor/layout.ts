/**
 * Shape arithmetic: how an index becomes an address, how shapes meet, how axes are named. No numbers are touched here.
 *
 * A layout says where element (i, j, ...) of a tensor stands: offset + i strides[0] + j strides[1] + ... Strides may be
 * 0 (an axis that repeats) or negative (an axis read backwards).
 */

export class Layout {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** Number of elements. */
  readonly size: number;
  /** Whether the elements stand one after another in row-major order. */
  readonly contiguous: boolean;

  constructor(shape: readonly number[], strides: readonly number[], size: number, contiguous: boolean) {
    this.shape = shape;
    this.strides = strides;
    this.size = size;
    this.contiguous = contiguous;
  }
}

export function sizeOf(shape: readonly number[]): number {
  let size = 1;
  for (let i = 0; i < shape.length; i++) size *= shape[i]!;
  return size;
}

/** The row-major layout of a shape. */
export function contiguousLayout(shape: readonly number[]): Layout {
  const strides = new Array<number>(shape.length);
  let size = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = size;
    size *= shape[i]!;
  }
  return new Layout(shape, strides, size, true);
}

export const scalarLayout = contiguousLayout([]);

/** A layout with any strides; notices when they happen to be contiguous. */
export function stridedLayout(shape: readonly number[], strides: readonly number[]): Layout {
  const size = sizeOf(shape);
  let expected = 1;
  let contiguous = true;
  for (let i = shape.length - 1; i >= 0 && contiguous; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) contiguous = false;
    expected *= shape[i]!;
  }
  return new Layout(shape, strides, size, contiguous || size === 0);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export const showShape = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** Throws unless it is a list of whole numbers of at least 0. */
export function checkShape(op: string, shape: readonly number[]): void {
  checkList(op, 'a shape is a list of sizes, [2, 3] say', shape);
  for (const size of shape)
    if (!Number.isInteger(size) || size < 0)
      throw new Error(`${op}: a shape holds whole numbers of at least 0, not ${showShape(shape)}.`);
  if (sizeOf(shape) > 2 ** 31) throw new Error(`${op}: a tensor of shape ${showShape(shape)} is too large.`);
}

/** Throws `what` unless it got a list: x.reshape(2, 3) would be read as something else. */
export function checkList(op: string, what: string, list: unknown): void {
  if (!Array.isArray(list)) throw new Error(`${op}: ${what}, not ${String(list)}.`);
}

/**
 * Strides under which the numbers of a layout, in row-major order, have another shape of the same size; null where no
 * strides can say it. Axes are matched in the smallest groups of equal size: a group of the old axes must be walked in
 * one stride to be cut anew.
 */
export function reshapedStrides({ shape: oldShape, strides: oldStrides }: Layout, shape: readonly number[]) {
  const old = oldShape.flatMap((size, axis) => (size === 1 ? [] : [{ size, stride: oldStrides[axis]! }]));
  const strides = new Array<number>(shape.length).fill(1);
  let [axis, oldAxis] = [0, 0];
  while (axis < shape.length && oldAxis < old.length) {
    let [end, oldEnd] = [axis + 1, oldAxis + 1];
    let [size, oldSize] = [shape[axis]!, old[oldAxis]!.size];
    while (size !== oldSize) {
      if (size < oldSize) size *= shape[end++]!;
      else {
        if (old[oldEnd - 1]!.stride !== old[oldEnd]!.stride * old[oldEnd]!.size) return null;
        oldSize *= old[oldEnd++]!.size;
      }
    }
    let stride = old[oldEnd - 1]!.stride;
    for (let i = end - 1; i >= axis; i--) {
      strides[i] = stride;
      stride *= shape[i]!;
    }
    [axis, oldAxis] = [end, oldEnd];
  }
  return strides;
}

/** NumPy's broadcasting: aligned at the last axis, sizes must agree or be 1. */
export function broadcastShapes(op: string, a: readonly number[], b: readonly number[]): readonly number[] {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const shape = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const x = i > a.length ? 1 : a[a.length - i]!;
    const y = i > b.length ? 1 : b[b.length - i]!;
    if (x !== y && x !== 1 && y !== 1)
      throw new Error(
        `${op}: shapes ${showShape(a)} and ${showShape(b)} do not broadcast: counted from the last axis, axis ${i} has ` +
          `sizes ${x} and ${y}. Sizes must agree or be 1; reshape one of them.`,
      );
    shape[rank - i] = x === 1 ? y : x;
  }
  return shape;
}

/** Strides that make a tensor of `shape` look like `target` (to which it broadcasts): 0 where it repeats. */
export function broadcastStrides(
  shape: readonly number[],
  strides: readonly number[],
  target: readonly number[],
): number[] {
  const out = new Array<number>(target.length).fill(0);
  const shift = target.length - shape.length;
  for (let i = 0; i < shape.length; i++) out[i + shift] = shape[i] === 1 && target[i + shift] !== 1 ? 0 : strides[i]!;
  return out;
}

/** An axis counted from the front; -1 is the last. */
export function normalizeAxis(op: string, axis: number, shape: readonly number[]): number {
  const rank = shape.length;
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new Error(
      `${op}: axis ${axis} does not exist in shape ${showShape(shape)}` +
        (rank === 0 ? ', which has none.' : `; its axes are ${-rank} to ${rank - 1}.`),
    );
  return axis < 0 ? axis + rank : axis;
}

/** Several axes, each once, in rising order; undefined means all of them. */
export function normalizeAxes(
  op: string,
  axes: number | readonly number[] | undefined,
  shape: readonly number[],
): number[] {
  if (axes === undefined) return shape.map((_, axis) => axis);
  if (typeof axes !== 'number') checkList(op, 'dim is an axis or a list of axes', axes);
  const list = (typeof axes === 'number' ? [axes] : axes).map((axis) => normalizeAxis(op, axis, shape));
  list.sort((a, b) => a - b);
  for (let i = 1; i < list.length; i++)
    if (list[i] === list[i - 1]) throw new Error(`${op}: axis ${list[i]} of shape ${showShape(shape)} is named twice.`);
  return list;
}

/** The shape after reducing `axes` (rising): sizes 1 in their place, or gone. */
export function reducedShape(shape: readonly number[], axes: readonly number[], keepdim: boolean): number[] {
  if (keepdim) return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  return shape.filter((_, axis) => !axes.includes(axis));
}

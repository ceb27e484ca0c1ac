/**
 * The tensor: a view of a storage through a layout. It knows its numbers and nothing of calculus; how it came to be, if
 * somebody may ask for derivatives, is in `node`, whose fields autograd/ declares. Operations become methods in ops/.
 *
 * One constructor sets every field, always in this order: all tensors share one hidden class.
 */
import { readable, type Storage } from '../storage/storage.ts';
import { type Layout, showShape, sizeOf } from './layout.ts';
import { printTensor } from './print.ts';

/** How a tensor came to be. Declared by autograd/node.ts. */
// biome-ignore lint/suspicious/noEmptyInterface: autograd/ merges its fields into it, so that nothing here imports it.
export interface GraphNode {}

/** Numbers in nested arrays, as JSON would write them. */
export type NestedArray = number | NestedArray[];

/**
 * A multi-dimensional array of float32 numbers.
 *
 *     const x = tensor([[1, 2], [3, 4]]);
 *     x.shape;                     // [2, 2]
 *     x.mul(2).sum().item();       // 20
 */
export class Tensor {
  readonly storage: Storage;
  readonly layout: Layout;
  /** Where element (0, 0, ...) stands in the storage. */
  readonly offset: number;
  node: GraphNode | null;

  constructor(storage: Storage, layout: Layout, offset: number) {
    this.storage = storage;
    this.layout = layout;
    this.offset = offset;
    this.node = null;
  }

  get shape(): readonly number[] {
    return this.layout.shape;
  }
  /** Number of elements. */
  get size(): number {
    return this.layout.size;
  }
  /** Number of axes. */
  get ndim(): number {
    return this.layout.shape.length;
  }

  /** The number of a tensor that holds exactly one. */
  item(): number {
    if (this.layout.size !== 1)
      throw new Error(
        `item: a tensor of shape ${showShape(this.shape)} holds ${this.size} numbers, not one. Use toArray().`,
      );
    const { array, start } = readable(this.storage);
    return array[start + this.offset]!;
  }

  /** A copy of the numbers, row-major. */
  toFloat32Array(): Float32Array {
    const numbers = numbersOf(this);
    return numbers instanceof Float32Array ? numbers : new Float32Array(numbers);
  }

  /** A copy of the numbers as nested arrays; a scalar gives a number. */
  toArray(): NestedArray {
    const numbers = numbersOf(this);
    let next = 0;
    const nest = (axis: number): NestedArray =>
      axis === this.ndim ? numbers[next++]! : Array.from({ length: this.shape[axis]! }, () => nest(axis + 1));
    return nest(0);
  }

  toString(): string {
    return printTensor(this);
  }
  /** What console.log shows in Node, Bun and Deno, and Jupyter kernels that ask Node. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return printTensor(this);
  }
  /** What Deno's Jupyter kernel shows. */
  [Symbol.for('Jupyter.display')](): Record<string, string> {
    return { 'text/plain': printTensor(this) };
  }
}

/** What a value is, for errors: 'null', 'an array', 'string', ... */
export const kindOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;

/** Throws a sentence unless it is a tensor: to be asked before anything looks at a shape. */
export function checkTensor(op: string, value: unknown): asserts value is Tensor {
  if (!(value instanceof Tensor))
    throw new Error(`${op}: expected a tensor, not ${kindOf(value)}. Make one with tensor(...).`);
}

/** A copy of the numbers in row-major order, in the precision they have. */
export function numbersOf({ storage, layout, offset }: Tensor): Float32Array | Float64Array {
  const { array, start } = readable(storage);
  const first = start + offset;
  if (layout.contiguous) return array.slice(first, first + layout.size);
  const out = new (array.constructor as new (size: number) => Float32Array | Float64Array)(layout.size);
  let next = 0;
  const copy = (axis: number, position: number): void => {
    if (axis === layout.shape.length) {
      out[next++] = array[position]!;
      return;
    }
    for (let i = 0; i < layout.shape[axis]!; i++) copy(axis + 1, position + i * layout.strides[axis]!);
  };
  copy(0, first);
  return out;
}

/** Whole numbers with a shape: what argmax gives, and one form in which labels and indices may come. */
export class Indices {
  readonly shape: readonly number[];
  readonly data: Int32Array;

  constructor(shape: readonly number[], data: Int32Array) {
    if (data.length !== sizeOf(shape))
      throw new Error(`Indices: ${data.length} numbers do not fill shape ${showShape(shape)}.`);
    this.shape = shape;
    this.data = data;
  }

  get size(): number {
    return this.data.length;
  }

  toArray(): NestedArray {
    let next = 0;
    const nest = (axis: number): NestedArray =>
      axis === this.shape.length ? this.data[next++]! : Array.from({ length: this.shape[axis]! }, () => nest(axis + 1));
    return nest(0);
  }

  toString(): string {
    return `Indices(${JSON.stringify(this.toArray())}, shape=${showShape(this.shape)})`;
  }
}

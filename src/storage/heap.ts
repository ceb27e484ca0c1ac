/**
 * A heap: the one memory in which kernels find their operands, and the kernels that work on it.
 *
 * The usual heap is a WebAssembly.Memory with emitted kernels. Where WebAssembly is missing or a page's policy refuses
 * to compile, it is an ordinary array with the reference kernels: slower, never broken. A third kind, float64 with
 * reference kernels, exists for checking derivatives. All three look the same from above: addresses counted in
 * elements, `floats` and `ints` to see the numbers through, `run` to call kernels.
 *
 * Growing the memory makes new views: never keep `floats` across an allocation.
 */
import { referenceKernels } from '../kernels/reference/table.ts';
import type { Kernels, Memory } from '../kernels/table.ts';
import { supportsWasm, wasmKernels } from '../kernels/wasm/table.ts';
import { roundUp, SpanAllocator } from './allocator.ts';

export type FloatArray = Float32Array | Float64Array;
export type FloatArrayConstructor = Float32ArrayConstructor | Float64ArrayConstructor;

const pageElements = 65536 / 4;
/** Addresses stay below 4 GiB less one page, so that the end of a span is still a 32-bit number of bytes. */
const wasmMaximum = 65535 * pageElements;
const initialPages = 64;
/** Elements behind every span that may be read (a kernel's last vector), never written. */
const slack = 16;

/** What results carry with them: which kernels computed them. */
export type KernelSet = 'wasm-simd' | 'reference' | 'reference-float64';

export class Heap implements Memory {
  floats: FloatArray;
  ints: Int32Array | Float64Array;
  readonly kernelSet: KernelSet;
  readonly run: Kernels;
  private readonly spans = new SpanAllocator();
  private readonly maximum: number;
  private readonly grow: (elements: number) => boolean;
  /** Ordinary allocations end here; the rest, up to the maximum, is room to stage operands in when it is reached. */
  limit: number;
  private scratchAddress = 0;
  private scratchSize = 0;

  constructor(kernelSet: KernelSet) {
    this.kernelSet = kernelSet;
    if (kernelSet === 'wasm-simd') {
      const memory = new WebAssembly.Memory({ initial: initialPages, maximum: 65536 });
      this.floats = new Float32Array(memory.buffer);
      this.ints = new Int32Array(memory.buffer);
      this.maximum = wasmMaximum;
      this.grow = (elements) => {
        const pages = Math.ceil((elements - this.floats.length) / pageElements);
        const generous = Math.max(pages, Math.min(this.floats.length / pageElements / 2, 65536));
        if (!(tryGrow(memory, generous) || tryGrow(memory, pages))) return false;
        this.floats = new Float32Array(memory.buffer);
        this.ints = new Int32Array(memory.buffer);
        return true;
      };
      this.run = wasmKernels(this, {
        memory,
        reserve: (size) => this.allocate(size, true) || tooSmall(size),
        scratch: (size) => this.scratch(size),
      });
    } else {
      const FloatArrayType: FloatArrayConstructor = kernelSet === 'reference' ? Float32Array : Float64Array;
      const view = (elements: number) => {
        const floats = new FloatArrayType(elements);
        this.floats = floats;
        this.ints = floats instanceof Float64Array ? floats : new Int32Array(floats.buffer);
      };
      this.floats = new FloatArrayType(0);
      this.ints = new Int32Array(0);
      view(initialPages * pageElements);
      this.maximum = 2 ** 29;
      this.grow = (elements) => {
        const old = this.floats;
        try {
          view(Math.min(this.maximum + slack, Math.max(elements, Math.ceil(1.5 * old.length))));
        } catch {
          return false;
        }
        this.floats.set(old);
        return true;
      };
      this.run = referenceKernels(this);
    }
    this.limit = this.maximum - this.maximum / 8;
  }

  /** The address of `size` elements, not cleared; 0 where the memory is full. `urgent` may use the last eighth. */
  allocate(size: number, urgent = false): number {
    return this.spans.allocate(
      size,
      urgent ? this.maximum : this.limit,
      (end) => end + slack <= this.floats.length || this.grow(end + slack),
    );
  }

  free(address: number, size: number): void {
    this.spans.free(address, size);
  }

  /** Bytes handed out at present, scratch of the kernels included. */
  get bytesInUse(): number {
    return this.spans.used * this.floats.BYTES_PER_ELEMENT;
  }

  /** Sets where ordinary allocations end, in bytes. What does not fit becomes ordinary arrays, staged for each op. */
  setLimit(bytes: number): void {
    this.limit = Math.min(this.maximum - this.maximum / 8, Math.floor(bytes / this.floats.BYTES_PER_ELEMENT));
  }

  private scratch(size: number): number {
    if (size <= this.scratchSize) return this.scratchAddress;
    if (this.scratchAddress !== 0) this.free(this.scratchAddress, this.scratchSize);
    this.scratchSize = roundUp(size);
    this.scratchAddress = this.allocate(this.scratchSize, true) || tooSmall(size);
    return this.scratchAddress;
  }
}

function tryGrow(memory: WebAssembly.Memory, pages: number): boolean {
  try {
    memory.grow(pages);
    return true;
  } catch {
    return false;
  }
}

export function tooSmall(elements: number): never {
  throw new Error(
    `The kernel memory is full and has no room left to stage ${elements} numbers for one operation. ` +
      'Keep fewer large tensors alive (noGrad and scope give back what they made), or use smaller batches.',
  );
}

/** The heap a program starts with: WebAssembly where it works, and one warning where it does not. */
export function defaultHeap(): Heap {
  let why = 'this engine has no WebAssembly SIMD, or its policy refuses to compile it';
  if (supportsWasm()) {
    try {
      return new Heap('wasm-simd');
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
  }
  console.warn(`palimpsest: using the plain TypeScript kernels, which are slower (${why}).`);
  return new Heap('reference');
}

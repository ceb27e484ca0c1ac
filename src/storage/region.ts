/**
 * Regions: op outputs live and die together.
 *
 * A region takes chunks of 1 MiB from the heap and carves tensors out of them by moving a pointer: small tensors from
 * the chunk's low end upwards, larger ones from its high end downwards. Larger still get a span of their own. When the
 * region is given back, the low ends are copied out as one slab a chunk: a loss or a metric that somebody kept is
 * still readable, at the price of one short copy for the whole region and no bookkeeping for any tensor.
 *
 * Two objects: `Region` is the token that storages hold on to, so that the garbage collector can tell us that nobody
 * is left; `Holdings` is the memory itself, which must outlive the token to be given back. Which regions are open,
 * closed and given back is decided in context.ts.
 */
import type { FloatArray, Heap } from './heap.ts';

/** Tensors of up to this many elements survive their region. */
export const smallSize = 256;
const chunkSize = 2 ** 18;
/** Larger tensors than this get a span of their own: a chunk would waste too much at its end. */
const largeSize = chunkSize / 4;
/** Chunks kept for the next region, so that a training loop asks the allocator for nothing. */
const spareLimit = 8;

/** The memory of a region: chunks with their low ends, and spans. */
export class Holdings {
  readonly heap: Heap;
  readonly chunks: number[] = [];
  readonly lowEnds: number[] = [];
  readonly spans: { address: number; size: number }[] = [];
  /** Free room of the newest chunk: [low, high). */
  low = 0;
  high = 0;
  size = 0;

  constructor(heap: Heap) {
    this.heap = heap;
  }

  /** The address of `size` elements, or 0 where the memory is full. */
  allocate(size: number, urgent: boolean): number {
    if (size <= smallSize) {
      const room = (size + 3) & -4 || 4;
      if (this.low + room > this.high && !this.addChunk(urgent)) return 0;
      const address = this.low;
      this.low += room;
      return address;
    }
    if (size <= largeSize) {
      const room = (size + 15) & -16;
      if (this.high - room < this.low && !this.addChunk(urgent)) return 0;
      this.high -= room;
      return this.high;
    }
    const address = this.heap.allocate(size, urgent);
    if (address !== 0) {
      this.spans.push({ address, size });
      this.size += size;
    }
    return address;
  }

  /** Elements that tensors took, as far as it matters: all of a chunk once there is a second. */
  get taken(): number {
    return this.size - (this.high - this.low);
  }

  /** Copies of the low ends, one a chunk; null where no chunk has any. */
  rescueSmall(): FloatArray[] | null {
    this.closeChunk();
    const { chunks, lowEnds } = this;
    for (let i = 0; i < chunks.length; i++)
      if (lowEnds[i]! > chunks[i]!) return chunks.map((start, k) => this.heap.floats.slice(start, lowEnds[k]));
    return null;
  }

  release(): void {
    for (const chunk of this.chunks) giveChunk(this.heap, chunk);
    for (const { address, size } of this.spans) this.heap.free(address, size);
    this.chunks.length = this.lowEnds.length = this.spans.length = 0;
    this.low = this.high = this.size = 0;
  }

  private addChunk(urgent: boolean): boolean {
    const chunk = takeChunk(this.heap, urgent);
    if (chunk === 0) return false;
    this.closeChunk();
    this.chunks.push(chunk);
    this.low = chunk;
    this.high = chunk + chunkSize;
    this.size += chunkSize;
    return true;
  }

  private closeChunk(): void {
    if (this.chunks.length > this.lowEnds.length) this.lowEnds.push(this.low);
  }
}

const spareChunks = new WeakMap<Heap, number[]>();

function takeChunk(heap: Heap, urgent: boolean): number {
  const spare = spareChunks.get(heap)?.pop();
  if (spare === undefined) return heap.allocate(chunkSize, urgent);
  if (urgent || spare + chunkSize <= heap.limit) return spare;
  heap.free(spare, chunkSize);
  return takeChunk(heap, urgent);
}

function giveChunk(heap: Heap, chunk: number): void {
  const spare = spareChunks.get(heap) ?? [];
  spareChunks.set(heap, spare);
  if (spare.length < spareLimit) spare.push(chunk);
  else heap.free(chunk, chunkSize);
}

/** Something to tell when a region goes: it cuts links, or moves what it wants to keep. */
export interface Dependent {
  regionGoes(region: Region): void;
}

export class Region {
  alive = true;
  /** The last backward walk that read something in this region. */
  touchedBy = 0;
  holdings: Holdings | null;
  /** Where the newest allocation of this region stands (context.ts returns region and address in one). */
  lastAddress = 0;
  /** True of a region that lasts only for one op: the memory is full. */
  isOverflow = false;
  /** Low ends of the chunks, from the moment the region was given back. */
  private slabs: FloatArray[] | null = null;
  private slabStarts: number[] | null = null;
  private readonly dependents: Dependent[] = [];
  private nodes: Dependent[] = [];
  /** Makes the garbage collector, which does not see Wasm memory, feel the weight of a region it could free. */
  ballast: ArrayBuffer | null = null;

  constructor(holdings: Holdings | null) {
    this.holdings = holdings;
  }

  addDependent(dependent: Dependent): void {
    if (this.holdings !== null) this.dependents.push(dependent);
  }

  /** A node of the graph: one that lets go of its neighbours when the region goes, so that a kept loss keeps no graph. */
  addNode(node: Dependent): void {
    this.nodes.push(node);
  }

  get nodeCount(): number {
    return this.nodes.length;
  }

  /** Leaves its nodes to whoever holds them: a region that is held weakly must not hold a graph. */
  forgetNodes(): void {
    this.nodes = [];
  }

  /** Gives the memory back. Small tensors stay readable through `rescued`. */
  giveBack(): void {
    const { holdings } = this;
    if (!this.alive || holdings === null) return;
    for (const node of this.nodes) node.regionGoes(this);
    for (const dependent of this.dependents) dependent.regionGoes(this);
    this.nodes = [];
    this.dependents.length = 0;
    this.alive = false;
    this.slabs = holdings.rescueSmall();
    if (this.slabs !== null) this.slabStarts = holdings.chunks.slice();
    this.holdings = null;
    this.ballast = null;
    holdings.release();
  }

  /** The numbers of a small tensor that lived at `address`, as they were when the region went; else null. */
  rescued(address: number, size: number): FloatArray | null {
    const { slabs, slabStarts } = this;
    if (slabs === null || slabStarts === null) return null;
    for (let i = 0; i < slabs.length; i++) {
      const start = address - slabStarts[i]!;
      if (start >= 0 && start + size <= slabs[i]!.length) return slabs[i]!.subarray(start, start + size);
    }
    return null;
  }
}

/** Where parameters, buffers and optimizer state live: never given back as a whole. */
export const permanent = new Region(null);
/** Where a storage is that has no place in kernel memory at present. */
export const nowhere = new Region(null);
nowhere.alive = false;

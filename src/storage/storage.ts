/**
 * A storage: a run of numbers that one or more tensors look at, wherever it lives.
 *
 * It is in one of three states. **Resident**: in kernel memory, in a region (op outputs) or permanently (parameters).
 * **Host**: an ordinary, garbage-collected array; what users make starts here, and what outlives its region or finds
 * the memory full ends here. **Staged**: a host storage with a copy in some region for kernels to read; the array
 * stays the truth, the copy is dropped and made again at will.
 *
 * A storage that was given back says so in a sentence; it never shows wrong numbers.
 */
import { allocateAddress, noteOverflow } from './context.ts';
import { heap } from './dispatch.ts';
import type { FloatArray, Heap } from './heap.ts';
import { nowhere, permanent, type Region, smallSize } from './region.ts';

export class Storage {
  /** Elements. */
  readonly size: number;
  address: number;
  region: Region;
  /** The heap that `address` points into. */
  heap: Heap;
  host: FloatArray | null;
  /** Counts in-place writes; windows of a storage share their root's count. */
  version = 0;
  readonly root: Storage;
  /** The root's version when the staged copy was made, and how many were. */
  stagedVersion = 0;
  stagings = 0;

  constructor(size: number, address: number, region: Region, host: FloatArray | null, root: Storage | null) {
    this.size = size;
    this.address = address;
    this.region = region;
    this.heap = heap;
    this.host = host;
    this.root = root === null ? this : root;
  }

  /** Copies a resident storage to an ordinary array, which it is from now on. */
  moveToHost(): void {
    this.host = this.heap.floats.slice(this.address, this.address + this.size);
    this.region = nowhere;
  }
}

/** An op output: `size` numbers in the current region, not cleared. */
export function newStorage(size: number): Storage {
  const region = allocateAddress(size);
  const storage = new Storage(size, region.lastAddress, region, null, null);
  if (region.isOverflow) noteOverflow(storage);
  return storage;
}

export function hostStorage(host: FloatArray): Storage {
  return new Storage(host.length, 0, nowhere, host, null);
}

/** Part of a host storage, seen through the same array: staging it stages only the part. */
export function windowOf(storage: Storage, host: FloatArray, start: number, size: number): Storage {
  return new Storage(size, 0, nowhere, host.subarray(start, start + size), storage.root);
}

/** Gives spans of parameters back when nobody holds the parameter any more. */
const abandoned = new FinalizationRegistry<{ heap: Heap; address: number; size: number }>((span) =>
  span.heap.free(span.address, span.size),
);

/** Numbers that stay: parameters, buffers, optimizer state. An ordinary array where the memory is full. */
export function permanentStorage(size: number): Storage {
  const address = heap.allocate(size);
  if (address === 0) {
    const FloatArrayType = heap.floats.constructor as new (size: number) => FloatArray;
    return hostStorage(new FloatArrayType(size));
  }
  const storage = new Storage(size, address, permanent, null, null);
  abandoned.register(storage, { heap, address, size });
  return storage;
}

/** Moves a resident storage out of its region to memory of its own. */
export function makePermanent(storage: Storage): void {
  const { heap } = storage;
  const address = heap.allocate(storage.size);
  if (address === 0) return storage.moveToHost();
  heap.floats.copyWithin(address, storage.address, storage.address + storage.size);
  storage.address = address;
  storage.region = permanent;
  abandoned.register(storage, { heap, address, size: storage.size });
}

/** The address of the storage's first number, staged if need be. Good until the next allocation of memory that is full. */
export function locate(storage: Storage): number {
  return storage.region.alive &&
    storage.heap === heap &&
    (storage.host === null || storage.stagedVersion === storage.root.version)
    ? storage.address
    : stage(storage);
}

function stage(storage: Storage): number {
  const host = hostOf(storage);
  if (storage.region !== permanent || storage.heap !== heap) findPlace(storage);
  storage.stagedVersion = storage.root.version;
  const { floats } = heap;
  const start = storage.address;
  if (host.length < 64) for (let i = 0; i < host.length; i++) floats[start + i] = host[i]!;
  else floats.set(host, start);
  return start;
}

/** After this many stagings a storage is taken for one that is read every step, and its copy for worth keeping. */
const stagingsBeforeKept = 3;

/** Where a staged copy goes: into the open region, or, of a storage that is staged again and again, a place of its own. */
function findPlace(storage: Storage): void {
  storage.heap = heap;
  if (storage.size > smallSize && ++storage.stagings > stagingsBeforeKept) {
    const address = heap.allocate(storage.size);
    if (address !== 0) {
      storage.address = address;
      storage.region = permanent;
      abandoned.register(storage, { heap, address, size: storage.size });
      return;
    }
  }
  storage.region = allocateAddress(storage.size);
  storage.address = storage.region.lastAddress;
}

/** The array of a storage that is not resident. */
function hostOf(storage: Storage): FloatArray {
  if (storage.host !== null) return storage.host;
  if (storage.region.alive)
    throw new Error(
      `These ${storage.size} numbers live in the memory of the ${storage.heap.kernelSet} kernels, and an operation ran on the ` +
        `${heap.kernelSet} kernels. Pass them to checkGradients as an input, or take detach() of them before it.`,
    );
  const rescued = storage.region.rescued(storage.address, storage.size);
  if (rescued === null) throw new GivenBackError(storage.size);
  // A copy of its own: the slab goes when nobody needs it any more.
  storage.host = rescued.slice();
  storage.region = nowhere;
  return storage.host;
}

/** What is thrown when numbers are asked for whose memory was given back. */
export class GivenBackError extends Error {
  constructor(size: number) {
    super(
      `These ${size} numbers were given back: they were computed before the last backward call or inside a noGrad or ` +
        'scope that has ended, and nothing asked to keep them. Keep a tensor with detach(), return it from the scope, ' +
        'or read it (toArray, toFloat32Array) before the next backward call.',
    );
    this.name = 'GivenBackError';
  }
}

/** The numbers where they are, without staging: an array, and where in it they start. Good until the next allocation. */
export function readable(storage: Storage): { array: FloatArray; start: number } {
  if (storage.region.alive && storage.host === null) return { array: storage.heap.floats, start: storage.address };
  return { array: hostOf(storage), start: 0 };
}

/** To be called after kernels wrote in place at `locate(storage)`: counts the write, brings it to the array. */
export function wrote(storage: Storage): void {
  storage.root.version++;
  if (storage.host === null) return;
  storage.host.set(heap.floats.subarray(storage.address, storage.address + storage.size));
  storage.stagedVersion = storage.root.version;
}

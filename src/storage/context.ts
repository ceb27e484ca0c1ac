/**
 * Which regions are open, and when they are given back.
 *
 * A context has a stack of frames: the root, and one for each `scope` or `noGrad` that is running. A frame has one open
 * region, into which op outputs go, and closed ones. A backward walk marks every region it reads in; when it is done,
 * closed regions that it did not touch are given back, and the open one is closed (if it holds enough to matter). A plain training loop so holds the
 * memory of two steps at most, and several losses over one graph, in any order, still work. A frame that ends gives
 * back all its regions.
 *
 * Forward passes without end (an evaluation loop outside noGrad) would fill one region for ever: a region that has
 * grown past `rollSize` or `rollNodes` is closed and from then on held weakly, so that the garbage collector may find
 * that nobody reads it any more.
 *
 * Memory full: op outputs go to an overflow region in the heap's reserve and are moved to ordinary arrays when the op
 * is done (`settle`).
 */
import { heap } from './dispatch.ts';
import { type Heap, tooSmall } from './heap.ts';
import { Holdings, Region } from './region.ts';
import type { Storage } from './storage.ts';

/** Elements after which the open region is closed: 64 MiB. */
const rollSize = 2 ** 24;
/** Nodes after which it is closed, too: those of small networks fill the ordinary memory long before. */
const rollNodes = 2 ** 16;
/**
 * A step that took less than this (32 KiB) leaves its region open for the next: opening and giving back a region costs as
 * much as a whole step of a network of a hundred weights.
 */
const worthClosing = 2 ** 13;

class Frame {
  readonly parent: Frame | null;
  open: Region | null = null;
  readonly closed: Region[] = [];
  readonly rolled: WeakRef<Region>[] = [];

  constructor(parent: Frame | null) {
    this.parent = parent;
  }

  /** Gives back every closed region that `keep` does not hold on to. */
  giveBack(keep: (region: Region) => boolean): void {
    let kept = 0;
    for (const region of this.closed)
      if (keep(region)) this.closed[kept++] = region;
      else region.giveBack();
    this.closed.length = kept;
    if (this.rolled.length === 0) return;
    kept = 0;
    for (const reference of this.rolled) {
      const region = reference.deref();
      if (region === undefined) continue;
      if (keep(region)) this.rolled[kept++] = reference;
      else region.giveBack();
    }
    this.rolled.length = kept;
  }
}

/**
 * A world of regions of its own. Two trainers that take turns (each `await` lets the other run) share the default
 * context, and a backward of one may give back what the other still needs, which is then a clear error; with a context
 * each they never meet.
 *
 *     const mine = createContext();
 *     for await (const batch of source) mine.run(() => trainStep(batch));
 */
export class MemoryContext {
  frame = new Frame(null);

  constructor() {
    forgotten.register(this, this.frame);
  }

  /** Runs `body` (synchronous) with this context in place of the current one. */
  run<Result>(body: () => Result): Result {
    const before = active;
    active = this;
    try {
      return refusePromise(body(), 'context.run');
    } finally {
      active = before;
    }
  }
}

export function createContext(): MemoryContext {
  return new MemoryContext();
}

const unreachable = new FinalizationRegistry<Holdings>((holdings) => holdings.release());

/** A context that nobody holds any more opens and closes no region: from now on only their readers hold its regions. */
const forgotten = new FinalizationRegistry<Frame>(({ open, closed }) => {
  for (const region of open === null ? closed : [...closed, open]) unreachable.register(region, region.holdings!);
});

let active = new MemoryContext();

function openRegion(frame: Frame): Region {
  const { open } = frame;
  if (open !== null) {
    const holdings = open.holdings!;
    if (holdings.heap !== heap) frame.closed.push(open);
    else if (holdings.size > rollSize || open.nodeCount > rollNodes) roll(frame, open);
    else return open;
  }
  const region = new Region(new Holdings(heap));
  frame.open = region;
  return region;
}

/** The number of the newest backward walk, which may still be running. */
let newestWalk = 0;

/** Starts a backward walk: its number marks the regions that it reads in (`touchedBy`). */
export function startWalk(): number {
  return ++newestWalk;
}

/** Closes a region that has grown large; from now on only its readers hold it. What a running walk made stays. */
function roll(frame: Frame, region: Region): void {
  const holdings = region.holdings!;
  region.touchedBy = newestWalk;
  try {
    region.ballast = new ArrayBuffer(holdings.size * heap.floats.BYTES_PER_ELEMENT);
  } catch {
    // No room for a ballast: the collector will run soon enough.
  }
  unreachable.register(region, holdings);
  // Within one job a weak reference holds on as well as any: what the collector must have at once is not in the region.
  region.forgetNodes();
  frame.rolled.push(new WeakRef(region));
}

/** Makes room for `size` elements: the address is in `lastAddress` of the region it returns. */
export function allocateAddress(size: number): Region {
  const region = openRegion(active.frame);
  const address = region.holdings!.allocate(size, false);
  if (address === 0) return allocateOverflow(size);
  region.lastAddress = address;
  return region;
}

/** Room that does not fit any more, for the duration of one op. */
let overflow: { heap: Heap; region: Region; storages: Storage[] } | null = null;
let warned = false;

function allocateOverflow(size: number): Region {
  if (!warned) {
    warned = true;
    console.warn('palimpsest: the kernel memory is full; results go to ordinary arrays from here on, which is slower.');
  }
  if (overflow === null) {
    overflow = { heap, region: new Region(new Holdings(heap)), storages: [] };
    overflow.region.isOverflow = true;
  }
  const address = overflow.region.holdings!.allocate(size, true);
  if (address === 0) tooSmall(size);
  overflow.region.lastAddress = address;
  return overflow.region;
}

/** Remembers an op output that has to leave the overflow region. */
export function noteOverflow(storage: Storage): void {
  overflow?.storages.push(storage);
}

/** The end of an op: whatever it left in the overflow region becomes ordinary arrays. */
export function settle(): void {
  if (overflow !== null) empty(overflow);
}

function empty({ region, storages }: { region: Region; storages: Storage[] }): void {
  for (const storage of storages) storage.moveToHost();
  overflow = null;
  region.giveBack();
}

/** The open region, for things that want to hear when it goes. */
export function currentRegion(): Region {
  return openRegion(active.frame);
}

/** A backward walk is done: what it did not touch goes, and the open region is closed. */
export function endStep(walk: number): void {
  const { frame } = active;
  frame.giveBack((region) => region.touchedBy === walk);
  if (frame.open !== null && frame.open.holdings!.taken >= worthClosing) {
    frame.closed.push(frame.open);
    frame.open = null;
  }
}

/**
 * Runs `body` in a frame of its own and gives back all that was made in it but the storages of its result, which become
 * ordinary arrays: what leaves a frame is mostly read, and then belongs to the garbage collector.
 */
export function inFrame<Result>(
  name: string,
  body: () => Result,
  storagesOf: (result: Result) => readonly Storage[],
): Result {
  const context = active;
  const parent = context.frame;
  const frame = new Frame(parent);
  context.frame = frame;
  let result: Result;
  try {
    result = refusePromise(body(), name);
    context.frame = parent;
    for (const storage of storagesOf(result)) if (belongsTo(storage, frame)) storage.moveToHost();
  } finally {
    context.frame = parent;
    if (frame.open !== null) frame.closed.push(frame.open);
    frame.giveBack(() => false);
  }
  return result;
}

function belongsTo(storage: Storage, frame: Frame): boolean {
  const { region } = storage;
  if (storage.host !== null) return false;
  return region === frame.open || frame.closed.includes(region) || frame.rolled.some((r) => r.deref() === region);
}

function refusePromise<Result>(result: Result, name: string): Result {
  if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function')
    throw new Error(
      `${name}: its callback returned a promise. It gives memory back when the callback returns, so the callback must be ` +
        'synchronous: await first, then call it with what you awaited.',
    );
  return result;
}

/**
 * Hands out spans of one address space: first fit, lowest address first, neighbours joined again when freed.
 *
 * It serves few and large requests (chunks of regions, large tensors, parameters); small tensors are carved out of a
 * region's chunk by moving a pointer (region.ts). Addresses and sizes are in elements; sizes are rounded up to
 * `grain` so that every span starts on a cache line.
 */
const grain = 16;

export const roundUp = (size: number): number => Math.ceil(size / grain) * grain;

export class SpanAllocator {
  /** Free spans by rising address, never two that touch. Parallel arrays: the list is short and searched often. */
  private readonly starts: number[] = [];
  private readonly sizes: number[] = [];
  /** Everything from here on was never handed out. Address 0 is kept free: it means "no operand". */
  private top = grain;
  /** Elements handed out at present. */
  used = 0;

  /** The address of a free span below `limit`, or 0 where there is none. `reach` makes memory up to an address usable. */
  allocate(size: number, limit: number, reach: (end: number) => boolean): number {
    const needed = Math.max(roundUp(size), grain);
    for (let i = 0; i < this.starts.length; i++) {
      const free = this.sizes[i]!;
      if (free < needed) continue;
      const start = this.starts[i]!;
      if (start + needed > limit) break;
      if (free === needed) {
        this.starts.splice(i, 1);
        this.sizes.splice(i, 1);
      } else {
        this.starts[i] = start + needed;
        this.sizes[i] = free - needed;
      }
      this.used += needed;
      return start;
    }
    const end = this.top + needed;
    if (end > limit || !reach(end)) return 0;
    const start = this.top;
    this.top = end;
    this.used += needed;
    return start;
  }

  free(start: number, size: number): void {
    const freed = Math.max(roundUp(size), grain);
    this.used -= freed;
    let i = this.starts.length;
    while (i > 0 && this.starts[i - 1]! > start) i--;
    this.starts.splice(i, 0, start);
    this.sizes.splice(i, 0, freed);
    this.join(i);
    if (i > 0) this.join(i - 1);
    const last = this.starts.length - 1;
    if (this.starts[last]! + this.sizes[last]! === this.top) {
      this.top = this.starts[last]!;
      this.starts.pop();
      this.sizes.pop();
    }
  }

  /** Joins span i with the next one if they touch. */
  private join(i: number): void {
    if (i + 1 >= this.starts.length || this.starts[i]! + this.sizes[i]! !== this.starts[i + 1]) return;
    this.sizes[i]! += this.sizes[i + 1]!;
    this.starts.splice(i + 1, 1);
    this.sizes.splice(i + 1, 1);
  }
}

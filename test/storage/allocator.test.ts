/** Where numbers are put: spans, heaps that grow, and regions that carve chunks. No two live ranges ever overlap. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { roundUp, SpanAllocator } from '../../src/storage/allocator.ts';
import { Heap, type KernelSet } from '../../src/storage/heap.ts';
import { Holdings, Region, smallSize } from '../../src/storage/region.ts';

const fixedSeed = { seed: 20261120 };

interface Range {
  address: number;
  size: number;
}

/** Throws if two ranges share an element. */
function expectDisjoint(ranges: readonly Range[]): void {
  const sorted = ranges.filter(({ size }) => size > 0).toSorted((a, b) => a.address - b.address);
  for (let i = 1; i < sorted.length; i++) {
    const [before, after] = [sorted[i - 1]!, sorted[i]!];
    if (before.address + before.size > after.address)
      throw new Error(`${JSON.stringify(before)} and ${JSON.stringify(after)} overlap.`);
  }
}

type Step = { kind: 'allocate'; size: number } | { kind: 'free'; which: number };
const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('allocate' as const), size: fc.integer({ min: 0, max: 200 }) }),
    fc.record({ kind: fc.constant('free' as const), which: fc.nat(1000) }),
  ),
  { minLength: 1, maxLength: 120 },
);

const anywhere = (): boolean => true;

describe('SpanAllocator', () => {
  it('never lets spans overlap, never gives address 0, starts each on a cache line, and counts what it gave', () => {
    fc.assert(
      fc.property(steps, (list: Step[]) => {
        const spans = new SpanAllocator();
        const live: Range[] = [];
        for (const step of list) {
          if (step.kind === 'allocate') {
            const address = spans.allocate(step.size, 2 ** 20, anywhere);
            expect(address).toBeGreaterThan(0);
            expect(address % 16).toBe(0);
            live.push({ address, size: Math.max(step.size, 1) });
          } else if (live.length > 0) {
            const [gone] = live.splice(step.which % live.length, 1);
            spans.free(gone!.address, gone!.size);
          }
          expectDisjoint(live);
          expect(spans.used).toBe(live.reduce((sum, { size }) => sum + roundUp(size), 0));
        }
        // Everything freed, in whatever order: as on the first day.
        for (const { address, size } of live) spans.free(address, size);
        expect(spans.used).toBe(0);
        expect(spans.allocate(2 ** 20 - 16, 2 ** 20, anywhere)).toBe(16);
      }),
      { ...fixedSeed, numRuns: 200 },
    );
  });

  it('joins freed neighbours, whichever goes first', () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [0, 2, 1],
      [1, 0, 2],
    ]) {
      const spans = new SpanAllocator();
      const three = [0, 1, 2].map(() => spans.allocate(32, 2 ** 20, anywhere));
      const wall = spans.allocate(16, 2 ** 20, anywhere);
      for (const i of order) spans.free(three[i]!, 32);
      expect(spans.allocate(96, 2 ** 20, anywhere)).toBe(three[0]);
      expect(spans.allocate(16, 2 ** 20, anywhere)).toBeGreaterThan(wall);
    }
  });

  it('takes the lowest gap that is large enough', () => {
    const spans = new SpanAllocator();
    const all = [16, 64, 16, 32, 16].map((size) => ({ size, address: spans.allocate(size, 2 ** 20, anywhere) }));
    spans.free(all[1]!.address, 64);
    spans.free(all[3]!.address, 32);
    expect(spans.allocate(32, 2 ** 20, anywhere)).toBe(all[1]!.address);
    expect(spans.allocate(32, 2 ** 20, anywhere)).toBe(all[1]!.address + 32);
    expect(spans.allocate(32, 2 ** 20, anywhere)).toBe(all[3]!.address);
  });

  it('respects the limit, and what its memory can reach', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 16, max: 2000 }), (list: Step[], limit) => {
        const spans = new SpanAllocator();
        const live: Range[] = [];
        let reached = 0;
        const reach = (end: number): boolean => {
          if (end > 1500) return false;
          reached = Math.max(reached, end);
          return true;
        };
        for (const step of list)
          if (step.kind === 'allocate') {
            const address = spans.allocate(step.size, limit, reach);
            if (address === 0) continue;
            expect(address + step.size).toBeLessThanOrEqual(Math.min(limit, reached));
            live.push({ address, size: step.size });
          } else if (live.length > 0) {
            const [gone] = live.splice(step.which % live.length, 1);
            spans.free(gone!.address, gone!.size);
          }
        expectDisjoint(live);
      }),
      { ...fixedSeed, numRuns: 200 },
    );
  });

  it('respects a limit that was lowered: gaps above it stay empty', () => {
    const spans = new SpanAllocator();
    const [low, high] = [spans.allocate(64, 1000, anywhere), spans.allocate(128, 1000, anywhere)];
    const top = spans.allocate(16, 1000, anywhere);
    spans.free(high, 128);
    expect(spans.allocate(128, 100, anywhere)).toBe(0);
    spans.free(low, 64);
    expect(spans.allocate(64, 100, anywhere)).toBe(low);
    expect(spans.allocate(128, 1000, anywhere)).toBe(high);
    expect(top).toBeGreaterThan(high);
  });

  it('refuses what no memory holds, sizes past 2^31 too', () => {
    const spans = new SpanAllocator();
    for (const size of [2 ** 30, 2 ** 31 - 8, 2 ** 31, 2 ** 32])
      expect(spans.allocate(size, 2 ** 29, anywhere)).toBe(0);
    expect(spans.used).toBe(0);
    expect(roundUp(2 ** 32 + 1)).toBe(2 ** 32 + 16);
  });
});

describe.each<KernelSet>(['wasm-simd', 'reference', 'reference-float64'])('a heap of kind %s', (kind) => {
  it('keeps its numbers when it grows', () => {
    const heap = new Heap(kind);
    const first = heap.allocate(1000);
    for (let i = 0; i < 1000; i++) heap.floats[first + i] = i / 4;
    const before = heap.floats.length;
    const sizes = [before, 2 * before, 100];
    const rest = sizes.map((size) => ({ size, address: heap.allocate(size) }));
    expect(heap.floats.length).toBeGreaterThan(3 * before);
    expectDisjoint([{ address: first, size: 1000 }, ...rest]);
    for (const { address, size } of rest) {
      expect(address + size).toBeLessThanOrEqual(heap.floats.length);
      heap.floats.fill(-1, address, address + size);
    }
    for (let i = 0; i < 1000; i++) if (heap.floats[first + i] !== i / 4) throw new Error(`entry ${i} is lost`);
    // Kernels see the grown memory.
    heap.run.fill(rest[1]!.address, 3, 0.5);
    expect(Array.from(heap.floats.slice(rest[1]!.address, rest[1]!.address + 4))).toEqual([0.5, 0.5, 0.5, -1]);
  });

  it('gives nothing past its limit, but for the urgent, and counts bytes', () => {
    const heap = new Heap(kind);
    const bytes = heap.floats.BYTES_PER_ELEMENT;
    heap.setLimit(4096 * bytes);
    const address = heap.allocate(4000);
    expect(heap.bytesInUse).toBe(4000 * bytes);
    expect(heap.allocate(4000)).toBe(0);
    expect(heap.allocate(4000, true)).toBeGreaterThan(address);
    heap.free(address, 4000);
    expect(heap.allocate(4000)).toBe(address);
  });
});

describe('regions', () => {
  const sizes = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: smallSize }) },
      { weight: 3, arbitrary: fc.integer({ min: smallSize + 1, max: 2 ** 16 }) },
      { weight: 1, arbitrary: fc.integer({ min: 2 ** 16 + 1, max: 2 ** 17 }) },
    ),
    { minLength: 1, maxLength: 60 },
  );
  const heap = new Heap('reference');

  it('carve small, large and huge tensors so that none overlap, and give all of it back', () => {
    fc.assert(
      fc.property(sizes, sizes, (some, others) => {
        const [a, b] = [new Holdings(heap), new Holdings(heap)];
        const live: Range[] = [];
        for (let i = 0; i < Math.max(some.length, others.length); i++)
          for (const [holdings, size] of [
            [a, some[i]],
            [b, others[i]],
          ] as const) {
            if (size === undefined) continue;
            const address = holdings.allocate(size, false);
            expect(address).toBeGreaterThan(0);
            expect(address % 4).toBe(0);
            live.push({ address, size });
          }
        expectDisjoint(live);
        a.release();
        b.release();
        // At most the spare chunks stay, eight of 2^18 elements.
        expect(heap.bytesInUse).toBeLessThanOrEqual(8 * 2 ** 18 * 4);
      }),
      { ...fixedSeed, numRuns: 60 },
    );
  });

  it('carve a chunk to its last element: small ones from below never meet large ones from above', () => {
    const near = fc.array(fc.integer({ min: 1, max: 2 * smallSize }), { minLength: 3, maxLength: 9 });
    fc.assert(
      fc.property(near, (list) => {
        const holdings = new Holdings(heap);
        const live: Range[] = [];
        for (let i = 0; holdings.chunks.length < 4; i++) {
          const size = list[i % list.length]!;
          live.push({ address: holdings.allocate(size, false), size });
        }
        expectDisjoint(live);
        for (const { address, size } of live) {
          const chunk = holdings.chunks.find((start) => address >= start && address + size <= start + 2 ** 18);
          if (chunk === undefined) throw new Error(`${address} to ${address + size} leaves its chunk.`);
        }
        holdings.release();
      }),
      { ...fixedSeed, numRuns: 40 },
    );
  });

  it('hand their small tensors on when they go, and no large one', () => {
    fc.assert(
      fc.property(sizes, (list) => {
        const holdings = new Holdings(heap);
        const region = new Region(holdings);
        const live = list.map((size, i) => {
          const address = holdings.allocate(size, false);
          heap.floats.fill(i + 1, address, address + size);
          return { address, size, value: i + 1 };
        });
        region.giveBack();
        // Somebody else writes all over it.
        const next = new Holdings(heap);
        for (let i = 0; i < 4; i++) heap.floats.fill(-1, next.allocate(2 ** 16, false), 2 ** 16);
        for (const { address, size, value } of live) {
          const rescued = region.rescued(address, size);
          if (size <= smallSize) expect(rescued).toEqual(new Float32Array(size).fill(value));
          else expect(rescued).toBeNull();
        }
        next.release();
      }),
      { ...fixedSeed, numRuns: 60 },
    );
  });

  it('say 0 where the memory is full', () => {
    const full = new Heap('reference');
    full.setLimit(0);
    for (const size of [1, smallSize + 1, 2 ** 17]) expect(new Holdings(full).allocate(size, false)).toBe(0);
    expect(new Holdings(full).allocate(1, true)).toBeGreaterThan(0);
  });
});

/** The index kernels: what they mean, and that the emitted twins do the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { indexing } from '../../src/kernels/reference/indexing.ts';
import { indexingFamily } from '../../src/kernels/wasm/indexing.ts';
import { fixedSeed, indices, Twins, wholeNumbers } from './twin.ts';

const memoryOf = (floats: number[], ints: number[]) => ({
  floats: Float64Array.from(floats),
  ints: Int32Array.from(ints),
});

describe('reference index kernels', () => {
  // x = [[0, 1], [2, 3], [4, 5]] at 0, results behind it at 6.
  const x = [0, 1, 2, 3, 4, 5];

  it('indexSelect copies whole rows, in the order of the index', () => {
    const memory = memoryOf([...x, 9, 9, 9, 9], [2, 0]);
    indexing.indexSelect(memory, 0, 0, 6, 1, 3, 2, 2);
    expect([...memory.floats.slice(6)]).toEqual([4, 5, 0, 1]);
  });

  it('indexAdd adds every row of a repeated index', () => {
    const memory = memoryOf([...x, 10, 10, 10, 10, 10, 10], [1, 1, 2]);
    indexing.indexAdd(memory, 0, 0, 6, 1, 3, 3, 2);
    expect([...memory.floats.slice(6)]).toEqual([10, 10, 12, 14, 14, 15]);
  });

  it('gather reads each number at its own index; scatterAdd sends it back there', () => {
    const memory = memoryOf([...x, 9, 9, 0, 0, 0, 0, 0, 0], [2, 1]);
    indexing.gather(memory, 0, 0, 6, 1, 3, 1, 2);
    expect([...memory.floats.slice(6, 8)]).toEqual([4, 3]);
    indexing.scatterAdd(memory, 6, 0, 8, 1, 3, 1, 2);
    expect([...memory.floats.slice(8)]).toEqual([0, 0, 0, 3, 4, 0]);
  });

  it('oneHot writes one 1 a row', () => {
    const memory = memoryOf([9, 9, 9, 9, 9, 9], [2, 0]);
    indexing.oneHot(memory, 0, 0, 2, 3);
    expect([...memory.floats]).toEqual([0, 0, 1, 1, 0, 0]);
  });
});

describe('emitted index kernels', () => {
  const twins = new Twins(indexingFamily);
  const small = fc.integer({ min: 0, max: 7 });
  const sizes = fc.record({
    outer: fc.integer({ min: 0, max: 4 }),
    n: fc.integer({ min: 1, max: 7 }),
    count: small,
    inner: fc.oneof(small, fc.integer({ min: 8, max: 40 })),
    seed: fc.integer(),
  });

  it('indexSelect and indexAdd equal their references bit for bit', () => {
    fc.assert(
      fc.property(sizes, ({ outer, n, count, inner, seed }) => {
        twins.clear();
        const index = twins.ints(indices(count, seed, n));
        const whole = twins.floats(wholeNumbers(outer * n * inner, seed));
        const rows = twins.floats(wholeNumbers(outer * count * inner, seed + 1));
        twins.compare('indexSelect', indexing.indexSelect, [whole, index, rows, outer, n, count, inner]);
        twins.compare('indexAdd', indexing.indexAdd, [rows, index, whole, outer, n, count, inner]);
      }),
      fixedSeed,
    );
  });

  it('gather and scatterAdd equal their references bit for bit', () => {
    fc.assert(
      fc.property(sizes, ({ outer, n, count, inner, seed }) => {
        twins.clear();
        const index = twins.ints(indices(outer * count * inner, seed, n));
        const whole = twins.floats(wholeNumbers(outer * n * inner, seed));
        const rows = twins.floats(wholeNumbers(outer * count * inner, seed + 1));
        twins.compare('gather', indexing.gather, [whole, index, rows, outer, n, count, inner]);
        twins.compare('scatterAdd', indexing.scatterAdd, [rows, index, whole, outer, n, count, inner]);
      }),
      fixedSeed,
    );
  });

  it('oneHot equals its reference bit for bit', () => {
    fc.assert(
      fc.property(small, fc.integer({ min: 1, max: 20 }), fc.integer(), (n, classes, seed) => {
        twins.clear();
        const index = twins.ints(indices(n, seed, classes));
        twins.compare('oneHot', indexing.oneHot, [index, twins.room(n * classes), n, classes]);
      }),
      fixedSeed,
    );
  });
});

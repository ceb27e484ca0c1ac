import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batches } from '../../src/data/batches.ts';
import { Generator } from '../../src/random/generator.ts';

const rowsOf = (epoch: Iterable<Int32Array>): number[][] => Array.from(epoch, (rows) => Array.from(rows));

describe('batches', () => {
  it('cuts the rows in order, the last batch being smaller', () => {
    expect(rowsOf(batches(5, 2))).toEqual([[0, 1], [2, 3], [4]]);
    expect(rowsOf(batches(4, 2))).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(rowsOf(batches(2, 10))).toEqual([[0, 1]]);
    expect(rowsOf(batches(0, 2))).toEqual([]);
  });

  it('leaves out a smaller last batch when told to', () => {
    expect(rowsOf(batches(5, 2, { dropLast: true }))).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(rowsOf(batches(4, 2, { dropLast: true }))).toHaveLength(2);
    expect(rowsOf(batches(2, 10, { dropLast: true }))).toEqual([]);
  });

  it('deals every row once, shuffled or not', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.integer({ min: 1, max: 50 }), fc.boolean(), (count, size, shuffled) => {
        const rows = rowsOf(batches(count, size, shuffled ? { generator: new Generator(3) } : {}));
        expect(rows.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, row) => row));
        for (const batch of rows.slice(0, -1)) expect(batch).toHaveLength(size);
      }),
      { seed: 20261120 },
    );
  });

  it('draws a new order for each loop, the same for the same seed', () => {
    const epoch = batches(100, 7, { generator: new Generator(1) });
    const [first, second] = [rowsOf(epoch), rowsOf(epoch)];
    expect(first).not.toEqual(second);
    const again = batches(100, 7, { generator: new Generator(1) });
    expect([rowsOf(again), rowsOf(again)]).toEqual([first, second]);
  });

  it('draws nothing before the loop starts', () => {
    const generator = new Generator(1);
    batches(100, 7, { generator });
    expect(generator.state).toEqual(new Generator(1).state);
  });

  it('gives arrays that share no memory', () => {
    const [first, second] = [...batches(4, 2, { generator: new Generator(1) })];
    expect(first?.buffer).not.toBe(second?.buffer);
  });

  it.each([
    [-1, 2, 'batches: count must be an integer from 0 to 2^31 - 1, but it is -1.'],
    [2.5, 2, 'batches: count must be an integer from 0 to 2^31 - 1, but it is 2.5.'],
    [2 ** 31, 2, 'batches: count must be an integer from 0 to 2^31 - 1, but it is 2147483648.'],
    [10, 0, 'batches: batchSize must be an integer from 1 up, but it is 0.'],
    [10, Number.NaN, 'batches: batchSize must be an integer from 1 up, but it is NaN.'],
  ])('refuses %d rows in batches of %d at once, not only in the loop', (count, size, message) => {
    expect(() => batches(count, size)).toThrow(message);
  });
});

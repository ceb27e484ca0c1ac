import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matmul, tensor, transpose, zeros } from '../../src/index.ts';
import { singularValues, singularValuesOf } from '../../src/ops/singular.ts';
import { Generator } from '../../src/random/generator.ts';

/** A random orthogonal n x n matrix, by Gram and Schmidt, row-major. */
function orthogonal(n: number, generator: Generator): Float64Array {
  const rows: Float64Array[] = [];
  while (rows.length < n) {
    const row = Float64Array.from({ length: n }, () => generator.normal());
    for (let twice = 0; twice < 2; twice++)
      for (const other of rows) {
        const share = row.reduce((sum, x, i) => sum + x * other[i]!, 0);
        for (let i = 0; i < n; i++) row[i] = row[i]! - share * other[i]!;
      }
    const length = Math.hypot(...row);
    rows.push(row.map((x) => x / length));
  }
  return Float64Array.from(rows.flatMap((row) => [...row]));
}

/** U diag(values) V^T, m x n. */
function withSingularValues(values: readonly number[], m: number, n: number, seed: number): Float64Array {
  const generator = new Generator(seed);
  const [u, v] = [orthogonal(m, generator), orthogonal(n, generator)];
  return Float64Array.from({ length: m * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    return values.reduce((sum, s, k) => sum + u[i * m + k]! * s * v[j * n + k]!, 0);
  });
}

function expectClose(found: ArrayLike<number>, expected: readonly number[], tolerance = 2e-14): void {
  expect(found.length).toBe(expected.length);
  for (const [i, value] of expected.entries())
    expect(Math.abs(found[i]! - value)).toBeLessThanOrEqual(tolerance * (expected[0] ?? 1));
}

describe('singularValues', () => {
  it('finds those a matrix was made with, tall, wide and square, repeated, tiny and zero', () => {
    const cases: [number[], number, number][] = [
      [[5, 4, 3], 3, 3],
      [[5, 4, 3], 9, 3],
      [[5, 4, 3], 3, 9],
      [[2, 2, 2, 1, 1], 7, 5],
      [[1, 1e-5, 1e-10, 0], 6, 4],
      [[7, 0, 0, 0, 0], 5, 8],
      [[3], 1, 6],
      [[3], 6, 1],
      [[1, 0.999999999, 0.5], 4, 3],
      [Array.from({ length: 20 }, (_, i) => 20 - i), 30, 20],
    ];
    for (const [i, [values, m, n]] of cases.entries())
      expectClose(singularValuesOf(withSingularValues(values, m, n, i), m, n), values);
  });

  it('agrees with sums over all entries and with the transpose, for any matrix', () => {
    const entry = fc.oneof(fc.constantFrom(0, 1, -1, 2), fc.double({ min: -10, max: 10, noNaN: true }));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        fc.infiniteStream(entry),
        (m, n, entries) => {
          const a = Float64Array.from({ length: m * n }, () => entries.next().value as number);
          const s = singularValuesOf(a, m, n);
          expect(s.length).toBe(Math.min(m, n));
          for (let i = 1; i < s.length; i++) expect(s[i]!).toBeLessThanOrEqual(s[i - 1]!);
          const squares = a.reduce((sum, x) => sum + x * x, 0);
          expect(s.reduce((sum, x) => sum + x * x, 0)).toBeCloseTo(squares, 9);
          // |A A^T|_F^2 is the sum of fourth powers.
          let fourth = 0;
          for (let i = 0; i < m; i++)
            for (let j = 0; j < m; j++) {
              let product = 0;
              for (let k = 0; k < n; k++) product += a[i * n + k]! * a[j * n + k]!;
              fourth += product ** 2;
            }
          expect(Math.abs(s.reduce((sum, x) => sum + x ** 4, 0) - fourth)).toBeLessThanOrEqual(1e-12 * (1 + fourth));
          const transposed = Float64Array.from({ length: m * n }, (_, at) => a[(at % m) * n + Math.floor(at / m)]!);
          expectClose(singularValuesOf(transposed, n, m), [...s], 1e-13);
        },
      ),
      { seed: 20261120 },
    );
  });

  it('are in proportion to the matrix, from the smallest numbers to the largest', () => {
    const a = withSingularValues([3, 2, 1], 4, 3, 8);
    for (const scale of [1e-300, 1e-20, 1, 1e20, 1e300])
      expectClose(
        singularValuesOf(
          a.map((x) => x * scale),
          4,
          3,
        ),
        [3 * scale, 2 * scale, scale],
        1e-13,
      );
    expectClose(singularValuesOf([5e-324], 1, 1), [5e-324], 0);
  });

  it('are zeros for zeros, and none for a matrix without rows or columns', () => {
    expect([...singularValues(zeros([3, 2]))]).toEqual([0, 0]);
    expect([...singularValues(zeros([3, 0]))]).toEqual([]);
    expect([...singularValues(zeros([0, 3]))]).toEqual([]);
  });

  it('reads views, and changes nothing', () => {
    const a = tensor([
      [3, 0],
      [4, 0],
      [0, 2],
    ]);
    expectClose(singularValues(transpose(a)), [5, 2]);
    expectClose(singularValues(matmul(transpose(a), a)), [25, 4]);
    expect(a.toArray()).toEqual([
      [3, 0],
      [4, 0],
      [0, 2],
    ]);
  });

  it('refuses what is no matrix of finite numbers, in a sentence', () => {
    expect(() => singularValues(zeros([2]))).toThrow('singularValues: a [2] is no matrix: it is of shape [m, n].');
    expect(() => singularValues(zeros([2, 2, 2]))).toThrow(/no matrix/);
    expect(() => singularValues([[1]] as never)).toThrow(/expected a tensor/);
    expect(() =>
      singularValues(
        tensor([
          [1, 2],
          [Number.NaN, 3],
        ]),
      ),
    ).toThrow('a [2, 2] holds NaN at [1, 0]');
    expect(() => singularValues(tensor([[1, Infinity]]))).toThrow('holds Infinity at [0, 1]');
  });
});

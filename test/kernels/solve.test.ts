/** The Cholesky factor and triangular solves: what they mean, and that the emitted twins do the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { solve } from '../../src/kernels/reference/solve.ts';
import { gemmFamily } from '../../src/kernels/wasm/gemm.ts';
import { movementFamilies } from '../../src/kernels/wasm/movement.ts';
import { solveFamily } from '../../src/kernels/wasm/solve.ts';
import { fixedSeed, realNumbers, Twins, wholeNumbers, within } from './twin.ts';

const memoryOf = (...values: number[]) => {
  const floats = Float64Array.from(values);
  return { floats, ints: floats };
};

describe('reference solve', () => {
  it('cholesky finds the factor that made the matrix, reads the lower triangle, writes zeros above', () => {
    // [2 0 0; 1 3 0; -1 2 1] times its transpose
    const memory = memoryOf(4, 99, 99, 2, 10, 99, -2, 5, 6, ...Array(9).fill(7));
    solve.cholesky(memory, 0, 9, 3);
    expect([...memory.floats.slice(9)]).toEqual([2, 0, 0, 1, 3, 0, -1, 2, 1]);
    solve.cholesky(memory, 0, 0, 3);
    expect([...memory.floats.slice(0, 9)]).toEqual([2, 0, 0, 1, 3, 0, -1, 2, 1]);
  });

  it.each([
    [0, 0],
    [-3, -3],
    [Number.NaN, Number.NaN],
  ])('cholesky leaves a pivot of %d on the diagonal', (pivot, stored) => {
    const memory = memoryOf(4, 0, 2, 1 + pivot, ...Array(4).fill(7));
    solve.cholesky(memory, 0, 4, 2);
    expect([memory.floats[4], memory.floats[7]]).toEqual([2, stored]);
  });

  it('triangularSolve undoes L and L^T', () => {
    const factor = [2, 99, 1, 4];
    const memory = memoryOf(...factor, 2, 4, 9, 6, 0, 0, 0, 0);
    solve.triangularSolve(memory, 0, 4, 8, 2, 2, 0);
    expect([...memory.floats.slice(8)]).toEqual([1, 2, 2, 1]);
    solve.triangularSolve(memory, 0, 4, 8, 2, 2, 1);
    expect([...memory.floats.slice(8)]).toEqual([-0.125, 1.25, 2.25, 1.5]);
  });
});

describe('emitted solve', () => {
  const twins = new Twins(solveFamily, { others: [gemmFamily, ...movementFamilies] });
  const size = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(31, 32, 33, 63, 64, 65, 97, 127, 129, 150));
  /** A lower triangle of whole numbers, 1 or 2 on the diagonal, noise above: factors and solutions are found exactly. */
  const factorOf = (n: number, seed: number) =>
    wholeNumbers(n * n, seed).map((x, at) => {
      const [row, column] = [Math.floor(at / n), at % n];
      return row === column ? 1 + (Math.abs(x) % 2) : x;
    });
  const lower = (l: number[], n: number, i: number, j: number) => (j > i ? 0 : l[i * n + j]!);

  it('cholesky is exact on whole numbers, in place or not, whatever stands above the diagonal', () => {
    fc.assert(
      fc.property(size, fc.integer(), fc.boolean(), (n, seed, inPlace) => {
        const l = factorOf(n, seed);
        const matrix = wholeNumbers(n * n, seed + 1).map((noise, at) => {
          const [i, j] = [Math.floor(at / n), at % n];
          if (j > i) return noise;
          let sum = 0;
          for (let k = 0; k <= j; k++) sum += lower(l, n, i, k) * lower(l, n, j, k);
          return sum;
        });
        const a = twins.clear().floats(matrix);
        twins.compare('cholesky', solve.cholesky, [a, inPlace ? a : twins.room(n * n), n]);
      }),
      fixedSeed,
    );
  });

  it('cholesky of matrices that are not whole', () => {
    for (const n of [3, 40, 150]) {
      const x = realNumbers(n * n, n);
      const matrix = x.map((_, at) => {
        const [i, j] = [Math.floor(at / n), at % n];
        let sum = i === j ? 1 : 0;
        for (let k = 0; k < n; k++) sum += x[i * n + k]! * x[j * n + k]!;
        return sum;
      });
      const a = twins.clear().floats(matrix);
      twins.compare('cholesky', solve.cholesky, [a, twins.room(n * n), n], within(1e-4));
    }
  });

  it('triangularSolve is exact on whole numbers, transposed or not, in place or not', () => {
    const columns = fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 19 }));
    fc.assert(
      fc.property(
        size,
        columns,
        fc.integer(),
        fc.constantFrom(0, 1),
        fc.boolean(),
        (n, columns, seed, transposed, inPlace) => {
          const l = factorOf(n, seed);
          const x = wholeNumbers(n * columns, seed + 1);
          const right = x.map((_, at) => {
            const [i, column] = [Math.floor(at / columns), at % columns];
            let sum = 0;
            for (let j = 0; j < n; j++)
              sum += (transposed ? lower(l, n, j, i) : lower(l, n, i, j)) * x[j * columns + column]!;
            return sum;
          });
          const factor = twins.clear().floats(l);
          const b = twins.floats(right);
          const out = inPlace ? b : twins.room(n * columns);
          twins.compare('triangularSolve', solve.triangularSolve, [factor, b, out, n, columns, transposed]);
        },
      ),
      fixedSeed,
    );
  });
});

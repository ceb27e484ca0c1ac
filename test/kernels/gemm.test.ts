/** The matrix product: what it means, and that the emitted twin does the same in every shape and layout. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gemm } from '../../src/kernels/reference/gemm.ts';
import { gemmFamily } from '../../src/kernels/wasm/gemm.ts';
import { fixedSeed, realNumbers, Twins, wholeNumbers, within } from './twin.ts';

describe('reference gemm', () => {
  it('multiplies, adds the bias of each column, and cuts at zero', () => {
    // [[1, 2], [3, 4]] [[5, 6], [7, 8]] = [[19, 22], [43, 50]]
    const memory = { floats: Float64Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, -20, 1, 0, 0, 0, 0), ints: new Int32Array() };
    gemm.gemm(memory, 1, 2, 1, 5, 2, 1, 11, 2, 2, 2, 2, 0, 9, 1);
    expect([...memory.floats.slice(11)]).toEqual([0, 23, 23, 51]);
    gemm.gemm(memory, 1, 1, 2, 5, 1, 2, 11, 2, 2, 2, 2, 1, 0, 0); // += the product of both transposes
    expect([...memory.floats.slice(11)]).toEqual([23, 54, 57, 97]);
  });

  it('does not skip zeros: 0 * NaN is NaN, also behind relu', () => {
    const memory = { floats: Float32Array.of(0, 0, Number.NaN, 7), ints: new Int32Array() };
    gemm.gemm(memory, 1, 1, 1, 2, 1, 1, 3, 1, 1, 1, 1, 0, 0, 1);
    expect(memory.floats[3]).toBeNaN();
  });
});

/** How a matrix lies in memory: which axis is dense, how far the other one's steps exceed it, which axes run backwards. */
interface Layout {
  dense: 'rows' | 'columns' | 'neither';
  gap: number;
  flipRows: boolean;
  flipColumns: boolean;
  /** All rows are the same row, as in an expanded view. */
  repeatRows: boolean;
}
const plain: Layout = { dense: 'rows', gap: 0, flipRows: false, flipColumns: false, repeatRows: false };
const transposed: Layout = { ...plain, dense: 'columns' };

const layouts: fc.Arbitrary<Layout> = fc.oneof(
  fc.constant(plain),
  fc.constant(transposed),
  fc.record({
    dense: fc.constantFrom('rows', 'columns', 'neither'),
    gap: fc.integer({ min: 0, max: 5 }),
    flipRows: fc.boolean(),
    flipColumns: fc.boolean(),
    repeatRows: fc.boolean(),
  }),
);

/** [address of element (0, 0) relative to the lowest one, row stride, column stride, elements spanned] */
function place({ dense, gap, flipRows, flipColumns, repeatRows }: Layout, rows: number, columns: number) {
  const step = dense === 'neither' ? 2 : 1;
  let row = dense === 'columns' ? step : columns * step + gap;
  let column = dense === 'columns' ? rows * step + gap : step;
  if (repeatRows) row = 0;
  const lastRow = Math.max(0, rows - 1) * row;
  const lastColumn = Math.max(0, columns - 1) * column;
  if (flipRows) row = -row;
  if (flipColumns) column = -column;
  return [(flipRows ? lastRow : 0) + (flipColumns ? lastColumn : 0), row, column, lastRow + lastColumn + 1] as const;
}

interface Case {
  m: number;
  n: number;
  k: number;
  a: Layout;
  b: Layout;
  rowGap: number;
  epilogue: 'write' | 'accumulate' | 'bias' | 'relu' | 'bias+relu';
  seed: number;
}

const twins = new Twins(gemmFamily, { room: 1 << 20 });

function compare({ m, n, k, a, b, rowGap, epilogue, seed }: Case, numbers = wholeNumbers, tolerance = 0): void {
  twins.clear();
  const [aFirst, aRow, aColumn, aSpan] = place(a, m, k);
  const [bFirst, bRow, bColumn, bSpan] = place(b, k, n);
  const aAddress = twins.floats(numbers(aSpan, seed)) + aFirst;
  const bAddress = twins.floats(numbers(bSpan, seed + 1)) + bFirst;
  const bias = epilogue.startsWith('bias') ? twins.floats(numbers(n, seed + 2)) : 0;
  const c = twins.room(m * (n + rowGap));
  const flags = [epilogue === 'accumulate' ? 1 : 0, bias, epilogue.endsWith('relu') ? 1 : 0] as const;
  const args = [aAddress, aRow, aColumn, bAddress, bRow, bColumn, c, n + rowGap, m, n, k, ...flags] as const;
  twins.compare('gemm', gemm.gemm, [...args], within(tolerance));
}

describe('emitted gemm', () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 70 }));
  const cases: fc.Arbitrary<Case> = fc.record({
    m: size,
    n: size,
    k: size,
    a: layouts,
    b: layouts,
    rowGap: fc.constantFrom(0, 0, 3),
    epilogue: fc.constantFrom('write', 'accumulate', 'bias', 'relu', 'bias+relu'),
    seed: fc.integer(),
  });

  it('equals its reference on whole numbers, bit for bit, in every layout', () => {
    fc.assert(
      fc.property(cases, (drawn) => compare(drawn)),
      { ...fixedSeed, numRuns: 500 },
    );
  });

  it('equals its reference on real numbers up to rounding', () => {
    fc.assert(
      fc.property(cases, (drawn) => compare(drawn, realNumbers, 2e-5)),
      fixedSeed,
    );
  });

  it.each([
    ['k past one block', 20, 40, 600],
    ['m past one block', 401, 20, 30],
    ['n past one block', 5, 1100, 10],
    ['all past one block', 195, 1030, 260],
    ['one row', 1, 1100, 300],
    ['one column', 500, 1, 300],
    ['k = 1', 130, 130, 1],
  ])('is right when blocked: %s', (_, m, n, k) => {
    for (const [a, b] of [
      [plain, plain],
      [plain, transposed],
      [transposed, plain],
      [transposed, transposed],
    ] as const) {
      compare({ m, n, k, a, b, rowGap: 0, epilogue: 'accumulate', seed: k });
      if (m * n * k < 1e6) compare({ m, n, k, a, b, rowGap: 1, epilogue: 'bias+relu', seed: m });
    }
  });

  it('lets NaN through relu', () => {
    twins.clear();
    const a = twins.floats(new Array(18).fill(Number.NaN));
    const c = twins.room(6 * 20);
    twins.compare('gemm', gemm.gemm, [a, 3, 1, a, 0, 0, c, 20, 6, 20, 3, 0, 0, 1]);
  });
});

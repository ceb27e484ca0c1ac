/**
 * The Cholesky factor and triangular solves, in blocks: inside a block numbers depend on each other and are computed one
 * after the other; what a finished block takes from all the rest is a matrix product, and gemm's.
 *
 *       k0  k1                  Cholesky, right-looking: for each block of columns, top down,
 *     +---+---+-------+           rows:  L[i, j] = (A[i, j] - L[i, k0..j) . L[j, k0..j)) / L[j, j] for all rows i >= k0
 *     | D |               D, P    gemm:  R -= P P^T, strip by strip, as far as the diagonal
 *     +---+-------+
 *     | P | R             R      Solving: x = -y is kept negated while it is found, so that gemm, which adds, subtracts:
 *     |   |       .                gemm: y_block = b_block + L[block, solved] y[solved]
 *     +---+-------+                substitute: y_i = -(y_i + sum over j in the block, before i, of L[i, j] y_j) / L[i, i]
 *
 * L^T is solved from the end: rows, columns and right-hand sides are then walked backwards, by negative steps.
 */
import type { Kernels } from '../table.ts';
import { type Code, WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { sumLanes } from './horizontal.ts';
import { f32, f32x4, type Int, i32, select } from './instructions.ts';
import { type Pointer, sweep, toBytes, type Vector } from './sweep.ts';

/** Columns of a block. Wider blocks leave less to gemm, narrower ones call it more often for less. */
const choleskyBlock = 64;
const solveBlock = 32;
/** Rows of the rest that one product updates: it computes up to this many columns behind the diagonal for nothing. */
const strip = 64;

const zero = f32x4.splat(0);

/** a . b over `count` numbers, in every lane. */
function dot(code: Code, a: Pointer, b: Pointer, count: Int): Vector {
  const total = code.local(zero);
  const [aAt, bAt] = [code.local(a), code.local(b)];
  sweep(code, count, [aAt, bAt], ({ load }) => code.set(total, f32x4.add(total, f32x4.mul(load(aAt), load(bAt)))));
  return sumLanes(code, total);
}

/** Columns `first` to `end` of the factor, for rows from `first` down; the matrix holds what the columns before left over. */
function defineRows(module: WasmModule): void {
  const parameters = { matrix: 'i32', n: 'i32', first: 'i32', end: 'i32' } as const;
  module.define('rows', parameters, ({ matrix, n, first, end }, code) => {
    toBytes(code, matrix);
    const rowBytes = code.local(i32.shl(n, 2));
    // From here on rows start at the block's first column.
    const top = code.local(i32.add(matrix, i32.add(i32.mul(first, rowBytes), i32.shl(first, 2))));
    const row = code.local(top);
    const [i, other, at] = [code.local(0), code.local(0), code.local(0)];
    const [count, width] = [code.local(0), code.local(0)];
    const value = code.local(f32.const(0));
    code.for(i, first, n, 1, () => {
      code.set(other, top);
      code.set(width, i32.min(i32.sub(i32.add(i, 1), first), i32.sub(end, first)));
      code.for(count, 0, width, 1, () => {
        code.set(at, i32.add(row, i32.shl(count, 2)));
        code.set(value, f32.sub(f32.load(at), f32x4.extractLane(dot(code, row, other, count), 0)));
        code.if(
          i32.eq(row, other),
          () => code.store(at, select(f32.gt(value, 0), f32.sqrt(value), value)),
          () => code.store(at, f32.div(value, f32.load(i32.add(other, i32.shl(count, 2))))),
        );
        code.advance(other, rowBytes);
      });
      code.advance(row, rowBytes);
    });
  });
}

/** out [rows, columns], contiguous, = -x, whose rows are `step` apart. */
function defineNegate(module: WasmModule): void {
  const parameters = { x: 'i32', step: 'i32', out: 'i32', rows: 'i32', columns: 'i32' } as const;
  module.define('negate', parameters, ({ x, step, out, rows, columns }, code) => {
    toBytes(code, x, step, out);
    const rowBytes = code.local(i32.shl(columns, 2));
    const [i, from, to] = [code.local(0), code.local(0), code.local(0)];
    code.for(i, 0, rows, 1, () => {
      code.set(from, x);
      code.set(to, out);
      sweep(code, columns, [from, to], ({ load, store }) => store(to, f32x4.neg(load(from))));
      code.advance(x, step);
      code.advance(out, rowBytes);
    });
  });
}

/** Writes zeros above the diagonal. */
function defineClearAbove(module: WasmModule): void {
  module.define('clearAbove', { matrix: 'i32', n: 'i32' }, ({ matrix, n }, code) => {
    toBytes(code, matrix);
    const left = code.local(n);
    code.while(left, () => {
      code.advance(left, -1);
      code.fillBytes(i32.add(matrix, 4), 0, i32.shl(left, 2));
      code.advance(matrix, i32.shl(i32.add(n, 1), 2));
    });
  });
}

/** The rows of one block of a triangular solve, as above; L[i, j] stands at l + i row + j column, y_i at y + i step. */
function defineSubstitute(module: WasmModule): void {
  const parameters = {
    ...({ l: 'i32', row: 'i32', column: 'i32', y: 'i32', step: 'i32', count: 'i32', columns: 'i32' } as const),
  };
  module.define('substitute', parameters, ({ l, row, column, y, step, count, columns }, code) => {
    toBytes(code, l, row, column, y, step);
    const [i, j, at] = [code.local(0), code.local(0), code.local(0)];
    const [target, from, to] = [code.local(y), code.local(0), code.local(0)];
    const source = code.local(0);
    const factor = code.local(zero);
    code.for(i, 0, count, 1, () => {
      code.set(at, l);
      code.set(source, y);
      code.for(j, 0, i, 1, () => {
        code.set(factor, f32x4.splat(f32.load(at)));
        code.set(from, source);
        code.set(to, target);
        sweep(
          code,
          columns,
          [from, to],
          ({ load, store }) => store(to, f32x4.add(load(to), f32x4.mul(factor, load(from)))),
          2,
        );
        code.advance(at, column);
        code.advance(source, step);
      });
      code.set(factor, f32x4.splat(f32.neg(f32.load(at))));
      code.set(to, target);
      sweep(code, columns, [to], ({ load, store }) => store(to, f32x4.div(load(to), factor)), 2);
      code.advance(l, row);
      code.advance(target, step);
    });
  });
}

type Parts = Record<'rows' | 'negate' | 'clearAbove' | 'substitute', (...args: number[]) => void>;

export const solveFamily: Family = {
  names: ['cholesky', 'triangularSolve'],
  emit(environment) {
    const module = new WasmModule();
    defineRows(module);
    defineNegate(module);
    defineClearAbove(module);
    defineSubstitute(module);
    const { rows, negate, clearAbove, substitute } = module.instantiate(environment.memory) as Parts;
    const [gemm, copy] = [environment.kernel('gemm'), environment.kernel('copy')];

    const cholesky: Kernels['cholesky'] = (a, out, n) => {
      copy(a, out, n * n);
      for (let first = 0; first < n; first += choleskyBlock) {
        const end = Math.min(first + choleskyBlock, n);
        rows(out, n, first, end);
        if (end === n) break;
        const width = end - first;
        const panel = out + end * n + first;
        const negated = environment.scratch((n - end) * width);
        negate(panel, n, negated, n - end, width);
        for (let i = end; i < n; i += strip) {
          const height = Math.min(strip, n - i);
          const [from, to] = [negated + (i - end) * width, out + i * n + end];
          gemm(from, width, 1, panel, 1, n, to, n, height, i + height - end, width, 1, 0, 0);
        }
      }
      clearAbove(out, n);
    };

    const triangularSolve: Kernels['triangularSolve'] = (l, b, out, n, columns, transposed) => {
      copy(b, out, n * columns);
      for (let solved = 0; solved < n; solved += solveBlock) {
        const count = Math.min(solveBlock, n - solved);
        if (!transposed) {
          const y = out + solved * columns;
          if (solved > 0) gemm(l + solved * n, n, 1, out, columns, 1, y, columns, count, columns, solved, 1, 0, 0);
          substitute(l + solved * (n + 1), n, 1, y, columns, count, columns);
          continue;
        }
        const end = n - solved;
        const [y, below, block] = [out + (end - count) * columns, out + end * columns, l + end * n + end - count];
        // One right-hand side is a row as well: L is then read along its rows.
        if (solved > 0 && columns === 1) gemm(below, 0, 1, block, n, 1, y, count, 1, count, solved, 1, 0, 0);
        else if (solved > 0) gemm(block, 1, n, below, columns, 1, y, columns, count, columns, solved, 1, 0, 0);
        substitute(l + (end - 1) * (n + 1), -1, -n, out + (end - 1) * columns, -columns, count, columns);
      }
      negate(out, 0, out, 1, n * columns);
    };
    return { cholesky, triangularSolve };
  },
};

/**
 * Reductions over the middle axis of [outer, n, inner], emitted. With inner = 1 the axis itself is walked in vectors, with
 * several partial results; otherwise four neighbouring columns share a vector. The order depends on the sizes alone,
 * so results repeat.
 *
 * max and min: `pmax(a, x)` is "a < x ? x : a" and passes over NaN at an eighth of the cost of `max`, which does not;
 * that one was met is kept beside, in a mask that becomes NaN at the end.
 */
import { type ReduceName, reduceNames } from '../table.ts';
import type { Code, WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { combineLanes, combineVectors } from './horizontal.ts';
import { type F32, f32, f32x4, type Int, i32, select, type V128, v128 } from './instructions.ts';
import { single } from './single.ts';
import { accumulator, type Lanes, lastLanes, type Pointer, sweep, toBytes, type Vector, wholeVector } from './sweep.ts';

const reduceParameters = {
  ...({ x: 'i32', out: 'i32', outer: 'i32', n: 'i32', inner: 'i32', accumulate: 'i32' } as const),
};

type Arguments = { readonly [Name in keyof typeof reduceParameters]: Pointer };

const zero = f32x4.splat(0);

interface Fold {
  neutral: number;
  combine: (total: V128, x: V128) => V128;
  /** Whether `combine` ignores NaN in x, so that it must be looked for. */
  ignoresNaN: boolean;
}

const folds: Record<ReduceName, Fold> = {
  sum: { neutral: 0, combine: f32x4.add, ignoresNaN: false },
  prod: { neutral: 1, combine: f32x4.mul, ignoresNaN: false },
  max: { neutral: Number.NEGATIVE_INFINITY, combine: f32x4.pmax, ignoresNaN: true },
  min: { neutral: Number.POSITIVE_INFINITY, combine: f32x4.pmin, ignoresNaN: true },
};

/**
 * A running total. Every so often it is settled: added to the total of totals and begun anew, so that a long sum of float32
 * numbers loses little more than a short one (a column of 10,000 numbers is 40 sums of 256, not one chain).
 */
interface Total {
  value: Vector;
  settled: Vector;
  /** All bits set in the lanes that met a NaN; only for a fold that passes over it. */
  metNaN: Vector | undefined;
}

/** Numbers of a row, and of a column, between settlements. */
const settleRow = 4096;
const settleColumn = 256;

const begin = (code: Code, { ignoresNaN }: Fold): Total => ({
  value: code.local(zero),
  settled: code.local(zero),
  metNaN: ignoresNaN ? code.local(zero) : undefined,
});

function reset(code: Code, { neutral }: Fold, { value, settled, metNaN }: Total): void {
  code.set(value, f32x4.splat(neutral));
  code.set(settled, f32x4.splat(neutral));
  if (metNaN) code.set(metNaN, zero);
}

function include(code: Code, { combine }: Fold, { value, metNaN }: Total, x: Vector): void {
  code.set(value, combine(value, x));
  if (metNaN) code.set(metNaN, v128.or(metNaN, f32x4.ne(x, x)));
}

function settle(code: Code, { combine, neutral }: Fold, { value, settled }: Total): void {
  code.set(settled, combine(settled, value));
  code.set(value, f32x4.splat(neutral));
}

type Settled = Pick<Total, 'settled' | 'metNaN'>;
const result = ({ settled, metNaN }: Settled) => (metNaN ? v128.or(settled, metNaN) : settled);

/** All lanes of all totals in one number. */
function combineTotals(code: Code, { combine }: Fold, totals: readonly Total[]): F32 {
  const join = (vectors: readonly Vector[], pair: Fold['combine']) =>
    combineLanes(code, combineVectors(code, vectors, pair), pair);
  const masks = totals.flatMap(({ metNaN }) => metNaN ?? []);
  const settled = totals.map((total) => total.settled);
  const all = { settled: join(settled, combine), metNaN: masks.length > 0 ? join(masks, v128.or) : undefined };
  return f32x4.extractLane(result(all), 0);
}

/** Runs `body` for pieces of at most `size` of `count`; it gets the piece's length. */
function inPieces(code: Code, count: Pointer, size: number, body: (length: Pointer) => void): void {
  const left = code.local(count);
  const length = code.local(0);
  code.while(left, () => {
    code.set(length, i32.min(left, i32.const(size)));
    code.set(left, i32.sub(left, length));
    body(length);
  });
}

/** inner = 1: each output is the fold of a row. */
function foldRows(code: Code, fold: Fold, { x, out, outer, n, accumulate }: Arguments): void {
  const totals = Array.from({ length: 4 }, () => begin(code, fold));
  const row = code.local(0);
  const padding = f32x4.splat(fold.neutral);
  code.while(outer, () => {
    for (const total of totals) reset(code, fold, total);
    code.set(row, x);
    inPieces(code, n, settleRow, (length) => {
      const step = ({ load, part }: Lanes) => include(code, fold, totals[part]!, load(row, padding));
      sweep(code, length, [row], step, totals.length);
      for (const total of totals) settle(code, fold, total);
    });
    const number = code.local(combineTotals(code, fold, totals));
    code.store(out, select(accumulate, f32.add(f32.load(out), number), number));
    code.advance(x, i32.shl(n, 2));
    code.advance(out, 4);
    code.advance(outer, -1);
  });
}

/** inner > 1: neighbouring columns side by side, in strips of 32, of 16, of 4, and of what is left. */
function foldColumns(code: Code, fold: Fold, { x, out, outer, n, inner, accumulate }: Arguments): void {
  const totals = Array.from({ length: 8 }, () => begin(code, fold));
  const add = accumulator(code, accumulate);
  const [left, at] = [code.local(0), code.local(0)];
  const rowBytes = code.local(i32.shl(inner, 2));
  const strip = (lanes: readonly Lanes[]) => {
    const used = totals.slice(0, lanes.length);
    for (const total of used) reset(code, fold, total);
    code.set(at, x);
    inPieces(code, n, settleColumn, (length) => {
      code.while(length, () => {
        lanes.forEach(({ load }, i) => {
          include(code, fold, used[i]!, load(at));
        });
        code.advance(at, rowBytes);
        code.advance(length, -1);
      });
      for (const total of used) settle(code, fold, total);
    });
    lanes.forEach((lane, i) => {
      add(lane, out, result(used[i]!));
    });
  };
  const next = (columns: Int) => {
    code.advance(x, i32.shl(columns, 2));
    code.advance(out, i32.shl(columns, 2));
  };
  code.while(outer, () => {
    code.set(left, inner);
    for (const vectors of [8, 4, 1])
      code.while(i32.geS(left, 4 * vectors), () => {
        strip(Array.from({ length: vectors }, (_, part) => wholeVector(code, part)));
        next(4 * vectors);
        code.advance(left, -4 * vectors);
      });
    code.if(left, () => {
      strip([lastLanes(code, left)]);
      next(left);
    });
    code.advance(x, i32.mul(rowBytes, i32.sub(n, 1)));
    code.advance(outer, -1);
  });
}

function defineReduction(module: WasmModule, name: ReduceName): void {
  const fold = folds[name];
  module.define(name, reduceParameters, (args, code) => {
    toBytes(code, args.x, args.out);
    code.if(
      i32.eq(args.inner, 1),
      () => foldRows(code, fold, args),
      () => foldColumns(code, fold, args),
    );
  });
}

export const reduceFamilies: readonly Family[] = reduceNames.map((name) =>
  single(name, (module) => defineReduction(module, name)),
);

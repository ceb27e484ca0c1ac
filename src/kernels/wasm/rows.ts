/** Walking the rows of [rows, columns] one by one, and folding a row into one number: what softmax and layerNorm are made of. */
import type { Code } from './assembler.ts';
import { combineLanes, combineVectors } from './horizontal.ts';
import type { Int, V128 } from './instructions.ts';
import { type Pointer, sweep, type Vector } from './sweep.ts';

/** Runs `body` once a row, then moves each pointer by its bytes a row. */
export function eachRow(code: Code, rows: Int, pointers: readonly (readonly [Pointer, Int])[], body: () => void): void {
  const i = code.local(0);
  code.for(i, 0, rows, 1, () => {
    body();
    for (const [pointer, bytes] of pointers) code.advance(pointer, bytes);
  });
}

/** Folds a function of the numbers of one or two rows, with `padding` past their end; the result is in every lane. */
export function foldRow<Rows extends readonly Pointer[]>(
  code: Code,
  columns: Int,
  rows: Rows,
  padding: V128,
  neutral: V128,
  combine: (a: V128, b: V128) => V128,
  f: (...numbers: Vector[]) => V128 = (x) => x!,
): Vector {
  const totals = [code.local(neutral), code.local(neutral)];
  const at = rows.map((row) => code.local(row));
  sweep(
    code,
    columns,
    at,
    ({ load, part }) => {
      const total = totals[part]!;
      code.set(total, combine(total, f(...at.map((pointer) => load(pointer, padding)))));
    },
    totals.length,
  );
  return combineLanes(code, combineVectors(code, totals, combine), combine);
}

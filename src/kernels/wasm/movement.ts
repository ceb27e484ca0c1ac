/**
 * Moving numbers, emitted. copyStrided reorders its four dimensions, so that the innermost is contiguous on both sides
 * if any is (rows are copied as vectors), or else contiguous in out while the next is contiguous in x (a transpose, in
 * blocks of 4 x 4). What is left goes number by number.
 */
import type { Code, Local, WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { f32, f32x4, type Int, i32, v128 } from './instructions.ts';
import { single } from './single.ts';
import { type Pointer, sweep, toBytes } from './sweep.ts';

const fillParameters = { out: 'i32', n: 'i32', value: 'f32' } as const;
const copyParameters = { x: 'i32', out: 'i32', n: 'i32' } as const;
const copyStridedParameters = {
  ...({ x: 'i32', a0: 'i32', a1: 'i32', a2: 'i32', a3: 'i32' } as const),
  ...({ out: 'i32', b0: 'i32', b1: 'i32', b2: 'i32', b3: 'i32' } as const),
  ...({ d0: 'i32', d1: 'i32', d2: 'i32', d3: 'i32', accumulate: 'i32' } as const),
};

/** A call into the engine's own memory routines costs about as much as a loop over this many numbers. */
const worthACall = 64;

function defineFill(module: WasmModule): void {
  module.define('fill', fillParameters, ({ out, n, value }, code) => {
    toBytes(code, out);
    code.if(i32.and(i32.eqz(i32.reinterpretF32(value)), i32.geS(n, worthACall)), () => {
      code.fillBytes(out, 0, i32.shl(n, 2));
      code.return();
    });
    const vector = code.local(f32x4.splat(value));
    sweep(code, n, [out], ({ store }) => store(out, vector), 4);
  });
}

function defineCopy(module: WasmModule): void {
  module.define('copy', copyParameters, ({ x, out, n }, code) => {
    toBytes(code, x, out);
    // Front to back is right unless out begins inside x.
    const beginsInside = i32.ltU(i32.sub(out, x), i32.shl(n, 2));
    code.if(i32.or(i32.geS(n, worthACall), beginsInside), () => {
      code.copyBytes(out, x, i32.shl(n, 2));
      code.return();
    });
    sweep(code, n, [x, out], ({ load, store }) => store(out, load(x)));
  });
}

/** One of the four loops: how often, and how many bytes it moves on each side. */
interface Dimension {
  size: Local<'i32'>;
  from: Local<'i32'>;
  to: Local<'i32'>;
}

/** Exchanges two dimensions while the code runs. */
function swap(code: Code, a: Dimension, b: Dimension): void {
  for (const key of ['size', 'from', 'to'] as const) {
    const kept = code.local(a[key]);
    code.set(a[key], b[key]);
    code.set(b[key], kept);
  }
}

/** inner takes outer in where together they step like one dimension. */
function merge(code: Code, outer: Dimension, inner: Dimension): void {
  const continues = (side: 'from' | 'to') => i32.eq(outer[side], i32.mul(inner[side], inner.size));
  code.if(i32.and(continues('from'), continues('to')), () => {
    code.set(inner.size, i32.mul(inner.size, outer.size));
    code.set(outer.size, 1);
  });
}

/** Nested loops over the dimensions; the body gets pointers that it may move. */
function nest(
  code: Code,
  from: Pointer,
  to: Pointer,
  dimensions: readonly Dimension[],
  body: (from: Pointer, to: Pointer) => void,
): void {
  const fromAt = code.local(from);
  const toAt = code.local(to);
  const [outer, ...rest] = dimensions;
  if (!outer) {
    body(fromAt, toAt);
    return;
  }
  const i = code.local(0);
  code.for(i, 0, outer.size, 1, () => {
    nest(code, fromAt, toAt, rest, body);
    code.advance(fromAt, outer.from);
    code.advance(toAt, outer.to);
  });
}

/** How a number, or four, get into out. */
interface Put {
  number(to: Int, from: Int): void;
  vector(to: Int, value: Local<'v128'>): void;
}

const tileColumns = 32;

/**
 * Transposes [rows, columns], x contiguous along the rows and out along the columns. In tiles of a few columns, so that
 * the lines of x that are begun are still in the cache when they are finished.
 */
function transpose(code: Code, from: Pointer, to: Pointer, rows: Dimension, columns: Dimension, put: Put): void {
  const [tile, width, i, j] = [code.local(0), code.local(0), code.local(0), code.local(0)];
  const [fromRow, toRow, fromAt, toAt] = [code.local(0), code.local(0), code.local(0), code.local(0)];
  const begin = () => {
    code.set(fromAt, fromRow);
    code.set(toAt, toRow);
    code.set(j, 0);
  };
  const numbers = (count: number) => {
    code.while(i32.ltS(j, width), () => {
      for (let row = 0; row < count; row++) put.number(i32.add(toAt, i32.mul(rows.to, row)), i32.add(fromAt, 4 * row));
      code.advance(fromAt, columns.from);
      code.advance(toAt, 4);
      code.advance(j, 1);
    });
  };
  const block = () => {
    const [a, b, c, d] = [0, 1, 2, 3].map(() => {
      const vector = code.local(v128.load(fromAt));
      code.advance(fromAt, columns.from);
      return vector;
    }) as [Local<'v128'>, Local<'v128'>, Local<'v128'>, Local<'v128'>];
    const [abLow, abHigh] = [v128.shuffle32(a, b, [0, 4, 1, 5]), v128.shuffle32(a, b, [2, 6, 3, 7])].map((v) =>
      code.local(v),
    );
    const [cdLow, cdHigh] = [v128.shuffle32(c, d, [0, 4, 1, 5]), v128.shuffle32(c, d, [2, 6, 3, 7])].map((v) =>
      code.local(v),
    );
    const at = code.local(toAt);
    for (const [ab, cd] of [
      [abLow!, cdLow!],
      [abHigh!, cdHigh!],
    ] as const)
      for (const lanes of [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
      ] as const) {
        put.vector(at, code.local(v128.shuffle32(ab, cd, lanes)));
        code.advance(at, rows.to);
      }
  };
  code.for(tile, 0, columns.size, tileColumns, () => {
    code.set(width, i32.min(i32.sub(columns.size, tile), i32.const(tileColumns)));
    code.set(fromRow, from);
    code.set(toRow, to);
    code.set(i, rows.size);
    code.while(i32.geS(i, 4), () => {
      begin();
      code.while(i32.geS(i32.sub(width, j), 4), () => {
        block();
        code.advance(toAt, 16);
        code.advance(j, 4);
      });
      numbers(4);
      code.advance(fromRow, 16);
      code.advance(toRow, i32.shl(rows.to, 2));
      code.advance(i, -4);
    });
    code.while(i, () => {
      begin();
      numbers(1);
      code.advance(fromRow, 4);
      code.advance(toRow, rows.to);
      code.advance(i, -1);
    });
    code.advance(from, i32.mul(columns.from, tileColumns));
    code.advance(to, 4 * tileColumns);
  });
}

function defineCopyStrided(module: WasmModule): void {
  module.define('copyStrided', copyStridedParameters, (args, code) => {
    const { x, a0, a1, a2, a3, out, b0, b1, b2, b3, d0, d1, d2, d3, accumulate } = args;
    toBytes(code, x, a0, a1, a2, a3, out, b0, b1, b2, b3);
    const dimensions = [
      { size: d0, from: a0, to: b0 },
      { size: d1, from: a1, to: b1 },
      { size: d2, from: a2, to: b2 },
      { size: d3, from: a3, to: b3 },
    ] as const;
    const [first, second, third, last] = dimensions;
    code.if(i32.eqz(i32.mul(i32.mul(d0, d1), i32.mul(d2, d3))), () => code.return());

    merge(code, third, last);
    code.if(i32.eq(third.size, 1), () => {
      merge(code, second, last);
      code.if(i32.eq(second.size, 1), () => merge(code, first, last));
    });
    // A dimension of size 1 has no stride to speak of.
    const isContiguous = ({ size, from, to }: Dimension, side: 'from' | 'to') =>
      i32.and(i32.gtS(size, 1), i32.eq(side === 'from' ? from : to, 4));
    const isRow = (dimension: Dimension) => i32.and(isContiguous(dimension, 'from'), isContiguous(dimension, 'to'));
    const bring = (wanted: (dimension: Dimension) => Int, place: Dimension, others: readonly Dimension[]) => {
      for (const other of others)
        code.if(i32.and(i32.eqz(wanted(place)), wanted(other)), () => swap(code, place, other));
    };
    bring((dimension) => isContiguous(dimension, 'to'), last, [third, second, first]);
    bring((dimension) => isContiguous(dimension, 'from'), third, [second, first]);

    const moves = (accumulates: boolean) => {
      const put: Put = {
        number: (to, from) => code.store(to, accumulates ? f32.add(f32.load(to), f32.load(from)) : i32.load(from)),
        vector: (to, value) => code.store(to, accumulates ? f32x4.add(v128.load(to), value) : value),
      };
      code.if(isRow(last), () => {
        nest(code, x, out, [first, second, third], (from, to) => {
          sweep(
            code,
            last.size,
            [from, to],
            ({ load, store }) => store(to, accumulates ? f32x4.add(load(to), load(from)) : load(from)),
            2,
          );
        });
        code.return();
      });
      code.if(i32.and(isContiguous(third, 'from'), isContiguous(last, 'to')), () => {
        nest(code, x, out, [first, second], (from, to) => transpose(code, from, to, third, last, put));
        code.return();
      });
      nest(code, x, out, dimensions, (from, to) => put.number(to, from));
    };
    code.if(
      accumulate,
      () => moves(true),
      () => moves(false),
    );
  });
}

export const movementFamilies: readonly Family[] = [
  single('fill', defineFill),
  single('copy', defineCopy),
  single('copyStrided', defineCopyStrided),
];

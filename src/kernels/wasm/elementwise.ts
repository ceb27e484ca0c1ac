/**
 * Elementwise kernels of a few instructions each, four numbers at a time. Functions with a curve are in functions.ts.
 *
 * As in the reference, one definition a name and a loop that lifts it. NaN: `pmax(x, c)` is "x < c ? c : x" and keeps a
 * NaN in x, at an eighth of the cost of `max`, which also looks for one in c.
 */
import type { BinaryName, SlopeName, UnaryName } from '../table.ts';
import type { Code, WasmModule } from './assembler.ts';
import type { Environment, Family } from './family.ts';
import { f32x4, i32, i32x4, type V128, v128 } from './instructions.ts';
import { single } from './single.ts';
import { accumulator, type Lanes, sweep, toBytes, type Vector } from './sweep.ts';

/** The parameters of the kinds of kernel, in order; families that import one need their types. */
const unaryParameters = { x: 'i32', out: 'i32', n: 'i32', p: 'f32', q: 'f32' } as const;
const binaryParameters = {
  ...({ a: 'i32', aRow: 'i32', aColumn: 'i32', b: 'i32', bRow: 'i32', bColumn: 'i32' } as const),
  ...({ out: 'i32', rows: 'i32', columns: 'i32' } as const),
};
const slopeParameters = {
  ...({ g: 'i32', saved: 'i32', out: 'i32', n: 'i32', p: 'f32', q: 'f32', accumulate: 'i32' } as const),
};
const whereParameters = { condition: 'i32', a: 'i32', b: 'i32', out: 'i32', n: 'i32' } as const;

/** A function of four numbers at once; what it uses twice it keeps in a local of `code`. p and q are the op's attributes, splatted. */
export type LaneFunction = (x: Vector, code: Code, p: Vector, q: Vector) => V128;

const zero = f32x4.splat(0);
const one = f32x4.splat(1);
const signBit = i32x4.splat(0x80000000);
/** 1 where the mask holds, 0 elsewhere. */
const indicator = (mask: V128) => v128.and(one, mask);

const unary: Partial<Record<UnaryName, LaneFunction>> = {
  neg: f32x4.neg,
  sqrt: f32x4.sqrt,
  rsqrt: (x) => f32x4.div(one, f32x4.sqrt(x)),
  reciprocal: (x) => f32x4.div(one, x),
  abs: f32x4.abs,
  square: (x) => f32x4.mul(x, x),
  // Zeros and NaN stay; the others become a 1 with their sign.
  sign: (x) => v128.bitselect(v128.or(v128.and(x, signBit), one), x, f32x4.gt(f32x4.abs(x), zero)),
  relu: (x) => f32x4.pmax(x, zero),
  hardswish: (x) => {
    const ramp = f32x4.pmin(f32x4.pmax(f32x4.add(x, f32x4.splat(3)), zero), f32x4.splat(6));
    return f32x4.mul(x, f32x4.div(ramp, f32x4.splat(6)));
  },
  leakyRelu: (x, _code, slope) => v128.bitselect(x, f32x4.mul(slope, x), f32x4.gt(x, zero)),
  clamp: (x, _code, low, high) => f32x4.pmin(f32x4.pmax(x, low), high),
  scale: (x, _code, factor, shift) => f32x4.add(f32x4.mul(x, factor), shift),
};

const binary: Partial<Record<BinaryName, (a: Vector, b: Vector) => V128>> = {
  add: f32x4.add,
  sub: f32x4.sub,
  mul: f32x4.mul,
  div: f32x4.div,
  maximum: f32x4.max,
  minimum: f32x4.min,
  eq: (a, b) => indicator(f32x4.eq(a, b)),
  ne: (a, b) => indicator(f32x4.ne(a, b)),
  lt: (a, b) => indicator(f32x4.lt(a, b)),
  le: (a, b) => indicator(f32x4.le(a, b)),
  gt: (a, b) => indicator(f32x4.gt(a, b)),
  ge: (a, b) => indicator(f32x4.ge(a, b)),
};

const slopes: Partial<Record<SlopeName, LaneFunction>> = {
  reluSlope: (y) => v128.andnot(one, f32x4.le(y, zero)),
  tanhSlope: (y) => f32x4.sub(one, f32x4.mul(y, y)),
  sigmoidSlope: (y) => f32x4.mul(y, f32x4.sub(one, y)),
  expSlope: (y) => y,
  leakyReluSlope: (x, _code, slope) => v128.bitselect(one, slope, f32x4.gt(x, zero)),
  squareSlope: (x) => f32x4.add(x, x),
};

/** `unroll` 2 pays for functions of a few instructions. */
export function defineUnary(module: WasmModule, name: string, f: LaneFunction, unroll: number): void {
  module.define(name, unaryParameters, ({ x, out, n, p, q }, code) => {
    toBytes(code, x, out);
    const [pLanes, qLanes] = [code.local(f32x4.splat(p)), code.local(f32x4.splat(q))];
    sweep(code, n, [x, out], ({ load, store }) => store(out, f(load(x), code, pLanes, qLanes)), unroll);
  });
}

export function defineSlope(module: WasmModule, name: string, f: LaneFunction, unroll: number): void {
  module.define(name, slopeParameters, ({ g, saved, out, n, p, q, accumulate }, code) => {
    toBytes(code, g, saved, out);
    const [pLanes, qLanes] = [code.local(f32x4.splat(p)), code.local(f32x4.splat(q))];
    const add = accumulator(code, accumulate);
    const step = (lanes: Lanes) => {
      add(lanes, out, f32x4.mul(lanes.load(g), f(lanes.load(saved), code, pLanes, qLanes)));
    };
    sweep(code, n, [g, saved, out], step, unroll);
  });
}

/**
 * An operand whose columns stand still is splatted into `room` once a row and then read like any other, by a pointer that
 * does not move: one loop serves rows, columns and scalars.
 */
function defineBinary(
  module: WasmModule,
  environment: Environment,
  name: string,
  f: (a: Vector, b: Vector) => V128,
): void {
  const unroll = 2;
  const room = 4 * environment.reserve(2 * 4 * unroll);
  module.define(name, binaryParameters, ({ a, aRow, aColumn, b, bRow, bColumn, out, rows, columns }, code) => {
    // A single column is a row that stands upright: turn it, so that the vectors are full.
    code.if(i32.eq(columns, 1), () => {
      const isLine = (row: typeof aRow) => i32.leU(row, 1);
      code.if(i32.and(isLine(aRow), isLine(bRow)), () => {
        code.set(columns, rows);
        code.set(rows, 1);
        code.set(aColumn, aRow);
        code.set(bColumn, bRow);
      });
    });
    toBytes(code, a, aRow, b, bRow, out);
    const i = code.local(0);
    const [aAt, bAt] = [code.local(0), code.local(0)];
    const [aStep, bStep] = [code.local(i32.shl(aColumn, 4)), code.local(i32.shl(bColumn, 4))];
    const place = (at: typeof aAt, from: typeof a, column: typeof aColumn, splatRoom: number) => {
      code.set(at, from);
      code.if(i32.eqz(column), () => {
        for (let vector = 0; vector < unroll; vector++) code.store(splatRoom, v128.load32Splat(from), 16 * vector);
        code.set(at, splatRoom);
      });
    };
    code.if(i32.eqz(columns), () => code.return());
    code.for(i, 0, rows, 1, () => {
      place(aAt, a, aColumn, room);
      place(bAt, b, bColumn, room + 16 * unroll);
      sweep(
        code,
        columns,
        [[aAt, aStep], [bAt, bStep], out],
        ({ load, store }) => store(out, f(load(aAt), load(bAt))),
        unroll,
      );
      code.advance(out, i32.shl(i32.and(columns, 3), 2));
      code.advance(a, aRow);
      code.advance(b, bRow);
    });
  });
}

const defineWhere = (module: WasmModule) =>
  module.define('where', whereParameters, ({ condition, a, b, out, n }, code) => {
    toBytes(code, condition, a, b, out);
    sweep(code, n, [condition, a, b, out], ({ load, store }) => {
      store(out, v128.bitselect(load(b), load(a), f32x4.eq(load(condition), zero)));
    });
  });

/** Object.entries with the names' own type. */
export const entries = Object.entries as <Name extends string, T>(record: Partial<Record<Name, T>>) => [Name, T][];

export const elementwiseFamilies: readonly Family[] = [
  ...entries(unary).map(([name, f]) => single(name, (module) => defineUnary(module, name, f, 2))),
  ...entries(binary).map(([name, f]) => single(name, (module, room) => defineBinary(module, room, name, f))),
  ...entries(slopes).map(([name, f]) => single(name, (module) => defineSlope(module, name, f, 2))),
  single('where', defineWhere),
];

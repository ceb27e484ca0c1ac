/**
 * Layer normalization, emitted row by row: mean, squared distances from it, and what is made of them, while the row is in
 * the first cache. The variance is summed from the distances, not from squares, which would cancel.
 */
import type { Code, WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { combineVectors, sumLanes } from './horizontal.ts';
import { f32, f32x4, type Int, i32, type V128, v128 } from './instructions.ts';
import { eachRow, foldRow } from './rows.ts';
import { single } from './single.ts';
import { accumulator, type Lanes, type Pointer, sweep, toBytes, type Vector } from './sweep.ts';

const { add, div, mul, sub } = f32x4;
const zero = f32x4.splat(0);
const firstLane = (vector: Vector) => f32x4.extractLane(vector, 0);
const count = (columns: Int) => f32x4.splat(f32.convertI32S(columns));

/** Emits `body` twice, for an operand that is there and for one that is not (address 0). */
function ifThere(code: Code, pointer: Pointer, body: (isThere: boolean) => void): void {
  code.if(
    pointer,
    () => body(true),
    () => body(false),
  );
}

const normParameters = {
  ...({ x: 'i32', weight: 'i32', bias: 'i32', out: 'i32', statistics: 'i32', rows: 'i32', columns: 'i32' } as const),
  ...({ eps: 'f32' } as const),
};

function defineLayerNorm(module: WasmModule): void {
  module.define('layerNorm', normParameters, ({ x, weight, bias, out, statistics, rows, columns, eps }, code) => {
    toBytes(code, x, weight, bias, out, statistics);
    const rowBytes = code.local(i32.shl(columns, 2));
    const wantsStatistics = code.local(statistics);
    const scales = code.local(i32.add(statistics, i32.shl(rows, 2)));
    const [from, to, weightAt, biasAt] = [code.local(0), code.local(0), code.local(0), code.local(0)];
    const pointers = [
      [x, rowBytes],
      [out, rowBytes],
      [statistics, 4],
      [scales, 4],
    ] as const;
    eachRow(code, rows, pointers, () => {
      const mean = code.local(div(foldRow(code, columns, [x], zero, zero, add), count(columns)));
      const squares = foldRow(code, columns, [x], mean, zero, add, (value) => {
        const distance = code.local(sub(value!, mean));
        return mul(distance, distance);
      });
      const variance = add(div(squares, count(columns)), f32x4.splat(eps));
      const scale = code.local(div(f32x4.splat(1), f32x4.sqrt(variance)));
      code.if(wantsStatistics, () => {
        code.store(statistics, firstLane(mean));
        code.store(scales, firstLane(scale));
      });
      ifThere(code, weight, (isWeighed) =>
        ifThere(code, bias, (isShifted) => {
          const moving: (readonly [Pointer, Pointer])[] = [
            [from, x],
            [to, out],
          ];
          if (isWeighed) moving.push([weightAt, weight]);
          if (isShifted) moving.push([biasAt, bias]);
          for (const [pointer, start] of moving) code.set(pointer, start);
          const step = ({ load, store }: Lanes) => {
            let value: V128 = mul(sub(load(from), mean), scale);
            if (isWeighed) value = mul(value, load(weightAt));
            if (isShifted) value = add(value, load(biasAt));
            store(to, value);
          };
          sweep(
            code,
            columns,
            moving.map(([pointer]) => pointer),
            step,
            2,
          );
        }),
      );
    });
  });
}

const slopeParameters = {
  ...({ g: 'i32', x: 'i32', weight: 'i32', statistics: 'i32', out: 'i32', rows: 'i32', columns: 'i32' } as const),
  ...({ accumulate: 'i32' } as const),
};

function defineSlope(module: WasmModule): void {
  module.define('layerNormSlope', slopeParameters, (args, code) => {
    const { g, x, weight, statistics, out, rows, columns, accumulate } = args;
    toBytes(code, g, x, weight, statistics, out);
    const rowBytes = code.local(i32.shl(columns, 2));
    const scales = code.local(i32.add(statistics, i32.shl(rows, 2)));
    const put = accumulator(code, accumulate);
    const [gAt, xAt, weightAt, to] = [code.local(0), code.local(0), code.local(0), code.local(0)];
    const pointers = [
      [g, rowBytes],
      [x, rowBytes],
      [out, rowBytes],
      [statistics, 4],
      [scales, 4],
    ] as const;
    ifThere(code, weight, (isWeighed) =>
      eachRow(code, rows, pointers, () => {
        const mean = code.local(v128.load32Splat(statistics));
        const scale = code.local(v128.load32Splat(scales));
        const begin = () => {
          code.set(gAt, g);
          code.set(xAt, x);
          code.set(weightAt, weight);
        };
        const moving = isWeighed ? [gAt, xAt, weightAt] : [gAt, xAt];
        const slope = ({ load }: Lanes) => (isWeighed ? code.local(mul(load(gAt), load(weightAt))) : load(gAt));
        const sums = Array.from({ length: 4 }, () => code.local(zero));
        begin();
        sweep(
          code,
          columns,
          moving,
          (lanes) => {
            const h = slope(lanes);
            const [across, along] = [sums[lanes.part]!, sums[2 + lanes.part]!];
            code.set(across, add(across, h));
            code.set(along, add(along, mul(h, sub(lanes.load(xAt), mean))));
          },
          2,
        );
        const total = (half: readonly Vector[]) => sumLanes(code, combineVectors(code, half, add));
        const across = code.local(div(total(sums.slice(0, 2)), count(columns)));
        const along = code.local(mul(div(total(sums.slice(2)), count(columns)), mul(scale, scale)));
        begin();
        code.set(to, out);
        sweep(code, columns, [...moving, to], (lanes) => {
          const h = slope(lanes);
          const distance = sub(lanes.load(xAt), mean);
          put(lanes, to, mul(scale, sub(sub(h, across), mul(distance, along))));
        });
      }),
    );
  });
}

const weightSlopeParameters = {
  ...({ g: 'i32', x: 'i32', statistics: 'i32', out: 'i32', rows: 'i32', columns: 'i32', accumulate: 'i32' } as const),
};

function defineWeightSlope(module: WasmModule): void {
  module.define('layerNormWeightSlope', weightSlopeParameters, (args, code) => {
    const { g, x, statistics, out, rows, columns, accumulate } = args;
    toBytes(code, g, x, statistics, out);
    const rowBytes = code.local(i32.shl(columns, 2));
    const scales = code.local(i32.add(statistics, i32.shl(rows, 2)));
    code.if(i32.eqz(accumulate), () => code.fillBytes(out, 0, rowBytes));
    const to = code.local(0);
    const pointers = [
      [statistics, 4],
      [scales, 4],
    ] as const;
    // g and x run on from row to row: a sweep stops short of the numbers behind its last whole vector.
    const [gAt, xAt] = [code.local(0), code.local(0)];
    eachRow(code, rows, [...pointers, [g, rowBytes], [x, rowBytes]], () => {
      const mean = code.local(v128.load32Splat(statistics));
      const scale = code.local(v128.load32Splat(scales));
      code.set(gAt, g);
      code.set(xAt, x);
      code.set(to, out);
      sweep(
        code,
        columns,
        [gAt, xAt, to],
        ({ load, store }) => store(to, add(load(to), mul(load(gAt), mul(sub(load(xAt), mean), scale)))),
        2,
      );
    });
  });
}

export const normalizationFamilies: readonly Family[] = [
  single('layerNorm', defineLayerNorm),
  single('layerNormSlope', defineSlope),
  single('layerNormWeightSlope', defineWeightSlope),
];

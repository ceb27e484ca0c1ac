/** The squared error and its slope, emitted. */
import type { WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { combineVectors, sumLanes } from './horizontal.ts';
import { f32, f32x4, i32 } from './instructions.ts';
import { single } from './single.ts';
import { accumulator, sweep, toBytes } from './sweep.ts';

const squaredErrorParameters = { a: 'i32', b: 'i32', out: 'i32', n: 'i32', scale: 'f32' } as const;
const squaredErrorSlopeParameters = {
  ...({ g: 'i32', a: 'i32', b: 'i32', out: 'i32', n: 'i32', scale: 'f32', accumulate: 'i32' } as const),
};

function defineSquaredError(module: WasmModule): void {
  module.define('squaredError', squaredErrorParameters, ({ a, b, out, n, scale }, code) => {
    toBytes(code, a, b, out);
    const sums = Array.from({ length: 4 }, () => code.local(f32x4.splat(0)));
    sweep(
      code,
      n,
      [a, b],
      ({ load, part }) => {
        const difference = code.local(f32x4.sub(load(a), load(b)));
        code.set(sums[part]!, f32x4.add(sums[part]!, f32x4.mul(difference, difference)));
      },
      sums.length,
    );
    const total = sumLanes(code, combineVectors(code, sums, f32x4.add));
    code.store(out, f32.mul(scale, f32x4.extractLane(total, 0)));
  });
}

function defineSquaredErrorSlope(module: WasmModule): void {
  module.define('squaredErrorSlope', squaredErrorSlopeParameters, (args, code) => {
    const { g, a, b, out, n, scale, accumulate } = args;
    toBytes(code, a, b, out);
    const factor = code.local(f32x4.splat(f32.mul(f32.mul(2, scale), f32.load(i32.shl(g, 2)))));
    const add = accumulator(code, accumulate);
    sweep(
      code,
      n,
      [a, b, out],
      (lanes) => add(lanes, out, f32x4.mul(factor, f32x4.sub(lanes.load(a), lanes.load(b)))),
      2,
    );
  });
}

export const squaredErrorFamilies: readonly Family[] = [
  single('squaredError', defineSquaredError),
  single('squaredErrorSlope', defineSquaredErrorSlope),
];

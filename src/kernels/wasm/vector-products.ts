/**
 * Products in which one side is a vector: what training with batch size 1 consists of. They are bound by memory and
 * loads, not by arithmetic, so nothing is packed and every number of the matrix is read once.
 *
 * Three shapes: rows of the matrix dotted with a vector (forward, weights [out, in]), rows scaled and added (the gradient
 * of the input), and the outer product of two vectors (the gradient of the weight). gemm.ts decides which serves.
 */
import type { Callable, Code, Local, WasmModule } from './assembler.ts';
import { f32, f32x4, type I32, type Int, i32, type V128, v128 } from './instructions.ts';
import { type Lanes, sweep } from './sweep.ts';

/** Flags of an epilogue: what happens to a sum before it is stored. */
export const accumulateFlag = 1;
export const biasFlag = 2;
export const reluFlag = 4;

export const bytes = (elements: Int) => i32.shl(elements, 2);
export const isSet = (flags: Int, flag: number) => i32.and(flags, flag);
export const zero = f32x4.splat(0);

type FourVectors = [Local<'v128'>, Local<'v128'>, Local<'v128'>, Local<'v128'>];
export const fourVectors = (code: Code): FourVectors => [
  code.local(zero),
  code.local(zero),
  code.local(zero),
  code.local(zero),
];

/** Sums the four lanes of each of four vectors: a transpose of 4 x 4 by shuffles, then three additions. */
function horizontalSums(code: Code, [a, b, c, d]: FourVectors): V128 {
  const low = code.local(f32x4.add(v128.shuffle32(a, b, [0, 4, 1, 5]), v128.shuffle32(a, b, [2, 6, 3, 7])));
  const high = code.local(f32x4.add(v128.shuffle32(c, d, [0, 4, 1, 5]), v128.shuffle32(c, d, [2, 6, 3, 7])));
  return f32x4.add(v128.shuffle32(low, high, [0, 1, 4, 5]), v128.shuffle32(low, high, [2, 3, 6, 7]));
}

/** The epilogue of one float: what the flags add to it. */
function finishFloat(code: Code, value: Local<'f32'>, target: I32, bias: I32, flags: I32): void {
  code.if(isSet(flags, accumulateFlag), () => code.set(value, f32.add(value, f32.load(target))));
  code.if(isSet(flags, biasFlag), () => code.set(value, f32.add(value, f32.load(bias))));
  code.if(isSet(flags, reluFlag), () => code.set(value, f32.max(value, f32.const(0))));
  code.store(target, value);
}

/** The same for four floats that stand side by side. */
function finishVector(code: Code, value: Local<'v128'>, target: I32, bias: I32, flags: I32): void {
  code.if(isSet(flags, accumulateFlag), () => code.set(value, f32x4.add(value, v128.load(target))));
  code.if(isSet(flags, biasFlag), () => code.set(value, f32x4.add(value, v128.load(bias))));
  code.if(isSet(flags, reluFlag), () => code.set(value, f32x4.max(value, zero)));
  code.store(target, value);
}

/** out[j] = x . rows[j], x and each row contiguous; strides of out, rows and bias in bytes. */
export function defineDot(module: WasmModule): Callable {
  const parameters = {
    ...({ x: 'i32', rows: 'i32', rowStep: 'i32', out: 'i32', outStep: 'i32', n: 'i32', k: 'i32' } as const),
    ...({ flags: 'i32', bias: 'i32', biasStep: 'i32' } as const),
  };
  return module.define('dot', parameters, (args, code) => {
    const { x, rows, rowStep, out, outStep, n, k, flags, bias, biasStep } = args;
    const width = code.local(bytes(k));
    const whole = code.local(i32.and(width, -16));
    const p = code.local(0);
    const xs = code.local(zero);
    const four = Array.from({ length: 4 }, () => code.local(0));
    const sums = fourVectors(code);
    const total = code.local(zero);
    const value = code.local(f32.const(0));
    code.while(i32.geS(n, 4), () => {
      four.forEach((row, i) => {
        code.set(row, i === 0 ? rows : i32.add(four[i - 1]!, rowStep));
      });
      for (const sum of sums) code.set(sum, zero);
      code.for(p, 0, whole, 16, () => {
        code.set(xs, v128.load(i32.add(x, p)));
        sums.forEach((sum, i) => {
          code.set(sum, f32x4.add(sum, f32x4.mul(xs, v128.load(i32.add(four[i]!, p)))));
        });
      });
      code.set(total, horizontalSums(code, sums));
      code.for(p, whole, width, 4, () => {
        code.set(xs, v128.load32Splat(i32.add(x, p)));
        let column: V128 = v128.load32Splat(i32.add(four[0]!, p));
        for (let i = 1; i < 4; i++) column = v128.load32Lane(i32.add(four[i]!, p), column, i);
        code.set(total, f32x4.add(total, f32x4.mul(xs, column)));
      });
      code.if(
        i32.and(i32.eq(outStep, 4), i32.eq(biasStep, 4)),
        () => {
          finishVector(code, total, out, bias, flags);
          code.advance(out, 16);
          code.advance(bias, 16);
        },
        () => {
          for (let lane = 0; lane < 4; lane++) {
            code.set(value, f32x4.extractLane(total, lane));
            finishFloat(code, value, out, bias, flags);
            code.advance(out, outStep);
            code.advance(bias, biasStep);
          }
        },
      );
      code.advance(rows, i32.shl(rowStep, 2));
      code.advance(n, -4);
    });
    code.while(i32.gtS(n, 0), () => {
      const sum = sums[0]!;
      code.set(sum, zero);
      code.for(p, 0, whole, 16, () => {
        code.set(sum, f32x4.add(sum, f32x4.mul(v128.load(i32.add(x, p)), v128.load(i32.add(rows, p)))));
      });
      const pair = (i: number, j: number) => f32.add(f32x4.extractLane(sum, i), f32x4.extractLane(sum, j));
      code.set(value, f32.add(pair(0, 1), pair(2, 3)));
      code.for(p, whole, width, 4, () => {
        code.set(value, f32.add(value, f32.mul(f32.load(i32.add(x, p)), f32.load(i32.add(rows, p)))));
      });
      finishFloat(code, value, out, bias, flags);
      code.advance(out, outStep);
      code.advance(bias, biasStep);
      code.advance(rows, rowStep);
      code.advance(n, -1);
    });
  });
}

/**
 * out[j] = sum_p x[p] rows[p, j]: eight rows of B at a time, scaled and added to out, so that memory is read in eight
 * streams from front to back. Strides in bytes.
 */
export function defineAxpy(module: WasmModule): Callable {
  const parameters = {
    ...({ x: 'i32', xStep: 'i32', rows: 'i32', rowStep: 'i32', out: 'i32', n: 'i32', k: 'i32' } as const),
    ...({ flags: 'i32', bias: 'i32' } as const),
  };
  return module.define('axpy', parameters, (args, code) => {
    const { x, xStep, rows, rowStep, out, n, k, flags, bias } = args;
    const j = code.local(0);
    const width = code.local(bytes(n));
    const whole = code.local(i32.and(width, -16));
    const at = code.local(0);
    const row = code.local(0);
    const sum = code.local(zero);
    const single = code.local(f32.const(0));
    code.if(i32.eqz(isSet(flags, accumulateFlag)), () => {
      code.if(
        isSet(flags, biasFlag),
        () => code.copyBytes(out, bias, width),
        () => code.fillBytes(out, 0, width),
      );
    });
    for (const count of [8, 1]) {
      const scales = Array.from({ length: count }, () => code.local(zero));
      code.while(i32.geS(k, count), () => {
        for (const scale of scales) {
          code.set(scale, v128.load32Splat(x));
          code.advance(x, xStep);
        }
        code.for(j, 0, whole, 16, () => {
          code.set(at, i32.add(out, j));
          code.set(row, i32.add(rows, j));
          code.set(sum, v128.load(at));
          scales.forEach((scale, p) => {
            code.set(sum, f32x4.add(sum, f32x4.mul(scale, v128.load(row))));
            if (p < count - 1) code.advance(row, rowStep);
          });
          code.store(at, sum);
        });
        code.for(j, whole, width, 4, () => {
          code.set(at, i32.add(out, j));
          code.set(row, i32.add(rows, j));
          code.set(single, f32.load(at));
          scales.forEach((scale, p) => {
            code.set(single, f32.add(single, f32.mul(f32x4.extractLane(scale, 0), f32.load(row))));
            if (p < count - 1) code.advance(row, rowStep);
          });
          code.store(at, single);
        });
        code.advance(rows, i32.mul(rowStep, count));
        code.advance(k, -count);
      });
    }
    code.if(isSet(flags, reluFlag), () => {
      code.for(j, 0, width, 4, () => {
        code.set(at, i32.add(out, j));
        code.store(at, f32.max(f32.load(at), f32.const(0)));
      });
    });
  });
}

/** c[i, j] (+)= a[i] b[j], b contiguous: the weight gradient of one sample. Strides in bytes. */
export function defineRankOne(module: WasmModule): Callable {
  const parameters = {
    ...({ a: 'i32', aStep: 'i32', b: 'i32', c: 'i32', cRow: 'i32', m: 'i32', n: 'i32', accumulate: 'i32' } as const),
  };
  return module.define('rankOne', parameters, ({ a, aStep, b, c, cRow, m, n, accumulate }, code) => {
    const i = code.local(0);
    const [from, to] = [code.local(0), code.local(0)];
    const scale = code.local(zero);
    const rows = (accumulates: boolean) => {
      code.for(i, 0, m, 1, () => {
        code.set(scale, v128.load32Splat(a));
        code.set(from, b);
        code.set(to, c);
        const step = ({ load, store }: Lanes) => {
          const product = f32x4.mul(scale, load(from));
          store(to, accumulates ? f32x4.add(load(to), product) : product);
        };
        sweep(code, n, [from, to], step, 4);
        code.advance(a, aStep);
        code.advance(c, cRow);
      });
    };
    code.if(
      accumulate,
      () => rows(true),
      () => rows(false),
    );
  });
}

/**
 * Softmax and its relatives, emitted row by row. A row is walked two or three times: its maximum, its exponentials and
 * their sum, and what is made of them; it stays in the first cache meanwhile. Lanes past the end are padded so that they
 * add nothing. A NaN that the maximum passes over shows up in the sum.
 */
import type { Code, WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { sumLanes } from './horizontal.ts';
import { f32, f32x4, type Int, i32, select, type V128, v128 } from './instructions.ts';
import { eachRow, foldRow } from './rows.ts';
import { single } from './single.ts';
import { accumulator, type Pointer, sweep, toBytes, type Vector } from './sweep.ts';
import { exp, expOfNegative, log } from './vector-math.ts';

const rowsParameters = { x: 'i32', out: 'i32', rows: 'i32', columns: 'i32' } as const;
const rowsSlopeParameters = {
  ...({ g: 'i32', y: 'i32', out: 'i32', rows: 'i32', columns: 'i32', accumulate: 'i32' } as const),
};
const softmaxParameters = {
  softmax: rowsParameters,
  logSoftmax: rowsParameters,
  logSumExp: rowsParameters,
  softmaxSlope: rowsSlopeParameters,
  logSoftmaxSlope: rowsSlopeParameters,
  crossEntropy: {
    ...({ logits: 'i32', labels: 'i32', losses: 'i32', probabilities: 'i32', rows: 'i32' } as const),
    ...({ columns: 'i32', smoothing: 'f32' } as const),
  },
  crossEntropySlope: {
    ...({ g: 'i32', gStep: 'i32', scale: 'f32', probabilities: 'i32', labels: 'i32', out: 'i32' } as const),
    ...({ rows: 'i32', columns: 'i32', smoothing: 'f32', accumulate: 'i32' } as const),
  },
};

const { add, div, mul, sub } = f32x4;
const zero = f32x4.splat(0);
const lowest = f32x4.splat(Number.NEGATIVE_INFINITY);
const firstLane = (vector: Vector) => f32x4.extractLane(vector, 0);
/** The byte address of number `index` behind `row`. */
const numberAt = (row: Pointer, index: Int) => i32.add(row, i32.shl(index, 2));

const rowMax = (code: Code, row: Pointer, columns: Int) => foldRow(code, columns, [row], lowest, lowest, f32x4.pmax);

/** sum_j exp(x_j - shift), for shift the maximum. Each exponential is also stored in `keep`, if there is such a place. */
function expSum(code: Code, row: Pointer, columns: Int, shift: Vector, keep?: Pointer): Vector {
  const total = code.local(zero);
  const at = code.local(row);
  const keepAt = keep && code.local(keep);
  sweep(code, columns, keepAt ? [at, keepAt] : [at], ({ load, store }) => {
    const power = code.local(expOfNegative(code, sub(load(at, lowest), shift)));
    if (keepAt) store(keepAt, power);
    code.set(total, add(total, power));
  });
  return sumLanes(code, total);
}

/** row[j] = f(row[j]) */
function mapRow(code: Code, from: Pointer, to: Pointer, columns: Int, f: (x: Vector) => V128): void {
  const [fromAt, toAt] = [code.local(from), code.local(to)];
  sweep(code, columns, [fromAt, toAt], ({ load, store }) => store(toAt, f(load(fromAt))), 2);
}

function defineSoftmax(module: WasmModule): void {
  module.define('softmax', softmaxParameters.softmax, ({ x, out, rows, columns }, code) => {
    toBytes(code, x, out);
    const rowBytes = code.local(i32.shl(columns, 2));
    eachRow(
      code,
      rows,
      [
        [x, rowBytes],
        [out, rowBytes],
      ],
      () => {
        const total = expSum(code, x, columns, rowMax(code, x, columns), out);
        mapRow(code, out, out, columns, (power) => div(power, total));
      },
    );
  });
}

function defineLogSoftmax(module: WasmModule): void {
  module.define('logSoftmax', softmaxParameters.logSoftmax, ({ x, out, rows, columns }, code) => {
    toBytes(code, x, out);
    const rowBytes = code.local(i32.shl(columns, 2));
    eachRow(
      code,
      rows,
      [
        [x, rowBytes],
        [out, rowBytes],
      ],
      () => {
        const shift = rowMax(code, x, columns);
        const logTotal = code.local(log(code, expSum(code, x, columns, shift)));
        mapRow(code, x, out, columns, (value) => sub(sub(value, shift), logTotal));
      },
    );
  });
}

function defineLogSumExp(module: WasmModule): void {
  module.define('logSumExp', softmaxParameters.logSumExp, ({ x, out, rows, columns }, code) => {
    toBytes(code, x, out);
    const rowBytes = code.local(i32.shl(columns, 2));
    eachRow(
      code,
      rows,
      [
        [x, rowBytes],
        [out, 4],
      ],
      () => {
        const largest = rowMax(code, x, columns);
        // An infinite maximum is no shift: the plain sum is 0 or Infinity then, and so is its logarithm right.
        const bounded = f32x4.lt(f32x4.abs(largest), f32x4.splat(Number.POSITIVE_INFINITY));
        const shift = code.local(v128.and(largest, bounded));
        const total = foldRow(code, columns, [x], lowest, zero, add, (value) => exp(code, sub(value!, shift)));
        const result = code.local(add(shift, log(code, total)));
        code.store(out, firstLane(result));
      },
    );
  });
}

function defineSoftmaxSlope(module: WasmModule): void {
  module.define('softmaxSlope', softmaxParameters.softmaxSlope, ({ g, y, out, rows, columns, accumulate }, code) => {
    toBytes(code, g, y, out);
    const rowBytes = code.local(i32.shl(columns, 2));
    const put = accumulator(code, accumulate);
    const [gAt, yAt, outAt] = [code.local(0), code.local(0), code.local(0)];
    eachRow(
      code,
      rows,
      [
        [g, rowBytes],
        [y, rowBytes],
        [out, rowBytes],
      ],
      () => {
        const mean = foldRow(code, columns, [g, y], zero, zero, add, (slope, share) => mul(slope!, share!));
        code.set(gAt, g);
        code.set(yAt, y);
        code.set(outAt, out);
        sweep(code, columns, [gAt, yAt, outAt], (lanes) => {
          put(lanes, outAt, mul(lanes.load(yAt), sub(lanes.load(gAt), mean)));
        });
      },
    );
  });
}

function defineLogSoftmaxSlope(module: WasmModule): void {
  const parameters = softmaxParameters.logSoftmaxSlope;
  module.define('logSoftmaxSlope', parameters, ({ g, y, out, rows, columns, accumulate }, code) => {
    toBytes(code, g, y, out);
    const rowBytes = code.local(i32.shl(columns, 2));
    const put = accumulator(code, accumulate);
    const [gAt, yAt, outAt] = [code.local(0), code.local(0), code.local(0)];
    eachRow(
      code,
      rows,
      [
        [g, rowBytes],
        [y, rowBytes],
        [out, rowBytes],
      ],
      () => {
        const total = foldRow(code, columns, [g], zero, zero, add);
        code.set(gAt, g);
        code.set(yAt, y);
        code.set(outAt, out);
        sweep(code, columns, [gAt, yAt, outAt], (lanes) => {
          const share = expOfNegative(code, lanes.load(yAt));
          put(lanes, outAt, sub(lanes.load(gAt), mul(share, total)));
        });
      },
    );
  });
}

function defineCrossEntropy(module: WasmModule): void {
  module.define('crossEntropy', softmaxParameters.crossEntropy, (args, code) => {
    const { logits, labels, losses, probabilities, rows, columns, smoothing } = args;
    toBytes(code, logits, labels, losses, probabilities);
    const rowBytes = code.local(i32.shl(columns, 2));
    const wantsProbabilities = code.local(probabilities);
    const [total, loss] = [code.local(zero), code.local(zero)];
    const share = code.local(f32.div(smoothing, f32.convertI32S(columns)));
    const pointers = [
      [logits, rowBytes],
      [labels, 4],
      [losses, 4],
      [probabilities, rowBytes],
    ] as const;
    eachRow(code, rows, pointers, () => {
      const shift = rowMax(code, logits, columns);
      // The row may be overwritten by its probabilities: what the loss needs of it is read first.
      const ofLabel = code.local(sub(v128.load32Splat(numberAt(logits, i32.load(labels))), shift));
      const ofAll = code.local(zero);
      code.if(f32.ne(smoothing, 0), () => {
        code.set(
          ofAll,
          foldRow(code, columns, [logits], shift, zero, add, (x) => sub(x!, shift)),
        );
      });
      code.if(
        wantsProbabilities,
        () => code.set(total, expSum(code, logits, columns, shift, probabilities)),
        () => code.set(total, expSum(code, logits, columns, shift)),
      );
      const logTotal = code.local(log(code, total));
      code.set(loss, sub(logTotal, ofLabel));
      code.if(f32.ne(smoothing, 0), () => {
        const sum = sub(mul(f32x4.splat(f32.convertI32S(columns)), logTotal), ofAll);
        const own = f32x4.splat(f32.sub(1, smoothing));
        code.set(loss, add(mul(own, loss), mul(f32x4.splat(share), sum)));
      });
      code.if(wantsProbabilities, () =>
        mapRow(code, probabilities, probabilities, columns, (power) => div(power, total)),
      );
      code.store(losses, firstLane(loss));
    });
  });
}

function defineCrossEntropySlope(module: WasmModule): void {
  module.define('crossEntropySlope', softmaxParameters.crossEntropySlope, (args, code) => {
    const { g, gStep, scale, probabilities, labels, out, rows, columns, smoothing, accumulate } = args;
    toBytes(code, g, gStep, probabilities, labels, out);
    const rowBytes = code.local(i32.shl(columns, 2));
    const put = accumulator(code, accumulate);
    const share = code.local(f32.div(smoothing, f32.convertI32S(columns)));
    const [from, to] = [code.local(0), code.local(0)];
    const pointers = [
      [g, gStep],
      [labels, 4],
      [probabilities, rowBytes],
      [out, rowBytes],
    ] as const;
    eachRow(code, rows, pointers, () => {
      const factor = code.local(f32x4.splat(f32.mul(scale, f32.load(g))));
      // The label's number is done by itself: p - 1 must not be spread over two roundings. It is read before the row is
      // written, which may be the same memory.
      const labelOut = code.local(numberAt(out, i32.load(labels)));
      const wished = f32.add(f32.sub(1, smoothing), share);
      const distance = f32.sub(f32.load(numberAt(probabilities, i32.load(labels))), wished);
      const before = select(accumulate, f32.load(labelOut), f32.const(0));
      const ofLabel = code.local(f32.add(before, f32.mul(firstLane(factor), distance)));
      code.set(from, probabilities);
      code.set(to, out);
      sweep(
        code,
        columns,
        [from, to],
        (lanes) => put(lanes, to, mul(factor, sub(lanes.load(from), f32x4.splat(share)))),
        2,
      );
      code.store(labelOut, ofLabel);
    });
  });
}

export const softmaxFamilies: readonly Family[] = [
  single('softmax', defineSoftmax),
  single('logSoftmax', defineLogSoftmax),
  single('logSumExp', defineLogSumExp),
  single('softmaxSlope', defineSoftmaxSlope),
  single('logSoftmaxSlope', defineLogSoftmaxSlope),
  single('crossEntropy', defineCrossEntropy),
  single('crossEntropySlope', defineCrossEntropySlope),
];

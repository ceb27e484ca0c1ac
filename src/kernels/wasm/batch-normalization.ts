/**
 * Batch normalization, emitted channel by channel. Numbers of one channel of [outer, channels, inner] stand in `outer` runs of
 * `inner`; where that is 1 (features of a linear layer) four channels stand side by side, and lanes are channels. A kernel
 * is written once, for a `Channel`, and emitted for both.
 */
import type { Code, WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { combineVectors, sumLanes } from './horizontal.ts';
import { f32, f32x4, type Int, i32, type V128, v128 } from './instructions.ts';
import { single } from './single.ts';
import { accumulator, type Lanes, type Pointer, sweep, toBytes, type Vector } from './sweep.ts';

const { add, div, mul, sub } = f32x4;
const zero = f32x4.splat(0);

interface Sizes {
  readonly outer: Int;
  readonly channels: Int;
  readonly inner: Int;
}

/** One channel, its number in every lane of a vector; or four channels, a lane each. */
interface Channel {
  /** Runs `step` over all its numbers in these tensors; `at` are the pointers to load from. */
  each(tensors: readonly Pointer[], step: (lanes: Lanes, at: readonly Pointer[]) => void): void;
  /** What the steps of `each` added up, by `part` of the lanes, as a sum over the channel. */
  total(sums: readonly Vector[]): Vector;
  /** Its number in a list of one for each channel. */
  read(numbers: Pointer): Vector;
  write(numbers: Pointer, value: V128): void;
}

/** `tensors` are as large as x and `numbers` have one for each channel; both are byte addresses and are moved. */
function eachChannel(
  code: Code,
  { outer, channels, inner }: Sizes,
  tensors: readonly Pointer[],
  numbers: readonly Pointer[],
  body: (channel: Channel) => void,
): void {
  const rowBytes = code.local(i32.shl(channels, 2));
  const sideBySide = () =>
    sweep(code, channels, [...tensors, ...numbers], (lanes) =>
      body({
        each(of, step) {
          const at = of.map((tensor) => code.local(tensor));
          const row = code.local(0);
          code.for(row, 0, outer, 1, () => {
            step(lanes, at);
            for (const pointer of at) code.advance(pointer, rowBytes);
          });
        },
        total: ([sum]) => sum!,
        read: lanes.load,
        write: lanes.store,
      }),
    );
  const oneByOne = () => {
    const runBytes = code.local(i32.shl(inner, 2));
    const imageBytes = code.local(i32.mul(runBytes, channels));
    const c = code.local(0);
    code.for(c, 0, channels, 1, () => {
      body({
        each(of, step) {
          const runs = of.map((tensor) => code.local(tensor));
          const at = of.map(() => code.local(0));
          const image = code.local(0);
          code.for(image, 0, outer, 1, () => {
            for (const [k, run] of runs.entries()) code.set(at[k]!, run);
            sweep(code, inner, at, (lanes) => step(lanes, at), 2);
            for (const run of runs) code.advance(run, imageBytes);
          });
        },
        total: (sums) => sumLanes(code, combineVectors(code, sums, add)),
        read: (from) => code.local(v128.load32Splat(from)),
        write: (to, value) => code.store(to, f32x4.extractLane(value, 0)),
      });
      for (const tensor of tensors) code.advance(tensor, runBytes);
      for (const list of numbers) code.advance(list, 4);
    });
  };
  code.if(i32.eq(inner, 1), sideBySide, oneByOne);
}

/** Two sums that begin at 0, for the two parts of an unrolled step. */
const twoSums = (code: Code) => [code.local(zero), code.local(zero)];

const countOf = ({ outer, inner }: Sizes) => f32x4.splat(f32.max(f32.convertI32S(i32.mul(outer, inner)), f32.const(1)));

const scaleOf = (code: Code, variance: V128, eps: Parameters<typeof f32x4.splat>[0]) =>
  code.local(div(f32x4.splat(1), f32x4.sqrt(add(variance, f32x4.splat(eps)))));

/** A number of an operand that may be missing (address 0), else `missing`. `isThere` is its address before it was moved. */
function optional(code: Code, channel: Channel, operand: Pointer, isThere: Int, missing: V128): Vector {
  const value = code.local(missing);
  code.if(isThere, () => code.set(value, channel.read(operand)));
  return value;
}

const sizes = { outer: 'i32', channels: 'i32', inner: 'i32' } as const;

function defineMoments(module: WasmModule): void {
  module.define('batchMoments', { x: 'i32', moments: 'i32', ...sizes }, ({ x, moments, ...shape }, code) => {
    toBytes(code, x, moments);
    const variances = code.local(i32.add(moments, i32.shl(shape.channels, 2)));
    const count = code.local(countOf(shape));
    eachChannel(code, shape, [x], [moments, variances], (channel) => {
      const sums = twoSums(code);
      channel.each([x], ({ load, part }, [at]) => code.set(sums[part]!, add(sums[part]!, load(at!))));
      const mean = code.local(div(channel.total(sums), count));
      const squares = twoSums(code);
      channel.each([x], ({ load, part }, [at]) => {
        const distance = code.local(sub(load(at!, mean), mean));
        code.set(squares[part]!, add(squares[part]!, mul(distance, distance)));
      });
      channel.write(moments, mean);
      channel.write(variances, div(channel.total(squares), count));
    });
  });
}

const normParameters = {
  ...({ x: 'i32', mean: 'i32', variance: 'i32', weight: 'i32', bias: 'i32', out: 'i32' } as const),
  ...sizes,
  ...({ eps: 'f32' } as const),
};

function defineNorm(module: WasmModule): void {
  module.define('batchNorm', normParameters, ({ x, mean, variance, weight, bias, out, eps, ...shape }, code) => {
    toBytes(code, x, mean, variance, weight, bias, out);
    const [isWeighed, isShifted] = [code.local(weight), code.local(bias)];
    eachChannel(code, shape, [x, out], [mean, variance, weight, bias], (channel) => {
      const centre = channel.read(mean);
      const scale = scaleOf(code, channel.read(variance), eps);
      const factor = code.local(mul(scale, optional(code, channel, weight, isWeighed, f32x4.splat(1))));
      const shift = optional(code, channel, bias, isShifted, zero);
      channel.each([x, out], ({ load, store }, [from, to]) =>
        store(to!, add(mul(sub(load(from!), centre), factor), shift)),
      );
    });
  });
}

const slopeParameters = {
  ...({ g: 'i32', x: 'i32', mean: 'i32', variance: 'i32', weight: 'i32', out: 'i32' } as const),
  ...sizes,
  ...({ eps: 'f32', ofBatch: 'i32', accumulate: 'i32' } as const),
};

function defineSlope(module: WasmModule): void {
  module.define('batchNormSlope', slopeParameters, (args, code) => {
    const { g, x, mean, variance, weight, out, eps, ofBatch, accumulate, ...shape } = args;
    toBytes(code, g, x, mean, variance, weight, out);
    const isWeighed = code.local(weight);
    const count = code.local(countOf(shape));
    const put = accumulator(code, accumulate);
    eachChannel(code, shape, [g, x, out], [mean, variance, weight], (channel) => {
      const centre = channel.read(mean);
      const scale = scaleOf(code, channel.read(variance), eps);
      const factor = code.local(mul(scale, optional(code, channel, weight, isWeighed, f32x4.splat(1))));
      const ownMoments = () => {
        const [plain, weighed] = [twoSums(code), twoSums(code)];
        channel.each([g, x], ({ load, part }, [gAt, xAt]) => {
          const slope = load(gAt!);
          const [across, along] = [plain[part]!, weighed[part]!];
          code.set(across, add(across, slope));
          code.set(along, add(along, mul(slope, sub(load(xAt!), centre))));
        });
        const across = code.local(div(channel.total(plain), count));
        const along = code.local(mul(div(channel.total(weighed), count), mul(scale, scale)));
        channel.each([g, x, out], (lanes, [gAt, xAt, to]) => {
          const distance = sub(lanes.load(xAt!), centre);
          put(lanes, to!, mul(factor, sub(sub(lanes.load(gAt!), across), mul(distance, along))));
        });
      };
      const givenMoments = () =>
        channel.each([g, out], (lanes, [gAt, to]) => put(lanes, to!, mul(factor, lanes.load(gAt!))));
      code.if(ofBatch, ownMoments, givenMoments);
    });
  });
}

const weightSlopeParameters = {
  ...({ g: 'i32', x: 'i32', mean: 'i32', variance: 'i32', out: 'i32' } as const),
  ...sizes,
  ...({ eps: 'f32', accumulate: 'i32' } as const),
};

function defineWeightSlope(module: WasmModule): void {
  module.define('batchNormWeightSlope', weightSlopeParameters, (args, code) => {
    const { g, x, mean, variance, out, eps, accumulate, ...shape } = args;
    toBytes(code, g, x, mean, variance, out);
    eachChannel(code, shape, [g, x], [mean, variance, out], (channel) => {
      const centre = channel.read(mean);
      const scale = scaleOf(code, channel.read(variance), eps);
      const sums = twoSums(code);
      channel.each([g, x], ({ load, part }, [gAt, xAt]) =>
        code.set(sums[part]!, add(sums[part]!, mul(load(gAt!), sub(load(xAt!), centre)))),
      );
      const sum = code.local(mul(channel.total(sums), scale));
      code.if(accumulate, () => code.set(sum, add(sum, channel.read(out))));
      channel.write(out, sum);
    });
  });
}

export const batchNormalizationFamilies: readonly Family[] = [
  single('batchMoments', defineMoments),
  single('batchNorm', defineNorm),
  single('batchNormSlope', defineSlope),
  single('batchNormWeightSlope', defineWeightSlope),
];

/**
 * The largest error of vector functions over float32 numbers of both signs: what the docstrings say was measured with it.
 *
 *     npx tsx test/slow/vector-math-sweep.ts exp,tanh,sigmoid,erf
 *
 * Every number is tried where |x| is in the range below, every 61st in the 22 binades under it, every 1009th elsewhere (where the
 * functions are x, a constant or Infinity). A second argument tries only every so many in the range. A minute or two a function.
 */
import { type FunctionName, Runner, truths, type Worst, worstOf } from '../kernels/vector-math-ulps.ts';

const bits = new Uint32Array(1);
const numberOf = new Float32Array(bits.buffer);
const bitsOf = (x: number): number => {
  numberOf[0] = x;
  return bits[0]!;
};

/** |x| from and to which each float32 number counts. */
const ranges: Partial<Record<FunctionName, [number, number]>> = {
  log: [2 ** -4, 2 ** 8],
  sin: [2 ** -8, 1.1e5],
  cos: [2 ** -8, 1.1e5],
  erf: [2 ** -8, 8],
  gelu: [2 ** -8, 16],
  geluTanh: [2 ** -8, 16],
};
const usual: [number, number] = [2 ** -8, 128];
const chunk = 1 << 16;

function sweep(name: FunctionName, every: number): Worst {
  const runner = new Runner('wasm');
  const [from, to] = ranges[name] ?? usual;
  const [first, last, low] = [bitsOf(from), bitsOf(to), bitsOf(from * 2 ** -22)];
  const step = (at: number) => (at >= first && at < last ? every : at >= low && at < first ? 61 : 1009);
  const worst: Worst = { ulps: 0, x: Number.NaN };
  const x = new Uint32Array(chunk);
  const numbers = new Float32Array(x.buffer);
  for (const sign of [0, 0x80000000]) {
    for (let at = 0; at < 0x7f800000; ) {
      let count = 0;
      for (; count < chunk && at < 0x7f800000; count++) {
        x[count] = (at | sign) >>> 0;
        at += step(at);
      }
      const found = worstOf(runner, name, numbers.subarray(0, count));
      if (found.ulps > worst.ulps) Object.assign(worst, found);
    }
  }
  return worst;
}

const [names = Object.keys(truths).join(), every = '1'] = process.argv.slice(2);
for (const name of names.split(',') as FunctionName[]) {
  const worst = sweep(name, Number(every));
  console.log(`${name}: ${worst.ulps.toFixed(3)} ulp at ${worst.x}`);
}

/** The assembler: number encodings, a module byte for byte, and control flow that does what it says. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Code, WasmModule } from '../../src/kernels/wasm/assembler.ts';
import { Bytes } from '../../src/kernels/wasm/bytes.ts';
import { f32, f32x4, i32, i32x4, v128 } from '../../src/kernels/wasm/instructions.ts';

const fixedSeed = { seed: 20261120 };

function bytesOf(write: (out: Bytes) => void): number[] {
  const out = new Bytes();
  write(out);
  return Array.from(out.view());
}

/** LEB128 as the specification defines it, in whole numbers without a size. */
function leb128(value: bigint, signed: boolean): number[] {
  const bytes: number[] = [];
  for (;;) {
    const low = Number(value & 0x7fn);
    value >>= 7n;
    const done = signed ? (value === 0n && low < 0x40) || (value === -1n && low >= 0x40) : value === 0n;
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

const edges = [0, 1, 63, 64, 127, 128, 8191, 8192, 16383, 16384, 2 ** 31 - 1];

describe('numbers', () => {
  it('u32 is unsigned LEB128', () => {
    const check = (value: number): void => {
      expect(bytesOf((out) => out.u32(value))).toEqual(leb128(BigInt(value), false));
    };
    for (const value of [...edges, 2 ** 31, 2 ** 32 - 1]) check(value);
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), check), { ...fixedSeed, numRuns: 500 });
  });

  it('s32 is signed LEB128', () => {
    const check = (value: number): void => {
      expect(bytesOf((out) => out.s32(value))).toEqual(leb128(BigInt(value), true));
    };
    for (const value of edges) for (const x of [value, -value, -value - 1]) check(x);
    fc.assert(fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), check), { ...fixedSeed, numRuns: 500 });
  });

  it('f32 is little-endian, with every NaN, zero and infinity as it is', () => {
    for (const value of [0, -0, 1, -1.5, NaN, Infinity, -Infinity, 1e-45, 3.4028234663852886e38]) {
      const view = new DataView(new ArrayBuffer(4));
      view.setFloat32(0, value, true);
      expect(bytesOf((out) => out.f32(value))).toEqual(Array.from(new Uint8Array(view.buffer)));
    }
  });

  it('names stand behind their length, sized bytes too, and the buffer grows as needed', () => {
    expect(bytesOf((out) => out.name('env'))).toEqual([3, 0x65, 0x6e, 0x76]);
    const long = new Bytes();
    for (let i = 0; i < 1000; i++) long.byte(i & 0xff);
    const whole = bytesOf((out) => out.appendSized(long));
    expect(whole.slice(0, 2)).toEqual(leb128(1000n, false));
    expect(whole.slice(2)).toEqual(Array.from({ length: 1000 }, (_, i) => i & 0xff));
  });
});

it('writes a small module byte for byte', () => {
  const module = new WasmModule();
  module.define('f', { p: 'i32' }, ({ p }, code) => code.store(p, i32.const(-1), 8));
  expect(Array.from(module.encode())).toEqual([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version 1
    ...[0x01, 0x05, 0x01, 0x60, 0x01, 0x7f, 0x00], // types: (i32) -> ()
    ...[0x02, 0x0f, 0x01, 0x03, 0x65, 0x6e, 0x76, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x01], // env.memory
    ...[0x03, 0x02, 0x01, 0x00], // function 0 has type 0
    ...[0x07, 0x05, 0x01, 0x01, 0x66, 0x00, 0x00], // export "f" = function 0
    ...[0x0a, 0x0b, 0x01, 0x09, 0x00], // one body of 9 bytes, no locals
    ...[0x20, 0x00, 0x41, 0x7f, 0x36, 0x02, 0x08, 0x0b], // local.get 0, i32.const -1, i32.store align=4 offset=8, end
  ]);
});

const memory = new WebAssembly.Memory({ initial: 1 });
const ints = new Int32Array(memory.buffer);
const floats = new Float32Array(memory.buffer);

/** Runs a function of one i32 x; its body stores results at byte address 0 and up. */
function runWith(x: number, write: (x: ReturnType<typeof i32.const>, code: Code) => void): Int32Array {
  const module = new WasmModule();
  module.define('f', { x: 'i32' }, (args, code) => write(args.x, code));
  ints.fill(-7, 0, 16);
  module.instantiate(memory).f!(x);
  return ints;
}

describe('control flow', () => {
  it('if with and without else', () => {
    const sign = (x: number) =>
      runWith(x, (value, code) => {
        code.if(
          i32.ltU(value, 10),
          () => code.store(0, i32.const(1)),
          () => code.store(0, i32.const(2)),
        );
        code.if(i32.eq(value, 3), () => code.store(4, i32.const(3)));
      }).slice(0, 2);
    expect(Array.from(sign(3))).toEqual([1, 3]);
    expect(Array.from(sign(9))).toEqual([1, -7]);
    expect(Array.from(sign(10))).toEqual([2, -7]);
  });

  it('while runs until its condition fails, and not at all if it does at once', () => {
    const halvings = (x: number) =>
      runWith(x, (value, code) => {
        const left = code.local(value);
        const count = code.local(0);
        code.while(left, () => {
          code.set(left, i32.shrU(left, 1));
          code.advance(count, 1);
        });
        code.store(0, count);
      })[0];
    expect([0, 1, 2, 255, 256].map(halvings)).toEqual([0, 1, 2, 8, 9]);
  });

  it('for counts from, to, by step, unsigned; loops nest', () => {
    const loop = (from: number, to: number, step: number) =>
      runWith(to, (limit, code) => {
        const [i, j] = [code.local(0), code.local(0)];
        const [rounds, inner] = [code.local(0), code.local(0)];
        code.for(i, from, limit, step, () => {
          code.advance(rounds, 1);
          code.for(j, 0, 3, 1, () => code.advance(inner, 1));
        });
        for (const [k, value] of [rounds, inner, i].entries()) code.store(4 * k, value);
      }).slice(0, 3);
    expect(Array.from(loop(0, 5, 1))).toEqual([5, 15, 5]);
    expect(Array.from(loop(2, 9, 3))).toEqual([3, 9, 11]);
    expect(Array.from(loop(5, 5, 1))).toEqual([0, 0, 5]);
    // 2^31 is a large count, not a negative one.
    expect(loop(2 ** 31 - 2, 2 ** 31, 1)[0]).toBe(2);
  });

  it('return leaves the function', () => {
    const stored = runWith(1, (x, code) => {
      code.store(0, x);
      code.return();
      code.store(0, i32.const(99));
    });
    expect(stored[0]).toBe(1);
  });

  it('locals of several types keep their values apart', () => {
    runWith(5, (x, code) => {
      const a = code.local(f32.const(2.5));
      const b = code.local(x);
      const c = code.local(f32.const(-0.25));
      const d = code.local(i32x4.const(1, 2, 3, 4));
      const e = code.local(b);
      code.store(0, a);
      code.store(4, c);
      code.store(8, b);
      code.store(12, e);
      code.store(16, d);
    });
    expect(Array.from(floats.slice(0, 2))).toEqual([2.5, -0.25]);
    expect(Array.from(ints.slice(2, 8))).toEqual([5, 5, 1, 2, 3, 4]);
  });

  it('copies and fills bytes, ranges that overlap too', () => {
    runWith(0, (_, code) => {
      for (let i = 0; i < 4; i++) code.store(4 * i, i32.const(i));
      code.copyBytes(4, 0, 12);
      code.fillBytes(16, 0xff, 4);
    });
    expect(Array.from(ints.slice(0, 5))).toEqual([0, 0, 1, 2, -1]);
  });
});

describe('constants', () => {
  it.each([0, -0, 1, -1.5, NaN, Infinity, -Infinity, 2 ** -149, 3.4028234663852886e38])('f32 %d', (value) => {
    runWith(0, (_, code) => code.store(0, f32.const(value)));
    expect(floats[0]).toBe(value);
  });

  it('f32x4 and i32x4: four lanes in order, NaN and -0 among them', () => {
    runWith(0, (_, code) => {
      code.store(0, f32x4.const(NaN, -0, 1.5, -Infinity));
      code.store(16, i32x4.const(-1, 0, 2 ** 31 - 1, -(2 ** 31)));
      code.store(32, f32x4.splat(-0));
    });
    expect(Array.from(floats.slice(0, 4))).toEqual([NaN, -0, 1.5, -Infinity]);
    expect(Array.from(ints.slice(4, 8))).toEqual([-1, 0, 2 ** 31 - 1, -(2 ** 31)]);
    expect(Array.from(floats.slice(8, 12))).toEqual([-0, -0, -0, -0]);
  });

  it('pass bits, not values: a NaN with a payload comes out as it went in', () => {
    runWith(0, (_, code) => {
      code.store(4, i32.const(0x7fc12345));
      code.store(16, v128.load32Splat(4));
    });
    expect(Array.from(ints.slice(4, 8))).toEqual(Array(4).fill(0x7fc12345));
  });

  it('i32 over its whole range', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (value) => {
        expect(runWith(0, (_, code) => code.store(0, i32.const(value)))[0]).toBe(value);
      }),
      { ...fixedSeed, numRuns: 50 },
    );
  });
});

describe('calls between modules', () => {
  const callee = new WasmModule();
  callee.define('put', { address: 'i32', value: 'f32' }, ({ address, value }, code) => code.store(address, value));
  const { put } = callee.instantiate(memory);

  it('reach imported functions and functions of the module itself', () => {
    const module = new WasmModule();
    const imported = module.import('put', ['i32', 'f32'], put!);
    const own = module.define('twice', { x: 'f32' }, ({ x }, code) => {
      code.call(imported, 0, x);
      code.call(imported, 4, f32.add(x, x));
    });
    module.define('run', {}, (_, code) => code.call(own, f32.const(1.5)));
    module.instantiate(memory).run!();
    expect(Array.from(floats.slice(0, 2))).toEqual([1.5, 3]);
  });

  it('refuse imports after definitions, and the wrong number of values', () => {
    const module = new WasmModule();
    const f = module.define('f', { x: 'i32' }, ({ x }, code) => code.store(0, x));
    expect(() => module.import('late', [], () => {})).toThrow(/Imports come before definitions/);
    expect(() => module.define('g', {}, (_, code) => code.call(f))).toThrow(/wrong number of values/);
    expect(() => module.define('h', {}, (_, code) => code.call(f, 1, 2))).toThrow(/wrong number of values/);
  });
});

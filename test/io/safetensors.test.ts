/** safetensors files: what is written reads back to the bit, and no bytes whatever do harm. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatSafetensors, parseSafetensors, type Safetensors } from '../../src/io/safetensors.ts';
import { tensor } from '../../src/tensor/create.ts';
import { Indices, type Tensor } from '../../src/tensor/tensor.ts';

/** A file with this header text and data, its length stated as it is. */
function fileOf(header: string | Uint8Array, data: ArrayLike<number> = []): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

const headerOf = (file: Uint8Array): string => {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  return new TextDecoder().decode(file.subarray(8, 8 + length));
};
/** A file of one tensor x. */
const one = (dtype: string, shape: string, data: ArrayLike<number>): Safetensors =>
  parseSafetensors(fileOf(`{"x":{"dtype":"${dtype}","shape":${shape},"data_offsets":[0,${data.length}]}}`, data));
const bytesOf = (array: { buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(array.buffer);
const bitsOf = (x: Tensor): Uint32Array => new Uint32Array(x.toFloat32Array().buffer);

describe('the format', () => {
  const known = Uint8Array.of(
    ...[0x48, 0, 0, 0, 0, 0, 0, 0],
    ...new TextEncoder().encode('{"ab":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}               '),
    ...[0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0x80],
  );

  it('reads a file that was put together byte by byte', () => {
    const { tensors, metadata } = parseSafetensors(known);
    expect([...tensors.keys()]).toEqual(['ab']);
    expect(metadata).toEqual({});
    expect(tensors.get('ab')).toMatchObject({ dtype: 'F32', shape: [1, 2] });
    expect(tensors.get('ab')!.tensor.toArray()).toEqual([[1, -0]]);
  });

  it('writes the bytes that it should, padded with spaces to a multiple of 8', () => {
    const header = '{"__metadata__":{"a":"1","b":"2"},"ab":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}';
    const file = formatSafetensors({ ab: tensor([[1, -0]]) }, { b: '2', a: '1' });
    expect(file).toEqual(fileOf(header.padEnd(Math.ceil(header.length / 8) * 8), known.slice(-8)));
  });

  it('has one form for one content, larger elements first, then by name', () => {
    const [b, a] = [tensor([1, 2]), tensor([3])];
    const long = parseSafetensors(
      fileOf('{"l":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}', new Uint8Array(8).fill(1)),
    ).tensors.get('l')!;
    const file = formatSafetensors({ b, a, l: long });
    expect(
      formatSafetensors(
        new Map<string, Tensor | typeof long>([
          ['l', long],
          ['a', a],
          ['b', b],
        ]),
      ),
    ).toEqual(file);
    expect([...parseSafetensors(file).tensors.keys()]).toEqual(['l', 'a', 'b']);
    expect(headerOf(file).length % 8).toBe(0);
  });

  it('keeps every bit, name and shape', () => {
    const shape = fc.array(fc.nat(3), { maxLength: 4 });
    const content = fc.dictionary(
      fc.string({ unit: 'grapheme' }),
      fc.tuple(shape, fc.uint8Array({ minLength: 324, maxLength: 324 })),
    );
    const texts = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }));
    const check = fc.property(content, texts, (given, metadata) => {
      const tensors = Object.entries(given).map(([name, [sizes, bytes]]) => {
        const size = sizes.reduce((product, n) => product * n, 1);
        return [name, tensor(new Float32Array(bytes.slice().buffer, 0, size), sizes)] as const;
      });
      const parsed = parseSafetensors(formatSafetensors(new Map(tensors), metadata));
      expect(new Set(parsed.tensors.keys())).toEqual(new Set(Object.keys(given)));
      expect(Object.entries(parsed.metadata).sort()).toEqual(Object.entries(metadata).sort());
      for (const [name, x] of tensors) {
        const found = parsed.tensors.get(name)!.tensor;
        expect(found.shape).toEqual(x.shape);
        expect(Buffer.compare(bytesOf(found.toFloat32Array()), bytesOf(x.toFloat32Array()))).toBe(0);
      }
    });
    fc.assert(check, { numRuns: 100, seed: 1 });
  });

  it('keeps the bits of NaN with a message, the infinities and -0', () => {
    const bits = Uint32Array.of(0x7fc00123, 0xffc0ffff, 0x7f800000, 0xff800000, 0x80000000, 1);
    const file = formatSafetensors({ x: tensor(new Float32Array(bits.buffer)) });
    expect(bitsOf(parseSafetensors(file).tensors.get('x')!.tensor)).toEqual(bits);
  });

  it('takes names that objects have already', () => {
    const names = ['__proto__', 'constructor', '', 'a"b\\c\n', '𝔘𐍈'];
    const file = formatSafetensors(new Map(names.map((name, i) => [name, tensor(i)])), JSON.parse('{"__proto__":"x"}'));
    const { tensors, metadata } = parseSafetensors(file);
    expect(names.map((name) => tensors.get(name)!.tensor.item())).toEqual([0, 1, 2, 3, 4]);
    expect(Object.entries(metadata)).toEqual([['__proto__', 'x']]);
  });

  it('refuses to write what nobody could read', () => {
    const x = tensor(1);
    expect(() => formatSafetensors({ __metadata__: x })).toThrow(/no tensor can be named __metadata__/);
    expect(() => formatSafetensors({ '\ud800': x })).toThrow(/half of a surrogate pair/);
    expect(() => formatSafetensors({ x }, { a: '\udfff' })).toThrow(/half of a surrogate pair/);
    expect(() => formatSafetensors({ x }, { a: 1 as unknown as string })).toThrow(
      /metadata are strings, but "a" is number/,
    );
    expect(() => formatSafetensors({ x: 1 as unknown as Tensor })).toThrow(/"x" is number; what can be written/);
  });
});

describe('element types', () => {
  it('F16 and BF16 give the float32 that they are, all 65536 of each', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const half = one('F16', '[65536]', bytesOf(all)).tensors.get('x')!.tensor.toFloat32Array();
    const brain = one('BF16', '[65536]', bytesOf(all)).tensors.get('x')!.tensor.toFloat32Array();
    expect([0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x7c00, 0xfc00].map((i) => half[i])).toEqual([
      ...[1, -2, 65504, 2 ** -24, 2 ** -14, Infinity, -Infinity],
    ]);
    expect(half[0x8000]).toBe(-0);
    for (let i = 0; i < 0x7c00; i++)
      expect(half[i + 1]! > half[i]! && half[i + 0x8000] === -half[i]!, `${i}`).toBe(true);
    for (let i = 0x7c01; i < 0x8000; i++) expect(half[i]).toBeNaN();
    const bits = new Uint32Array(brain.buffer);
    expect(all.every((i) => (bits[i]! | 0x400000) === (((i << 16) >>> 0) | 0x400000))).toBe(true);
  });

  const cases: [dtype: string, array: { length: number; buffer: ArrayBufferLike }, values: number[]][] = [
    ['F64', Float64Array.of(0.5, -0, Infinity, NaN), [0.5, -0, Infinity, NaN]],
    ['I64', BigInt64Array.of(-(2n ** 31n), 5n), [-(2 ** 31), 5]],
    ['U64', BigUint64Array.of(0n, 2n ** 24n), [0, 2 ** 24]],
    ['I32', Int32Array.of(-7, 2 ** 30), [-7, 2 ** 30]],
    ['U32', Uint32Array.of(7, 2 ** 30), [7, 2 ** 30]],
    ['I16', Int16Array.of(-32768, 32767), [-32768, 32767]],
    ['U16', Uint16Array.of(65535), [65535]],
    ['I8', Int8Array.of(-128, 127), [-128, 127]],
    ['U8', Uint8Array.of(255), [255]],
    ['BOOL', Uint8Array.of(0, 1, 1), [0, 1, 1]],
  ];
  for (const [dtype, array, values] of cases)
    it(`${dtype} is read exactly`, () => {
      const stored = one(dtype, `[${array.length}]`, bytesOf(array)).tensors.get('x')!;
      expect(stored.tensor.toArray()).toEqual(values);
      if (dtype !== 'F64') expect(stored.indices.toArray()).toEqual(values);
      else expect(() => stored.indices).toThrow(/holds F64, shape \[4\]: these are no whole numbers/);
    });

  it('says which value does not fit, and rounds when asked', () => {
    const double = one('F64', '[1]', bytesOf(Float64Array.of(0.1))).tensors.get('x')!;
    expect(() => double.tensor).toThrow('safetensors: "x" (F64) holds 0.1, which no float32 is. Take rounded()');
    expect(double.rounded().item()).toBe(Math.fround(0.1));
    const long = one('I64', '[1]', bytesOf(BigInt64Array.of(2n ** 53n + 1n))).tensors.get('x')!;
    expect(() => long.tensor).toThrow(/holds 9007199254740993, which no float32 is/);
    expect(() => long.indices).toThrow(/holds 9007199254740993, which does not fit into 32 bits/);
    expect(
      one('I64', '[1]', bytesOf(BigInt64Array.of(2n ** 60n)))
        .tensors.get('x')!
        .tensor.item(),
    ).toBe(2 ** 60);
    expect(() => one('U32', '[1]', [0, 0, 0, 128]).tensors.get('x')!.indices).toThrow(/2147483648, which does not fit/);
    expect(() => one('I32', '[1]', [1, 0, 0, 1]).tensors.get('x')!.tensor).toThrow(/16777217, which no float32 is/);
    expect(() => one('BOOL', '[1]', [2]).tensors.get('x')!.tensor).toThrow(
      /holds the byte 2, but a truth value is 0 or 1/,
    );
    expect(() => one('BOOL', '[1]', [2]).tensors.get('x')!.indices).toThrow(/truth value/);
  });

  it('Indices and tensors of a parsed file are written as they are', () => {
    const bytes = formatSafetensors({ i: new Indices([2], Int32Array.of(-1, 2 ** 31 - 1)) });
    expect(parseSafetensors(bytes).tensors.get('i')!.indices.toArray()).toEqual([-1, 2 ** 31 - 1]);
    const file = fileOf('{"d":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}   ', bytesOf(Float64Array.of(0.1)));
    expect(formatSafetensors(parseSafetensors(file).tensors)).toEqual(file);
  });

  it('reads elements at any address, out of a part of a larger buffer too', () => {
    const header =
      '{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}';
    const file = fileOf(header, [7, 0, 0, 0x80, 0x3f]);
    for (const shift of [0, 1, 2, 3]) {
      const larger = Buffer.alloc(file.length + 8);
      larger.set(file, shift);
      const { tensors } = parseSafetensors(larger.subarray(shift, shift + file.length));
      expect(tensors.get('f')!.tensor.item()).toBe(1);
      expect(tensors.get('b')!.indices.toArray()).toEqual([7]);
    }
  });
});

describe('what is no safetensors file', () => {
  const entry = (dtype: string, shape: string, begin: number, end: number | string): string =>
    `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;
  const deep = 1_000_000;
  const cases: [what: string, file: Uint8Array, expected: RegExp][] = [
    ['nothing', new Uint8Array(), /begins with 8 bytes .* here are 0/],
    ['seven bytes', new Uint8Array(7), /here are 7/],
    ['a header beyond the file', Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), /claims to have 1 bytes, but only 0 follow/],
    [
      'a header of 2^64 - 1 bytes',
      new Uint8Array(16).fill(255),
      /claims to have 18446744073709551615 bytes, but only 8/,
    ],
    ['no header', fileOf(''), /must begin with '\{'/],
    ['a header that is no UTF-8', fileOf(Uint8Array.of(0x7b, 0xff)), /no text in UTF-8/],
    ['a byte order mark', fileOf('\ufeff{}'), /must begin with '\{'/],
    ['white space in front', fileOf(' {}'), /must begin with '\{'/],
    ['an array', fileOf('[]'), /must begin with '\{'/],
    ['something behind', fileOf('{}{}'), /something follows/],
    ['a header that ends early', fileOf('{"a"'), /expected : in the header, but found the end/],
    ['a name that does not end', fileOf('{"a'), /does not end/],
    ['deep nesting', fileOf(`{"a":${'['.repeat(deep)}`), /expected \{ in the entry of "a", but found "\["/],
    ['deep nesting in a shape', fileOf(`{"a":{"shape":${'['.repeat(deep)}`), /must hold whole numbers/],
    ['a long name', fileOf(`{"${'a'.repeat(deep)}":1}`), /^.{0,300}$/],
    ['many escapes', fileOf(`{"${'\\n'.repeat(deep)}":1}`), /^.{0,300}$/],
    ['a long number', fileOf(`{"a":{"shape":[${'9'.repeat(deep)}]}}`), /^.{0,300}$/],
    ['an unknown escape', fileOf('{"\\x":1}'), /an escape that JSON does not know/],
    ['a control character', fileOf('{"\n":1}'), /control character/],
    ['half of a pair', fileOf('{"\\ud800":1}'), /half of a surrogate pair/],
    [
      'a name twice',
      fileOf(`{"a":${entry('F32', '[0]', 0, 0)},"a":${entry('F32', '[0]', 0, 0)}}`),
      /the tensor "a" comes twice/,
    ],
    [
      'a name twice, once escaped',
      fileOf(`{"a":${entry('U8', '[0]', 0, 0)},"\\u0061":${entry('U8', '[0]', 0, 0)}}`),
      /"a" comes twice/,
    ],
    ['metadata twice', fileOf('{"__metadata__":{},"__metadata__":{}}'), /__metadata__ comes twice/],
    ['metadata with a name twice', fileOf('{"__metadata__":{"a":"","a":""}}'), /"a" comes twice in __metadata__/],
    [
      'metadata that are no strings',
      fileOf('{"__metadata__":{"a":1}}'),
      /value of "a" in __metadata__ must be a string/,
    ],
    ['a field twice', fileOf('{"a":{"dtype":"F32","dtype":"F32"}}'), /dtype of "a" comes twice/],
    ['a field too many', fileOf('{"a":{"stride":1}}'), /a field "stride"/],
    ['no dtype', fileOf('{"a":{"shape":[],"data_offsets":[0,0]}}'), /"a" has no dtype/],
    ['no shape', fileOf('{"a":{"dtype":"F32","data_offsets":[0,0]}}'), /"a" has no shape/],
    ['no offsets', fileOf('{"a":{"dtype":"F32","shape":[]}}'), /"a" has no data_offsets/],
    [
      'one offset',
      fileOf('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0]}}'),
      /must be two numbers, but there are 1/,
    ],
    ['three offsets', fileOf('{"a":{"data_offsets":[0,0,0]}}'), /has more than 2 numbers/],
    [
      'an unknown type',
      fileOf(`{"a":${entry('F31', '[0]', 0, 0)}}`),
      /the element type "F31"; what can be read is F64/,
    ],
    [
      'a negative size',
      fileOf(`{"a":${entry('F32', '[-1]', 0, 0)}}`),
      /whole numbers from 0 to 2\^53 - 1, but holds "-1"/,
    ],
    ['a fraction', fileOf(`{"a":${entry('F32', '[1.5]', 0, 0)}}`), /but holds "1.5"/],
    [
      'a whole number written as a fraction',
      fileOf(`{"a":${entry('F32', '[1e0]', 0, 4)}}`, [0, 0, 0, 0]),
      /but holds "1e0"/,
    ],
    ['a size beyond 2^53', fileOf(`{"a":${entry('F32', '[9007199254740992]', 0, 0)}}`), /but holds "9007199254740992"/],
    [
      '65 axes',
      fileOf(`{"a":${entry('F32', `[${'1,'.repeat(64)}1]`, 0, 4)}}`, [0, 0, 0, 0]),
      /has more than 64 numbers/,
    ],
    [
      'a product beyond any file',
      fileOf(`{"a":${entry('F32', '[4294967296,4294967296]', 0, 0)}}`),
      /is larger than any file/,
    ],
    [
      'a product that would wrap to 0',
      fileOf(`{"a":${entry('F32', '[4294967296,4294967296,4294967296]', 0, 0)}}`),
      /larger/,
    ],
    [
      'a huge product times 0',
      fileOf(`{"a":${entry('F32', '[4294967296,4294967296,0]', 0, 0)}}`),
      /is larger than any file/,
    ],
    [
      'a wrong size',
      fileOf(`{"a":${entry('F32', '[2]', 0, 4)}}`, [0, 0, 0, 0]),
      /has 4 bytes, but its shape \[2\] of F32 has 8/,
    ],
    [
      'an end before the begin',
      fileOf(`{"a":${entry('F32', '[0]', 4, 0)}}`, [0, 0, 0, 0]),
      /ends \(at 0\) before it begins \(at 4\)/,
    ],
    [
      'an end beyond the file',
      fileOf(`{"a":${entry('F32', '[2]', 0, 8)}}`, [0, 0, 0, 0]),
      /ends at byte 8, but only 4 follow/,
    ],
    [
      'an overlap',
      fileOf(`{"a":${entry('U8', '[2]', 0, 2)},"b":${entry('U8', '[2]', 1, 3)}}`, [0, 0, 0]),
      /they overlap/,
    ],
    [
      'the same bytes twice',
      fileOf(`{"a":${entry('U8', '[2]', 0, 2)},"b":${entry('U8', '[2]', 0, 2)}}`, [0, 0]),
      /they overlap/,
    ],
    ['a gap', fileOf(`{"a":${entry('U8', '[1]', 0, 1)},"b":${entry('U8', '[1]', 2, 3)}}`, [0, 0, 0]), /there is a gap/],
    ['a gap at the start', fileOf(`{"a":${entry('U8', '[1]', 1, 2)}}`, [0, 0]), /there is a gap/],
    ['bytes behind', fileOf('{}', [0]), /1 bytes at the end belong to no tensor/],
  ];
  for (const [what, file, expected] of cases)
    it(`${what}: a sentence`, () => {
      expect(() => parseSafetensors(file)).toThrow(expected);
      expect(() => parseSafetensors(file)).toThrow(/^parseSafetensors: .*[.?]$/);
    });

  it('a header above 100 MB is not even decoded', () => {
    const file = new Uint8Array(100_000_009);
    new DataView(file.buffer).setBigUint64(0, 100_000_001n, true);
    expect(() => parseSafetensors(file)).toThrow(/the header has 100000001 bytes; more than 100000000 are not read/);
  });

  it('something else than bytes: a sentence', () =>
    expect(() => parseSafetensors('x' as unknown as Uint8Array)).toThrow(/must be a Uint8Array, not string/));
});

describe('ten thousand damaged files', () => {
  const start = formatSafetensors(
    {
      'layer.weight': tensor([
        [1, 2],
        [3, 4],
      ]),
      bias: tensor([5, 6]),
      none: tensor([]),
      i: new Indices([3], Int32Array.of(7, 8, 9)),
    },
    { author: 'me', note: 'é"\\' },
  );
  const pieces = [
    '"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '-1',
    '1e9',
    '0',
    '4294967296',
    '"F64"',
    '"bias"',
    '"__metadata__"',
    '\\u',
    '[[',
  ];
  const mutation = fc.oneof(
    fc.tuple(fc.constant('flip' as const), fc.nat(start.length - 1), fc.nat(7)),
    fc.tuple(fc.constant('set' as const), fc.nat(start.length - 1), fc.nat(255)),
    fc.tuple(fc.constant('cut' as const), fc.nat(start.length), fc.constant(0)),
    fc.tuple(fc.constant('append' as const), fc.nat(255), fc.nat(20)),
    fc.tuple(fc.constant('insert' as const), fc.nat(400), fc.nat(pieces.length - 1)),
    fc.tuple(fc.constant('delete' as const), fc.nat(400), fc.nat(30)),
    fc.tuple(fc.constant('digit' as const), fc.nat(60), fc.nat(9)),
  );

  /** The file after one change. Changes to the header keep the stated length right: what is tested then is the header. */
  function changed(file: Uint8Array, [kind, a, b]: readonly [string, number, number]): Uint8Array {
    const copy = file.slice();
    if (kind === 'flip' && a < copy.length) copy[a] = copy[a]! ^ (1 << b);
    if (kind === 'set' && a < copy.length) copy[a] = b;
    if (kind === 'cut') return copy.slice(0, a);
    if (kind === 'append') return Uint8Array.of(...copy, ...new Array<number>(b).fill(a));
    if (kind !== 'insert' && kind !== 'delete' && kind !== 'digit') return copy;
    const length = copy.length < 8 ? copy.length : Number(new DataView(copy.buffer).getBigUint64(0, true));
    if (length > copy.length - 8) return copy;
    const header = Array.from(copy.subarray(8, 8 + length), (code) => String.fromCharCode(code)).join('');
    const at = a % (header.length + 1);
    let seen = -1;
    const edited =
      kind === 'insert'
        ? header.slice(0, at) + pieces[b] + header.slice(at)
        : kind === 'delete'
          ? header.slice(0, at) + header.slice(at + b)
          : header.replace(/[0-9]/g, (digit) => (++seen === a ? String(b) : digit));
    return fileOf(
      Uint8Array.from(edited, (char) => char.charCodeAt(0)),
      copy.subarray(8 + length),
    );
  }

  /** Reads a file in another way: JSON.parse, and the tensors' bytes put side by side. */
  function expectFaithful(file: Uint8Array, { tensors, metadata }: Safetensors): void {
    const header = JSON.parse(headerOf(file)) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: number[] }
    >;
    const data = file.subarray(8 + Number(new DataView(file.buffer).getBigUint64(0, true)));
    expect(metadata).toEqual(header.__metadata__ ?? {});
    delete header.__metadata__;
    expect([...tensors.keys()].sort()).toEqual(Object.keys(header).sort());
    let total = 0;
    for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
      const found = tensors.get(name)!;
      expect([found.dtype, found.shape]).toEqual([dtype, shape]);
      expect(Buffer.compare(found.bytes, data.subarray(...data_offsets))).toBe(0);
      total += found.bytes.length;
    }
    expect(total).toBe(data.length);
  }

  it('are read for what they are, or refused in a sentence', () => {
    let [read, refused] = [0, 0];
    const check = fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
      const file = mutations.reduce(changed, start);
      let parsed: Safetensors;
      try {
        parsed = parseSafetensors(file);
      } catch (error) {
        refused++;
        // A sentence of ours, not an engine's TypeError or RangeError.
        if (
          (error as Error).constructor !== Error ||
          !/^parseSafetensors: .{10,400}[.?]$/su.test((error as Error).message)
        )
          throw error;
        return;
      }
      read++;
      expectFaithful(file, parsed);
      for (const stored of parsed.tensors.values())
        if (stored.dtype === 'F32') expect(stored.tensor.size * 4).toBeLessThanOrEqual(file.length);
    });
    fc.assert(check, { numRuns: 10_000, seed: 2 });
    expect(read).toBeGreaterThan(500);
    expect(refused).toBeGreaterThan(5000);
  });

  it('cannot make parsing allocate: a file of 8 MB is not copied, a claim of petabytes costs nothing', () => {
    const inBuffers = (): number => process.memoryUsage().arrayBuffers;
    const large = formatSafetensors({ x: tensor(new Float32Array(2e6)) });
    const claim = fileOf('{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}');
    let before = inBuffers();
    parseSafetensors(large);
    expect(inBuffers() - before).toBeLessThan(1e5);
    before = inBuffers();
    expect(() => parseSafetensors(claim)).toThrow(/ends at byte 4000000000000, but only 0 follow/);
    expect(inBuffers() - before).toBeLessThan(1e5);
  });
});

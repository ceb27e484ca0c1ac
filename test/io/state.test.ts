/** State in two pieces: what goes in comes out, to the bit and of the same kind. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packState, parseJson, type State, unpackState } from '../../src/io/state.ts';
import { tensor } from '../../src/tensor/create.ts';
import { Indices, Tensor } from '../../src/tensor/tensor.ts';

const through = (state: State): State => {
  const { json, tensors } = packState('pack', state);
  return unpackState('unpack', { json: parseJson('unpack', JSON.stringify(json)), tensors });
};
/** What can be compared: tensors by their bits, a name for each kind. */
const plain = (state: unknown): unknown => {
  if (state instanceof Tensor) return ['Tensor', state.shape, [...new Uint32Array(state.toFloat32Array().buffer)]];
  if (state instanceof Indices) return ['Indices', state.shape, state.data];
  if (typeof state !== 'object' || state === null || ArrayBuffer.isView(state)) return state;
  if (Array.isArray(state)) return state.map(plain);
  return Object.entries(state).map(([name, value]) => [name, plain(value)]);
};

describe('state', () => {
  const floats = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => new Float32Array(bytes.slice().buffer));
  const leaf = fc.oneof(
    fc.constantFrom<State>(null, true, false, NaN, Infinity, -Infinity, -0, 5e-324, 0.1, 2 ** 53),
    fc.double() as fc.Arbitrary<State>,
    fc.bigInt(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom([4], [2, 2], [1, 4, 1]).chain((shape) => floats.map((x) => tensor(x, shape))),
    fc.constant(tensor([])),
    fc.int32Array().map((x) => new Indices([x.length], x)),
    fc.oneof(
      fc.float64Array(),
      fc.float32Array(),
      fc.int8Array(),
      fc.uint8Array(),
      fc.uint8ClampedArray(),
      fc.uint16Array(),
    ),
    fc.oneof(fc.bigInt64Array(), fc.bigUint64Array(), fc.int16Array(), fc.int32Array(), fc.uint32Array()),
  );
  const name = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('$', '$$', '$tensor', '__proto__', 'a/b', 'a~1b', '~', '0'),
  );
  const { tree } = fc.letrec<{ tree: State }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.dictionary(name, tie('tree'), { maxKeys: 4 }),
    ),
  }));

  it('comes back to the bit', () => {
    const check = fc.property(tree, (state) => {
      expect(plain(through(state))).toStrictEqual(plain(state));
    });
    fc.assert(check, { numRuns: 1000, seed: 3 });
  });

  it('is copied: what is written later is not in it', () => {
    const array = Float64Array.of(1, 2);
    const packed = packState('pack', { array });
    array[0] = 9;
    expect(unpackState('unpack', packed)).toEqual({ array: Float64Array.of(1, 2) });
    const indices = new Indices([1], Int32Array.of(1));
    const packedIndices = packState('pack', indices);
    indices.data[0] = 9;
    expect((unpackState('unpack', packedIndices) as Indices).toArray()).toEqual([1]);
    (unpackState('unpack', packed) as { array: Float64Array }).array[0] = 8;
    expect(unpackState('unpack', packed)).toEqual({ array: Float64Array.of(1, 2) });
  });

  it('takes a part of a typed array, and Node buffers', () => {
    const whole = Float64Array.of(0, 1, 2, 3);
    expect(through(whole.subarray(1, 3))).toEqual(Float64Array.of(1, 2));
    expect(through(Buffer.from([1, 2, 3]))).toEqual(Uint8Array.of(1, 2, 3));
  });

  it('gives tensors names of their own whatever the names around them', () => {
    const [x, y] = [tensor(1), tensor(2)];
    const { tensors } = packState('pack', { a: { 'b/c': x }, 'a/b': { c: y } });
    expect([...tensors.keys()]).toEqual(['a/b~1c', 'a~1b/c']);
  });

  it('that cannot be kept: a sentence that says where', () => {
    const loop: Record<string, State> = {};
    loop.again = [loop];
    let deep: State = 1;
    for (let i = 0; i < 1000; i++) deep = [deep];
    const cases: [unknown, RegExp][] = [
      [{ a: [1, undefined] }, /^pack: the state at "a\/1" is undefined, which cannot be kept/],
      [{ f: () => 1 }, /the state at "f" is function/],
      [{ m: new Map() }, /the state at "m" is a Map, but only plain objects/],
      [new (class Thing {})(), /the state is a Thing, but only/],
      [{ d: new DataView(new ArrayBuffer(8)) }, /the state at "d" is a DataView/],
      [{ s: Symbol('s') }, /the state at "s" is symbol/],
      [loop, /holds itself/],
      [deep, /nested more than 100 deep/],
      [{ a: '\ud800' }, /half of a surrogate pair/],
      [{ '\ud800': 1 }, /half of a surrogate pair/],
    ];
    for (const [state, expected] of cases) expect(() => packState('pack', state)).toThrow(expected);
    const shared = [1];
    expect(through([shared, shared])).toEqual([[1], [1]]);
  });

  it('out of a damaged file: a sentence', () => {
    const { tensors } = packState('pack', { x: tensor([1, 2]), i: Uint8Array.of(1) });
    const cases: [unknown, RegExp][] = [
      [{ $tensor: 'y' }, /speaks of a tensor that is not there/],
      [{ $tensor: 1 }, /speaks of a tensor that is not there/],
      [{ $number: '1' }, /holds "\$number" where nothing of that kind can be read/],
      [{ $bigint: '0x1' }, /holds "\$bigint"/],
      [{ $array: 'x', kind: 'Float64Array' }, /holds "\$array"/],
      [{ $array: 'i', kind: 'constructor' }, /holds "\$array"/],
      [{ $else: 1 }, /holds "\$else"/],
      [{ $indices: 'x' }, /these are no whole numbers/],
    ];
    for (const [json, expected] of cases) expect(() => unpackState('unpack', { json, tensors })).toThrow(expected);
    expect(() => parseJson('unpack', '['.repeat(1e6))).toThrow(/nested more than 100 deep/);
    expect(() => parseJson('unpack', '{"a":')).toThrow(/the state in the file is no JSON/);
    expect(parseJson('unpack', `"\\"${'['.repeat(1000)}"`)).toBe(`"${'['.repeat(1000)}`);
  });
});

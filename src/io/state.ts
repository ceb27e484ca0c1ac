/**
 * State as a file holds it: text for the structure and the numbers of JSON, raw tensors for the rest.
 *
 * What JSON cannot say stands in an object with one name that begins with '$': {"$number": "-0"} (also "NaN", "Infinity",
 * "-Infinity"), {"$bigint": "123"}, {"$tensor": "optimizer/mean"}, {"$indices": ...}, {"$array": ..., "kind": "Uint8Array"}. Names of
 * the state itself that begin with '$' get a second one. JSON writes the shortest decimal of a double that reads back as
 * the same double; so everything comes back to the bit.
 *
 * Tensors are named by their path, with '~1' for '/' and '~0' for '~' inside a name (RFC 6901): no two paths meet.
 */
import { Indices, kindOf, Tensor } from '../tensor/tensor.ts';
import { arrayFrom, indicesFrom, type Raw, rawArray, rawOf, type TypedArray, tensorFrom } from './dtypes.ts';
import { isWellFormed, shown } from './header.ts';

/** What a checkpoint can hold: plain data, nested as it likes. */
export type State =
  | (null | boolean | number | bigint | string)
  | (Tensor | Indices | TypedArray)
  | readonly State[]
  | { readonly [name: string]: State };

/** State in two pieces: `json` is what JSON can say, and names tensors of `tensors`. */
export interface PackedState {
  readonly json: unknown;
  readonly tensors: ReadonlyMap<string, Raw>;
}

/** Deeper than any sensible state, and far from where recursion would end. */
const DEEPEST = 100;

const pathName = (path: readonly string[]): string =>
  path.map((name) => name.replaceAll('~', '~0').replaceAll('/', '~1')).join('/');

/** How JSON names a member of state: '$' is ours. */
export const keyOf = (name: string): string => (name.startsWith('$') ? `$${name}` : name);

/** Copies state into its two pieces. What cannot be held is an error that says where it stands. */
export function packState(who: string, state: unknown): PackedState {
  const tensors = new Map<string, Raw>();
  const path: string[] = [];
  const within = new Set<object>();
  const fail = (problem: string): never => {
    throw new Error(`${who}: the state ${path.length === 0 ? '' : `at ${shown(pathName(path))} `}${problem}`);
  };
  const store = (raw: Raw): string => {
    const name = pathName(path);
    tensors.set(name, raw);
    return name;
  };
  const packObject = (value: object): unknown => {
    if (value instanceof Tensor) return { $tensor: store(rawOf(value)) };
    if (value instanceof Indices) return { $indices: store(rawOf(value)) };
    const array = rawArray(value);
    if (array !== null) return { $array: store(array.raw), kind: array.kind };
    const isList = Array.isArray(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (!isList && prototype !== null && prototype !== Object.prototype)
      fail(
        `is a ${(prototype as object).constructor?.name || 'class'}, but only plain objects, arrays, typed arrays, tensors, Indices, ` +
          'strings, numbers, bigints, booleans and null are kept. Give a plain object that says the same.',
      );
    if (within.has(value)) fail('holds itself, and would never end.');
    if (path.length >= DEEPEST) fail(`is nested more than ${DEEPEST} deep.`);
    within.add(value);
    const entries = isList ? Array.from(value, (inner, i) => [String(i), inner] as const) : Object.entries(value);
    const packed = entries.map(([name, inner]) => {
      path.push(name);
      if (!isWellFormed(name)) fail('has a name with half of a surrogate pair, which a file cannot hold.');
      const result = [keyOf(name), pack(inner)] as const;
      path.pop();
      return result;
    });
    within.delete(value);
    return isList ? packed.map(([, inner]) => inner) : Object.fromEntries(packed);
  };
  const pack = (value: unknown): unknown => {
    if (value === null || typeof value === 'boolean') return value;
    if (typeof value === 'number')
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $number: Object.is(value, -0) ? '-0' : String(value) };
    if (typeof value === 'bigint') return { $bigint: String(value) };
    if (typeof value === 'string')
      return isWellFormed(value) ? value : fail('is a string with half of a surrogate pair, which a file cannot hold.');
    if (typeof value === 'object') return packObject(value as object);
    return fail(`is ${kindOf(value)}, which cannot be kept. Leave it out, or give null.`);
  };
  return { json: pack(state), tensors };
}

/** The state that was packed, in new tensors and arrays. Throws a sentence where the pieces do not fit. */
export function unpackState(who: string, { json, tensors }: PackedState): State {
  const fail = (problem: string): never => {
    throw new Error(`${who}: the state in the file ${problem}.`);
  };
  const rawAt = (name: unknown): Raw =>
    (typeof name === 'string' ? tensors.get(name) : undefined) ?? fail(`speaks of a tensor that is not there`);
  const unpackTagged = (tag: string, value: unknown, others: Record<string, unknown>): State => {
    if (tag === '$number' && typeof value === 'string' && ['-0', 'NaN', 'Infinity', '-Infinity'].includes(value))
      return Number(value);
    if (tag === '$bigint' && typeof value === 'string' && /^-?[0-9]{1,10000}$/.test(value)) return BigInt(value);
    if (tag === '$tensor') return tensorFrom(String(value), rawAt(value), false);
    if (tag === '$indices') return indicesFrom(String(value), rawAt(value));
    if (tag === '$array' && typeof others.kind === 'string') {
      const array = arrayFrom(others.kind, rawAt(value));
      if (array !== null) return array;
    }
    return fail(`holds ${shown(tag)} where nothing of that kind can be read`);
  };
  const unpack = (value: unknown, depth: number): State => {
    if (depth > DEEPEST) fail(`is nested more than ${DEEPEST} deep`);
    if (Array.isArray(value)) return value.map((inner) => unpack(inner, depth + 1));
    if (typeof value !== 'object' || value === null) return value as State;
    const entries = Object.entries(value);
    const tag = entries[0];
    if (tag?.[0].startsWith('$') && !tag[0].startsWith('$$'))
      return unpackTagged(tag[0], tag[1], value as Record<string, unknown>);
    return Object.fromEntries(
      entries.map(([name, inner]) => [name.startsWith('$$') ? name.slice(1) : name, unpack(inner, depth + 1)]),
    );
  };
  return unpack(json, 0);
}

/** JSON out of an untrusted file. How deep it nests is counted before it is parsed. */
export function parseJson(who: string, text: string): unknown {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === 0x5c) i++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > DEEPEST + 2) throw new Error(`${who}: the state in the file is nested more than ${DEEPEST} deep.`);
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${who}: the state in the file is no JSON.`);
  }
}

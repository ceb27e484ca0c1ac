/**
 * The header of a safetensors file: JSON that says for each tensor its type, its shape and where its bytes stand.
 *
 * The text is not trusted. It is read by a parser for exactly this grammar, not by JSON.parse: nothing nests, so there is
 * nothing to nest deeply; a name that comes twice is seen (JSON.parse would keep the last); numbers are whole and
 * exact or refused. It takes time and memory in proportion to the text. Every refusal is an Error of one sentence.
 */

/** One tensor as the header describes it. Nothing of it has been checked against the file. */
export interface TensorHeader {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Its bytes, counted from the end of the header: from `begin` to before `end`. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly tensors: Map<string, TensorHeader>;
  readonly metadata: Map<string, string>;
}

/** The one name that no tensor can have: under it stands a map of strings. */
export const METADATA = '__metadata__';

/** What a header may be long, in bytes: the limit of the format's own library. */
export const LONGEST_HEADER = 100_000_000;

/** NumPy and PyTorch stop at 64 axes too. */
const MOST_AXES = 64;

/** A name out of an untrusted file, in quotes and short enough for a message. */
export function shown(name: string): string {
  const quoted = JSON.stringify(name);
  return quoted.length > 80 ? `${quoted.slice(0, 77)}..."` : quoted;
}

/** Whether every character is whole: a half of a pair, which UTF-8 cannot write, would come back as something else. */
export const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text);

/** Reads the text of a header. `who` begins the sentences of errors. */
export function parseHeader(who: string, text: string): Header {
  const reader = new Reader(who, text);
  const tensors = new Map<string, TensorHeader>();
  const metadata = new Map<string, string>();
  let sawMetadata = false;
  if (text[0] !== '{') reader.fail("it must begin with '{'");
  reader.object('the header', (name) => {
    if (name === METADATA) {
      if (sawMetadata) reader.fail(`${METADATA} comes twice`);
      sawMetadata = true;
      reader.object(METADATA, (key) => {
        if (metadata.has(key)) reader.fail(`${shown(key)} comes twice in ${METADATA}`);
        metadata.set(key, reader.string(`the value of ${shown(key)} in ${METADATA}`));
      });
      return;
    }
    if (tensors.has(name)) reader.fail(`the tensor ${shown(name)} comes twice`);
    tensors.set(name, parseTensor(reader, name));
  });
  reader.end();
  return { tensors, metadata };
}

function parseTensor(reader: Reader, name: string): TensorHeader {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  reader.object(`the entry of ${shown(name)}`, (field) => {
    const what = `${field} of ${shown(name)}`;
    if (field === 'dtype' && dtype === undefined) dtype = reader.string(what);
    else if (field === 'shape' && shape === undefined) shape = reader.integers(what, MOST_AXES);
    else if (field === 'data_offsets' && offsets === undefined) offsets = reader.integers(what, 2);
    else if (field === 'dtype' || field === 'shape' || field === 'data_offsets') reader.fail(`${what} comes twice`);
    else reader.fail(`the entry of ${shown(name)} has a field ${shown(field)}, which the format does not know`);
  });
  const missing = dtype === undefined ? 'dtype' : shape === undefined ? 'shape' : 'data_offsets';
  if (dtype === undefined || shape === undefined || offsets === undefined)
    return reader.fail(`the entry of ${shown(name)} has no ${missing}`);
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined)
    return reader.fail(`data_offsets of ${shown(name)} must be two numbers, but there are ${offsets.length}`);
  return { dtype, shape, begin, end };
}

const [quote, backslash] = [0x22, 0x5c];

class Reader {
  readonly #who: string;
  readonly #text: string;
  #at = 0;

  constructor(who: string, text: string) {
    this.#who = who;
    this.#text = text;
  }

  fail(problem: string): never {
    throw new Error(`${this.#who}: the header cannot be read: ${problem} (character ${this.#at}).`);
  }

  /** The next character that is no white space, not yet taken; '' at the end. */
  #next(): string {
    const text = this.#text;
    for (;;) {
      const code = text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return text.charAt(this.#at);
      this.#at++;
    }
  }

  #take(expected: string, what: string): void {
    const found = this.#next();
    if (found !== expected)
      this.fail(`expected ${expected} in ${what}, but found ${found === '' ? 'the end' : shown(found)}`);
    this.#at++;
  }

  /** `{ "name": ..., ... }`; `member` reads what stands behind a name. */
  object(what: string, member: (name: string) => void): void {
    this.#take('{', what);
    if (this.#next() === '}') {
      this.#at++;
      return;
    }
    for (;;) {
      const name = this.string(`a name in ${what}`);
      this.#take(':', what);
      member(name);
      if (this.#next() !== ',') break;
      this.#at++;
    }
    this.#take('}', what);
  }

  string(what: string): string {
    if (this.#next() !== '"') this.fail(`${what} must be a string`);
    const text = this.#text;
    const start = this.#at;
    let escaped = false;
    for (let at = start + 1; ; at++) {
      if (at >= text.length) this.fail(`${what} does not end`);
      const code = text.charCodeAt(at);
      if (code < 0x20) this.fail(`${what} holds a control character that is not escaped`);
      if (code === backslash) {
        escaped = true;
        at++;
      } else if (code === quote) {
        this.#at = at + 1;
        break;
      }
    }
    if (!escaped) return text.slice(start + 1, this.#at - 1);
    let value = '';
    try {
      value = JSON.parse(text.slice(start, this.#at)) as string;
    } catch {
      this.fail(`${what} holds an escape that JSON does not know`);
    }
    if (!isWellFormed(value)) this.fail(`${what} holds half of a surrogate pair`);
    return value;
  }

  /** `[1, 2, ...]`: at most `most` whole numbers from 0 to 2^53 - 1, written as digits only. */
  integers(what: string, most: number): number[] {
    const numbers: number[] = [];
    this.#take('[', what);
    if (this.#next() === ']') {
      this.#at++;
      return numbers;
    }
    for (;;) {
      if (numbers.length === most) this.fail(`${what} has more than ${most} numbers`);
      numbers.push(this.#integer(what));
      if (this.#next() !== ',') break;
      this.#at++;
    }
    this.#take(']', what);
    return numbers;
  }

  #integer(what: string): number {
    this.#next();
    const start = this.#at;
    while ('+-.0123456789eE'.includes(this.#text.charAt(this.#at) || 'end')) this.#at++;
    const digits = this.#text.slice(start, this.#at);
    const value = Number(digits);
    if (!/^(0|[1-9][0-9]{0,15})$/.test(digits) || !Number.isSafeInteger(value))
      this.fail(`${what} must hold whole numbers from 0 to 2^53 - 1, but holds ${shown(digits)}`);
    return value;
  }

  /** Nothing but white space may follow. */
  end(): void {
    if (this.#next() !== '') this.fail('something follows the closing }');
  }
}

/**
 * CSV: tables as text, into columns.
 *
 * As RFC 4180 has it: fields between delimiters, records between line ends (\n, \r\n or \r), and a field that holds any of
 * these or a quote stands in quotes, a quote within doubled. Empty lines are skipped; a byte order mark at the start is no
 * part of the first field.
 *
 * The text is not trusted: every refusal is an Error of one sentence with the number of the line, counted from 1 as an editor
 * does (a field in quotes may run over several). What is numeric is decided by the whole field: '1,5' is no number, nor is ''
 * or '12 cm'.
 */

export interface CsvOptions {
  /**
   * What separates fields: one character other than a quote or a line end; ',' unless given. ' ' stands for any run of spaces
   * and tabs.
   */
  readonly delimiter?: string | undefined;
  /** Whether the first record names the columns; false unless given: then they are named '0', '1', ... */
  readonly header?: boolean | undefined;
  /** The most fields that are read; 100 million unless given. */
  readonly limit?: number | undefined;
}

/** A table by columns, all of the same length. */
export interface CsvTable {
  readonly rows: number;
  /** In the order of the file. */
  readonly names: readonly string[];
  /** Fields as text, by column and row. */
  readonly columns: readonly (readonly string[])[];
  /** The line (from 1) on which each row begins. */
  readonly lines: Int32Array;
}

const DEFAULT_LIMIT = 1e8;

/** At most so much of a field in a message. */
const shown = (field: string): string => JSON.stringify(field.length > 40 ? `${field.slice(0, 40)}...` : field);

/**
 * The columns of a CSV text.
 *
 * Throws an Error whose message is one sentence where a record has another number of fields than the first, quotes do not
 * close or stand within a field, two columns have one name, or there are more fields than the limit.
 *
 *     const table = parseCsv('length,class\n1.5,a\n2,"b, c"\n', { header: true });
 *     table.names; // ["length", "class"]
 *     table.columns; // [["1.5", "2"], ["a", "b, c"]]
 */
export function parseCsv(text: string, options: CsvOptions = {}): CsvTable {
  const { delimiter = ',', header = false, limit = DEFAULT_LIMIT } = options;
  if (typeof text !== 'string') throw new TypeError(`parseCsv: the text must be a string, not ${typeof text}.`);
  if (typeof delimiter !== 'string' || delimiter.length !== 1 || '"\n\r'.includes(delimiter))
    throw new RangeError(
      `parseCsv: the delimiter is one character other than a quote or a line end, and not ${JSON.stringify(delimiter)}.`,
    );
  if (!(limit >= 0)) throw new RangeError(`parseCsv: limit is a number of fields from 0 up, and not ${String(limit)}.`);
  const reader = new Records(text, delimiter);
  const columns: string[][] = [];
  const lines: number[] = [];
  let names: string[] | null = null;
  let fields = 0;
  for (let record = reader.next(); record !== null; record = reader.next()) {
    const line = reader.line;
    fields += record.length;
    if (fields > limit) throw new Error(`parseCsv: line ${line}: there are more fields than the limit of ${limit}.`);
    if (names === null) {
      names = header ? record : record.map((_, i) => String(i));
      checkNames(names, line);
      for (let i = 0; i < names.length; i++) columns.push([]);
      if (header) continue;
    }
    if (record.length !== names.length)
      throw new Error(
        `parseCsv: line ${line}: there are ${record.length} fields, but ${header ? 'the header names' : 'the first record has'} ${names.length}.`,
      );
    for (let i = 0; i < record.length; i++) columns[i]!.push(record[i]!);
    lines.push(line);
  }
  return { rows: lines.length, names: names ?? [], columns, lines: Int32Array.from(lines) };
}

function checkNames(names: readonly string[], line: number): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw new Error(`parseCsv: line ${line}: two columns are named ${shown(name)}.`);
    seen.add(name);
  }
}

/** Reads record after record. */
class Records {
  readonly #text: string;
  readonly #delimiter: string;
  #at: number;
  /** The line that is being read. */
  #now = 1;
  /** The line on which the last record began. */
  line = 0;

  constructor(text: string, delimiter: string) {
    this.#text = text;
    this.#delimiter = delimiter;
    this.#at = text.startsWith('\uFEFF') ? 1 : 0;
  }

  /** The fields of the next record; null: there is none. */
  next(): string[] | null {
    const text = this.#text;
    for (;;) {
      if (this.#delimiter === ' ') this.#skipSpaces();
      if (this.#at >= text.length) return null;
      if (!this.#lineEnd()) break;
    }
    this.line = this.#now;
    const record: string[] = [];
    for (;;) {
      record.push(text[this.#at] === '"' ? this.#quoted() : this.#plain());
      if (this.#delimiter === ' ') {
        this.#skipSpaces();
        if (this.#at >= text.length || this.#lineEnd()) return record;
      } else if (text[this.#at] === this.#delimiter) this.#at++;
      else {
        if (this.#at < text.length) this.#lineEnd();
        return record;
      }
    }
  }

  #skipSpaces(): void {
    while (this.#text[this.#at] === ' ' || this.#text[this.#at] === '\t') this.#at++;
  }

  /** Passes over a line end, if one is here. */
  #lineEnd(): boolean {
    const character = this.#text[this.#at];
    if (character !== '\n' && character !== '\r') return false;
    this.#at += character === '\r' && this.#text[this.#at + 1] === '\n' ? 2 : 1;
    this.#now++;
    return true;
  }

  #ends(character: string | undefined): boolean {
    return (
      character === undefined ||
      character === '\n' ||
      character === '\r' ||
      character === this.#delimiter ||
      (this.#delimiter === ' ' && character === '\t')
    );
  }

  #plain(): string {
    const start = this.#at;
    while (!this.#ends(this.#text[this.#at])) {
      if (this.#text[this.#at] === '"')
        throw new Error(
          `parseCsv: line ${this.#now}: a quote stands within the field that begins ${shown(this.#text.slice(start, this.#at))}; a field with quotes ` +
            'must stand in quotes.',
        );
      this.#at++;
    }
    return this.#text.slice(start, this.#at);
  }

  #quoted(): string {
    const text = this.#text;
    const opened = this.#now;
    let field = '';
    this.#at++;
    for (;;) {
      const start = this.#at;
      while (this.#at < text.length && text[this.#at] !== '"') if (!this.#lineEnd()) this.#at++;
      field += text.slice(start, this.#at);
      if (this.#at >= text.length)
        throw new Error(`parseCsv: line ${opened}: the quotes that open here are never closed.`);
      this.#at++;
      if (text[this.#at] !== '"') break;
      field += '"';
      this.#at++;
    }
    if (!this.#ends(text[this.#at]))
      throw new Error(
        `parseCsv: line ${this.#now}: ${shown(text[this.#at]!)} follows closing quotes, where a field ends.`,
      );
    return field;
  }
}

/** Digits with at most one point and an exponent, in spaces or none; no words, no hexadecimal. */
const number = /^[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*$/;

/** A column by its name; one that is not there is an error. */
function columnOf(table: CsvTable, name: string): readonly string[] {
  const at = table.names.indexOf(name);
  if (at < 0)
    throw new Error(
      `csv: there is no column named ${shown(name)}; there are ${table.names.slice(0, 20).map(shown).join(', ')}.`,
    );
  return table.columns[at]!;
}

/**
 * A column as numbers. A field that is no number, or one too large for a double, is an Error with its line.
 *
 *     const table = parseCsv('1,2\n3,4e2\n');
 *     Array.from(numericColumn(table, '1')); // [2, 400]
 */
export function numericColumn(table: CsvTable, name: string): Float64Array {
  return Float64Array.from(columnOf(table, name), (field, row) => {
    const value = number.test(field) ? Number(field) : Number.NaN;
    if (!Number.isFinite(value))
      throw new Error(
        `csv: line ${table.lines[row]}: column ${shown(name)} holds ${shown(field)}, which is no finite number.`,
      );
    return value;
  });
}

/**
 * Columns of numbers side by side, row-major: [rows, names.length].
 *
 *     const table = parseCsv('1,2\n3,4\n');
 *     Array.from(numericRows(table, ['1', '0'])); // [2, 1, 4, 3]
 */
export function numericRows(table: CsvTable, names: readonly string[]): Float32Array {
  const out = new Float32Array(table.rows * names.length);
  names.forEach((name, i) => {
    const column = numericColumn(table, name);
    for (let row = 0; row < table.rows; row++) out[row * names.length + i] = column[row]!;
  });
  return out;
}

/**
 * A column of names as classes: 0 for the name that comes first in alphabetical order (by code units), and so on.
 *
 *     const table = parseCsv('b\na\nb\n');
 *     const { labels, classes } = classColumn(table, '0');
 *     classes; // ["a", "b"]
 *     Array.from(labels); // [1, 0, 1]
 */
export function classColumn(
  table: CsvTable,
  name: string,
): { readonly labels: Int32Array; readonly classes: readonly string[] } {
  const column = columnOf(table, name);
  const classes = [...new Set(column)].sort();
  const numbers = new Map(classes.map((one, i) => [one, i]));
  return { labels: Int32Array.from(column, (one) => numbers.get(one)!), classes };
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classColumn, numericColumn, numericRows, parseCsv } from '../../src/data/csv.ts';

const SENTENCE = /^(parseCsv|csv): [^\n]+\.$/;

/** Rows of a text, in the order of the file. */
function rowsOf(text: string, options: Parameters<typeof parseCsv>[1] = {}): string[][] {
  const { rows, columns } = parseCsv(text, options);
  return Array.from({ length: rows }, (_, row) => columns.map((column) => column[row]!));
}

describe('parseCsv', () => {
  it('reads fields, with or without a header, whatever ends lines', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      const text = ['x,y', '1,a', '2,b', ''].join(end);
      expect(parseCsv(text, { header: true })).toMatchObject({
        rows: 2,
        names: ['x', 'y'],
        columns: [
          ['1', '2'],
          ['a', 'b'],
        ],
      });
      expect(Array.from(parseCsv(text, { header: true }).lines)).toEqual([2, 3]);
      expect(rowsOf(text)).toEqual([
        ['x', 'y'],
        ['1', 'a'],
        ['2', 'b'],
      ]);
      expect(parseCsv(text).names).toEqual(['0', '1']);
    }
  });

  it('keeps empty fields and spaces, skips empty lines, and needs no line end at the end', () => {
    expect(rowsOf('a,,\n\n\n, b ,c')).toEqual([
      ['a', '', ''],
      ['', ' b ', 'c'],
    ]);
    expect(rowsOf('')).toEqual([]);
    expect(rowsOf('\n\r\n')).toEqual([]);
    expect(rowsOf('a')).toEqual([['a']]);
    expect(rowsOf(',')).toEqual([['', '']]);
    expect(rowsOf('""')).toEqual([['']]);
  });

  it('reads quoted fields: delimiters, line ends and doubled quotes in them; lines are counted through', () => {
    const text = '"a, b","say ""no"""\n"two\r\nlines",x\nlast,""\n';
    expect(rowsOf(text)).toEqual([
      ['a, b', 'say "no"'],
      ['two\r\nlines', 'x'],
      ['last', ''],
    ]);
    expect(Array.from(parseCsv(text).lines)).toEqual([1, 2, 4]);
  });

  it('passes over a byte order mark, and over runs of spaces where those separate', () => {
    expect(parseCsv('\uFEFFx,y\n1,2', { header: true }).names).toEqual(['x', 'y']);
    expect(rowsOf('  1.5  -2\t3 \n   \n 4 5 6', { delimiter: ' ' })).toEqual([
      ['1.5', '-2', '3'],
      ['4', '5', '6'],
    ]);
    expect(rowsOf('a;b,c', { delimiter: ';' })).toEqual([['a', 'b,c']]);
  });

  it.each([
    ['a short record', '1,2\n3\n', {}, 'parseCsv: line 2: there are 1 fields, but the first record has 2.'],
    [
      'a long one',
      'x,y\n\n1,2\n3,4,5',
      { header: true },
      'parseCsv: line 4: there are 3 fields, but the header names 2.',
    ],
    ['open quotes', '1\n"abc\n\n', {}, 'parseCsv: line 2: the quotes that open here are never closed.'],
    ['a quote within', 'a\nb"c', {}, /^parseCsv: line 2: a quote stands within the field that begins "b"/],
    ['something after quotes', '"a\nb"c', {}, 'parseCsv: line 2: "c" follows closing quotes, where a field ends.'],
    ['two columns of a name', 'x,x\n', { header: true }, 'parseCsv: line 1: two columns are named "x".'],
    ['too many fields', 'a,b\nc,d', { limit: 3 }, 'parseCsv: line 2: there are more fields than the limit of 3.'],
  ])('refuses %s, with its line', (_, text, options, message) => {
    expect(() => parseCsv(text, options)).toThrow(message);
    expect(() => parseCsv(text, options)).toThrow(SENTENCE);
  });

  it('refuses delimiters that are none, and what is no text', () => {
    for (const delimiter of ['', ',,', '"', '\n'])
      expect(() => parseCsv('a', { delimiter })).toThrow(
        /the delimiter is one character other than a quote or a line end/,
      );
    expect(() => parseCsv(new Uint8Array(2) as unknown as string)).toThrow(
      'parseCsv: the text must be a string, not object.',
    );
    expect(() => parseCsv('a', { limit: Number.NaN })).toThrow(SENTENCE);
  });

  it('reads back what is written with quotes', () => {
    const field = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', '') });
    const table = fc
      .integer({ min: 1, max: 4 })
      .chain((width) => fc.array(fc.array(field, { minLength: width, maxLength: width }), { maxLength: 5 }));
    fc.assert(
      fc.property(table, fc.constantFrom('\n', '\r\n'), (rows, end) => {
        const text = rows.map((row) => row.map((one) => `"${one.replaceAll('"', '""')}"`).join(',')).join(end);
        expect(rowsOf(text)).toEqual(rows);
      }),
    );
  });

  it('takes any text with a table or a sentence', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '1', ',', '"', '\n', '\r', ' ', '\uFEFF'), maxLength: 20 });
    fc.assert(
      fc.property(text, fc.constantFrom(',', ' ', '\t'), fc.boolean(), (given, delimiter, header) => {
        try {
          const { rows, names, columns } = parseCsv(given, { delimiter, header });
          expect(columns).toHaveLength(names.length);
          for (const column of columns) expect(column).toHaveLength(rows);
        } catch (error) {
          expect((error as Error).message).toMatch(SENTENCE);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('columns', () => {
  it('numbers: as a whole field, in any usual notation', () => {
    const table = parseCsv('1\n-2.5\n+.5\n3.\n1e-3\n 7 \n');
    expect(Array.from(numericColumn(table, '0'))).toEqual([1, -2.5, 0.5, 3, 0.001, 7]);
  });

  it.each(['', ' ', '12 cm', '1_000', '0x10', 'NaN', 'Infinity', '1e999', '--1', '.', '1.2.3'])(
    'refuse %j, with its line',
    (field) => {
      const table = parseCsv(`x,y\n1,2\n"${field}",3\n`, { header: true });
      expect(() => numericColumn(table, 'x')).toThrow(
        `csv: line 3: column "x" holds ${JSON.stringify(field)}, which is no finite number.`,
      );
    },
  );

  it('side by side are rows of a matrix, in the order that is asked for', () => {
    const table = parseCsv('a,b,c\n1,2,3\n4,5,6', { header: true });
    expect(Array.from(numericRows(table, ['c', 'a']))).toEqual([3, 1, 6, 4]);
    expect(numericRows(table, [])).toHaveLength(0);
    expect(() => numericRows(table, ['d'])).toThrow('csv: there is no column named "d"; there are "a", "b", "c".');
  });

  it('of names are classes in alphabetical order', () => {
    const { labels, classes } = classColumn(parseCsv('pear\napple\npear\nfig'), '0');
    expect(classes).toEqual(['apple', 'fig', 'pear']);
    expect(Array.from(labels)).toEqual([2, 0, 2, 1]);
  });
});

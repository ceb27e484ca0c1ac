/** Tables for the terminal. */

/** The first row is the head; the first cell of each row stands flush left, the others flush right. */
export function table(rows: readonly (readonly string[])[]): string {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const line = ([name = '', ...numbers]: readonly string[]) =>
    [name.padEnd(width(0)), ...numbers.map((cell, i) => cell.padStart(width(i + 1)))].join('  ');
  return rows.map((row) => `${line(row)}\n`).join('');
}

/** A share from 0 to 1, as '98.77 %'. */
export const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

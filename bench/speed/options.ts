/** The command line: what may be asked for, and one sentence for what may not. */

import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { suiteNames } from './rows/row.ts';
import { type Row, rows } from './rows.ts';

export const usage = `npm run bench -- [options]

Matrix products, training steps, single operations, convolutions and starts a second, against TensorFlow.js (its CPU and its Wasm
backend) and jax-js (under jit and eager). The first run installs these into bench/node_modules. jax-js needs Node 21 or newer.

  --suite NAME   only this suite: ${inWords(suiteNames)}; may be given several times
  --row TEXT     only rows whose name contains TEXT, in either case: --row "NN 64", --row cnn
  --quick        every row, with shorter runs
  --json FILE    write the numbers to FILE as well
  --docs FILE    write a page about them to FILE as well, in Markdown
  --note TEXT    a sentence about the circumstances, for both
  --help         this text
`;

export interface Options {
  readonly help: boolean;
  readonly quick: boolean;
  readonly rows: readonly Row[];
  /** An absolute path, or null. */
  readonly json: string | null;
  /** Where the page goes, an absolute path, or null. */
  readonly docs: string | null;
  readonly note: string | null;
}

/** What the user asked for and cannot have; the message is the sentence to show. */
export class OptionError extends Error {}

export function parseOptions(args: readonly string[]): Options {
  const { suite, row, quick, json, docs, note, help } = parsedValues(args);
  return {
    help,
    quick,
    rows: selectedRows(suite ?? [], row),
    json: json === undefined ? null : writablePath('--json', json),
    docs: docs === undefined ? null : writablePath('--docs', docs),
    note: note ?? null,
  };
}

function parsedValues(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        suite: { type: 'string', multiple: true },
        row: { type: 'string' },
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        docs: { type: 'string' },
        note: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split(/\.\s|\n/)[0] : String(error);
    throw new OptionError(`${reason}; --help lists the options.`);
  }
}

function selectedRows(suites: readonly string[], text: string | undefined): readonly Row[] {
  const unknown = suites.find((suite) => !suiteNames.some((name) => name === suite));
  if (unknown !== undefined) throw new OptionError(`There is no suite '${unknown}': choose ${inWords(suiteNames)}.`);
  const selected = rows.filter(
    (row) =>
      (suites.length === 0 || suites.includes(row.suite)) &&
      (text === undefined || row.name.toLowerCase().includes(text.toLowerCase())),
  );
  if (selected.length === 0) {
    const where = suites.length === 0 ? '' : ` of suite ${inWords(suites.map((suite) => `'${suite}'`))}`;
    throw new OptionError(`No row${where} has '${text}' in its name.`);
  }
  return selected;
}

function writablePath(option: string, file: string): string {
  const path = resolve(file);
  if (file === '') throw new OptionError(`${option} needs the name of a file.`);
  if (!existsSync(dirname(path))) throw new OptionError(`${option}: the folder ${dirname(path)} does not exist.`);
  if (existsSync(path) && statSync(path).isDirectory()) throw new OptionError(`${option}: ${path} is a folder.`);
  return path;
}

/** 'a', 'a or b', 'a, b or c'. */
function inWords(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}

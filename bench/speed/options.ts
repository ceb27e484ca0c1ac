/** The command line: what may be asked for, and one sentence for what may not. */

import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Row, rows, type SuiteName } from './rows.ts';

export const usage = `npm run bench -- [options]

Training steps and matrix products a second, against TensorFlow.js (its CPU and its Wasm backend) and jax-js under jit.
The first run installs these into bench/node_modules. jax-js needs Node 21 or newer.

  --suite NAME   only this suite: matmul or step
  --row TEXT     only rows whose name contains TEXT, in either case: --row "NN 64", --row cnn
  --quick        every row, with shorter runs: under 8 minutes on two slow cores
  --json FILE    write the numbers to FILE as well
  --help         this text
`;

export interface Options {
  readonly help: boolean;
  readonly quick: boolean;
  readonly rows: readonly Row[];
  /** An absolute path, or null. */
  readonly json: string | null;
}

/** What the user asked for and cannot have; the message is the sentence to show. */
export class OptionError extends Error {}

export function parseOptions(args: readonly string[]): Options {
  const { suite, row, quick, json, help } = parsedValues(args);
  return {
    help,
    quick,
    rows: selectedRows(suite, row),
    json: json === undefined ? null : writablePath(json),
  };
}

function parsedValues(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        suite: { type: 'string' },
        row: { type: 'string' },
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split(/\.\s|\n/)[0] : String(error);
    throw new OptionError(`${reason}; --help lists the options.`);
  }
}

function selectedRows(suite: string | undefined, text: string | undefined): readonly Row[] {
  const suites: readonly SuiteName[] = ['matmul', 'step'];
  if (suite !== undefined && !suites.some((name) => name === suite)) {
    throw new OptionError(`There is no suite '${suite}': choose ${suites.join(' or ')}.`);
  }
  const selected = rows.filter(
    (row) =>
      (suite === undefined || row.suite === suite) &&
      (text === undefined || row.name.toLowerCase().includes(text.toLowerCase())),
  );
  if (selected.length === 0) {
    throw new OptionError(`No row${suite === undefined ? '' : ` of suite '${suite}'`} has '${text}' in its name.`);
  }
  return selected;
}

function writablePath(file: string): string {
  const path = resolve(file);
  if (file === '') throw new OptionError('--json needs the name of a file.');
  if (!existsSync(dirname(path))) throw new OptionError(`--json: the folder ${dirname(path)} does not exist.`);
  if (existsSync(path) && statSync(path).isDirectory()) throw new OptionError(`--json: ${path} is a folder.`);
  return path;
}

/** Where and when a result was made: what a reader needs to make it again. */

import { readFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { basename, isAbsolute } from 'node:path';
import { type KernelSet, kernelSet } from '../../src/index.ts';

export interface About {
  /** The data set's name: a folder, or 'embedded digits'. */
  readonly data: string;
  readonly machine: string;
  readonly versions: { readonly palimpsest: string; readonly node: string };
  /** Which kernels computed. */
  readonly kernels: KernelSet;
  /** ISO 8601. */
  readonly date: string;
  /** The command line as it can be given again, of absolute paths the last part: where files lie on a machine is nobody's business. */
  readonly command: string;
}

/** About a run on this data that starts now; `args` are the words after `npm start --`. */
export function aboutRun(data: string, args: readonly string[]): About {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return {
    data: portable(data),
    machine: `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, ${platform()} ${arch()}`,
    versions: { palimpsest: version, node: process.versions.node },
    kernels: kernelSet(),
    date: new Date().toISOString(),
    command: ['npm start --', ...args.map((word) => quoted(portable(word)))].join(' '),
  };
}

const portable = (word: string): string => (isAbsolute(word) ? basename(word) : word);

/** As a shell reads it back. */
function quoted(word: string): string {
  return /^[\w./,:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

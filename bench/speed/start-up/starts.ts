/**
 * Starts of a library, each in a new Node process that runs one of the scripts in this folder: no TypeScript loader, nothing
 * imported before the clock starts. The script times itself, from before the import to the result in JavaScript's hands, so that the
 * time Node takes to be there does not count.
 *
 * Our side is built as `npm run build` does it, into a temporary folder. Of TensorFlow.js only the core and one backend are
 * imported, of which more is needed for no product: the whole library takes longer.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { firstLine, median, type PeerName, type Workload } from '../harness.ts';
import { type Start, startData } from '../rows/starts.ts';

/** A turn is the median of so many starts. */
const startsPerTurn = 3;

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Which script a peer starts with, and what it is told. */
const peerScripts: Readonly<Record<PeerName, readonly [script: string, choice: string]>> = {
  'tfjs-cpu': ['tensorflow.mjs', 'cpu'],
  'tfjs-wasm': ['tensorflow.mjs', 'wasm'],
  'jax-jit': ['jax.mjs', 'jit'],
  'jax-eager': ['jax.mjs', 'eager'],
};

export function preparePeerStart(name: PeerName, task: Start): Workload {
  const [script, choice] = peerScripts[name];
  return { ...startsOf(script, choice, task), dispose() {} };
}

export function prepareOurStart(task: Start): Workload {
  const folder = mkdtempSync(join(tmpdir(), 'palimpsest-build-'));
  const dispose = () => rmSync(folder, { recursive: true, force: true });
  try {
    build(folder);
  } catch (error) {
    dispose();
    throw error;
  }
  return { ...startsOf('ours.mjs', pathToFileURL(join(folder, 'index.js')).href, task), dispose };
}

function startsOf(script: string, choice: string, { size }: Start): Required<Pick<Workload, 'run' | 'seconds'>> {
  const { a, b } = startData({ kind: 'start', size });
  const file = fileURLToPath(new URL(script, import.meta.url));
  const start = () => startOnce(file, [choice], JSON.stringify({ size, a, b }));
  return {
    run: () => Float32Array.from(start().product),
    seconds: () => median(Array.from({ length: startsPerTurn }, () => start().seconds)),
  };
}

interface Started {
  readonly seconds: number;
  readonly product: readonly number[];
}

/** One process: what it writes last is its answer; an error is the last that Node says of it. */
export function startOnce(file: string, args: readonly string[], input: string): Started {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [file, ...args], {
    input,
    encoding: 'utf8',
    // What this process was started with (a TypeScript loader) is not for that one.
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr.match(/^\w*Error.*$/m)?.[0] ?? firstLine(stderr));
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

function build(folder: string): void {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', folder], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`our side does not build: ${firstLine(stdout)}`);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
}

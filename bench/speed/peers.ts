/** The peers' packages: installed here, outside the library's own dependencies, when they are missing or of another version. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Contestant, PeerName } from './harness.ts';
import { firstLine } from './harness.ts';
import { loadJax } from './jax.ts';
import { loadTensorFlow } from './tensorflow.ts';

/** Versions by package name. */
export type Versions = Readonly<Record<string, string>>;

const folder = new URL('../', import.meta.url);

/** Installs what bench/package.json pins, unless it is there, and returns the pinned versions. */
export function installPeers(): Versions {
  const pinned = readPackage('package.json').dependencies ?? {};
  const current = Object.entries(pinned).every(
    ([name, version]) => readPackage(`node_modules/${name}/package.json`).version === version,
  );
  if (!current) {
    console.error('Installing the peers into bench/node_modules (npm ci) ...');
    const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: fileURLToPath(folder),
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32',
    });
    if (status !== 0) {
      throw new Error('The peers could not be installed: `npm ci --prefix bench` failed, for the reason above.');
    }
  }
  return pinned;
}

/** All peers; one that does not even load (jax-js before Node 21) stays in the list and says why in every row. */
export async function loadPeers(): Promise<Contestant[]> {
  return [
    ...(await orBroken(['tfjs-cpu', 'tfjs-wasm'], loadTensorFlow)),
    ...(await orBroken(['jax-jit', 'jax-eager'], loadJax)),
  ];
}

async function orBroken(
  names: readonly PeerName[],
  load: () => Contestant[] | Promise<Contestant[]>,
): Promise<Contestant[]> {
  try {
    return await load();
  } catch (error) {
    const fail = () => {
      throw new Error(firstLine(error));
    };
    return names.map((name) => ({ name, activate: async () => fail(), prepare: fail }));
  }
}

/** A package.json of the bench folder; empty when it is not there. */
function readPackage(path: string): { version?: string; dependencies?: Record<string, string> } {
  try {
    return JSON.parse(readFileSync(new URL(path, folder), 'utf8'));
  } catch {
    return {};
  }
}

/** The real command in a process group of its own, which is killed as a whole without warning. */

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSafetensors } from '../../../../src/io/safetensors.ts';

const root = join(import.meta.dirname, '../../../..');

/**
 * Runs `npm start -- WORDS`, until so many milliseconds have passed or something has come true; then it is killed. Says whether it
 * ended by itself, and what it wrote.
 */
export function runFor(
  words: readonly string[],
  until: number | (() => boolean),
): Promise<{ ended: boolean; said: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'bench/learning/main.ts', ...words], {
    ...{ cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      said += data.toString();
    });
  const kill = (): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // All of them have ended.
    }
  };
  const timer = typeof until === 'number' ? setTimeout(kill, until) : setInterval(() => until() && kill(), 20);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ ended: code === 0, said });
    });
  });
}

/** How far jobs are by their checkpoints in a folder: steps by the name of the job. */
export function checkpointsIn(folder: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.checkpoint')) continue;
    try {
      // A hash of 32 bytes stands behind the checkpoint.
      const { metadata } = parseSafetensors(readFileSync(join(folder, name)).subarray(0, -32));
      found.set(name.slice(1, -'.checkpoint'.length), (JSON.parse(metadata.state!) as { step: number }).step);
    } catch (error) {
      // Its job may have ended meanwhile.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  return found;
}

/** Results in a folder by the name of their file, without their time. */
export const resultsIn = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort()
      .map((name) => [name, timeless(readFileSync(join(folder, name), 'utf8'))]),
  );

export const timeless = (json: string): string => json.replaceAll(/"seconds": [\d.e-]+/g, '"seconds": 0');

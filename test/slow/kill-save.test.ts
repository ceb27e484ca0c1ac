/**
 * Fifty writers of one file, each killed without warning at some moment of writing: the file is always a whole version,
 * the last one that was announced or the one after it, and what a killed writer left is taken away by the next.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadSafetensors, saveSafetensors } from '../../src/io/files.ts';
import { Generator } from '../../src/random/generator.ts';
import { full } from '../../src/tensor/create.ts';

const root = mkdtempSync(join(tmpdir(), 'palimpsest-kill-save-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const kills = 50;
/** Side by side, each in a folder of its own: most of the time goes into starting processes. */
const lanes = 5;

/** Starts a writer, waits for its first version, and kills it some milliseconds later. Gives the last version it announced. */
function killedWriter(path: string, first: number, milliseconds: number): Promise<number> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(import.meta.dirname, 'kill-writer.ts'), path, String(first)],
    {
      cwd: join(import.meta.dirname, '../..'),
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let said = '';
  child.stdout.on('data', (text) => {
    if (said === '') setTimeout(() => child.kill('SIGKILL'), milliseconds);
    said += String(text);
  });
  return new Promise((resolve, reject) =>
    child.on('close', (_, signal) => {
      const versions = said.trim().split('\n').map(Number);
      if (signal === 'SIGKILL') resolve(versions.at(-1)!);
      else reject(new Error('The writer ended by itself.'));
    }),
  );
}

describe('saving, killed', () => {
  it('leaves the old file or the new one, whole', async () => {
    const generator = new Generator(1);
    const moments = Array.from({ length: kills }, () => generator.uniform() * 60);
    let [interrupted, old, next] = [0, 0, 0];
    const lane = async (index: number): Promise<void> => {
      const folder = mkdtempSync(join(root, 'lane-'));
      const path = join(folder, 'x.safetensors');
      await saveSafetensors(path, { x: full([1_000_000], 0) }, { version: '0' });
      let version = 0;
      for (let i = index; i < kills; i += lanes) {
        const announced = await killedWriter(path, version + 1, moments[i]!);
        const { tensors, metadata } = await loadSafetensors(path);
        version = Number(metadata.version);
        expect([announced, announced + 1]).toContain(version);
        const numbers = tensors.get('x')!.tensor.toFloat32Array();
        expect(numbers.length).toBe(1_000_000);
        expect(numbers.every((x) => x === version)).toBe(true);
        if (version === announced) old++;
        else next++;
        const names = readdirSync(folder);
        expect(names.length).toBeLessThanOrEqual(2);
        if (names.length === 2) interrupted++;
      }
      await saveSafetensors(path, { x: full([1], 0) });
      expect(readdirSync(folder)).toEqual(['x.safetensors']);
    };
    await Promise.all(Array.from({ length: lanes }, (_, index) => lane(index)));
    console.log(
      `${kills} kills: ${interrupted} left a half-written temporary file; the file was ${old} times the version announced ` +
        `last and ${next} times the one after it.`,
    );
    expect(old + next).toBe(kills);
    expect(interrupted).toBeGreaterThan(5);
  });
});

/** A start is a process that answers with its time and its product; here with a stand-in for the library. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startOnce } from '../../../bench/speed/start-up/starts.ts';

const script = fileURLToPath(new URL('../../../bench/speed/start-up/ours.mjs', import.meta.url));

describe('a start', () => {
  let folder = '';
  const module = (name: string, code: string) => {
    const file = join(folder, name);
    writeFileSync(file, code);
    return pathToFileURL(file).href;
  };
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'speed-start-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('gives the product, and a time within that of the process', () => {
    const library = module(
      'library.mjs',
      `console.log('a library that says hello');
       export const tensor = (data) => data;
       export const matmul = ([a], [b]) => ({ toFloat32Array: () => Float32Array.of(a * b) });`,
    );
    const before = performance.now();
    const { seconds, product } = startOnce(script, [library], JSON.stringify({ size: 1, a: [3], b: [4] }));
    expect(product).toEqual([12]);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan((performance.now() - before) / 1000);
  });

  it('that fails says why in a line', () => {
    const broken = module('broken.mjs', `throw new TypeError('no such backend');`);
    const start = () => startOnce(script, [broken], JSON.stringify({ size: 1, a: [3], b: [4] }));
    expect(start).toThrow(/^TypeError: no such backend$/);
  });
});

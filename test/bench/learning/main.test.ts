import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { kernelSet } from '../../../src/index.ts';
import { dataFolder, temporaryFolder } from './folder.ts';

interface Outcome {
  code: number | null;
  output: string;
  errors: string;
}

/** Runs the program as `npm start -- ...` does. */
function start(...args: string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'bench/learning/main.ts', ...args]);
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output, errors }));
  });
}

describe('npm start', () => {
  it('trains on the files of a folder, prints a table and writes the results', { timeout: 30_000 }, async () => {
    const results = temporaryFolder();
    const json = join(results, 'results.json');
    const data = dataFolder();
    const { code, output, errors } = await start('--data', data, '--epochs', '15', '--batch', '20', '--json', json);
    expect([code, errors]).toEqual([0, '']);
    expect(output).toContain(`${data}: 200 training and 50 test images of 8 x 12 pixels\n`);
    expect(output).toMatch(/^mlp +epoch 15\/15 {2}loss 0\.\d+ {2}accuracy \d+\.\d+ % {2}\d+ images\/s {2}0 s left$/m);
    expect(output).toMatch(/^model +parameters +test accuracy +seconds +samples\/s$/m);
    const written = JSON.parse(readFileSync(json, 'utf8'));
    expect(written).toMatchObject({
      data,
      node: process.versions.node,
      kernels: kernelSet(),
      runs: [
        { model: 'mlp', parameters: 96 * 256 + 256 + 256 * 128 + 128 + 1290, epochs: 15, seed: 1 },
        { model: 'cnn', parameters: 160 + 4640 + 32 * 2 * 3 * 10 + 10, epochs: 15, seed: 1 },
      ],
    });
    for (const { accuracy, seconds, samplesPerSecond } of written.runs) {
      expect(accuracy).toBeGreaterThan(0.9);
      expect(samplesPerSecond).toBeCloseTo((15 * 200) / seconds, 3);
    }
    expect(readdirSync(results)).toEqual(['results.json']);
  });

  it('tells mistakes in one sentence without a stack, with exit code 2', { timeout: 30_000 }, async () => {
    const folder = temporaryFolder();
    const outcomes = await Promise.all([
      start('--epochs', 'many'),
      start('--data', join(folder, 'none'), '--json', join(folder, 'results.json')),
      start('--json', join(folder, 'none', 'results.json')),
      start('rule'),
      start('rules', '--rules', 'magic'),
    ]);
    expect(outcomes).toEqual([
      { code: 2, output: '', errors: "--epochs must be a whole number from 1 to 100000, but it is 'many'.\n" },
      { code: 2, output: '', errors: `--data ${join(folder, 'none')}: there is no such folder.\n` },
      {
        code: 2,
        output: '',
        errors: expect.stringMatching(/^--json .*its folder does not exist or takes no files\.\n$/),
      },
      { code: 2, output: '', errors: expect.stringMatching(/^Unknown command 'rule', expected one of .*\.\n$/) },
      {
        code: 2,
        output: '',
        errors: expect.stringMatching(/^--rules takes names out of .*'magic' is none of them\.\n$/),
      },
    ]);
    expect(readdirSync(folder)).toEqual([]);
  });
});

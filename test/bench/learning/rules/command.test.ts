import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseOptions } from '../../../../bench/learning/command-line.ts';
import { RULES_OPTIONS, runRules } from '../../../../bench/learning/rules/command.ts';
import type { Configuration } from '../../../../bench/learning/rules/configuration.ts';
import { CONFIGURATIONS } from '../../../../bench/learning/rules/configurations.ts';
import { kernelSet } from '../../../../src/index.ts';
import { dataFolder, temporaryFolder } from '../folder.ts';
import { screen } from '../screen.ts';

const backprop = CONFIGURATIONS.find(({ name }) => name === 'backprop') as Configuration;

async function run(configurations: readonly Configuration[], ...args: string[]): Promise<string> {
  const { output, text } = screen(null);
  const options = parseOptions(RULES_OPTIONS, ['--rules', 'backprop', ...args]);
  if (options === 'help') throw new Error('no help is asked for here');
  await runRules(options, configurations, output);
  return text();
}

describe('npm start -- rules', () => {
  it('trains on the embedded digits, and prints, writes and reports the same numbers', {
    timeout: 60_000,
  }, async () => {
    const folder = temporaryFolder();
    const [json, html] = [join(folder, 'rules.json'), join(folder, 'rules.html')];
    const printed = await run([backprop], '--epochs', '1', '--seed', '4', '--json', json, '--html', html);
    expect(printed).toContain('embedded digits: 20000 training and 4000 test images of 28 x 28 pixels\n');
    expect(printed).toMatch(/^backprop epoch 1\/1 {2}accuracy \d+\.\d+ % {2}\d+ images\/s {2}0 s left$/m);
    const { rows, about } = JSON.parse(readFileSync(json, 'utf8'));
    expect(rows).toEqual([
      {
        ...{ rule: 'backprop', layers: [784, 256, 128, 10], batch: 64, epochs: 1, seed: 4 },
        accuracy: expect.any(Number),
        prequential: expect.any(Number),
        angles: { 'layer 1': expect.any(Number), 'layer 2': expect.any(Number), 'layer 3': expect.any(Number) },
        multiplyAdds: 2 * (784 * 256 + 256 * 128 + 128 * 10) + 256 * 128 + 128 * 10,
        stepsPerSecond: expect.any(Number),
      },
    ]);
    expect(about).toEqual({
      data: 'embedded digits',
      machine: expect.stringContaining(' cores, '),
      versions: { palimpsest: '0.1.0', node: process.versions.node },
      kernels: kernelSet(),
      date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      command: `npm start -- rules --rules backprop --epochs 1 --seed 4 --json ${basename(json)} --html ${basename(html)}`,
    });
    const [row] = rows;
    expect(row.accuracy).toBeGreaterThan(0.9);
    expect(row.prequential).toBeGreaterThan(0.7);
    for (const degrees of Object.values(row.angles)) expect(degrees).toBeLessThan(0.01);
    const page = readFileSync(html, 'utf8');
    const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
    for (const shown of [percent(row.accuracy), percent(row.prequential)]) {
      expect(printed).toContain(shown);
      expect(page).toContain(`<td>${shown}</td>`);
    }
    expect(readdirSync(folder).sort()).toEqual(['rules.html', 'rules.json']);
  });

  it('runs each rule with each seed', async () => {
    const json = join(temporaryFolder(), 'rules.json');
    const small = {
      ...backprop,
      layers: [96, 10],
      make: () => ({ step: () => 1, predict: () => new Int32Array(100) }),
    };
    const printed = await run([small], '--data', dataFolder(), '--epochs', '1', '--seed', '7,8', '--json', json);
    expect(printed).toMatch(/^backprop, seed 7 epoch 1\/1 .*\nbackprop, seed 8 epoch 1\/1 /m);
    const { rows } = JSON.parse(readFileSync(json, 'utf8'));
    expect(rows.map(({ seed, angles }: { seed: number; angles: unknown }) => [seed, angles])).toEqual([
      [7, null],
      [8, null],
    ]);
  });

  it('refuses images of another size, and one file for two, before any training', async () => {
    const folder = temporaryFolder();
    const same = join(folder, 'same');
    await expect(run([backprop], '--json', same, '--html', same)).rejects.toThrow(
      `--html ${same}: --json names the same file.`,
    );
    await expect(run([backprop], '--html', join(folder, 'none', 'a.html'))).rejects.toThrow(
      /^--html .*its folder does not exist or takes no files\.$/,
    );
    await expect(run([backprop], '--data', dataFolder())).rejects.toThrow(
      '--rules backprop: the network takes images of 784 pixels, but they have 8 x 12.',
    );
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the configurations', () => {
  it('have names of one word, each its own, and a sentence each', () => {
    const names = CONFIGURATIONS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, about, layers } of CONFIGURATIONS) {
      expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(about).toMatch(/^[A-Z].*\.$/);
      expect(layers.at(-1)).toBe(10);
    }
  });
});

describe('backpropagation on MNIST', () => {
  const folder = process.env.DATA_DIR;
  it.skipIf(!folder)(
    'classifies at least 97 % of the held-out images (skipped: DATA_DIR does not name the folder of data sets)',
    { timeout: 300_000 },
    async () => {
      const json = join(temporaryFolder(), 'rules.json');
      await run([backprop], '--data', join(folder ?? '', 'mnist'), '--json', json);
      expect(JSON.parse(readFileSync(json, 'utf8')).rows[0].accuracy).toBeGreaterThanOrEqual(0.97);
    },
  );
});

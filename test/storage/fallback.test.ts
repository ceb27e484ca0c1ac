/**
 * Without WebAssembly: missing, refused by a page's policy, or without the address space for its memory (as under
 * `ulimit -v`). The reference kernels take over with one warning, and learn the same. Each case is a process of its own.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

const training = `
  const { Adam, Conv2d, crossEntropy, Flatten, kernelSet, Linear, manualSeed, MaxPool2d, noGrad, randn, ReLU, Sequential, Tanh } =
    await import('./src/index.ts');
  manualSeed(4);
  const model = new Sequential(
    new Conv2d(1, 4, 3, { padding: 1 }), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(64, 16), new Tanh(), new Linear(16, 3),
  );
  const optimizer = new Adam(model.parameters(), { lr: 0.01 });
  const x = randn([6, 1, 8, 8]);
  const labels = [0, 1, 2, 0, 1, 2];
  const losses = [];
  for (let i = 0; i < 15; i++) {
    const loss = crossEntropy(model.forward(x), labels);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    losses.push(loss.item());
  }
  const classes = noGrad(() => model.forward(x).argmax(1).toArray());
  console.log(JSON.stringify({ kernels: kernelSet(), losses, classes }));
`;

interface Result {
  kernels: string;
  losses: number[];
  classes: number[];
  warnings: string[];
}

/** Trains in a process that runs `before` first. */
function train(before: string): Result {
  const args = ['--import', 'tsx', '--input-type=module', '--eval', `${before}\n${training}`];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
  });
  const lines = stderr.split('\n');
  if (status !== 0) throw new Error(`The process ended with ${status}: ${lines.find((line) => /Error/.test(line))}`);
  const warnings = lines.filter((text) => text.includes('palimpsest:'));
  return { ...(JSON.parse(stdout) as Omit<Result, 'warnings'>), warnings };
}

describe('without WebAssembly', () => {
  let usual: Result;
  beforeAll(() => {
    usual = train('');
  });

  it('(with it, there is no warning, and the net learns)', () => {
    expect(usual.kernels).toBe('wasm-simd');
    expect(usual.warnings).toEqual([]);
    expect(usual.losses.at(-1)!).toBeLessThan(0.5 * usual.losses[0]!);
  });

  it.each<[string, string, RegExp]>([
    // The TypeScript loader compiles a lexer when it starts: it gets an import and a moment before WebAssembly goes.
    [
      'missing altogether',
      `await import('./src/random/normal.ts');
       await new Promise((resolve) => setTimeout(resolve, 100));
       delete globalThis.WebAssembly;`,
      /no WebAssembly SIMD/,
    ],
    [
      'a policy without wasm-unsafe-eval',
      `WebAssembly.Module = class { constructor() { throw new WebAssembly.CompileError('Refused to compile'); } };
       WebAssembly.Instance = WebAssembly.Module;`,
      /policy refuses/,
    ],
    [
      'a memory that cannot be had',
      "WebAssembly.Memory = class { constructor() { throw new RangeError('could not allocate memory'); } };",
      /could not allocate memory/,
    ],
  ])('%s: the same losses, and one warning', (_, before, why) => {
    const { kernels, losses, classes, warnings } = train(before);
    expect(kernels).toBe('reference');
    losses.forEach((loss, i) => {
      expect(Math.abs(loss - usual.losses[i]!)).toBeLessThan(1e-4);
    });
    expect(classes).toEqual(usual.classes);
    expect(warnings).toEqual([expect.stringMatching(why)]);
    expect(warnings[0]).toMatch(/plain TypeScript kernels, which are slower/);
  });
});

/**
 * The package as a user gets it: built and packed from a copy of the sources, installed into an empty project, used from ESM,
 * from require(), from TypeScript, and as a bundle. Nothing but what is packed may be there.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'palimpsest-package-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const sources = join(folder, 'sources');
const consumer = join(folder, 'consumer');
const tool = (...path: string[]) => join(root, 'node_modules', ...path);

/** Runs a program and gives what it printed; anything but success is an error that shows it. */
function run(program: string, args: string[], cwd: string): SpawnSyncReturns<string> {
  const result = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (result.status === 0) return result;
  const { status, stdout, stderr, error } = result;
  throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${error ?? ''}\n${stdout}\n${stderr}`);
}

/** What the compiler says of files of the consumer, which has no types but ours and its own. */
function typeErrors(options: readonly string[], files: readonly string[]): string {
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--skipLibCheck', 'false'];
  const args = [
    ...strict,
    '--noEmit',
    '--target',
    'es2022',
    '--lib',
    'es2022',
    '--typeRoots',
    'none',
    ...options,
    ...files,
  ];
  return spawnSync(process.execPath, [tool('typescript/lib/tsc.js'), ...args], { cwd: consumer, encoding: 'utf8' })
    .stdout;
}

const training = `
  const model = new Linear(3, 1, { generator: new Generator(1) });
  const optimizer = new Adam(model.parameters(), { lr: 0.1 });
  for (let step = 0; step < 5; step++) {
    const loss = mseLoss(model.forward(tensor([[1, 2, 3]])), tensor([[1]]));
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
  }
  console.log(kernelSet(), model.weight.toArray(), [...grad((x) => x.pow(3).sum())(tensor([1, 2])).toFloat32Array()]);
`;
const names = '{ Adam, Generator, grad, kernelSet, Linear, mseLoss, tensor }';

/** The same in TypeScript, with types written out where a user would. */
const typed = `
  declare const console: { log(...values: unknown[]): void };
  const layers: Module[] = [new Linear(3, 1, { generator: new Generator(1) })];
  const model: Sequential = new Sequential(...layers);
  const options: Partial<AdamOptions> = { lr: 0.1 };
  const loss: Tensor = mseLoss(model.forward(tensor([[1, 2, 3]])), tensor([[1]]));
  loss.backward();
  new Adam(model.parameters(), options).step();
  const cube = defineOp<[Tensor], undefined>({
    name: 'cube',
    inputs: ['x'],
    forward: ([x]) => x.mul(x).mul(x),
    gradient: [({ inputs: [x] }, g) => g.mul(x.mul(x)).mul(3)],
    samples: (draw) => [{ inputs: [draw.normal([3])], attributes: undefined }],
  });
  const cubed: Tensor = cube(loss);
  const set: 'wasm-simd' | 'reference' | 'reference-float64' = kernelSet();
  // @ts-expect-error: types are there, and not any
  const wrong: string = loss;
  console.log(cubed, set, wrong);
`;
const typedNames = 'Adam, defineOp, Generator, kernelSet, Linear, mseLoss, Sequential, tensor';
const typesOnly = 'type AdamOptions, type Module, type Tensor';

let tarball: string;
let packed: string[];

beforeAll(() => {
  mkdirSync(sources);
  for (const name of ['package.json', 'README.md', 'LICENSE', 'tsconfig.json', 'tsconfig.build.json', 'src'])
    cpSync(join(root, name), join(sources, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(sources, 'node_modules'));
  // Things that must not be packed, beside what is.
  writeFileSync(join(sources, 'notes.txt'), 'not for users');
  const { stdout } = run('npm', ['pack', '--json', '--pack-destination', folder], sources);
  const [report] = JSON.parse(stdout.slice(stdout.search(/^\[/m))) as [{ filename: string; files: { path: string }[] }];
  tarball = join(folder, report.filename);
  packed = report.files.map(({ path }) => path);

  mkdirSync(consumer);
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true }));
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], consumer);
  writeFileSync(join(consumer, 'use.mjs'), `import ${names} from 'palimpsest';\n${training}`);
  writeFileSync(join(consumer, 'use.cjs'), `const ${names} = require('palimpsest');\n${training}`);
  const module = `import { ${typedNames}, ${typesOnly} } from 'palimpsest';\n${typed}`;
  writeFileSync(join(consumer, 'typed.mts'), module);
  writeFileSync(
    join(consumer, 'required.cts'),
    "import p = require('palimpsest');\nexport const x: p.Tensor = p.tensor([1]);\n// @ts-expect-error: not any\nexport const y: string = x;\n",
  );
}, 600_000);

describe('the package', () => {
  it('holds dist, README, LICENSE and package.json, and declarations for every module', () => {
    const others = packed.filter((path) => !/^dist\/.*\.(js|d\.ts)$/.test(path));
    expect(others.sort()).toEqual(['LICENSE', 'README.md', 'package.json']);
    const modules = packed.filter((path) => path.endsWith('.js'));
    expect(modules.length).toBeGreaterThan(100);
    expect(modules.filter((path) => !packed.includes(path.replace(/\.js$/, '.d.ts')))).toEqual([]);
  });

  it('brings nothing else with it', () => {
    expect(readdirSync(join(consumer, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['palimpsest']);
  });

  it('trains from ESM and from require(), without a word on stderr, to the same numbers', () => {
    const [esm, cjs] = ['use.mjs', 'use.cjs'].map((file) => run(process.execPath, [file], consumer));
    expect(esm!.stdout).toMatch(/^wasm-simd .*\[ 3, 12 \]/s);
    expect(cjs!.stdout).toBe(esm!.stdout);
    expect([esm!.stderr, cjs!.stderr]).toEqual(['', '']);
  });

  it('is one library, whichever way it is loaded', () => {
    const code = "import('palimpsest').then((p) => console.log(p.Tensor === require('palimpsest').Tensor))";
    expect(run(process.execPath, ['--input-type=commonjs', '--eval', code], consumer).stdout).toBe('true\n');
  });

  it.each([
    ['nodenext', ['--module', 'nodenext', '--moduleResolution', 'nodenext'], ['typed.mts', 'required.cts']],
    ['node16', ['--module', 'node16', '--moduleResolution', 'node16'], ['typed.mts']],
    ['bundler', ['--module', 'esnext', '--moduleResolution', 'bundler'], ['typed.mts']],
  ])('has types that hold in strict TypeScript without DOM and Node types, resolved as %s', (_, options, files) => {
    expect(typeErrors(options, files)).toBe('');
  });

  it('has nothing for publint to say', async () => {
    const { messages, pkg } = await publint({
      pkgDir: join(consumer, 'node_modules/palimpsest'),
      pack: false,
      strict: true,
    });
    expect(messages.map((message) => formatMessage(message, pkg!))).toEqual([]);
  });

  it('resolves to the right types for everyone; require() gets an ES module, as Node allows from 20.19 on', () => {
    const args = [tool('@arethetypeswrong/cli/dist/index.js'), tarball, '--ignore-rules', 'cjs-resolves-to-esm'];
    expect(run(process.execPath, args, consumer).stdout).toContain('No problems found');
  });

  it('works as a bundle, minified or not, away from what it was made of', async () => {
    const direct = run(process.execPath, ['use.mjs'], consumer).stdout;
    for (const minify of [false, true]) {
      const outfile = join(consumer, `bundle-${minify}.mjs`);
      const options = { bundle: true, format: 'esm', platform: 'neutral', logLevel: 'silent' } as const;
      await build({ entryPoints: [join(consumer, 'use.mjs')], outfile, minify, ...options });
      rmSync(join(consumer, 'moved'), { recursive: true, force: true });
      mkdirSync(join(consumer, 'moved'));
      cpSync(outfile, join(consumer, 'moved', 'program.mjs'));
      expect(run(process.execPath, [join('moved', 'program.mjs')], consumer).stdout).toBe(direct);
    }
  });
});

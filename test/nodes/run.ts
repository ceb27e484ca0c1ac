/**
 * The tests on other versions of Node, on Deno and on Bun: `npm run test:nodes`, or `npm run test:nodes -- 22 bun --quick`.
 *
 * Each platform is an npm package, put into .nodes/ when it is not there yet. They are no dependencies: a node binary among
 * these would take the place of the user's own in every script. On Node the whole suite is run, and the package is packed,
 * installed and used; on Deno and Bun the part that asks nothing of Node's command line. --quick runs the kernels, PyTorch's
 * values and the training runs alone.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Platform {
  readonly name: string;
  readonly package: string;
  /** What it has to be told before the script. */
  readonly flags: readonly string[];
  /** Runs of vitest: the arguments of each. */
  readonly suites: readonly (readonly string[])[];
}

const quick = ['test/golden.test.ts', 'test/kernels', 'test/browser'];
const folders = ['autograd', 'data', 'io', 'nn', 'ops', 'optim', 'random', 'state', 'storage', 'tensor'];

/** The kernels, PyTorch's values, training, and the tests of these folders but for one file. */
function part(leftOut: string): string[] {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, 'test', folder)).map((name) => `test/${folder}/${name}`),
  );
  return [...quick, ...files.filter((file) => file.endsWith('.test.ts') && file !== leftOut)];
}

const node = (version: string): Platform => ({
  name: version,
  package: `node@${version}`,
  flags: [],
  suites: [[], ['--config', 'vitest.slow.config.ts', 'test/slow/package.test.ts']],
});
const platforms: readonly Platform[] = [
  ...['20', '22', '24', '26'].map(node),
  {
    name: 'deno',
    package: 'deno',
    flags: ['run', '--allow-all'],
    // It starts processes with options of Node's.
    suites: [part('test/storage/fallback.test.ts')],
  },
  {
    name: 'bun',
    package: 'bun',
    flags: ['--bun'],
    // JavaScriptCore leaves a function that returns a call's result out of stack traces, so detectAnomaly names the line above.
    suites: [part('test/autograd/modes.test.ts')],
  },
];

/** The program of a platform, installed if need be; null where that cannot be done. */
function programOf({ name, package: wanted }: Platform): string | null {
  const folder = join(root, '.nodes', name);
  const program = join(folder, 'node_modules', '.bin', wanted.split('@')[0]!);
  if (!existsSync(program)) {
    console.log(`Installing ${wanted} into .nodes/${name}.`);
    const args = ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', folder, wanted];
    spawnSync('npm', args, { cwd: root, stdio: 'inherit' });
  }
  return existsSync(program) && spawnSync(program, ['--version']).status === 0 ? program : null;
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Runs vitest under a program. A run that leaves no report counts as one failure. */
function runSuite(program: string, flags: readonly string[], suite: readonly string[], report: string): Counts {
  rmSync(report, { force: true });
  const vitest = join('node_modules', 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', '--outputFile.json', report];
  const { status } = spawnSync(program, [...flags, vitest, 'run', ...suite, ...reporters], {
    cwd: root,
    stdio: 'inherit',
    // Scripts that tests start by name find this Node, too.
    env: { ...process.env, PATH: `${dirname(program)}${delimiter}${process.env.PATH}` },
  });
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
  const found = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
  const [passed, failed, skipped] = [found.numPassedTests ?? 0, found.numFailedTests ?? 0, found.numPendingTests ?? 0];
  return { passed, failed: failed === 0 && (status !== 0 || passed === 0) ? 1 : failed, skipped };
}

const args = process.argv.slice(2);
const names = args.filter((arg) => arg !== '--quick');
const unknown = names.filter((name) => !platforms.some((platform) => platform.name === name));
if (unknown.length > 0) {
  console.error(
    `test:nodes: ${unknown.join(', ')} is none of ${platforms.map(({ name }) => name).join(', ')}, --quick.`,
  );
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'palimpsest-nodes-'));
const lines: string[] = [];
let tried = 0;
for (const platform of platforms) {
  if (names.length > 0 && !names.includes(platform.name)) continue;
  const program = programOf(platform);
  if (program === null) {
    lines.push(
      `${platform.name}: not tried, since the package ${platform.package} could not be installed or does not start here.`,
    );
    continue;
  }
  tried++;
  const version = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout.split('\n')[0]!.trim();
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const began = Date.now();
  for (const suite of args.includes('--quick') ? [quick] : platform.suites) {
    const found = runSuite(program, platform.flags, suite, join(folder, 'report.json'));
    for (const key of ['passed', 'failed', 'skipped'] as const) counts[key] += found[key];
  }
  if (counts.failed > 0) process.exitCode = 1;
  const { passed, failed, skipped } = counts;
  const seconds = Math.round((Date.now() - began) / 1000);
  lines.push(`${platform.name} (${version}): ${passed} passed, ${failed} failed, ${skipped} skipped, in ${seconds} s`);
}
rmSync(folder, { recursive: true, force: true });
if (tried === 0) process.exitCode = 1;
console.log(['', ...lines].join('\n'));

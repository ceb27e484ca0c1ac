/**
 * Pages of their own, each served with the headers under test: content security policies that let WebAssembly be compiled or
 * not, isolation from other origins. What they load is one bundle of the library and the training runs.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type Browser, chromium as engine } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromium, chromiumFlags, missing } from './chromium.ts';
import { weightsByReference, weightsBySimd } from './expected.ts';
import type { Report } from './program.ts';

const headersOf: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  plain: {},
  isolated: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
  // Compiling WebAssembly is not among what a page's own scripts may do, unless the policy says so.
  strict: { 'Content-Security-Policy': "default-src 'self'; script-src 'self'" },
  lenient: { 'Content-Security-Policy': "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" },
};

interface Visit {
  readonly report: Report;
  readonly warnings: string[];
  readonly errors: string[];
}

describe.skipIf(missing !== null)('a page of its own', () => {
  let server: Server;
  let browser: Browser;
  /** Without a just-in-time compiler, and so without WebAssembly at all. */
  let withoutWasm: Browser;
  let address: string;

  beforeAll(async () => {
    const { outputFiles } = await build({
      entryPoints: [join(import.meta.dirname, 'program.ts')],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
      target: 'es2022',
      logLevel: 'error',
    });
    const program = outputFiles[0]!.contents;
    server = createServer(({ url = '' }, response) => {
      const [, kind, file] = new URL(url, 'http://localhost').pathname.split('/');
      const headers = headersOf[kind ?? ''];
      if (headers === undefined) return response.writeHead(204).end(); // The browser asks for an icon.
      const script = file === 'program.js' ? program : file === 'starter.js' ? starter : null;
      const type = script === null ? 'text/html' : 'text/javascript';
      response.writeHead(200, { 'Content-Type': type, ...headers }).end(script ?? htmlOf(file!));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await engine.launch({ executablePath: chromium, args: chromiumFlags });
    withoutWasm = await engine.launch({ executablePath: chromium, args: [...chromiumFlags, '--js-flags=--jitless'] });
  });
  afterAll(async () => {
    await browser?.close();
    await withoutWasm?.close();
    server?.close();
  });

  const htmlOf = (name: string) =>
    `<!doctype html><title>palimpsest</title><script type="module" src="${name}.js"></script>`;
  const starter = `
    const worker = new Worker('program.js', { type: 'module' });
    worker.onmessage = ({ data }) => { globalThis.report = data; };
    worker.onerror = ({ message }) => { globalThis.report = 'The worker: ' + message; };
  `;

  async function visit(kind: string, where: string, by = browser, query = ''): Promise<Visit> {
    const page = await by.newPage();
    try {
      const [warnings, errors]: string[][] = [[], []];
      page.on('console', (message) => {
        if (message.type() === 'warning') warnings!.push(message.text());
        if (message.type() === 'error') errors!.push(message.text());
      });
      page.on('pageerror', (error) => errors!.push(String(error)));
      await page.goto(`${address}/${kind}/${where === 'a worker' ? 'starter' : 'program'}${query}`, {
        waitUntil: 'commit',
      });
      const found = await page.waitForFunction(() => (globalThis as { report?: Report | string }).report, null, {
        timeout: 0,
      });
      const report = (await found.jsonValue()) as Report | string;
      if (typeof report === 'string') expect.fail(report);
      expect(Object.keys(report.outcomes)).not.toEqual([]);
      return { report, warnings: warnings!, errors: errors! };
    } finally {
      await page.close();
    }
  }

  const hashes = ({ outcomes }: Report) =>
    Object.fromEntries(Object.entries(outcomes).map(([name, { hash }]) => [name, hash]));
  const places = ['the page', 'a worker'];
  const kinds = ['plain', 'isolated', 'lenient'];

  it.each(kinds.flatMap((kind) => places.map((where) => [kind, where] as const)))(
    'compiles its kernels and learns the same weights as everywhere: %s, in %s',
    async (kind, where) => {
      const { report, warnings, errors } = await visit(kind, where);
      expect(report.kernels).toBe('wasm-simd');
      expect(report.isolated).toBe(kind === 'isolated');
      expect(weightsBySimd).toMatchObject(hashes(report));
      expect([...warnings, ...errors]).toEqual([]);
    },
  );

  /** What the reference kernels must have learned, and their one warning. */
  async function expectReference({ report, warnings }: Visit): Promise<void> {
    expect(report.kernels).toBe('reference');
    expect(warnings).toEqual([
      expect.stringMatching(/^palimpsest: using the plain TypeScript kernels.*policy refuses/),
    ]);
    expect(weightsByReference).toMatchObject(hashes(report));
    const usual = await visit('plain', 'the page');
    for (const [name, { losses }] of Object.entries(report.outcomes)) {
      const compiled = usual.report.outcomes[name]!.losses;
      for (let step = 0; step < 20; step++) expect(Math.abs(losses[step]! - compiled[step]!)).toBeLessThan(1e-4);
    }
  }

  it.each(places)(
    'where a policy forbids to compile, the reference kernels learn the same, with one warning: in %s',
    async (where) => expectReference(await visit('strict', where)),
  );

  it('in a browser without WebAssembly it is the same', async () => {
    await expectReference(await visit('plain', 'the page', withoutWasm, '?MLP under Adam'));
  });
});

if (missing !== null) {
  console.warn(missing);
  it.skip(missing, () => {});
}

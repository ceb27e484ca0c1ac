import { existsSync } from 'node:fs';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { chromium, chromiumFlags } from './test/browser/chromium.ts';

/**
 * Tests in Chromium (Debian's package; CHROMIUM names another one). In a page: the tests of the kernels as they are, PyTorch's
 * values, training. In a page that is isolated from other origins: training. From outside: pages under a content security
 * policy, which vitest's own page could not work under.
 */
const isolating = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

const inPage = (name: string, include: string[], headers: Record<string, string>): TestProjectInlineConfiguration => ({
  extends: true,
  // What golden.test.ts asks of Node is its file of numbers: in a page it comes by fetch.
  resolve: { alias: { 'node:fs': here('files-of-page.ts'), 'node:path': here('files-of-page.ts') } },
  define: { 'process.env.GOLDEN_DIR': 'undefined' },
  server: { headers },
  test: {
    name,
    include,
    exclude: ['test/kernels/vector-math.test.ts'], // It reads sources.
    provide: { isolated: headers === isolating },
    isolate: false,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: { executablePath: chromium, args: chromiumFlags } }),
      instances: [{ browser: 'chromium' }],
    },
  },
});

function here(file: string): string {
  return new URL(`./test/browser/${file}`, import.meta.url).pathname;
}

const always = ['test/browser/training.test.ts', 'test/browser/isolation.page.ts'];
const fromOutside: TestProjectInlineConfiguration = {
  extends: true,
  test: { name: 'pages of their own', include: ['test/browser/*.chromium.ts'], testTimeout: 120_000 },
};

export default defineConfig({
  test: {
    testTimeout: 60_000,
    projects: existsSync(chromium)
      ? [
          inPage(
            'page',
            ['test/kernels/*.test.ts', 'test/golden.test.ts', 'test/browser/kernels.test.ts', ...always],
            {},
          ),
          inPage('isolated page', always, isolating),
          fromOutside,
        ]
      : [fromOutside],
  },
});

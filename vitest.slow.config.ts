import { defineConfig } from 'vitest/config';

/** Long loops and killed processes: what would make `npm test` wait. */
export default defineConfig({
  test: {
    include: ['test/slow/**/*.test.ts'],
    execArgv: ['--expose-gc'],
    testTimeout: 300_000,
    fileParallelism: false,
  },
});

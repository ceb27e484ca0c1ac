import { defineConfig } from 'vitest/config';

/**
 * Tests of pure functions: their files share a process, because loading the library anew for each takes longer than most of
 * them. Files that define ops, count what the whole process holds, or set memory up otherwise run apart.
 */
const together = ['continual', 'data', 'importance', 'io', 'kernels', 'nn', 'ops', 'random', 'rules', 'tensor'].map(
  (folder) => `test/${folder}/**/*.test.ts`,
);
const apart = [
  'test/ops/feasible.test.ts',
  'test/rules/selective.test.ts',
  'test/rules/predictive/**',
  'test/rules/essay.test.ts',
];

export default defineConfig({
  test: {
    execArgv: ['--expose-gc'],
    // All cores: one is left idle by default, which on two is half of them.
    maxWorkers: '100%',
    // A busy machine makes a test of a second take many; what hangs still ends.
    testTimeout: 20_000,
    projects: [
      { extends: true, test: { name: 'together', include: together, exclude: apart, isolate: false } },
      {
        extends: true,
        test: { name: 'apart', include: ['test/**/*.test.ts'], exclude: ['test/slow/**', ...together, ...apart] },
      },
      { extends: true, test: { name: 'apart too', include: apart.map((path) => path.replace('**', '*.test.ts')) } },
    ],
  },
});

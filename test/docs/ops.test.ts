/** The table of ops in the documents is the registry's. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { opsDocument } from '../../bench/docs/ops.ts';
import { root } from './snippet.ts';

it('lists every op as it is now; where not, run: npx tsx bench/docs/ops.ts', () => {
  expect(readFileSync(join(root, 'docs/ops.md'), 'utf8')).toBe(opsDocument());
});

/** A run that is killed at any moment leaves its result file as it was, or complete: never half written. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'palimpsest-kill-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const program = ['--import', 'tsx', 'bench/learning/main.ts', '--model', 'linear', '--epochs', '1'];

/** Runs the program for at most `milliseconds`, then kills it without warning. Whether it ended by itself. */
function runFor(milliseconds: number, file: string): Promise<boolean> {
  const child = spawn(process.execPath, [...program, '--json', file], {
    cwd: join(import.meta.dirname, '../..'),
    stdio: 'ignore',
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), milliseconds);
  return new Promise((resolve) =>
    child.on('exit', (code) => {
      clearTimeout(timer);
      resolve(code === 0);
    }),
  );
}

describe('npm start -- --json FILE, killed', () => {
  it('leaves the old file or the whole new one', async () => {
    const before = '{"old": true}\n';
    const outcomes: string[] = [];
    for (const milliseconds of [300, 700, 1000, 1300, 1600, 60_000]) {
      const file = join(folder, `${milliseconds}.json`);
      writeFileSync(file, before);
      const finished = await runFor(milliseconds, file);
      const after = readFileSync(file, 'utf8');
      const isNew = after !== before;
      if (isNew) expect((JSON.parse(after) as { runs: unknown[] }).runs).toHaveLength(1);
      else expect(finished).toBe(false);
      outcomes.push(isNew ? 'new' : 'old');
    }
    expect(outcomes[0]).toBe('old');
    expect(outcomes.at(-1)).toBe('new');
  });
});

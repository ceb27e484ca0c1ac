/** An experiment that is killed ten times at random, and started again each time, ends in the bits of one that was left in peace. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { mergeCommand } from '../../bench/learning/jobs/merge-command.ts';
import { Generator } from '../../src/index.ts';
import { checkpointsIn, resultsIn, runFor, timeless } from '../bench/learning/jobs/kill.ts';

const folder = mkdtempSync(join(tmpdir(), 'palimpsest-kill-jobs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const kills = 10;
const command = [
  ...['plasticity', '--problem', 'regression', '--change', 'all', '--jobs-at-once', '2', '--seeds', '1'],
  ...['--algorithms', 'continual-backprop,shrink-perturb,self-normalised,redo', '--steps', '200000'],
];
const forever = 200_000;
const silent = { write: () => true } as unknown as NodeJS.WriteStream;

describe('npm start -- plasticity --results DIR, killed ten times', () => {
  it('ends in the bits of an undisturbed run, and goes on from the middle of jobs', async () => {
    const [whole, parts] = [join(folder, 'whole'), join(folder, 'parts')];
    const start = performance.now();
    expect(await runFor([...command, '--results', whole], forever)).toMatchObject({ ended: true });
    const took = performance.now() - start;

    const generator = new Generator(20261122);
    let [interrupted, resumed] = [0, 0];
    let before = new Map<string, number>();
    for (let kill = 0; kill < kills; kill++) {
      const { ended, said } = await runFor([...command, '--results', parts], took * (0.15 + 0.3 * generator.uniform()));
      expect(said).not.toMatch(/starts over/);
      if (ended) break;
      interrupted++;
      const now = checkpointsIn(parts);
      for (const [job, step] of before) {
        const later = now.get(job);
        // Nothing that was done is lost: a job is further on than it was, as far, or done.
        if (later === undefined) expect(readdirSync(parts)).toContain(`${job}.json`);
        else expect(later).toBeGreaterThanOrEqual(step);
        if (step > 0 && (later ?? Number.POSITIVE_INFINITY) > step) resumed++;
      }
      before = now;
    }
    expect((await runFor([...command, '--results', parts], forever)).ended).toBe(true);
    console.log(
      `${interrupted} kills of a run of ${(took / 1000).toFixed(1)} s; ${resumed} times a job went on from its middle`,
    );
    expect(resumed).toBeGreaterThan(2);

    expect(Object.keys(resultsIn(parts))).toHaveLength(4);
    expect(resultsIn(parts)).toEqual(resultsIn(whole));
    expect(checkpointsIn(parts).size).toBe(0);
    const merged = await Promise.all(
      [whole, parts].map(async (results) => {
        const json = `${results}.json`;
        await mergeCommand.start(['--parts', results, '--into', results, '--json', json], silent);
        return timeless(readFileSync(json, 'utf8'));
      }),
    );
    expect(merged[1]).toBe(merged[0]);
  });
});

/** A grid of importance that is killed again and again in its middle, with kill -9, ends in the rows of one that was left in peace. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkpointsIn, runFor } from '../bench/learning/jobs/kill.ts';

const folder = mkdtempSync(join(tmpdir(), 'palimpsest-kill-importance-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const command = [
  ...['importance', '--experiments', 'removal,anchors', '--models', 'tiny', '--aggregations', 'none,unit'],
  ...['--measures', 'random,magnitude,signFlips,fisherExact,synapticIntelligence,riemannianWalk,oracle'],
  ...['--epochs', '1', '--thresholds', '11', '--held-out', '500', '--seeds', '1', '--jobs-at-once', '1'],
];
const forever = 200_000;

/** A result without its times, which are members of `seconds`. */
const essence = (path: string): unknown =>
  JSON.parse(readFileSync(path, 'utf8'), (name, value) => (name === 'seconds' || name === 'about' ? 0 : value));

describe('npm start -- importance --results DIR, killed in the middle of its jobs', () => {
  it('goes on from there, and gives the same CSV row for row, and the same JSON but for its times', async () => {
    const files = (name: string): string[] => [
      ...['--results', join(folder, name), '--csv', join(folder, `${name}.csv`)],
      ...['--json', join(folder, `${name}.json`)],
    ];
    expect(await runFor([...command, ...files('whole')], forever)).toMatchObject({ ended: true });

    const parts = join(folder, 'parts');
    let kills = 0;
    let resumed = 0;
    for (;;) {
      // As soon as a job has more of its measures done than when it began, or is done, all of its processes are killed.
      const at = stateOf(parts);
      const furtherOn = (): boolean => stateOf(parts) !== at;
      const { ended, said } = await runFor([...command, ...files('parts')], furtherOn);
      expect(said).not.toMatch(/starts over/);
      if (ended) break;
      if (/ [1-9]/.test(at)) resumed++;
      if (++kills > 40) throw new Error('It does not get on.');
    }
    console.log(`${kills} kills; ${resumed} times a job went on from its middle`);
    expect(resumed).toBeGreaterThan(2);

    const [csv, whole] = ['parts', 'whole'].map((name) => readFileSync(join(folder, `${name}.csv`), 'utf8'));
    expect(csv).toBe(whole);
    // Measures, two groupings, two directions, thresholds, and the head.
    expect(csv!.trimEnd().split('\n')).toHaveLength(7 * 2 * 2 * 11 + 1);
    expect(essence(join(folder, 'parts.json'))).toEqual(essence(join(folder, 'whole.json')));
    expect(readdirSync(parts).sort()).toEqual(readdirSync(join(folder, 'whole')).sort());
    expect(checkpointsIn(parts).size).toBe(0);
  });
});

/** Jobs that are done, and how far the one is that is not. */
function stateOf(results: string): string {
  let there: string[];
  try {
    there = readdirSync(results);
  } catch {
    return '0';
  }
  const done = there.filter((name) => name.endsWith('.json')).length;
  return `done${done} ${[...checkpointsIn(results).values()].join(' ')}`;
}

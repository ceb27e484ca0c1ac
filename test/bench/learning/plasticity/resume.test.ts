/** A run that is interrupted anywhere, any number of times, gives the bits of one that is not. That the whole command does is test/slow/kill-jobs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { JobCheckpoint } from '../../../../bench/learning/jobs/checkpoint.ts';
import type { CheckpointPlace } from '../../../../bench/learning/jobs/job.ts';
import { ALGORITHMS } from '../../../../bench/learning/plasticity/algorithms.ts';
import { CHUNK } from '../../../../bench/learning/plasticity/problem.ts';
import { type Run, type RunSettings, runOne } from '../../../../bench/learning/plasticity/run.ts';
import { Generator, Linear, SGD } from '../../../../src/index.ts';
import { dataFolder, temporaryFolder } from '../folder.ts';

/** Saves after every chunk, and is killed right after. */
class Killed extends JobCheckpoint {
  override get isDue(): boolean {
    return true;
  }
  override async save(parts: Parameters<JobCheckpoint['save']>[0]): Promise<void> {
    await super.save(parts);
    throw new Error('killed');
  }
}

/** What makes an algorithm do in a few thousand steps all that it does: else what it forgets would not show. */
const busy: Record<string, object> = {
  'continual-backprop': { rate: 0.01, maturity: 50, decay: 0.999 },
  'shrink-perturb': { sigma: 0.01, every: 300 },
  upgd: { sigma: 0.1 },
  redo: { every: 1100, examples: 700, threshold: 0.9 },
  'self-normalised': { rejection: 0.01, patience: 300 },
  'weight-reset': { rate: 1e-4, maturity: 1200, decay: 0.999 },
};

const told = (algorithm: string, problem: 'regression' | 'permuted', data: string | null): RunSettings => {
  const { settings } = ALGORITHMS.find(({ name }) => name === algorithm)!;
  return {
    ...{ problem, algorithm, settings: { ...settings[problem], ...busy[algorithm] }, seed: 3 },
    ...{ steps: 4 * CHUNK, binSize: 2 * CHUNK, change: 'all', data },
  };
};
const essence = (run: Run): string => JSON.stringify({ ...run, seconds: 0 });

/** Runs it in pieces of one chunk. Gives the run and how often it was killed. */
async function inPieces(settings: RunSettings, place: CheckpointPlace): Promise<{ run: Run; kills: number }> {
  for (let kills = 0; ; kills++) {
    try {
      return { run: await runOne(settings, undefined, new Killed(place, fail)), kills };
    } catch (error) {
      if (!(error instanceof Error && error.message === 'killed')) throw error;
    }
  }
}
const fail = (word: string): never => {
  throw new Error(word);
};

describe('a run in pieces', () => {
  for (const { name } of ALGORITHMS)
    it(`of ${name} gives the bits of one in one go`, async () => {
      const settings = told(name, 'regression', null);
      const { run, kills } = await inPieces(settings, { job: name, path: join(temporaryFolder(), 'x') });
      expect(kills).toBe(4);
      expect(essence(run)).toBe(essence(await runOne(settings)));
      expect(run.bins).toHaveLength(2);
    });

  it('of permuted images does too', async () => {
    const settings = told('continual-backprop', 'permuted', dataFolder());
    const place = { job: 'images', path: join(temporaryFolder(), 'x') };
    const { run } = await inPieces({ ...settings, steps: 2 * CHUNK, binSize: 2 * CHUNK }, place);
    expect(essence(run)).toBe(essence(await runOne({ ...settings, steps: 2 * CHUNK, binSize: 2 * CHUNK })));
  });

  it('counts the time of all pieces', async () => {
    let clock = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => {
      clock += 100;
      return clock;
    });
    onTestFinished(() => void vi.restoreAllMocks());
    const place = { job: 'time', path: join(temporaryFolder(), 'x') };
    // The last piece alone, which has no step to do, takes 0.1 s of this clock.
    expect((await inPieces(told('l2', 'regression', null), place)).run.seconds).toBe(0.5);
  });

  it('does not count the time of saving', async () => {
    let clock = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => clock);
    onTestFinished(() => void vi.restoreAllMocks());
    class Slow extends JobCheckpoint {
      override get isDue(): boolean {
        return true;
      }
      override async save(parts: Parameters<JobCheckpoint['save']>[0]): Promise<void> {
        const slow = {
          get extra() {
            clock += 1000;
            return null;
          },
        };
        await super.save(Object.defineProperties({ ...parts }, Object.getOwnPropertyDescriptors(slow)));
      }
    }
    const checkpoint = new Slow({ job: 'time', path: join(temporaryFolder(), 'x') });
    expect((await runOne(told('l2', 'regression', null), undefined, checkpoint)).seconds).toBe(0);
    expect(checkpoint.saving).toBe(clock);
    expect(clock).toBeGreaterThan(0);
  });
});

describe('a checkpoint of a job', () => {
  const make = (seed: number) => {
    const model = new Linear(2, 2, { generator: new Generator(seed) });
    return { model, optimizer: new SGD(model.parameters(), { lr: seed }) };
  };
  const valuesOf = ({ model }: ReturnType<typeof make>) => model.weight.toArray();
  const open = (path: string, job = 'a') => {
    const words: string[] = [];
    return { words, checkpoint: new JobCheckpoint({ job, path }, (word) => words.push(word)) };
  };

  it('is not there at first, and then brings everything back', async () => {
    const path = join(temporaryFolder(), 'x');
    const { words, checkpoint } = open(path);
    const [one, other] = [make(1), make(2)];
    const before = valuesOf(other);
    expect(checkpoint.resume(other)).toBe(0);
    expect(valuesOf(other)).toEqual(before);
    await checkpoint.save({ ...one, step: 7 });
    expect(checkpoint.resume(other)).toBe(7);
    expect(valuesOf(other)).toEqual(valuesOf(one));
    expect(other.optimizer.lr).toBe(1);
    expect(words).toEqual([]);
  });

  it('that is damaged anywhere, cut short, or of another job is not gone on from, with a word', async () => {
    const path = join(temporaryFolder(), 'x');
    await open(path).checkpoint.save({ ...make(1), step: 7 });
    const whole = readFileSync(path);
    const other = make(2);
    const before = valuesOf(other);
    const refused = (bytes: Uint8Array, job = 'a'): void => {
      writeFileSync(path, bytes);
      const { words, checkpoint } = open(path, job);
      expect(checkpoint.resume(other)).toBe(0);
      expect(words).toEqual([`${job} starts over: it cannot go on from ${path}. It is damaged, or of another job.`]);
      expect(valuesOf(other)).toEqual(before);
    };
    for (let at = 0; at < whole.length; at += 41) {
      const bytes = Uint8Array.from(whole);
      bytes[at]! ^= 4;
      refused(bytes);
    }
    for (const length of [0, 10, 32, whole.length - 1]) refused(whole.subarray(0, length));
    refused(whole, 'b');
    writeFileSync(path, whole);
    expect(open(path).checkpoint.resume(other)).toBe(7);
  });

  it('of another network is not gone on from either', async () => {
    const path = join(temporaryFolder(), 'x');
    await open(path).checkpoint.save({ ...make(1), step: 7 });
    const { words, checkpoint } = open(path);
    const model = new Linear(3, 2);
    expect(checkpoint.resume({ model, optimizer: new SGD(model.parameters(), { lr: 1 }) })).toBe(0);
    expect(words[0]).toMatch(/^a starts over: .* model cannot take what the checkpoint holds\./);
  });

  it('that cannot be written costs a word, not the job', async () => {
    const { words, checkpoint } = open(join(temporaryFolder(), 'nowhere', 'x'));
    await checkpoint.save({ ...make(1), step: 7 });
    expect(words).toEqual([
      expect.stringMatching(/^a goes on, but would start over after a kill\. writeFileAtomically: /),
    ]);
  });

  it('comes soon, then more and more seldom, and never for more than a twentieth of the time', async () => {
    let [clock, cost] = [0, 0];
    vi.spyOn(performance, 'now').mockImplementation(() => clock);
    onTestFinished(() => void vi.restoreAllMocks());
    const { checkpoint } = open(join(temporaryFolder(), 'x'));
    /** Milliseconds until the next one is due. */
    const pause = async (): Promise<number> => {
      const start = clock;
      while (!checkpoint.isDue) clock += 10;
      const waited = clock - start;
      const parts = { ...make(1), step: 7 };
      Object.defineProperty(parts, 'extra', {
        enumerable: true,
        get: () => {
          clock += cost;
          return null;
        },
      });
      await checkpoint.save(parts);
      return waited;
    };
    expect(await pause()).toBe(250);
    expect(await pause()).toBe(250);
    clock = 100_000;
    expect(await pause()).toBe(0);
    expect(await pause()).toBe(10_000);
    clock = 1_000_000;
    cost = 1;
    expect([await pause(), await pause()]).toEqual([0, 30_000]);
    expect(checkpoint.saving).toBeGreaterThan(0);
    cost = 5000;
    await pause();
    expect(await pause()).toBeGreaterThanOrEqual(100_000);
  });
});

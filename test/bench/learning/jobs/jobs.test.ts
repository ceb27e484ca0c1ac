import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { mergeFolders, readFolder, readResult, writeResult } from '../../../../bench/learning/jobs/folder.ts';
import { canonical, type Job, jobsOfPart, makeJob } from '../../../../bench/learning/jobs/job.ts';
import { mergeCommand } from '../../../../bench/learning/jobs/merge-command.ts';
import { JOBS_OPTIONS, runAsTold } from '../../../../bench/learning/jobs/options.ts';
import { describe as described } from '../../../../bench/learning/jobs/progress.ts';
import { type JobsStatus, runJobs } from '../../../../bench/learning/jobs/run.ts';
import { temporaryFolder } from '../folder.ts';
import { tiny } from './tiny.ts';

const MODULE = pathToFileURL(join(import.meta.dirname, 'tiny.ts')).href;
const slow = { timeout: 60_000 };
const silent = { write: () => true } as unknown as NodeJS.WriteStream;

const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));

async function until(happened: () => boolean): Promise<void> {
  for (let waited = 0; !happened(); waited += 20) {
    if (waited > 30_000) throw new Error('It did not happen within 30 s.');
    await setTimeout(20);
  }
}

describe('a job', () => {
  it('has an id of readable words and a hash of its settings, whatever their order', () => {
    const { id } = makeJob(['Permuted MNIST', 'l2', 3], { seed: 3, rates: [0.1, { b: 1, a: null }] });
    expect(id).toMatch(/^permuted-mnist_l2_3_[0-9a-f]{10}$/);
    expect(makeJob(['Permuted MNIST', 'l2', 3], { rates: [0.1, { a: null, b: 1 }], seed: 3 }).id).toBe(id);
    expect(makeJob(['Permuted MNIST', 'l2', 3], { seed: 4, rates: [0.1, { b: 1, a: null }] }).id).not.toBe(id);
    // Ids are names of files that outlive programs: they must not change.
    expect(makeJob(['a'], { b: 1 }).id).toBe('a_eb8ed3ccb5');
  });

  it('refuses settings that JSON does not keep', () => {
    expect(() => canonical({ lr: Number.NaN })).toThrow(/no plain data/);
    expect(canonical({ b: -0, a: 'x"y', A: [true, null] })).toBe('{"A":[true,null],"a":"x\\"y","b":0}');
  });

  it('is in one part of n, and parts differ by one job at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 12 }), (jobs, count) => {
        const all = Array.from({ length: jobs }, (_, number) => tiny({ number }));
        const parts = Array.from({ length: count }, (_, i) => jobsOfPart(all, { index: i + 1, count }));
        expect(
          parts
            .flat()
            .map(({ id }) => id)
            .sort(),
        ).toEqual(all.map(({ id }) => id).sort());
        const sizes = parts.map(({ length }) => length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        // The order in which jobs are listed is nothing to go by.
        expect(jobsOfPart(all.reverse(), { index: 1, count })).toEqual(parts[0]);
      }),
      { seed: 20261120 },
    );
  });
});

describe('running jobs', () => {
  it('gives parts that merge into what one run gives, byte for byte', slow, async () => {
    const jobs = [5, 1, 4, 2, 3].map((number) => tiny({ number }));
    const [whole, ...parts] = [temporaryFolder(), temporaryFolder(), temporaryFolder(), temporaryFolder()];
    const options = (results: string, part: string) => ({
      ...{ results, 'jobs-at-once': 2, jobs: part === '' ? null : JOBS_OPTIONS.jobs.read('--jobs', part) },
    });
    const [all] = await Promise.all([
      runAsTold(jobs, MODULE, options(whole!, ''), silent),
      ...parts.map((folder, i) => runAsTold(jobs, MODULE, options(folder, `${i + 1}/3`), silent)),
    ]);
    expect(parts.map((folder) => readdirSync(folder).length)).toEqual([2, 2, 1]);
    expect(all.map(({ result }) => result)).toEqual([1, 4, 9, 16, 25].map((square) => ({ square, notFinite: null })));
    const results = temporaryFolder();
    const [into, one, other] = [join(results, 'merged'), join(results, 'one.json'), join(results, 'other.json')];
    await mergeCommand.start(['--parts', [...parts].reverse().join(), '--into', into, '--json', one], silent);
    await mergeCommand.start(['--parts', whole!, '--into', whole!, '--json', other], silent);
    expect(filesOf(into)).toEqual(filesOf(whole!));
    expect(readFileSync(one, 'utf8')).toBe(readFileSync(other, 'utf8'));
    expect(JSON.parse(readFileSync(one, 'utf8')).jobs.map(({ id }: Job) => id)).toEqual(
      jobs.map(({ id }) => id).sort(),
    );
  });

  it(
    'goes on after a kill: what is done stays, what was running starts over, nothing is left running',
    slow,
    async () => {
      const folder = temporaryFolder();
      const [gate, log, list] = ['gate', 'log', 'jobs'].map((name) => join(temporaryFolder(), name)) as [
        string,
        string,
        string,
      ];
      const jobs = [1, 2, 3, 4].map((number) => tiny(number === 2 ? { number, log, gate } : { number, log }));
      // Both of the first two places are taken by the held job and its neighbour; the others come after.
      const more = [...jobs, tiny({ number: 5, log, gate })];
      writeFileSync(list, JSON.stringify(more));
      const runner = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'runner.ts'), list, folder]);
      const results = () => readdirSync(folder).filter((name) => name.endsWith('.json'));
      const started = () =>
        readFileSync(log, { encoding: 'utf8', flag: 'a+' })
          .trim()
          .split('\n')
          .map((line) => line.split(' ').map(Number));
      // Where this fails, nothing may be left running either.
      onTestFinished(() => {
        runner.kill('SIGKILL');
        for (const [, pid] of started()) if (pid !== undefined && isRunning(pid)) process.kill(pid, 'SIGKILL');
      });
      await until(() => results().length === 3 && started().length === 5);
      runner.kill('SIGKILL');
      await new Promise((resolve) => runner.on('exit', resolve));
      const before = filesOf(folder);
      const held = started().filter(([number]) => number === 2 || number === 5);
      await until(() => held.every(([, pid]) => !isRunning(pid!)));
      expect(filesOf(folder)).toEqual(before);

      writeFileSync(gate, '');
      const seen: JobsStatus[] = [];
      const done = await runJobs(more, { module: MODULE, atOnce: 2, folder, watch: (status) => seen.push(status) });
      expect(seen[0]).toMatchObject({ jobs: 5, found: 3, finished: 3 });
      expect(seen.at(-1)).toMatchObject({ jobs: 5, found: 3, finished: 5, running: 0, done: 1 });
      expect(done.map(({ result }) => (result as { square: number }).square)).toEqual([1, 4, 9, 16, 25]);
      const starts = started().map(([number]) => number!);
      expect(starts.toSorted()).toEqual([1, 2, 2, 3, 4, 5, 5]);
      expect(filesOf(folder)).toMatchObject(before);
    },
  );

  it('are told where they may keep a checkpoint, unless nothing is kept; with the result it goes', slow, async () => {
    const folder = temporaryFolder();
    const job = tiny({ number: 1, shows: 'checkpoint' });
    const path = join(folder, `.${job.id}.checkpoint`);
    writeFileSync(path, 'kept');
    const options = (results: string | null) => ({ results, 'jobs-at-once': 1, jobs: null });
    const [done] = await runAsTold([job], MODULE, options(folder), silent);
    expect(done?.result).toEqual({ job: job.id, path });
    expect(readdirSync(folder)).toEqual([`${job.id}.json`]);
    // Of a process that was killed between the two.
    writeFileSync(path, 'kept');
    await runAsTold([job], MODULE, options(folder), silent);
    expect(readdirSync(folder)).toEqual([`${job.id}.json`]);
    expect((await runAsTold([job], MODULE, options(null), silent))[0]?.result).toBeNull();
  });

  it('does the others when one fails, and says what failed and why', slow, async () => {
    const folder = temporaryFolder();
    const jobs = [tiny({ number: 1, end: 'throw' }), tiny({ number: 2, end: 'exit' }), tiny({ number: 3 })];
    const run = runJobs(jobs, { module: MODULE, atOnce: 3, folder });
    await expect(run).rejects.toThrow(
      /^2 of 3 jobs failed\. With --results, the same command runs only these again\.\n/,
    );
    await expect(run).rejects.toThrow(/tiny_1_[0-9a-f]+: Error: 1 is not to my taste\./);
    await expect(run).rejects.toThrow(/tiny_2_[0-9a-f]+: its process ended before the job was done \(exit code 3\)\./);
    expect(readdirSync(folder)).toEqual([`${jobs[2]!.id}.json`]);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a folder of results', () => {
  const job = tiny({ number: 1 });

  it('knows a job that is done, and never takes or overwrites the file of another', () => {
    const folder = temporaryFolder();
    expect(readResult(folder, job)).toBeNull();
    writeResult(folder, { ...job, result: { square: 1 } });
    expect(readResult(folder, job)).toEqual({ ...job, result: { square: 1 } });
    const other = { id: job.id, settings: { number: 2 } };
    expect(() => readResult(folder, other)).toThrow(/this is the result of another job/);
    for (const text of [
      '{"id": ',
      '3',
      '{"id": 1, "settings": {}, "result": 1}',
      '{"id": "x", "settings": 1, "result": 1}',
    ]) {
      writeFileSync(join(folder, `${job.id}.json`), text);
      expect(() => readResult(folder, job)).toThrow(/this is no result of a job\. Remove it/);
    }
  });

  it('has the same bytes for the same job, in whatever order its settings were written', () => {
    const [a, b] = [temporaryFolder(), temporaryFolder()];
    writeResult(a, { ...makeJob(['x'], { lr: 1, decay: { b: 2, a: 3 } }), result: 1 });
    writeResult(b, { ...makeJob(['x'], { decay: { a: 3, b: 2 }, lr: 1 }), result: 1 });
    expect(filesOf(a)).toEqual(filesOf(b));
  });

  it('is not disturbed by what killed processes left', () => {
    const folder = temporaryFolder();
    writeResult(folder, { ...job, result: 1 });
    writeFileSync(join(folder, `.${job.id}.0123456789ab.tmp`), '{"half": ');
    expect(readFolder(folder)).toEqual([{ ...job, result: 1 }]);
    writeResult(folder, { ...job, result: 2 });
    expect(readFolder(folder)).toEqual([{ ...job, result: 2 }]);
  });

  it('says when a file was renamed, and when it cannot be used', () => {
    const folder = temporaryFolder();
    writeResult(folder, { ...job, result: 1 });
    renameSync(join(folder, `${job.id}.json`), join(folder, 'mine.json'));
    expect(() => readFolder(folder)).toThrow(/mine\.json: this is the result of the job tiny_1/);
    expect(() => readFolder(join(folder, 'nowhere'))).toThrow(/cannot be read \(ENOENT\)/);
  });

  it('merges the same job from two folders if its results differ in their time alone', () => {
    const [a, b, c, into] = [temporaryFolder(), temporaryFolder(), temporaryFolder(), temporaryFolder()];
    writeResult(a, { ...job, result: { square: 1, seconds: 3 } });
    writeResult(b, { ...job, result: { square: 1, seconds: 4 } });
    writeResult(c, { ...job, result: { square: 2, seconds: 3 } });
    expect(mergeFolders([a, b], into)).toEqual([{ ...job, result: { square: 1, seconds: 3 } }]);
    expect(() => mergeFolders([a, c], into)).toThrow(/has one result in .* and another in/);
  });
});

describe('options of jobs', () => {
  it('reads parts as I/N and nothing else', () => {
    const { read } = JOBS_OPTIONS.jobs;
    expect(read('--jobs', '2/8')).toEqual({ index: 2, count: 8 });
    for (const text of ['0/8', '9/8', '1', '1/0', '-1/2', '1/2/3', 'a/b', '1.5/2'])
      expect(() => read('--jobs', text)).toThrow(
        `--jobs must be I/N with I from 1 to N, such as 2/8, but it is '${text}'.`,
      );
  });

  it('keeps a part somewhere, or does not run it', async () => {
    const run = runAsTold([], MODULE, { results: null, 'jobs-at-once': null, jobs: { index: 1, count: 2 } }, silent);
    await expect(run).rejects.toThrow(/--jobs needs --results/);
  });

  it('leaves nothing on the disk without --results', async () => {
    const folder = temporaryFolder();
    vi.stubEnv('TMPDIR', folder);
    onTestFinished(() => void vi.unstubAllEnvs());
    const options = { results: null, 'jobs-at-once': null, jobs: null };
    expect(await runAsTold([], MODULE, options, silent)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('tells the time that is left from its own jobs, not from those found', () => {
    const status = { jobs: 12, finished: 5, found: 4, running: 2, failed: 0, done: 0.5, seconds: 10 };
    expect(described(status)).toBe('5/12 jobs  50 %  30 s left  4 were done before');
    expect(described({ ...status, done: 4 / 12, failed: 1 })).toBe('5/12 jobs  33 %  4 were done before  1 failed');
  });
});

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  FORGETTING_OPTIONS,
  forgettingCommand,
  jobsOf,
  planned,
  runForgetting,
} from '../../../../bench/learning/forgetting/command.ts';
import { METHODS, methodOf } from '../../../../bench/learning/forgetting/methods.ts';
import { wordsOf } from '../../../../bench/learning/quick.ts';
import { dataFolder, temporaryFolder } from '../folder.ts';
import { nameOf, optionsReader } from '../options.ts';
import { screen } from '../screen.ts';

const optionsOf = optionsReader(FORGETTING_OPTIONS);

describe('npm start -- forgetting', () => {
  it('makes a job of each scenario, method and seed, which says all that its result depends on', async () => {
    const { jobs, left } = await jobsOf(
      optionsOf('--scenario', 'domain,class', '--methods', 'er,none', '--seeds', '2', '--order', 'reference'),
    );
    expect(left).toEqual([]);
    expect(jobs.map(nameOf)).toEqual(
      ['domain', 'class'].flatMap((scenario) =>
        ['er', 'none'].flatMap((method) => [1, 2].map((seed) => `split_${scenario}_${method}_seed${seed}`)),
      ),
    );
    expect(jobs[1]!.settings).toEqual({
      ...{ problem: 'split', scenario: 'domain', method: 'er', settings: { perClass: 100 }, seed: 2 },
      ...{ digits: [3, 1, 5, 6, 0, 2, 7, 4, 9, 8].flatMap((d, i, all) => (i % 2 ? [[all[i - 1], d]] : [])) },
      ...{ contexts: 5, hidden: [400, 400], lr: 0.001, batch: 128, iterations: 2000, data: null },
    });
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(8);
  });

  it('has the published settings of permuted images, and takes others', async () => {
    const permuted = ['--problem', 'permuted', '--methods', 'none', '--scenario', 'domain', '--seeds', '1'];
    const [usual] = (await jobsOf(optionsOf(...permuted))).jobs;
    expect(usual!.settings).toMatchObject({ hidden: [1000, 1000], lr: 0.0001, iterations: 5000, contexts: 10 });
    expect(usual!.settings).toMatchObject({ digits: null, batch: 128 });
    const [own] = (await jobsOf(optionsOf(...permuted, '--hidden', '200,100', '--iterations', '7', '--batch', '9')))
      .jobs;
    expect(own!.settings).toMatchObject({ hidden: [200, 100], iterations: 7, batch: 9 });
    expect(own!.id).not.toBe(usual!.id);
  });

  it('makes the same job of the same data, wherever they lie, and tells its process where that is', async () => {
    const [one, two] = [dataFolder(), dataFolder()];
    const job = async (folder: string) =>
      (await jobsOf(optionsOf('--methods', 'none', '--data', relative(process.cwd(), folder)))).jobs[0]!;
    const first = await job(one);
    expect(first.settings.data).toMatch(/^sha256:[0-9a-f]{16}$/);
    expect(first.here).toEqual({ data: one });
    expect((await job(two)).id).toBe(first.id);
  });

  it('has settings as published, by scenario', () => {
    const [ewc, online, si] = ['ewc', 'online-ewc', 'si'].map((name) =>
      (['task', 'domain', 'class'] as const).map((scenario) => methodOf(name).settings('split', scenario)),
    );
    expect(ewc).toEqual([{ lambda: 1e5 }, { lambda: 1e10 }, { lambda: 1e9 }]);
    expect(online).toEqual(ewc!.map((settings) => ({ ...settings, gamma: 1 })));
    expect(si).toEqual([10, 5e4, 5e3].map((strength) => ({ strength, damping: 0.1 })));
    expect(methodOf('lwf').settings('split', 'task')).toEqual({ temperature: 2 });
    expect(methodOf('a-gem').settings('split', 'class')).toEqual({ perClass: 100 });
    expect(methodOf('er').settings('permuted', 'class')).toEqual({ perClass: 10 });
  });

  it('leaves out methods where they have no meaning, with a sentence, and refuses where nothing is left', async () => {
    const { jobs, left } = await jobsOf(optionsOf('--methods', 'separate,none', '--seeds', '1'));
    expect(jobs.map(nameOf)).toEqual([
      'split_task_separate_seed1',
      ...['task', 'domain', 'class'].map((scenario) => `split_${scenario}_none_seed1`),
    ]);
    expect(left).toEqual(['separate is for task; it has no run in domain and class.']);
    await expect(jobsOf(optionsOf('--methods', 'separate', '--scenario', 'class'))).rejects.toThrow(
      '--methods: nothing is left to run. separate is for task; it has no run in class.',
    );
  });

  it('refuses what it does not know or what does not fit together, in a sentence', async () => {
    const { output } = screen(null);
    expect(() => optionsOf('--methods', 'none,magic')).toThrow(
      /^--methods takes names out of none, .*'magic' is none of them\.$/,
    );
    expect(() => optionsOf('--scenario', 'exam')).toThrow(
      "--scenario takes names out of task, domain, class, but 'exam' is none of them.",
    );
    expect(() => optionsOf('--hidden', '400,')).toThrow(/^--hidden must be whole numbers/);
    expect(() => optionsOf('--hidden', '0')).toThrow(/^--hidden must be whole numbers/);
    expect(() => optionsOf('--order', 'alphabetic')).toThrow('--order must be one of natural, reference');
    await expect(jobsOf(optionsOf('--problem', 'permuted', '--order', 'reference'))).rejects.toThrow(
      /^--order: .* It is for --problem split\.$/,
    );
    await expect(runForgetting(optionsOf('--json', 'x', '--html', 'x'), output)).rejects.toThrow(
      /--json names the same file/,
    );
    await expect(runForgetting(optionsOf('--reference', 'nowhere.json'), output)).rejects.toThrow(
      '--reference nowhere.json: there is no such file.',
    );
    for (const words of [
      ['--seeds', '2'],
      ['--hidden', '5'],
      ['--iterations', '5'],
      ['--methods', 'er'],
    ])
      expect(() => planned(optionsOf('--quick', ...words))).toThrow(
        `--quick says what ${words[0]} is; give one of them.`,
      );
  });

  it('plans something small with --quick: embedded digits, few methods, one seed', async () => {
    const { jobs } = await jobsOf(planned(optionsOf('--quick')));
    expect(jobs.length).toBeLessThanOrEqual(15);
    for (const { settings } of jobs)
      expect(settings).toMatchObject({ problem: 'split', data: null, seed: 1, iterations: 100, hidden: [100, 100] });
    const names = jobs.map(({ settings }) => settings.method);
    expect(names).toContain('none');
    expect(names).toContain('joint');
    expect(new Set(names).size).toBeLessThan(METHODS.length);
    const scenarios = (await jobsOf(planned(optionsOf('--quick', '--scenario', 'task')))).jobs;
    expect(new Set(scenarios.map(({ settings }) => settings.scenario))).toEqual(new Set(['task']));
  });

  it('writes runs and a report, and finds its jobs done the second time', { timeout: 60_000 }, async () => {
    const folder = temporaryFolder();
    const [results, json, again, html, reference] = ['results', 'a.json', 'b.json', 'a.html', 'r.json'].map((name) =>
      join(folder, name),
    ) as [string, string, string, string, string];
    writeFileSync(
      reference,
      JSON.stringify({
        code: 'someone/else',
        runs: [1, 2, 3].map((seed) => ({ scenario: 'task', method: 'none', seed, average_accuracy: 0.5 + seed / 10 })),
      }),
    );
    const words = [
      ...['--scenario', 'task', '--methods', 'none,joint', '--seeds', '1', '--iterations', '10', '--batch', '10'],
      ...['--hidden', '12', '--data', dataFolder(), '--results', results],
    ];
    const first = screen(null);
    await forgettingCommand.start([...words, '--json', json, '--html', html, '--reference', reference], first.output);
    expect(first.text()).toMatch(
      /^scenario +method +seeds +accuracy, % +forgetting +backward +forward +s a run +reference, % +its seeds +intervals meet$/m,
    );
    expect(first.text()).toMatch(/^2\/2 jobs {2}100 % {2}0 s left {2}split_task_/m);
    expect(first.text()).toMatch(/^task +none +1 .* 70\.00 ± 24\.84 +3 +one seed$/m);
    expect(first.text()).toMatch(/^task +joint +1 .* - +- +-$/m);
    const written = JSON.parse(readFileSync(json, 'utf8'));
    expect(written.runs.map(({ method, seed }: { method: string; seed: number }) => [method, seed])).toEqual([
      ['joint', 1],
      ['none', 1],
    ]);
    expect(Object.keys(written.runs[0])).toEqual([
      ...['problem', 'scenario', 'method', 'settings', 'seed', 'digits', 'contexts', 'hidden', 'lr', 'batch'],
      ...['iterations', 'initial', 'matrix', 'average', 'forgetting', 'bwt', 'fwt', 'seconds'],
    ]);
    expect(written.about.command).toMatch(
      /^npm start -- forgetting --problem split --scenario task --methods none,joint --seeds 1 --order natural --iterations 10 --hidden 12 --batch 10 --data .* --reference r\.json --results results --json a\.json --html a\.html$/,
    );
    const page = readFileSync(html, 'utf8');
    expect(page.match(/<svg /g)).toHaveLength(2);
    expect(page).toContain('Reference: someone/else.');
    expect(page).not.toMatch(/NaN|undefined|<script|https?:/);
    expect(page).not.toContain(folder);

    expect(readdirSync(results)).toHaveLength(2);
    const second = screen(null);
    await forgettingCommand.start([...words, '--json', again], second.output);
    expect(second.text()).not.toContain('jobs');
    expect(JSON.parse(readFileSync(again, 'utf8')).runs).toEqual(written.runs);
  });

  it('names the command as it can be given again: what --quick says is not said twice', () => {
    const words = (...args: string[]) => wordsOf('forgetting', optionsOf(...args), FORGETTING_OPTIONS).join(' ');
    expect(words('--quick', '--scenario', 'class', '--json', 'a.json')).toBe(
      'forgetting --scenario class --quick --json a.json',
    );
    expect(words('--methods', 'er', '--scenario', 'class', '--hidden', '3,4', '--jobs', '2/3')).toBe(
      'forgetting --problem split --scenario class --methods er --seeds 3 --order natural --hidden 3,4 --batch 128 --jobs 2/3',
    );
  });

  it('says what it leaves out; a part of the jobs may be empty, and then has no report', async () => {
    const folder = temporaryFolder();
    const [html, json] = [join(folder, 'a.html'), join(folder, 'a.json')];
    const words = ['--methods', 'none,separate', '--scenario', 'domain', '--seeds', '1', '--jobs', '2/2'];
    const { output, text: said } = screen(null);
    await forgettingCommand.start(
      [...words, '--results', join(folder, 'runs'), '--html', html, '--json', json],
      output,
    );
    expect(said()).toBe(
      `separate is for task; it has no run in domain.\n\nNo runs.\nNo report is written to ${html}.\n`,
    );
    expect(existsSync(html)).toBe(false);
    expect(JSON.parse(readFileSync(json, 'utf8')).runs).toEqual([]);
  });
});

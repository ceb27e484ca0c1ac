import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMBINATIONS } from '../../../../bench/learning/composition/combinations.ts';
import {
  COMPOSITION_OPTIONS,
  compositionCommand,
  jobsOf,
  planned,
  runComposition,
} from '../../../../bench/learning/composition/command.ts';
import { temporaryFolder } from '../folder.ts';
import { nameOf, optionsReader } from '../options.ts';
import { screen } from '../screen.ts';
import { imagesFolder } from './tiny.ts';

const optionsOf = optionsReader(COMPOSITION_OPTIONS);

describe('npm start -- composition', () => {
  it('makes a job of each combination and seed, which says all that its result depends on', async () => {
    const jobs = await jobsOf(optionsOf('--methods', 'ewc,none', '--seeds', '2'));
    expect(jobs.map(nameOf)).toEqual(['ewc_seed1', 'ewc_seed2', 'none_seed1', 'none_seed2']);
    expect(jobs[1]!.settings).toEqual({
      ...{ combination: 'ewc', settings: COMBINATIONS.find(({ name }) => name === 'ewc')!.strengths, seed: 2 },
      ...{ contexts: 30, iterations: 200, batch: 32, hidden: [100, 100], lr: 0.01, data: null },
    });
    const all = await jobsOf(optionsOf());
    expect(all).toHaveLength(5 * COMBINATIONS.length);
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  });

  it('makes the same job of the same data, wherever they lie', async () => {
    const [one, two] = [imagesFolder(), imagesFolder()];
    const job = async (data: string) => (await jobsOf(optionsOf('--methods', 'none', '--data', data)))[0]!;
    expect((await job(one)).settings.data).toMatch(/^sha256:[0-9a-f]{16}$/);
    expect((await job(one)).here).toEqual({ data: one });
    expect((await job(two)).id).toBe((await job(one)).id);
  });

  it('tunes on a seed that no run has: as many points for each combination that has strengths', async () => {
    const jobs = await jobsOf(optionsOf('--tune', '3', '--methods', 'none,ewc,all'));
    expect(jobs.map(nameOf)).toEqual(
      ['ewc', 'all'].flatMap((name) => [1, 2, 3].map((point) => `${name}_seed1001_point${point}`)),
    );
    const strengths = jobs.map(({ settings }) => settings.settings);
    expect(strengths[0]).toEqual({ lambda: 3.2 });
    expect(Object.keys(strengths[3] as object)).toEqual(['lambda', 'rate', 'floor']);
    await expect(jobsOf(optionsOf('--tune', '3', '--methods', 'none,joint'))).rejects.toThrow(
      '--methods: there is nothing to tune, none of these has a strength.',
    );
    expect(() => planned(optionsOf('--tune', '3', '--seeds', '2'))).toThrow(/^--tune .* leave --seeds out\.$/);
    expect(() => planned(optionsOf('--tune', '3', '--html', 'a.html'))).toThrow(/^--html: /);
  });

  it('plans something small with --quick, and refuses to overrule it', async () => {
    const jobs = await jobsOf(planned(optionsOf('--quick')));
    expect(jobs.map(nameOf)).toEqual(
      ['none', 'ewc', 'continual-backprop', 'all-protected'].map((name) => `${name}_seed1`),
    );
    for (const { settings } of jobs) expect(settings).toMatchObject({ contexts: 6, data: null });
    expect(() => planned(optionsOf('--quick', '--contexts', '9'))).toThrow(
      '--quick says what --contexts is; give one of them.',
    );
  });

  it('refuses what it does not know or what does not fit together, in a sentence', async () => {
    expect(() => optionsOf('--methods', 'magic')).toThrow(/^--methods takes names out of none, .*'magic' is none/);
    expect(() => optionsOf('--contexts', '1')).toThrow(/^--contexts must be a whole number from 2/);
    await expect(runComposition(optionsOf('--json', 'x', '--html', 'x'), screen(null).output)).rejects.toThrow(
      /--json names the same file/,
    );
  });

  it('writes runs and a report, and finds its jobs done the second time', { timeout: 60_000 }, async () => {
    const folder = temporaryFolder();
    const [results, json, html] = ['results', 'a.json', 'a.html'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const words = [
      ...['--methods', 'none,all-protected', '--seeds', '1', '--contexts', '2', '--iterations', '5'],
      ...['--data', imagesFolder(), '--results', results],
    ];
    const first = screen(null);
    await compositionCommand.start([...words, '--json', json, '--html', html], first.output);
    expect(first.text()).toMatch(/^combination +seeds +all, at the end, % +forgetting /m);
    expect(first.text()).toMatch(/^none +1 .* - +0\.\d$/m);
    const written = JSON.parse(readFileSync(json, 'utf8'));
    expect(Object.keys(written.runs[0])).toEqual([
      ...['combination', 'settings', 'seed', 'contexts', 'iterations', 'batch', 'hidden', 'lr', 'learned'],
      ...['remembered', 'last', 'average', 'forgetting', 'plasticity', 'replaced', 'dead', 'seconds'],
    ]);
    expect(written.about.command).toMatch(
      /^npm start -- composition --seeds 1 --methods none,all-protected --contexts 2 --iterations 5 --data /,
    );
    const page = readFileSync(html, 'utf8');
    expect(page).not.toContain(folder);
    expect(readdirSync(results)).toHaveLength(2);
    const second = screen(null);
    await compositionCommand.start(words, second.output);
    expect(second.text()).not.toContain('jobs');
  });

  it('has no report of a part that is empty', async () => {
    const folder = temporaryFolder();
    const html = join(folder, 'a.html');
    const { output, text: said } = screen(null);
    const words = ['--methods', 'none', '--seeds', '1', '--jobs', '2/2', '--results', join(folder, 'runs')];
    await compositionCommand.start([...words, '--html', html], output);
    expect(said()).toBe(`\nNo runs.\nNo report is written to ${html}.\n`);
    expect(existsSync(html)).toBe(false);
  });
});

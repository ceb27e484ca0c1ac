import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseOptions } from '../../../../bench/learning/command-line.ts';
import {
  IMPORTANCE_OPTIONS,
  type ImportanceOptions,
  importanceCommand,
  planned,
  runImportance,
} from '../../../../bench/learning/importance/command.ts';
import { COLUMNS, checkSameGrid, csvOf } from '../../../../bench/learning/importance/csv.ts';
import { jobsOf, MEASURE_NAMES, placesOf, type RunSettings } from '../../../../bench/learning/importance/grid.ts';
import { jsonText } from '../../../../bench/learning/importance/json.ts';
import { type Run, runOne } from '../../../../bench/learning/importance/run.ts';
import type { Done } from '../../../../bench/learning/jobs/folder.ts';
import type { Plain } from '../../../../bench/learning/jobs/job.ts';
import { withQuick } from '../../../../bench/learning/quick.ts';
import { dataFolder, temporaryFolder } from '../folder.ts';
import { screen } from '../screen.ts';

function optionsOf(...args: string[]): ImportanceOptions {
  const options = parseOptions(IMPORTANCE_OPTIONS, withQuick(args));
  if (options === 'help') throw new Error('This asks for help.');
  return options;
}
const nameOf = ({ id }: { id: string }): string => id.replace(/_[0-9a-f]{10}$/, '');
const told = ({ settings }: { settings: object }): RunSettings => settings as RunSettings;

describe('the grid', () => {
  it('has a job for each network, which says all that its result depends on', async () => {
    const { jobs, left } = await jobsOf(
      optionsOf('--tasks', 'embedded,function', '--models', 'tiny', '--measures', 'random,taylor', '--seeds', '2'),
    );
    expect(jobs.map(nameOf)).toEqual(
      ['embedded', 'function'].flatMap((task) => [1, 2].map((seed) => `${task}_tiny_seed${seed}`)),
    );
    expect(jobs[1]!.settings).toEqual({
      ...{ task: 'embedded', model: 'tiny', seed: 2, epochs: [5], measures: ['random', 'taylor'] },
      groupings: [
        ['none', 'layer'],
        ['unit', 'layer'],
      ],
      ...{ replacements: ['noise'], thresholds: 21, heldOut: 2000, measured: 1000, trained: 250 },
      ...{ batch: 64, lr: 0.001, data: null },
    });
    expect(told(jobs[2]!).epochs).toEqual([30]);
    expect(left).toEqual(['tiny has no convolutions and so no filters: --aggregations filter has no cells there.']);
  });

  it('has cells for all that can be combined, in the order of the options', async () => {
    const { jobs } = await jobsOf(
      optionsOf(
        ...['--models', 'cnn', '--measures', 'lamp,random', '--aggregations', 'filter,none', '--seeds', '1'],
        ...['--comparison', 'model,row', '--replacement', 'zero,noise', '--epochs', '0,3'],
      ),
    );
    const places = placesOf(told(jobs[0]!));
    expect(told(jobs[0]!).groupings).toEqual([
      ['filter', 'model'],
      ['none', 'model'],
      ['none', 'row'],
    ]);
    expect(places).toHaveLength(2 * 2 * 3 * 2 * 2);
    const lines = places.map((place) => Object.values(place).join(' '));
    expect(lines.slice(0, 3)).toEqual([
      '0 lamp filter model zero least',
      '0 lamp filter model zero most',
      '0 lamp filter model noise least',
    ]);
    expect(lines.at(-1)).toBe('3 random none row noise most');
    expect(new Set(lines).size).toBe(lines.length);
  });

  it('is the same wherever its data lie, and another with other data', async () => {
    const [one, two] = [dataFolder(), dataFolder()];
    const job = async (data: string) =>
      (await jobsOf({ ...optionsOf('--tasks', 'mnist', '--models', 'tiny', '--seeds', '1'), data })).jobs[0]!;
    const [first, second] = [await job(one), await job(two)];
    expect(first.id).toBe(second.id);
    expect(first.here).toEqual({ data: one });
    expect(told(first).data).toMatch(/^sha256:[0-9a-f]{16}$/);
  });

  it('leaves out what has no meaning, with a sentence', async () => {
    const { jobs, left } = await jobsOf(
      optionsOf(
        ...[
          '--tasks',
          'function,embedded',
          '--models',
          'cnn,tiny',
          '--aggregations',
          'none,unit,layer',
          '--seeds',
          '1',
        ],
        ...['--comparison', 'row,model', '--measures', 'fisherExact,fisherObd,snip'],
      ),
    );
    expect(jobs.map(nameOf)).toEqual(['function_tiny_seed1', 'embedded_cnn_seed1', 'embedded_tiny_seed1']);
    expect(told(jobs[0]!).measures).toEqual(['snip']);
    expect(told(jobs[1]!).measures).toEqual(['fisherExact', 'fisherObd', 'snip']);
    expect(left).toEqual([
      'fisherExact reads answers as classes; it has no cells in function.',
      'fisherObd reads answers as classes; it has no cells in function.',
      'cnn is for images; it has no cells in function.',
      'Within a row single weights are compared: --comparison row has no cells by unit.',
      'Whole layers have no others to be compared with within a layer: --aggregations layer needs --comparison model.',
    ]);
  });

  it('refuses where nothing is left: filters of a network without convolutions', async () => {
    await expect(jobsOf(optionsOf('--models', 'mlp', '--aggregations', 'filter'))).rejects.toThrow(
      'Nothing is left of this grid. mlp has no convolutions and so no filters: --aggregations filter has no cells there.',
    );
    await expect(jobsOf(optionsOf('--models', 'cnn', '--tasks', 'function'))).rejects.toThrow(
      /^Nothing is left of this grid\. .*cnn is for images; it has no cells in function\.$/,
    );
    await expect(jobsOf(optionsOf('--aggregations', 'layer'))).rejects.toThrow(/needs --comparison model\.$/);
  });
});

describe('the options', () => {
  it('refuse what they do not know, in a sentence', async () => {
    expect(() => optionsOf('--measures', 'random,magic')).toThrow(
      /^--measures takes names out of random, magnitude, .*'magic' is none of them\.$/,
    );
    expect(() => optionsOf('--aggregations', 'head')).toThrow(
      "--aggregations takes names out of none, unit, filter, layer, but 'head' is none of them.",
    );
    for (const count of ['1', '0', 'x', '2.5'])
      expect(() => optionsOf('--thresholds', count)).toThrow(/^--thresholds must be a whole number from 2 to 10001/);
    for (const epochs of ['2,1', '1,1', '', '-1', 'x'])
      expect(() => optionsOf(`--epochs=${epochs}`)).toThrow(
        /^--epochs (must be ascending whole numbers|needs a value)/,
      );
    await expect(jobsOf(optionsOf('--tasks', 'mnist'))).rejects.toThrow(
      '--tasks mnist: it needs --data DIR, a folder with the four files of the data set in IDX format, or one with a folder mnist that has them.',
    );
    await expect(runImportance(optionsOf('--csv', 'x', '--json', 'x'), screen(null).output)).rejects.toThrow(
      /another option names the same file/,
    );
    expect(() => planned(optionsOf('--quick', '--seeds', '9'))).toThrow('--quick says what --seeds is');
  });

  it('have the published five among the usual eight measures, and help that names all', () => {
    const usual = optionsOf().measures;
    expect(usual).toHaveLength(8);
    for (const name of ['random', 'fisherExact', 'signFlips', 'directionReversals', 'weightChange'])
      expect(usual).toContain(name);
    for (const name of MEASURE_NAMES) expect(importanceCommand.help).toContain(`  ${name}: `);
    expect(optionsOf()).toMatchObject({
      aggregations: ['none', 'unit', 'filter'],
      comparison: ['layer'],
      replacement: ['noise'],
    });
  });

  it('plan something small with --quick', async () => {
    const { jobs } = await jobsOf(planned(optionsOf('--quick')));
    expect(jobs).toHaveLength(4);
    for (const job of jobs) {
      expect(told(job)).toMatchObject({ task: 'embedded', model: 'tiny', data: null });
      expect(placesOf(told(job)).length * told(job).thresholds).toBeLessThan(1000);
    }
  });
});

describe('files', () => {
  let done: Done[];
  const words = ['--tasks', 'function', '--models', 'tiny', '--measures', 'magnitude,random', '--epochs', '0'];
  const small = [...words, '--aggregations', 'none', '--thresholds', '3', '--held-out', '20', '--seeds', '2'];
  beforeAll(async () => {
    const { jobs } = await jobsOf(optionsOf(...small));
    done = await Promise.all(
      jobs.map(async (job) => ({ ...job, result: (await runOne(told(job))) as unknown as Plain })),
    );
  });

  it('hold a row for each point, sorted by id and then as the grid', () => {
    const [head, ...rows] = csvOf([...done].reverse())
      .trimEnd()
      .split('\n');
    expect(head).toBe(
      'Epoch,Measure,Aggregation Level,Threshold Value,Loss,Validation Loss,Task,Model,Seed,Comparison,Replacement,Direction,Achieved Fraction,Accuracy',
    );
    expect(rows).toHaveLength(2 * 2 * 2 * 3);
    const shape = (row: string): string => {
      const f = row.split(',');
      expect(f).toHaveLength(COLUMNS.length);
      return [f[8], f[1], f[11], f[3], f[12]].join(' ');
    };
    expect(rows.slice(0, 7).map(shape)).toEqual([
      ...['0', '0.5', '1'].map((t) => `1 magnitude least ${t} ${t}`),
      ...['0', '0.5', '1'].map((t) => `1 magnitude most ${t} ${t}`),
      '1 random least 0 0',
    ]);
    expect(shape(rows.at(-1)!)).toBe('2 random most 1 1');
    const { curves } = done[0]!.result as unknown as Run;
    const { loss, validationLoss, accuracy } = curves[0]!.points[1]!;
    const fields = rows[1]!.split(',');
    expect([fields[4], fields[5], fields[13]]).toEqual([loss, validationLoss, accuracy].map(String));
  });

  it('leave a loss that is not finite empty', () => {
    const run = structuredClone(done[0]!.result) as unknown as { curves: { points: { loss: number | null }[] }[] };
    run.curves[0]!.points[0]!.loss = null;
    const line = csvOf([{ ...done[0]!, result: run as unknown as Plain }]).split('\n')[1]!;
    expect(line.split(',')[4]).toBe('');
  });

  it('of another grid are refused and left as they are', async () => {
    const path = join(temporaryFolder(), 'a.csv');
    const { jobs } = await jobsOf(optionsOf(...small));
    checkSameGrid('--csv', path, jobs);
    writeFileSync(path, csvOf(done));
    checkSameGrid('--csv', path, jobs);
    // A part of it is of the grid too.
    checkSameGrid('--csv', path, (await jobsOf(optionsOf(...small, '--replacement', 'zero,noise'))).jobs);
    const others = [
      ['--measures', 'magnitude'],
      ['--thresholds', '4'],
      ['--seeds', '1'],
      ['--comparison', 'model'],
      ['--epochs', '1'],
    ];
    for (const [name, value] of others) {
      const changed = small.map((word, i) => (small[i - 1] === name ? value! : word));
      const options = optionsOf(...(small.includes(name!) ? changed : [...small, name!, value!]), '--csv', path);
      await expect(runImportance(options, screen(null).output)).rejects.toThrow(
        /a\.csv: it holds the results of another grid \(line \d+\)\. It is left as it is; name another file, or remove it\.$/,
      );
    }
    expect(readFileSync(path, 'utf8')).toBe(csvOf(done));
    writeFileSync(path, 'my,own\n');
    await expect(runImportance(optionsOf(...small, '--csv', path), screen(null).output)).rejects.toThrow(
      /this is no CSV of this experiment/,
    );
    expect(readFileSync(path, 'utf8')).toBe('my,own\n');
  });

  it('in JSON have a line for each point, and are what JSON makes of it', () => {
    const value = {
      a: [
        { x: 1, y: null },
        { x: [2], y: 'z' },
      ],
      b: [],
      c: {},
      d: Number.NaN,
      e: undefined,
      f: [[1, 2]],
    };
    const text = jsonText(value);
    expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    expect(text.split('\n')).toContain('    {"x": 1, "y": null},');
    expect(text.endsWith('}\n')).toBe(true);
  });

  it('in JSON of another grid are refused too', async () => {
    const path = join(temporaryFolder(), 'a.json');
    for (const [text, what] of [
      ['{"jobs":["other"]}', 'the results of another grid'],
      ['{}', 'something else'],
      ['[', 'something else'],
      ['null', 'something else'],
    ]) {
      writeFileSync(path, text!);
      await expect(runImportance(optionsOf(...small, '--json', path), screen(null).output)).rejects.toThrow(
        `--json ${path}: it holds ${what}. It is left as it is`,
      );
      expect(readFileSync(path, 'utf8')).toBe(text);
    }
  });

  it('of anchors come from the command, alone or beside those of removal', { timeout: 60_000 }, async () => {
    const folder = temporaryFolder();
    const file = (name: string): string => join(folder, name);
    const words = ['--tasks', 'mnist', '--data', dataFolder(), '--models', 'tiny', '--measures', 'magnitude,random'];
    const least = [...words, '--aggregations', 'none', '--thresholds', '2', '--held-out', '50', '--epochs', '30'];
    const start = async (...more: string[]): Promise<string> => {
      const { output, text } = screen(null);
      await importanceCommand.start([...least, '--seeds', '1', '--results', file('runs'), ...more], output);
      return text();
    };
    const said = await start('--experiments', 'anchors', '--json', file('a.json'), '--html', file('a.html'));
    expect(said).toMatch(
      /Anchors: tiny on mnist, epoch 30; by none, compared by layer, replaced by noise\nmeasure +rank +group +forgetting/,
    );
    expect(said).toMatch(/Without an anchor the accuracy on the first half falls from [\d.]+ to [\d.]+, /);
    const { ordering, cells, anchors, jobs } = JSON.parse(readFileSync(file('a.json'), 'utf8'));
    expect([ordering, cells, anchors.runs.length, jobs.length]).toEqual([[], [], 1, 1]);
    expect(anchors.ordering[0].rows.map(({ measure }: { measure: string }) => measure).sort()).toEqual([
      'magnitude',
      'random',
    ]);
    expect(anchors.ordering[0]).toHaveProperty('byForgetting');
    expect(readFileSync(file('a.html'), 'utf8')).toContain('<h2>As anchors</h2>');
    // The same jobs are found done; those of removal stand in the same folder.
    await start('--experiments', 'removal,anchors', '--csv', file('b.csv'), '--json', file('b.json'));
    const other = JSON.parse(readFileSync(file('b.json'), 'utf8'));
    expect([other.cells.length, other.jobs.length, other.ordering.length]).toEqual([1, 2, 2]);
    // Their times too: nothing was computed anew.
    expect(other.anchors).toEqual(anchors);
    expect(readFileSync(file('b.csv'), 'utf8').split('\n')).toHaveLength(1 + 2 * 2 * 2 + 1);
    await expect(start('--experiments', 'anchors', '--csv', file('c.csv'))).rejects.toThrow(
      '--csv: its rows are of removal. Add removal to --experiments, or leave it out.',
    );
  });

  it('come from the command, the same rows again when all jobs are found done', { timeout: 60_000 }, async () => {
    const folder = temporaryFolder();
    const file = (name: string): string => join(folder, name);
    const start = async (...more: string[]): Promise<string> => {
      const { output, text } = screen(null);
      await importanceCommand.start([...small, '--results', file('runs'), ...more], output);
      return text();
    };
    const said = await start('--csv', file('a.csv'), '--json', file('a.json'), '--html', file('a.html'));
    expect(said).toMatch(
      /tiny on function, epoch 0; by none, compared by layer, replaced by noise\nmeasure +rank +group/,
    );
    expect(readFileSync(file('a.csv'), 'utf8')).toBe(csvOf(done));
    await start('--csv', file('a.csv'), '--json', file('a.json'));
    await start('--csv', file('b.csv'));
    expect(readFileSync(file('a.csv'), 'utf8')).toBe(csvOf(done));
    expect(readFileSync(file('b.csv'), 'utf8')).toBe(csvOf(done));
    const { ordering, cells, about, tests } = JSON.parse(readFileSync(file('a.json'), 'utf8'));
    expect(ordering).toHaveLength(2);
    expect(Object.keys(ordering[0])).toEqual(
      expect.arrayContaining(
        'task model epoch measure aggregation comparison replacement area low high rank group'.split(' '),
      ),
    );
    expect([cells.length, tests.length, about.command]).toEqual([
      2,
      1,
      expect.stringContaining('importance --experiments removal --tasks function'),
    ]);
    expect(existsSync(file('a.html'))).toBe(true);
  });
});

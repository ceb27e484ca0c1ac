import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OptionError, parseOptions } from '../../../bench/speed/options.ts';
import { rows } from '../../../bench/speed/rows.ts';

/** The sentence that the user is shown. */
function complaint(...args: string[]): string {
  try {
    parseOptions(args);
  } catch (error) {
    if (error instanceof OptionError) return error.message;
    throw error;
  }
  throw new Error('the options were accepted');
}

describe('parseOptions', () => {
  it('measures every row when nothing is said, and with --quick too', () => {
    expect(parseOptions([])).toEqual({
      help: false,
      quick: false,
      rows,
      json: null,
      docs: null,
      note: null,
    });
    expect(parseOptions(['--quick']).rows).toEqual(rows);
  });

  it('filters by suite and by a part of the name, in either case', () => {
    const names = (...args: string[]) => parseOptions(args).rows.map(({ name }) => name);
    expect(new Set(parseOptions(['--suite', 'step']).rows.map(({ suite }) => suite))).toEqual(new Set(['step']));
    expect(names('--row', 'cnn')).toEqual(['CNN 16-32 batch 32']);
    expect(names('--suite', 'matmul', '--row', '1024')).toEqual(['NN 1024', 'NT 1024', 'TN 1024']);
  });

  it('takes several suites', () => {
    const { rows: selected } = parseOptions(['--suite', 'array', '--suite', 'conv']);
    expect(new Set(selected.map(({ suite }) => suite))).toEqual(new Set(['array', 'conv']));
  });

  it('makes the paths of report and page absolute', () => {
    const file = join(tmpdir(), 'speed.json');
    expect(parseOptions(['--json', file]).json).toBe(file);
    expect(parseOptions(['--json', 'speed.json']).json).toBe(resolve('speed.json'));
    expect(parseOptions(['--docs', 'speed.md']).docs).toBe(resolve('speed.md'));
  });

  it('keeps the note as it is', () => {
    expect(parseOptions(['--note', 'other work was on']).note).toBe('other work was on');
  });

  it('answers a wrong option with one sentence', () => {
    const complaints = [
      complaint('--fast'),
      complaint('step'),
      complaint('--suite'),
      complaint('--suite', 'pool'),
      complaint('--suite', 'step', '--suite', 'pool'),
      complaint('--row', 'transformer'),
      complaint('--suite', 'step', '--row', 'NT'),
      complaint('--json', ''),
      complaint('--json', join(tmpdir(), 'no', 'such', 'folder', 'speed.json')),
      complaint('--json', tmpdir()),
      complaint('--docs', tmpdir()),
    ];
    for (const sentence of complaints) expect(sentence).toMatch(/^[^\n]+\.$/);
    expect(complaint('--suite', 'pool')).toBe(
      "There is no suite 'pool': choose matmul, step, array, conv, overhead or start-up.",
    );
    expect(complaint('--docs', tmpdir())).toBe(`--docs: ${tmpdir()} is a folder.`);
    expect(complaint('--suite', 'step', '--suite', 'overhead', '--row', 'NT')).toBe(
      "No row of suite 'step' or 'overhead' has 'NT' in its name.",
    );
    expect(complaint('--suite', 'step', '--row', 'NT')).toBe("No row of suite 'step' has 'NT' in its name.");
  });
});

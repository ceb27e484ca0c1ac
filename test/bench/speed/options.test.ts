import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
    expect(parseOptions([])).toEqual({ help: false, quick: false, rows, json: null });
    expect(parseOptions(['--quick']).rows).toEqual(rows);
  });

  it('filters by suite and by a part of the name, in either case', () => {
    const names = (...args: string[]) => parseOptions(args).rows.map(({ name }) => name);
    expect(new Set(parseOptions(['--suite', 'step']).rows.map(({ suite }) => suite))).toEqual(new Set(['step']));
    expect(names('--row', 'cnn')).toEqual(['CNN 16-32 batch 32']);
    expect(names('--suite', 'matmul', '--row', '1024')).toEqual(['NN 1024', 'NT 1024', 'TN 1024']);
  });

  it('makes the path of the report absolute', () => {
    const file = join(tmpdir(), 'speed.json');
    expect(parseOptions(['--json', file]).json).toBe(file);
  });

  it('answers a wrong option with one sentence', () => {
    const complaints = [
      complaint('--fast'),
      complaint('step'),
      complaint('--suite'),
      complaint('--suite', 'conv'),
      complaint('--row', 'transformer'),
      complaint('--suite', 'step', '--row', 'NT'),
      complaint('--json', ''),
      complaint('--json', join(tmpdir(), 'no', 'such', 'folder', 'speed.json')),
      complaint('--json', tmpdir()),
    ];
    for (const sentence of complaints) expect(sentence).toMatch(/^[^\n]+\.$/);
    expect(complaint('--suite', 'conv')).toBe("There is no suite 'conv': choose matmul or step.");
    expect(complaint('--suite', 'step', '--row', 'NT')).toBe("No row of suite 'step' has 'NT' in its name.");
  });
});

import { mkdirSync, readdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkWritable, writeJson } from '../../../bench/learning/result-file.ts';
import { temporaryFolder } from './folder.ts';

describe('checkWritable', () => {
  it('leaves nothing behind, and a file that is there as it was', () => {
    const folder = temporaryFolder();
    const path = join(folder, 'old.json');
    writeFileSync(path, 'old');
    checkWritable(path);
    checkWritable(join(folder, 'new.json'));
    expect(readdirSync(folder)).toEqual(['old.json']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  it('refuses folders, devices, broken links and folders that are not there, naming the path', () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'inner'));
    writeFileSync(join(folder, 'file'), '');
    symlinkSync('nowhere', join(folder, 'broken'));
    expect(() => checkWritable(join(folder, 'inner'))).toThrow(/inner: this is a folder, expected a file\.$/);
    expect(() => checkWritable(join(folder, 'other/'))).toThrow(/other\/: this is a folder, expected a file\.$/);
    expect(() => checkWritable('/dev/null')).toThrow('--json /dev/null: this is a device or pipe, expected a file.');
    expect(() => checkWritable(join(folder, 'none/a.json'))).toThrow(/its folder does not exist or takes no files\.$/);
    expect(() => checkWritable(join(folder, 'file/a.json'))).toThrow(
      /part of the path is a file, expected a folder\.$/,
    );
    expect(() => checkWritable(join(folder, 'broken'))).toThrow(/broken: the link points nowhere\.$/);
  });
});

describe('writeJson', () => {
  it('replaces what is there, through a link too, and leaves no temporary file', () => {
    const folder = realpathSync(temporaryFolder());
    const path = join(folder, 'results.json');
    writeFileSync(path, 'old');
    symlinkSync('results.json', join(folder, 'link.json'));
    const target = checkWritable(join(folder, 'link.json'));
    expect(target).toBe(path);
    writeJson(target, { runs: [] });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ runs: [] });
    expect(readdirSync(folder).sort()).toEqual(['link.json', 'results.json']);
  });
});

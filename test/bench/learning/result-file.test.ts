import { mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkWritable, writeJson, writeText } from '../../../bench/learning/result-file.ts';
import { temporaryFolder } from './folder.ts';

describe('checkWritable', () => {
  it('leaves nothing behind, and a file that is there as it was', () => {
    const folder = temporaryFolder();
    const path = join(folder, 'old.json');
    writeFileSync(path, 'old');
    checkWritable('--json', path);
    checkWritable('--json', join(folder, 'new.json'));
    expect(readdirSync(folder)).toEqual(['old.json']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  it('refuses folders, devices, broken links and folders that are not there, naming the path', () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'inner'));
    writeFileSync(join(folder, 'file'), '');
    symlinkSync('nowhere', join(folder, 'broken'));
    expect(() => checkWritable('--json', join(folder, 'inner'))).toThrow(/inner: this is a folder, expected a file\.$/);
    expect(() => checkWritable('--json', join(folder, 'other/'))).toThrow(
      /other\/: this is a folder, expected a file\.$/,
    );
    expect(() => checkWritable('--html', '/dev/null')).toThrow(
      '--html /dev/null: this is a device or pipe, expected a file.',
    );
    expect(() => checkWritable('--json', join(folder, 'none/a.json'))).toThrow(
      /its folder does not exist or takes no files\.$/,
    );
    expect(() => checkWritable('--json', join(folder, 'file/a.json'))).toThrow(
      /part of the path is a file, expected a folder\.$/,
    );
    expect(() => checkWritable('--json', join(folder, 'broken'))).toThrow(/broken: the link points nowhere\.$/);
  });
});

describe('checkWritable of no path', () => {
  it('gives no target', () => {
    expect(checkWritable('--json', null)).toBeNull();
  });
});

describe('writeText', () => {
  it('writes what it is given, and names the option where it cannot', () => {
    const folder = temporaryFolder();
    const target = checkWritable('--html', join(folder, 'page.html'));
    writeText(target, '<p>');
    expect(readFileSync(target.path, 'utf8')).toBe('<p>');
    rmSync(folder, { recursive: true });
    expect(() => writeText(target, '<p>')).toThrow(
      /^--html .*page\.html: its folder does not exist or takes no files\.$/,
    );
  });
});

describe('writeJson', () => {
  it('replaces what is there, through a link too, and leaves no temporary file', () => {
    const folder = realpathSync(temporaryFolder());
    const path = join(folder, 'results.json');
    writeFileSync(path, 'old');
    symlinkSync('results.json', join(folder, 'link.json'));
    const target = checkWritable('--json', join(folder, 'link.json'));
    expect(target).toEqual({ option: '--json', path });
    writeJson(target, { runs: [] });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ runs: [] });
    expect(readdirSync(folder).sort()).toEqual(['link.json', 'results.json']);
  });
});

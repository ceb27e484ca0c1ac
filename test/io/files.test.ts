/** Files: replaced whole or not at all, and nothing is left lying about. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import * as files from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadSafetensors, saveSafetensors, writeFileAtomically } from '../../src/io/files.ts';
import { tensor } from '../../src/tensor/create.ts';

const root = mkdtempSync(join(tmpdir(), 'palimpsest-io-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder = '';
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
});
const host = hostname()
  .replace(/[^A-Za-z0-9]/g, '_')
  .slice(0, 40);
const leftover = (name: string, pid: number): string => {
  const path = join(folder, `.${name}.${host}-${pid}-0abc.tmp`);
  writeFileSync(path, 'half');
  return path;
};
/** The number of a process that has ended. */
const deadPid = (): number => spawnSync(process.execPath, ['-e', '']).pid;

describe('writeFileAtomically', () => {
  it('writes a new file, replaces an old one, and leaves nothing else', async () => {
    const path = join(folder, 'file');
    for (const bytes of [Uint8Array.of(1, 2, 3), new Uint8Array(), new Uint8Array(3_000_000).fill(7)]) {
      await writeFileAtomically(path, bytes);
      expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
      expect(readdirSync(folder)).toEqual(['file']);
    }
  });

  it('follows a link and keeps permissions', async () => {
    const [path, link] = [join(folder, 'file'), join(folder, 'link')];
    writeFileSync(path, 'old');
    chmodSync(path, 0o640);
    symlinkSync(path, link);
    await writeFileAtomically(link, Uint8Array.of(65));
    expect(readFileSync(path, 'utf8')).toBe('A');
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(readdirSync(folder).sort()).toEqual(['file', 'link']);
  });

  it('takes away what dead writers of this file left, and nothing else', async () => {
    const dead = deadPid();
    const old = leftover('file', process.pid);
    const gone = [leftover('file', dead), old];
    utimesSync(old, 1, 1);
    const stays = [leftover('file', process.ppid), leftover('file2', dead), leftover('other', dead)];
    const recent = `.file.${host}-${process.pid}-1abc.tmp`;
    writeFileSync(join(folder, recent), 'being written, by another thread say');
    writeFileSync(join(folder, `.file.elsewhere-${dead}-0abc.tmp`), 'of another machine');
    writeFileSync(join(folder, '.file.tmp'), 'of somebody else');
    await writeFileAtomically(join(folder, 'file'), Uint8Array.of(1));
    const left = readdirSync(folder);
    for (const path of gone) expect(left).not.toContain(path.slice(folder.length + 1));
    expect(left.sort()).toEqual(
      [
        ...stays.map((path) => path.slice(folder.length + 1)),
        recent,
        `.file.elsewhere-${dead}-0abc.tmp`,
        '.file.tmp',
        'file',
      ].sort(),
    );
  });

  it('lets several write the same file at once: one of them wins, whole', async () => {
    const path = join(folder, 'file');
    await Promise.all(Array.from({ length: 8 }, (_, i) => writeFileAtomically(path, new Uint8Array(100_000).fill(i))));
    const bytes = readFileSync(path);
    expect(bytes.length).toBe(100_000);
    expect(new Set(bytes).size).toBe(1);
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('takes names as long as the file system does', async () => {
    for (const name of ['n'.repeat(255), '語'.repeat(85), '😀'.repeat(63)]) {
      await writeFileAtomically(join(folder, name), Uint8Array.of(1));
      expect(readdirSync(folder)).toContain(name);
    }
    expect(readdirSync(folder)).toHaveLength(3);
  });

  it('forces the bytes to the disk before the file takes its name, and then the name', async () => {
    const done: string[] = [];
    const kept = process.getBuiltinModule;
    const open = async (path: string, flags: string) => {
      const handle = await files.open(path, flags);
      const what = path === folder ? 'folder' : 'file';
      const sync = () => handle.sync().then(() => done.push(`sync ${what}`));
      return { writeFile: (bytes: Uint8Array) => handle.writeFile(bytes), sync, close: () => handle.close() };
    };
    const rename = (from: string, to: string) => files.rename(from, to).then(() => done.push('rename'));
    vi.resetModules();
    try {
      const get = (name: string) => (name === 'node:fs/promises' ? { ...files, open, rename } : kept(name));
      Object.assign(process, { getBuiltinModule: get });
      const fresh = await import('../../src/io/files.ts');
      await fresh.writeFileAtomically(join(folder, 'file'), Uint8Array.of(1));
    } finally {
      Object.assign(process, { getBuiltinModule: kept });
    }
    expect(done).toEqual(['sync file', 'rename', 'sync folder']);
  });

  it('says what is wrong, leaves the old file and no temporary one', async () => {
    await expect(writeFileAtomically(folder, Uint8Array.of(1))).rejects.toThrow(
      /could not be written: it is a folder\./,
    );
    await expect(writeFileAtomically(join(folder, 'no', 'file'), Uint8Array.of(1))).rejects.toThrow(
      /could not be written: ENOENT/,
    );
    const path = join(folder, 'file');
    writeFileSync(path, 'old');
    await expect(writeFileAtomically(path, 7 as unknown as Uint8Array)).rejects.toThrow(/could not be written/);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['file']);
  });
});

describe('safetensors files', () => {
  it('come back as they were saved', async () => {
    const path = join(folder, 'x.safetensors');
    await saveSafetensors(path, { x: tensor([[1, NaN]]) }, { note: 'é' });
    const { tensors, metadata } = await loadSafetensors(path);
    expect(tensors.get('x')!.tensor.toArray()).toEqual([[1, NaN]]);
    expect(metadata).toEqual({ note: 'é' });
  });

  it('that are none, or not there: a sentence with the path', async () => {
    const path = join(folder, 'x.safetensors');
    await expect(loadSafetensors(path)).rejects.toThrow(`loadSafetensors: ${path} could not be read: ENOENT`);
    await expect(loadSafetensors(folder)).rejects.toThrow(/could not be read: it is a folder/);
    writeFileSync(path, 'nonsense');
    await expect(loadSafetensors(path)).rejects.toThrow(/is no safetensors file that can be read\. parseSafetensors: /);
  });

  it('where there are no files: a sentence', async () => {
    vi.resetModules();
    const kept = process.getBuiltinModule;
    try {
      Object.assign(process, { getBuiltinModule: undefined });
      const fresh = await import('../../src/io/files.ts');
      await expect(fresh.loadSafetensors('x')).rejects.toThrow(/loadSafetensors: files are read and written on Node/);
    } finally {
      Object.assign(process, { getBuiltinModule: kept });
    }
  });
});

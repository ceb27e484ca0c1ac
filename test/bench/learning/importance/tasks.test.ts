import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  batchOf,
  contentOf,
  folderOf,
  openTask,
  shrunk,
  squaredErrors,
  type Task,
} from '../../../../bench/learning/importance/tasks.ts';
import { tensor } from '../../../../src/index.ts';
import { dataFolder, temporaryFolder } from '../folder.ts';

const rowsOf = ({ count }: { count: number }): Int32Array => Int32Array.from({ length: count }, (_, i) => i);

function iris(): string {
  const folder = temporaryFolder();
  const lines = Array.from({ length: 40 }, (_, i) => `${5 + (i % 7)},3.5,${i},0.2,${i % 3}`);
  writeFileSync(join(folder, 'iris.csv'), ['40,4,setosa,versicolor,virginica', ...lines, ''].join('\n'));
  return folder;
}

describe('tasks', () => {
  it('look into a folder of their own within --data, or into --data itself', () => {
    const folder = temporaryFolder();
    expect(folderOf('fashion', folder)).toBe(folder);
    mkdirSync(join(folder, 'fashion-mnist'));
    expect(folderOf('fashion', folder)).toBe(join(folder, 'fashion-mnist'));
    expect(folderOf('function', folder)).toBe(null);
    expect(folderOf('embedded', null)).toBe(null);
    expect(() => folderOf('iris', null)).toThrow(/^--tasks iris: it needs --data DIR, a folder with iris\.csv/);
  });

  it('deal a table out into training and held-out rows, each column with mean 0 and deviation 1', async () => {
    const task = await openTask('iris', iris());
    expect(task).toMatchObject({ shape: [4], outputs: 3, targets: null });
    expect([task.train.count, task.heldOut.count]).toEqual([28, 12]);
    const all = [task.train, task.heldOut].flatMap((part) => [...part.inputs(rowsOf(part))]);
    for (const column of [0, 2]) {
      const own = all.filter((_, i) => i % 4 === column);
      expect(own.reduce((sum, x) => sum + x, 0)).toBeCloseTo(0, 4);
      expect(own.reduce((sum, x) => sum + x * x, 0) / own.length).toBeCloseTo(1, 5);
    }
    // A column of equal numbers is 0 (up to rounding), and no row is on both sides.
    expect(Math.max(...all.filter((_, i) => i % 4 === 1).map(Math.abs))).toBeLessThan(1e-4);
    expect(new Set(all.filter((_, i) => i % 4 === 2)).size).toBe(40);
    // The third number says which row it was, and so its class.
    const deviation = Math.sqrt((40 ** 2 - 1) / 12);
    for (const part of [task.train, task.heldOut])
      part.labels.forEach((label, i) => {
        const row = Math.abs(Math.round(part.inputs(Int32Array.of(i))[2]! * deviation + 19.5));
        expect(label).toBe(row % 3);
      });
    expect(await contentOf('iris', iris())).toBe(await contentOf('iris', iris()));
  });

  it('read digits of 8 x 8, packed too', async () => {
    const folder = temporaryFolder();
    const lines = Array.from({ length: 20 }, (_, i) => [...Array(64).fill(i % 5), i % 10].join(','));
    writeFileSync(join(folder, 'digits.csv.gz'), gzipSync(lines.join('\n')));
    const task = await openTask('digits8', folder);
    expect(task).toMatchObject({ shape: [1, 8, 8], outputs: 10 });
    const { x, labels } = batchOf(task, task.heldOut, Int32Array.of(2, 0));
    expect(x.shape).toEqual([2, 1, 8, 8]);
    expect([...labels]).toEqual([task.heldOut.labels[2], task.heldOut.labels[0]]);
  });

  it('read CIFAR, planes in order', async () => {
    const folder = temporaryFolder();
    const record = (label: number, ...planes: number[]): Uint8Array =>
      Uint8Array.of(label, ...planes.flatMap((value) => Array<number>(1024).fill(value)));
    writeFileSync(join(folder, 'data_batch_1.bin'), Buffer.concat([record(3, 0, 255, 0), record(1, 255, 0, 0)]));
    writeFileSync(join(folder, 'test_batch.bin'), record(9, 0, 0, 255));
    const task = await openTask('cifar10', folder);
    expect(task).toMatchObject({ shape: [3, 32, 32], outputs: 10 });
    expect([[...task.train.labels], [...task.heldOut.labels]]).toEqual([[3, 1], [9]]);
    const numbers = task.train.inputs(Int32Array.of(0));
    expect([numbers[0]! < 0, numbers[1024]! > 0, numbers[2048]! < 0]).toEqual([true, true, true]);
    expect(task.heldOut.inputs(Int32Array.of(0))[2048]!).toBeGreaterThan(0);
  });

  it('draw a function, the same points every time, its labels being places of what is right', async () => {
    const { train, heldOut, targets, outputs } = await openTask('function', null);
    expect([train.count, heldOut.count, outputs]).toEqual([2000, 1000, 1]);
    const [x, y] = heldOut.inputs(Int32Array.of(7));
    expect(targets![heldOut.labels[7]!]).toBeCloseTo(Math.sin(3 * x!) * Math.cos(2 * y!), 6);
    const errors = squaredErrors(Float32Array.of(1, 2, 3))(tensor([[1], [5]]), Int32Array.of(2, 0));
    expect(errors.toArray()).toEqual([4, 16]);
  });

  it('shrink large images by means of blocks of 4 x 4, and leave small ones', () => {
    const numbers = Float32Array.from({ length: 2 * 16 * 20 }, (_, i) => i);
    const examples = {
      count: 2,
      inputs: (rows: Int32Array) => Float32Array.from(rows, () => 0),
      labels: Int32Array.of(1, 2),
    };
    const one = { ...examples, inputs: (rows: Int32Array) => numbers.slice(0, rows.length * 320) };
    const task: Task = { shape: [1, 16, 20], outputs: 2, train: one, heldOut: one, targets: null };
    const small = shrunk(task);
    expect(small.shape).toEqual([1, 4, 5]);
    const found = small.train.inputs(Int32Array.of(0, 1));
    expect(found).toHaveLength(2 * 20);
    // The mean of rows 0 to 3 and columns 0 to 3 of 20 columns: 1.5 * 20 + 1.5.
    expect([found[0], found[1], found[5], found[20]]).toEqual([31.5, 35.5, 111.5, 351.5]);
    const already: Task = { ...task, shape: [1, 8, 8] };
    expect(shrunk(already)).toBe(already);
    expect(shrunk({ ...task, shape: [4] }).shape).toEqual([4]);
  });

  it('tell what is wrong with files in a sentence', async () => {
    const folder = temporaryFolder();
    await expect(contentOf('cifar10', folder)).rejects.toThrow(/there are no files for cifar10, expected train/);
    await expect(contentOf('digits8', join(folder, 'nowhere'))).rejects.toThrow(/there is no such folder/);
    writeFileSync(join(folder, 'iris.csv'), '1,2\n3\n');
    await expect(openTask('iris', folder)).rejects.toThrow(/iris\.csv: parseCsv: line 2/);
    writeFileSync(join(folder, 'iris.csv'), 'a,b\n3,x\n');
    await expect(openTask('iris', folder)).rejects.toThrow(/it has 1 rows of 2 columns: this is no such data set/);
    writeFileSync(join(folder, 'digits.csv.gz'), 'not packed');
    await expect(openTask('digits8', folder)).rejects.toThrow(/digits\.csv\.gz: the file cannot be read/);
    expect((await openTask('mnist', dataFolder())).shape).toEqual([1, 8, 12]);
  });
});

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { loadIdxFolder } from '../../../bench/learning/idx-folder.ts';
import { UserError } from '../../../bench/learning/user-error.ts';
import { dataFolder, idxFile, idxPair, temporaryFolder } from './folder.ts';

describe('loadIdxFolder', () => {
  it('reads images of any size with their labels', async () => {
    const { train, test } = await loadIdxFolder(dataFolder());
    expect([train.count, train.height, train.width]).toEqual([200, 8, 12]);
    expect([test.count, test.height, test.width]).toEqual([50, 8, 12]);
    expect(Array.from(train.labels.subarray(0, 3))).toEqual([0, 1, 2]);
    expect(train.pixels).toHaveLength(200 * 8 * 12);
  });

  it('reads packed files and names with dots', async () => {
    const { images, labels } = idxPair(30, 8, 12);
    const folder = dataFolder({
      'train-images-idx3-ubyte': null,
      'train-images-idx3-ubyte.gz': gzipSync(images),
      'train-labels-idx1-ubyte': null,
      'train-labels.idx1-ubyte': labels,
      't10k-images-idx3-ubyte': null,
      't10k-images.idx3-ubyte.gz': gzipSync(images),
      't10k-labels-idx1-ubyte': labels,
    });
    const { train, test } = await loadIdxFolder(folder);
    expect([train.count, test.count]).toEqual([30, 30]);
    expect(test.pixels).toEqual(train.pixels);
  });

  const { images, labels } = idxPair(200, 8, 12);
  it.each([
    ['an empty file', { 'train-images-idx3-ubyte': new Uint8Array(0) }, /train-images-idx3-ubyte: .*file is empty\.$/],
    ['a truncated file', { 't10k-labels-idx1-ubyte': labels.subarray(0, 50) }, /t10k-labels-idx1-ubyte: .*truncated/],
    [
      'a wrong magic',
      { 'train-images-idx3-ubyte': Buffer.from('text\n') },
      /train-images-idx3-ubyte: .*not an IDX file/,
    ],
    ['broken gzip', { 'train-images-idx3-ubyte': gzipSync(images).subarray(0, 99) }, /images-idx3-ubyte: .*corrupt/],
    ['no labels', { 'train-labels-idx1-ubyte': null }, /there are no training labels, expected the file train-labels/],
    ['no test images', { 't10k-images-idx3-ubyte': null }, /there are no test images, expected the file t10k-images/],
    ['too few labels', { 'train-labels-idx1-ubyte': idxPair(199, 8, 12).labels }, /199 labels for the 200 images of/],
    ['images for labels', { 'train-labels-idx1-ubyte': images }, /labels need 1 axis, but the file has 3\.$/],
    ['labels for images', { 'train-images-idx3-ubyte': labels }, /images need 3 axes .*, but the file has 1\.$/],
    ['no images', { 'train-images-idx3-ubyte': idxFile([0, 8, 12], []) }, /the file holds no images: 0 x 8 x 12\.$/],
    [
      'no pixels',
      { 'train-images-idx3-ubyte': idxFile([200, 0, 12], []) },
      /the file holds no images: 200 x 0 x 12\.$/,
    ],
    ['giant images', { 't10k-images-idx3-ubyte': idxFile([1, 1, 129], new Uint8Array(129)) }, /1 x 129 .* too large/],
    [
      'a label of 10',
      { 't10k-labels-idx1-ubyte': idxFile([50], new Array(50).fill(10)) },
      /label of image 0 is 10, but labels go from 0 to 9\.$/,
    ],
    [
      'test images of another size',
      { 't10k-images-idx3-ubyte': idxPair(50, 12, 8).images },
      /the test images have 12 x 8 pixels, but the training images 8 x 12\.$/,
    ],
  ])('refuses %s in one sentence that names the file', async (_, files: Record<string, Uint8Array | null>, message) => {
    const folder = dataFolder(files);
    const error = await loadIdxFolder(folder).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain(folder);
    expect((error as Error).message).not.toContain('\n');
  });

  it('refuses a folder that is not there, is empty, or is a file', async () => {
    const folder = temporaryFolder();
    await expect(loadIdxFolder(join(folder, 'none'))).rejects.toThrow(/none: there is no such folder\.$/);
    await expect(loadIdxFolder(folder)).rejects.toThrow(/there are no training images/);
    writeFileSync(join(folder, 'file'), 'x');
    await expect(loadIdxFolder(join(folder, 'file'))).rejects.toThrow(/file: this is not a folder\.$/);
  });

  it('refuses a folder where a file should be', async () => {
    const folder = dataFolder({ 't10k-labels-idx1-ubyte': null });
    mkdirSync(join(folder, 't10k-labels-idx1-ubyte'));
    await expect(loadIdxFolder(folder)).rejects.toThrow(/t10k-labels-idx1-ubyte: this is not a file\.$/);
  });
});

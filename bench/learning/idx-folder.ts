/**
 * A data set from a folder of IDX files, as MNIST and Fashion-MNIST are published: four files, packed or not.
 *
 * The files are not trusted. Whatever is wrong with them ends in a UserError that names the file.
 */

import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type IdxArray, readIdx } from '../../src/index.ts';
import { CLASSES, type DataSet, type LabelledImages } from './images.ts';
import { UserError } from './user-error.ts';

/** With more pixels a side than this, a step of the models takes GBs. */
const LONGEST_SIDE = 128;

/** Both the published names and those that some copies carry, each also with .gz. */
const FILE_NAMES = {
  'training images': ['train-images-idx3-ubyte', 'train-images.idx3-ubyte'],
  'training labels': ['train-labels-idx1-ubyte', 'train-labels.idx1-ubyte'],
  'test images': ['t10k-images-idx3-ubyte', 't10k-images.idx3-ubyte'],
  'test labels': ['t10k-labels-idx1-ubyte', 't10k-labels.idx1-ubyte'],
} as const;

/** Reads the folder. Rejects with a UserError where it does not hold a whole and consistent data set. */
export async function loadIdxFolder(folder: string): Promise<DataSet> {
  const names = await namesIn(folder);
  // All names before any content: a missing label file is told before 10 MB of images are unpacked.
  const trainImages = find(folder, names, 'training images');
  const trainLabels = find(folder, names, 'training labels');
  const testImages = find(folder, names, 'test images');
  const testLabels = find(folder, names, 'test labels');
  const train = await loadPair(trainImages, trainLabels);
  const test = await loadPair(testImages, testLabels);
  if (train.height !== test.height || train.width !== test.width) {
    throw new UserError(
      `${testImages}: the test images have ${test.height} x ${test.width} pixels, but the training images ${train.height} x ${train.width}.`,
    );
  }
  return { name: folder, train, test };
}

/**
 * What the files of a folder hold, as a short text: the same for the same bytes wherever they lie. Rejects with a UserError where a
 * file is missing.
 */
export async function fingerprintOf(folder: string): Promise<string> {
  const names = await namesIn(folder);
  const hash = createHash('sha256');
  for (const what of Object.keys(FILE_NAMES) as (keyof typeof FILE_NAMES)[]) {
    const bytes = await readWhole(find(folder, names, what));
    hash.update(`${bytes.length} `).update(bytes);
  }
  return `sha256:${hash.digest('hex').slice(0, 16)}`;
}

async function namesIn(folder: string): Promise<Set<string>> {
  try {
    return new Set(await readdir(folder));
  } catch (error) {
    throw new UserError(`--data ${folder}: ${reason(error, 'folder')}.`);
  }
}

function find(folder: string, present: Set<string>, what: keyof typeof FILE_NAMES): string {
  const name = FILE_NAMES[what].flatMap((plain) => [plain, `${plain}.gz`]).find((candidate) => present.has(candidate));
  if (name !== undefined) return join(folder, name);
  const expected = FILE_NAMES[what].join(' or ');
  throw new UserError(`--data ${folder}: there are no ${what}, expected the file ${expected}, plain or with .gz.`);
}

async function loadPair(imagesPath: string, labelsPath: string): Promise<LabelledImages> {
  const images = await load(imagesPath);
  const [count = 0, height = 0, width = 0] = images.shape;
  if (images.shape.length !== 3) {
    throw new UserError(
      `${imagesPath}: images need 3 axes (count, height, width), but the file has ${images.shape.length}.`,
    );
  }
  if (images.data.length === 0)
    throw new UserError(`${imagesPath}: the file holds no images: ${images.shape.join(' x ')}.`);
  if (height > LONGEST_SIDE || width > LONGEST_SIDE) {
    throw new UserError(
      `${imagesPath}: images of ${height} x ${width} pixels are too large, at most ${LONGEST_SIDE} x ${LONGEST_SIDE} can be used.`,
    );
  }
  const labels = await load(labelsPath);
  if (labels.shape.length !== 1) {
    throw new UserError(`${labelsPath}: labels need 1 axis, but the file has ${labels.shape.length}.`);
  }
  if (labels.data.length !== count) {
    throw new UserError(
      `${labelsPath}: there are ${labels.data.length} labels for the ${count} images of ${imagesPath}.`,
    );
  }
  const stranger = labels.data.findIndex((label) => label >= CLASSES);
  if (stranger >= 0) {
    throw new UserError(
      `${labelsPath}: the label of image ${stranger} is ${labels.data[stranger]}, but labels go from 0 to ${CLASSES - 1}.`,
    );
  }
  return { count, height, width, pixels: images.data, labels: labels.data };
}

async function load(path: string): Promise<IdxArray> {
  const bytes = await readWhole(path);
  try {
    return await readIdx(bytes);
  } catch (error) {
    if (error instanceof Error) throw new UserError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function readWhole(path: string): Promise<Uint8Array> {
  try {
    // A pipe or a device would be read for ever.
    if (!(await stat(path)).isFile()) throw new UserError(`${path}: this is not a file.`);
    return await readFile(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path}: ${reason(error, 'file')}.`);
  }
}

/** What the system says, as the end of a sentence. */
function reason(error: unknown, what: 'file' | 'folder'): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  if (code === 'ENOENT') return `there is no such ${what}`;
  if (code === 'ENOTDIR') return 'this is not a folder';
  if (code === 'EACCES' || code === 'EPERM') return `the ${what} may not be read`;
  return `the ${what} cannot be read (${code})`;
}

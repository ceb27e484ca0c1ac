/** Folders for tests: a fresh one that goes when the test is over, and small data sets in IDX files. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** An empty folder that is removed when the running test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'palimpsest-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function idxFile(shape: readonly number[], data: ArrayLike<number>): Uint8Array {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt8(8, 2);
  header.writeUInt8(shape.length, 3);
  shape.forEach((size, axis) => {
    header.writeUInt32BE(size, 4 + 4 * axis);
  });
  return Buffer.concat([header, Uint8Array.from(data)]);
}

/** `count` images in ten classes that a child could tell apart: the class is the place of the bright column. */
export function idxPair(count: number, height: number, width: number): { images: Uint8Array; labels: Uint8Array } {
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 10);
  const pixels = Uint8Array.from({ length: count * height * width }, (_, p) => {
    const column = p % width;
    const label = labels[Math.floor(p / (height * width))];
    return column === label ? 255 : (p * 7) % 30;
  });
  return { images: idxFile([count, height, width], pixels), labels: idxFile([count], labels) };
}

/** A folder with a whole data set, some of its files replaced (or left out, where null). */
export function dataFolder(replaced: Record<string, Uint8Array | null> = {}): string {
  const folder = temporaryFolder();
  const train = idxPair(200, 8, 12);
  const test = idxPair(50, 8, 12);
  const files = {
    'train-images-idx3-ubyte': train.images,
    'train-labels-idx1-ubyte': train.labels,
    't10k-images-idx3-ubyte': test.images,
    't10k-labels-idx1-ubyte': test.labels,
    ...replaced,
  };
  for (const [name, bytes] of Object.entries(files)) if (bytes !== null) writeFileSync(join(folder, name), bytes);
  return folder;
}

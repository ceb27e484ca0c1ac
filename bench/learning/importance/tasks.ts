/**
 * The tasks: examples to learn from and examples that are held out, from files or drawn here. What is drawn or dealt out is the same
 * for every seed: seeds differ in weights and in the order of learning.
 *
 * Files are not trusted: what is wrong with them ends in a UserError that names the file.
 */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parseCifar } from '../../../src/data/cifar.ts';
import { type CsvTable, classColumn, numericRows, parseCsv } from '../../../src/data/csv.ts';
import { Generator, type Tensor, tensor } from '../../../src/index.ts';
import { embeddedDigits } from '../data.ts';
import { fingerprintOf, loadIdxFolder } from '../idx-folder.ts';
import { CLASSES, type LabelledImages, pixelsOf, standardization } from '../images.ts';
import { UserError } from '../user-error.ts';

export const TASK_NAMES = ['embedded', 'mnist', 'fashion', 'cifar10', 'digits8', 'iris', 'function'] as const;
export type TaskName = (typeof TASK_NAMES)[number];

/** Examples in rows. */
export interface Examples {
  readonly count: number;
  /** The numbers of these rows, one example after the other. */
  inputs(rows: Int32Array): Float32Array;
  /** The class of each; where there are none, its place among the targets. */
  readonly labels: Int32Array;
}

export interface Task {
  /** Of one example: [channels, height, width] or [features]. */
  readonly shape: readonly number[];
  readonly outputs: number;
  readonly train: Examples;
  readonly heldOut: Examples;
  /** Of a function: what is right, by label. Null where there are classes. */
  readonly targets: Float32Array | null;
}

interface Recipe {
  readonly about: string;
  /** Its folder within --data, and what is looked for there; null where it is drawn. */
  readonly files: { readonly folder: string; readonly names: string } | null;
  readonly images: boolean;
  /** How many classes there are; 0 where answers are numbers. */
  readonly classes: number;
  /** Passes over the training data, the examples of a step and the learning rate of Adam. */
  readonly epochs: number;
  readonly batch: number;
  readonly lr: number;
}

const idx = 'the four files of the data set in IDX format';
const images = { images: true, classes: CLASSES, epochs: 5, batch: 64, lr: 1e-3 } as const;

export const TASKS: Readonly<Record<TaskName, Recipe>> = {
  embedded: { about: 'the embedded digits, 28 x 28', files: null, ...images },
  mnist: { about: 'MNIST, 28 x 28', files: { folder: 'mnist', names: idx }, ...images },
  fashion: { about: 'Fashion-MNIST, 28 x 28', files: { folder: 'fashion-mnist', names: idx }, ...images },
  cifar10: {
    about: 'CIFAR-10 or a part of it, 32 x 32 in colours',
    files: { folder: 'cifar10', names: 'train*.bin or data_batch*.bin, and test*.bin' },
    ...images,
  },
  digits8: {
    about: 'handwritten digits, 8 x 8, 30 % of them held out',
    files: { folder: 'digits', names: 'digits.csv' },
    ...{ images: true, classes: CLASSES, epochs: 20, batch: 16, lr: 2e-3 },
  },
  iris: {
    about: "Fisher's iris, 30 % of them held out",
    files: { folder: 'iris', names: 'iris.csv' },
    ...{ images: false, classes: 3, epochs: 50, batch: 8, lr: 5e-3 },
  },
  function: {
    about:
      'z = sin 3x cos 2y on the square from -1 to 1, from 2,000 points; its accuracy is 1 - squared error / variance, at least 0',
    files: null,
    ...{ images: false, classes: 0, epochs: 30, batch: 32, lr: 3e-3 },
  },
};

/** Where a task's files lie: a folder of its own in --data, or --data itself. Null where it needs none. */
export function folderOf(name: TaskName, data: string | null): string | null {
  const { files } = TASKS[name];
  if (files === null) return null;
  if (data === null)
    throw new UserError(
      `--tasks ${name}: it needs --data DIR, a folder with ${files.names}, or one with a folder ${files.folder} that has them.`,
    );
  const own = join(data, files.folder);
  return existsSync(own) ? own : data;
}

/** What a task's files hold, the same for the same bytes wherever they lie; null where it needs none. */
export async function contentOf(name: TaskName, data: string | null): Promise<string | null> {
  const folder = folderOf(name, data);
  if (folder === null) return null;
  if (name === 'mnist' || name === 'fashion') return fingerprintOf(folder);
  const hash = createHash('sha256');
  for (const path of filesOf(name, folder)) {
    const bytes = read(path);
    hash.update(`${bytes.length} `).update(bytes);
  }
  return `sha256:${hash.digest('hex').slice(0, 16)}`;
}

/** Opens a task; `folder` is what folderOf says. */
export async function openTask(name: TaskName, folder: string | null): Promise<Task> {
  if (name === 'function') return functionTask();
  if (name === 'embedded') return imagesTask(embeddedDigits());
  if (folder === null) throw new Error(`The task ${name} needs a folder.`);
  if (name === 'mnist' || name === 'fashion') return imagesTask(await loadIdxFolder(folder));
  return name === 'cifar10' ? cifarTask(filesOf(name, folder)) : tableTask(name, filesOf(name, folder)[0] ?? '');
}

/** The files of a task that are not in IDX format, training files first. */
function filesOf(name: TaskName, folder: string): string[] {
  let there: string[];
  try {
    there = readdirSync(folder).sort();
  } catch {
    throw new UserError(`--data ${folder}: there is no such folder, or it may not be read.`);
  }
  const wanted =
    name === 'cifar10'
      ? [/^(train|data_batch).*\.bin$/, /^test.*\.bin$/]
      : [name === 'iris' ? /^iris\.csv(\.gz)?$/ : /^digits\.csv(\.gz)?$/];
  const found = wanted.map((pattern) => there.filter((file) => pattern.test(file)));
  if (found.some(({ length }) => length === 0))
    throw new UserError(`--data ${folder}: there are no files for ${name}, expected ${TASKS[name].files?.names}.`);
  return found.flat().map((file) => join(folder, file));
}

function read(path: string): Uint8Array {
  try {
    const bytes = readFileSync(path);
    return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
  } catch (error) {
    throw new UserError(
      `${path}: the file cannot be read (${error instanceof Error ? error.message : String(error)}).`,
    );
  }
}

/** What is thrown by a parser, with the name of its file. */
function parsed<Value>(path: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Error) throw new UserError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

function imagesTask({ train, test }: { train: LabelledImages; test: LabelledImages }, channels = 1): Task {
  const scale = standardization(train.pixels);
  const part = (own: LabelledImages): Examples => ({
    count: own.count,
    inputs: (rows) => pixelsOf(own, rows, scale),
    labels: Int32Array.from(own.labels),
  });
  return {
    shape: [channels, train.height / channels, train.width],
    outputs: CLASSES,
    train: part(train),
    heldOut: part(test),
    targets: null,
  };
}

function cifarTask(paths: readonly string[]): Task {
  const part = (own: readonly string[]): LabelledImages => {
    const files = own.map((path) => parsed(path, () => parseCifar(read(path))));
    const pixels = Buffer.concat(files.map(({ data }) => data));
    const labels = Uint8Array.from(files.flatMap((file) => [...file.labels]));
    // Three planes below each other are an image three times as high.
    return { count: labels.length, height: 96, width: 32, pixels, labels };
  };
  const isTest = (path: string): boolean => /test[^/\\]*$/.test(path);
  return imagesTask({ train: part(paths.filter((path) => !isTest(path))), test: part(paths.filter(isTest)) }, 3);
}

/** The share of a table that is held out. */
const HELD_OUT = 0.3;

function tableTask(name: 'digits8' | 'iris', path: string): Task {
  return parsed(path, () => {
    const table = parseCsv(new TextDecoder().decode(read(path)), { header: name === 'iris' });
    const features = table.names.slice(0, -1);
    if (features.length === 0 || table.rows < 10)
      throw new Error(`it has ${table.rows} rows of ${table.names.length} columns: this is no such data set.`);
    if (name === 'digits8' && features.length !== 64)
      throw new Error(`it has ${features.length} columns before the class, and images of 8 x 8 have 64.`);
    const { labels, classes } = classColumn(table, table.names.at(-1)!);
    const numbers = standardized(table, features, name === 'iris');
    const order = new Generator(1).permutation(table.rows);
    const kept = table.rows - Math.round(HELD_OUT * table.rows);
    const shape = name === 'iris' ? [features.length] : [1, 8, 8];
    const part = (rows: Int32Array) => picked(numbers, features.length, rows, labels);
    return {
      ...{ shape, outputs: classes.length, targets: null },
      ...{ train: part(order.slice(0, kept)), heldOut: part(order.slice(kept)) },
    };
  });
}

/** Mean 0 and standard deviation 1, each column by itself or all together. */
function standardized(table: CsvTable, features: readonly string[], apart: boolean): Float32Array {
  const numbers = numericRows(table, features);
  const width = features.length;
  for (let first = 0; first < (apart ? width : 1); first++) {
    const step = apart ? width : 1;
    let [count, sum, squares] = [0, 0, 0];
    for (let i = first; i < numbers.length; i += step) {
      count++;
      sum += numbers[i]!;
    }
    for (let i = first; i < numbers.length; i += step) squares += (numbers[i]! - sum / count) ** 2;
    const deviation = Math.sqrt(squares / count) || 1;
    for (let i = first; i < numbers.length; i += step) numbers[i] = (numbers[i]! - sum / count) / deviation;
  }
  return numbers;
}

function picked(numbers: Float32Array, width: number, own: Int32Array, labels: Int32Array): Examples {
  return {
    count: own.length,
    labels: own.map((row) => labels[row]!),
    inputs(rows) {
      const out = new Float32Array(rows.length * width);
      rows.forEach((row, i) => {
        out.set(numbers.subarray(own[row]! * width, (own[row]! + 1) * width), i * width);
      });
      return out;
    },
  };
}

function functionTask(): Task {
  const [train, heldOut] = [2000, 1000];
  const points = new Float32Array(2 * (train + heldOut));
  new Generator(1).fillUniform(points, -1, 1);
  const targets = Float32Array.from(
    { length: train + heldOut },
    (_, i) => Math.sin(3 * points[2 * i]!) * Math.cos(2 * points[2 * i + 1]!),
  );
  const all = Int32Array.from({ length: train + heldOut }, (_, i) => i);
  return {
    ...{ shape: [2], outputs: 1, targets },
    ...{ train: picked(points, 2, all.slice(0, train), all), heldOut: picked(points, 2, all.slice(train), all) },
  };
}

/** Pixels a side of the blocks that a small network sees the mean of, where images are large. */
const BLOCK = 4;
const LARGE = 16;

/** The task with images of at least 16 pixels a side averaged over blocks of 4 x 4; others as they are. */
export function shrunk(task: Task): Task {
  const [channels = 1, height = 1, width = 1] = task.shape;
  if (task.shape.length !== 3 || Math.min(height, width) < LARGE) return task;
  const [down, across] = [Math.floor(height / BLOCK), Math.floor(width / BLOCK)];
  const part = (own: Examples): Examples => ({
    ...own,
    inputs(rows) {
      const from = own.inputs(rows);
      const out = new Float32Array(rows.length * channels * down * across);
      for (let plane = 0; plane < rows.length * channels; plane++)
        for (let y = 0; y < down * BLOCK; y++)
          for (let x = 0; x < across * BLOCK; x++)
            out[(plane * down + Math.floor(y / BLOCK)) * across + Math.floor(x / BLOCK)]! +=
              from[(plane * height + y) * width + x]! / BLOCK ** 2;
      return out;
    },
  });
  return { ...task, shape: [channels, down, across], train: part(task.train), heldOut: part(task.heldOut) };
}

/** These rows as one batch. */
export const batchOf = ({ shape }: Task, examples: Examples, rows: Int32Array): { x: Tensor; labels: Int32Array } => ({
  x: tensor(examples.inputs(rows), [rows.length, ...shape]),
  labels: rows.map((row) => examples.labels[row]!),
});

/** (output - target)^2 of each example, its label being the place of its target. */
export const squaredErrors =
  (targets: Float32Array): ((output: Tensor, labels: Int32Array) => Tensor) =>
  (output, labels) => {
    const wanted = Float32Array.from(labels, (label) => targets[label]!);
    return output
      .reshape([labels.length])
      .sub(tensor(wanted, [labels.length]))
      .square();
  };

/**
 * CIFAR-10's binary format.
 *
 * A file is records of 3,073 bytes and nothing else: one byte for the class, then 1,024 bytes each of red, green and blue,
 * row by row. CIFAR-100 has two bytes for the class, a coarse and a fine one, in records of 3,074.
 *
 * The bytes are not trusted: every refusal is an Error of one sentence, and what is promised is checked before anything is
 * allocated.
 */

/** Images as bytes, channels first, and the class of each. */
export interface CifarImages {
  /** [images, 3, 32, 32] */
  readonly shape: readonly [images: number, channels: 3, height: 32, width: 32];
  /** Red, green and blue planes, each row by row, image after image. */
  readonly data: Uint8Array;
  /** One class for each image, 0 to classes - 1. */
  readonly labels: Int32Array;
}

export interface CifarOptions {
  /** Classes; 10 unless given. A label that is not below it is an error. */
  readonly classes?: number | undefined;
  /**
   * Bytes before the pixels of a record, the last of which is the class; 1 unless given. 2 is CIFAR-100, whose fine classes
   * (100) are read.
   */
  readonly labelBytes?: 1 | 2 | undefined;
}

const PIXELS = 3 * 32 * 32;

/**
 * The images and labels of an unpacked CIFAR file, copied.
 *
 * Throws an Error whose message is one sentence where the bytes are no whole number of records, or a class is out of range.
 *
 *     const record = new Uint8Array(3073).fill(255);
 *     record[0] = 7;
 *     const { shape, labels } = parseCifar(record);
 *     shape; // [1, 3, 32, 32]
 *     labels[0]; // 7
 */
export function parseCifar(bytes: Uint8Array, options: CifarOptions = {}): CifarImages {
  const { classes = 10, labelBytes = 1 } = options;
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`parseCifar: the bytes must be a Uint8Array, not ${typeof bytes}.`);
  if (!Number.isInteger(classes) || classes < 1 || classes > 256)
    throw new RangeError(`parseCifar: classes must be an integer from 1 to 256, but it is ${String(classes)}.`);
  if (labelBytes !== 1 && labelBytes !== 2)
    throw new RangeError(`parseCifar: labelBytes is 1 (CIFAR-10) or 2 (CIFAR-100), but it is ${String(labelBytes)}.`);
  const record = labelBytes + PIXELS;
  if (bytes.length === 0) throw new Error('parseCifar: the file is empty.');
  if (bytes.length % record !== 0)
    throw new Error(
      `parseCifar: records have ${record} bytes, and ${bytes.length} bytes are ${Math.floor(bytes.length / record)} of them and ` +
        `${bytes.length % record} bytes more: the file is truncated, packed, or none of this format.`,
    );
  const count = bytes.length / record;
  const data = new Uint8Array(count * PIXELS);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const pixels = i * record + labelBytes;
    const label = bytes[pixels - 1]!;
    if (label >= classes)
      throw new Error(
        `parseCifar: image ${i} (from 0) is of class ${label}, but there are ${classes} classes, from 0 to ${classes - 1}.`,
      );
    labels[i] = label;
    data.set(bytes.subarray(pixels, pixels + PIXELS), i * PIXELS);
  }
  return { shape: [count, 3, 32, 32], data, labels };
}

/**
 * The names of the classes, one a line, as in batches.meta.txt.
 *
 * Throws an Error of one sentence where there are not `classes` names (10 unless given), or one comes twice.
 *
 *     parseClassNames('cat\ndog\n', 2); // ["cat", "dog"]
 */
export function parseClassNames(text: string, classes = 10): string[] {
  if (typeof text !== 'string') throw new TypeError(`parseClassNames: the text must be a string, not ${typeof text}.`);
  const names = text
    .split(/\r\n|\n|\r/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (names.length !== classes)
    throw new Error(
      `parseClassNames: there are ${names.length} names, but there must be one for each of ${classes} classes.`,
    );
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`parseClassNames: ${JSON.stringify(twice.slice(0, 40))} is named twice.`);
  return names;
}

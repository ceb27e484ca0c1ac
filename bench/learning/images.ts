/** Labelled images as bytes, the pair of sets that a training job works on, and batches of them as numbers. */

/** `count` images of height x width bytes, row-major one after the other (0: background, 255: ink), and their classes. */
export interface LabelledImages {
  count: number;
  height: number;
  width: number;
  pixels: Uint8Array;
  labels: Uint8Array;
}

/** What to train on and what to test on; no image is in both. */
export interface DataSet {
  /** What reports call it, e.g. 'embedded digits'. */
  name: string;
  train: LabelledImages;
  test: LabelledImages;
}

/** All data sets of this job have ten classes, 0 to 9. */
export const CLASSES = 10;

/** The images of these rows one after the other, each byte replaced by what `scale` has for it. */
export function pixelsOf(
  { height, width, pixels }: LabelledImages,
  rows: Int32Array,
  scale: Float32Array,
): Float32Array {
  const size = height * width;
  const values = new Float32Array(rows.length * size);
  let place = 0;
  for (const row of rows) {
    for (let p = row * size; p < (row + 1) * size; p++) values[place++] = scale[pixels[p] as number] as number;
  }
  return values;
}

export function labelsOf({ labels }: LabelledImages, rows: Int32Array): Int32Array {
  return Int32Array.from(rows, (row) => labels[row] as number);
}

/** What each byte becomes, so that the training pixels have mean 0 and standard deviation 1. */
export function standardization(pixels: Uint8Array): Float32Array {
  const counts = new Float64Array(256);
  for (const pixel of pixels) counts[pixel] = (counts[pixel] as number) + 1;
  const mean = counts.reduce((sum, count, value) => sum + count * value, 0) / pixels.length;
  const variance =
    counts.reduce((sum, count, value) => sum + count * (value - mean) * (value - mean), 0) / pixels.length;
  const deviation = Math.sqrt(variance) || 1; // all pixels equal: nothing to scale
  return Float32Array.from({ length: 256 }, (_, value) => (value - mean) / deviation);
}

/** What each byte becomes, so that black is 0 and white is 1. */
export const unitScale = (): Float32Array => Float32Array.from({ length: 256 }, (_, value) => value / 255);

/** Labelled images as bytes, and the pair of sets that a training job works on. */

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

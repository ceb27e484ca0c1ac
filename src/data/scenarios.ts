/**
 * Scenarios: data that come in contexts, one after the other, and what a learner is asked in each.
 *
 * A context's examples are not copied: they are rows of the data set, and what makes them different (which digits, which
 * permutation, which angle) is applied when a batch is asked for. Labels are columns of the model's output, and a head is the
 * range of columns among which the answer is sought.
 *
 * The three kinds are those of van de Ven, Tuytelaars and Tolias, "Three types of incremental learning" (2022).
 */
import { given } from '../tensor/given.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkWhole } from './check.ts';
import { child } from './draws.ts';
import { angle, resample, turned } from './rotation.ts';
import { build, checkData, copied, gathered, imageOf, type KindOptions } from './scenarios-build.ts';
import type { StreamData } from './streams.ts';

/** Examples of one kind, any of which can be had as a batch. */
export interface Examples {
  /** One for each example: the column of the output that is right. */
  readonly labels: Int32Array;
  /** The inputs of these examples, [rows.length, ...]. A new tensor each time. */
  inputs(rows: ArrayLike<number>): Tensor;
}

/** Columns of a model's output, from the first up to but not including the second: where the answer is sought. */
export type Head = readonly [from: number, to: number];

/** What is learned between two changes. */
export interface Context {
  /** 0 for the first. */
  readonly index: number;
  /** That of the scenario: what a learner may be told of this context. */
  readonly kind: ScenarioKind;
  readonly train: Examples;
  readonly test: Examples;
  readonly head: Head;
}

/**
 * What a learner is told. task: which context an example is of, always, so that each may have a head of its own. domain: not
 * when it is asked; the contexts share their outputs. class: neither, and classes of all contexts are told apart.
 */
export type ScenarioKind = 'task' | 'domain' | 'class';

export interface Scenario {
  readonly kind: ScenarioKind;
  readonly contexts: readonly Context[];
  /** Columns that the model's output needs. */
  readonly outputs: number;
  /** Shape of one example's input. */
  readonly inputShape: readonly number[];
}

/** Examples that are learned from together. All are of one context. */
export interface Batch {
  /** [n, ...] */
  readonly x: Tensor;
  /** n columns of the output. */
  readonly labels: Int32Array;
  /** Where answers are sought. */
  readonly head: Head;
  /** Number of the context, from 0. */
  readonly context: number;
}

/** A data set that scenarios are made of. Its labels are classes, counted from 0. */
export interface ScenarioData {
  readonly train: StreamData;
  readonly test: StreamData;
  /** Shape of one input, [784] or [1, 28, 28] for example: so many numbers are each example's, row by row. */
  readonly shape: readonly number[];
  /** What numbers are multiplied with, 1 / 255 for bytes; 1 unless given. */
  readonly scale?: number;
}

export interface SplitOptions extends KindOptions {
  /** Classes of a context; 2 unless given. */
  readonly classesPerContext?: number;
  /**
   * The data's labels in the order in which they become classes 0, 1, 2, ...; as they are unless given. The first
   * `classesPerContext` are the first context's.
   */
  readonly order?: readonly number[];
}

/**
 * Contexts with classes of their own: context i has the classes i k to (i + 1) k - 1, where k is `classesPerContext`. Split MNIST is
 * this on MNIST with k = 2.
 *
 * - task: an output for each class; the head is the context's own k columns
 * - domain: k outputs; the label is the place of the class in its context
 * - class: an output for each class; the head is all of them from the first context on, or with `activeClasses: 'seen'` those
 *   that have come so far
 *
 * Errors: labels that are no classes, an order that is no permutation, classes that do not make whole contexts, a
 * context without examples.
 *
 *     const part = { inputs: [10, 11, 12, 13], labels: [0, 1, 2, 3] };
 *     const { contexts } = splitScenario({ train: part, test: part, shape: [1] }, { kind: 'task', order: [3, 1, 0, 2] });
 *     contexts[0].train.inputs([0, 1]).toArray(); // [[11], [13]]
 *     contexts[1].head; // [2, 4]
 */
export function splitScenario(data: ScenarioData, options: SplitOptions): Scenario {
  const who = 'splitScenario';
  const call = "splitScenario(data, { kind: 'task' })";
  given(call, 'data', data);
  const { classesPerContext: width = 2, order } = given(call, 'options', options);
  const { classes, size } = checkData(who, data, order?.length);
  checkWhole(who, 'classesPerContext', width, 1);
  if (classes % width !== 0)
    throw new RangeError(
      `${who}: ${classes} classes do not make whole contexts of ${width}. Choose another classesPerContext, or leave labels out.`,
    );
  const classOf = new Int32Array(classes).fill(-1);
  for (let place = 0; place < classes; place++) {
    const label = order === undefined ? place : order[place]!;
    checkWhole(who, `order[${place}]`, label, 0, classes - 1);
    if (classOf[label] !== -1)
      throw new RangeError(`${who}: order must name each of ${classes} labels once, but ${label} comes twice.`);
    classOf[label] = place;
  }
  return build(who, data, options, classes / width, width, {
    shape: data.shape,
    classWithin: (label, context) => {
      const within = classOf[label]! - context * width;
      return within < width ? within : -1;
    },
    write: () => copied(size, data.scale ?? 1),
  });
}

export interface PermutedOptions extends KindOptions {
  readonly contexts: number;
  /** Permutations are drawn from it; a safe integer. They are those of `permutedStream` of this seed. */
  readonly seed: number;
  /** Whether the first context's inputs are permuted too, or as they are ('identity'); 'permuted' unless given. */
  readonly first?: 'identity' | 'permuted';
  /**
   * Images get a margin of zeros, before they are permuted, that makes them a square of so many pixels a side. The shape's last
   * two axes are an image's height and width; one axis is a square image.
   */
  readonly pad?: number;
}

/**
 * Contexts that differ in the order of an input's numbers: in each, all inputs are permuted in one way. All classes come in every
 * context. Permuted MNIST is this on MNIST.
 * Goodfellow et al., "An empirical investigation of catastrophic forgetting" (2013).
 *
 * - task: each context has outputs of its own, its head
 * - domain: the contexts share an output for each class
 * - class: as many outputs as for task; the head is all of them, or those that have come so far
 *
 *     const part = { inputs: [1, 2, 3, 4, 5, 6], labels: [0, 1] };
 *     const scenario = permutedScenario({ train: part, test: part, shape: [3] }, { kind: 'task', contexts: 4, seed: 1 });
 *     scenario.outputs; // 8
 */
export function permutedScenario(data: ScenarioData, options: PermutedOptions): Scenario {
  const who = 'permutedScenario';
  const call = "permutedScenario(data, { kind: 'domain', contexts: 10, seed: 1 })";
  given(call, 'data', data);
  const { contexts, seed, first = 'permuted', pad } = given(call, 'options', options);
  const { classes, size } = checkData(who, data);
  checkWhole(who, 'contexts', contexts, 1);
  checkWhole(who, 'seed', seed, Number.MIN_SAFE_INTEGER);
  if (first !== 'identity' && first !== 'permuted')
    throw new RangeError(`${who}: first must be 'identity' or 'permuted', but it is ${String(first)}.`);
  const { from, shape } =
    pad === undefined
      ? { from: Int32Array.from({ length: size }, (_, i) => i), shape: data.shape }
      : padded(who, data.shape, pad);
  return build(who, data, options, contexts, classes, {
    shape,
    classWithin: (label) => label,
    write(context) {
      if (context === 0 && first === 'identity') return gathered(from, size, data.scale ?? 1);
      const order = child(seed, 'change', context).permutation(from.length);
      return gathered(
        order.map((place) => from[place]!),
        size,
        data.scale ?? 1,
      );
    },
  });
}

/** Which number of the input stands at each place of the larger one; -1 in the margin. */
function padded(who: string, shape: readonly number[], side: number): { from: Int32Array; shape: readonly number[] } {
  const { planes, height, width } = imageOf(who, shape);
  checkWhole(who, 'pad (the side of the padded image)', side, Math.max(height, width));
  // Of an odd margin, the larger half is below and to the right.
  const [top, left] = [Math.floor((side - height) / 2), Math.floor((side - width) / 2)];
  const from = new Int32Array(planes * side * side).fill(-1);
  for (let plane = 0, next = 0; plane < planes; plane++)
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++, next++)
        from[(plane * side + top + row) * side + left + column] = next;
  return { from, shape: shape.length === 1 ? [side * side] : [...shape.slice(0, -2), side, side] };
}

export interface RotatedOptions extends KindOptions {
  /** A context for each: the degrees by which its images are turned, counterclockwise. */
  readonly angles: readonly number[];
}

/**
 * Contexts that differ in how images are turned about their centre; what lies outside the image is 0. The shape's last two axes are
 * an image's height and width; one axis is a square image. All classes come in every context; outputs and heads are as with
 * `permutedScenario`. (Sines of given degrees may differ between engines in the last bit.)
 * Lopez-Paz and Ranzato, "Gradient episodic memory for continual learning" (2017).
 *
 *     const part = { inputs: [1, 2, 3, 4], labels: [0] };
 *     const { contexts } = rotatedScenario({ train: part, test: part, shape: [2, 2] }, { kind: 'domain', angles: [0, 90] });
 *     contexts[1].train.inputs([0]).toArray().flat(2).map(Math.round); // [2, 4, 1, 3]
 */
export function rotatedScenario(data: ScenarioData, options: RotatedOptions): Scenario {
  const who = 'rotatedScenario';
  const call = "rotatedScenario(data, { kind: 'domain', angles: [0, 30, 60] })";
  given(call, 'data', data);
  const { angles } = given(call, 'options', options);
  given(call, 'angles', angles);
  const { classes } = checkData(who, data);
  const { planes, height, width } = imageOf(who, data.shape);
  if (angles.length === 0)
    throw new RangeError(`${who}: there are no angles, so there would be no contexts. Give one for each.`);
  for (const degrees of angles)
    if (!Number.isFinite(degrees))
      throw new RangeError(`${who}: angles must be finite numbers of degrees, but one is ${String(degrees)}.`);
  const pixels = height * width;
  const scale = data.scale ?? 1;
  return build(who, data, options, angles.length, classes, {
    shape: data.shape,
    classWithin: (label) => label,
    write(context) {
      const turn = turned(height, width, angle(angles[context]!));
      return (inputs, index, out, place) => {
        const start = index * planes * pixels;
        for (let at = 0; at < planes * pixels; at += pixels) resample(turn, inputs, start + at, out, place + at, scale);
      };
    },
  });
}

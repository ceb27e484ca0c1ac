/**
 * Streams for continual learning: examples without end, of which something changes from task to task.
 *
 * Example n is a function of the seed and of n. It does not matter where reading starts, in pieces of which size, or what was
 * read before; a run that was interrupted goes on at its step number and nothing else has to be saved. A stream keeps what it
 * worked out for the task read last, so reading in order is fast, and holds no other state.
 *
 * Examples go into arrays of the caller: fill one buffer with a thousand steps at a time, and drawing them costs next to nothing.
 */

import type { Generator } from '../random/generator.ts';
import { given } from '../tensor/given.ts';
import { kindOf } from '../tensor/tensor.ts';
import { checkWhole } from './check.ts';
import { at, child } from './draws.ts';
import { angle, type Direction, resample, turned } from './rotation.ts';

/** What all streams have. */
interface Stream {
  /** Numbers of one input. */
  readonly size: number;
  /** Steps (one example each) from one change to the next. */
  readonly taskLength: number;
}

/** A stream with a number as target. */
export interface RegressionStream extends Stream {
  /**
   * Writes the inputs of steps start, start + 1, ... row by row, and their targets: as many as `targets` holds. `inputs` holds
   * `size` numbers for each.
   */
  fill(start: number, inputs: Float32Array, targets: Float32Array): void;
}

/** A stream with a class, 0 to classes - 1, as target. */
export interface ClassificationStream extends Stream {
  readonly classes: number;
  /** The same with labels: as many steps as `labels` holds. */
  fill(start: number, inputs: Float32Array, labels: Int32Array): void;
}

const coin = (generator: Generator): 0 | 1 => generator.integer(2) as 0 | 1;

function checkFill(who: string, start: number, inputs: Float32Array, count: number, size: number): void {
  checkWhole(who, 'start', start, 0);
  if (inputs.length !== count * size) {
    throw new RangeError(
      `${who}: ${count} examples have ${count} x ${size} input numbers, but the array for them holds ${inputs.length}.`,
    );
  }
}

export interface SlowlyChangingRegressionOptions {
  /** Everything is drawn from it; a safe integer. */
  readonly seed: number;
  /** Bits of an input; 20 unless given. */
  readonly inputs?: number;
  /** How many of them, the first ones, hold still between changes; 15 unless given. The others are drawn anew at each step. */
  readonly slowBits?: number;
  /** Steps from one change to the next; 10,000 unless given. */
  readonly changeEvery?: number;
  /** What a change is: one slow bit, drawn by lot, flips ('one', the paper); or all are drawn anew ('all', the published code's main setting). */
  readonly change?: 'one' | 'all';
  /** Threshold units of the target network; 100 unless given. */
  readonly targetUnits?: number;
  /** Share of a unit's inputs that must agree with its weights for it to fire, about; 0.7 unless given. */
  readonly beta?: number;
}

/** Up to so many random bits, the targets of a task fit into a table. */
const MOST_TABLE_BITS = 12;

/**
 * Slowly changing regression, the smallest problem on which networks lose their plasticity: inputs are bits, most of which
 * change only now and then, and the target is what a fixed random network says of them. At each time the problem is easy; the
 * function as a whole is beyond a learner with a few units, so it has to keep on learning.
 *
 * Target network: unit i fires where w_i x + b_i > beta (inputs + 1) - S_i with S_i = (inputs - sum w_i + b_i) / 2; the target is
 * v f(x) + c. All of w, b, v, c are +-1. This S is that of the published code; the paper's counts the weights -1 and leaves b out.
 *
 * Dohare, Hernandez-Garcia, Lan, Rahman, Mahmood and Sutton, "Loss of plasticity in deep continual learning", Nature 632 (2024).
 *
 *     const stream = slowlyChangingRegression({ seed: 1 });
 *     const [inputs, targets] = [new Float32Array(1000 * stream.size), new Float32Array(1000)];
 *     stream.fill(5000, inputs, targets); // steps 5000 to 5999
 *     inputs.every((bit) => bit === 0 || bit === 1); // true
 */
export function slowlyChangingRegression(options: SlowlyChangingRegressionOptions): RegressionStream {
  const who = 'slowlyChangingRegression';
  given('slowlyChangingRegression({ seed: 1 })', 'options', options);
  const { seed, inputs: size = 20, changeEvery = 10_000, change = 'one', targetUnits = 100, beta = 0.7 } = options;
  const { slowBits = Math.min(15, size) } = options;
  checkWhole(who, 'seed', seed, Number.MIN_SAFE_INTEGER);
  checkWhole(who, 'inputs', size, 1);
  checkWhole(who, 'slowBits', slowBits, 0, size);
  checkWhole(who, 'changeEvery', changeEvery, 1);
  checkWhole(who, 'targetUnits', targetUnits, 1);
  if (!Number.isFinite(beta)) throw new RangeError(`${who}: beta must be a finite number, but it is ${String(beta)}.`);
  if (change !== 'one' && change !== 'all')
    throw new RangeError(`${who}: change must be 'one' or 'all', but it is ${kindOf(change)}.`);

  const target = targetNetwork(seed, size, targetUnits, beta);
  const slow = slowBitsByTask(seed, slowBits, change);
  const randomBits = size - slowBits;
  // Within a task the target depends on the random bits alone. NaN: not worked out yet.
  const table = randomBits <= MOST_TABLE_BITS ? new Float32Array(2 ** randomBits) : null;
  let tableTask = -1;

  return {
    size,
    taskLength: changeEvery,
    fill(start, inputs, targets) {
      checkFill(`${who}.fill`, start, inputs, targets.length, size);
      // A block a step and 32 random bits.
      const blocks = Math.max(1, Math.ceil(randomBits / 32));
      const generator = at(seed, 'randomBits', start * blocks);
      for (let i = 0, row = 0, task = -1, bits: Uint8Array = EMPTY; i < targets.length; i++, row += size) {
        if (task !== Math.floor((start + i) / changeEvery)) {
          task = Math.floor((start + i) / changeEvery);
          bits = slow(task);
          if (tableTask !== task) table?.fill(Number.NaN);
          tableTask = task;
        }
        inputs.set(bits, row);
        let word = 0;
        for (let bit = 0; bit < Math.max(1, randomBits); bit++) {
          if (bit % 32 === 0) word = generator.integer(2 ** 32) | 0;
          if (bit < randomBits) inputs[row + slowBits + bit] = (word >>> (bit % 32)) & 1;
        }
        if (table === null) targets[i] = target(inputs, row);
        else {
          const place = word & (table.length - 1);
          if (Number.isNaN(table[place]!)) table[place] = target(inputs, row);
          targets[i] = table[place]!;
        }
      }
    },
  };
}

const EMPTY = new Uint8Array(0);

/** The target of the `size` numbers that stand in an array from `start` on. */
function targetNetwork(
  seed: number,
  size: number,
  units: number,
  beta: number,
): (inputs: Float32Array, start: number) => number {
  const generator = child(seed, 'target', 0);
  const signs = (count: number) => Int8Array.from({ length: count }, () => 2 * coin(generator) - 1);
  const [weights, biases, outgoing] = [signs(units * size), signs(units), signs(units)];
  const [outputBias] = signs(1);
  const thresholds = Float64Array.from(biases, (bias, unit) => {
    const sum = weights.subarray(unit * size, (unit + 1) * size).reduce((total, weight) => total + weight, 0);
    return beta * (size + 1) - (size - sum + bias) / 2;
  });
  return (inputs, start) => {
    let y = outputBias!;
    for (let unit = 0; unit < units; unit++) {
      let sum = biases[unit]!;
      for (let i = 0; i < size; i++) sum += weights[unit * size + i]! * inputs[start + i]!;
      if (sum > thresholds[unit]!) y += outgoing[unit]!;
    }
    return y;
  };
}

/** The slow bits of each task. Where they change one by one, those of the task asked for last are kept. */
function slowBitsByTask(seed: number, count: number, change: 'one' | 'all'): (task: number) => Uint8Array {
  if (count === 0) return () => EMPTY;
  const drawn = (task: number): Uint8Array => {
    const generator = child(seed, 'slowBits', 2 * task);
    return Uint8Array.from({ length: count }, () => coin(generator));
  };
  if (change === 'all') return drawn;
  const flip = (bits: Uint8Array, task: number): void => {
    const bit = child(seed, 'slowBits', 2 * task + 1).integer(count);
    bits[bit] = 1 - bits[bit]!;
  };
  const bits = drawn(0);
  let last = 0;
  return (task) => {
    // A flip undoes itself, so the way back is as short as the way forth.
    while (last < task) flip(bits, ++last);
    while (last > task) flip(bits, last--);
    return bits;
  };
}

/** Labelled examples of one size, in memory. */
export interface StreamData {
  /** The inputs one after the other. */
  readonly inputs: ArrayLike<number>;
  /** The class of each, from 0. */
  readonly labels: ArrayLike<number>;
}

export interface TaskStreamOptions {
  /** Everything is drawn from it; a safe integer. */
  readonly seed: number;
  /**
   * How long a task is: so many steps, each example coming at most once (online); or so many epochs, each through all of the data
   * in an order of its own. One epoch, which is both, unless given.
   */
  readonly task?: { readonly steps: number } | { readonly epochs: number };
}

/** How the examples of one task differ from the data. */
interface Change {
  /** Writes input `index` of the data to `out` from `place` on. */
  write(index: number, out: Float32Array, place: number): void;
  label(label: number): number;
}

function taskStream(
  who: string,
  { inputs, labels }: StreamData,
  { seed, task = { epochs: 1 } }: TaskStreamOptions,
  changeOf: (generator: Generator, task: number, size: number, classes: number) => Change,
): ClassificationStream {
  checkWhole(who, 'seed', seed, Number.MIN_SAFE_INTEGER);
  const count = labels.length;
  if (count === 0 || inputs.length === 0 || inputs.length % count !== 0)
    throw new RangeError(
      `${who}: ${inputs.length} input numbers for ${count} labels: there must be the same number, at least one, for each.`,
    );
  let classes = 0;
  for (let i = 0; i < count; i++) {
    checkWhole(who, `label ${i}`, labels[i]!, 0, 2 ** 31 - 2);
    classes = Math.max(classes, labels[i]! + 1);
  }
  let taskLength: number;
  if ('steps' in task) {
    checkWhole(who, 'task.steps (each example comes at most once)', task.steps, 1, count);
    taskLength = task.steps;
  } else {
    checkWhole(who, 'task.epochs', task.epochs, 1);
    taskLength = task.epochs * count;
  }
  const epochs = 'epochs' in task ? task.epochs : 1;
  const size = inputs.length / count;

  let [currentTask, currentEpoch] = [-1, -1];
  let change: Change = { write() {}, label: (label) => label };
  let order: Int32Array = new Int32Array(0);
  return {
    size,
    taskLength,
    classes,
    fill(start, out, outLabels) {
      checkFill(`${who}.fill`, start, out, outLabels.length, size);
      for (let i = 0; i < outLabels.length; i++) {
        const step = start + i;
        const number = Math.floor(step / taskLength);
        if (number !== currentTask) {
          change = changeOf(child(seed, 'change', number), number, size, classes);
          currentTask = number;
        }
        const within = step - number * taskLength;
        const epoch = number * epochs + Math.floor(within / count);
        if (epoch !== currentEpoch) {
          order = child(seed, 'order', epoch).permutation(count);
          currentEpoch = epoch;
        }
        const index = order[within % count]!;
        change.write(index, out, i * size);
        outLabels[i] = change.label(labels[index]!);
      }
    },
  };
}

/**
 * Tasks that differ in the order of an input's numbers: in each, all inputs are permuted in one way, drawn for the task (the
 * first one too). Permuted MNIST is this on MNIST: all tasks are equally hard, none helps with another.
 * Goodfellow et al., "An empirical investigation of catastrophic forgetting" (2013); as a stream: Dohare et al. (2024).
 *
 * @param data at least one example; inputs of any length
 *
 *     const data = { inputs: [1, 2, 3, 4, 5, 6], labels: [0, 1] };
 *     const stream = permutedStream(data, { seed: 1, task: { epochs: 5 } });
 *     stream.taskLength; // 10
 *     stream.fill(0, new Float32Array(30), new Int32Array(10)); // the whole first task
 */
export function permutedStream(data: StreamData, options: TaskStreamOptions): ClassificationStream {
  const call = 'permutedStream(data, { seed: 1, task: { epochs: 1 } })';
  const { inputs } = given(call, 'data', data);
  given(call, 'options', options);
  return taskStream('permutedStream', data, options, (generator, _, size) => {
    const from = generator.permutation(size);
    return {
      write(index, out, place) {
        const start = index * size;
        for (let i = 0; i < size; i++) out[place + i] = inputs[start + from[i]!]!;
      },
      label: (label) => label,
    };
  });
}

/**
 * Tasks that differ in the names of the classes: in each, all labels are permuted in one way, drawn for the task. The inputs stay
 * as they are, so what was learned of them is worth keeping.
 * Elsayed and Mahmood, "Addressing loss of plasticity and catastrophic forgetting in continual learning" (2024).
 *
 *     const stream = labelPermutedStream({ inputs: [1, 2, 3], labels: [0, 1, 2] }, { seed: 1, task: { steps: 2 } });
 *     stream.classes; // 3
 */
export function labelPermutedStream(data: StreamData, options: TaskStreamOptions): ClassificationStream {
  const call = 'labelPermutedStream(data, { seed: 1, task: { steps: 5000 } })';
  const { inputs } = given(call, 'data', data);
  given(call, 'options', options);
  return taskStream('labelPermutedStream', data, options, (generator, _, size, classes) => {
    const names = generator.permutation(classes);
    return {
      write(index, out, place) {
        const start = index * size;
        for (let i = 0; i < size; i++) out[place + i] = inputs[start + i]!;
      },
      label: (label) => names[label]!,
    };
  });
}

export interface RotatedStreamOptions extends TaskStreamOptions {
  /** Pixels of an image down and across; an input holds height x width numbers, row by row. */
  readonly height: number;
  readonly width: number;
  /**
   * Task k is turned by k times so many degrees, counterclockwise. Without it each task has an angle of its own, all equally likely.
   * (Sines of given degrees may differ between engines in the last bit; the angles that are drawn do without.)
   */
  readonly degrees?: number;
}

/**
 * Tasks that differ in how images are turned about their centre. Between pixels values are interpolated linearly; what lies
 * outside the image is 0.
 * Lopez-Paz and Ranzato, "Gradient episodic memory for continual learning" (2017).
 *
 *     const image = { inputs: [1, 2, 3, 4], labels: [0] };
 *     const stream = rotatedStream(image, { seed: 1, height: 2, width: 2, degrees: 90 });
 *     const inputs = new Float32Array(4);
 *     stream.fill(1, inputs, new Int32Array(1));
 *     Array.from(inputs, Math.round); // [2, 4, 1, 3]
 */
export function rotatedStream(data: StreamData, options: RotatedStreamOptions): ClassificationStream {
  const call = 'rotatedStream(data, { seed: 1, task: { epochs: 1 }, height: 28, width: 28 })';
  given(call, 'data', data);
  const { height, width, degrees } = given(call, 'options', options);
  checkWhole('rotatedStream', 'height', height, 1);
  checkWhole('rotatedStream', 'width', width, 1);
  if (height * width * data.labels.length !== data.inputs.length)
    throw new RangeError(
      `rotatedStream: ${data.labels.length} images of ${height} x ${width} pixels have ` +
        `${height * width * data.labels.length} numbers, but there are ${data.inputs.length}.`,
    );
  if (degrees !== undefined && !Number.isFinite(degrees))
    throw new RangeError(`rotatedStream: degrees must be a finite number, but it is ${String(degrees)}.`);
  const { inputs } = data;
  return taskStream('rotatedStream', data, options, (generator, task, size) => {
    const turn = turned(height, width, degrees === undefined ? direction(generator) : angle(task * degrees));
    return {
      write: (index, out, place) => resample(turn, inputs, index * size, out, place, 1),
      label: (label) => label,
    };
  });
}

/** All directions are equally likely: two normal numbers have no preferred one. */
function direction(generator: Generator): Direction {
  const [x, y] = [generator.normal(), generator.normal()];
  const length = Math.sqrt(x * x + y * y);
  return length === 0 ? [1, 0] : [x / length, y / length];
}

/**
 * What all scenarios are built with: checks of the data, which rows are a context's, which columns its labels and head are, and
 * how its inputs are written into a batch.
 */
import { tensor } from '../tensor/create.ts';
import { checkShape, showShape, sizeOf } from '../tensor/layout.ts';
import { checkWhole } from './check.ts';
import type { Context, Examples, Head, Scenario, ScenarioData, ScenarioKind } from './scenarios.ts';
import type { StreamData } from './streams.ts';

export interface KindOptions {
  readonly kind: ScenarioKind;
  /**
   * For the kind 'class' alone: whether answers are sought among all classes from the first context on ('all', unless given), or
   * among those of the contexts so far ('seen').
   */
  readonly activeClasses?: 'all' | 'seen';
}

/** Writes input `index` of the data to `out` from `place` on. */
export type Write = (inputs: ArrayLike<number>, index: number, out: Float32Array, place: number) => void;

/** How contexts differ. */
export interface Plan {
  /** Shape of one input as it is written. */
  readonly shape: readonly number[];
  /** Which of a context's classes this label is, from 0; negative where it is none of them. */
  classWithin(label: number, context: number): number;
  write(context: number): Write;
}

/** Checks the data; `labels` is how many there must be, where that is known. */
export function checkData(
  who: string,
  { train, test, shape, scale = 1 }: ScenarioData,
  labels?: number,
): { classes: number; size: number } {
  checkShape(who, shape);
  const size = sizeOf(shape);
  if (!Number.isFinite(scale))
    throw new RangeError(`${who}: scale must be a finite number, but it is ${String(scale)}.`);
  let classes = labels ?? 0;
  for (const [name, part] of [
    ['training', train],
    ['test', test],
  ] as const) {
    const count = part.labels.length;
    if (size === 0 || count === 0 || part.inputs.length !== count * size)
      throw new RangeError(
        `${who}: ${count} ${name} labels and inputs of shape ${showShape(shape)} go with ${count * size} numbers, at least one, but ` +
          `there are ${part.inputs.length}.`,
      );
    // Without an order the training labels say how many classes there are, and a test label beyond them is a mistake.
    const known = labels !== undefined || name === 'test';
    for (let i = 0; i < count; i++) {
      checkWhole(who, `${name} label ${i}`, part.labels[i]!, 0, known ? classes - 1 : 2 ** 31 - 2);
      if (!known) classes = Math.max(classes, part.labels[i]! + 1);
    }
  }
  return { classes, size };
}

/** An input as image: the last two axes are height and width; one axis is a square. */
export function imageOf(who: string, shape: readonly number[]): { planes: number; height: number; width: number } {
  const side = Math.round(Math.sqrt(sizeOf(shape)));
  if (shape.length === 1 && side * side === shape[0]) return { planes: 1, height: side, width: side };
  if (shape.length < 2)
    throw new RangeError(
      `${who}: inputs of shape ${showShape(shape)} are no images. Give data.shape as [height, width].`,
    );
  const [height, width] = shape.slice(-2) as [number, number];
  return { planes: sizeOf(shape.slice(0, -2)), height, width };
}

/** Contexts of `width` classes each. */
export function build(
  who: string,
  data: ScenarioData,
  { kind, activeClasses }: KindOptions,
  count: number,
  width: number,
  plan: Plan,
): Scenario {
  if (kind !== 'task' && kind !== 'domain' && kind !== 'class')
    throw new RangeError(`${who}: kind must be 'task', 'domain' or 'class', but it is ${String(kind)}.`);
  if (activeClasses !== undefined && activeClasses !== 'all' && activeClasses !== 'seen')
    throw new RangeError(`${who}: activeClasses must be 'all' or 'seen', but it is ${String(activeClasses)}.`);
  if (activeClasses !== undefined && kind !== 'class')
    throw new RangeError(`${who}: activeClasses is for the kind 'class', but the kind is '${kind}'. Leave it out.`);
  const outputs = kind === 'domain' ? width : width * count;
  const contexts = Array.from({ length: count }, (_, index): Context => {
    const own: Head = [index * width, (index + 1) * width];
    const head: Head = kind === 'task' ? own : [0, activeClasses === 'seen' ? own[1] : outputs];
    const first = kind === 'domain' ? 0 : own[0];
    const write = plan.write(index);
    const part = (name: string, from: StreamData): Examples => {
      const rows: number[] = [];
      const labels: number[] = [];
      for (let row = 0; row < from.labels.length; row++) {
        const within = plan.classWithin(from.labels[row]!, index);
        if (within < 0) continue;
        rows.push(row);
        labels.push(first + within);
      }
      if (rows.length === 0)
        throw new RangeError(
          `${who}: context ${index} has no ${name} examples. Each context needs some: look at the labels, or leave its classes out.`,
        );
      return examplesOf(who, from, Int32Array.from(rows), Int32Array.from(labels), plan.shape, write);
    };
    return { index, kind, train: part('training', data.train), test: part('test', data.test), head };
  });
  return { kind, contexts, outputs, inputShape: plan.shape.slice() };
}

function examplesOf(
  who: string,
  { inputs }: StreamData,
  places: Int32Array,
  labels: Int32Array,
  shape: readonly number[],
  write: Write,
): Examples {
  const size = sizeOf(shape);
  return {
    labels,
    inputs(rows) {
      const out = new Float32Array(rows.length * size);
      for (let i = 0; i < rows.length; i++) {
        const place = places[rows[i]!];
        if (place === undefined)
          throw new RangeError(
            `${who}: there is no example ${rows[i]} in this context; it has 0 to ${places.length - 1}.`,
          );
        write(inputs, place, out, i * size);
      }
      return tensor(out, [rows.length, ...shape]);
    },
  };
}

/** Inputs as they are, times `scale`. */
export const copied =
  (size: number, scale: number): Write =>
  (inputs, index, out, place) => {
    const start = index * size;
    for (let i = 0; i < size; i++) out[place + i] = inputs[start + i]! * scale;
  };

/** Inputs of `size` numbers of which each place takes one; 0 where `from` is negative. */
export const gathered =
  (from: Int32Array, size: number, scale: number): Write =>
  (inputs, index, out, place) => {
    const start = index * size;
    for (let i = 0; i < from.length; i++) out[place + i] = from[i]! < 0 ? 0 : inputs[start + from[i]!]! * scale;
  };

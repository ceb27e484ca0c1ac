/**
 * Adam's corrections. Its means start at 0, and after t steps each is divided by 1 - beta^t. Weights that were drawn anew began
 * later than others, and count their own steps: else a newborn's first steps would be too small or far too large.
 *
 * Weights that began after the same step are a class. There are as many classes as resets, so the powers are worked out by
 * class, in double precision, and each weight looks its factor up. Once a power is too small to be seen in a float, all
 * factors are the same, and the lookup ends.
 */
import { settle } from '../storage/context.ts';
import { heap, run } from '../storage/dispatch.ts';
import { address, wroteTo } from '../tensor/access.ts';
import { buffer, tensor } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { plus, plusScaled, times } from '../tensor/tiles.ts';

/** What is below this changes nothing when it is taken from 1. */
const negligible = 2 ** -60;

/**
 * 1 - beta ** steps, by repeated squaring: multiplications round the same in every engine, Math.pow need not.
 */
export function correction(beta: number, steps: number): number {
  let product = 1;
  let square = beta;
  for (let rest = steps; rest > 0; ) {
    if (square < negligible) return 1;
    const half = Math.floor(rest / 2);
    if (half * 2 !== rest) product *= square;
    square *= square;
    rest = half;
  }
  return 1 - product;
}

/** One of Adam's two corrections. */
export interface Correction {
  /** 1 - beta^t, and by what the mean is multiplied for it; both mean nothing where there is a table. */
  readonly value: number;
  readonly factor: number;
  /** The factors by class; null: all weights have the same. */
  readonly table: Tensor | null;
}

export interface Corrections {
  /** Its factor is -1 / (1 - beta1^t): steps go against the gradient. */
  readonly mean: Correction;
  /** Its factor is 1 / sqrt(1 - beta2^t), for the root of the mean square. */
  readonly root: Correction;
  /** The class of each weight, as integers; null: there are no tables. */
  readonly classes: Tensor | null;
}

interface Classes {
  /** The version of the restarts that they were read from. */
  version: number;
  /** After which step the weights of a class began. */
  began: number[];
  readonly classes: Tensor;
}

const known = new WeakMap<Tensor, Classes>();

function classesOf(restarts: Tensor): Classes {
  const { version } = restarts.storage.root;
  let found = known.get(restarts);
  if (found === undefined) {
    found = { version: -1, began: [], classes: buffer(restarts) };
    known.set(restarts, found);
  }
  if (found.version === version) return found;
  const began: number[] = [];
  const places = new Map<number, number>();
  const steps = numbersOf(restarts);
  const start = address(found.classes);
  const { ints } = heap;
  let [last, place] = [Number.NaN, 0];
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i]!;
    if (step !== last) {
      last = step;
      place = places.get(step) ?? began.length;
      if (place === began.length) places.set(step, began.push(step) - 1);
    }
    ints[start + i] = place;
  }
  wroteTo(found.classes);
  settle();
  Object.assign(found, { version, began });
  return found;
}

/** The corrections of a parameter's `steps`-th step. `restarts` says after which step each weight began; null: none did anew. */
export function correctionsAt(steps: number, betas: readonly [number, number], restarts: Tensor | null): Corrections {
  const found = restarts === null || restarts.size === 0 ? null : classesOf(restarts);
  const began = found?.began ?? [0];
  const of = (beta: number, factorFor: (value: number) => number): Correction => {
    // Past 2^24 steps a float no longer tells them all: a newborn has taken one step at least.
    const values = began.map((step) => correction(beta, Math.max(1, steps - step)));
    const factors = values.map(factorFor);
    const seen = Math.fround(factors[0]!);
    const same = factors.every((one) => Math.fround(one) === seen);
    return { value: values[0]!, factor: factors[0]!, table: same ? null : tensor(factors) };
  };
  const mean = of(betas[0], (value) => -1 / value);
  const root = of(betas[1], (value) => 1 / Math.sqrt(value));
  return { mean, root, classes: mean.table === null && root.table === null ? null : found!.classes };
}

/** The factors of a tile of n weights whose classes stand at an address. */
function lookUp(table: Tensor, classes: number, out: number, n: number): void {
  run.indexSelect(address(table), classes, out, 1, table.size, n, 1);
}

/** x = x times its factor. `work` is a tile to work in. */
export function correct({ factor, table }: Correction, classes: number, x: number, n: number, work: number): void {
  if (table === null) return run.scale(x, x, n, factor, 0);
  lookUp(table, classes, work, n);
  times(x, work, x, n);
}

/** out += x times its factor. */
export function addCorrected(
  { factor, table }: Correction,
  classes: number,
  x: number,
  out: number,
  n: number,
  work: number,
): void {
  if (table === null) return plusScaled(out, x, n, factor);
  lookUp(table, classes, work, n);
  times(x, work, work, n);
  plus(out, work, out, n);
}

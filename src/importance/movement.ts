/**
 * WeightMovement: how weights move while they learn. It keeps copies only (its first sample does not alias the live weight),
 * forgets all of them when it begins anew, and those of weights that were drawn anew (state/reset.ts).
 */
import { onResetWhile } from '../state/reset.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { aroundSteps, entry, type NamedParameters, reading, type Steps, watched } from './steps.ts';

interface Moved {
  readonly parameter: Tensor;
  readonly start: Float32Array;
  readonly last: Float32Array;
  /** The last sign and the last direction that were not 0: 1, -1; 0: there was none yet. */
  readonly sign: Int8Array;
  readonly direction: Int8Array;
  readonly flips: Int32Array;
  readonly reversals: Int32Array;
  readonly path: Float64Array;
}

/** Steps of the parameter that is being counted, and their bits. */
let steps = new Float32Array(0);

/**
 * Counts what changed from `last` to these numbers. Signs are read off the bits: comparing would be a branch that is guessed
 * wrong half of the time, and take four times as long.
 */
function count(w: Float32Array, { last, sign, direction, flips, reversals, path }: Moved): void {
  if (steps.length < w.length) steps = new Float32Array(w.length);
  const [stepBits, bits] = [new Int32Array(steps.buffer), new Int32Array(w.buffer, w.byteOffset, w.length)];
  for (let i = 0; i < w.length; i++) steps[i] = w[i]! - last[i]!;
  last.set(w);
  for (let i = 0; i < w.length; i++) {
    const step = stepBits[i]!;
    // 0 or -0: without the sign no bit is left.
    if (step << 1 === 0) continue;
    path[i]! += Math.abs(steps[i]!);
    const towards = (step >> 31) | 1;
    reversals[i]! += (towards * direction[i]!) >>> 31;
    direction[i] = towards;
    const now = bits[i]!;
    if (now << 1 === 0) continue;
    const side = (now >> 31) | 1;
    flips[i]! += (side * sign[i]!) >>> 31;
    sign[i] = side;
  }
}

/** How weights moved, row-major; the tracker's own arrays, for reading. */
export type Movement = Pick<Moved, 'start' | 'last' | 'flips' | 'reversals' | 'path'>;

/**
 * How each weight moves: how often its sign changed, how often its direction did, how long its way was (the sum of |step|),
 * and where it began. A weight at 0 has the sign that it had before, a weight that rests its direction. What counts as a step
 * is what lies between two calls of `observe`: steps of an optimizer with `attach`, or epochs.
 *
 *     const w = parameter(tensor([1, 1]));
 *     const movement = new WeightMovement([['w', w]]);
 *     for (const values of [[0.5, 2], [-0.5, 1]]) {
 *       noGrad(() => w.copy_(tensor(values)));
 *       movement.observe();
 *     }
 *     Array.from(movement.of('w').flips); // [1, 0]
 *     Array.from(movement.of('w').reversals); // [0, 1]
 *     Array.from(movement.of('w').path); // [1.5, 2]
 */
export class WeightMovement {
  readonly #moved: ReadonlyMap<string, Moved>;

  constructor(parameters: NamedParameters) {
    const moved = new Map<string, Moved>();
    for (const [name, parameter] of watched('WeightMovement', parameters)) {
      const { size } = parameter;
      const one: Moved = {
        parameter,
        start: new Float32Array(size),
        last: new Float32Array(size),
        sign: new Int8Array(size),
        direction: new Int8Array(size),
        flips: new Int32Array(size),
        reversals: new Int32Array(size),
        path: new Float64Array(size),
      };
      moved.set(name, one);
      onResetWhile(parameter, one, forgetMovement);
    }
    this.#moved = moved;
    this.reset();
  }

  get names(): readonly string[] {
    return [...this.#moved.keys()];
  }

  /** Counts what changed since the last call, or since the start. */
  observe(): void {
    for (const moved of this.#moved.values())
      reading(moved.parameter, (w) => count(w instanceof Float32Array ? w : Float32Array.from(w), moved));
  }

  /** Watches each step of an optimizer. @returns a function that stops it */
  attach(optimizer: Steps): () => void {
    return aroundSteps(optimizer, { after: () => this.observe() });
  }

  of(name: string): Movement {
    return entry('WeightMovement', this.#moved, name);
  }

  /** Begins anew, at the present values: nothing of before is left. */
  reset(): void {
    for (const { parameter, start, last, sign, direction, flips, reversals, path } of this.#moved.values()) {
      for (const counts of [direction, flips, reversals, path]) counts.fill(0);
      reading(parameter, (w) => {
        start.set(w);
        last.set(w);
        for (let i = 0; i < sign.length; i++) sign[i] = Math.sign(w[i]!);
      });
    }
  }
}

function forgetMovement(moved: Moved, elements: Int32Array): void {
  const { parameter, start, last, sign, direction, flips, reversals, path } = moved;
  reading(parameter, (w) => {
    for (const i of elements) {
      start[i] = last[i] = w[i]!;
      sign[i] = Math.sign(w[i]!);
      direction[i] = flips[i] = reversals[i] = path[i] = 0;
    }
  });
}

/**
 * How strengths were chosen: by trying the same number of points for each combination, on a seed of their own.
 *
 * The points are those of the Halton sequence in four dimensions, one for each strength, spread evenly over the logarithm of its range. A combination reads
 * from a point the strengths that it has. So whoever has one strength tries as many values of it as whoever has four tries points, and
 * nobody's values were looked for by hand. At the weak end of every range the method does next to nothing, so a combination may do without a part
 * that does not help.
 */

import { type Combination, STRENGTHS, type Strength, type Strengths } from './combinations.ts';

/** No run of the experiment has it. */
export const TUNING_SEED = 1001;

/** Points of each combination that were tried. */
export const TUNING_POINTS = 6;

export const RANGES: Readonly<Record<Strength, readonly [from: number, to: number]>> = {
  lambda: [0.1, 100],
  rate: [1e-6, 1e-3],
  protect: [0.1, 100],
  floor: [0.03, 1],
};

/** One prime for each strength. */
const BASES: Readonly<Record<Strength, number>> = { lambda: 2, rate: 3, protect: 5, floor: 7 };

/** The strengths of a combination at point `index`, from 0, to two digits. */
export function pointOf({ strengths }: Combination, index: number): Strengths {
  const own = STRENGTHS.filter((name) => strengths[name] !== undefined);
  return Object.fromEntries(
    own.map((name) => {
      const [from, to] = RANGES[name];
      return [name, Number((from * (to / from) ** mirrored(index + 1, BASES[name])).toPrecision(2))];
    }),
  );
}

/** The digits of a whole number behind the point, the last one first: between 0 and 1, evenly spread over any stretch of numbers. */
export function mirrored(number: number, base: number): number {
  let [result, place] = [0, 1 / base];
  for (let rest = number; rest > 0; rest = Math.floor(rest / base), place /= base) result += (rest % base) * place;
  return result;
}

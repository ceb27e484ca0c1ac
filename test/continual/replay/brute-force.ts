/** The nearest vector with no negative product, found by trying every set of constraints that may hold with equality. */
type Vector = readonly number[];

export const dot = (a: Vector, b: Vector): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
export const lengthOf = (a: Vector): number => Math.sqrt(dot(a, a));
const plus = (a: Vector, factor: number, b: Vector): number[] => a.map((x, i) => x + factor * b[i]!);

/** g without its part in the span of some vectors: Gram and Schmidt's way, twice, for the sake of rounding. */
function rejected(g: Vector, vectors: readonly Vector[]): Vector {
  const basis: Vector[] = [];
  for (const vector of vectors) {
    let rest: Vector = vector;
    for (let pass = 0; pass < 2; pass++) for (const one of basis) rest = plus(rest, -dot(rest, one), one);
    const length = lengthOf(rest);
    if (length > 1e-9 * lengthOf(vector)) basis.push(rest.map((x) => x / length));
  }
  let left = g;
  for (let pass = 0; pass < 2; pass++) for (const one of basis) left = plus(left, -dot(left, one), one);
  return left;
}

/** By Karush, Kuhn and Tucker the nearest is among these: for each set, g without its part in the set's span. */
export function nearest(g: Vector, vectors: readonly Vector[], slack = 1e-9): Vector {
  let [best, distance]: [Vector, number] = [g.map(() => 0), lengthOf(g)];
  for (let set = 0; set < 2 ** vectors.length; set++) {
    const candidate = rejected(
      g,
      vectors.filter((_, k) => (set >> k) & 1),
    );
    if (vectors.some((one) => dot(candidate, one) < -slack * lengthOf(g) * lengthOf(one))) continue;
    const away = lengthOf(plus(candidate, -1, g));
    if (away < distance) [best, distance] = [candidate, away];
  }
  return best;
}

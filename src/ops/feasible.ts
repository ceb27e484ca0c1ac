/**
 * What ops can produce: projections of a wished-for output onto the closure of an op's image, as `feasible` of OpDefinition
 * takes them.
 *
 * They say what holds for entries (a relu is never negative) and for rows (a softmax adds up to 1). That a linear map
 * with few inputs ties its many outputs together is not said here: to reach such an output as well as may be is the
 * affair of whoever solves for the inputs, so sums, products of matrices and convolutions are said to produce
 * 'everything'. A NaN in a wish stays one. A projection may return the very tensor it was given.
 */
import type { OpDefinition, Projection, Recorded } from '../autograd/define.ts';
import { ones } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { gt, lt, maximum, minimum, ne, sub, where } from './binary.ts';

/** The field of a definition, for factories that ask for it. */
export type Feasible<Inputs extends readonly Tensor[], Attributes> = NonNullable<
  OpDefinition<Inputs, Attributes>['feasible']
>;

/** Each number moved to the nearest from low to high. */
export function clampTo(wished: Tensor, low: number, high = Number.POSITIVE_INFINITY): Tensor {
  const above = low === Number.NEGATIVE_INFINITY ? wished : maximum(wished, low);
  return high === Number.POSITIVE_INFINITY ? above : minimum(above, high);
}

/** All numbers between bounds that depend on the call; the upper one may be left out. */
export const bounded = <Inputs extends readonly Tensor[], Attributes>(
  bounds: (node: Recorded<Inputs, Attributes>) => readonly [low: number, high?: number],
): Projection<Inputs, Attributes> => ({
  is: 'exact',
  project: (wished, node) => clampTo(wished, ...bounds(node)),
});

/** All numbers from low to high. */
export const between = (low: number, high?: number): Projection<readonly Tensor[], unknown> =>
  bounded(() => (high === undefined ? [low] : [low, high]));

/** All numbers of at least low. */
export const atLeast = (low: number): Projection<readonly Tensor[], unknown> => between(low);

/** -1, 0 or 1, whichever is nearest. */
export const signs: Projection<readonly Tensor[], unknown> = {
  is: 'exact',
  project: (wished) => where(ne(wished, wished), wished, sub(gt(wished, 0.5), lt(wished, -0.5))),
};

/** Of an op that sends what it is given to places, adding up: 0 where it sends nothing, everything elsewhere. */
export const whereSent = <Attributes>(
  send: (x: Tensor, attributes: Attributes) => Tensor,
): Projection<[Tensor], Attributes> => ({
  is: 'exact',
  project: (wished, { inputs: [x], attributes }) => where(send(ones(x.shape), attributes), wished, 0),
});

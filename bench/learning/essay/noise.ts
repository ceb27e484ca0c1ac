/**
 * Claim 3: the chain rule beats injecting noise and observing the outcome.
 *
 * Two ways to learn from noise, both of whose mean is the gradient. Weight perturbation (SPSA; Spall 1992): all weights move by +-sigma,
 * the change of the loss says how good that was. Node perturbation (Widrow and Lehr 1990; Williams' REINFORCE, 1992): the sums a_l move instead, each
 * sample by noise of its own, and weights learn from noise, change of their sample's loss, and activity below. The noise comes
 * in pairs of opposite sign, so that a direction costs two evaluations of the batch.
 *
 * Theory: with n directions in P dimensions the estimate has cosine sqrt(n / (n + P - 1)) with the gradient (signs; root mean square).
 */

import { crossEntropy, Generator, linear, noGrad, randn, sign, type Tensor, tanh } from '../../../src/index.ts';
import { pictures, whole } from './pictures.ts';
import { cosine, doubles, type Estimate, estimate } from './statistics.ts';

export interface NoiseRow {
  readonly widths: readonly number[];
  /** P, and the number of values a_l of one sample. */
  readonly weights: number;
  readonly nodes: number;
  /** Forward passes of the whole batch. Backpropagation needs about three passes' work, whatever P, for a cosine of 1. */
  readonly evaluations: number;
  /** Cosines with the gradient, over seeds. */
  readonly weightPerturbation: Estimate;
  readonly nodePerturbation: Estimate;
  /** sqrt(n / (n + P - 1)) with n = evaluations / 2. */
  readonly expected: number;
}

export interface NoiseOptions {
  readonly networks?: readonly (readonly number[])[];
  /** Directions, rising. */
  readonly directions?: readonly number[];
  readonly seeds?: readonly number[];
}

const SIGMA = 1e-2;
const BATCH = 16;

export function noise({
  networks = [
    [49, 4, 10],
    [49, 16, 10],
    [49, 64, 10],
    [49, 128, 64, 10],
  ],
  directions = [1, 8, 64, 512],
  seeds = [1, 2, 3],
}: NoiseOptions = {}): NoiseRow[] {
  return networks.flatMap((widths) => {
    const runs = seeds.map((seed) => cosines(widths, directions, seed));
    const weights = widths.slice(1).reduce((sum, to, l) => sum + to * widths[l]!, 0);
    const nodes = widths.slice(1).reduce((sum, to) => sum + to, 0);
    return directions.map((n, i) => ({
      widths,
      weights,
      nodes,
      evaluations: 2 * n,
      weightPerturbation: estimate(runs.map((run) => run[i]!.weight)),
      nodePerturbation: estimate(runs.map((run) => run[i]!.node)),
      expected: Math.sqrt(n / (n + weights - 1)),
    }));
  });
}

function cosines(
  widths: readonly number[],
  directions: readonly number[],
  seed: number,
): { weight: number; node: number }[] {
  const generator = new Generator(seed);
  const weights = widths
    .slice(1)
    .map((to, l) =>
      noGrad(() => randn([to, widths[l]!], { generator }).mul(1 / Math.sqrt(widths[l]!))).requiresGrad_(),
    );
  const { images, labels } = whole(pictures(BATCH, seed, 7));

  /** The logits; `nudge` changes each sum, `seen` is shown what each layer reads. */
  const logitsOf = (
    using: readonly Tensor[],
    nudge: (a: Tensor, l: number) => Tensor,
    seen: (h: Tensor) => void = () => undefined,
  ): Tensor => {
    let h = images;
    for (const [l, weight] of using.entries()) {
      seen(h);
      const a = nudge(linear(h, weight), l);
      h = l + 1 < using.length ? tanh(a) : a;
    }
    return h;
  };
  const plain = (a: Tensor): Tensor => a;

  crossEntropy(logitsOf(weights, plain), labels).backward();
  const gradient = joined(weights.map(({ grad }) => doubles(grad!)));

  const below: Float64Array[] = [];
  noGrad(() => void logitsOf(weights, plain, (h) => below.push(doubles(h))));

  const byWeight = weights.map(({ size }) => new Float64Array(size));
  const byNode = widths.slice(1).map((to) => new Float64Array(BATCH * to));
  const results: { weight: number; node: number }[] = [];
  let done = 0;
  for (const until of directions) {
    for (; done < until; done++) {
      const moves = weights.map(({ shape }) => noGrad(() => sign(randn(shape, { generator }))));
      const at = (by: number): number =>
        noGrad(() =>
          crossEntropy(
            logitsOf(
              weights.map((w, l) => w.add(moves[l]!.mul(by))),
              plain,
            ),
            labels,
          ),
        ).item();
      const change = (at(SIGMA) - at(-SIGMA)) / (2 * SIGMA);
      for (const [l, move] of moves.entries()) addTo(byWeight[l]!, move.toFloat32Array(), () => change);

      const nudges = widths.slice(1).map((to) => noGrad(() => sign(randn([BATCH, to], { generator }))));
      const losses = (by: number): Float32Array =>
        noGrad(() =>
          crossEntropy(
            logitsOf(weights, (a, l) => a.add(nudges[l]!.mul(by))),
            labels,
            { reduction: 'none' },
          ),
        ).toFloat32Array();
      const [up, down] = [losses(SIGMA), losses(-SIGMA)];
      for (const [l, nudge] of nudges.entries()) {
        const to = widths[l + 1]!;
        addTo(byNode[l]!, nudge.toFloat32Array(), (k) => {
          const b = Math.floor(k / to);
          return (up[b]! - down[b]!) / (2 * SIGMA);
        });
      }
    }
    const node = joined(byNode.map((delta, l) => outer(delta, below[l]!, widths[l + 1]!, widths[l]!)));
    results.push({ weight: cosine(joined(byWeight), gradient), node: cosine(node, gradient) });
  }
  return results;
}

function addTo(sum: Float64Array, noise: Float32Array, factor: (k: number) => number): void {
  for (let k = 0; k < sum.length; k++) sum[k] = sum[k]! + factor(k) * noise[k]!;
}

/** sum over samples of delta h^T, as [to, from]. */
function outer(delta: Float64Array, h: Float64Array, to: number, from: number): Float64Array {
  const product = new Float64Array(to * from);
  for (let b = 0; b < BATCH; b++)
    for (let i = 0; i < to; i++)
      for (let j = 0; j < from; j++) product[i * from + j]! += delta[b * to + i]! * h[b * from + j]!;
  return product;
}

const joined = (parts: readonly Float64Array[]): Float64Array => Float64Array.from(parts.flatMap((part) => [...part]));

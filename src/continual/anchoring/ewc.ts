/**
 * Elastic weight consolidation: when a context has ended, each weight is held where it is, as firmly as the answers on that
 * context's examples depend on it (the diagonal of the Fisher information, a mean over examples).
 *
 * Separate: the loss gets sum_k lambda/2 F_k (w - w_k)^2, a term for each past context k (Kirkpatrick et al., 2017, with
 * the F of van de Ven's comparisons). A sum of quadratics is one quadratic,
 *
 *     sum_k F_k (w - w_k)^2 = P (w - c)^2 + constant,     P = sum_k F_k,     c = sum_k F_k w_k / P,
 *
 * so one P and one c are kept, whatever the number of contexts; c moves by F / P (w_k - c) when a term joins. The constant has
 * no gradient, and is left out of the loss: after two contexts or more the penalty is smaller by it than the sum of terms.
 *
 * Online: one F and one centre, the latest values: F = F_new + gamma F_old, and the penalty is lambda/2 gamma F (w - w_latest)^2
 * (Schwarz et al., 2018, and van de Ven's code: gamma enters the penalty once more).
 */

import type { Context } from '../../data/scenarios.ts';
import { type FisherKind, fisher } from '../../importance/fisher.ts';
import { defaultGenerator } from '../../random/generator.ts';
import { given } from '../../tensor/given.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Learning } from '../method.ts';
import { checkMeasure, examplesOf, type MeasureOptions, whileAsked } from './measured.ts';
import { type AnchoringMethod, checkStrength, type PullStep, Pulls } from './pulls.ts';
import { remembering } from './state.ts';

export interface EWCOptions extends MeasureOptions {
  /** Strength of the penalty lambda/2 F (w - w*)^2, F a mean over examples. 0: nothing is measured, plain training. */
  readonly lambda: number;
  /** How the Fisher information is measured (see `fisher`); 'exact' unless given. */
  readonly kind?: FisherKind;
  /** false (separate terms) unless given; with gamma above 0 up to 1, one term whose older part fades by it. */
  readonly online?: false | { readonly gamma?: number };
  /** How the penalty joins a step; 'loss' unless given. */
  readonly step?: PullStep;
}

const kinds: readonly FisherKind[] = ['exact', 'sampled', 'empirical', 'batched'];

/**
 * Elastic weight consolidation, see above. The Fisher information is that of the context's head: of its columns alone. It is
 * measured whenever a context ends, since nobody knows that one is the last but who trains: leave the last call of `end()` out,
 * and nothing is measured for nothing.
 * Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks" (2017), equation 3; online: Schwarz et al.,
 * "Progress & compress" (2018), section 3; van de Ven, Tuytelaars and Tolias, "Three types of incremental learning" (2022).
 *
 *     const learner = new ContinualLearner({ model, optimizer, methods: [ewc({ lambda: 100 })] });
 */
export function ewc(options: EWCOptions): AnchoringMethod {
  const {
    lambda,
    kind = 'exact',
    online = false,
    step = 'loss',
    generator = defaultGenerator,
  } = given('ewc({ lambda: 100 })', 'options', options);
  checkStrength('ewc', 'lambda', lambda);
  checkMeasure('ewc', options);
  if (!kinds.includes(kind)) throw new RangeError(`ewc: kind is one of '${kinds.join("', '")}', not ${String(kind)}.`);
  const gamma = online === false ? null : gammaOf(online);
  const pulls = new Pulls('ewc', step);
  const name = online === false ? 'ewc' : 'onlineEwc';
  return {
    name,
    loss: (loss) => pulls.addedTo(loss),
    end(context, learning) {
      if (lambda === 0) return;
      const parameters = [...learning.parameters.values()];
      const importances = measured(context, learning, parameters);
      for (const [i, parameter] of parameters.entries())
        if (gamma === null) joined(pulls, parameter, importances[i] as Tensor, lambda);
        else faded(pulls, parameter, importances[i] as Tensor, lambda, gamma);
    },
    held: pulls.held,
    penalty: pulls.penalty,
    release: pulls.release,
    ...remembering({ who: 'ewc', name, pulls, holds: lambda > 0, generator }),
  };

  function measured(context: Context, learning: Learning, parameters: readonly Tensor[]): readonly Tensor[] {
    const examples = examplesOf(context, { ...options, generator });
    return whileAsked(learning, context.head, (answer) => fisher(answer, parameters, examples, { kind, generator }));
  }
}

function gammaOf(online: unknown): number {
  const { gamma = 1 } = (online ?? {}) as { gamma?: unknown };
  if (typeof online !== 'object' || online === null || !(typeof gamma === 'number' && gamma > 0 && gamma <= 1))
    throw new RangeError(
      `ewc: online is false or { gamma }, with gamma a number above 0 and up to 1, but it is ${JSON.stringify(online)}.`,
    );
  return gamma;
}

/** Another term lambda/2 F (w - w now)^2 joins the quadratic that is kept. */
function joined(pulls: Pulls, parameter: Tensor, importance: Tensor, lambda: number): void {
  pulls.write(parameter, importance, (w, f, c, p, i) => {
    const added = lambda * f[i]!;
    const sum = p[i]! + added;
    // Where nothing holds, the centre does not matter: the latest value.
    c[i] = sum > 0 ? c[i]! + (added / sum) * (w[i]! - c[i]!) : w[i]!;
    p[i] = sum;
  });
}

/** precision = lambda gamma F: what was there before is multiplied by gamma once more. */
function faded(pulls: Pulls, parameter: Tensor, importance: Tensor, lambda: number, gamma: number): void {
  pulls.move(parameter, importance, (f, p) => gamma * (lambda * f + p));
}

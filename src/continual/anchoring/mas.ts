/**
 * Memory aware synapses: a weight is held as firmly as the length of the answer depends on it, which needs no labels. When a
 * context has ended, Omega += mean over its examples of |d ||f(x)||^2 / dw|, and the loss gets lambda sum Omega (w - w*)^2, w* the
 * values at the end of the latest context. There is NO 1/2: the precision is 2 lambda Omega.
 */
import { outputSensitivity as magnitudes } from '../../importance/mas.ts';
import { defaultGenerator } from '../../random/generator.ts';
import { given } from '../../tensor/given.ts';
import { checkMeasure, examplesOf, type MeasureOptions, whileAsked } from './measured.ts';
import { type AnchoringMethod, checkStrength, type PullStep, Pulls } from './pulls.ts';
import { remembering } from './state.ts';

export interface MASOptions extends MeasureOptions {
  /** Strength of the penalty lambda Omega (w - w*)^2, without 1/2. 0: nothing is measured, plain training. */
  readonly lambda: number;
  /** How the penalty joins a step; 'loss' unless given. */
  readonly step?: PullStep;
}

/**
 * Memory aware synapses, see above. f(x) are the columns of the context's head, before any softmax. Importances of contexts
 * add up. As with `ewc`, what ends last is measured too, unless its `end()` is left out.
 * Aljundi et al., "Memory aware synapses: learning what (not) to forget" (2018), equations 3 to 5.
 *
 *     const learner = new ContinualLearner({ model, optimizer, methods: [mas({ lambda: 1 })] });
 */
export function mas(options: MASOptions): AnchoringMethod {
  const { lambda, step = 'loss', generator = defaultGenerator } = given('mas({ lambda: 1 })', 'options', options);
  checkStrength('mas', 'lambda', lambda);
  checkMeasure('mas', options);
  const pulls = new Pulls('mas', step);
  return {
    name: 'mas',
    loss: (loss) => pulls.addedTo(loss),
    end(context, learning) {
      if (lambda === 0) return;
      const parameters = [...learning.parameters.values()];
      const examples = examplesOf(context, { ...options, generator });
      const importances = whileAsked(learning, context.head, (answer) => magnitudes(answer, parameters, examples));
      for (const [i, parameter] of parameters.entries())
        pulls.move(parameter, importances[i]!, (omega, before) => before + 2 * lambda * omega);
    },
    held: pulls.held,
    penalty: pulls.penalty,
    release: pulls.release,
    ...remembering({ who: 'mas', name: 'mas', pulls, holds: lambda > 0, generator }),
  };
}

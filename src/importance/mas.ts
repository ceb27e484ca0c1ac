/** Memory aware synapses: how much the answers of a model change with each weight, whatever the right answers are. */
import { checkParameters, sumsOfPowers } from '../autograd/per-example.ts';
import { tensor } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { outputOf, Totals } from './totals.ts';

/**
 * The mean over examples of |d ||f(x)||^2 / dw|, f(x) the outputs of the model for one example: one tensor for each parameter, of its shape,
 * detached. No labels are needed. `.grad` stays as it is.
 *
 * Aljundi et al., "Memory aware synapses: learning what (not) to forget" (2018), for the squared norm of the outputs. The magnitude is taken for each example, as the paper says, not of the gradient of a batch.
 *
 * @param model gives outputs [n, outputs]; rows depend on their own example only
 *
 *     const w = tensor([[1, -2]]).requiresGrad_();
 *     const batches = [{ x: tensor([[1, 0], [1, 1]]) }];
 *     outputSensitivity((x) => linear(x, w), [w], batches)[0].toArray(); // [[2, 1]]
 */
export function outputSensitivity(
  model: (x: Tensor) => Tensor,
  parameters: readonly Tensor[],
  batches: Iterable<{ readonly x: Tensor }>,
): Tensor[] {
  checkParameters('outputSensitivity', parameters);
  const totals = new Totals('outputSensitivity', parameters);
  let examples = 0;
  let seen = 0;
  for (const batch of batches) {
    const number = seen++;
    totals.add(() => {
      const output = outputOf('outputSensitivity', model, batch, number);
      const count = output.shape[0]!;
      if (count === 0) return null;
      examples += count;
      // d ||f||^2 / df = 2 f.
      const seed = tensor(
        numbersOf(output).map((f) => 2 * f),
        output.shape,
      );
      return sumsOfPowers('outputSensitivity', output, count, [seed], parameters, 1);
    });
  }
  if (examples === 0)
    throw new Error(
      `outputSensitivity: ${seen === 0 ? 'there are no batches' : 'all batches are empty'}, so there is nothing to take a mean of. A generator that was ` +
        'walked through once gives nothing a second time.',
    );
  return totals.over(examples);
}

/** Sums over batches, one for each parameter: each batch is let go of before the next, and what is kept is float64. */
import { scope, withRecording } from '../autograd/modes.ts';
import { tensor } from '../tensor/create.ts';
import { showShape } from '../tensor/layout.ts';
import { checkTensor, kindOf, numbersOf, type Tensor } from '../tensor/tensor.ts';

export class Totals {
  readonly #who: string;
  readonly #parameters: readonly Tensor[];
  readonly #sums: readonly Float64Array[];

  constructor(who: string, parameters: readonly Tensor[]) {
    this.#who = who;
    this.#parameters = parameters;
    this.#sums = parameters.map(({ size }) => new Float64Array(size));
  }

  /** Adds what `ofBatch` gives, one tensor for each parameter (null: zeros). It runs recorded, whatever is around it. */
  add(ofBatch: () => readonly (Tensor | null)[] | null): void {
    scope(() => {
      const added = withRecording(true, ofBatch);
      for (const [i, one] of (added ?? []).entries()) {
        if (one === null) continue;
        const sum = this.#sums[i]!;
        const numbers = numbersOf(one);
        for (let k = 0; k < sum.length; k++) sum[k]! += numbers[k]!;
      }
    });
  }

  /** The sums divided by `count`. */
  over(count: number): Tensor[] {
    return this.#parameters.map(({ shape }, i) => {
      const mean = this.#sums[i]!.map((sum) => sum / count);
      if (mean.some(Number.isNaN))
        throw new Error(
          `${this.#who}: the result for parameter ${i} of shape ${showShape(shape)} holds NaN: a gradient did.`,
        );
      return tensor(mean, shape);
    });
  }
}

/** What the model says of a batch, [n, outputs]. */
export function outputOf(
  who: string,
  model: (x: Tensor) => Tensor,
  batch: { readonly x: Tensor },
  number: number,
): Tensor {
  if (typeof batch !== 'object' || batch === null)
    throw new Error(`${who}: batches are objects { x, ... }, and number ${number} is ${kindOf(batch)}.`);
  const { x } = batch;
  checkTensor(`${who}, x of batch ${number}`, x);
  const output = model(x);
  checkTensor(`${who}, the model's output`, output);
  if (output.ndim !== 2 || output.shape[0] !== x.shape[0] || output.shape[1] === 0)
    throw new Error(
      `${who}: for x of shape ${showShape(x.shape)} the model gave shape ${showShape(output.shape)}, not [n, outputs] with a row for each ` +
        'example, and at least one column.',
    );
  return output;
}

/**
 * Learning context after context: forward, loss, backward, step, with the hooks of any number of methods around them.
 *
 * Plain training with an optimizer needs none of this. It is here so that methods are written once and mix.
 */
import { noGrad } from '../autograd/modes.ts';
import type { Context, Head } from '../data/scenarios.ts';
import type { Module } from '../nn/module.ts';
import { crossEntropy } from '../ops/loss.ts';
import { argmax } from '../ops/reduce.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Batch, Learning, Method, Step } from './method.ts';

export interface ContinualLearnerOptions {
  /** Its forward gives [n, outputs]. */
  readonly model: Module & { forward(x: Tensor): Tensor };
  /** Over the model's parameters: any optimizer of this library. */
  readonly optimizer: { zeroGrad(): void; step(): void };
  /** In the order in which their hooks are called. None: fine-tuning. */
  readonly methods?: readonly Method[];
}

/**
 * A model, an optimizer, and methods that keep it from forgetting or from losing its plasticity.
 *
 *     const model = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 2));
 *     const learner = new ContinualLearner({ model, optimizer: new Adam(model.parameters()) });
 *     learner.learn({ x: randn([3, 4]), labels: Int32Array.of(0, 1, 1), head: [0, 2], context: 0 }); // the loss
 */
export class ContinualLearner {
  readonly model: Module & { forward(x: Tensor): Tensor };
  readonly methods: readonly Method[];
  readonly learning: Learning;
  readonly #optimizer: ContinualLearnerOptions['optimizer'];
  #context: Context | null = null;
  #steps = 0;

  constructor({ model, optimizer, methods = [] }: ContinualLearnerOptions) {
    this.model = model;
    this.methods = methods;
    this.#optimizer = optimizer;
    this.learning = {
      output: (x) => model.forward(x),
      lossOf: headLoss,
      parameters: new Map(model.namedParameters()),
    };
  }

  /** A context begins. The one before must have ended. */
  begin(context: Context): void {
    if (this.#context !== null)
      throw new Error(
        `ContinualLearner.begin: context ${this.#context.index} has not ended. Call end() before context ${context.index} begins.`,
      );
    for (const method of this.methods) method.begin?.(context, this.learning);
    this.#context = context;
    this.#steps = 0;
  }

  /** One step. Returns the loss of the batch, without what methods add to it, before it was learned from. */
  learn(batch: Batch): number {
    const { methods, learning } = this;
    for (const method of methods) method.prepare?.(batch.context, this.#steps);
    const output = learning.output(batch.x);
    const own = learning.lossOf(output, batch.labels, batch.head);
    const step: Step = { batch, output, index: this.#steps, learning };
    let loss = own;
    for (const method of methods) loss = method.loss?.(loss, step) ?? loss;
    this.#optimizer.zeroGrad();
    loss.backward();
    for (const method of methods) method.gradients?.(step);
    this.#optimizer.step();
    for (const method of methods) method.stepped?.(step);
    this.#steps++;
    return own.item();
  }

  /** The context has ended: methods keep what they need of it. */
  end(): void {
    const context = this.#context;
    if (context === null) throw new Error('ContinualLearner.end: no context has begun. Call begin(context) first.');
    for (const method of this.methods) method.end?.(context, this.learning);
    this.#context = null;
  }

  /** The likeliest column of the head for each row of x; ties go to the first. `context`: its number, null where it is not known. */
  predict(x: Tensor, head: Head, context: number | null): Int32Array {
    return noGrad(() => {
      for (const method of this.methods) method.prepare?.(context, null);
      const [from] = head;
      const best = argmax(columns(this.learning.output(x), head), 1).toArray() as number[];
      return Int32Array.from(best, (column) => column + from);
    });
  }
}

/** Mean cross-entropy among the columns of a head. */
export function headLoss(output: Tensor, labels: Int32Array, head: Head): Tensor {
  const [from] = head;
  const own = from === 0 ? labels : labels.map((label) => label - from);
  return crossEntropy(columns(output, head), own);
}

/** The columns of a head; the output itself where they are all of it. */
function columns(output: Tensor, [from, to]: Head): Tensor {
  const width = output.shape[1] ?? 0;
  if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from < to && to <= width))
    throw new RangeError(
      `ContinualLearner: the head [${from}, ${to}] is no range of the model's ${width} outputs. Give the model an output for each column of every head.`,
    );
  return from === 0 && to === width ? output : output.slice([null, [from, to]]);
}

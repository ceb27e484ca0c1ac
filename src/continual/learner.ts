/**
 * Learning context after context: forward, loss, backward, step, with the hooks of any number of methods around them.
 *
 * Plain training with an optimizer needs none of this. It is here so that methods are written once and mix.
 */
import { noGrad } from '../autograd/modes.ts';
import type { Context, Head } from '../data/scenarios.ts';
import type { Module } from '../nn/module.ts';
import { add, mul } from '../ops/binary.ts';
import { crossEntropy } from '../ops/loss.ts';
import { argmax } from '../ops/reduce.ts';
import { slice } from '../ops/shape.ts';
import { Optimizer, type Slot } from '../optim/optimizer.ts';
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
  /** What methods see of this learner. */
  readonly learning: Learning;
  readonly #optimizer: ContinualLearnerOptions['optimizer'];
  #context: Context | null = null;
  #steps = 0;

  constructor({ model, optimizer, methods = [] }: ContinualLearnerOptions) {
    checkMethods(methods);
    checkOptimizer(optimizer, model);
    this.model = model;
    this.methods = methods;
    this.#optimizer = optimizer;
    this.learning = {
      model,
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

  /**
   * One step on several batches, each through its own head: the loss is the mean of theirs. For joint training where contexts have
   * heads of their own (`mixedBatches`). Methods see one batch a step, so there must be none.
   *
   * @returns the mean of the batches' losses, before they were learned from
   */
  learnTogether(batches: readonly Batch[]): number {
    const { methods, learning } = this;
    const [first, ...others] = batches;
    if (first === undefined)
      throw new Error('ContinualLearner.learnTogether: there are no batches. Give one at least.');
    if (methods.length > 0)
      throw new Error(
        `ContinualLearner.learnTogether: the method ${methods[0]!.name} sees one batch a step. Learn batch by batch, or without methods.`,
      );
    const lossOf = ({ x, labels, head }: Batch) => learning.lossOf(learning.output(x), labels, head);
    let sum = lossOf(first);
    for (const batch of others) sum = add(sum, lossOf(batch));
    const loss = mul(sum, 1 / batches.length);
    this.#optimizer.zeroGrad();
    loss.backward();
    this.#optimizer.step();
    this.#steps++;
    return loss.item();
  }

  /** The context has ended: methods keep what they need of it. */
  end(): void {
    const context = this.#context;
    if (context === null) throw new Error('ContinualLearner.end: no context has begun. Call begin(context) first.');
    for (const method of this.methods) method.end?.(context, this.learning);
    this.#context = null;
  }

  /**
   * The likeliest column of the head for each row of x; ties go to the first. `context`: its number, null where it is not known.
   * Layers are in the mode of use while it is asked (dropout passes everything on), and then in the mode in which they were.
   */
  predict(x: Tensor, head: Head, context: number | null): Int32Array {
    const modes = this.model.namedModules().map(([, module]) => ({ module, training: module.training }));
    this.model.eval();
    try {
      return noGrad(() => {
        for (const method of this.methods) method.prepare?.(context, null);
        const [from] = head;
        const best = argmax(columns(this.learning.output(x), head), 1).toArray() as number[];
        return Int32Array.from(best, (column) => column + from);
      });
    } finally {
      for (const method of this.methods.toReversed()) method.answered?.();
      for (const { module, training } of modes) module.training = training;
    }
  }
}

function checkMethods(methods: readonly unknown[]): void {
  for (const [i, method] of methods.entries()) {
    if (typeof method === 'object' && method !== null && 'name' in method) continue;
    throw new TypeError(
      typeof method === 'function'
        ? `ContinualLearner: methods[${i}] is the function ${method.name}. Give what it returns: ${method.name}({ ... }).`
        : `ContinualLearner: methods[${i}] is no method but ${method === null ? 'null' : typeof method}.`,
    );
  }
}

/** Steps of another model's optimizer would be steps into nothing. Another kind of optimizer is trusted. */
function checkOptimizer(optimizer: unknown, model: Module): void {
  if (!(optimizer instanceof Optimizer)) return;
  const held = new Set(optimizer.groups.flatMap(({ slots }) => slots.map(({ parameter }: Slot) => parameter)));
  if (!model.parameters().some((parameter) => held.has(parameter)))
    throw new Error(
      "ContinualLearner: the optimizer holds none of the model's parameters. Make it over model.parameters() of this model.",
    );
}

/**
 * A bound to compare with: a model of its own for each context, so that nothing is forgotten and nothing passed on. For scenarios
 * of the kind 'task', where it is told whose examples it is asked about.
 *
 *     const learnerOf = () => {
 *       const own = new Linear(4, 2);
 *       return new ContinualLearner({ model: own, optimizer: new Adam(own.parameters()) });
 *     };
 *     const networks = new SeparateNetworks(learnerOf);
 *     networks.learn({ x: randn([3, 4]), labels: Int32Array.of(0, 1, 1), head: [0, 2], context: 0 });
 *     networks.predict(randn([3, 4]), [0, 2], 0).length; // 3
 */
export class SeparateNetworks {
  readonly #learnerOf: (context: number) => ContinualLearner;
  readonly #learners = new Map<number, ContinualLearner>();

  /** @param learnerOf makes the learner of a context; called when the first of its examples comes */
  constructor(learnerOf: (context: number) => ContinualLearner) {
    this.#learnerOf = learnerOf;
  }

  /** One step of that context's own network. Returns the loss of the batch, before it was learned from. */
  learn(batch: Batch): number {
    const { context } = batch;
    const learner = this.#learners.get(context) ?? this.#learnerOf(context);
    this.#learners.set(context, learner);
    return learner.learn(batch);
  }

  /** As that context's own network says. A context that is not known, or has not been learned, is an error. */
  predict(x: Tensor, head: Head, context: number | null): Int32Array {
    if (context === null)
      throw new Error("SeparateNetworks.predict: the context must be known, as it is in scenarios of the kind 'task'.");
    const learner = this.#learners.get(context);
    if (learner === undefined)
      throw new Error(
        `SeparateNetworks.predict: context ${context} has not been learned; there is no network for it yet.`,
      );
    return learner.predict(x, head, context);
  }
}

/** Mean cross-entropy among the columns of a head. */
export function headLoss(output: Tensor, labels: Int32Array, head: Head): Tensor {
  const [from, to] = head;
  const answers = columns(output, head);
  for (let i = 0; i < labels.length; i++)
    if (!(labels[i]! >= from && labels[i]! < to))
      throw new RangeError(
        `ContinualLearner: label ${labels[i]} at position ${i} is outside the head [${from}, ${to}]. Labels are columns of the model's output.`,
      );
  return crossEntropy(answers, from === 0 ? labels : labels.map((label) => label - from));
}

/** The columns of a head; the output itself where they are all of it. */
function columns(output: Tensor, [from, to]: Head): Tensor {
  const width = output.shape[1] ?? 0;
  if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from < to && to <= width))
    throw new RangeError(
      `ContinualLearner: the head [${from}, ${to}] is no range of the model's ${width} outputs. Give the model an output for each column of every head.`,
    );
  return from === 0 && to === width ? output : slice(output, [null, [from, to]]);
}

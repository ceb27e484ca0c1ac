/**
 * Learning context after context: forward, loss, backward, step, with the hooks of any number of methods around them.
 *
 * Plain training with an optimizer needs none of this. It is here so that methods are written once and mix.
 */
import { noGrad } from '../autograd/modes.ts';
import type { Context, Head } from '../data/scenarios.ts';
import { Module } from '../nn/module.ts';
import { add, mul } from '../ops/binary.ts';
import { crossEntropy } from '../ops/loss.ts';
import { argmax } from '../ops/reduce.ts';
import { slice } from '../ops/shape.ts';
import { Optimizer, type Slot } from '../optim/optimizer.ts';
import { given } from '../tensor/given.ts';
import { kindOf, type Tensor } from '../tensor/tensor.ts';
import type { Batch, Learning, Method, Step } from './method.ts';
import { checkCounted, checkFields, checkList } from './state.ts';

export interface ContinualLearnerOptions {
  /** Its forward gives [n, outputs]. */
  readonly model: Module & { forward(x: Tensor): Tensor };
  /** Over the model's parameters: any optimizer of this library. */
  readonly optimizer: { zeroGrad(): void; step(): void };
  /** In the order in which their hooks are called. None: fine-tuning. */
  readonly methods?: readonly Method[];
}

/** What a learner is in the middle of: plain data for a checkpoint. Its model and its optimizer have states of their own. */
export interface ContinualLearnerState {
  /** Steps of the context that is being learned. */
  readonly steps: number;
  /** The context that has begun and not ended, without its examples; null: none. */
  readonly context: Pick<Context, 'index' | 'kind' | 'head'> | null;
  /** Of each method its name and its state; null: it remembers nothing. */
  readonly methods: readonly { readonly name: string; readonly state: unknown }[];
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
  /** The context that had begun when a state was saved, until its examples are given. */
  #awaited: ContinualLearnerState['context'] = null;
  /** The last that began here, ended or not: a state of this very learner needs nobody to give it again. */
  #latest: Context | null = null;
  #steps = 0;

  constructor(options: ContinualLearnerOptions) {
    const call = 'new ContinualLearner({ model, optimizer, methods })';
    const { model, optimizer, methods = [] } = given(call, 'options', options);
    if (!(model instanceof Module))
      throw new TypeError(`ContinualLearner: model must be a Module, not ${kindOf(model)}. For example: ${call}.`);
    if (typeof optimizer?.step !== 'function' || typeof optimizer.zeroGrad !== 'function')
      throw new TypeError(
        `ContinualLearner: optimizer must be one with step() and zeroGrad(), not ${kindOf(optimizer)}. For example: ${call}.`,
      );
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
    for (const method of methods) method.attach?.(this.learning);
  }

  /** A context begins. The one before must have ended. */
  begin(context: Context): void {
    if (this.#awaited !== null)
      throw new Error(
        `ContinualLearner.begin: context ${this.#awaited.index} has not ended: it was being learned when this state was saved. Call resume(context) ` +
          'with it to go on, and end() when it is learned.',
      );
    if (this.#context !== null)
      throw new Error(
        `ContinualLearner.begin: context ${this.#context.index} has not ended. Call end() before context ${context.index} begins.`,
      );
    for (const method of this.methods) method.begin?.(context, this.learning);
    this.#context = this.#latest = context;
    this.#steps = 0;
  }

  /** One step. Returns the loss of the batch, without what methods add to it, before it was learned from. */
  learn(batch: Batch): number {
    const { methods, learning } = this;
    for (const method of methods) method.prepare?.(batch.context, this.#steps);
    const output = learning.output(batch.x);
    const own = learning.lossOf(output, batch.labels, batch.head);
    const step: Step = { batch, output, own, index: this.#steps, learning };
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

  /**
   * The context has ended: methods keep what they need of it. To be called after the last step of every context but, if you like, the
   * last (see `ewc`).
   *
   * Where it was forgotten, the next `begin` says so. Without `begin` nobody can: a learner may be asked about any context while another
   * is being learned, in the kind 'task' too, and then answers as it stands, so a question is no sign of an end. Anchors that
   * are taken when a context ends, buffers by class and the copy of `lwf` are then empty, and these methods do nothing.
   */
  end(): void {
    const context = this.#context;
    if (this.#awaited !== null)
      throw new Error(
        `ContinualLearner.end: context ${this.#awaited.index} was being learned when this state was saved, and its examples are in no state. Call ` +
          'resume(context) with it first.',
      );
    if (context === null) throw new Error('ContinualLearner.end: no context has begun. Call begin(context) first.');
    for (const method of this.methods) method.end?.(context, this.learning);
    this.#context = null;
  }

  /** Goes on with the context that was being learned when the state was saved. No method is told: it goes on as if nothing had been. */
  resume(context: Context): void {
    const under = this.#awaited ?? this.#context;
    if (under === null)
      throw new Error(
        'ContinualLearner.resume: no context is being learned, and no state was loaded in which one was. Call begin(context) for one that begins.',
      );
    if (described(context) !== described(under))
      throw new Error(
        `ContinualLearner.resume: this is ${described(context)}, and what was being learned is ${described(under)}. Give context ` +
          `${under.index} of the same scenario.`,
      );
    this.#context = this.#latest = context;
    this.#awaited = null;
  }

  /**
   * Where it stands, and the states of its methods by position and name. With those of the model and the optimizer it is all that a
   * checkpoint needs. Of a context that is being learned the examples are not in it: where the state was loaded, `resume` goes on.
   *
   *     const learner = new ContinualLearner({ model, optimizer, methods: [si({ strength: 10 })] });
   *     const bytes = formatCheckpoint({ model, optimizer, algorithm: { learner }, step: 40 });
   *     restoreCheckpoint(bytes, { model, optimizer, algorithm: { learner } }).step; // 40
   */
  stateDict(): ContinualLearnerState {
    const context = this.#context ?? this.#awaited;
    return {
      steps: this.#steps,
      context: context && { index: context.index, kind: context.kind, head: [context.head[0], context.head[1]] },
      methods: this.methods.map((method) => ({ name: method.name, state: method.stateDict?.() ?? null })),
    };
  }

  /**
   * Takes over the state of a learner with the same methods. What does not fit is an error that changes nothing.
   * Load it after, or together with, the model's.
   */
  loadStateDict(state: ContinualLearnerState): void {
    const who = 'ContinualLearner.loadStateDict';
    checkFields(who, state, ['steps', 'context', 'methods']);
    const { steps, context } = state;
    checkCounted(who, 'steps', steps);
    if (context !== null) checkFields(`${who}, context`, context, ['index', 'kind', 'head']);
    checkList(who, 'methods', state.methods);
    for (const one of state.methods) checkFields(`${who}, a method`, one, ['name', 'state']);
    const named = (some: readonly { readonly name: string }[]): string =>
      some.map(({ name }) => name).join(', ') || 'none';
    const [theirs, ours] = [named(state.methods), named(this.methods)];
    if (theirs !== ours)
      throw new Error(
        `${who}: the state is of a learner with the methods ${theirs}, this one has ${ours}. Make it with the same methods in the same order.`,
      );
    this.#loadMethods(state.methods.map((one) => one.state));
    this.#steps = steps;
    const isLatest = context !== null && this.#latest !== null && described(context) === described(this.#latest);
    this.#context = isLatest ? this.#latest : null;
    this.#awaited = isLatest ? null : context && { ...context };
  }

  /** All methods take their states, or none. */
  #loadMethods(states: readonly unknown[]): void {
    const before = this.methods.map((method) => method.stateDict?.() ?? null);
    const load = (i: number, state: unknown): void => this.methods[i]!.loadStateDict?.(state as never);
    for (const [i, state] of states.entries())
      try {
        load(i, state);
      } catch (error) {
        for (let done = 0; done < i; done++) load(done, before[done]);
        throw error;
      }
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

const described = ({ index, kind, head: [from, to] }: Pick<Context, 'index' | 'kind' | 'head'>): string =>
  `context ${index} of the kind '${kind}' with the head [${from}, ${to}]`;

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
    if (typeof learnerOf !== 'function')
      throw new TypeError(
        `SeparateNetworks: give a function that makes the learner of a context, not ${kindOf(learnerOf)}. For example: new SeparateNetworks(() => ` +
          'new ContinualLearner({ model, optimizer })) with a new model and optimizer each time.',
      );
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

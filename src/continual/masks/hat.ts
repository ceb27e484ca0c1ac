/**
 * Hard attention to the task: each context learns, beside the weights, which units are its own, and what is between units of
 * earlier contexts stands still. Serra et al., "Overcoming catastrophic forgetting with hard attention to the task" (ICML 2018).
 *
 * The mask of context t over a layer's units is a = sigmoid(s e), e its embedding. While a context is learned s rises from
 * 1 / smax, where all masks are 1/2 and can be learned, to smax, where they are 0 or 1. A unit's largest mask so far, A, says how much
 * it is in use, and
 *
 *     plasticity of w_ij = 1 - min(A_i, A_j)     loss + lambda sum a_i (1 - A_i) / sum (1 - A_i)     dL/de times (smax / s) (cosh(s e) + 1) / (cosh(e) + 1)
 *
 * As published the first scales gradients. Here it is a gate on the update, which is the same for SGD and holds for every
 * optimizer: Adam's moments would carry weights on whose gradient is 0.
 */
import { noGrad } from '../../autograd/modes.ts';
import type { Context } from '../../data/scenarios.ts';
import { overwrite } from '../../importance/passes.ts';
import type { Module } from '../../nn/module.ts';
import { add, div, mul } from '../../ops/binary.ts';
import { clamp, exp, neg, sigmoid } from '../../ops/elementwise.ts';
import { sum } from '../../ops/sum.ts';
import { onReset, writeAt } from '../../state/reset.ts';
import { withData } from '../../tensor/access.ts';
import { given } from '../../tensor/given.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import type { Learning, StatefulMethod, Step } from '../method.ts';
import { type Commit, checkCounted, checkFields, checkFlag, checkList, checkTensor, copyOf } from '../state.ts';
import { gateAt } from './gates.ts';
import { layersOf, type Masked, type Units } from './hat-layers.ts';
import type { MaskInForce } from './hat-mask.ts';
import { checkTask, checkTold, OutputRows, type OutputRowsState } from './outputs.ts';

export interface HatOptions {
  /**
   * Steps in which the scale s rises from 1 / smax to smax, after which it begins anew: those of an epoch, as published, or all of
   * a context where that is one pass.
   */
  readonly steps: number;
  /** The largest scale, that with which questions are answered, above 1; 400 unless given. */
  readonly smax?: number;
  /** What a unit costs that no context before has used, from 0 up; 0.75 unless given. */
  readonly lambda?: number;
}

/** State of HAT: plain data for a checkpoint. Embeddings are parameters of the model. */
export interface HatState {
  /** The context that is being learned, or comes next. */
  readonly current: number;
  /** Whether gates are attached. */
  readonly frozen: boolean;
  /** Which masks are in force; null: none. */
  readonly inForce: MaskInForce | null;
  /** Largest masks so far and gates of weight and bias, from the input on; null: no context has begun. */
  readonly layers: readonly { readonly largest: Float32Array; readonly gates: readonly Tensor[] }[] | null;
  readonly outputs: OutputRowsState | null;
}

export interface Hat extends StatefulMethod<HatState> {
  /** Largest masks so far, A, of each HatMask from the input on; copies. */
  inUse(): Float32Array[];
  /** Takes off all masks and gates. */
  remove(): void;
}

/** Bounds of s e within cosh, and of the embeddings after each step, as in the published code. */
const coshBound = 50;
const embeddingBound = 6;

class HardAttention implements Hat {
  readonly name = 'hat';
  readonly #smax: number;
  readonly #lambda: number;
  readonly #steps: number;
  /** null: no context has begun. */
  #layers: readonly Masked[] | null = null;
  #outputs: OutputRows | null = null;
  /** That of the learner it belongs to. */
  #model: Module | null = null;
  #before: readonly (MaskInForce | null)[] | null = null;
  #current = 0;
  #frozen = false;
  readonly #removals: (() => void)[] = [];

  constructor({ steps, smax = 400, lambda = 0.75 }: HatOptions) {
    if (!(Number.isInteger(steps) && steps >= 1))
      throw new RangeError(`hat: steps is a number of steps, a whole number from 1 up, not ${String(steps)}.`);
    if (!(smax > 1 && smax < Infinity)) throw new RangeError(`hat: smax is a finite number above 1, not ${smax}.`);
    if (!(lambda >= 0 && lambda < Infinity))
      throw new RangeError(`hat: lambda is a finite number from 0 up, not ${lambda}.`);
    [this.#steps, this.#smax, this.#lambda] = [steps, smax, lambda];
  }

  get #units(): readonly Units[] {
    if (this.#layers === null)
      throw new Error(
        'hat: no context has begun. Call begin(context) of the learner before its first step or question.',
      );
    return this.#layers.map(({ made }) => made);
  }

  inUse(): Float32Array[] {
    return this.#units.map(({ largest }) => largest.slice());
  }

  begin(context: Context, { model }: Learning): void {
    checkTask('hat', context);
    if (this.#layers === null) {
      const { masked, output } = layersOf(model);
      this.#take(masked, new OutputRows('hat', output));
    }
    this.#outputs?.begin(context);
    if (this.#free() < 0.01)
      throw new Error(
        `hat: the masks of earlier contexts have taken all hidden units, and nothing is free for context ${context.index}. Give the model ` +
          `more units, or a larger lambda (now ${this.#lambda}).`,
      );
    this.#current = context.index;
    this.#use(context.index, this.#scaleAt(0));
  }

  #take(masked: readonly Masked[], outputs: OutputRows): void {
    [this.#layers, this.#outputs] = [masked, outputs];
    for (const { weight, made } of masked)
      this.#removals.push(onReset(weight, (elements) => this.#renew(weight, made, elements)));
  }

  /** How many hidden units no context has used: sum (1 - A). */
  #free(): number {
    return this.#units.reduce((sum, { largest }) => sum + largest.reduce((rest, a) => rest + 1 - a, 0), 0);
  }

  /** s at a step: from 1 / smax to smax in equal parts. */
  #scaleAt(step: number): number {
    const smax = this.#smax;
    if (this.#steps === 1) return smax;
    return 1 / smax + ((smax - 1 / smax) * (step % this.#steps)) / (this.#steps - 1);
  }

  #use(context: number, scale: number): void {
    for (const { module } of this.#units) {
      if (!(Number.isInteger(context) && context >= 0 && context < module.embeddings.length))
        throw new RangeError(
          `hat: there is no mask for context ${context}: the model's HatMask is for ${module.embeddings.length}. Make it for all contexts ` +
            'that will come.',
        );
      module.inForce = { context, scale };
    }
  }

  prepare(context: number | null, step: number | null): void {
    checkTold('hat', context);
    // Before the first context, questions are answered by the network without masks.
    if (step === null && this.#layers === null) return;
    if (step === null) this.#before ??= this.#units.map(({ module }) => module.inForce);
    else this.#before = null;
    this.#use(context, step === null ? this.#smax : this.#scaleAt(step));
  }

  answered(): void {
    const before = this.#before;
    if (before === null) return;
    this.#before = null;
    for (const [i, { module }] of this.#units.entries()) module.inForce = before[i] ?? null;
  }

  loss(loss: Tensor): Tensor {
    if (this.#lambda === 0) return loss;
    const used = this.#units
      .map(({ module, free }) => sum(mul(module.mask!, free)))
      .reduce((one, other) => add(one, other));
    return add(loss, mul(used, this.#lambda / this.#free()));
  }

  gradients({ batch, index }: Step): void {
    const s = this.#scaleAt(index);
    for (const { module } of this.#units) {
      const embedding = module.embeddings[batch.context]!;
      const { grad } = embedding;
      if (grad === null) continue;
      embedding.grad = noGrad(() => {
        const slowed = coshPlusOne(clamp(mul(embedding, s), -coshBound, coshBound));
        return mul(grad, mul(div(slowed, coshPlusOne(embedding)), this.#smax / s));
      });
    }
  }

  stepped({ batch }: Step): void {
    for (const { module } of this.#units) {
      const embedding = module.embeddings[batch.context]!;
      const numbers = numbersOf(embedding);
      const outside = [...numbers.keys()].filter((i) => Math.abs(numbers[i]!) > embeddingBound);
      if (outside.length > 0) writeAt(embedding, outside, (i) => Math.sign(numbers[i]!) * embeddingBound);
    }
  }

  end(context: Context): void {
    this.#use(context.index, this.#smax);
    for (const { module, largest } of this.#units) {
      const mask = noGrad(() => numbersOf(sigmoid(mul(module.embeddings[context.index]!, this.#smax))));
      for (let i = 0; i < largest.length; i++) largest[i] = Math.max(largest[i]!, mask[i]!);
    }
    this.#outputs?.end(context);
    this.#current = context.index + 1;
    this.#freeze();
    this.#refresh();
  }

  #freeze(): void {
    if (!this.#frozen)
      for (const { weight, bias, gates } of this.#layers!)
        for (const [i, parameter] of [weight, ...(bias === null ? [] : [bias])].entries())
          this.#removals.push(gateAt(parameter, gates[i]!));
    this.#frozen = true;
  }

  /** Gates and free capacity, as the largest masks say. */
  #refresh(): void {
    for (const { weight, made, read, gates } of this.#layers!) {
      const { largest } = made;
      fill(made.free, (i) => 1 - largest[i]!);
      const [gate, biasGate] = gates as [Tensor, Tensor?];
      const [rows, columns] = weight.shape as [number, number];
      const [perRow, kernel] = [weight.size / rows, weight.size / (rows * columns)];
      // After flattening, so many columns stand side by side for one unit.
      const inner = read === null ? 1 : columns / read.largest.length;
      const before = new Float32Array(perRow).fill(1);
      if (read !== null) for (let c = 0; c < perRow; c++) before[c] = read.largest[Math.floor(c / (kernel * inner))]!;
      fill(gate, (i) => 1 - Math.min(largest[Math.floor(i / perRow)]!, before[i % perRow]!));
      if (biasGate !== undefined) fill(biasGate, (i) => 1 - largest[i]!);
    }
  }

  /**
   * Units all of whose incoming weights were drawn anew are nobody's: free for the context that is being learned, and out of the
   * masks of those before.
   */
  #renew(weight: Tensor, { module, largest }: Units, elements: Int32Array): void {
    const perRow = weight.size / weight.shape[0]!;
    const counts = new Map<number, number>();
    for (const element of elements) {
      const row = Math.floor(element / perRow);
      counts.set(row, (counts.get(row) ?? 0) + 1);
    }
    const units = [...counts].filter(([, count]) => count === perRow).map(([row]) => row);
    if (units.length === 0) return;
    for (const unit of units) largest[unit] = 0;
    for (const embedding of module.embeddings.slice(0, this.#current)) writeAt(embedding, units, () => -embeddingBound);
    this.#refresh();
  }

  remove(): void {
    for (const removal of this.#removals.splice(0)) removal();
    this.#outputs?.remove();
    for (const { made } of this.#layers ?? []) made.module.inForce = null;
    this.#frozen = false;
  }

  attach({ model }: Learning): void {
    this.#model = model;
  }

  stateDict(): HatState {
    const layers = this.#layers?.map(({ made: { largest }, gates }) => ({
      largest: largest.slice(),
      gates: gates.map(copyOf),
    }));
    const inForce = this.#layers?.[0]?.made.module.inForce;
    return {
      ...{ current: this.#current, frozen: this.#frozen, inForce: inForce ? { ...inForce } : null },
      ...{ layers: layers ?? null, outputs: this.#outputs?.stateDict() ?? null },
    };
  }

  loadStateDict(state: HatState): void {
    const who = 'hat.loadStateDict';
    checkFields(who, state, ['current', 'frozen', 'inForce', 'layers', 'outputs']);
    const { current, frozen, inForce } = state;
    checkCounted(who, 'current', current);
    checkFlag(who, 'frozen', frozen);
    if (inForce !== null) checkFields(`${who}, inForce`, inForce, ['context', 'scale']);
    const take = this.#taking(who, state);
    this.remove();
    [this.#layers, this.#outputs, this.#before, this.#current] = [null, null, null, current];
    take();
    if (frozen && this.#layers !== null) this.#freeze();
  }

  #taking(who: string, { layers, outputs, inForce }: HatState): Commit {
    if (layers === null || outputs === null) return () => {};
    if (this.#model === null)
      throw new Error(
        `${who}: the method belongs to no learner yet, so it knows no masks. Make the learner with it first.`,
      );
    checkList(who, 'layers', layers);
    const { masked, output } = layersOf(this.#model);
    const own = new OutputRows('hat', output);
    const sizes = (some: readonly { readonly length: number }[]): string => some.map(({ length }) => length).join(', ');
    const [theirs, ours] = [layers.map(({ largest }) => largest), masked.map(({ made }) => made.largest)].map(sizes);
    if (theirs !== ours)
      throw new RangeError(
        `${who}: the state is of masks over ${theirs} units, the model's are over ${ours}. Make the model as it was when the state was saved.`,
      );
    for (const [i, { gates }] of masked.entries())
      for (const [j, { shape }] of gates.entries())
        checkTensor(who, `gate ${j} of layer ${i}`, layers[i]!.gates?.[j], shape);
    const takeRows = own.taking(outputs);
    return () => {
      this.#take(masked, own);
      for (const [i, { made, gates }] of masked.entries()) {
        const { largest, gates: saved } = layers[i]!;
        made.largest.set(largest);
        fill(made.free, (unit) => 1 - largest[unit]!);
        for (const [j, gate] of gates.entries()) overwrite(gate, saved[j]!);
        made.module.inForce = inForce && { ...inForce };
      }
      takeRows();
    };
  }
}

const coshPlusOne = (x: Tensor): Tensor => add(mul(add(exp(x), exp(neg(x))), 0.5), 1);

function fill(x: Tensor, value: (index: number) => number): void {
  withData(
    x,
    (numbers) => {
      for (let i = 0; i < numbers.length; i++) numbers[i] = value(i);
    },
    { write: true },
  );
}

/**
 * Hard attention to the task, for scenarios of the kind 'task' and a Sequential of linear layers or convolutions, with a `HatMask` behind
 * the activation of each but the last. The embeddings are parameters of the model: make the optimizer over
 * `model.parameters()`, and they learn with the rest, at its rate (as published: SGD, 0.05). The last layer's rows are those of the
 * contexts' heads and stand still when theirs has ended.
 *
 * Of the published code everything is here but dropout (put it into the model), and the bound of 10,000 for the norm of all
 * gradients. The paper's s rises within each epoch; `steps` says how long that is. A question about a context that has not
 * been learned is answered with its untrained mask; examples whose context is not known are an error.
 * Units that are drawn anew (all incoming weights reset) are free again: gates open, and earlier contexts do not see them.
 *
 *     const generator = new Generator(1);
 *     const mask = new HatMask(8, { contexts: 2, generator });
 *     const net = new Sequential(new Linear(4, 8), new ReLU(), mask, new Linear(8, 4));
 *     const sgd = new SGD(net.parameters(), { lr: 0.05 });
 *     const learner = new ContinualLearner({ model: net, optimizer: sgd, methods: [hat({ steps: 100 })] });
 *
 * @returns the method; `inUse()` gives the largest masks so far, `remove()` takes off masks and gates
 */
export function hat(options: HatOptions): Hat {
  return new HardAttention(given('hat({ steps: 2000 })', 'options (in how many steps the masks harden)', options));
}

/**
 * PackNet: contexts share a network by owning weights. After a context, in each layer the largest of the weights that were
 * free become its own, and never move again; the others become 0 and are free for what comes.
 * Mallya and Lazebnik, "PackNet: adding multiple tasks to a single network by iterative pruning" (CVPR 2018).
 *
 * A context is learned with all that is there: weights of earlier contexts, which stand still, and free ones, which learn. At
 * its pruning the free ones are divided, and what is left of the context trains the kept ones alone. A question about context
 * k is answered with the weights that contexts 0 to k own, all others 0. So nothing of it changes any more.
 */

import { noGrad } from '../../autograd/modes.ts';
import type { Context } from '../../data/scenarios.ts';
import { copy_ } from '../../ops/inplace.ts';
import { onReset, writeAt } from '../../state/reset.ts';
import { withData } from '../../tensor/access.ts';
import { buffer, full, tensor } from '../../tensor/create.ts';
import { given } from '../../tensor/given.ts';
import { showShape } from '../../tensor/layout.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import type { Learning, StatefulMethod } from '../method.ts';
import { type Commit, checkFields, checkFlag, checkTensor, copyOf, membersOf, OwnParameters } from '../state.ts';
import { gateAt } from './gates.ts';
import { checkTask, checkTold, type OutputLayer, OutputRows, type OutputRowsState, outputLayer } from './outputs.ts';

export interface PackNetOptions {
  /** Share of a layer's free weights that each context gives up, from 0 up and below 1; 0.5 unless given (published: 0.5 to 0.75). */
  readonly prune?: number;
  /**
   * Share of a context's steps, at its end, that come after pruning, from 0 up and below 1. 1/3 unless given: as published, half as
   * many as before it. 0: it is pruned when it ends.
   */
  readonly retrain?: number;
  /** Steps of a context; needed to know when to prune, unless `retrain` is 0. */
  readonly steps?: number;
}

/** State of PackNet: plain data for a checkpoint. */
export interface PackNetState {
  /** The context that is being learned, or was last; -1: none. */
  readonly current: number;
  readonly pruned: boolean;
  /** Whether the gates of divided weights, and those of all others, are attached. */
  readonly gated: boolean;
  readonly frozen: boolean;
  /** null: no context has begun. */
  readonly parameters: PackedParameters | null;
}

export interface PackedParameters {
  /** Who owns each weight, and its gate, by the name of the layer. */
  readonly layers: Readonly<Record<string, { readonly owners: Int16Array; readonly gate: Tensor }>>;
  /** Gates of what is not divided, by name. */
  readonly others: Readonly<Record<string, { readonly gate: Tensor }>>;
  readonly outputs: { readonly weight: string; readonly bias: string | null; readonly rows: OutputRowsState };
}

export interface PackNet extends StatefulMethod<PackNetState> {
  /** The context that owns each weight of a layer, row-major; -1: free. null: a parameter that is not divided. A copy. */
  ownersOf(parameter: Tensor): Int16Array | null;
  /** Takes off all gates. Weights stay as they are. */
  remove(): void;
}

const free = -1;

/** A weight of a hidden layer. */
interface Shared {
  readonly name: string;
  readonly weight: Tensor;
  readonly owners: Int16Array;
  readonly gate: Tensor;
}

/** What is not divided. */
interface Other {
  readonly parameter: Tensor;
  readonly gate: Tensor;
}

/** A parameter that looks at other numbers for the time of a question. */
interface Borrowing {
  readonly parameter: Tensor;
  readonly own: Pick<Tensor, 'storage' | 'layout' | 'offset'>;
}

class Packing implements PackNet {
  readonly name = 'packnet';
  readonly #prune: number;
  /** The step before which it is pruned; null: at the end of the context. */
  readonly #pruneAt: number | null;
  /** null: no context has begun. */
  #layers: readonly Shared[] | null = null;
  /** Biases, and whatever else has no rows and columns, each with its gate: they learn in the first context alone. */
  #others: readonly Other[] = [];
  #outputLayer: OutputLayer | null = null;
  #outputs: OutputRows | null = null;
  /** The context that is being learned, or was last. */
  #current = free;
  #pruned = false;
  #borrowed: Borrowing[] = [];
  /** Whether gates are attached: before anything is owned, steps cost what they cost without. */
  #gated = false;
  #frozen = false;
  readonly #removals: (() => void)[] = [];
  readonly #parameters = new OwnParameters('packnet');

  constructor({ prune = 0.5, retrain = 1 / 3, steps }: PackNetOptions) {
    const fail = (sentence: string): never => {
      throw new RangeError(`packnet: ${sentence}`);
    };
    if (!(prune >= 0 && prune < 1)) fail(`prune is a share of the free weights, from 0 up and below 1, not ${prune}.`);
    if (!(retrain >= 0 && retrain < 1)) fail(`retrain is a share of the steps, from 0 up and below 1, not ${retrain}.`);
    if (steps !== undefined && !(Number.isInteger(steps) && steps >= 2))
      fail(`steps is a number of steps, a whole number from 2 up, not ${steps}.`);
    if (retrain > 0 && steps === undefined)
      fail('say how many steps a context has, so that it is pruned before its end: steps; or retrain: 0.');
    this.#prune = prune;
    this.#pruneAt = steps === undefined || retrain === 0 ? null : Math.max(1, Math.round(steps * (1 - retrain)));
  }

  ownersOf(parameter: Tensor): Int16Array | null {
    return this.#layers?.find(({ weight }) => weight === parameter)?.owners.slice() ?? null;
  }

  begin(context: Context, learning: Learning): void {
    this.#giveBack();
    checkTask('packnet', context);
    const { index } = context;
    if (!(Number.isInteger(index) && index > this.#current && index < 2 ** 15))
      throw new Error(
        `packnet: context ${index} begins after context ${this.#current}. Weights are given to contexts in their order; each is learned once.`,
      );
    if (this.#layers === null) this.#find(learning, outputLayer('packnet', context, learning));
    this.#outputs?.begin(context);
    for (const { name, weight, owners } of this.#layers ?? [])
      if (!owners.includes(free))
        throw new Error(
          `packnet: nothing is free in ${name}, of shape ${showShape(weight.shape)}, for context ${index}: those before own all of it. Let each ` +
            `give up more (prune, now ${this.#prune}), or make the layer larger.`,
        );
    this.#current = index;
    this.#pruned = false;
    this.#setGates((owner) => owner === free);
  }

  #find({ parameters }: Learning, output: OutputLayer): void {
    const layers: Shared[] = [];
    const others: Other[] = [];
    for (const [name, weight] of parameters) {
      if (weight === output.weight || weight === output.bias) continue;
      const gate = buffer(full(weight.shape, 1));
      if (weight.ndim < 2) others.push({ parameter: weight, gate });
      else layers.push({ name, weight, owners: new Int16Array(weight.size).fill(free), gate });
    }
    if (layers.length === 0)
      throw new Error(
        'packnet: the model has no weights but those of its output layer. It needs hidden layers for contexts to share.',
      );
    this.#take(layers, others, output, new OutputRows('packnet', output));
  }

  #take(layers: readonly Shared[], others: readonly Other[], output: OutputLayer, rows: OutputRows): void {
    for (const { weight, owners } of layers) {
      // A weight that was drawn anew is nobody's; while the kept ones are trained, it is the present context's.
      const renew = (elements: Int32Array): void => {
        for (const element of elements) owners[element] = this.#pruned ? this.#current : free;
      };
      this.#removals.push(onReset(weight, renew));
    }
    [this.#layers, this.#others, this.#outputLayer, this.#outputs] = [layers, others, output, rows];
  }

  /** Lets weights learn by who owns them. */
  #setGates(learns: (owner: number) => boolean): void {
    for (const { owners, gate } of this.#layers ?? [])
      withData(
        gate,
        (numbers) => {
          for (let i = 0; i < owners.length; i++) numbers[i] = learns(owners[i]!) ? 1 : 0;
        },
        { write: true },
      );
  }

  prepare(context: number | null, step: number | null): void {
    this.#giveBack();
    checkTold('packnet', context);
    if (step === null) return this.#lookAs(context);
    if (this.#layers === null || context !== this.#current)
      throw new Error(
        `packnet: a step on context ${context}, but ${this.#layers === null ? 'no context has begun' : `context ${this.#current} is being learned`}. ` +
          'Call begin(context) of the learner first.',
      );
    if (step === this.#pruneAt) this.#divide();
  }

  answered(): void {
    this.#giveBack();
  }

  /**
   * Weights that a context of the past does not own look at zeros. Their own numbers are not touched: what was recorded before a
   * question is as good after it.
   */
  #lookAs(context: number): void {
    // While a context is learned, all that is free is its to use; and so of one that has not come yet.
    if (context >= this.#current) return;
    for (const { weight, owners } of this.#layers ?? []) {
      const numbers = numbersOf(weight);
      for (let i = 0; i < owners.length; i++) if (owners[i] === free || owners[i]! > context) numbers[i] = 0;
      const { storage, layout, offset } = tensor(numbers, weight.shape);
      this.#borrowed.push({
        parameter: weight,
        own: { storage: weight.storage, layout: weight.layout, offset: weight.offset },
      });
      Object.assign(weight, { storage, layout, offset });
    }
  }

  #giveBack(): void {
    for (const { parameter, own } of this.#borrowed.splice(0)) Object.assign(parameter, own);
  }

  /** Gives the largest of the free weights to the present context, and makes the others 0. */
  #divide(): void {
    for (const { name, weight, owners, gate } of this.#layers ?? []) {
      const numbers = numbersOf(weight);
      if (numbers.some(Number.isNaN)) throw new Error(`packnet: ${name} holds NaN, which is neither large nor small.`);
      const sizes = numbers.map(Math.abs).filter((_, i) => owners[i] === free);
      const kept = sizes.length - Math.round(this.#prune * sizes.length);
      const least = kept === 0 ? Infinity : sizes.sort()[sizes.length - kept]!;
      // Of those that are as large as the least that is kept, the first.
      let equals = kept - sizes.filter((size) => size > least).length;
      const given: number[] = [];
      for (let i = 0; i < numbers.length; i++) {
        if (owners[i] !== free) continue;
        const size = Math.abs(numbers[i]!);
        if (size > least || (size === least && equals-- > 0)) owners[i] = this.#current;
        else given.push(i);
      }
      writeAt(weight, given, () => 0);
      if (!this.#gated) this.#removals.push(gateAt(weight, gate));
    }
    this.#gated = this.#pruned = true;
    this.#setGates((owner) => owner === this.#current);
  }

  end(context: Context): void {
    this.#giveBack();
    if (!this.#pruned && this.#pruneAt !== null)
      throw new Error(
        `packnet: context ${context.index} ended before its step ${this.#pruneAt}, at which it was to be pruned. Give the number of steps that ` +
          'it really has (steps), or retrain: 0.',
      );
    if (!this.#pruned) this.#divide();
    for (const { parameter, gate } of this.#others) {
      if (!this.#frozen) this.#removals.push(gateAt(parameter, gate));
      noGrad(() => copy_(gate, 0));
    }
    this.#frozen = true;
    this.#outputs?.end(context);
  }

  remove(): void {
    this.#giveBack();
    for (const removal of this.#removals.splice(0)) removal();
    this.#outputs?.remove();
    this.#gated = this.#frozen = false;
  }

  attach(learning: Learning): void {
    this.#parameters.attach(learning);
  }

  stateDict(): PackNetState {
    const [current, pruned, gated, frozen] = [this.#current, this.#pruned, this.#gated, this.#frozen];
    const layer = this.#outputLayer;
    if (layer === null || this.#outputs === null) return { current, pruned, gated, frozen, parameters: null };
    const nameOf = (parameter: Tensor): string => this.#parameters.nameOf(parameter);
    const layers = (this.#layers ?? []).map(
      ({ weight, owners, gate }) => [nameOf(weight), { owners: owners.slice(), gate: copyOf(gate) }] as const,
    );
    const others = this.#others.map(({ parameter, gate }) => [nameOf(parameter), { gate: copyOf(gate) }] as const);
    const outputs = {
      ...{ weight: nameOf(layer.weight), bias: layer.bias && nameOf(layer.bias) },
      rows: this.#outputs.stateDict(),
    };
    const parameters = { layers: Object.fromEntries(layers), others: Object.fromEntries(others), outputs };
    return { current, pruned, gated, frozen, parameters };
  }

  loadStateDict(state: PackNetState): void {
    const who = 'packnet.loadStateDict';
    checkFields(who, state, ['current', 'pruned', 'gated', 'frozen', 'parameters']);
    const { current, pruned, gated, frozen } = state;
    if (!(Number.isInteger(current) && current >= free && current < 2 ** 15))
      throw new RangeError(`${who}: the context in the state is a number from 0 up, or -1, not ${String(current)}.`);
    for (const [name, flag] of Object.entries({ pruned, gated, frozen })) checkFlag(who, name, flag);
    const take = state.parameters === null ? () => {} : this.#taking(who, state.parameters);
    this.remove();
    [this.#layers, this.#others, this.#outputLayer, this.#outputs] = [null, [], null, null];
    [this.#current, this.#pruned, this.#gated, this.#frozen] = [current, pruned, gated, frozen];
    take();
    if (gated) for (const { weight, gate } of this.#layers ?? []) this.#removals.push(gateAt(weight, gate));
    if (frozen) for (const { parameter, gate } of this.#others) this.#removals.push(gateAt(parameter, gate));
  }

  #taking(who: string, state: PackedParameters): Commit {
    checkFields(who, state, ['layers', 'others', 'outputs']);
    checkFields(`${who}, outputs`, state.outputs, ['weight', 'bias', 'rows']);
    const gateOf = (name: string, { gate }: { readonly gate: Tensor }, { shape }: Tensor): Tensor => {
      checkTensor(who, `the gate of ${name}`, gate, shape);
      return buffer(gate);
    };
    const layers = membersOf(who, 'layers', state.layers).map(([name, kept]): Shared => {
      const weight = this.#parameters.at(name);
      checkFields(`${who}, ${name}`, kept, ['owners', 'gate']);
      if (!(kept.owners instanceof Int16Array && kept.owners.length === weight.size))
        throw new RangeError(
          `${who}: ${name} has shape ${showShape(weight.shape)}, and the state tells who owns ${kept.owners?.length} weights. Make the model ` +
            'as it was when the state was saved.',
        );
      return { name, weight, owners: kept.owners.slice(), gate: gateOf(name, kept, weight) };
    });
    const others = membersOf(who, 'others', state.others).map(([name, kept]): Other => {
      const parameter = this.#parameters.at(name);
      checkFields(`${who}, ${name}`, kept, ['gate']);
      return { parameter, gate: gateOf(name, kept, parameter) };
    });
    const { weight, bias, rows } = state.outputs;
    const output = { weight: this.#parameters.at(weight), bias: bias === null ? null : this.#parameters.at(bias) };
    const own = new OutputRows('packnet', output);
    const take = own.taking(rows);
    return () => {
      this.#take(layers, others, output, own);
      take();
    };
  }
}

/**
 * PackNet for scenarios of the kind 'task' and any model that ends in a linear layer, whose rows are those of the contexts' heads.
 * All other parameters with rows and columns are divided, layer by layer; biases and what else there is learn in the first
 * context and then stand still (in the published code they stop at its pruning, before it is trained again).
 *
 * Each context is learned by `steps` steps. Pruning comes before the step at which `retrain` of them are left; the optimizer
 * goes on as it is, where the published code begins a new one. Which weights move is said by plasticity, so nothing of an
 * optimizer moves the others. A pruned weight is the same weight, brought to 0: it is no reset. Weights that others draw
 * anew (continual backprop) are free again, whoever owned them, and contexts of the past do not see them.
 * Contexts that have not come yet are answered with all weights. Examples whose context is not known are an error, as is a
 * context for which a layer has nothing free.
 *
 *     const net = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 4));
 *     const packing = packnet({ prune: 0.5, steps: 300 });
 *     const learner = new ContinualLearner({ model: net, optimizer: new Adam(net.parameters()), methods: [packing] });
 *     packing.ownersOf(net.parameters()[0]); // null
 *
 * @returns the method; `ownersOf(weight)` tells who owns what, `remove()` takes off its gates
 */
export function packnet(options: PackNetOptions): PackNet {
  return new Packing(given('packnet({ prune: 0.5, steps: 2000 })', 'options', options));
}

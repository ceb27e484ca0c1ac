/**
 * What all optimizers share: parameters in groups with options of their own, and what is kept for each parameter.
 *
 * An optimizer writes into its parameters in place and reads their .grad; a parameter whose .grad is null is left alone.
 * A step allocates nothing, since small networks take half a million of them a second.
 */

import { onResetWhile, writeAt } from '../state/reset.ts';
import { buffer, tensor } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { numbersOf, Tensor } from '../tensor/tensor.ts';

/**
 * What an optimizer keeps for one parameter. Every field but `parameter` is state: a count, or a tensor of the parameter's
 * shape (null: not there yet).
 */
export interface Slot {
  readonly parameter: Tensor;
  /** Fields that states saved by earlier versions lack; they are then null. */
  readonly added?: readonly string[];
  /** Told of weights that were drawn anew, when all tensors are 0 there: for what 0 does not start anew. */
  restart?(elements: Int32Array): void;
}

/** What the old weights left behind goes: a newborn weight has no velocity and no moments. */
function forgetAt(slot: Slot, elements: Int32Array): void {
  for (const [, value] of stateOf(slot)) if (value instanceof Tensor) writeAt(value, elements, () => 0);
  slot.restart?.(elements);
}

/** Parameters that share options. The options may be changed between steps. */
export type ParameterGroup<Options, OwnSlot extends Slot> = Options & { readonly slots: readonly OwnSlot[] };

/** What an optimizer is made from: parameters, or groups of them with options that differ from the optimizer's own. */
export type OptimizerParameters<Options> = readonly Tensor[] | readonly GivenGroup<Options>[];

type GivenGroup<Options> = Partial<Options> & { readonly parameters: readonly Tensor[] };

/** An optimizer's options and state by position, with copies of its tensors. */
export interface OptimizerState<Options> {
  groups: { options: Options; slots: Record<string, number | Tensor | null>[] }[];
}

export abstract class Optimizer<Options extends { lr: number }, OwnSlot extends Slot> {
  readonly groups: readonly ParameterGroup<Options, OwnSlot>[];
  readonly #name: string;
  readonly #check: (options: Options) => void;

  /** `check` throws a sentence where options are out of range; `slotFor` makes the empty state of a parameter. */
  constructor(
    name: string,
    parameters: OptimizerParameters<Options>,
    options: Options,
    check: (options: Options) => void,
    slotFor: (parameter: Tensor) => OwnSlot,
  ) {
    check(options);
    const seen = new Set<Tensor>();
    this.groups = inGroups(name, parameters).map(({ parameters: members, ...own }) => {
      const merged = { ...options, ...own } as unknown as Options;
      check(merged);
      for (const member of members) checkParameter(name, member, seen);
      const slots = members.map(slotFor);
      for (const slot of slots) onResetWhile(slot.parameter, slot, forgetAt);
      return { ...merged, slots };
    });
    if (seen.size === 0) {
      throw new RangeError(
        `${name}: there are no parameters to optimize. Does the model have any (model.parameters())?`,
      );
    }
    this.#name = name;
    this.#check = check;
  }

  /** The learning rate: of the first group when read, of all groups when set. */
  get lr(): number {
    return this.groups[0]!.lr;
  }

  set lr(lr: number) {
    for (const group of this.groups) this.#check({ ...group, lr });
    for (const group of this.groups) group.lr = lr;
  }

  /** Moves every parameter that has a gradient by one step, in place. */
  abstract step(): void;

  /** Forgets the gradients of all parameters. Without it backward() adds to them. */
  zeroGrad(): void {
    const groups = this.groups;
    for (let i = 0; i < groups.length; i++) {
      const slots = groups[i]!.slots;
      for (let j = 0; j < slots.length; j++) slots[j]!.parameter.grad = null;
    }
  }

  /** Options and state, to go on from elsewhere; the parameters' own values are not in it. */
  stateDict(): OptimizerState<Options> {
    return {
      groups: this.groups.map(({ slots, ...options }) => ({
        options: options as unknown as Options,
        slots: slots.map((slot) => Object.fromEntries(stateOf(slot).map(([name, value]) => [name, copied(value)]))),
      })),
    };
  }

  /**
   * Takes over options and state of an optimizer of the same kind over parameters of the same shapes. What does not fit, lacks
   * something or holds something else is an error, and then nothing has been changed.
   */
  loadStateDict(state: OptimizerState<Options>): void {
    const fail = (problem: string): never => {
      throw new RangeError(`${this.#name}.loadStateDict: ${problem}`);
    };
    const expectOnly = (known: readonly string[], where: string, given: object | null | undefined): void => {
      const stray = Object.keys(given ?? {}).filter((name) => !known.includes(name));
      if (stray.length > 0) fail(`${where} holds ${stray.join(', ')}, which this optimizer does not keep.`);
    };
    const { groups } = state;
    if (!Array.isArray(groups)) fail('the state has no list of groups. Give what stateDict() gave.');
    expectOnly(['groups'], 'the state', state);
    if (groups.length !== this.groups.length) {
      fail(`the state has ${groups.length} parameter groups, the optimizer ${this.groups.length}.`);
    }
    const loaded = this.groups.map(({ slots: ownSlots, ...own }, i) => {
      const { options, slots = [] } = groups[i] ?? {};
      expectOnly(['options', 'slots'], `group ${i} of the state`, groups[i]);
      const [ours, theirs] = [own, options ?? {}].map((some) => Object.keys(some).sort().join(', '));
      if (ours !== theirs)
        fail(`the options of group ${i} are ${ours}, and those in the state ${theirs === '' ? 'none' : theirs}.`);
      this.#check(options as Options);
      if (slots.length !== ownSlots.length) {
        fail(`group ${i} of the state has ${slots.length} parameters, the optimizer's has ${ownSlots.length}.`);
      }
      return ownSlots.map((slot, j) => {
        const fields = stateOf(slot);
        const source = slots[j] ?? {};
        const known = fields.map(([name]) => name);
        expectOnly(known, `parameter ${j} of group ${i} in the state`, source);
        return fields.map(([name, present]): [string, StateValue] => {
          const isOlder = slot.added?.includes(name) && !Object.hasOwn(source, name);
          const value = isOlder ? null : source[name];
          const fits =
            typeof present === 'number'
              ? typeof value === 'number' && Number.isInteger(value) && value >= 0
              : value === null || (value instanceof Tensor && sameShape(value.shape, slot.parameter.shape));
          return fits ? [name, value!] : fail(`${name} of parameter ${j} in group ${i} is missing or does not fit.`);
        });
      });
    });
    this.groups.forEach((group, i) => {
      Object.assign(group, groups[i]!.options);
      group.slots.forEach((slot, j) => {
        for (const [name, value] of loaded[i]![j]!) {
          Object.assign(slot, { [name]: value instanceof Tensor ? buffer(value) : value });
        }
      });
    });
  }
}

/** Bare parameters are one group without options of its own. */
function inGroups<Options>(name: string, parameters: OptimizerParameters<Options>): readonly GivenGroup<Options>[] {
  if (!Array.isArray(parameters)) {
    throw new TypeError(`${name}: the first argument must be an array of tensors, such as model.parameters().`);
  }
  const given: readonly (Tensor | GivenGroup<Options>)[] = parameters;
  const groups = given.filter((entry) => !(entry instanceof Tensor) && Array.isArray(entry?.parameters));
  return groups.length === given.length
    ? (groups as GivenGroup<Options>[])
    : [{ parameters: given as Tensor[] } as unknown as GivenGroup<Options>];
}

type StateValue = number | Tensor | null;

function stateOf(slot: Slot): [string, StateValue][] {
  return Object.entries(slot).filter(([name]) => name !== 'parameter') as [string, StateValue][];
}

const copied = (value: StateValue): StateValue =>
  value instanceof Tensor ? tensor(numbersOf(value), value.shape) : value;

function checkParameter(name: string, parameter: Tensor, seen: Set<Tensor>): void {
  if (!(parameter instanceof Tensor)) throw new TypeError(`${name}: parameter ${seen.size} is not a Tensor.`);
  const described = `parameter ${seen.size}, of shape ${showShape(parameter.shape)},`;
  if (parameter.node !== null && parameter.node.op !== null) {
    throw new Error(
      `${name}: ${described} is the result of an operation, and writing into it would change nothing. Optimize the parameter it was made from.`,
    );
  }
  if (seen.has(parameter)) throw new Error(`${name}: ${described} is given twice, and would be moved twice.`);
  seen.add(parameter);
}

/** A sentence unless the option is a number from 0 up. */
export function checkNonNegative(name: string, option: string, value: number): void {
  if (!(value >= 0 && value < Infinity)) {
    throw new RangeError(`${name}: ${option} must be a number from 0 up, but it is ${String(value)}.`);
  }
}

/**
 * What methods remember, as plain data for a checkpoint (src/io): tensors by the names of their parameters, counts, generators.
 *
 * Loading has two parts. `taking...` checks a piece of state and changes nothing; what it returns writes the piece, and does not
 * fail. A method of several pieces checks them all first, so that a state which does not fit leaves it as it was.
 */
import { Generator, type GeneratorState } from '../random/generator.ts';
import { tensor } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { kindOf, numbersOf, Tensor } from '../tensor/tensor.ts';
import type { Learning } from './method.ts';

/** Writes what was checked. */
export type Commit = () => void;

/** A copy for a state. */
export const copyOf = (x: Tensor): Tensor => tensor(numbersOf(x), x.shape);

/** A sentence unless it is an object of just these fields. */
export function checkFields(who: string, state: unknown, names: readonly string[]): void {
  const isObject = typeof state === 'object' && state !== null && !Array.isArray(state) && !(state instanceof Tensor);
  const there = isObject ? Object.keys(state) : [];
  if (isObject && there.length === names.length && names.every((name) => there.includes(name))) return;
  throw new TypeError(
    `${who}: the state ${isObject ? `holds ${there.join(', ') || 'nothing'}` : `is ${kindOf(state)}`} where it should hold ` +
      `${names.join(', ')}. Give what stateDict() of one of the same kind gave.`,
  );
}

/** A sentence unless it is a list. */
export function checkList(who: string, name: string, value: unknown): void {
  if (!Array.isArray(value))
    throw new TypeError(
      `${who}: ${name} in the state must be a list, not ${kindOf(value)}. Give what stateDict() gave.`,
    );
}

/** The members of an object by name; a sentence unless it is one. */
export function membersOf<Value>(
  who: string,
  what: string,
  given: Readonly<Record<string, Value>>,
): [name: string, value: Value][] {
  if (typeof given !== 'object' || given === null)
    throw new TypeError(
      `${who}: ${what} in the state must be an object, not ${kindOf(given)}. Give what stateDict() gave.`,
    );
  return Object.entries(given);
}

/** A sentence unless it is a whole number from `least` up. */
export function checkCounted(who: string, name: string, value: unknown, least = 0): asserts value is number {
  if (!(Number.isSafeInteger(value) && Number(value) >= least))
    throw new RangeError(`${who}: ${name} in the state must be a whole number from ${least} up, not ${String(value)}.`);
}

/** A sentence unless it is true or false. */
export function checkFlag(who: string, name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean')
    throw new TypeError(`${who}: ${name} in the state must be true or false, not ${kindOf(value)}.`);
}

/** A sentence unless it is a tensor of this shape. */
export function checkTensor(
  who: string,
  name: string,
  value: unknown,
  shape: readonly number[],
): asserts value is Tensor {
  if (value instanceof Tensor && sameShape(value.shape, shape)) return;
  throw new RangeError(
    `${who}: ${name} is ${value instanceof Tensor ? `of shape ${showShape(value.shape)}` : kindOf(value)} in the state, and a tensor of ` +
      `shape ${showShape(shape)} here. Make the model as it was when the state was saved.`,
  );
}

export function takingGenerator(who: string, generator: Generator, state: GeneratorState): Commit {
  checkFields(`${who}, generator`, state, ['seed', 'counter']);
  const { seed, counter } = state;
  new Generator(0).setState({ seed, counter });
  return () => generator.setState({ seed, counter });
}

/** What is kept of one parameter. */
export type Kept = Readonly<Record<string, Tensor | number | boolean | null>>;
/** What is kept of parameters, by their names in the model. */
export type KeptByName = Readonly<Record<string, Kept>>;

/** A tensor of the parameter's shape, the same or null, a whole number from 0 up, true or false. */
type Kind = 'tensor' | 'tensor or null' | 'count' | 'flag';
export type Kinds = Readonly<Record<string, Kind>>;
interface Types {
  readonly tensor: Tensor;
  readonly 'tensor or null': Tensor | null;
  readonly count: number;
  readonly flag: boolean;
}
export type Fields<Of extends Kinds> = { readonly [Name in keyof Of]: Types[Of[Name]] };

/** The parameters of the learner that a method belongs to, by name: what its state speaks of. */
export class OwnParameters {
  readonly #who: string;
  #named: ReadonlyMap<string, Tensor> | null = null;

  /** @param who the method, for errors */
  constructor(who: string) {
    this.#who = who;
  }

  attach({ parameters }: Learning): void {
    this.#named = parameters;
  }

  /** A parameter by its name in a state. */
  at(name: string): Tensor {
    const who = `${this.#who}.loadStateDict`;
    if (this.#named === null)
      throw new Error(
        `${who}: the method belongs to no learner yet, so nobody knows which parameter is ${name}. Make the learner with it first.`,
      );
    const found = this.#named.get(name);
    if (found === undefined)
      throw new RangeError(
        `${who}: the state is of a model with a parameter ${name}; this one has ${[...this.#named.keys()].join(', ')}. Make the model ` +
          'as it was when the state was saved.',
      );
    return found;
  }

  /** The name of a parameter, for a state. */
  nameOf(parameter: Tensor): string {
    for (const [name, one] of this.#named ?? []) if (one === parameter) return name;
    throw new Error(
      `${this.#who}.stateDict: a parameter of shape ${showShape(parameter.shape)} has no name: it is none of the learner's model, or the ` +
        'method belongs to no learner.',
    );
  }

  /** What is known of parameters, by name, with copies of all tensors. */
  saved<Known>(known: ReadonlyMap<Tensor, Known>, read: (known: Known) => Kept): KeptByName {
    const copied = (kept: Kept): Kept =>
      Object.fromEntries(
        Object.entries(kept).map(([field, value]) => [field, value instanceof Tensor ? copyOf(value) : value]),
      );
    return Object.fromEntries(Array.from(known, ([parameter, one]) => [this.nameOf(parameter), copied(read(one))]));
  }

  /** The parameters of which a state speaks, and what it says of each, checked. */
  found<Of extends Kinds>(state: KeptByName, kinds: Of): (readonly [parameter: Tensor, kept: Fields<Of>])[] {
    const who = `${this.#who}.loadStateDict`;
    if (typeof state !== 'object' || state === null)
      throw new TypeError(
        `${who}: what is kept of each parameter is missing in the state, which holds ${kindOf(state)}.`,
      );
    return Object.entries(state).map(([name, kept]) => {
      const parameter = this.at(name);
      checkFields(`${who}, ${name}`, kept, Object.keys(kinds));
      for (const [field, kind] of Object.entries(kinds)) {
        const [what, value] = [`${field} of ${name}`, kept[field]];
        if (kind === 'count') checkCounted(who, what, value);
        else if (kind === 'flag') checkFlag(who, what, value);
        else if (kind === 'tensor' || value !== null) checkTensor(who, what, value, parameter.shape);
      }
      return [parameter, kept as unknown as Fields<Of>];
    });
  }
}

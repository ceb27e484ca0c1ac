/**
 * What a checkpoint is made of: pieces of state with their places in the file, and the way in and out of the objects.
 *
 * A model makes three: its tensors, what its parameters carry beside their values, and the generators that its layers hold.
 */
import { Module, type StateDict } from '../nn/module.ts';
import { Generator } from '../random/generator.ts';
import { loadSideState, sideState } from '../state/side-state.ts';
import { kindOf } from '../tensor/tensor.ts';
import type { State } from './state.ts';

/** An object that gives its state as plain data (see `State`) and takes it back: optimizers, schedules, algorithms. */
export interface Stateful {
  stateDict(): unknown;
  loadStateDict(state: never): void;
}

/** One thing, or several by names of your choice. */
export type OneOrNamed<Part> = Part | Readonly<Record<string, Part>>;

/** The objects whose state a checkpoint holds, and into which it is loaded. All are optional. */
export interface CheckpointTargets {
  /** Parameters and buffers, what parameters carry (anchors, gates, kept tensors), generators of layers such as dropout. */
  readonly model?: OneOrNamed<Module> | undefined;
  readonly optimizer?: OneOrNamed<Stateful> | undefined;
  /** Streams of random numbers, such as the one that shuffles. */
  readonly generator?: OneOrNamed<Generator> | undefined;
  /** Whatever else has a state: schedules, learning rules with memory, replay buffers. */
  readonly algorithm?: OneOrNamed<Stateful> | undefined;
}

/** A piece of state with its place in the file, and the way in and out of the object that has it. */
export interface Place {
  readonly section: string;
  /** null: the only one of its section. */
  readonly name: string | null;
  /** Whether a refused state leaves the object as it was. What users write may stop half-way. */
  readonly isAtomic: boolean;
  read(): unknown;
  write(state: State): void;
}

/** The parts that a user names; the other sections come with a model. */
export const partNames: readonly string[] = ['model', 'optimizer', 'generator', 'algorithm'];

export const described = ({ section, name }: Place): string => (name === null ? section : `${section} ${name}`);

/** The present state of all places as one tree. */
export function collected(places: readonly Place[]): Record<string, unknown> {
  const sections: Record<string, unknown> = {};
  for (const { section, name, read } of places) {
    if (name === null) sections[section] = read();
    else {
      const named = (sections[section] ?? new Map()) as Map<string, unknown>;
      sections[section] = named.set(name, read());
    }
  }
  for (const [section, value] of Object.entries(sections))
    if (value instanceof Map) sections[section] = Object.fromEntries(value);
  return sections;
}

export function placesOf(who: string, targets: CheckpointTargets): Place[] {
  const streams = new Streams();
  return [
    ...each(who, 'model', targets.model, 'a Module', (part) => part instanceof Module).flatMap(([name, model]) => [
      modelPlace(name, model),
      sidePlace(name, model),
      layersPlace(name, model, streams),
    ]),
    ...each(who, 'optimizer', targets.optimizer, stateful, isStateful).map(([name, part]) =>
      statefulPlace('optimizer', name, part),
    ),
    ...each(who, 'generator', targets.generator, 'a Generator', (part) => part instanceof Generator).map(
      ([name, generator]): Place => ({
        ...{ section: 'generator', name, isAtomic: true },
        read: () => streams.read(generator),
        write: (state) => streams.write(generator, state),
      }),
    ),
    ...each(who, 'algorithm', targets.algorithm, stateful, isStateful).map(([name, part]) =>
      statefulPlace('algorithm', name, part),
    ),
  ];
}

const stateful = 'an object with stateDict() and loadStateDict()';
const isStateful = (part: unknown): part is Stateful =>
  typeof (part as Stateful).stateDict === 'function' && typeof (part as Stateful).loadStateDict === 'function';

/** The one thing given, or the several with their names. */
function each<Part>(
  who: string,
  section: string,
  given: OneOrNamed<Part> | undefined,
  kind: string,
  is: (part: unknown) => boolean,
): [name: string | null, part: Part][] {
  if (given === undefined) return [];
  if (typeof given === 'object' && given !== null) {
    if (is(given)) return [[null, given as Part]];
    const entries = Object.entries(given as Readonly<Record<string, Part>>);
    if (!Array.isArray(given) && entries.every(([, part]) => typeof part === 'object' && part !== null && is(part)))
      return entries;
  }
  throw new TypeError(`${who}: ${section} must be ${kind}, or several of them by name, but it is ${kindOf(given)}.`);
}

function statefulPlace(section: string, name: string | null, part: Stateful): Place {
  return {
    ...{ section, name, isAtomic: false },
    read: () => part.stateDict(),
    write: (state) => part.loadStateDict(state as never),
  };
}

const modelPlace = (name: string | null, model: Module): Place => ({
  ...{ section: 'model', name, isAtomic: true },
  read: () => model.stateDict(),
  write: (state) => model.loadStateDict(state as StateDict),
});

/** What the parameters carry, by parameter. */
const sidePlace = (name: string | null, model: Module): Place => ({
  ...{ section: 'side', name, isAtomic: false },
  read: () => Object.fromEntries(carried(model).map(([path, parameter]) => [path, sideState(parameter)])),
  write: (state) => {
    const saved = state as Record<string, StateDict>;
    const paths = new Set([...carried(model).map(([path]) => path), ...Object.keys(saved)]);
    const parameters = new Map(model.namedParameters());
    for (const path of paths) {
      const parameter = parameters.get(path);
      if (parameter === undefined) throw new Error(`The model has no parameter ${path} to carry side state.`);
      try {
        loadSideState(parameter, saved[path] ?? {});
      } catch (error) {
        throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
    }
  },
});

/** The parameters that carry tensors. */
const carried = (model: Module) =>
  model.namedParameters().filter(([, parameter]) => Object.keys(sideState(parameter)).length > 0);

/** The generators that layers hold in a property, dropout's say. */
const layersPlace = (name: string | null, model: Module, streams: Streams): Place => {
  const own = model
    .namedModules()
    .flatMap(([path, module]) =>
      Object.entries(module).flatMap(([key, value]): [string, Generator][] =>
        value instanceof Generator ? [[path === '' ? key : `${path}.${key}`, value]] : [],
      ),
    );
  return {
    ...{ section: 'layers', name, isAtomic: false },
    read: () => Object.fromEntries(own.map(([path, generator]) => [path, streams.read(generator)])),
    write: (state) => {
      const saved = state as Record<string, State>;
      const names = own.map(([path]) => path);
      const unequal = [
        ...names.filter((path) => !Object.hasOwn(saved, path)),
        ...Object.keys(saved).filter((path) => !names.includes(path)),
      ];
      if (unequal.length > 0) throw new Error(`Only one side has a generator at ${unequal.join(', ')}.`);
      for (const [path, generator] of own) streams.write(generator, saved[path]!);
    },
  };
};

/** Generators in and out of a checkpoint. Counters are text there: other readers of JSON may not keep 53 bits. */
class Streams {
  readonly #written = new Map<Generator, string>();

  read({ state: { seed, counter } }: Generator): State {
    return { seed: String(seed), counter: String(counter) };
  }

  /** One generator may stand in several places; they must agree on where it goes on. */
  write(generator: Generator, state: State): void {
    const { seed, counter } = (state ?? {}) as { seed?: unknown; counter?: unknown };
    if (![seed, counter].every((text) => typeof text === 'string' && /^-?[0-9]{1,16}$/.test(text)))
      throw new Error('The state of a generator is a seed and a counter, whole numbers as text.');
    const wanted = `${seed}:${counter}`;
    const before = this.#written.get(generator);
    if (before !== undefined && before !== wanted)
      throw new Error(
        'One generator stands where the checkpoint has two that are not in step. Give each place a generator of its own, as when ' +
          'it was saved.',
      );
    generator.setState({ seed: Number(seed), counter: Number(counter) });
    this.#written.set(generator, wanted);
  }
}

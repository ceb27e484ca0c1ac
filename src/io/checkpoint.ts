/**
 * Checkpoints: everything that decides how a training goes on, in one safetensors file.
 *
 * What is written comes back to the bit, so a run that was resumed computes what it would have computed. Loading is all or
 * nothing: whatever does not fit is an Error of one sentence, and then every object is as it was. Parts are read
 * completely when saving is called; what is trained while the file is being written is not in it.
 *
 * The structure stands as JSON in the file's metadata (see state.ts), the tensors under names that begin with their part:
 * 'model/0.weight', 'optimizer/groups/0/slots/1/mean'. Any reader of safetensors finds the parameters in it.
 */
import { Module, type StateDict } from '../nn/module.ts';
import { Generator } from '../random/generator.ts';
import { loadSideState, sideState } from '../state/side-state.ts';
import { kernelSet } from '../storage/dispatch.ts';
import { kindOf } from '../tensor/tensor.ts';
import { readBytes, writeFileAtomically } from './files.ts';
import { formatRaw, parseSafetensors, type Safetensors } from './safetensors.ts';
import { packState, parseJson, type State, unpackState } from './state.ts';

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

export interface CheckpointParts extends CheckpointTargets {
  /** Steps (or epochs) done: a whole number from 0 up. */
  readonly step?: number | undefined;
  /** Any plain data of your own. */
  readonly extra?: State | undefined;
}

export interface LoadOptions {
  /** Whether parts of the checkpoint that were not asked for are left out; false unless given: then they are an error. */
  readonly ignoreOthers?: boolean | undefined;
}

/** What a checkpoint holds that belongs to no object. */
export interface Resumed {
  /** null: none was saved. */
  readonly step: number | null;
  /** null: none was saved. */
  readonly extra: State;
}

/** A piece of state with its place in the file, and the way in and out of the object that has it. */
interface Place {
  readonly section: string;
  /** null: the only one of its section. */
  readonly name: string | null;
  /** Whether a refused state leaves the object as it was. What users write may stop half-way. */
  readonly isAtomic: boolean;
  read(): unknown;
  write(state: State): void;
}

const format = 'palimpsest checkpoint';
const version = '1';
const partNames: readonly string[] = ['model', 'optimizer', 'generator', 'algorithm'];

/**
 * The state of these objects as the bytes of a safetensors file, for where there are no files. See saveCheckpoint.
 *
 *     const bytes = formatCheckpoint({ model, optimizer, step: 100 });
 *     restoreCheckpoint(bytes, { model, optimizer }).step; // 100
 */
export function formatCheckpoint(parts: CheckpointParts): Uint8Array<ArrayBuffer> {
  return formatted('formatCheckpoint', parts);
}

function formatted(who: string, parts: CheckpointParts): Uint8Array<ArrayBuffer> {
  checkKeys(who, parts, [...partNames, 'step', 'extra'], '');
  const { step = null, extra = null } = parts;
  if (step !== null && !(Number.isSafeInteger(step) && step >= 0))
    throw new RangeError(`${who}: step must be a whole number from 0 to 2^53 - 1, but it is ${String(step)}.`);
  const places = placesOf(who, parts);
  const { json, tensors } = packState(who, { ...collected(places), step, extra });
  const names = JSON.stringify(places.map(({ section, name }) => [section, name]));
  return formatRaw(who, tensors, { format, version, kernels: kernelSet(), parts: names, state: JSON.stringify(json) });
}

/**
 * Writes the state of these objects to a file, whole or not at all (see writeFileAtomically). Parameters and optimizer state,
 * side state, random state and the set of kernels that computes stand in it; gradients do not: save between steps.
 *
 * It is the state at the moment of the call. Wait for it before the next call for the same file.
 *
 *     const generator = new Generator(7);
 *     await saveCheckpoint('/tmp/palimpsest-example.checkpoint', { model, optimizer, generator, step: 25 });
 *     const { step } = await loadCheckpoint('/tmp/palimpsest-example.checkpoint', { model, optimizer, generator });
 *     step; // 25
 */
export async function saveCheckpoint(path: string, parts: CheckpointParts): Promise<void> {
  await writeFileAtomically(path, formatted('saveCheckpoint', parts));
}

/**
 * Brings objects to the state that a checkpoint holds. They are made as for the run that saved it: the same layers, optimizers over
 * the same parameters, anchors and kept tensors attached. A checkpoint of another model, one that lacks a part or holds
 * one more (see `ignoreOthers`), or one that other kernels computed is an error, and then nothing has been changed.
 *
 * @returns the step and the extra data that were saved
 *
 *     const buffer = { seen: 3, stateDict: () => ({ seen: buffer.seen }), loadStateDict: (state) => Object.assign(buffer, state) };
 *     await saveCheckpoint('/tmp/palimpsest-buffer.checkpoint', { algorithm: buffer });
 *     buffer.seen = 0;
 *     await loadCheckpoint('/tmp/palimpsest-buffer.checkpoint', { algorithm: buffer });
 *     buffer.seen; // 3
 */
export async function loadCheckpoint(
  path: string,
  targets: CheckpointTargets,
  options: LoadOptions = {},
): Promise<Resumed> {
  const bytes = await readBytes('loadCheckpoint', path);
  return restored(`loadCheckpoint: ${path}`, bytes, targets, options);
}

/** loadCheckpoint from bytes; see there, and formatCheckpoint for an example. */
export function restoreCheckpoint(bytes: Uint8Array, targets: CheckpointTargets, options: LoadOptions = {}): Resumed {
  return restored('restoreCheckpoint', bytes, targets, options);
}

function restored(who: string, bytes: Uint8Array, targets: CheckpointTargets, options: LoadOptions): Resumed {
  checkKeys(who, targets, partNames, ' Step and extra data are what it returns.');
  const places = placesOf(who, targets);
  const file = parseSafetensors(bytes);
  const sections = sectionsOf(who, file);
  checkParts(who, places, file.metadata.parts, options.ignoreOthers ?? false);
  const tensors = new Map<string, typeof file.tensors extends Map<string, infer Stored> ? Stored : never>(file.tensors);
  const saved = (section: string, name: string | null): State => {
    const found = sections[section];
    const json = name === null ? found : (found as Record<string, unknown> | null | undefined)?.[name];
    if (json === undefined) throw new Error(`${who}: the checkpoint is damaged: it lacks what it lists, ${section}.`);
    return unpackState(who, { json, tensors });
  };
  const step = saved('step', null);
  if (step !== null && !(Number.isSafeInteger(step) && Number(step) >= 0))
    throw new Error(`${who}: the checkpoint is damaged: its step is no whole number from 0 up.`);
  const extra = saved('extra', null);
  writeAll(who, targets, places, ({ section, name }) => saved(section, name));
  return { step: step as number | null, extra };
}

/** The structure in a checkpoint's metadata, after it is clear that it is one, and one of these kernels. */
function sectionsOf(who: string, { metadata }: Safetensors): Record<string, unknown> {
  if (metadata.format !== format)
    throw new Error(
      `${who}: this is a safetensors file, but no checkpoint. Read its tensors with loadSafetensors, and give them to ` +
        'loadStateDict of the model.',
    );
  if (metadata.version !== version)
    throw new Error(`${who}: the checkpoint is of version ${metadata.version}; this library reads version ${version}.`);
  if (metadata.kernels !== kernelSet())
    throw new Error(
      `${who}: the checkpoint was computed by the ${metadata.kernels} kernels, and ${kernelSet()} kernels run here: the run would not ` +
        'go on as it would have. Resume where those kernels run, or read the parameters alone with loadSafetensors.',
    );
  const sections = parseJson(who, metadata.state ?? '');
  if (typeof sections !== 'object' || sections === null || Array.isArray(sections))
    throw new Error(`${who}: the checkpoint is damaged: its state is no object.`);
  return sections as Record<string, unknown>;
}

/** A sentence unless the checkpoint holds just the parts that were asked for. */
function checkParts(who: string, places: readonly Place[], text: string | undefined, ignoreOthers: boolean): void {
  const list = parseJson(who, text ?? '');
  if (!Array.isArray(list) || !list.every((entry) => Array.isArray(entry) && typeof entry[0] === 'string'))
    throw new Error(`${who}: the checkpoint is damaged: it does not list its parts.`);
  // Some parts have several sections; one name stands for all of them.
  const named = (section: string, name: unknown): string[] =>
    partNames.includes(section) ? [name === null ? section : `${section} ${String(name)}`] : [];
  const there = list.flatMap(([section, name]: [string, unknown]) => named(section, name));
  const wanted = places.flatMap(({ section, name }) => named(section, name));
  const missing = wanted.filter((part) => !there.includes(part));
  const others = there.filter((part) => !wanted.includes(part));
  if (missing.length > 0)
    throw new Error(
      `${who}: the checkpoint has no ${missing.join(', ')}; it holds ${there.length === 0 ? 'no parts' : there.join(', ')}. ` +
        'Nothing has been changed.',
    );
  if (others.length > 0 && !ignoreOthers)
    throw new Error(
      `${who}: the checkpoint also holds ${others.join(', ')}. Give an object to load it into, or pass ` +
        '{ ignoreOthers: true } to leave it out. Nothing has been changed.',
    );
}

/** Writes all places, or brings those that were written back to what they were. */
function writeAll(
  who: string,
  targets: CheckpointTargets,
  places: readonly Place[],
  saved: (place: Place) => State,
): void {
  const before = packState(who, collected(places));
  let reached = 0;
  try {
    for (const place of places) {
      const state = saved(place);
      reached++;
      place.write(state);
    }
  } catch (error) {
    const failed = places[Math.max(0, reached - 1)]!;
    const lost: string[] = [];
    const old = unpackState(who, before) as Record<string, Record<string, State>>;
    placesOf(who, targets).forEach((place, i) => {
      if (i >= reached || (places[i] === failed && place.isAtomic)) return;
      try {
        const section = old[place.section]!;
        place.write(place.name === null ? section : section[place.name]!);
      } catch {
        lost.push(described(place));
      }
    });
    throw new Error(
      `${who}: ${described(failed)} cannot take what the checkpoint holds. ${error instanceof Error ? error.message : String(error)} ` +
        (lost.length === 0
          ? 'Nothing has been changed.'
          : `What ${lost.join(', ')} held before could not be put back.`),
      { cause: error },
    );
  }
}

const described = ({ section, name }: Place): string => (name === null ? section : `${section} ${name}`);

/** The present state of all places as one tree. */
function collected(places: readonly Place[]): Record<string, unknown> {
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

function placesOf(who: string, targets: CheckpointTargets): Place[] {
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

function checkKeys(who: string, given: object, known: readonly string[], hint: string): void {
  if (typeof given !== 'object' || given === null)
    throw new TypeError(`${who}: expected an object of parts ({ model, ... }), not ${kindOf(given)}.`);
  for (const key of Object.keys(given))
    if (!known.includes(key))
      throw new Error(`${who}: there is no part '${key}'; there are ${known.join(', ')}.${hint}`);
}

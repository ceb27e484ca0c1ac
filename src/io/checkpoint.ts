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
import { kernelSet } from '../storage/dispatch.ts';
import { kindOf } from '../tensor/tensor.ts';
import { readBytes, writeFileAtomically } from './files.ts';
import { shown } from './header.ts';
import { type CheckpointTargets, collected, described, type Place, partNames, placesOf } from './places.ts';
import { formatRaw, parseSafetensors, type Safetensors } from './safetensors.ts';
import { keyOf, packState, parseJson, type State, unpackState } from './state.ts';

export interface CheckpointParts extends CheckpointTargets {
  /** Steps (or epochs) done: a whole number from 0 up. */
  readonly step?: number | undefined;
  /** Any plain data of your own. */
  readonly extra?: State | undefined;
}

export interface LoadOptions {
  /** Whether parts of the checkpoint that were not asked for are left out; false unless given: then they are an error. */
  readonly ignoreOthers?: boolean | undefined;
  /**
   * Whether a checkpoint that other kernels computed is taken; false unless given: then it is an error. The run goes on from the same
   * numbers, and computes others in their last bits than it would have.
   */
  readonly otherKernels?: boolean | undefined;
}

/** What a checkpoint holds that belongs to no object. */
export interface Resumed {
  /** null: none was saved. */
  readonly step: number | null;
  /** null: none was saved. */
  readonly extra: State;
}

const format = 'palimpsest checkpoint';
const version = '1';

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
 *     const replay = { seen: 3, stateDict: () => ({ seen: replay.seen }), loadStateDict: (state) => Object.assign(replay, state) };
 *     await saveCheckpoint('/tmp/palimpsest-replay.checkpoint', { algorithm: replay });
 *     replay.seen = 0;
 *     await loadCheckpoint('/tmp/palimpsest-replay.checkpoint', { algorithm: replay });
 *     replay.seen; // 3
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
  const sections = sectionsOf(who, file, options.otherKernels ?? false);
  checkParts(who, places, file.metadata.parts, options.ignoreOthers ?? false);
  const { tensors } = file;
  const saved = (section: string, name: string | null): State => {
    const found = member(sections, section);
    const json = name === null ? found : member(found, keyOf(name));
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

const member = (object: unknown, name: string): unknown =>
  typeof object === 'object' && object !== null && Object.hasOwn(object, name)
    ? (object as Record<string, unknown>)[name]
    : undefined;

/** The structure in a checkpoint's metadata, after it is clear that it is one, and one of kernels that are welcome. */
function sectionsOf(who: string, { metadata }: Safetensors, otherKernels: boolean): Record<string, unknown> {
  if (metadata.format !== format)
    throw new Error(
      `${who}: this is a safetensors file, but no checkpoint. Read its tensors with loadSafetensors, and give them to ` +
        'loadStateDict of the model.',
    );
  if (metadata.version !== version)
    throw new Error(
      `${who}: the checkpoint is of version ${shown(metadata.version ?? '')}; this library reads version ${version}.`,
    );
  if (metadata.kernels !== kernelSet() && !otherKernels)
    throw new Error(
      `${who}: the checkpoint was computed by the ${shown(metadata.kernels ?? '')} kernels, and ${kernelSet()} kernels run here: the run would not ` +
        'go on as it would have. Resume where those kernels run, or pass { otherKernels: true } if it may differ in its last bits.',
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
  const reached: Place[] = [];
  try {
    for (const place of places) {
      reached.push(place);
      place.write(saved(place));
    }
  } catch (error) {
    const failed = reached.at(-1)!;
    const lost: string[] = [];
    const old = unpackState(who, before) as Record<string, Record<string, State>>;
    const undo = placesOf(who, targets).slice(0, failed.isAtomic ? reached.length - 1 : reached.length);
    for (const place of undo) {
      try {
        const section = old[place.section]!;
        place.write(place.name === null ? section : section[place.name]!);
      } catch {
        lost.push(described(place));
      }
    }
    throw new Error(
      `${who}: ${described(failed)} cannot take what the checkpoint holds. ${error instanceof Error ? error.message : String(error)} ` +
        (lost.length === 0
          ? 'Nothing has been changed.'
          : `What ${lost.join(', ')} held before could not be put back.`),
      { cause: error },
    );
  }
}

function checkKeys(who: string, given: object, known: readonly string[], hint: string): void {
  if (typeof given !== 'object' || given === null)
    throw new TypeError(`${who}: expected an object of parts ({ model, ... }), not ${kindOf(given)}.`);
  for (const key of Object.keys(given))
    if (!known.includes(key))
      throw new Error(`${who}: there is no part '${key}'; there are ${known.join(', ')}.${hint}`);
}

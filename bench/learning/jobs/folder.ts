/**
 * A folder of results: one file a job, `<id>.json`, with its settings and its result. A file is there whole or not at all, so what is
 * in the folder is what is done. Several processes and machines may write to one folder, each its own jobs. A job that is running
 * may have a file `.<id>.checkpoint` there too.
 */

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../user-error.ts';
import { byId, canonical, type Job, type Plain, type Settings } from './job.ts';

/** A job that is done. */
export interface Done extends Job {
  readonly result: Plain;
}

/** Makes the folder if need be. `option` is what named it, for errors. */
export function openFolder(option: string, folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    const trial = temporaryName(folder, 'trial');
    closeSync(openSync(trial, 'wx'));
    rmSync(trial);
  } catch (error) {
    throw new UserError(`${option} ${folder}: no files can be written there (${codeOf(error)}).`);
  }
}

/** Where a job that is not done keeps how far it is. */
export const checkpointPath = (folder: string, id: string): string => join(folder, `.${id}.checkpoint`);

/** Nobody goes on from it any more. */
export function removeCheckpoint(folder: string, id: string): void {
  rmSync(checkpointPath(folder, id), { force: true });
}

/** Writes the result of a job: to a temporary file first, which takes its name when all of it is on the disk. */
export function writeResult(folder: string, { id, settings, result }: Done): void {
  const temporary = temporaryName(folder, id);
  try {
    const file = openSync(temporary, 'wx');
    try {
      writeSync(file, textOf({ id, settings, result }));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, join(folder, `${id}.json`));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new UserError(`${folder}: the result of ${id} cannot be written (${codeOf(error)}).`);
  }
}

/** The bytes of a result file: settings with their names in order, so that the same job has the same bytes. */
const textOf = ({ id, settings, result }: Done): string =>
  `${JSON.stringify({ id, settings: JSON.parse(canonical(settings)), result }, null, 2)}\n`;

/** The result of this job, or null where it is not done. A file that is not the job's is an error: it is never written over. */
export function readResult(folder: string, { id, settings }: Job): Done | null {
  const path = join(folder, `${id}.json`);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw new UserError(`${path}: the file cannot be read (${codeOf(error)}).`);
  }
  const done = parse(path, text);
  if (done.id !== id || canonical(done.settings) !== canonical(settings))
    throw new UserError(`${path}: this is the result of another job. Remove it, or use another folder.`);
  return done;
}

/** All results in a folder. Temporary files that a killed process left are not among them. */
export function readFolder(folder: string): Done[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw new UserError(`${folder}: the folder cannot be read (${codeOf(error)}).`);
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .map((name) => {
      const path = join(folder, name);
      const done = parse(path, readFileSync(path, 'utf8'));
      if (`${done.id}.json` !== name)
        throw new UserError(`${path}: this is the result of the job ${done.id}; the file was renamed.`);
      return done;
    });
}

function parse(path: string, text: string): Done {
  const refuse = (): never => {
    throw new UserError(`${path}: this is no result of a job. Remove it, and the job will run again.`);
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    refuse();
  }
  if (typeof value !== 'object' || value === null || !('id' in value && 'settings' in value && 'result' in value))
    refuse();
  const { id, settings, result } = value as { id: unknown; settings: unknown; result: Plain };
  if (typeof id !== 'string' || typeof settings !== 'object' || settings === null) refuse();
  return { id: id as string, settings: settings as Settings, result };
}

/**
 * Puts the results of several folders into one, which may be among them. A job in two of them must have the same result there, its
 * `seconds` aside; the first is kept. Returns all of them, sorted by id.
 */
export function mergeFolders(parts: readonly string[], into: string): Done[] {
  const merged = new Map<string, { done: Done; folder: string }>();
  for (const folder of parts)
    for (const done of readFolder(folder)) {
      const other = merged.get(done.id);
      if (other === undefined) merged.set(done.id, { done, folder });
      else if (essence(other.done) !== essence(done))
        throw new UserError(
          `${done.id} has one result in ${other.folder} and another in ${folder}. Keep the one that is right.`,
        );
    }
  openFolder('--into', into);
  const all = [...merged.values()].map(({ done }) => done).sort(byId);
  for (const done of all) if (readResult(into, done) === null) writeResult(into, done);
  return all;
}

/** A result without its time: what must be equal on every machine. */
function essence({ settings, result }: Done): string {
  const isRecord = typeof result === 'object' && result !== null && !Array.isArray(result);
  const timeless = isRecord
    ? Object.fromEntries(Object.entries(result).filter(([name]) => name !== 'seconds'))
    : result;
  return canonical([settings, timeless]);
}

/** Unlike any other, whichever machine and process makes it: names of killed processes stay behind. */
const temporaryName = (folder: string, id: string): string =>
  join(folder, `.${id}.${randomBytes(6).toString('hex')}.tmp`);

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

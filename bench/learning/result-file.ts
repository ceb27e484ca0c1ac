/**
 * The files that options name for results (--json, --html): written whole or not at all, and checked before the training
 * that they are to report.
 */

import { closeSync, lstatSync, openSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from './user-error.ts';

/** A file that was checked: the option that named it, and where it really is. */
export interface Target {
  readonly option: string;
  readonly path: string;
}

/**
 * Where the file will go: throws a UserError unless it can be written there now. Nothing is left behind; a file that is
 * there already stays as it is. No path (null) gives no target.
 */
export function checkWritable(option: string, path: string): Target;
export function checkWritable(option: string, path: string | null): Target | null;
export function checkWritable(option: string, path: string | null): Target | null {
  if (path === null) return null;
  const target = resolveTarget(option, path);
  const trial = temporaryName(target);
  try {
    closeSync(openSync(trial, 'wx'));
    rmSync(trial);
  } catch (error) {
    throw new UserError(`${option} ${path}: ${reason(error)}.`);
  }
  return { option, path: target };
}

/** Writes the value as JSON; see `writeText`. */
export function writeJson(target: Target, value: unknown): void {
  writeText(target, `${JSON.stringify(value, null, 2)}\n`);
}

/** Writes the text to a temporary file beside the target, which it then replaces. */
export function writeText({ option, path }: Target, text: string): void {
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, text, { flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new UserError(`${option} ${path}: ${reason(error)}.`);
  }
}

/** Follows links, so that the file is replaced and not the link; renaming over a device or a folder must not happen. */
function resolveTarget(option: string, path: string): string {
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
      if (path.endsWith('/')) throw new UserError(`${option} ${path}: this is a folder, expected a file.`);
      return path;
    }
    const target = realpathSync(path);
    const found = lstatSync(target);
    if (found.isFile()) return target;
    throw new UserError(
      `${option} ${path}: this is ${found.isDirectory() ? 'a folder' : 'a device or pipe'}, expected a file.`,
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    // What is there leads to something that is not: a link.
    throw new UserError(
      `${option} ${path}: ${codeOf(error) === 'ENOENT' ? 'the link points nowhere' : reason(error)}.`,
    );
  }
}

function temporaryName(target: string): string {
  return join(dirname(target), `.palimpsest-${process.pid}.tmp`);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** What the system says, as the end of a sentence. */
function reason(error: unknown): string {
  const code = codeOf(error);
  if (code === 'ENOENT') return 'its folder does not exist or takes no files';
  if (code === 'ENOTDIR') return 'part of the path is a file, expected a folder';
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return 'it may not be written there';
  return `it cannot be written (${code})`;
}

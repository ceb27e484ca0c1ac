/**
 * The --json file: written whole or not at all, and checked before the training that it is to report.
 */

import { closeSync, lstatSync, openSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from './user-error.ts';

/**
 * Where the file will go: throws a UserError unless it can be written there now. Nothing is left behind; a file that is
 * there already stays as it is.
 */
export function checkWritable(path: string): string {
  const target = resolveTarget(path);
  const trial = temporaryName(target);
  try {
    closeSync(openSync(trial, 'wx'));
    rmSync(trial);
  } catch (error) {
    throw new UserError(`--json ${path}: ${reason(error)}.`);
  }
  return target;
}

/** Writes the value as JSON to a temporary file beside the target, which it then replaces. */
export function writeJson(target: string, value: unknown): void {
  const temporary = temporaryName(target);
  try {
    writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`, { flag: 'wx' });
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new UserError(`--json ${target}: ${reason(error)}.`);
  }
}

/** Follows links, so that the file is replaced and not the link; renaming over a device or a folder must not happen. */
function resolveTarget(path: string): string {
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
      if (path.endsWith('/')) throw new UserError(`--json ${path}: this is a folder, expected a file.`);
      return path;
    }
    const target = realpathSync(path);
    const found = lstatSync(target);
    if (found.isFile()) return target;
    throw new UserError(
      `--json ${path}: this is ${found.isDirectory() ? 'a folder' : 'a device or pipe'}, expected a file.`,
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    // What is there leads to something that is not: a link.
    throw new UserError(`--json ${path}: ${codeOf(error) === 'ENOENT' ? 'the link points nowhere' : reason(error)}.`);
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

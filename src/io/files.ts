/**
 * Files on Node (and what offers its modules: Bun, Deno). In a browser only bytes go in and out.
 *
 * A file is replaced whole or not at all: the bytes go to a temporary file in the same folder, are forced to the disk,
 * and take the old file's name in one step, which is then forced to the disk too. Whoever is killed in between leaves
 * the old file, and a temporary one that the next writer takes away.
 *
 * Node's modules are asked for when a file is first touched, and through `process`, so that bundlers for browsers find no
 * import that they cannot resolve.
 */
import { formatSafetensors, parseSafetensors, type Safetensors, type SavableTensors } from './safetensors.ts';

/** What we need of an open file of node:fs/promises. Node's own types are not among what the library is built with. */
interface FileHandle {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  writeFile(bytes: Uint8Array): Promise<void>;
  chmod(mode: number): Promise<void>;
  stat(): Promise<Stats>;
  sync(): Promise<void>;
  close(): Promise<void>;
}
interface Stats {
  readonly size: number;
  readonly mode: number;
  readonly mtimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
}
interface FileSystem {
  open(path: string, flags: string): Promise<FileHandle>;
  readdir(path: string): Promise<string[]>;
  realpath(path: string): Promise<string>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { force: boolean }): Promise<void>;
  stat(path: string): Promise<Stats>;
}
interface Paths {
  basename(path: string): string;
  dirname(path: string): string;
  join(...parts: string[]): string;
}
interface NodeProcess {
  readonly pid: number;
  readonly platform: string;
  uptime(): number;
  kill(pid: number, signal: 0): void;
  getBuiltinModule?(name: string): unknown;
}
interface NodeModules {
  readonly files: FileSystem;
  readonly paths: Paths;
  readonly host: string;
  readonly process: NodeProcess;
}

let loaded: NodeModules | null = null;

function node(who: string): NodeModules {
  if (loaded !== null) return loaded;
  const { process } = globalThis as { process?: NodeProcess };
  const get = <Module>(name: string): Module | undefined => process?.getBuiltinModule?.(name) as Module | undefined;
  const files = get<FileSystem>('node:fs/promises');
  const paths = get<Paths>('node:path');
  const system = get<{ hostname(): string }>('node:os');
  if (process === undefined || files === undefined || paths === undefined || system === undefined)
    throw new Error(
      `${who}: files are read and written on Node 20.16 and later. Elsewhere take bytes: parseSafetensors, formatSafetensors, ` +
        'restoreCheckpoint, formatCheckpoint.',
    );
  // Letters that any file system takes, and not so many that a name grows too long.
  const host = system
    .hostname()
    .replace(/[^A-Za-z0-9]/g, '_')
    .slice(0, 40);
  loaded = { files, paths, host, process };
  return loaded;
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;

/**
 * Replaces a file by these bytes, whole or not at all, whatever happens meanwhile: other writers, a kill, a power cut. A
 * link is followed; the permissions of a file that was there stay. Temporary files that killed writers of the same file
 * left behind are taken away.
 *
 *     await writeFileAtomically('/tmp/palimpsest-example.bin', Uint8Array.of(1, 2, 3));
 */
export async function writeFileAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const { files, paths } = node('writeFileAtomically');
  let temporary: string | null = null;
  try {
    const target = await files.realpath(path).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return path;
      throw error;
    });
    const old = await files.stat(target).catch(() => null);
    if (old !== null && !old.isFile()) throw new Error(`it is ${old.isDirectory() ? 'a folder' : 'no ordinary file'}`);
    const folder = paths.dirname(target);
    await removeLeftovers(folder, paths.basename(target));
    temporary = paths.join(folder, temporaryName(paths.basename(target)));
    const file = await files.open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      if (old !== null) await file.chmod(old.mode & 0o7777);
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(temporary, target);
    await syncFolder(folder);
  } catch (error) {
    if (temporary !== null) await files.rm(temporary, { force: true }).catch(() => undefined);
    throw new Error(`writeFileAtomically: ${path} could not be written: ${reasonOf(error)}.`, { cause: error });
  }
}

/** A rename is kept by the folder. Windows, and some file systems, cannot be told to write a folder down. */
async function syncFolder(folder: string): Promise<void> {
  const { files, process } = node('writeFileAtomically');
  if (process.platform === 'win32') return;
  const handle = await files.open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}

let written = 0;

/** .NAME.HOST-PROCESS-RANDOM.tmp: says who writes it, so that others can find out whether it still does. */
function temporaryName(name: string): string {
  const { process } = node('writeFileAtomically');
  const random = Math.floor(Math.random() * 2 ** 32).toString(36);
  return `${temporaryStart(name)}${process.pid}-${(written++).toString(36)}${random}.tmp`;
}

/** A name may have 255 bytes; 40 of UTF-16's units have at most 120. */
function temporaryStart(name: string): string {
  return `.${name.slice(0, 40).replace(/\p{Surrogate}/gu, '_')}.${node('writeFileAtomically').host}-`;
}

/** Takes away what killed writers left. Only what certainly has no writer any more; failing at it is no failure. */
async function removeLeftovers(folder: string, name: string): Promise<void> {
  const { files, paths, process } = node('writeFileAtomically');
  const start = temporaryStart(name);
  const names = await files.readdir(folder).catch(() => []);
  for (const found of names) {
    if (!found.startsWith(start)) continue;
    const writer = /^([0-9]{1,15})-[0-9a-z]+\.tmp$/.exec(found.slice(start.length))?.[1];
    const path = paths.join(folder, found);
    if (writer === undefined) continue;
    try {
      // In containers the next process often has the killed one's number: then the file is older than the process is.
      const began = Date.now() - 1000 * process.uptime();
      const dead = Number(writer) === process.pid ? (await files.stat(path)).mtimeMs < began - 2000 : !isAlive(writer);
      if (dead) await files.rm(path, { force: true });
    } catch {
      // Somebody else was faster, or may do what we may not.
    }
  }
}

/** Whether a process of this machine has this number; one that we may not ask is one that is there. */
function isAlive(pid: string): boolean {
  try {
    node('writeFileAtomically').process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}

/** The bytes of a file. Unlike readFile it is not limited to 2 GiB. `who` begins the sentences of errors. */
export async function readBytes(who: string, path: string): Promise<Uint8Array<ArrayBuffer>> {
  const { files } = node(who);
  try {
    const file = await files.open(path, 'r');
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw new Error(`it is ${stats.isDirectory() ? 'a folder' : 'no ordinary file'}`);
      const bytes = new Uint8Array(stats.size);
      for (let at = 0; at < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, at, Math.min(bytes.length - at, 2 ** 30), at);
        if (bytesRead === 0) throw new Error(`it became shorter while it was read, after ${at} bytes`);
        at += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new Error(`${who}: ${path} could not be read: ${reasonOf(error)}.`, { cause: error });
  }
}

/**
 * Writes tensors to a safetensors file, atomically; see formatSafetensors and writeFileAtomically. The numbers are those of
 * the moment of the call.
 *
 *     await saveSafetensors('/tmp/palimpsest-example.safetensors', model.stateDict());
 */
export async function saveSafetensors(
  path: string,
  tensors: SavableTensors,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeFileAtomically(path, formatSafetensors(tensors, metadata));
}

/**
 * Reads a safetensors file, of whatever origin; see parseSafetensors.
 *
 *     await saveSafetensors('/tmp/palimpsest-example.safetensors', { weight: tensor([1, 2, 3]) });
 *     const { tensors } = await loadSafetensors('/tmp/palimpsest-example.safetensors');
 *     tensors.get('weight').tensor.toArray(); // [1, 2, 3]
 */
export async function loadSafetensors(path: string): Promise<Safetensors> {
  const bytes = await readBytes('loadSafetensors', path);
  try {
    return parseSafetensors(bytes);
  } catch (error) {
    throw new Error(`loadSafetensors: ${path} is no safetensors file that can be read. ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * Running code that stands in documents.
 *
 * A snippet is TypeScript as a reader would save it in docs/: it may import 'palimpsest' (here: src/index.ts, the same
 * modules that the tests load) and files of the repository by paths relative to docs/. It gets a console that writes down
 * what Node would print.
 */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { format } from 'node:util';
import ts from 'typescript';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Values that a snippet finds under these names without declaring them. */
export type Scope = Readonly<Record<string, unknown>>;

/** The modules that source code imports for their values, from a file in `folder`. */
export async function importsOf(code: string, folder: string): Promise<Map<string, object>> {
  const modules = new Map<string, object>();
  for (const [, name] of code.matchAll(/^(?:import|\} from)\b(?! type\b)[^'\n]*'([^']+)'/gm)) {
    const file = name === 'palimpsest' ? join(root, 'src/index.ts') : resolve(folder, name!);
    const isOurs = name === 'palimpsest' || name!.startsWith('.');
    if (isOurs && !existsSync(file)) throw new Error(`A snippet imports ${name}, but there is no ${file}.`);
    modules.set(name!, (await import(/* @vite-ignore */ isOurs ? pathToFileURL(file).href : name!)) as object);
  }
  return modules;
}

/** Runs a snippet and gives what it printed. */
export async function run(code: string, scope: Scope = {}, folder = join(root, 'docs')): Promise<string> {
  const modules = await importsOf(code, folder);
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS },
  });
  const printed: string[] = [];
  const names = {
    ...scope,
    console: { ...console, log: (...values: unknown[]) => void printed.push(format(...values)) },
    require: (name: string) => modules.get(name),
    exports: {},
  };
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
  // In a block of its own, so that the snippet may declare what the scope holds already.
  await AsyncFunction(
    ...Object.keys(names),
    `{ ${outputText.replace('"use strict";', '')}\n }`,
  )(...Object.values(names));
  return printed.join('\n');
}

/** The folder of a file of the repository, as an absolute path. */
export const folderOf = (file: string): string => dirname(join(root, file));

/** What the type checker says of snippets, under the project's own settings; each is a name and its code. */
export function typeErrors(snippets: ReadonlyMap<string, string>): string[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile) as { config: unknown };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  options.paths = { palimpsest: [join(root, 'src/index.ts')] };
  const files = new Map(Array.from(snippets.values(), (code, i) => [join(root, `docs/snippet-${i}.ts`), code]));
  const host = ts.createCompilerHost(options, true);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.getSourceFile = (name, language) =>
    files.has(name) ? ts.createSourceFile(name, files.get(name)!, language) : getSourceFile(name, language);
  const program = ts.createProgram([...files.keys()], options, host);
  return [...snippets.keys()].flatMap((name, i) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile([...files.keys()][i]!))
      .map(({ messageText }) => `${name}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`),
  );
}

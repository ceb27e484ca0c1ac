/**
 * The examples in docstrings run, and the values they show beside an expression are what the expression gives.
 *
 * An example is what stands indented by five spaces in a docstring of src/ and looks like code. It sees what the public
 * door exports, what its own file exports and imports, and the few names below. A comment behind an expression that
 * reads as JSON (`x.size; // 6`) is compared with it; prose is not.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, describe, expect, it } from 'vitest';
import * as palimpsest from '../../src/index.ts';
import { folderOf, importsOf, root, run, type Scope } from './snippet.ts';

/** Examples that cannot run alone, by file and first line, and why. */
const skipped: Record<string, string> = {
  'src/kernels/wasm/sweep.ts: sweep(code, n, [x, out], ({ load, store }) => store(out, f32x4.sqrt(load(x))));':
    'a line of an emitter; the tour runs a whole one',
};

interface Example {
  file: string;
  line: number;
  code: string;
}

const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => `src/${name}`)
  .sort();
const examples = files.flatMap(examplesOf);
const used = new Set<string>();

describe('examples in docstrings', () => {
  it('are found', () => expect(examples.length).toBeGreaterThan(20));

  for (const { file, line, code } of examples) {
    const key = `${file}: ${code.split('\n')[0]}`;
    if (skipped[key] !== undefined) {
      used.add(key);
      it.skip(`${file}:${line} (${skipped[key]})`, () => {});
      continue;
    }
    it(`${file}:${line}`, async () => {
      const source = readFileSync(join(root, file), 'utf8');
      const scope: Record<string, unknown> = { ...palimpsest };
      for (const module of (await importsOf(source, folderOf(file))).values()) Object.assign(scope, module);
      Object.assign(scope, await import(join(root, file)), givens(), { __shown: shown });
      await run(withChecks(code), scope);
    });
  }

  afterAll(() => expect(Object.keys(skipped).filter((key) => !used.has(key))).toEqual([]));
});

/** What examples take as given. Made anew for each. */
function givens(): Scope {
  const { Adam, Linear, parameter, randn, Sequential } = palimpsest;
  const model = new Sequential(new Linear(784, 4));
  const x = parameter(randn([64, 784]));
  const samples = [1, 2];
  return {
    ...{ model, x, y: randn([64, 4]), loss: model.forward(x).square().sum(), optimizer: new Adam(model.parameters()) },
    ...{ layer: new Linear(4, 4), trained: model, embedding: randn([5, 3]), trainStep: () => {}, source: samples },
    ...{ mySquare: palimpsest.square, memory: new WebAssembly.Memory({ initial: 1 }), address: 64 },
    packed: gzipOfNothing,
  };
}

/** An empty file, packed. */
const gzipOfNothing = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0);

function examplesOf(file: string): Example[] {
  const found: Example[] = [];
  const text = readFileSync(join(root, file), 'utf8');
  for (const { 0: docstring, index } of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const start = text.slice(0, index).split('\n').length;
    let lines: string[] = [];
    const close = (end: number) => {
      const code = lines.join('\n').trimEnd();
      // Formulas and drawings are indented too; code has statements.
      const isCode = /;\s*(\/\/.*)?$/m.test(code) || /^(const|let|class|new|await) |^for \(/m.test(code);
      if (isCode) found.push({ file, line: start + end - lines.length, code });
      lines = [];
    };
    docstring.split('\n').forEach((line, i) => {
      const indented = /^ *\* {5}(.*)$/.exec(line);
      if (indented) lines.push(indented[1]!);
      else if (lines.length > 0 && /^ *\*$/.test(line)) lines.push('');
      else close(i);
    });
  }
  return found;
}

/** `expression;   // [2, 3]` also compares: the comment must read as JSON. */
function withChecks(code: string): string {
  const tree = ts.createSourceFile('example.ts', code, ts.ScriptTarget.ES2022);
  let result = code;
  for (const statement of [...tree.statements].reverse()) {
    if (!ts.isExpressionStatement(statement)) continue;
    const comment = /^[ \t]*\/\/ *(.*)/.exec(code.slice(statement.end))?.[1];
    if (comment === undefined || !isJson(comment)) continue;
    const { expression } = statement;
    const checked = `__shown(${expression.getText(tree)}, ${comment});`;
    result = result.slice(0, statement.getStart(tree)) + checked + result.slice(statement.end);
  }
  return result;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Compares a value with what the docstring shows, numbers to the digits shown. */
function shown(value: unknown, expected: unknown): void {
  if (typeof expected === 'number') {
    const digits = (String(expected).split('.')[1] ?? '').length;
    expect(Number(Number(value).toFixed(digits))).toBe(expected);
  } else expect(value).toEqual(expected);
}

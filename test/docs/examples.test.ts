/**
 * What the documents say is true: their code runs and prints what they show, the files they name exist, and the line
 * counts they quote are about right.
 *
 * Convention: a ```ts block is a program of its own; the ```text block right behind it (only blank lines between) is
 * what it prints. Without one it must print nothing.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root, run, typeErrors } from './snippet.ts';

const documents = ['README.md', ...readdirSync(join(root, 'docs'), { recursive: true }).map((name) => `docs/${name}`)]
  .filter((name) => name.endsWith('.md'))
  .sort();

for (const name of documents)
  describe(name, () => {
    const text = readFileSync(join(root, name), 'utf8');

    for (const { code, expected, line } of blocks(text))
      it(`line ${line}: runs, and prints what is shown`, async () => {
        expect(trimmed(await run(code))).toBe(trimmed(expected));
      });

    it('names files that exist, and quotes their lines within 15 %', () => {
      const wrong: string[] = [];
      for (const { path, lines } of filesNamed(name, text)) {
        if (!existsSync(path)) {
          wrong.push(`${path} does not exist`);
          continue;
        }
        if (lines === undefined || !statSync(path).isFile()) continue;
        const actual = readFileSync(path, 'utf8').trimEnd().split('\n').length;
        if (Math.abs(actual - lines) > 0.15 * actual) wrong.push(`${path} has ${actual} lines, not ${lines}`);
      }
      expect(wrong).toEqual([]);
    });
  });

// One program for all: reading the library's types takes longer than checking a document.
it('the code of all documents has no type errors', { timeout: 60_000 }, () => {
  const snippets = documents.flatMap((name) =>
    blocks(readFileSync(join(root, name), 'utf8')).map(({ code, line }): [string, string] => [
      `${name}, line ${line}`,
      code,
    ]),
  );
  expect(typeErrors(new Map(snippets))).toEqual([]);
});

interface Block {
  code: string;
  expected: string;
  /** Where the code begins in the document, from 1. */
  line: number;
}

function blocks(text: string): Block[] {
  const found = text.matchAll(/^```ts\n([\s\S]*?)^```\n(?:\n*```text\n([\s\S]*?)^```$)?/gm);
  return Array.from(found, ({ 1: code = '', 2: expected = '', index }) => ({
    code,
    expected,
    line: text.slice(0, index).split('\n').length,
  }));
}

/** Without spaces at the ends of lines, which editors remove. */
const trimmed = (text: string): string => text.trimEnd().replace(/ +$/gm, '');

/** Files written `src/...` in backticks, with the number that may follow as "(123 lines)", and targets of links. */
function* filesNamed(document: string, text: string): Generator<{ path: string; lines: number | undefined }> {
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '');
  for (const [, path, lines] of prose.matchAll(/`((?:src|test|bench|docs)\/[^`\s*]*)`(?:\s+\((\d+)\s+lines\))?/g))
    yield { path: join(root, path!), lines: lines === undefined ? undefined : Number(lines) };
  for (const [, target] of prose.matchAll(/\]\(([^)\s#]+)[^)]*\)/g))
    if (!/^[a-z]+:/.test(target!)) yield { path: resolve(root, dirname(document), target!), lines: undefined };
}

/**
 * Which sources call functions whose last bit the language leaves to the engine: exp, log and their kin, and powers. Measured,
 * Node 20 and 24 differ in powers, V8 and JavaScriptCore in nearly all of them. What decides on weights should not
 * call them; where something does, it stands below with what hangs on it. Squares and whole powers of 2 are exact in every engine
 * that was tried, and may be used.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const sources = join(import.meta.dirname, '../../src');

const ofTheEngine = new Set([
  ...['exp', 'expm1', 'log', 'log1p', 'log2', 'log10', 'sin', 'cos', 'tan', 'asin', 'acos', 'atan', 'atan2'],
  ...['sinh', 'cosh', 'tanh', 'asinh', 'acosh', 'atanh', 'pow', 'cbrt', 'hypot'],
]);

/** By file: which functions, and why that is so. */
const known: Readonly<Record<string, readonly [functions: string, why: string]>> = {
  'autograd/check.ts': ['sin', 'the points that checkGradients tries'],
  'autograd/per-example.ts': ['log2', 'a power of 2 to scale by, which changes no bit of the result'],
  'continual/anchoring/online.ts': [
    '**',
    'the strength of running means: anchors of the online methods differ in the last bit',
  ],
  'continual/metrics.ts': ['exp log', 'the effective rank, a report'],
  'continual/published-adam.ts': ['**', 'as published, the correction is a power: weights differ in the last bit'],
  'continual/upgd.ts': ['** exp', 'as published, a sigmoid in double precision: weights differ in the last bit'],
  'continual/weight-reset.ts': ['** log', 'utilities of weights, which order them'],
  'data/rotation.ts': ['cos sin', 'turned images: pixels differ in the last bit'],
  'importance/curve.ts': ['log', 'the height of guessing in a report'],
  'importance/fisher.ts': ['exp', 'probabilities in double precision: importance differs in the last bit'],
  'importance/measures/synflow.ts': ['**', 'how many weights a round leaves, rounded to a whole number'],
  'kernels/reference/elementwise.ts': [
    '** cos exp expm1 log log1p sin tanh',
    'what the functions are; pow has no emitted twin',
  ],
  'kernels/reference/error-function.ts': ['exp', 'what the function is'],
  'kernels/reference/softmax.ts': ['exp log', 'what the functions are'],
  'kernels/wasm/functions.ts': ['Math[...]', 'sin and cos of numbers beyond 65,536'],
  'ops/loss.ts': ['log', 'a bound that a target is held against'],
  'ops/singular.ts': ['log2', 'a power of 2 to scale by, which changes no bit of the result'],
  'rules/diagnostics.ts': ['atan2', 'angles in a report'],
};

/** What a file uses, in the order of the alphabet. */
function uses(path: string, text: string): string {
  const found = new Set<string>();
  const number = (node: ts.Node): boolean =>
    ts.isNumericLiteral(node) || (ts.isPrefixUnaryExpression(node) && number(node.operand));
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node) && node.expression.getText() === 'Math' && ofTheEngine.has(node.name.text))
      found.add(node.name.text);
    if (ts.isElementAccessExpression(node) && node.expression.getText() === 'Math') found.add('Math[...]');
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.AsteriskAsteriskToken) {
      const isSquare = number(node.right) && node.right.getText() === '2';
      const ofTwo = node.left.getText() === '2' && !node.right.getText().includes('/');
      if (!isSquare && !ofTwo) found.add('**');
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true));
  return [...found].sort().join(' ');
}

describe('functions whose last bit the engine chooses', () => {
  it('are called only where it is known what hangs on them', () => {
    const found: Record<string, string> = {};
    for (const name of readdirSync(sources, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const text = readFileSync(join(sources, name), 'utf8');
      const used = /Math|\*\*/.test(text.replace(/\/\*.*?\*\//gs, '')) ? uses(name, text) : '';
      if (used !== '') found[name.replaceAll('\\', '/')] = used;
    }
    expect(found).toEqual(Object.fromEntries(Object.entries(known).map(([name, [functions]]) => [name, functions])));
  });
});

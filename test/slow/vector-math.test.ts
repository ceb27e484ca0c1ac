/** Vector functions on about a million numbers each, and where the coefficients of one come from. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { denominator, numerator } from '../../src/kernels/wasm/vector-normal.ts';
import {
  documentedErrors,
  type FunctionName,
  nearQuarterTurns,
  numbersOfBinades,
  Runner,
  worstOf,
} from '../kernels/vector-math-ulps.ts';
import { fitNormalTail, roundedFit } from './vector-math-fit.ts';

const runner = new Runner('wasm');
const documented = documentedErrors(readFileSync(new URL('../../src/ops/elementwise.ts', import.meta.url), 'utf8'));
const million = numbersOfBinades(2000, 11);

it.each(Object.entries(documented))('%s is nowhere further from the truth than documented', (name, { ulps }) => {
  const worst = worstOf(runner, name as FunctionName, million);
  expect(worst.ulps, `at ${worst.x}`).toBeLessThanOrEqual(ulps);
});

it.each(['sin', 'cos'] as const)('%s is so beside every multiple of pi / 4 up to 1e5', (name) => {
  const worst = worstOf(runner, name, nearQuarterTurns(1e5, 1));
  expect(worst.ulps, `at ${worst.x}`).toBeLessThanOrEqual(documented[name]?.ulps ?? 0);
});

it('the coefficients of the normal tail are what the fit gives', () => {
  const fit = fitNormalTail();
  expect(Math.log2(fit.error)).toBeCloseTo(-27.17, 2);
  const rounded = roundedFit(fit);
  expect(Math.log2(rounded.error)).toBeCloseTo(-26.52, 2);
  expect([...rounded.numerator, ...rounded.denominator]).toEqual([...numerator, ...denominator, 1].map(Math.fround));
});

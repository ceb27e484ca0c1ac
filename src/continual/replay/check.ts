/** Checks of options that the methods here share. Each throws a sentence. */
import { Generator } from '../../random/generator.ts';
import { kindOf } from '../../tensor/tensor.ts';

export function checkCount(who: string, name: string, value: unknown): void {
  if (!(Number.isSafeInteger(value) && (value as number) >= 1))
    throw new RangeError(`${who}: ${name} is a number of examples, a whole number from 1 up, not ${String(value)}.`);
}

export function checkStrength(who: string, name: string, value: unknown): void {
  if (!(typeof value === 'number' && value >= 0 && value < Infinity))
    throw new RangeError(`${who}: ${name} is a finite number from 0 up, not ${String(value)}.`);
}

export function checkGenerator(who: string, value: unknown): void {
  if (!(value instanceof Generator))
    throw new TypeError(
      `${who}: what is kept and drawn is decided by a generator, but ${value === undefined ? 'none was given' : `it is ${kindOf(value)}`}. ` +
        'Give it: generator: new Generator(seed).',
    );
}

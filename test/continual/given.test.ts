/** Called without what they need, functions of the library say so in a sentence that shows a call. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as palimpsest from '../../src/index.ts';

const door = readFileSync(new URL('../../src/index.ts', import.meta.url), 'utf8');

/** What the public door has from src/continual, and the scenarios and streams of src/data; but for types. */
const names = [...door.matchAll(/export \{([^}]*)\} from '\.\/(?:continual\/|data\/(?:scenarios|streams))/g)]
  .flatMap(([, list]) => list!.split(',').map((name) => name.trim()))
  .filter((name) => name !== '' && !name.startsWith('type '));

type Callable = (new (...values: unknown[]) => unknown) & ((...values: unknown[]) => unknown);

/** What is thrown; null: nothing. */
function thrown(name: string, values: readonly unknown[]): unknown {
  const called = (palimpsest as unknown as Record<string, Callable>)[name]!;
  try {
    if (/^[A-Z]/.test(name)) new called(...values);
    else called(...values);
  } catch (error) {
    return error;
  }
  return null;
}

/** All that can be made without anything. */
const needNothing = [...['CReLU', 'lwf', 'gem', 'continualBackprop', 'redo', 'shrinkPerturb', 'confidence']];

describe('what src/continual exports, and scenarios and streams', () => {
  it('is found', () => expect(names.length).toBeGreaterThan(45));

  it.each(names)('%s, called with nothing or with null, says in a sentence what it needs', (name) => {
    const errors = [thrown(name, []), thrown(name, [null])];
    expect(errors[0] === null).toBe(needNothing.includes(name));
    for (const error of errors.filter((one) => one !== null)) {
      const { message } = error as Error;
      expect(message).toMatch(/^[A-Za-z0-9]+: .+\.$/);
      expect(message).not.toMatch(/Cannot (read|destructure)|is not (iterable|a function|a constructor)/);
    }
    expect(errors[1]).not.toBeNull();
  });

  it.each([
    ['ewc', 'ewc: options are missing. For example: ewc({ lambda: 100 }).'],
    ['si', 'si: options are missing. For example: si({ strength: 10 }).'],
    ['er', 'er: options are missing. For example: er({ generator: new Generator(1) }).'],
    [
      'Reservoir',
      'Reservoir: options are missing. For example: new Reservoir({ capacity: 500, generator: new Generator(1) }).',
    ],
    ['weightMagnitude', 'weightMagnitude: parameters are missing. For example: weightMagnitude(model.parameters()).'],
    ['SeparateNetworks', /^SeparateNetworks: give a function that makes the learner of a context, not undefined/],
  ])('%s shows how it is called', (name, message) => {
    const error = thrown(name, []);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toMatch(message);
  });

  it('says of other things what they are', () => {
    expect((thrown('hat', [3]) as Error).message).toBe(
      'hat: options (in how many steps the masks harden) must be an object, not number. For example: hat({ steps: 2000 }).',
    );
    const matrix = [[1], [0.5, 1]];
    expect((thrown('forwardTransfer', [matrix]) as Error).message).toMatch(
      /^forwardTransfer: accuracies of 'untrained' are missing\. For example: forwardTransfer\(matrix, untrained\)\.$/,
    );
    expect((thrown('ContinualLearner', [{}]) as Error).message).toMatch(
      /^ContinualLearner: model must be a Module, not/,
    );
    const model = new palimpsest.Linear(1, 1);
    expect((thrown('ContinualLearner', [{ model }]) as Error).message).toMatch(
      /optimizer must be one with step\(\) and zeroGrad\(\)/,
    );
  });
});

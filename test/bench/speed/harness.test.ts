import { describe, expect, it } from 'vitest';
import {
  assertAgreement,
  type Contestant,
  type ContestantName,
  callsPerSecond,
  firstLine,
  measureRow,
  median,
  rotated,
  roundCount,
} from '../../../bench/speed/harness.ts';
import { rows } from '../../../bench/speed/rows.ts';

const [row] = rows;
if (row === undefined) throw new Error('the benchmark has no rows');

const briefly = { warmUp: 0, patience: 1, minTime: 0.0001, maxTime: 0.0001, minSamples: 1 };

/** A contestant that computes `result` and writes its name into the log whenever its turn comes. */
function contestant(name: ContestantName, result: () => number, log: string[] = []): Contestant {
  return {
    name,
    async activate() {
      log.push(name);
    },
    prepare: () => ({ run: result, dispose() {} }),
  };
}

describe('median', () => {
  it('is the middle value of an odd count, in any order', () => {
    expect(median([5, 100, 1])).toBe(5);
  });

  it('is the mean of the two middle values of an even count', () => {
    expect(median([4, 1, 2, 100])).toBe(3);
  });

  it('leaves its argument as it was', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('rotated', () => {
  it('lets everybody begin once in as many rounds as there are contestants', () => {
    const names = ['a', 'b', 'c', 'd'];
    const orders = names.map((_, round) => rotated(names, round).join(''));
    expect(orders).toEqual(['abcd', 'bcda', 'cdab', 'dabc']);
  });

  it('starts again after the last one, and bears an empty list', () => {
    expect(rotated(['a', 'b', 'c'], 4)).toEqual(['b', 'c', 'a']);
    expect(rotated([], 3)).toEqual([]);
  });
});

describe('assertAgreement', () => {
  it('lets rounding pass', () => {
    assertAgreement([1000, 0.001], [1000.01, 0.0012]);
  });

  it('names the first result that differs', () => {
    expect(() => assertAgreement([1, 2, 3], [1, 2.5, 4])).toThrow('result 1 is 2.5 instead of 2');
  });

  it('takes NaN for a difference, and another length too', () => {
    expect(() => assertAgreement([1], [Number.NaN])).toThrow('computes something else');
    expect(() => assertAgreement([1], [1, 1])).toThrow('2 numbers instead of 1');
  });
});

describe('firstLine', () => {
  it('is the first line of a message, whatever was thrown', () => {
    expect(firstLine(new Error('no kernel\n  at somewhere'))).toBe('no kernel');
    expect(firstLine('just text')).toBe('just text');
    expect(firstLine(new Error(''))).toBe('an error without a message');
  });
});

describe('callsPerSecond', () => {
  it('throws what the function throws', () => {
    const fail = () => {
      throw new Error('out of memory');
    };
    expect(() => callsPerSecond(fail, briefly)).toThrow('out of memory');
  });
});

describe('measureRow', () => {
  it('goes round the contestants in rotating order and gives each a number', async () => {
    const log: string[] = [];
    const names = ['ours', 'tfjs-cpu', 'jax-jit'] as const;
    const outcomes = await measureRow(
      row,
      names.map((name) => contestant(name, () => 1, log)),
      briefly,
    );
    const rounds = log.slice(names.length, -names.length);
    expect(rounds).toEqual(Array.from({ length: roundCount }, (_, round) => rotated(names, round)).flat());
    for (const name of names) expect(outcomes.get(name)).toBeGreaterThan(0);
  });

  it('shows why a contestant has no number, and measures the others', async () => {
    const broken = contestant('tfjs-wasm', () => {
      throw new Error('kernel not registered\n  at backend');
    });
    const outcomes = await measureRow(row, [contestant('ours', () => 1), broken], briefly);
    expect(outcomes.get('tfjs-wasm')).toEqual({ error: 'kernel not registered' });
    expect(outcomes.get('ours')).toBeGreaterThan(0);
  });

  it('gives no number to a contestant that computes something else', async () => {
    const outcomes = await measureRow(row, [contestant('ours', () => 1), contestant('jax-jit', () => 2)], briefly);
    expect(outcomes.get('jax-jit')).toEqual({ error: 'computes something else: result 0 is 2 instead of 1' });
  });

  it('compares what a contestant computes in the layout of the row', async () => {
    const kept = (numbers: number[], inRowLayout?: (result: Float32Array) => Float32Array) => ({
      async activate() {},
      prepare: () => ({ run: () => Float32Array.from(numbers), dispose() {}, ...(inRowLayout && { inRowLayout }) }),
    });
    const outcomes = await measureRow(
      row,
      [
        { name: 'ours', ...kept([1, 2, 3]) },
        { name: 'jax-jit', ...kept([3, 2, 1], (result) => result.slice().reverse()) },
        { name: 'jax-eager', ...kept([3, 2, 1]) },
      ],
      briefly,
    );
    expect(outcomes.get('jax-jit')).toBeGreaterThan(0);
    expect(outcomes.get('jax-eager')).toEqual({ error: 'computes something else: result 0 is 3 instead of 1' });
  });

  it('takes the time that work in another process gives, once a round', async () => {
    let turn = 0;
    const workload = { run: () => 1, seconds: () => [5, 0.25, 9, 0.125, 0.5][turn++] as number, dispose() {} };
    const outcomes = await measureRow(
      { ...row, workPerCall: 3 },
      [{ name: 'ours', async activate() {}, prepare: () => workload }],
      briefly,
    );
    expect(turn).toBe(roundCount);
    expect(outcomes.get('ours')).toBe(3 / 0.5);
  });

  it('lets a contestant sit out once it has used up its patience', async () => {
    const log: string[] = [];
    await measureRow(row, [contestant('ours', () => 1, log)], { ...briefly, patience: 0 });
    expect(log).toHaveLength(3); // prepared, one round, disposed
  });
});

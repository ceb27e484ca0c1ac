/**
 * The claim that backpropagation lets an output which is right drift where prospective configuration compensates, and where
 * the claim ends.
 */
import { describe, expect, it } from 'vitest';
import { type Interference, interference, interferenceTable } from './interference.ts';

/** The rows of one rule, by depth. */
const rowsOf = (rows: readonly Interference[], rule: Interference['rule']) => rows.filter((row) => row.rule === rule);
const pairs = (rows: readonly Interference[]) => {
  const prospective = rowsOf(rows, 'prospective configuration');
  return rowsOf(rows, 'backpropagation').map((row, i) => [row, prospective[i]!] as const);
};

describe('an output that is right already', () => {
  it('drifts with backpropagation by depth / (depth + 1) of the progress, to first order', () => {
    for (const { depth, drift, progress } of rowsOf(interference({ learningRate: 1e-3 }), 'backpropagation'))
      expect(drift / progress).toBeCloseTo(depth / (depth + 1), 2);
  });

  it('drifts less with prospective configuration, which is better aligned with the target at every depth', () => {
    for (const options of [{}, { learningRate: 0.1 }, { weight: 0.7 }])
      for (const [back, prospective] of pairs(interference(options))) {
        expect(prospective.progress).toBeGreaterThan(0);
        expect(Math.abs(prospective.drift) / prospective.progress).toBeLessThan(back.drift / back.progress);
        expect(prospective.alignment).toBeGreaterThan(back.alignment);
      }
  });

  it('is held too hard where many large weights stand below: there the advantage is gone', () => {
    const [[back, prospective]] = pairs(interference({ depths: [5], weight: 1.5, learningRate: 1e-3 })) as [
      [Interference, Interference],
    ];
    expect(back.drift).toBeGreaterThan(0);
    expect(prospective.drift).toBeLessThan(0);
    expect(prospective.alignment).toBeLessThan(back.alignment + 0.02);
  });

  it('can be read in a table', () => {
    const lines = interferenceTable(interference({ depths: [1] })).split('\n');
    expect(lines).toHaveLength(4);
    expect(lines[3]).toMatch(
      /^\| 1 \| prospective configuration \| 0\.\d{3} \| -?0\.\d{3} \| -?0\.\d{3} \| 0\.\d{3} \|$/,
    );
  });
});

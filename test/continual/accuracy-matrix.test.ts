import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AccuracyMatrix,
  averageAccuracy,
  averageIncrementalAccuracy,
  backwardTransfer,
  forgetting,
  forgettingSinceLearned,
  forwardTransfer,
  intransigence,
  learningAccuracy,
  worstCaseForgetting,
} from '../../src/continual/accuracy-matrix.ts';

const measures = {
  averageAccuracy,
  averageIncrementalAccuracy,
  learningAccuracy,
  backwardTransfer,
  forgetting,
  worstCaseForgetting,
  forgettingSinceLearned,
  forwardTransfer: (matrix: AccuracyMatrix) =>
    forwardTransfer(
      matrix,
      matrix.map(() => 0.5),
    ),
  intransigence: (matrix: AccuracyMatrix) =>
    intransigence(
      matrix,
      matrix.map(() => 1),
    ),
};

/** Every cell is there, and no two measures agree. Context 0 does best after context 1; context 2 does best before it is learned. */
const full = [
  [0.8, 0.3, 0.5, 0.25],
  [0.9, 0.7, 0.95, 0.5],
  [0.6, 0.6, 0.75, 0.375],
  [0.5, 0.65, 0.875, 1],
];

describe('measures of an accuracy matrix, worked by hand', () => {
  it('average accuracy is the mean of the last row', () => {
    expect(averageAccuracy(full)).toBeCloseTo((0.5 + 0.65 + 0.875 + 1) / 4, 12);
  });

  it('average incremental accuracy is the mean over rows of the mean up to the diagonal', () => {
    const rows = [0.8, (0.9 + 0.7) / 2, (0.6 + 0.6 + 0.75) / 3, 0.75625];
    expect(averageIncrementalAccuracy(full)).toBeCloseTo((rows[0]! + rows[1]! + rows[2]! + rows[3]!) / 4, 12);
  });

  it('learning accuracy is the mean of the diagonal', () => {
    expect(learningAccuracy(full)).toBeCloseTo((0.8 + 0.7 + 0.75 + 1) / 4, 12);
  });

  it('backward transfer is the last row less the diagonal, over all contexts but the last', () => {
    // -0.3, -0.05, +0.125
    expect(backwardTransfer(full)).toBeCloseTo(-0.225 / 3, 12);
  });

  it('forward transfer is what lies just above the diagonal less the untrained accuracies, over all contexts but the first', () => {
    // 0.3 - 0.1, 0.95 - 0.2, 0.375 - 0.4
    expect(forwardTransfer(full, [9, 0.1, 0.2, 0.4])).toBeCloseTo(0.925 / 3, 12);
  });

  it('forgetting is the best before the last time less the last, over all contexts but the last', () => {
    // Bests 0.9, 0.7 and 0.95 (before it was learned): 0.4, 0.05, 0.075.
    expect(forgetting(full)).toBeCloseTo(0.525 / 3, 12);
    expect(worstCaseForgetting(full)).toBeCloseTo(0.4, 12);
  });

  it('forgetting reads what came before a context was learned only where it is there', () => {
    const lower = full.map((row, i) => row.slice(0, i + 1));
    // The best of context 2 is now 0.75: 0.4, 0.05, -0.125.
    expect(forgetting(lower)).toBeCloseTo(0.325 / 3, 12);
    expect(forgetting(full.map((row, i) => row.map((cell, j) => (j > i ? null : cell))))).toBe(forgetting(lower));
  });

  it('forgetting since learned counts from the diagonal, so it misses what was gained and lost again', () => {
    expect(forgettingSinceLearned(full)).toBeCloseTo(0.225 / 3, 12);
    // What is best at the end counts as negative in both.
    expect(forgetting([[0.5], [0.75, 1]])).toBe(-0.25);
    expect(forgettingSinceLearned([[0.5], [0.75, 1]])).toBe(-0.25);
    expect(worstCaseForgetting([[0.5], [0.75, 1]])).toBe(-0.25);
  });

  it('intransigence is joint training less the diagonal, for each context', () => {
    expect(intransigence(full, [0.75, 1, 1, 0.5])).toEqual([
      expect.closeTo(-0.05, 12),
      expect.closeTo(0.3, 12),
      0.25,
      -0.5,
    ]);
  });

  it('are in the unit of the accuracies', () => {
    const percent = full.map((row) => row.map((cell) => 100 * cell));
    expect(forgetting(percent)).toBeCloseTo(17.5, 10);
    expect(averageAccuracy(percent)).toBeCloseTo(75.625, 10);
  });
});

describe('measures of any matrix', () => {
  const matrices = fc.integer({ min: 2, max: 5 }).chain((contexts) =>
    fc.array(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: contexts, maxLength: contexts }), {
      minLength: contexts,
      maxLength: contexts,
    }),
  );

  it('agree where their definitions say so', () => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        expect(forgettingSinceLearned(matrix)).toBeCloseTo(-backwardTransfer(matrix), 12);
        expect(forgetting(matrix)).toBeGreaterThanOrEqual(forgettingSinceLearned(matrix) - 1e-12);
        expect(worstCaseForgetting(matrix)).toBeGreaterThanOrEqual(forgetting(matrix) - 1e-12);
        const { length } = matrix;
        const last = (matrix[length - 1]![length - 1]! * 1) / length;
        const learned = ((length - 1) / length) * backwardTransfer(matrix) + learningAccuracy(matrix);
        expect(averageAccuracy(matrix) - last).toBeCloseTo(learned - last, 12);
      }),
    );
  });

  it('with one context are those that need no other; the rest say so', () => {
    const one = [[0.75]];
    for (const measure of [averageAccuracy, averageIncrementalAccuracy, learningAccuracy])
      expect(measure(one)).toBe(0.75);
    expect(intransigence(one, [1])).toEqual([0.25]);
    const two = [
      'backwardTransfer',
      'forgetting',
      'worstCaseForgetting',
      'forgettingSinceLearned',
      'forwardTransfer',
    ] as const;
    for (const name of two)
      expect(() => measures[name](one)).toThrow(
        `${name}: with one context there is nothing that comes before or after it; it takes two.`,
      );
  });

  it('with no context is an error', () => {
    for (const [name, measure] of Object.entries(measures))
      expect(() => measure([])).toThrow(`${name}: there are no accuracies. Give a row for each context.`);
  });

  it('name the cell that is missing, and need no cell that their formula does not have', () => {
    const reads: Record<keyof typeof measures, string> = {
      averageAccuracy: '30 31 32 33',
      averageIncrementalAccuracy: '00 10 11 20 21 22 30 31 32 33',
      learningAccuracy: '00 11 22 33',
      backwardTransfer: '00 11 22 30 31 32',
      forgetting: '00 10 11 20 21 22 30 31 32',
      worstCaseForgetting: '00 10 11 20 21 22 30 31 32',
      forgettingSinceLearned: '00 11 22 30 31 32',
      forwardTransfer: '01 12 23',
      intransigence: '00 11 22 33',
    };
    for (const [name, measure] of Object.entries(measures)) {
      const read = reads[name as keyof typeof measures].split(' ');
      const without = (gone: string, cell: null | undefined) =>
        full.map((row, i) => row.map((value, j) => (`${i}${j}` === gone ? cell : value)));
      for (let i = 0; i < 4; i++)
        for (let j = 0; j < 4; j++) {
          const matrix = without(`${i}${j}`, (i + j) % 2 === 0 ? null : undefined);
          if (read.includes(`${i}${j}`))
            expect(() => measure(matrix)).toThrow(
              `${name}: R[${i}][${j}], the accuracy on context ${j} after context ${i}, is missing. Measure it too.`,
            );
          else expect(() => measure(matrix)).not.toThrow();
        }
    }
    expect(() => averageAccuracy([[1], [0.5]])).toThrow(/R\[1\]\[1\].* is missing/);
  });

  it('do not take what is no accuracy', () => {
    expect(() => averageAccuracy([[Number.NaN]])).toThrow(
      'averageAccuracy: R[0][0] must be a finite number, but it is NaN.',
    );
    expect(() => averageAccuracy([[1, 0.5]])).toThrow(
      'averageAccuracy: row 0 has 2 accuracies, but there are 1 rows, one for each context.',
    );
    expect(() => forwardTransfer(full, [1, 1])).toThrow('untrained holds 2 accuracies, but there are 4 contexts.');
    expect(() => intransigence(full, [1, 1, Number.NaN, 1])).toThrow(
      'joint[2] must be a finite number, but it is NaN.',
    );
  });
});

/**
 * The essay's claims at a size that a test can afford: the direction of each is asserted here, its figures at full size stand in
 * docs/essay.md, and come from docs/results/essay.json.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type AlignmentRow, alignment } from '../../bench/learning/essay/alignment.ts';
import { CLAIMS, type EssayFigures, tablesOf, withTables } from '../../bench/learning/essay/claims.ts';
import { compensation } from '../../bench/learning/essay/compensation.ts';
import { cost } from '../../bench/learning/essay/cost.ts';
import { forgetting } from '../../bench/learning/essay/forgetting.ts';
import { modularity } from '../../bench/learning/essay/modularity.ts';
import { noise } from '../../bench/learning/essay/noise.ts';
import { plasticity } from '../../bench/learning/essay/plasticity.ts';
import { foreignReads, recursion } from '../../bench/learning/essay/recursion.ts';
import { estimate, slopeOf } from '../../bench/learning/essay/statistics.ts';
import { gradientRule, Linear, matmul, tanh, tensor, withRules } from '../../src/index.ts';
import { audit } from '../../src/inspect/audit.ts';
import { root } from '../docs/snippet.ts';

describe('claim 1: the recursion of the errors', () => {
  const found = recursion();
  const { float32, float64, differences, answering, jacobian } = found;

  it('is what the engine sends, computed from neighbours alone', () => {
    for (const difference of Object.values(float32)) expect(difference).toBeLessThan(1e-6);
    for (const difference of Object.values(float64)) expect(difference).toBeLessThan(1e-12);
    expect(differences).toBeLessThan(1e-8);
  });

  it('is local: no rule reads what belongs to another node', () => {
    expect(answering).toBeGreaterThan(6);
    expect(found.foreignReads).toBe(0);
    // One that does is found: this one asks another layer's weight.
    const [below, above] = [new Linear(2, 2), new Linear(2, 2)];
    const nosy = gradientRule('nosy', (_, g) => matmul(g, above.weight), { surrogate: true });
    const h = withRules({ tanh: nosy }, () => tanh(below.forward(tensor([[1, 2]]))));
    expect(foreignReads(audit(above.forward(h).sum()))).toBe(1);
  });

  it("has the Jacobian W diag(f'(a)), and not diag(f'(a)) W", () => {
    expect(jacobian.scaledColumns).toBeLessThan(1e-8);
    expect(jacobian.scaledRows).toBeGreaterThan(0.1);
  });
});

it('claim 2: backward makes twice the multiply-adds of forward, less the share of the first layer', () => {
  const costs = cost({ batch: 2, repetitions: 0 });
  const [wide] = costs;
  expect(wide!.forward).toBe(2 * (784 * 256 + 256 * 128 + 128 * 10));
  expect(wide!.backward).toBe(2 * (784 * 256 + 2 * 256 * 128 + 2 * 128 * 10));
  for (const { ratio, expected, time } of costs) {
    expect(ratio).toBeCloseTo(expected, 12);
    expect(time).toBe(null);
  }
  // Where the first layer is no larger than the others; where it is nearly all there is, backward costs like forward.
  for (const { ratio } of costs.slice(1)) {
    expect(ratio).toBeGreaterThanOrEqual(1.5);
    expect(ratio).toBeLessThan(2.1);
  }
  expect(wide!.ratio).toBeLessThan(1.2);
});

it('claim 3: noise finds the gradient as sqrt(n / P) says, and slower in larger networks', () => {
  const rows = noise({
    networks: [
      [49, 4, 10],
      [49, 32, 10],
    ],
    directions: [4, 64],
    seeds: [1, 2],
  });
  for (const { weightPerturbation, expected } of rows)
    expect(Math.abs(weightPerturbation.mean - expected)).toBeLessThan(0.08);
  const [fewSmall, manySmall, fewLarge, manyLarge] = rows as [Row, Row, Row, Row];
  type Row = (typeof rows)[number];
  for (const kind of ['weightPerturbation', 'nodePerturbation'] as const) {
    expect(manySmall[kind].mean).toBeGreaterThan(fewSmall[kind].mean);
    expect(manyLarge[kind].mean).toBeGreaterThan(fewLarge[kind].mean);
    expect(manySmall[kind].mean).toBeGreaterThan(manyLarge[kind].mean);
  }
  // There are fewer sums than weights to be guessed.
  for (const row of rows) expect(row.nodePerturbation.mean).toBeGreaterThan(row.weightPerturbation.mean);
});

it('claim 4: random feedback starts at right angles to backpropagation, turns towards it, and trains', () => {
  const rows = alignment({
    ...{ side: 7, hidden: [32, 16], count: 640, steps: [0, 240], seeds: [1] },
    feedbacks: ['feedback alignment', 'last layer only'],
  });
  const [before, after, , headOnly] = rows as [AlignmentRow, AlignmentRow, AlignmentRow, AlignmentRow];
  for (const layer of [0, 1]) {
    expect(Math.abs(before.angles![layer]!.mean - 90)).toBeLessThan(15);
    expect(after.angles![layer]!.mean).toBeLessThan(75);
  }
  expect(after.angles![2]!.mean).toBeLessThan(0.1); // nothing random lies above the last layer
  expect(after.accuracy.mean).toBeGreaterThan(before.accuracy.mean + 0.3);
  expect(after.accuracy.mean).toBeGreaterThan(headOnly.accuracy.mean);
});

it('claim 5: a right output gets no gradient of its own, drifts all the same, and less so by prospective configuration', () => {
  const { ownGradient, othersGradient, rows } = compensation({ depths: [1, 3], weights: [1] });
  expect(ownGradient).toBe(0);
  expect(othersGradient).toBeGreaterThan(0);
  for (let i = 0; i < rows.length; i += 2) {
    const [back, prospective] = [rows[i]!, rows[i + 1]!];
    expect([back.rule, prospective.rule]).toEqual(['backpropagation', 'prospective configuration']);
    expect(back.drift / back.progress).toBeGreaterThan(0.4);
    expect(Math.abs(prospective.drift / prospective.progress)).toBeLessThan(0.25);
    expect(prospective.alignment).toBeGreaterThan(back.alignment);
  }
});

it('claim 6: on a stream of random labels a network loses its plasticity, and its units die', () => {
  const [row] = plasticity({
    ...{ streams: ['relabelled'], arms: ['SGD'], tasks: 60, count: 200, hidden: 16, seeds: [1] },
  });
  const { first, last, slope } = row!;
  expect(slope.mean).toBeLessThan(0);
  expect(last.dead.mean).toBeGreaterThan(first.dead.mean);
  expect(last.rank.mean).toBeLessThan(first.rank.mean);
  expect(last.weight.mean).toBeGreaterThan(first.weight.mean);
});

it('claim 7: at the same accuracy on the new task an anchor keeps more of the old one, where each has outputs of its own', () => {
  const size = { count: 1000, side: 7, hidden: 32, known: 0.8, mostSteps: 400, seeds: [1, 2] };
  const rows = [
    ...forgetting({ ...size, outputs: ['shared'], methods: ['backpropagation'] }),
    ...forgetting({
      ...{ ...size, outputs: ['own'], methods: ['backpropagation', 'anchored'] },
      strengths: { anchored: 100 },
    }),
  ];
  expect(rows.map(({ matched }) => matched)).toEqual([2, 2, 2]);
  const [shared, own, anchored] = rows.map(({ aAfterB }) => aAfterB.mean) as [number, number, number];
  expect(shared).toBeLessThan(0.6); // it was 0.8
  expect(own).toBeGreaterThan(shared);
  expect(anchored).toBeGreaterThan(own + 0.02);
});

it('claim 8: a trunk learns under a head of targets as under one of gradients; what it is told depends on the loss', () => {
  const { heads, losses } = modularity({
    ...{ heads: ['cross-entropy, gradients', 'targets, no loss'], count: 640, side: 7, steps: 150, seeds: [1] },
  });
  expect(heads.map((head) => head.losses)).toEqual([1, 0]);
  expect(heads.map((head) => head.surrogates > 0)).toEqual([false, true]);
  for (const { learning, gain } of heads) {
    expect(learning.mean).toBeGreaterThan(0.4);
    expect(gain.mean).toBeGreaterThan(0.05);
  }
  for (const { cosine } of losses) {
    expect(cosine.mean).toBeGreaterThan(0);
    expect(cosine.mean).toBeLessThan(0.999);
  }
});

describe('the rulers', () => {
  it('give means with intervals, and slopes', () => {
    const { mean, half } = estimate([1, 2, 3]);
    expect(mean).toBe(2);
    // t at 97.5 % with 2 degrees of freedom: 0.95 sqrt(2 / (1 - 0.95^2)).
    expect(half).toBeCloseTo((0.95 * Math.sqrt(2 / (1 - 0.95 ** 2))) / Math.sqrt(3), 9);
    expect(estimate([7])).toEqual({ mean: 7, half: 0, values: [7] });
    expect(slopeOf([1, 3, 5, 7])).toBe(2);
  });
});

describe('the chapter', () => {
  const chapter = readFileSync(join(root, 'docs/essay.md'), 'utf8');
  const { figures, about } = JSON.parse(readFileSync(join(root, 'docs/results/essay.json'), 'utf8')) as {
    figures: EssayFigures;
    about: { machine: string; versions: { node: string }; date: string };
  };

  it('shows the figures of the result file, all of them, and says where they were measured', () => {
    const tables = tablesOf(figures);
    expect(withTables(chapter, tables)).toBe(chapter);
    for (const name of Object.keys(tables)) expect(chapter).toContain(`<!-- figures: ${name} -->\n|`);
    expect(Object.keys(figures)).toEqual([...CLAIMS]);
    for (const fact of [about.machine, about.versions.node, about.date.slice(0, 10)]) expect(chapter).toContain(fact);
  });

  it('cannot name figures that there are none of', () => {
    expect(() => withTables('<!-- figures: nothing -->\n', {})).toThrow('no figures named nothing');
  });
});

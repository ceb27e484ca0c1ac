/**
 * The claims in the essay's order: how each is measured at full size, and the tables in which its figures are shown, in the terminal
 * and in docs/essay.md alike.
 */

import { type AlignmentRow, alignment } from './alignment.ts';
import { type CompensationFigures, compensation } from './compensation.ts';
import { type Cost, cost } from './cost.ts';
import { type ForgettingRow, forgetting } from './forgetting.ts';
import { type ModularityFigures, modularity } from './modularity.ts';
import { type NoiseRow, noise } from './noise.ts';
import { type PlasticityRow, plasticity } from './plasticity.ts';
import { type RecursionFigures, recursion } from './recursion.ts';
import type { Estimate } from './statistics.ts';

export interface EssayFigures {
  readonly recursion: RecursionFigures;
  readonly cost: readonly Cost[];
  readonly noise: readonly NoiseRow[];
  readonly alignment: readonly AlignmentRow[];
  readonly compensation: CompensationFigures;
  readonly plasticity: readonly PlasticityRow[];
  readonly forgetting: readonly ForgettingRow[];
  readonly modularity: ModularityFigures;
}

/** The first row is the head. */
export type Rows = readonly (readonly string[])[];

export type ClaimName = keyof EssayFigures;

export const MEASURES: { readonly [Name in ClaimName]: () => EssayFigures[Name] } = {
  recursion,
  cost,
  noise,
  alignment,
  compensation,
  plasticity,
  forgetting,
  modularity,
};

export const CLAIMS = Object.keys(MEASURES) as readonly ClaimName[];

const percent = (share: number): string => (100 * share).toFixed(1);
/** 12.3 ± 0.4, of shares as percent. */
const shares = ({ mean, half }: Estimate): string => `${percent(mean)} ± ${percent(half)}`;
const fixed = ({ mean, half }: Estimate, digits: number): string => `${mean.toFixed(digits)} ± ${half.toFixed(digits)}`;
const tiny = (x: number): string => (x === 0 ? '0' : x.toExponential(1));
const millions = (count: number): string => (count / 1e6).toFixed(2);

const recursionRows = ({ float32, float64, differences, jacobian }: RecursionFigures): Rows => [
  ['largest difference, in parts of the largest entry', 'float32', 'float64'],
  ['e_l = W^T delta_{l+1} against the message on the edge', tiny(float32.error), tiny(float64.error)],
  ["delta_l = e_l * f'(a_l) against the message to a_l", tiny(float32.delta), tiny(float64.delta)],
  ['delta_l h^T against the gradient of W_l', tiny(float32.weight), tiny(float64.weight)],
  ['gradient of all weights against finite differences', '', tiny(differences)],
  ["W diag(f'(a)) against finite differences", '', tiny(jacobian.scaledColumns)],
  ["diag(f'(a)) W against finite differences", '', tiny(jacobian.scaledRows)],
];

const costRows = (costs: readonly Cost[]): Rows => [
  ['network', 'forward, millions', 'backward, millions', 'ratio', 'forward, ms', 'backward, ms', 'ratio of times'],
  ...costs.map(({ network, forward, backward, ratio, time }) => [
    ...[network, millions(forward), millions(backward), ratio.toFixed(3)],
    ...(time === null ? ['', '', ''] : [time.forward.toFixed(2), time.backward.toFixed(2), time.ratio.toFixed(2)]),
  ]),
];

const noiseRows = (rows: readonly NoiseRow[]): Rows => [
  ['network', 'weights', 'sums a', 'evaluations', 'weight perturbation', 'sqrt(n / (n + P - 1))', 'node perturbation'],
  ...rows.map((row) => [
    row.widths.join('-'),
    String(row.weights),
    String(row.nodes),
    String(row.evaluations),
    fixed(row.weightPerturbation, 3),
    row.expected.toFixed(3),
    fixed(row.nodePerturbation, 3),
  ]),
];

const alignmentRows = (rows: readonly AlignmentRow[]): Rows => [
  ['feedback', 'steps', 'layer 1, degrees', 'layer 2, degrees', 'layer 3, degrees', 'accuracy, %'],
  ...rows.map(({ feedback, step, angles, accuracy }) => [
    feedback,
    String(step),
    ...[0, 1, 2].map((layer) => (angles === null ? '' : fixed(angles[layer]!, 1))),
    shares(accuracy),
  ]),
];

function compensationRows({ rows }: CompensationFigures): Rows {
  const pairs = rows
    .filter(({ rule }) => rule === 'backpropagation')
    .map((back) => {
      const other = rows.find(
        ({ rule, depth, weight, learningRate }) =>
          rule !== 'backpropagation' &&
          depth === back.depth &&
          weight === back.weight &&
          learningRate === back.learningRate,
      )!;
      const [a, b] = [back, other].map(({ drift, progress, alignment }) => [
        (drift / progress).toFixed(2),
        alignment.toFixed(3),
      ]) as [string[], string[]];
      return [back.weight.toFixed(1), String(back.depth), a[0]!, b[0]!, a[1]!, b[1]!];
    });
  return [
    [
      ...['weights', 'hidden values'],
      ...['drift / progress, backpropagation', 'drift / progress, prospective'],
      ...['alignment, backpropagation', 'alignment, prospective'],
    ],
    ...pairs,
  ];
}

const plasticityRows = (rows: readonly PlasticityRow[]): Rows => [
  [
    ...['stream', 'trained by', 'accuracy first, %', 'best', 'last', 'slope, points per 100 tasks'],
    ...['dead units, %', 'effective rank', 'mean weight'],
  ],
  ...rows.map(({ stream, arm, first, last, slope, curve }) => [
    stream,
    arm,
    shares(first.accuracy),
    percent(Math.max(...curve)),
    shares(last.accuracy),
    shares(slope),
    `${percent(first.dead.mean)} to ${percent(last.dead.mean)}`,
    `${first.rank.mean.toFixed(1)} to ${last.rank.mean.toFixed(1)}`,
    `${first.weight.mean.toFixed(3)} to ${last.weight.mean.toFixed(3)}`,
  ]),
];

const forgettingRows = (rows: readonly ForgettingRow[]): Rows => [
  ['outputs', 'method', 'strength', 'A after A, %', 'A after B, %', 'beyond backpropagation', 'B, %', 'steps on B'],
  ...rows.map((row) => {
    const { outputs, method, strength, matched, aAfterA, aAfterB, beyond, bAfterB, stepsB } = row;
    const all = matched === aAfterB.values.length;
    return [
      outputs,
      method,
      strength === 0 ? '' : String(strength),
      shares(aAfterA),
      // Who did not learn B has no figure that could be compared.
      all ? shares(aAfterB) : `not matched (${matched} of ${aAfterB.values.length})`,
      all && beyond !== null ? shares(beyond) : '',
      shares(bAfterB),
      stepsB.mean.toFixed(0),
    ];
  }),
];

const headRows = ({ heads }: ModularityFigures): Rows => [
  ['head', 'loss ops in the graph', 'accuracy, %', 'with the trunk frozen', 'gain'],
  ...heads.map(({ head, losses, learning, frozen, gain }) => [
    head,
    String(losses),
    shares(learning),
    shares(frozen),
    shares(gain),
  ]),
];

const lossRows = ({ losses }: ModularityFigures): Rows => [
  ['loss', 'and loss', "cosine of the trunk's gradients"],
  ...losses.map(({ a, b, cosine }) => [a, b, fixed(cosine, 2)]),
];

/** All tables of figures by name, those of one claim in a row. */
export function tablesOf(figures: Partial<EssayFigures>): Readonly<Record<string, Rows>> {
  const { recursion, cost, noise, alignment, compensation, plasticity, forgetting, modularity } = figures;
  return {
    ...(recursion && { recursion: recursionRows(recursion) }),
    ...(cost && { cost: costRows(cost) }),
    ...(noise && { noise: noiseRows(noise) }),
    ...(alignment && { alignment: alignmentRows(alignment) }),
    ...(compensation && { compensation: compensationRows(compensation) }),
    ...(plasticity && { plasticity: plasticityRows(plasticity) }),
    ...(forgetting && { forgetting: forgettingRows(forgetting) }),
    ...(modularity && { heads: headRows(modularity), losses: lossRows(modularity) }),
  };
}

/** A table in Markdown. */
export function markdown([head = [], ...rows]: Rows): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map(line).join('\n');
}

/**
 * The chapter with its tables put in anew: each stands behind a line `<!-- figures: name -->`, up to the next empty line. Throws where the
 * chapter names a table that there is none of.
 */
export function withTables(chapter: string, tables: Readonly<Record<string, Rows>>): string {
  return chapter.replace(/^<!-- figures: (\w+) -->\n(?:\|.*\n)*/gm, (_, name: string) => {
    const rows = tables[name];
    if (rows === undefined) throw new Error(`withTables: there are no figures named ${name}.`);
    return `<!-- figures: ${name} -->\n${markdown(rows)}\n`;
  });
}

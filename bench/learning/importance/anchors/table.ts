/** What is said of anchors in the terminal and in the report. */

import { number, range } from '../ordering.ts';
import type { Accord, AnchorOrdered } from './summary.ts';

/** The table of a setting, the least forgetting first. */
export function anchorRows({ rows }: AnchorOrdered): string[][] {
  return [
    [
      ...['measure', 'rank', 'group', 'forgetting', '95 %', 'less than random', '95 %', 'p (Holm)'],
      ...['both', 'removal: area', '95 %', 'rank'],
    ],
    ...rows.map((row) => [
      ...[row.measure, number(row.rank, 2), row.group ?? '-', number(row.forgetting), range(row.low, row.high)],
      number(row.difference?.mean ?? null),
      range(row.difference?.low ?? null, row.difference?.high ?? null),
      ...[number(row.difference?.p ?? null), number(row.both)],
      ...[number(row.area), range(row.areaLow, row.areaHigh), number(row.areaRank, 2)],
    ]),
  ];
}

/** What anchors are compared with, and how far the two orders agree: a sentence each. */
export function anchorSentences({ reference, byForgetting, byBoth }: AnchorOrdered): string[] {
  const { before, free, equal } = reference;
  const both = equal.both === null ? '' : `, both ${number(equal.both)}`;
  return [
    `Without an anchor the accuracy on the first half falls from ${number(before.first)} to ${number(free.first)}, that on the second rises from ${number(before.second)} to ${number(free.second)}.`,
    `With the same precision for all weights: forgetting ${number(equal.forgetting)}${both}.`,
    accordText('The order by removal and the order by forgetting as an anchor', byForgetting),
    accordText('The order by removal and the order by both accuracies', byBoth),
  ];
}

function accordText(what: string, accord: Accord | null): string {
  if (accord === null) return `${what}: there is no tau.`;
  const { tau, low, high, measures } = accord;
  const bounds = low === null ? '' : ` (95 %: ${range(low, high)})`;
  return `${what}: Kendall's tau ${number(tau, 2)}${bounds}, over ${measures} measures.`;
}

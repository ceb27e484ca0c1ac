/**
 * The diagram of a critical difference (Demšar 2006, figure 1): an axis of mean ranks with the best on the left, a label for each
 * measure, and bars over the groups that are not told apart.
 */

import { LETTER, longest, WIDTH } from '../charts.ts';
import { escapeHtml } from '../page.ts';
import type { Test } from './ordering.ts';

const [ROW, TOP, EDGE] = [24, 64, 24];

export function criticalDifferenceDiagram(label: string, test: Test): string {
  const { measures, ranks, groups, criticalDifference: difference } = test;
  const k = measures.length;
  const side = EDGE + LETTER * longest(measures) + 48;
  const [left, right] = [side, WIDTH - side];
  const x = (rank: number): number => left + ((right - left) * (rank - 1)) / (k - 1);
  const order = measures.map((_, i) => i).sort((a, b) => ranks[a]! - ranks[b]!);
  const bars = groupBars(test);
  const below = TOP + 12 + 8 * bars.length;
  const half = Math.ceil(k / 2);
  const height = below + ROW * half + 20;
  const line = (x1: number, y1: number, x2: number, y2: number, more = ''): string =>
    `<line x1="${x1.toFixed(1)}" y1="${y1}" x2="${x2.toFixed(1)}" y2="${y2}" stroke="currentColor" ${more}/>`;
  const text = (at: number, y: number, content: string, anchor: string): string =>
    `<text x="${at.toFixed(1)}" y="${y}" text-anchor="${anchor}" dy="0.35em">${escapeHtml(content)}</text>`;

  const parts = [line(left, TOP, right, TOP)];
  for (let rank = 1; rank <= k; rank++)
    parts.push(line(x(rank), TOP - 5, x(rank), TOP), text(x(rank), TOP - 15, String(rank), 'middle'));
  const width = Math.min(difference, k - 1);
  parts.push(line(left, 22, x(1 + width), 22, 'stroke-width="2"'));
  for (const end of [left, x(1 + width)]) parts.push(line(end, 18, end, 26));
  const wide = difference > k - 1 ? ', wider than the axis' : '';
  parts.push(text(left, 8, `critical difference ${difference.toFixed(2)}${wide}`, 'start'));
  bars.forEach(([from, to], i) => {
    parts.push(line(x(from) - 4, TOP + 8 + 8 * i, x(to) + 4, TOP + 8 + 8 * i, 'stroke-width="4"'));
  });
  order.forEach((measure, place) => {
    const onLeft = place < half;
    const y = below + ROW * (onLeft ? place : k - 1 - place) + 10;
    const [at, end] = [x(ranks[measure]!), onLeft ? left - 16 : right + 16];
    parts.push(line(at, TOP, at, y), line(at, y, end, y));
    const words = `${measures[measure]} ${ranks[measure]!.toFixed(2)} ${groups[measure]}`;
    parts.push(text(onLeft ? end - 4 : end + 4, y, words, onLeft ? 'end' : 'start'));
  });
  return `<svg role="img" aria-label="${escapeHtml(label)}" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-size="13" fill="currentColor">
${parts.join('\n')}
</svg>`;
}

/** From which rank to which each group reaches, where it has more than one measure. */
export function groupBars({ ranks, groups }: Pick<Test, 'ranks' | 'groups'>): (readonly [from: number, to: number])[] {
  const letters = [...new Set(groups.flatMap((own) => [...own]))].sort();
  return letters.flatMap((letter) => {
    const own = ranks.filter((_, i) => groups[i]!.includes(letter));
    return own.length < 2 ? [] : [[Math.min(...own), Math.max(...own)] as const];
  });
}

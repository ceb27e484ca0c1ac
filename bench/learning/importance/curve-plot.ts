/** Curves over the fraction of weights that is gone, with bands about them: SVG in a string, in the colours of the page. */

import { COLOURS, colour, LETTER, longest } from '../charts.ts';
import type { Interval } from '../interval.ts';
import { escapeHtml } from '../page.ts';
import { axis } from '../plasticity/bands.ts';

export interface CurveSeries {
  readonly name: string;
  /** Which colour, from 0; its place among the series unless given. */
  readonly shade?: number;
  readonly points: readonly { readonly x: number; readonly y: Interval | null }[];
}

export interface CurvePlot {
  /** What a reader who does not see the plot is told. */
  readonly label: string;
  readonly series: readonly CurveSeries[];
  readonly xTitle: string;
  readonly yTitle: string;
  /** Pixels; 760 unless given. */
  readonly width?: number;
  /** The ends of the vertical axis; those of the numbers unless given. */
  readonly range?: readonly [from: number, to: number];
}

const HEIGHT = 340;
const [LEFT, TOP, BOTTOM] = [60, 16, 52];
const DASHES = ['', '7 4', '2 3'];

export function curvePlot({ label, series, xTitle, yTitle, width = 760, range }: CurvePlot): string {
  const right = width - 60 - LETTER * longest(series.map(({ name }) => name));
  const bottom = HEIGHT - BOTTOM;
  const all = series.flatMap(({ points }) => points);
  const heights = all.flatMap(({ y }) => (y === null ? [] : [y.mean, y.low ?? y.mean, y.high ?? y.mean]));
  const [xAxis, yAxis] = [axisOf(all.map(({ x }) => x)), axisOf(range ?? heights)];
  const x = (value: number): string =>
    (LEFT + ((right - LEFT) * (value - xAxis.from)) / (xAxis.to - xAxis.from)).toFixed(1);
  const y = (value: number): string => {
    const held = Math.min(Math.max(value, yAxis.from), yAxis.to);
    return (bottom - ((bottom - TOP) * (held - yAxis.from)) / (yAxis.to - yAxis.from)).toFixed(1);
  };
  const text = (at: string, content: string, more = ''): string => `<text ${at} ${more}>${escapeHtml(content)}</text>`;
  const parts: string[] = [];
  for (const tick of yAxis.ticks) {
    parts.push(`<line x1="${LEFT}" x2="${right}" y1="${y(tick)}" y2="${y(tick)}" stroke="var(--grid)"/>`);
    parts.push(text(`x="${LEFT - 8}" y="${y(tick)}"`, String(tick), 'text-anchor="end" dy="0.35em"'));
  }
  for (const tick of xAxis.ticks)
    parts.push(text(`x="${x(tick)}" y="${bottom + 18}"`, String(tick), 'text-anchor="middle"'));
  const middle = (TOP + bottom) / 2;
  parts.push(text(`x="${(LEFT + right) / 2}" y="${HEIGHT - 10}"`, xTitle, 'text-anchor="middle"'));
  parts.push(text(`x="14" y="${middle}" transform="rotate(-90 14 ${middle})"`, yTitle, 'text-anchor="middle"'));
  for (const [place, { name, points, shade = place }] of series.entries()) {
    const own = colour(shade);
    const dash = DASHES[Math.floor(shade / COLOURS) % DASHES.length] ?? '';
    const drawn = points.flatMap(({ x: at, y: value }) => (value === null ? [] : [{ at, value }]));
    const at = (height: (value: Interval) => number) =>
      drawn.map((point) => `${x(point.at)},${y(height(point.value))}`);
    if (drawn.some(({ value }) => value.high !== null)) {
      const edge = [...at(({ mean, high }) => high ?? mean), ...at(({ mean, low }) => low ?? mean).reverse()];
      parts.push(`<polygon points="${edge.join(' ')}" fill="${own}" fill-opacity="0.15"/>`);
    }
    parts.push(
      `<polyline points="${at(({ mean }) => mean).join(' ')}" fill="none" stroke="${own}" stroke-width="2" stroke-dasharray="${dash}"/>`,
    );
    const row = TOP + 12 + 21 * place;
    parts.push(
      `<line x1="${right + 16}" x2="${right + 36}" y1="${row}" y2="${row}" stroke="${own}" stroke-width="4" stroke-dasharray="${dash}"/>`,
    );
    parts.push(text(`x="${right + 44}" y="${row}"`, name, 'dy="0.35em"'));
  }
  const height = Math.max(HEIGHT, TOP + 24 + 21 * series.length);
  return `<svg role="img" aria-label="${escapeHtml(label)}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-size="13" fill="currentColor">
${parts.join('\n')}
</svg>`;
}

const axisOf = (values: readonly number[]) => axis(Math.min(...values), Math.max(...values));

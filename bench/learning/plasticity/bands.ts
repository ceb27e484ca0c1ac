/**
 * Curves with bands about them, as SVG in a string, drawn by hand: in the manner of the other reports' plots their colours are
 * variables of the page. Lines beyond the number of colours are dashed.
 */

import { COLOURS, colour as colourOf } from '../charts.ts';
import type { Interval } from '../interval.ts';
import { escapeHtml } from '../page.ts';

export interface Band {
  readonly name: string;
  /** At 1, 2, ... bins; null: nothing is drawn there. */
  readonly points: readonly (Interval | null)[];
}

export interface BandPlot {
  /** What a reader who does not see the plot is told. */
  readonly label: string;
  readonly bands: readonly Band[];
  readonly xTitle: string;
  readonly yTitle: string;
  /** How much further one point is than the one before. */
  readonly xStep: number;
}

const [WIDTH, HEIGHT] = [760, 360];
const LEFT = 68;
const [TOP, BOTTOM] = [16, 52];
/** Pixels, about, of a letter. */
const LETTER = 8;

export function bandPlot({ label, bands, xTitle, yTitle, xStep }: BandPlot): string {
  const right = WIDTH - 56 - LETTER * Math.max(...bands.map(({ name }) => name.length));
  const bottom = HEIGHT - BOTTOM;
  const count = Math.max(...bands.map(({ points }) => points.length));
  const values = bands.flatMap(({ points }) =>
    points.flatMap((point) => (point === null ? [] : [point.mean, point.low ?? point.mean, point.high ?? point.mean])),
  );
  const yAxis = axis(Math.min(...values), Math.max(...values));
  const xAxis = axis(0, count * xStep);
  const x = (bin: number): string => (LEFT + ((right - LEFT) * (bin * xStep)) / (count * xStep)).toFixed(1);
  const y = (value: number): string =>
    (bottom - ((bottom - TOP) * (value - yAxis.from)) / (yAxis.to - yAxis.from)).toFixed(1);

  const text = (at: string, content: string, more = ''): string => `<text ${at} ${more}>${escapeHtml(content)}</text>`;
  const parts: string[] = [];
  for (const tick of yAxis.ticks) {
    parts.push(`<line x1="${LEFT}" x2="${right}" y1="${y(tick)}" y2="${y(tick)}" stroke="var(--grid)"/>`);
    parts.push(text(`x="${LEFT - 8}" y="${y(tick)}"`, tick.toLocaleString('en-US'), 'text-anchor="end" dy="0.35em"'));
  }
  for (const tick of xAxis.ticks.filter((tick) => tick <= count * xStep))
    parts.push(text(`x="${x(tick / xStep)}" y="${bottom + 18}"`, tick.toLocaleString('en-US'), 'text-anchor="middle"'));
  const middle = (TOP + bottom) / 2;
  parts.push(text(`x="${(LEFT + right) / 2}" y="${HEIGHT - 10}"`, xTitle, 'text-anchor="middle"'));
  parts.push(text(`x="14" y="${middle}" transform="rotate(-90 14 ${middle})"`, yTitle, 'text-anchor="middle"'));
  for (const [place, { name, points }] of bands.entries()) {
    const colour = colourOf(place);
    const dashes = place < COLOURS ? '' : ' stroke-dasharray="6 4"';
    for (const stretch of stretches(points)) {
      const upper = stretch.map(([bin, { mean, high }]) => `${x(bin)},${y(high ?? mean)}`);
      const lower = stretch.map(([bin, { mean, low }]) => `${x(bin)},${y(low ?? mean)}`).reverse();
      const line = stretch.map(([bin, { mean }]) => `${x(bin)},${y(mean)}`);
      if (stretch.some(([, { high }]) => high !== null))
        parts.push(`<polygon points="${[...upper, ...lower].join(' ')}" fill="${colour}" fill-opacity="0.2"/>`);
      const [only] = stretch;
      if (stretch.length === 1 && only !== undefined)
        parts.push(`<circle cx="${x(only[0])}" cy="${y(only[1].mean)}" r="3" fill="${colour}"/>`);
      else
        parts.push(`<polyline points="${line.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"${dashes}/>`);
    }
    const row = TOP + 12 + 22 * place;
    parts.push(
      `<line x1="${right + 16}" x2="${right + 34}" y1="${row}" y2="${row}" stroke="${colour}" stroke-width="4"${dashes}/>`,
    );
    parts.push(text(`x="${right + 42}" y="${row}"`, name, 'dy="0.35em"'));
  }
  return `<svg role="img" aria-label="${escapeHtml(label)}" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-size="13" fill="currentColor">
${parts.join('\n')}
</svg>`;
}

/** Runs of points between those that are missing, each with its bin, from 1. */
function stretches(points: readonly (Interval | null)[]): (readonly [bin: number, point: Interval])[][] {
  const found: (readonly [number, Interval])[][] = [[]];
  for (const [i, point] of points.entries()) {
    if (point === null) found.push([]);
    else found.at(-1)?.push([i + 1, point]);
  }
  return found.filter(({ length }) => length > 0);
}

/** An axis that holds both ends, with its numbers at 1, 2 or 5 times a power of ten. */
export function axis(low: number, high: number): { from: number; to: number; ticks: number[] } {
  if (!(Number.isFinite(low) && Number.isFinite(high))) return { from: 0, to: 1, ticks: [0, 1] };
  const width = high > low ? high - low : Math.abs(low) || 1;
  const power = 10 ** Math.floor(Math.log10(width / 4));
  const step = power * ([1, 2, 5].find((factor) => factor * power * 5 >= width) ?? 10);
  const [first, last] = [Math.floor(low / step), Math.max(Math.ceil(high / step), Math.floor(low / step) + 1)];
  // Multiples by division where the step is a fraction: 3 * 0.1 is not 0.3.
  const tick = (i: number): number => Number((i * step).toPrecision(12));
  return {
    from: tick(first),
    to: tick(last),
    ticks: Array.from({ length: last - first + 1 }, (_, i) => tick(first + i)),
  };
}

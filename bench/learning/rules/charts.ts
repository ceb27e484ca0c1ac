/** The plots of the report: lines over a number, and dots. */

import { LineChart, type LineSeriesOption, ScatterChart, type ScatterSeriesOption } from 'echarts/charts';
import { LegendComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { AXIS, COLOURS, colour, draw, LETTER, longest, TEXT_STYLE, title, WIDTH } from '../charts.ts';

echarts.use([LineChart, ScatterChart, LegendComponent]);

const DASHES = ['solid', 'dashed', 'dotted'] as const;
const HEIGHT = 340;
const LEGEND_ENTRY = 20;

export type Point = readonly [x: number, y: number];

/** Lines of one name have one colour and one place in the legend: a rule with several seeds has several. */
export interface Line {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface LinePlot {
  /** What a reader who does not see the plot is told. */
  readonly label: string;
  readonly lines: readonly Line[];
  readonly xTitle: string;
  readonly yTitle: string;
  /** Where the horizontal axis begins; 0 unless given. */
  readonly xFrom?: number;
  /** Ends of the vertical axis. */
  readonly from: number;
  readonly to: number;
  /** How far apart its numbers stand. */
  readonly interval: number;
}

/** Lines over a number, with a legend beside them. */
export function linePlot({ label, lines, xTitle, yTitle, xFrom = 0, from, to, interval }: LinePlot): string {
  const names = [...new Set(lines.map(({ name }) => name))];
  const series = lines.map(({ name, points }): LineSeriesOption => {
    const place = names.indexOf(name);
    const dash = DASHES[Math.floor(place / COLOURS) % DASHES.length] as (typeof DASHES)[number];
    const color = colour(place);
    return {
      ...{ type: 'line', name, showSymbol: points.length === 1, symbol: 'circle', silent: true },
      data: points.map(([x, y]) => [x, y]),
      lineStyle: { color, width: 2, type: dash },
      itemStyle: { color },
    };
  });
  return draw(
    { label, height: Math.max(HEIGHT, 80 + LEGEND_ENTRY * names.length) },
    {
      grid: { left: 64, right: legendWidth(names), top: 16, bottom: 56 },
      legend: {
        orient: 'vertical',
        left: WIDTH - legendWidth(names) + 12,
        top: 12,
        data: names,
        icon: 'roundRect',
        ...TEXT_STYLE,
        ...LEGEND,
      },
      xAxis: { type: 'value', ...title(xTitle, 32), ...AXIS, splitLine: { show: false }, min: xFrom, max: 'dataMax' },
      yAxis: { type: 'value', ...title(yTitle, 44), ...AXIS, min: from, max: to, interval },
      series,
    },
  );
}

export interface DotPlot {
  readonly label: string;
  /** One row each, from above, with all its numbers. */
  readonly rows: readonly { readonly name: string; readonly values: readonly number[] }[];
  readonly xTitle: string;
}

/** A row a name, with a dot for each of its numbers. */
export function dotPlot({ label, rows, xTitle }: DotPlot): string {
  const names = rows.map(({ name }) => name);
  const series = rows.map(
    ({ name, values }): ScatterSeriesOption => ({
      ...{ type: 'scatter', symbolSize: 11, silent: true },
      data: values.map((value) => [value, name]),
      itemStyle: { color: colour(names.indexOf(name)), opacity: 0.8 },
    }),
  );
  return draw(
    { label, height: 80 + 32 * names.length },
    {
      grid: { left: 24 + longest(names) * LETTER, right: 32, top: 12, bottom: 56 },
      xAxis: { type: 'value', scale: true, ...title(xTitle, 32), ...AXIS },
      yAxis: { type: 'category', data: names, inverse: true, ...AXIS },
      series,
    },
  );
}

const LEGEND = { itemWidth: 18, itemHeight: 4, itemGap: 8, selectedMode: false } as const;

const legendWidth = (names: readonly string[]): number => 48 + longest(names) * LETTER;

/** A plot as a file of its own, for documents that show images; middling colours serve light and dark pages. */
export function standalone(svg: string): string {
  const colours = ['#2f7fd0', '#d9642b', '#2f9e63', '#b04fc0', '#c9a227', '#58a6b8', '#d0507a', '#7a7f87'];
  const series = colours.map((colour, i) => `--series-${i + 1}:${colour}`).join(';');
  return svg.replace(
    '<svg ',
    `<svg xmlns="http://www.w3.org/2000/svg" style="${series};--grid:#88888855;color:#7d828a;font-family:sans-serif" `,
  );
}

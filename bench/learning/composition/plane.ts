/** A plane with a point for each combination: what it is good at from side to side, what else upward, and the interval of each. */

import { LineChart, type LineSeriesOption, ScatterChart, type ScatterSeriesOption } from 'echarts/charts';
import { LegendComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { AXIS, COLOURS, colour, draw, LETTER, longest, TEXT_STYLE, title, WIDTH } from '../charts.ts';
import type { Interval } from '../interval.ts';

echarts.use([LineChart, ScatterChart, LegendComponent]);

export interface PlanePoint {
  readonly name: string;
  readonly x: Interval;
  readonly y: Interval;
}

export interface PlanePlot {
  /** What a reader who does not see the plot is told. */
  readonly label: string;
  readonly points: readonly PlanePoint[];
  readonly xTitle: string;
  readonly yTitle: string;
}

const HEIGHT = 420;
/** Beyond the colours of the page, another shape with the colours from the first again. */
const SHAPES = ['circle', 'diamond', 'triangle'] as const;

export function planePlot({ label, points, xTitle, yTitle }: PlanePlot): string {
  const names = points.map(({ name }) => name);
  const legend = 56 + longest(names) * LETTER;
  const dots = points.map(
    ({ name, x, y }, place): ScatterSeriesOption => ({
      ...{ type: 'scatter', name, symbolSize: 12, silent: true, z: 3 },
      symbol: SHAPES[Math.floor(place / COLOURS) % SHAPES.length] as string,
      data: [[x.mean, y.mean]],
      itemStyle: { color: colour(place) },
    }),
  );
  const bars = points.flatMap(({ x, y }, place) => [
    bar(place, [x.low, y.mean], [x.high, y.mean]),
    bar(place, [x.mean, y.low], [x.mean, y.high]),
  ]);
  return draw(
    { label, height: HEIGHT },
    {
      grid: { left: 64, right: legend, top: 16, bottom: 56 },
      legend: {
        ...{ orient: 'vertical', left: WIDTH - legend + 12, top: 12, data: names },
        ...{ itemWidth: 12, itemHeight: 12, itemGap: 8, selectedMode: false, ...TEXT_STYLE },
      },
      xAxis: { type: 'value', scale: true, ...title(xTitle, 32), ...AXIS },
      yAxis: { type: 'value', scale: true, ...title(yTitle, 44), ...AXIS },
      series: [...dots, ...bars.flat()],
    },
  );
}

type End = readonly [x: number | null, y: number | null];

/** From end to end of an interval; nothing where there is one seed. */
function bar(place: number, from: End, to: End): LineSeriesOption[] {
  const data = [from, to].flatMap(([x, y]) => (x === null || y === null ? [] : [[x, y]]));
  if (data.length < 2) return [];
  return [{ type: 'line', data, showSymbol: false, silent: true, lineStyle: { color: colour(place), width: 2 } }];
}

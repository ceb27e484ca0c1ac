/** Points with their names, and the interval of each: one number from side to side, the other upward. */

import { LineChart, type LineSeriesOption, ScatterChart, type ScatterSeriesOption } from 'echarts/charts';
import * as echarts from 'echarts/core';
import { LabelLayout } from 'echarts/features';
import { AXIS, draw, LETTER, longest, TEXT, title, WIDTH } from '../../charts.ts';
import type { Interval } from '../../interval.ts';

echarts.use([LineChart, ScatterChart, LabelLayout]);

export interface NamedPoint {
  readonly name: string;
  readonly x: Interval;
  readonly y: Interval;
  /** Drawn hollow: what is there for comparison. */
  readonly aside?: boolean;
}

export interface NamedScatter {
  /** What a reader who does not see the plot is told. */
  readonly label: string;
  readonly points: readonly NamedPoint[];
  readonly xTitle: string;
  readonly yTitle: string;
}

const HEIGHT = 560;
const INK = 'var(--series-1)';

export function namedScatter({ label, points, xTitle, yTitle }: NamedScatter): string {
  const names = LETTER * longest(points.map(({ name }) => name));
  const dots: ScatterSeriesOption = {
    ...{ type: 'scatter', symbolSize: 9, silent: true, z: 3 },
    data: points.map(({ name, x, y, aside = false }) => ({
      name,
      value: [x.mean, y.mean],
      symbol: aside ? 'emptyCircle' : 'circle',
    })),
    itemStyle: { color: INK },
    label: { show: true, position: 'right', formatter: '{b}', minMargin: 2, ...TEXT, fontSize: 12 },
    // In a column, each at the height of its point or as near as the others let it, and a line to the point.
    labelLayout: { x: WIDTH - names, moveOverlap: 'shiftY' },
    labelLine: { show: true, length2: 4, lineStyle: { color: 'var(--grid)' } },
  };
  const bars = points.flatMap(({ x, y }) => [
    ...bar([x.low, y.mean], [x.high, y.mean]),
    ...bar([x.mean, y.low], [x.mean, y.high]),
  ]);
  return draw(
    { label, height: HEIGHT },
    {
      grid: { left: 72, right: names + 24, top: 16, bottom: 56 },
      xAxis: { type: 'value', scale: true, ...title(xTitle, 32), ...AXIS },
      yAxis: { type: 'value', scale: true, ...title(yTitle, 52), ...AXIS },
      series: [...bars, dots],
    },
  );
}

type End = readonly [x: number | null, y: number | null];

/** From end to end of an interval; nothing where there is one seed. */
function bar(from: End, to: End): LineSeriesOption[] {
  const data = [from, to].flatMap(([x, y]) => (x === null || y === null ? [] : [[x, y]]));
  if (data.length < 2) return [];
  const lineStyle = { color: INK, width: 1, opacity: 0.35 };
  return [{ type: 'line', data, showSymbol: false, silent: true, lineStyle }];
}

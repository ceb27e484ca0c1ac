/** A matrix of accuracies as a picture: the darker, the better. */

import { HeatmapChart } from 'echarts/charts';
import { VisualMapComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { AXIS, draw, TEXT, title } from '../charts.ts';

echarts.use([HeatmapChart, VisualMapComponent]);

const CELL = 38;
const MARGIN = { left: 52, right: 8, top: 8, bottom: 44 };
/** Of a cell that is all right: numbers are still legible on it. */
const DARKEST = 0.6;

/** matrix[i][j]: the accuracy on context j after so many rows of contexts, 0 to 1. `rows` names them. */
export function heatMap(label: string, matrix: readonly (readonly number[])[], rows: readonly string[]): string {
  const columns = matrix[0]?.length ?? 0;
  const cells = matrix.flatMap((row, i) => row.map((accuracy, j) => [j, i, accuracy]));
  const numbers = Array.from({ length: columns }, (_, j) => String(j + 1));
  const axis = { type: 'category', ...AXIS, splitLine: { show: false }, axisLine: { show: false } } as const;
  const size = {
    width: MARGIN.left + CELL * columns + MARGIN.right,
    height: MARGIN.top + CELL * matrix.length + MARGIN.bottom,
  };
  return draw(
    { label, ...size },
    {
      // The grid has the size that its cells need, however long titles are.
      grid: { ...MARGIN, outerBoundsMode: 'none' },
      xAxis: { ...axis, data: numbers, ...title('asked about context', 28) },
      yAxis: { ...axis, data: rows, inverse: true, ...title('after context', 32) },
      // Colours of the page cannot be mixed here; how much of one is seen can be chosen.
      visualMap: { show: false, min: 0, max: 1, dimension: 2, inRange: { opacity: [0, DARKEST] } },
      series: [
        {
          type: 'heatmap',
          silent: true,
          data: cells,
          itemStyle: { color: 'var(--series-1)' },
          label: {
            show: true,
            ...TEXT,
            opacity: 1,
            formatter: ({ value }: { value: readonly number[] }) => (100 * (value[2] ?? 0)).toFixed(0),
          },
        },
      ],
    },
  );
}

/**
 * What all plots of the reports share: SVG in a string, drawn by echarts without a browser. Colours are CSS variables of the page
 * (--series-1 .. --series-8, --grid) and its text colour, so that one plot serves light and dark pages. Plots whose kinds of
 * series and components need more than a grid `use` them where they are drawn.
 */

import { GridComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { escapeHtml } from './page.ts';

echarts.use([GridComponent, SVGRenderer]);

/** Colours of the page; what is beyond them takes the colours from the first again. */
export const COLOURS = 8;
/** Pixels from side to side, unless a plot says otherwise. */
export const WIDTH = 760;
/** Pixels, about, of a letter at the size of the plots. */
export const LETTER = 8;

export const TEXT = { color: 'currentColor', fontSize: 13 } as const;
export const TEXT_STYLE = { textStyle: TEXT } as const;
const GRID_LINE = { lineStyle: { color: 'var(--grid)' } } as const;
export const AXIS = {
  axisLabel: TEXT,
  splitLine: { show: true, ...GRID_LINE },
  axisLine: { show: true, ...GRID_LINE },
  axisTick: { show: false },
} as const;

export const title = (name: string, nameGap: number) =>
  ({ name, nameGap, nameLocation: 'middle', nameTextStyle: TEXT }) as const;

export const colour = (place: number): string => `var(--series-${(place % COLOURS) + 1})`;

export const longest = (names: readonly string[]): number => Math.max(...names.map(({ length }) => length));

export interface Drawing {
  /** What a reader who does not see the plot is told. */
  readonly label: string;
  readonly width?: number;
  readonly height: number;
}

export function draw({ label, width = WIDTH, height }: Drawing, option: echarts.EChartsCoreOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, backgroundColor: 'transparent', textStyle: FONT, ...option });
    // Within HTML the namespaces are known, and nothing here answers to the pointer.
    return chart
      .renderToSVGString()
      .replaceAll(/<style.*?<\/style>\s*/gs, '')
      .replaceAll(/ xmlns(:xlink)?="[^"]*"/g, '')
      .replace('<svg ', `<svg role="img" aria-label="${escapeHtml(label)}" `);
  } finally {
    // An open chart keeps the program running.
    chart.dispose();
  }
}

const FONT = { color: 'currentColor', fontFamily: 'inherit' } as const;

/** The report of the experiment as one HTML page. */

import { measureNamed } from '../../../src/index.ts';
import type { About } from '../about.ts';
import { aboutList, definitions, escapeHtml, figure, page, wideTable } from '../page.ts';
import { anchorSection } from './anchors/report.ts';
import type { AnchorRun } from './anchors/run.ts';
import type { AnchorOrdered } from './anchors/summary.ts';
import { criticalDifferenceDiagram } from './critical-difference.ts';
import { curvePlot } from './curve-plot.ts';
import { bandOf, type Ordered, type Overall, orderingRows, type Setting, settingText } from './ordering.ts';
import { named, nameOf, networkTexts, testText } from './page-parts.ts';
import type { Run } from './run.ts';
import type { Curve } from './validation.ts';

export interface ReportContents {
  /** What came of removal, and what of anchors; one of them may be empty. */
  readonly runs: readonly Run[];
  readonly ordering: readonly Ordered[];
  readonly overall: readonly Overall[];
  readonly anchorRuns: readonly AnchorRun[];
  readonly anchors: readonly AnchorOrdered[];
  readonly about: About;
}

const WHAT = `Weights are replaced in the order of their importance, the least important first, and in another run the most important first.
Area: between these two curves of accuracy over the fraction that is gone. Turning an order round turns the sign of its area, so a
random order has 0; where the oracle is known and its interval lies above 0, 1 is the mean area of the oracle on the same networks (scale 'oracle'), which removes weights by
what removing each alone does to the loss on the held-out examples. That is an order and no bound: what is removed together may do
better. tau90: the largest fraction that can go, least important first, with 90 % of the accuracy left at every step up to it. Means over
seeds; intervals of 95 % by Student's t.`;

const RANKS = `Ranks: all measures see the same networks with the same noise; rank 1 is the best, means over the networks. Measures that share
a letter are tied: their mean ranks are less than Nemenyi's critical difference apart (5 %), or Friedman's test (in the form of Iman and Davenport) finds no
difference at all. Above random: paired differences of areas, in accuracy, with bootstrap intervals (BCa), the probability of Wilcoxon's
signed ranks with Holm's correction, and Cliff's delta. Of few seeds such intervals are too narrow, and the least probability that there can be is 2 / 2^seeds.`;

const XTITLE = 'fraction of the weights that is gone';

export function report({ runs, ordering, overall, anchorRuns, anchors, about }: ReportContents): string {
  const all = [...ordering, ...anchors].flatMap(({ rows }) => rows.map(({ measure }) => measure));
  const ordered = [...new Set(ordering.flatMap(({ rows }) => rows.map(({ measure }) => measure)))];
  const halves = anchorRuns.map((run) => ({ ...run, examples: run.examples.first + run.examples.second }));
  const networks = [...new Set(runs.map(nameOf))];
  return page(
    'Which weights matter',
    `<p>${escapeHtml(networkTexts(runs.length > 0 ? runs : halves).join(' '))}</p>
${definitions([...new Set(all)].map((name) => [name, measureNamed(name).about]))}
${runs.length === 0 ? '' : `<p>${WHAT}</p>`}
<p>${RANKS}</p>
${overall.map((one) => overallFigure(one)).join('\n')}
${networks.map((name) => section(name, runs, ordering, ordered)).join('\n')}
${anchorSection(anchors)}
<h2>How this was made</h2>
${aboutList(about)}`,
  );
}

function overallFigure({ aggregation, comparison, replacement, test }: Overall): string {
  const words = `All tasks and networks together, by ${aggregation}, compared by ${comparison}, replaced by ${replacement}`;
  return figure(
    words,
    criticalDifferenceDiagram(words, test),
    `${testText(test)} Blocks are networks at their last epoch.`,
  );
}

/** Everything about a network on a task. `all` measures of the report have a colour of their own. */
function section(name: string, runs: readonly Run[], ordering: readonly Ordered[], all: readonly string[]): string {
  const own = ordering.filter(({ setting }) => nameOf(setting) === name);
  const last = Math.max(...own.map(({ setting }) => setting.epoch));
  const networks = runs.filter((run) => nameOf(run) === name);
  return [
    `<h2>${escapeHtml(name)}</h2>`,
    ...own.map((one) => settingPart(one, networks, all, one.setting.epoch === last)),
    epochsPart(own, all),
    aggregationsPart(own, networks, last),
  ].join('\n');
}

const curvesOf = (runs: readonly Run[], setting: Setting, measure: string, direction: Curve['direction']): Curve[] =>
  runs.flatMap(({ curves }) =>
    curves.filter(
      (one) =>
        one.measure === measure &&
        one.direction === direction &&
        one.epoch === setting.epoch &&
        one.aggregation === setting.aggregation &&
        one.comparison === setting.comparison &&
        one.replacement === setting.replacement,
    ),
  );

/** Curves of a setting; of the last epoch also those of the other direction, the diagram and the table. */
function settingPart(
  { setting, rows, test }: Ordered,
  runs: readonly Run[],
  all: readonly string[],
  whole: boolean,
): string {
  const words = settingText(setting);
  const measures = rows.map(({ measure }) => measure);
  const plot = (direction: Curve['direction'], order: string): string =>
    named(
      `${words}: ${order} first`,
      curvePlot({
        label: `Accuracy without the ${order} weights: ${words}`,
        series: measures.map((name) => ({
          name,
          shade: all.indexOf(name),
          points: bandOf(curvesOf(runs, setting, name, direction)),
        })),
        ...{ xTitle: XTITLE, yTitle: 'accuracy', range: [0, 1] },
      }),
      'Means over seeds with intervals of 95 %; the measures stand in the order of the table.',
    );
  const plots = [plot('least', 'least important')];
  if (!whole) return plots.join('\n');
  plots.push(plot('most', 'most important'));
  if (test !== null)
    plots.push(named(`${words}: ranks`, criticalDifferenceDiagram(`Mean ranks: ${words}`, test), testText(test)));
  const [head = [], ...lines] = orderingRows({ setting, rows, test });
  plots.push(wideTable(head, lines), `<p>Scale of the areas: ${rows[0]?.scale}.</p>`);
  return plots.join('\n');
}

/** Areas over epochs, where there are several. */
function epochsPart(own: readonly Ordered[], all: readonly string[]): string {
  const groups = new Map<string, Ordered[]>();
  for (const one of own) {
    const key = settingText({ ...one.setting, epoch: 0 }).replace(', epoch 0', '');
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups]
    .filter(([, epochs]) => epochs.length > 1)
    .map(([words, epochs]) => {
      const measures = epochs.at(-1)?.rows.map(({ measure }) => measure) ?? [];
      return named(
        `${words}: over epochs`,
        curvePlot({
          label: `Areas over epochs: ${words}`,
          series: measures.map((name) => ({
            name,
            shade: all.indexOf(name),
            points: epochs.map(({ setting, rows }) => {
              const row = rows.find(({ measure }) => measure === name);
              return { x: setting.epoch, y: row ? { mean: row.area, low: row.low, high: row.high } : null };
            }),
          })),
          ...{ xTitle: 'epoch', yTitle: 'area' },
        }),
        'The area of each measure, means over seeds with intervals of 95 %.',
      );
    })
    .join('\n');
}

/** For each measure its curves by aggregation at the last epoch, where there are several. */
function aggregationsPart(own: readonly Ordered[], runs: readonly Run[], last: number): string {
  const settings = own.filter(({ setting }) => setting.epoch === last);
  if (new Set(settings.map(({ setting }) => setting.aggregation)).size < 2) return '';
  const measures = [...new Set(settings.flatMap(({ rows }) => rows.map(({ measure }) => measure)))];
  const several = new Set(settings.map(({ setting }) => `${setting.comparison} ${setting.replacement}`)).size > 1;
  const figures = measures.map((measure) => {
    const series = settings
      .map(({ setting }) => ({
        name: several ? `${setting.aggregation}, ${setting.comparison}, ${setting.replacement}` : setting.aggregation,
        points: bandOf(curvesOf(runs, setting, measure, 'least')),
      }))
      .filter(({ points }) => points.length > 0);
    const plot = curvePlot({
      label: `Accuracy without the least important weights by ${measure}, by aggregation`,
      ...{ series, xTitle: XTITLE, yTitle: 'accuracy', width: several ? 760 : 440, range: [0, 1] },
    });
    return `<figure>\n${plot}\n<figcaption>${escapeHtml(measure)}</figcaption>\n</figure>`;
  });
  return `<h3>By aggregation, epoch ${last}, least important first</h3>\n<div class="plots">\n${figures.join('\n')}\n</div>`;
}

/** The report of the experiment as one HTML page. */

import type { About } from '../about.ts';
import { aboutList, definitions, escapeHtml, figure, page, settingsText, wideTable } from '../page.ts';
import { bandPlot } from '../plasticity/bands.ts';
import { COMBINATIONS, combinationOf } from './combinations.ts';
import { planePlot } from './plane.ts';
import type { Run } from './run.ts';
import { compositionRows, curveOf, type Group, groupsOf, type Measure, measured } from './summary.ts';

export interface ReportContents {
  /** At least one, all of one stream. */
  readonly runs: readonly Run[];
  readonly about: About;
}

const WHAT = `All, at the end: accuracy when the last context has been learned, mean over all contexts. Forgetting: the best accuracy on a context before
the end less that at the end, mean over all contexts but the last (Chaudhry et al. 2018). New, early and late: accuracy on a context when it has just
been learned, mean over the first and the last sixth of the contexts. Both: the mean of all at the end and new late. Dead: hidden units that are 0 for
all test images of the last context, at the end. Replaced: units that continual backprop drew anew. s: seconds of learning. Means over seeds ± half
the interval of 95 % by Student's t; without ± there is one seed.`;

const NOTE = `Lines are means over seeds. Bands are intervals of 95 % for the mean, by Student's t.`;

export function report({ runs, about }: ReportContents): string {
  const [first] = runs;
  if (first === undefined) throw new Error('report: there are no runs.');
  const groups = groupsOf(runs);
  const [head = [], ...lines] = compositionRows(runs);
  const described = COMBINATIONS.filter(({ name }) => groups.some((group) => group.name === name));
  return page(
    'Memory and plasticity on one network',
    `<p>${escapeHtml(`${about.data}: ${protocol(first)}`)}</p>
${definitions(described.map(({ name, about: what }) => [name, describe(what, groups, name)]))}
<h2>Results</h2>
${wideTable(head, lines)}
<p>${WHAT}</p>
${planes(groups)}${curves(groups)}<h2>How this was made</h2>
${aboutList(about)}`,
  );
}

function protocol({ contexts, iterations, batch, hidden, lr }: Run): string {
  return `ten digits at half their size, in ${contexts} contexts, in each of which all pixels are permuted in one way. The network is never told which context
it is. Hidden layers of ${hidden.join(' and ')} ReLU units; ${iterations} steps a context with ${batch} images each; one Adam (learning rate ${lr}).`;
}

function describe(what: string, groups: readonly Group[], name: string): string {
  const settings = settingsText(groups.find((group) => group.name === name)?.runs[0]?.settings ?? {});
  return settings === '' ? what : `${what}; ${settings}`;
}

function planes(groups: readonly Group[]): string {
  const plane = (heading: string, across: Measure, xTitle: string, note: string): string => {
    const points = groups.flatMap(({ name, runs }) => {
      const [x, y] = [measured(runs, across), measured(runs, 'late')];
      return x === null || y === null ? [] : [{ name, x, y }];
    });
    if (points.length === 0) return '';
    const yTitle = 'accuracy on new contexts, late';
    return `${figure(heading, planePlot({ label: `${yTitle}, over ${xTitle}`, points, xTitle, yTitle }), note)}\n`;
  };
  const bars = 'Dots are means over seeds, lines intervals of 95 %.';
  return `${plane('Forgetting and plasticity', 'forgetting', 'forgetting', `Up and to the left is better. ${bars}`)}${plane(
    'What is known, and what can still be learned',
    ...(['average', 'accuracy on all contexts, at the end'] as const),
    `Up and to the right is better: a network that learns little forgets little, but knows little, too. ${bars}`,
  )}`;
}

/** Two plots of each curve: what stands alone, and what is together. */
function curves(groups: readonly Group[]): string {
  const parts = [
    ['alone', (name: string) => partsOf(name) < 2],
    ['together', (name: string) => name === 'none' || partsOf(name) >= 2],
  ] as const;
  const plots = (
    [
      ['learned', 'accuracy on a new context', 'What is reached on each new context'],
      ['remembered', 'mean accuracy on contexts so far', 'What is known of all contexts so far'],
    ] as const
  ).flatMap(([curve, yTitle, heading]) =>
    parts.map(([word, belongs]) => {
      const bands = groups
        .filter(({ name, runs }) => belongs(name) && runs.some((run) => run[curve] !== null))
        .map(({ name, runs }) => ({ name, points: curveOf(runs, curve) }));
      if (bands.length === 0) return '';
      const svg = bandPlot({ label: `${yTitle}, ${word}`, bands, xTitle: 'contexts learned', yTitle, xStep: 1 });
      return `${figure(`${heading}: ${word}`, svg, NOTE)}\n`;
    }),
  );
  return plots.join('');
}

/** How many methods there are in a combination. */
const partsOf = (name: string): number =>
  Object.keys(combinationOf(name).strengths).filter((strength) => strength !== 'protect').length;

/** The report of the experiment as one HTML page. */

import type { About } from '../about.ts';
import { aboutList, definitions, escapeHtml, html, page, settingsText, wideTable } from '../page.ts';
import { heatMap } from './heat-map.ts';
import { SCENARIOS } from './method.ts';
import { METHODS } from './methods.ts';
import { BATCH, EMBEDDED, PROBLEMS } from './problem.ts';
import type { Reference } from './reference.ts';
import type { Run } from './run.ts';
import { type Cell, cellsOf, forgettingRows, meanMatrix, otherOrders } from './summary.ts';

export interface ReportContents {
  /** At least one, all of one problem. */
  readonly runs: readonly Run[];
  readonly reference: Reference | null;
  readonly about: About;
}

const WHAT = `Accuracy: mean over all contexts of the share of their test images that are classified rightly at the end. Forgetting: the
best accuracy on a context before the end, less that at the end, mean over all contexts but the last (Chaudhry et al. 2018). Backward
and forward: what learning the later contexts did to the accuracy on the earlier ones, and what learning the earlier ones did to the accuracy
on a context that was still to come, both in points (Lopez-Paz and Ranzato 2017). There are none (-) where all contexts were
learned at once. Means over seeds ± half the interval of 95 % by Student's t; without ± there is one seed. s a run: seconds of learning.`;

const KINDS = {
  task: 'It is always told which context an image is of.',
  domain: 'It is not told which context an image is of, and answers with the place of the class in its context.',
  class: 'It is not told which context an image is of, and tells the classes of all contexts apart.',
} as const;

const MAPS = `Rows: when so many contexts were learned. Columns: the context that it was asked about, its whole test set. In each cell the
accuracy in percent, mean over seeds.`;

export function report({ runs, reference, about }: ReportContents): string {
  const [first] = runs;
  if (first === undefined) throw new Error('report: there are no runs.');
  const cells = cellsOf(runs);
  const [head = [], ...lines] = forgettingRows(runs, reference);
  return page(
    'What is forgotten',
    `<p>${escapeHtml(`${about.data}: ${PROBLEMS[first.problem].about}. ${protocol(first)}`)}</p>
${definitions(METHODS.filter(({ name }) => runs.some(({ method }) => method === name)).map((method) => [method.name, describe(method, cells)]))}
<h2>Results</h2>
${wideTable(head, lines)}
<p>${WHAT}</p>
${reference === null ? '' : referenceNote(runs, reference, about.data)}${SCENARIOS.map((scenario) =>
  maps(
    scenario,
    cells.filter((cell) => cell.scenario === scenario),
  ),
).join('')}<h2>How this was made</h2>
${aboutList(about)}`,
  );
}

/** How the runs went. */
function protocol({ hidden, iterations, batch, lr, contexts }: Run): string {
  const steps = iterations.toLocaleString('en-US');
  return `Hidden layers of ${hidden.join(' and ')} ReLU units; ${contexts} contexts of ${steps} steps with ${batch} images each; one Adam (learning rate ${lr}) for all contexts.`;
}

/** What a method does, and its settings in each scenario, once where they are the same in all. */
function describe({ name, about }: { name: string; about: string }, cells: readonly Cell[]): string {
  const texts = cells
    .filter(({ method }) => method === name)
    .map(({ scenario, runs: [run] }) => ({ scenario, text: settingsText(run?.settings ?? {}) }))
    .filter(({ text }) => text !== '');
  const different = new Set(texts.map(({ text }) => text));
  const settings = different.size === 1 ? [...different] : texts.map(({ scenario, text }) => `in ${scenario}: ${text}`);
  return [about, ...settings].join('; ');
}

function referenceNote(runs: readonly Run[], reference: Reference, data: string): string {
  const sentences = [`Reference: ${reference.name}. Where both intervals are known and share a number, they meet.`];
  const others = otherOrders(runs, reference);
  if (others.length > 0)
    sentences.push(
      `Its digits came in other orders than here with the ${others.length === 1 ? 'seed' : 'seeds'} ${others.join(', ')}.`,
    );
  if (data === EMBEDDED || !runs.every(isPublished))
    sentences.push(
      'Data, network or steps of the runs here are others than the published ones: it is no comparison of like with like.',
    );
  return html`<p>${sentences.join(' ')}</p>
`;
}

/** Whether a run has the network and the steps that were published. */
function isPublished({ problem, hidden, iterations, batch, lr, contexts }: Run): boolean {
  const usual = PROBLEMS[problem];
  return (
    String(hidden) === String(usual.hidden) &&
    [iterations, batch, lr, contexts].join() === [usual.iterations, BATCH, usual.lr, usual.contexts].join()
  );
}

function maps(scenario: (typeof SCENARIOS)[number], cells: readonly Cell[]): string {
  if (cells.length === 0) return '';
  const figures = cells.map(({ method, runs }) => {
    const matrix = meanMatrix(runs);
    const rows = matrix.length === 1 ? ['all'] : matrix.map((_, i) => String(i + 1));
    const label = `Accuracy of ${method} on each context after each context, scenario ${scenario}`;
    return `<figure>\n${heatMap(label, matrix, rows)}\n<figcaption>${escapeHtml(method)}</figcaption>\n</figure>`;
  });
  return `<h2>Scenario: ${scenario}</h2>
<p>${KINDS[scenario]} ${MAPS}</p>
<div class="plots">
${figures.join('\n')}
</div>
`;
}

/** The report of the experiment as one HTML page. */

import type { About } from '../about.ts';
import { aboutList, definitions, escapeHtml, figure, page, settingsText, wideTable } from '../page.ts';
import { bandPlot } from './bands.ts';
import { DORMANT_TAU, type Run } from './run.ts';
import { byAlgorithm, type Curve, curveOf, plasticityRows } from './summary.ts';

export interface ReportContents {
  /** At least one. */
  readonly runs: readonly Run[];
  readonly algorithms: readonly { readonly name: string; readonly about: string; readonly settings: object }[];
  readonly about: About;
}

const PROBLEMS = {
  regression: `Slowly changing regression: 20 bits, of which 15 change only every 10,000 steps; the target is what a fixed random network of 100
threshold units says of them. The learner has 5 hidden ReLU units (Dohare et al., "Loss of plasticity in deep continual learning", 2024).`,
  permuted: `Permuted images: with each task the pixels of all images are permuted anew. The learner has three hidden layers of 100 ReLU units; a
task is one pass over the training images.`,
  'permuted-short': `Permuted images: every 5,000 steps the pixels of all images are permuted anew. The learner has two hidden layers of 300 and
150 ReLU units (Elsayed and Mahmood, "Addressing loss of plasticity and catastrophic forgetting in continual learning", 2024).`,
} as const;

const NOTE = `Lines are means over seeds. Bands are intervals of 95 % for the mean, by Student's t. Every example was scored before it was
learned from.`;

export function report({ runs, algorithms, about }: ReportContents): string {
  const [first] = runs;
  if (first === undefined) throw new Error('report: there are no runs.');
  const groups = byAlgorithm(runs);
  const named = algorithms.filter(({ name }) => groups.has(name));
  const seeds = new Set(runs.map(({ seed }) => seed)).size;
  const plot = (heading: string, curve: Curve, yTitle: string, note: string): string => {
    const bands = named.map(({ name }) => ({ name, points: curveOf(groups.get(name) ?? [], curve) }));
    const svg = bandPlot({ label: `${yTitle}, over steps`, bands, xTitle: 'steps', yTitle, xStep: first.binSize });
    return figure(heading, svg, note);
  };
  const [head = [], ...lines] = plasticityRows(runs);
  const length = `${first.steps.toLocaleString('en-US')} steps, one example each; ${seeds} ${seeds === 1 ? 'seed' : 'seeds'}.`;
  return page(
    'Loss of plasticity',
    `<p>${PROBLEMS[first.problem]} ${escapeHtml(length)}</p>
${definitions(named.map(({ name, about, settings }) => [name, `${about}; ${settingsText(settings)}`]))}
<h2>Results</h2>
${wideTable(head, lines)}
<p>Mean over seeds ± half the interval of 95 %.</p>
${plot(first.metric === 'online accuracy' ? 'Online accuracy' : 'Error', 'bins', first.metric, NOTE)}
${plot('Dead units', 'dead', 'share of hidden units', 'Hidden units that are 0 for each of the last 1,000 examples of a bin.')}
${plot(
  'Dormant units',
  'dormant',
  'share of hidden units',
  `Hidden units whose mean |h| over these examples is at most ${DORMANT_TAU} of their layer's mean (Sokar et al. 2023); the dead ones are among them.`,
)}
${plot('Effective rank', 'rank', 'effective rank', 'Of the last hidden layer over these examples (Roy and Vetterli 2007); 0 where all units are dead.')}
${plot('Weight magnitude', 'magnitude', 'mean |w|', 'Of all weights, without the biases, at the end of a bin.')}
<h2>How this was made</h2>
${aboutList(about)}`,
  );
}

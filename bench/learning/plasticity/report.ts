/** The report of the experiment as one HTML page: nothing is loaded with it, and no script runs in it. */

import type { About } from '../about.ts';
import { escapeHtml } from '../rules/charts.ts';
import { bandPlot } from './bands.ts';
import type { Run } from './run.ts';
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
    return `<h2>${heading}</h2>\n<figure>\n${svg}\n<figcaption>${note}</figcaption>\n</figure>`;
  };
  const [head = [], ...lines] = plasticityRows(runs);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Loss of plasticity</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Loss of plasticity</h1>
<p>${PROBLEMS[first.problem]} ${escapeHtml(`${first.steps.toLocaleString('en-US')} steps, one example each; ${seeds} ${seeds === 1 ? 'seed' : 'seeds'}.`)}</p>
<dl>
${named.map(({ name, about, settings }) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(`${about}; ${settingsText(settings)}`)}</dd>`).join('\n')}
</dl>
<h2>Results</h2>
<div class="wide"><table>
<thead>${cells('th', head)}</thead>
<tbody>
${lines.map((line) => cells('td', line)).join('\n')}
</tbody>
</table></div>
<p>Mean over seeds ± half the interval of 95 %.</p>
${plot(first.metric === 'online accuracy' ? 'Online accuracy' : 'Error', 'bins', first.metric, NOTE)}
${plot('Dead units', 'dead', 'share of hidden units', 'Hidden units that are 0 for each of the last 1,000 examples of a bin.')}
${plot('Effective rank', 'rank', 'effective rank', 'Of the last hidden layer over these examples (Roy and Vetterli 2007); 0 where all units are dead.')}
<h2>How this was made</h2>
<dl>
${Object.entries({
  Command: about.command,
  Machine: about.machine,
  Versions: `palimpsest ${about.versions.palimpsest}, Node ${about.versions.node}, kernels: ${about.kernels}`,
  Date: about.date,
})
  .map(([name, text]) => `<dt>${name}</dt><dd>${escapeHtml(text)}</dd>`)
  .join('\n')}
</dl>
</main>
</body>
</html>
`;
}

const settingsText = (settings: object): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');

const cells = (tag: 'td' | 'th', texts: readonly string[]): string =>
  `<tr>${texts.map((text) => `<${tag}>${escapeHtml(text)}</${tag}>`).join('')}</tr>`;

/** Series: Okabe and Ito's colours, as in the report on rules. */
const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1c1c1c; --quiet: #595959; --grid: #d9d9d9;
  --series-1: #0072b2; --series-2: #d55e00; --series-3: #008060; --series-4: #b0578d;
  --series-5: #a87400; --series-6: #2f8fc4; --series-7: #555; --series-8: #7d7500;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161616; --ink: #e8e8e8; --quiet: #a8a8a8; --grid: #3c3c3c;
    --series-1: #4ba3e3; --series-2: #f08040; --series-3: #2fc29b; --series-4: #dd8fbd;
    --series-5: #e8a92c; --series-6: #8cc8ee; --series-7: #b8b8b8; --series-8: #e0d84c;
  }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
figure { margin: 0; } figcaption { color: var(--quiet); } p, figcaption, dd { max-width: 46rem; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--grid); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
`;

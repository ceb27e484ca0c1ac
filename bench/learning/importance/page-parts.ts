/** What both parts of the page are made of. */

import { interval } from '../interval.ts';
import { escapeHtml } from '../page.ts';
import { NETWORKS } from './models.ts';
import type { Ordered } from './ordering.ts';
import type { Run } from './run.ts';
import { TASKS } from './tasks.ts';

/** A network on a task. */
export const nameOf = ({ task, model }: { readonly task: string; readonly model: string }): string =>
  `${model} on ${task}`;

interface Trained extends Pick<Run, 'task' | 'model' | 'parameters' | 'examples'> {
  readonly seconds: { readonly training: number };
}

/** A sentence for each network. */
export function networkTexts(runs: readonly Trained[]): string[] {
  return [...new Set(runs.map(nameOf))].map((name) => {
    const own = runs.filter((run) => nameOf(run) === name);
    const [{ task, model, parameters, examples }] = own as [Trained];
    const seconds = interval(own.map((run) => run.seconds.training))?.mean ?? 0;
    return `${name}: ${NETWORKS[model].about}, ${parameters.toLocaleString('en-US')} parameters; ${TASKS[task].about}; ${examples} held-out examples, ${own.length} seeds, ${seconds.toFixed(1)} s to train one.`;
  });
}

/** A plot with its heading and what there is to know of it; none of them is HTML but the plot. */
export const named = (heading: string, plot: string, note: string): string =>
  `<h3>${escapeHtml(heading)}</h3>\n<figure>\n${plot}\n<figcaption>${escapeHtml(note)}</figcaption>\n</figure>`;

/** What Friedman's test says of the ranks. */
export function testText({ blocks, chiSquare, f, p }: NonNullable<Ordered['test']>): string {
  if (p === null) return 'One network: nothing can be tested, and all measures are tied.';
  const form = f === null ? 'all blocks have one order' : `F ${f.toFixed(2)}`;
  return `Friedman over ${blocks} blocks: chi-squared ${(chiSquare ?? 0).toFixed(2)}, ${form}, p ${p < 0.0001 ? 'below 0.0001' : p.toFixed(4)}.`;
}

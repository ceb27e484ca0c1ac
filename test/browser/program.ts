/** What the pages of policy.chromium.ts load, as a bundle, in the page itself and in a worker: trains and says what came of it. */
import * as p from '../../src/index.ts';
import { type Outcome, outcomeOf, type RunName } from './training.ts';

export interface Report {
  readonly kernels: p.KernelSet;
  readonly isolated: boolean;
  readonly outcomes: Readonly<Record<string, Outcome>>;
}

/** What is trained: what the query of the address says, or these. */
const tried: readonly RunName[] =
  location.search === ''
    ? ['MLP under Adam', 'CNN under SGD']
    : [decodeURIComponent(location.search.slice(1)) as RunName];

async function trainAll(): Promise<Report> {
  const outcomes: Record<string, Outcome> = {};
  for (const name of tried) outcomes[name] = await outcomeOf(p, name);
  return { kernels: p.kernelSet(), isolated: globalThis.crossOriginIsolated, outcomes };
}

/** In a page the test looks here for the report; a worker sends it to its page, which puts it here. */
const tell = (report: Report | string): void => {
  if (typeof document === 'undefined') postMessage(report);
  else Object.assign(globalThis, { report });
};

trainAll().then(tell, (error) => tell(String(error)));

/** Methods that hold weights where they are, each as firmly as it mattered. */

import { ewc } from '../../../../src/continual/anchoring/ewc.ts';
import { mas } from '../../../../src/continual/anchoring/mas.ts';
import { rwalk } from '../../../../src/continual/anchoring/rwalk.ts';
import { si } from '../../../../src/continual/anchoring/si.ts';
import type { ScenarioKind } from '../../../../src/data/scenarios.ts';
import { defineContender, type ProblemName, SCENARIOS } from '../method.ts';

/** What these do when the last context has ended is for nothing, and takes its time. */
const everywhere = { scenarios: SCENARIOS, course: 'sequence', endsLast: false } as const;

type Strengths = Readonly<Record<ScenarioKind, number>>;
const same = (strength: number): Strengths => ({ task: strength, domain: strength, class: strength });

/** Of van de Ven's published runs. For permuted images they have one for all. */
const LAMBDA: Readonly<Record<ProblemName, Strengths>> = {
  split: { task: 1e5, domain: 1e10, class: 1e9 },
  permuted: same(100),
};
const STRENGTH: Readonly<Record<ProblemName, Strengths>> = {
  split: { task: 10, domain: 5e4, class: 5e3 },
  permuted: same(10),
};

export const consolidation = defineContender({
  ...everywhere,
  name: 'ewc',
  about:
    'elastic weight consolidation: weights are held where they were after each context, by the Fisher information (Kirkpatrick et al. 2017)',
  settings: (problem, scenario) => ({ lambda: LAMBDA[problem][scenario] }),
  make: ({ generator }, settings) => [ewc({ ...settings, generator })],
});

export const onlineConsolidation = defineContender({
  ...everywhere,
  name: 'online-ewc',
  about: 'the same with one centre, where weights were last, and one Fisher information, a sum (Schwarz et al. 2018)',
  settings: (problem, scenario) => ({ lambda: LAMBDA[problem][scenario], gamma: 1 }),
  make: ({ generator }, { lambda, gamma }) => [ewc({ lambda, online: { gamma }, generator })],
});

export const synapticIntelligence = defineContender({
  ...everywhere,
  name: 'si',
  about: 'synaptic intelligence: weights are held by what their own way made the loss fall (Zenke et al. 2017)',
  settings: (problem, scenario) => ({ strength: STRENGTH[problem][scenario], damping: 0.1 }),
  make: (_, settings) => [si(settings)],
});

export const memoryAware = defineContender({
  ...everywhere,
  name: 'mas',
  about:
    'memory aware synapses: weights are held by how much the length of the answer depends on them (Aljundi et al. 2018); strength not tuned',
  settings: () => ({ lambda: 1 }),
  make: ({ generator }, settings) => [mas({ ...settings, generator })],
});

export const riemannianWalk = defineContender({
  ...everywhere,
  name: 'rwalk',
  about:
    'Riemannian walk: weights are held by Fisher information and by what their way made the loss fall (Chaudhry et al. 2018); strength not tuned',
  settings: () => ({ lambda: 0.1, alpha: 0.9, every: 10 }),
  make: (_, settings) => [rwalk(settings)],
});

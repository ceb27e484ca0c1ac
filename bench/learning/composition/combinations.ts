/**
 * What is put on one network: nothing, one method, two or three, and the bounds that they are measured by.
 *
 * Each method has one strength (two where continual backprop is told what EWC holds). They were chosen for each combination by itself, as
 * tuning.ts says, on a seed that no run of the experiment has. Nothing else differs between combinations.
 */

import { type EWCOptions, ewc } from '../../../src/continual/anchoring/ewc.ts';
import { confidence } from '../../../src/continual/confidence.ts';
import type { Method } from '../../../src/continual/method.ts';
import { continualBackprop, type ResettingMethod } from '../../../src/continual/plasticity-methods.ts';
import type { Generator } from '../../../src/index.ts';

/** Of EWC its lambda, of continual backprop its rate and how much it heeds what EWC holds, of confidence the least that gates let pass. */
export const STRENGTHS = ['lambda', 'rate', 'protect', 'floor'] as const;
export type Strength = (typeof STRENGTHS)[number];
export type Strengths = Readonly<Partial<Record<Strength, number>>>;

/**
 * sequence: context after context. fresh: the same, but network and optimizer are drawn anew where a context begins. joint: the images of
 * all contexts mixed, for as many steps.
 */
export type Course = 'sequence' | 'fresh' | 'joint';

export interface Combination {
  /** One word, for --methods and tables. */
  readonly name: string;
  /** What it does, in a sentence. */
  readonly about: string;
  readonly course: Course;
  /** The strengths that it has. Which methods there are follows from them. */
  readonly strengths: Strengths;
}

const [EWC, RESETS, GATES] = [
  'EWC (online, one centre) holds weights where they were after the last context, by the sum of their Fisher information',
  'continual backprop draws the least useful of the mature units anew',
  'confidence gates let weights that mattered in earlier contexts change less',
];
const HEED = 'units whose weights EWC holds are spared the longer, the more they are held';

export const COMBINATIONS: readonly Combination[] = [
  { name: 'none', about: 'Adam, and nothing else', course: 'sequence', strengths: {} },
  { name: 'ewc', about: EWC, course: 'sequence', strengths: { lambda: 0.24 } },
  { name: 'continual-backprop', about: RESETS, course: 'sequence', strengths: { rate: 2.2e-4 } },
  { name: 'confidence', about: GATES, course: 'sequence', strengths: { floor: 0.22 } },
  {
    name: 'ewc+continual-backprop',
    about: 'both; what EWC knew of the weights of a unit is forgotten with the unit',
    ...{ course: 'sequence', strengths: { lambda: 0.24, rate: 2.2e-5 } },
  },
  {
    name: 'ewc+continual-backprop-protected',
    about: `both; ${HEED}`,
    ...{ course: 'sequence', strengths: { lambda: 0.24, rate: 2.2e-5, protect: 25 } },
  },
  { name: 'ewc+confidence', about: 'both', course: 'sequence', strengths: { lambda: 0.24, floor: 0.22 } },
  {
    name: 'continual-backprop+confidence',
    about: 'both; the gates of a newborn unit are open',
    ...{ course: 'sequence', strengths: { rate: 2.2e-6, floor: 0.13 } },
  },
  { name: 'all', about: 'all three', course: 'sequence', strengths: { lambda: 0.24, rate: 2.2e-5, floor: 0.22 } },
  {
    name: 'all-protected',
    about: `all three; ${HEED}`,
    ...{ course: 'sequence', strengths: { lambda: 0.24, rate: 2.2e-5, protect: 25, floor: 0.22 } },
  },
  {
    name: 'fresh',
    about: 'bound for what is new: a network drawn anew for each context, the last of which is asked about all',
    ...{ course: 'fresh', strengths: {} },
  },
  {
    name: 'joint',
    about: 'bound for what is known at the end: images of all contexts mixed, as many steps in all',
    ...{ course: 'joint', strengths: {} },
  },
];

export function combinationOf(name: string): Combination {
  const found = COMBINATIONS.find((combination) => combination.name === name);
  if (found === undefined) throw new Error(`There is no combination '${name}'.`);
  return found;
}

/** Settings that all combinations share. Decay, maturity and the measure of use are those of the other experiments. */
const FISHER = { samples: 200, online: { gamma: 1 } } satisfies Partial<EWCOptions>;
const RESET = { maturity: 100, decay: 0.99, utility: 'adaptableContribution' } as const;
const GATE = { decay: 0.99, online: false } as const;

export interface Composed {
  /** In the order in which their hooks are called. */
  readonly methods: readonly Method[];
  /** The one that replaces units, where there is one. */
  readonly resets: Pick<ResettingMethod<unknown, unknown>, 'replaced'> | null;
}

/** The methods of a combination with these strengths. Each draws from a generator of its own, whoever else is there. */
export function compose({ lambda, rate, protect, floor }: Strengths, generator: Generator): Composed {
  const [forFisher, forResets] = [generator.fork(), generator.fork()];
  const anchors = lambda === undefined ? null : ewc({ ...FISHER, lambda, generator: forFisher });
  // EWC's penalty is in the loss, where nobody but EWC knows what it holds.
  const held =
    anchors === null || protect === undefined
      ? {}
      : { protect, importance: (w: Parameters<typeof anchors.held>[0]) => anchors.held(w)?.precision ?? null };
  const resets = rate === undefined ? null : continualBackprop({ ...RESET, rate, ...held, generator: forResets });
  const gates = floor === undefined ? null : confidence({ ...GATE, floor });
  return { methods: [anchors, resets, gates].filter((method) => method !== null), resets };
}

/** Methods that keep examples, or ask what an earlier network says. */

import { agem } from '../../../../src/continual/replay/agem.ts';
import { derpp } from '../../../../src/continual/replay/der.ts';
import { er } from '../../../../src/continual/replay/er.ts';
import { gem } from '../../../../src/continual/replay/gem.ts';
import { lwf } from '../../../../src/continual/replay/lwf.ts';
import { defineContender, type ProblemName, SCENARIOS } from '../method.ts';

const everywhere = { scenarios: SCENARIOS, course: 'sequence' } as const;

/** Examples of each class of each context, as published: 1,000 images in all. */
const PER_CLASS: Readonly<Record<ProblemName, number>> = { split: 100, permuted: 10 };
/** As many in one reservoir. */
const CAPACITY = 1000;

export const experienceReplay = defineContender({
  ...everywhere,
  name: 'er',
  about: 'experience replay: beside each batch, one of kept examples of earlier contexts (van de Ven et al. 2022)',
  settings: (problem) => ({ perClass: PER_CLASS[problem] }),
  make: ({ batch, generator }, settings) => [er({ ...settings, batchSize: batch, generator })],
});

export const averagedGem = defineContender({
  ...everywhere,
  name: 'a-gem',
  about:
    'averaged gradient episodic memory: the gradient may not point against that of a batch of kept examples (Chaudhry et al. 2019)',
  settings: (problem) => ({ perClass: PER_CLASS[problem] }),
  make: ({ batch, generator }, settings) => [agem({ ...settings, batchSize: batch, generator })],
});

export const episodicMemory = defineContender({
  ...everywhere,
  name: 'gem',
  about:
    'gradient episodic memory: the gradient may not point against that of the kept examples of any earlier context (Lopez-Paz and Ranzato 2017); margin not tuned',
  // As many examples as the others keep; the margin is the authors'.
  settings: (problem) => ({ perContext: problem === 'split' ? 200 : 100, margin: 0.5 }),
  make: (_, settings) => [gem(settings)],
});

export const darkReplay = defineContender({
  ...everywhere,
  name: 'der++',
  about:
    'dark experience replay: kept examples with their labels and with what the network said of them (Buzzega et al. 2020); strengths not tuned',
  // Strengths that its authors chose for MNIST with 500 examples and another optimizer; not tuned here.
  settings: () => ({ capacity: CAPACITY, alpha: 1, beta: 0.5 }),
  make: ({ batch, generator }, settings) => [derpp({ ...settings, batchSize: batch, generator })],
});

export const withoutForgetting = defineContender({
  ...everywhere,
  name: 'lwf',
  about:
    'learning without forgetting: the network goes on saying of the images of now what it said before (Li and Hoiem 2016)',
  settings: () => ({ temperature: 2 }),
  make: (_, settings) => [lwf(settings)],
});

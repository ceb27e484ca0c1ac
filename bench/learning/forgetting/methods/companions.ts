/** Methods that were made for something else: to stay plastic, or to change less what one is sure of. */

import { confidence } from '../../../../src/continual/confidence.ts';
import { continualBackprop } from '../../../../src/continual/plasticity-methods.ts';
import { defineContender, SCENARIOS } from '../method.ts';

const everywhere = { scenarios: SCENARIOS, course: 'sequence' } as const;

export const plastic = defineContender({
  ...everywhere,
  name: 'continual-backprop',
  about:
    'of the mature units the least useful ones are drawn anew, which keeps a network plastic and does nothing against forgetting (Dohare et al. 2024)',
  // The measure of use is the published one for images.
  settings: () => ({ rate: 1e-4, maturity: 100, decay: 0.99, utility: 'adaptableContribution' as const }),
  make: ({ generator }, settings) => [continualBackprop({ ...settings, generator })],
});

export const selective = defineContender({
  ...everywhere,
  name: 'confidence',
  about: 'selective backpropagation: weights in which the network is confident change less; settings not tuned',
  settings: () => ({ decay: 0.99, online: false }),
  make: (_, settings) => [confidence(settings)],
});

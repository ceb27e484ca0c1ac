/** Methods that give each context units or weights of its own. They have to be told which context it is. */

import { hat } from '../../../../src/continual/masks/hat.ts';
import { HatMask } from '../../../../src/continual/masks/hat-mask.ts';
import { packnet } from '../../../../src/continual/masks/packnet.ts';
import { defineContender } from '../method.ts';

const told = { scenarios: ['task'], course: 'sequence' } as const;

export const hardAttention = defineContender({
  ...told,
  name: 'hat',
  about:
    'hard attention to the task: each context learns which units are its own (Serra et al. 2018); settings not tuned',
  // As published but for the optimizer, which is that of all methods, and that masks harden once in a context.
  settings: () => ({ smax: 400, lambda: 0.75 }),
  behind: (units, { scenario, generator }) => new HatMask(units, { contexts: scenario.contexts.length, generator }),
  make: ({ iterations }, settings) => [hat({ ...settings, steps: iterations })],
});

export const packing = defineContender({
  ...told,
  name: 'packnet',
  about:
    'PackNet: each context owns the largest of the weights that were free, and they never move again (Mallya and Lazebnik 2018); settings not tuned',
  settings: () => ({ prune: 0.75 }),
  make: ({ iterations }, settings) => [
    packnet({ ...settings, ...(iterations > 1 ? { steps: iterations } : { retrain: 0 }) }),
  ],
});

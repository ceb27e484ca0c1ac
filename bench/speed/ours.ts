/** Palimpsest, eager: every task as anybody would write it with the public door. */

import type { Contestant } from './harness.ts';
import { prepareArray } from './ours/arrays.ts';
import { prepareChain } from './ours/chains.ts';
import { prepareConvolution } from './ours/convolutions.ts';
import { prepareProduct } from './ours/products.ts';
import { prepareTraining } from './ours/trainings.ts';
import { answerFor } from './rows.ts';
import { prepareOurStart } from './start-up/starts.ts';

const preparations = {
  product: prepareProduct,
  training: prepareTraining,
  array: prepareArray,
  convolution: prepareConvolution,
  chain: prepareChain,
  start: prepareOurStart,
};

export function loadOurs(): Contestant {
  return {
    name: 'ours',
    async activate() {},
    prepare: ({ task }) => answerFor(preparations, task),
  };
}

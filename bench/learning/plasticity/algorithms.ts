/** All algorithms of the experiment, in the order of tables. One lives in a file of its own in algorithms/ and is joined in here. */

import type { Algorithm } from './algorithm.ts';
import { adam } from './algorithms/adam.ts';
import { backprop } from './algorithms/backprop.ts';
import { continualBackprop } from './algorithms/continual-backprop.ts';
import { crelu } from './algorithms/crelu.ts';
import { l2 } from './algorithms/l2.ts';
import { l2Init } from './algorithms/l2-init.ts';
import { layerNorm } from './algorithms/layer-norm.ts';
import { linear } from './algorithms/linear.ts';
import { redo } from './algorithms/redo.ts';
import { selfNormalised } from './algorithms/self-normalised.ts';
import { shrinkPerturb } from './algorithms/shrink-perturb.ts';
import { upgd } from './algorithms/upgd.ts';
import { weightReset } from './algorithms/weight-reset.ts';

export const ALGORITHMS: readonly Algorithm[] = [
  ...[backprop, continualBackprop, l2, shrinkPerturb, upgd, adam, linear],
  ...[l2Init, layerNorm, crelu, redo, selfNormalised, weightReset],
];

export function algorithmOf(name: string): Algorithm {
  const found = ALGORITHMS.find((algorithm) => algorithm.name === name);
  if (found === undefined) throw new Error(`There is no algorithm '${name}'.`);
  return found;
}
